//! The token trace: every step's signals as bounded unit masses, and each chunk's heat maps.
//! In: one slice over the prompt positions per signal and step; closed chunks. Out: [`SignalTrace`]s for the record.
//!
//! Bound: a step keeps, per signal, the [`TOP_UNITS`] best units by sum, by max and by mean, and the best by each of these
//! within the prompt's text and within every modality and track. So the winner under any unit score, any competition,
//! and with or without the prompt is always among them: the page re-curates exactly, from a few numbers a token.

use crate::AttributionError;
use crate::heat;
use crate::layout::{Layout, UnitGrid};
use crate::pos::Upos;
use crate::record::{
    Chunk, HeatMap, SignalKind, SignalTrace, SourceRole, Token, Unit, UnitMass, UnitScore,
};
use crate::score::{self, Group};
use crate::signal::StepSignals;

/// Best units kept per step, signal and unit score, whatever their modality.
pub const TOP_UNITS: usize = 4;
/// Heat maps kept per chunk and signal.
pub const MAX_HEAT_MAPS: usize = 6;
/// A unit's patches need this share of the chunk's mass over all units to get a heat map.
const MIN_HEAT_SHARE: f64 = 0.02;
/// Patch values held per signal until their chunk closes and its tags are known. A chunk that goes on beyond them (one
/// endless sentence about a long film) has its first tokens counted with the weight of an untagged one.
const MAX_PENDING_VALUES: usize = 8 << 20;
/// Groups for keeping the best: those of curation, and the prompt's text apart, since it can be switched off.
const KEEP_GROUPS: usize = Group::ALL.len() + 1;
const SIGNALS: usize = SignalKind::ALL.len();

/// Collects the trace while tokens are generated.
#[derive(Debug)]
pub struct TraceBuilder {
    unit_of: Vec<Option<u32>>,
    units: Vec<Unit>,
    keep_group: Vec<usize>,
    /// `(position, slot)` of every position with a patch; slots number the patches of all grids.
    patches: Vec<(usize, usize)>,
    /// Positions that look at several patches: the position, and of each slot its share.
    looks: Vec<(usize, Vec<(usize, f32)>)>,
    /// Per unit with a grid: the unit, its grid and its first slot.
    grids: Vec<(u32, UnitGrid, usize)>,
    slots: usize,
    tokens: [Vec<Vec<UnitMass>>; SIGNALS],
    /// Per step: the mass of all units.
    inside: [Vec<f32>; SIGNALS],
    heat: [Vec<Vec<HeatMap>>; SIGNALS],
    /// Steps since the last closed chunk: per signal the mass of each slot, and over all units.
    pending: [Vec<(Vec<f32>, f64)>; SIGNALS],
    closed_tokens: usize,
    /// The begin of a chunk too long to be held: its mass per signal, and how many of its steps are in it.
    folded: [(Vec<f64>, f64); SIGNALS],
    folded_steps: usize,
}

impl TraceBuilder {
    /// For a prompt laid out like this.
    pub fn new(layout: &Layout) -> Self {
        let keep_group = layout
            .units
            .iter()
            .map(|unit| keep_group(layout, unit))
            .collect();
        let mut grids = Vec::new();
        let mut first_slot = vec![None; layout.units.len()];
        let mut slots = 0;
        for (unit, grid) in (0u32..).zip(&layout.grids) {
            if let Some(grid) = grid {
                first_slot[unit as usize] = Some(slots);
                grids.push((unit, *grid, slots));
                slots += grid.grid.rows as usize * grid.grid.cols as usize;
            }
        }
        let patches = layout
            .unit_of
            .iter()
            .zip(&layout.cell_of)
            .enumerate()
            .filter_map(|(position, (unit, cell))| {
                let first = first_slot[(*unit)? as usize]?;
                Some((position, first + (*cell)? as usize))
            })
            .collect();
        Self {
            unit_of: layout.unit_of.clone(),
            units: layout.units.clone(),
            keep_group,
            patches,
            looks: Vec::new(),
            grids,
            slots,
            tokens: Default::default(),
            inside: Default::default(),
            heat: Default::default(),
            pending: Default::default(),
            closed_tokens: 0,
            folded: Default::default(),
            folded_steps: 0,
        }
    }

    /// Where a position looks that does not stand for a patch: cells of its unit's grid, each with its share.
    pub fn look(&mut self, position: usize, cells: Vec<(u32, f32)>) {
        let unit = self.unit_of.get(position).copied().flatten();
        let grid = self.grids.iter().find(|grid| Some(grid.0) == unit);
        if let Some((_, place, first)) = grid {
            let count = place.grid.rows * place.grid.cols;
            let inside = cells.into_iter().filter(|(cell, _)| *cell < count);
            let slots = inside.map(|(cell, share)| (first + cell as usize, share));
            self.looks.push((position, slots.collect()));
        }
    }

    /// One generated token: what each signal says over the prompt positions (values beyond the prompt left out).
    pub fn push_step(&mut self, signals: StepSignals<'_>) -> Result<(), AttributionError> {
        for scores in signals {
            if scores.len() != self.unit_of.len() {
                let (found, expected) = (scores.len(), self.unit_of.len());
                return Err(AttributionError::SignalLength { found, expected });
            }
        }
        for (k, scores) in signals.into_iter().enumerate() {
            let masses = score::unit_masses(scores, &self.unit_of, self.units.len());
            let total: f64 = masses.iter().map(|m| f64::from(m.1)).sum();
            self.inside[k].push(shortened(total as f32));
            let mut slots = vec![0f32; self.slots];
            let mass = |position: usize| match scores[position] {
                value if value > 0.0 && value.is_finite() => value,
                _ => 0.0,
            };
            // A unit of several pictures (a long bin) sums them: its map shows the place, not the frame.
            for &(position, slot) in &self.patches {
                slots[slot] += mass(position);
            }
            for (position, shares) in &self.looks {
                let mass = mass(*position);
                for &(slot, share) in shares {
                    slots[slot] += mass * share;
                }
            }
            self.pending[k].push((slots, total));
            self.tokens[k].push(self.strongest(&masses));
        }
        while self.pending[0].len() > 1 && self.pending[0].len() * self.slots > MAX_PENDING_VALUES {
            for k in 0..SIGNALS {
                let (slots, total) = self.pending[k].remove(0);
                add_weighted(&mut self.folded[k], &slots, total, Upos::X.weight());
            }
            self.folded_steps += 1;
        }
        Ok(())
    }

    /// Steps pushed so far.
    pub fn steps(&self) -> usize {
        self.tokens[0].len()
    }

    /// The bounded masses of every token so far, for one signal.
    pub fn masses(&self, signal: SignalKind) -> &[Vec<UnitMass>] {
        &self.tokens[signal.index()]
    }

    /// The heat maps of every chunk closed so far, for one signal.
    pub fn heat(&self, signal: SignalKind) -> &[Vec<HeatMap>] {
        &self.heat[signal.index()]
    }

    /// Makes the heat maps of the next chunk. `tokens` are all tokens so far, tagged up to this chunk's end; the chunk
    /// begins where the last one ended.
    pub fn close_chunk(&mut self, chunk: &Chunk, tokens: &[Token]) -> Result<(), AttributionError> {
        let (start, end) = (chunk.token_start as usize, chunk.token_end as usize);
        if start != self.closed_tokens || end < start || end > self.steps() || end > tokens.len() {
            return Err(AttributionError::ChunkOrder {
                chunk: self.heat[0].len(),
            });
        }
        let held = start + self.folded_steps.min(end - start);
        let mut weights: Vec<f64> = tokens[held..end].iter().map(|t| t.pos.weight()).collect();
        if weights.iter().sum::<f64>() <= 0.0 {
            weights.fill(1.0);
        }
        self.folded_steps = 0;
        for k in 0..SIGNALS {
            let mut sum = std::mem::take(&mut self.folded[k]);
            sum.0.resize(self.slots, 0.0);
            let count = weights.len().min(self.pending[k].len());
            for ((slots, total), weight) in self.pending[k].drain(..count).zip(&weights) {
                add_weighted(&mut sum, &slots, total, *weight);
            }
            let (mass, total) = sum;
            let maps = self.heat_maps(&mass, total);
            self.heat[k].push(maps);
        }
        self.closed_tokens = end;
        Ok(())
    }

    /// The traces for the record, in the order of [`SignalKind::ALL`].
    pub fn finish(self) -> Vec<SignalTrace> {
        SignalKind::ALL
            .into_iter()
            .zip(self.tokens)
            .zip(self.heat)
            .zip(self.inside)
            .map(|(((signal, tokens), heat), inside)| SignalTrace {
                signal,
                tokens,
                heat,
                inside,
            })
            .collect()
    }

    fn heat_maps(&self, mass: &[f64], total: f64) -> Vec<HeatMap> {
        let mut shares: Vec<(f64, u32, UnitGrid, &[f64])> = self
            .grids
            .iter()
            .map(|&(unit, grid, first)| {
                let cells = &mass[first..first + grid.grid.rows as usize * grid.grid.cols as usize];
                (cells.iter().sum(), unit, grid, cells)
            })
            .filter(|(sum, ..)| *sum > 0.0 && *sum >= total * MIN_HEAT_SHARE)
            .collect();
        shares.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        shares.truncate(MAX_HEAT_MAPS);
        shares
            .iter()
            .filter_map(|(_, unit, grid, cells)| heat::heat_map(*unit, grid, cells))
            .collect()
    }

    /// The units to keep of one step, strongest sum first.
    fn strongest(&self, masses: &[UnitMass]) -> Vec<UnitMass> {
        let mut kept: Vec<u32> = Vec::new();
        for rule in UnitScore::ALL {
            let of = |m: &UnitMass| rule.of(m.1, m.2, self.units[m.0 as usize].positions);
            let mut top: Vec<(f64, u32)> = Vec::with_capacity(TOP_UNITS + 1);
            let mut best: [Option<(f64, u32)>; KEEP_GROUPS] = [None; KEEP_GROUPS];
            for m in masses.iter().filter(|m| m.1 > 0.0) {
                let value = of(m);
                // Strictly greater: the first of equals stays ahead.
                let at = top.partition_point(|(other, _)| *other >= value);
                if at < TOP_UNITS {
                    top.insert(at, (value, m.0));
                    top.truncate(TOP_UNITS);
                }
                let own = &mut best[self.keep_group[m.0 as usize]];
                if own.is_none_or(|(other, _)| value > other) {
                    *own = Some((value, m.0));
                }
            }
            kept.extend(
                top.iter()
                    .chain(best.iter().flatten())
                    .map(|(_, unit)| *unit),
            );
        }
        kept.sort_unstable();
        kept.dedup();
        let mut kept: Vec<UnitMass> = kept.into_iter().map(|unit| masses[unit as usize]).collect();
        kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        kept.into_iter()
            .map(|m| UnitMass(m.0, shortened(m.1), shortened(m.2)))
            .collect()
    }
}

/// A value with five significant digits: what the record writes is what was curated.
pub fn shortened(value: f32) -> f32 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    format!("{value:.4e}").parse().unwrap_or(0.0)
}

fn add_weighted(sum: &mut (Vec<f64>, f64), slots: &[f32], total: f64, weight: f64) {
    sum.0.resize(slots.len(), 0.0);
    for (sum, value) in sum.0.iter_mut().zip(slots) {
        *sum += f64::from(*value) * weight;
    }
    sum.1 += total * weight;
}

fn keep_group(layout: &Layout, unit: &Unit) -> usize {
    let source = &layout.sources[unit.source as usize];
    match source.role {
        SourceRole::Prompt => KEEP_GROUPS - 1,
        SourceRole::Content => score::group(source, unit).index(),
    }
}

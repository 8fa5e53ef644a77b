//! The token-level signals, tapped online: only the last query row of each layer is ever read.
//! In: each layer's last row of probabilities. Out: one `[P]` vector per signal and step.
//!
//! The paper's three come from the decoder; those that need to know the units, or the steps before, are made of its rows
//! here, by [`Derived`], the same on every device.
//!
//! What attention says of a step is there with the step. What gradients say comes a few steps later: a decoder holds steps
//! back and takes [`HELD`] of them through its tail together, which reads the tail's weights once for all.

use attribution::layout::Layout;
use attribution::record::SourceRole;
use attribution::signal::StepSignals;
use candle_core::{DType, Result, Tensor};

mod focus;
mod rise;
mod value;

/// Most steps that a decoder holds back for their gradients.
pub(crate) const HELD: usize = 16;

/// Which signals a generation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None: what tracing is measured against.
    Nothing,
    /// `attmean` and `attraw`; no rows of layers, of which further ones are made.
    Means,
    /// Those and `attgrads`: the paper's three.
    Gradients,
    /// All that is made of attention; no gradients.
    Attention,
    /// That, and what layers' values add.
    Values,
    /// All of them.
    Everything,
}

impl Wanted {
    /// Whether every layer's row is kept until the step's end.
    pub(crate) fn rows_of_layers(self) -> bool {
        matches!(self, Self::Attention | Self::Values | Self::Everything)
    }

    /// Whether every layer's and head's probabilities of the last row are kept until the step's end; if not, the last
    /// layer's are.
    pub(crate) fn probabilities_of_layers(self) -> bool {
        matches!(self, Self::Values | Self::Everything)
    }

    /// Which attention serves a layer while a step runs: its own where the probabilities of layers are kept, or one for all.
    pub(crate) fn attention_of(self, layer: usize) -> usize {
        match self.probabilities_of_layers() {
            true => layer,
            false => 0,
        }
    }

    /// Whether the chosen logit's gradient is taken back.
    pub(crate) fn gradients(self) -> bool {
        matches!(self, Self::Gradients | Self::Everything)
    }
}

/// Reads every layer's last row of probabilities while a step runs and keeps one `[context]` sum.
#[derive(Debug)]
pub(crate) struct AttentionTap {
    wanted: Wanted,
    sum_over_layers: Option<Tensor>,
    seen: usize,
    /// Mean over heads of every layer so far, or of the last one alone, `[context]` each.
    rows: Vec<Tensor>,
    /// `[heads, context]` of every layer, or of the last one alone: what AttGrads and AttValue need.
    probabilities: Vec<Tensor>,
}

impl AttentionTap {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            sum_over_layers: None,
            seen: 0,
            rows: Vec::new(),
            probabilities: Vec::new(),
        }
    }

    /// `probabilities`: `[heads, context]`, f32.
    pub(crate) fn observe(&mut self, probabilities: &Tensor) -> Result<()> {
        if self.wanted == Wanted::Nothing {
            return Ok(());
        }
        let over_heads = probabilities.mean(0)?;
        self.sum_over_layers = Some(match self.sum_over_layers.take() {
            Some(sum) => (sum + &over_heads)?,
            None => over_heads.clone(),
        });
        if !self.wanted.rows_of_layers() {
            self.rows.clear();
        }
        self.seen += 1;
        self.rows.push(over_heads);
        if !self.wanted.probabilities_of_layers() {
            self.probabilities.clear();
        }
        self.probabilities.push(probabilities.clone());
        Ok(())
    }

    /// Mean over heads and layers, of the first `prompt` positions.
    pub(crate) fn attmean(&self, prompt: usize) -> Result<Vec<f32>> {
        match &self.sum_over_layers {
            Some(sum) => (sum.narrow(0, 0, prompt)? / self.seen as f64)?.to_vec1(),
            None => Ok(vec![0.0; prompt]),
        }
    }

    /// Mean over heads of the last layer, of the first `prompt` positions.
    pub(crate) fn attraw(&self, prompt: usize) -> Result<Vec<f32>> {
        match self.rows.last() {
            Some(row) => row.narrow(0, 0, prompt)?.to_vec1(),
            None => Ok(vec![0.0; prompt]),
        }
    }

    /// Mean over heads of every layer, of the first `prompt` positions: `[layers, prompt]`.
    pub(crate) fn layers(&self, prompt: usize) -> Result<Vec<f32>> {
        if self.rows.is_empty() || !self.wanted.rows_of_layers() {
            return Ok(Vec::new());
        }
        Tensor::stack(&self.rows, 0)?
            .narrow(1, 0, prompt)?
            .flatten_all()?
            .to_vec1()
    }

    /// `[heads, context]` of a layer that was kept.
    pub(crate) fn probabilities(&self, layer: usize) -> Option<&Tensor> {
        let first = self.seen - self.probabilities.len();
        self.probabilities.get(layer.checked_sub(first)?)
    }
}

/// `max(0, mean over heads of dA * A)` for the first `prompt` positions, where `dA[h, k] = <g_h, v_kv(h),k>`.
///
/// `at_context`: gradient of the chosen logit at the last layer's attention output, `[1, heads * dim]`;
/// `probabilities`: `[heads, context]`; `values`: `[kv_heads, prompt, dim]`.
pub(crate) fn attgrads(
    at_context: &Tensor,
    probabilities: &Tensor,
    values: &Tensor,
) -> Result<Vec<f32>> {
    let (kv_heads, prompt, dim) = values.dims3()?;
    let heads = probabilities.dim(0)?;
    let grad = at_context
        .reshape((kv_heads, heads / kv_heads, dim))?
        .to_dtype(values.dtype())?;
    let at_probabilities = grad
        .matmul(&values.t()?)?
        .reshape((heads, prompt))?
        .to_dtype(DType::F32)?;
    (at_probabilities * probabilities.narrow(1, 0, prompt)?)?
        .mean(0)?
        .relu()?
        .to_vec1()
}

/// What attention says of one step, over the prompt positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StepAttention {
    /// Mean over heads and layers.
    pub(crate) attmean: Vec<f32>,
    /// Mean over heads of the last layer.
    pub(crate) attraw: Vec<f32>,
    /// Mean over heads of every layer, up to one factor for all: `[layers, prompt]`; empty where it was not asked for.
    pub(crate) layers: Vec<f32>,
}

/// What gradients say of one step, over the prompt positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StepGradients {
    /// Gradient of the chosen logit times attention, last layer; empty where it was not asked for.
    pub(crate) attgrads: Vec<f32>,
    /// What the values of the layers held with the step add to the chosen logit; empty where they were not asked for.
    pub(crate) added: Vec<f32>,
}

impl StepAttention {
    /// Of a prompt of which only the `kept` positions were run, over all of its positions: 0 where there was none.
    pub(crate) fn spread(self, kept: &[bool]) -> Self {
        let there = kept.iter().filter(|kept| **kept).count();
        let row = |own: &[f32]| spread_row(own, kept);
        Self {
            attmean: row(&self.attmean),
            attraw: row(&self.attraw),
            layers: (self.layers.chunks(there.max(1))).flat_map(row).collect(),
        }
    }
}

impl StepGradients {
    /// As [`StepAttention::spread`].
    pub(crate) fn spread(self, kept: &[bool]) -> Self {
        Self {
            attgrads: spread_row(&self.attgrads, kept),
            added: spread_row(&self.added, kept),
        }
    }
}

/// All signals of one step, `[prompt]` each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct StepScores {
    pub(crate) attmean: Vec<f32>,
    pub(crate) attraw: Vec<f32>,
    pub(crate) attgrads: Vec<f32>,
    pub(crate) attfocus: Vec<f32>,
    pub(crate) attrise: Vec<f32>,
    pub(crate) attvalue: Vec<f32>,
}

impl StepScores {
    /// In the record's order.
    pub(crate) fn signals(&self) -> StepSignals<'_> {
        [
            &self.attmean,
            &self.attraw,
            &self.attgrads,
            &self.attfocus,
            &self.attrise,
            &self.attvalue,
        ]
    }
}

/// One row of the `kept` positions over all of them: 0 where there was none.
fn spread_row(row: &[f32], kept: &[bool]) -> Vec<f32> {
    let mut own = row.iter();
    (kept.iter())
        .map(|kept| match kept {
            true => own.next().copied().unwrap_or(0.0),
            false => 0.0,
        })
        .collect()
}

/// Follows the steps of a generation: makes the signals that need to know the units, or the steps before, and keeps each
/// step's until its gradients come.
#[derive(Debug)]
pub(crate) struct Derived {
    ground: Ground,
    /// One value per unit.
    masses: Vec<f32>,
    /// Each layer's, of the step pushed last.
    weights: Vec<f32>,
    rise: rise::Rise,
    prompt: usize,
    /// Oldest first; all but AttGrads and AttValue are there.
    waiting: Vec<StepScores>,
}

/// Where the content stands: stretches of positions of one unit each, the instruction's left out.
#[derive(Debug, Default)]
struct Ground {
    stretches: Vec<Stretch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    start: u32,
    end: u32,
    unit: u32,
}

impl Ground {
    /// Of `(position, unit)`, positions rising.
    fn of(positions: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (position, unit) in positions {
            match stretches.last_mut() {
                Some(last) if last.unit == unit && last.end == position => last.end += 1,
                _ => stretches.push(Stretch {
                    start: position,
                    end: position + 1,
                    unit,
                }),
            }
        }
        Self { stretches }
    }
}

impl Derived {
    /// For a prompt of content alone, in units of `positions` each: what benchmarks trace.
    pub(crate) fn in_equal_units(prompt: usize, positions: usize) -> Self {
        let unit = |position: usize| (position as u32, (position / positions.max(1)) as u32);
        let units = prompt.div_ceil(positions.max(1));
        Self::over(Ground::of((0..prompt).map(unit)), units, prompt)
    }

    /// Before the first step.
    pub(crate) fn new(layout: &Layout) -> Self {
        let content = |unit: u32| {
            let source = layout.units[unit as usize].source;
            layout.sources[source as usize].role == SourceRole::Content
        };
        let positions = (0u32..)
            .zip(&layout.unit_of)
            .filter_map(|(position, unit)| Some((position, (*unit)?)))
            .filter(|(_, unit)| content(*unit));
        Self::over(
            Ground::of(positions),
            layout.units.len(),
            layout.positions(),
        )
    }

    fn over(ground: Ground, units: usize, prompt: usize) -> Self {
        Self {
            ground,
            masses: vec![0.0; units],
            weights: Vec::new(),
            rise: rise::Rise::new(prompt),
            prompt,
            waiting: Vec::new(),
        }
    }

    /// One step. Gives the layers whose values AttValue needs.
    pub(crate) fn push(&mut self, step: StepAttention) -> Vec<usize> {
        let attfocus = self.focus(&step);
        let attrise = self.rise(&attfocus);
        self.waiting.push(StepScores {
            attmean: step.attmean,
            attraw: step.attraw,
            attfocus,
            attrise,
            ..StepScores::default()
        });
        self.focused()
    }

    /// AttFocus of the next step, and each layer's weight in it.
    pub(crate) fn focus(&mut self, step: &StepAttention) -> Vec<f32> {
        let mut out = vec![0.0; self.prompt];
        let (ground, masses) = (&self.ground, &mut self.masses);
        focus::focus(&step.layers, ground, masses, &mut self.weights, &mut out);
        out
    }

    /// AttRise, of AttFocus.
    pub(crate) fn rise(&mut self, attfocus: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.prompt];
        self.rise.push(attfocus, &mut out);
        out
    }

    /// The layers of most focus in that step.
    pub(crate) fn focused(&self) -> Vec<usize> {
        value::focused(&self.weights)
    }

    /// The gradients of all steps that wait: what each comes to, oldest first.
    pub(crate) fn complete(&mut self, gradients: Vec<StepGradients>) -> Vec<StepScores> {
        let mut steps = std::mem::take(&mut self.waiting);
        for (step, own) in steps.iter_mut().zip(gradients) {
            step.attvalue = vec![0.0; self.prompt];
            value::value(&step.attmean, &own.added, &mut step.attvalue);
            step.attgrads = own.attgrads;
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two units of two positions each, one position of the template.
    fn ground() -> Ground {
        Ground::of([(1, 0), (2, 0), (3, 1), (4, 1)].into_iter())
    }

    #[test]
    fn a_layer_that_finds_something_outweighs_those_that_do_not() {
        let finds = [0.1, 0.0, 0.0, 0.5, 0.4];
        let spreads = [0.2, 0.2, 0.2, 0.2, 0.2];
        let elsewhere = [1.0, 0.0, 0.0, 0.0, 0.0];
        let layers = [finds, spreads, elsewhere].concat();
        let (mut masses, mut weights, mut out) = ([0.0; 2], Vec::new(), [0.0; 5]);
        focus::focus(&layers, &ground(), &mut masses, &mut weights, &mut out);
        let far = weights.iter().zip([0.81, 0.32, 0.0]);
        assert!(
            far.into_iter()
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6)
        );
        assert_eq!(value::focused(&weights), [0, 1]);
        // Weights .81, .32 and 0.
        for (k, value) in out.iter().enumerate() {
            let by_hand = (0.81 * finds[k] + 0.32 * spreads[k]) / 1.13;
            assert!((value - by_hand).abs() < 1e-6);
        }
        // Nothing looks at a source: the plain mean.
        let layers = [elsewhere, [0.5, 0.0, 0.0, 0.0, 0.0]].concat();
        focus::focus(&layers, &ground(), &mut masses, &mut weights, &mut out);
        assert_eq!(out, [0.75, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn stretches_are_of_one_unit_without_a_gap() {
        let of = |positions: &[(u32, u32)]| -> Vec<(u32, u32, u32)> {
            let ground = Ground::of(positions.iter().copied());
            let own = ground.stretches.iter();
            own.map(|own| (own.start, own.end, own.unit)).collect()
        };
        let found = of(&[(1, 0), (2, 0), (4, 0), (5, 1), (6, 2), (7, 1)]);
        assert_eq!(
            found,
            [(1, 3, 0), (4, 5, 0), (5, 6, 1), (6, 7, 2), (7, 8, 1)]
        );
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn a_long_sum_is_the_sum() {
        let row: Vec<f32> = (0..77).map(|k| k as f32 * 0.5).collect();
        assert_eq!(focus::sum(&row), 77.0 * 76.0 / 4.0);
        assert_eq!(focus::sum(&[]), 0.0);
    }

    #[test]
    fn scores_go_back_to_where_their_positions_were() {
        let attention = StepAttention {
            attmean: vec![0.1, 0.2],
            attraw: vec![0.3, 0.4],
            layers: vec![0.1, 0.2, 0.7, 0.8],
        };
        let gradients = StepGradients {
            attgrads: vec![0.5, 0.6],
            added: vec![0.9, 1.0],
        };
        let kept = [true, false, true];
        let (spread, gradients) = (attention.spread(&kept), gradients.spread(&kept));
        assert_eq!(gradients.attgrads, [0.5, 0.0, 0.6]);
        assert_eq!(gradients.added, [0.9, 0.0, 1.0]);
        assert_eq!(spread.attmean, [0.1, 0.0, 0.2]);
        assert_eq!(spread.attraw, [0.3, 0.0, 0.4]);
        assert_eq!(spread.layers, [0.1, 0.0, 0.2, 0.7, 0.0, 0.8]);
    }

    #[test]
    fn what_is_looked_at_and_says_the_word_counts() {
        let mut out = [0.0; 4];
        value::value(&[0.25, 0.5, 0.0, 1.0], &[4.0, 0.0, 9.0, -1.0], &mut out);
        assert_eq!(out, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(value::focused(&[0.1, 0.3, 0.3, 0.2]), [1, 2]);
        assert_eq!(value::focused(&[0.1]), [0]);
        assert!(value::focused(&[]).is_empty());
    }

    #[test]
    fn what_is_always_there_is_no_rise() {
        let mut rise = rise::Rise::new(3);
        let mut out = [0.0; 3];
        rise.push(&[0.5, 0.1, 0.0], &mut out);
        assert_eq!(out, [0.5, 0.1, 0.0], "the first row is all new");
        rise.push(&[0.5, 0.1, 0.4], &mut out);
        assert_eq!(out, [0.0, 0.0, 0.4]);
        rise.push(&[0.5, 0.4, 0.0], &mut out);
        assert_eq!(out[0], 0.0);
        assert!((out[1] - 0.3).abs() < 1e-6);
        assert_eq!(out[2], 0.0, "never below nothing");
    }
}

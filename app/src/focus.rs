//! What lights up when something is pointed at.
//! In: the index of who cites whom, and the focus state. Out: the lit chunks and units. Pure: tested without a browser.

use attribution::record::ChunkAttribution;

/// Something that can be pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A chunk of the response, by index.
    Chunk(u32),
    /// A source unit, by index into the record's units.
    Unit(u32),
    /// A token of the response, by index.
    Token(u32),
}

/// What is pointed at, and how. A pin survives the mouse; the mouse goes before the keyboard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Focus {
    /// Under the pointer.
    pub hover: Option<Target>,
    /// Holds the keyboard focus.
    pub keyboard: Option<Target>,
    /// Clicked.
    pub pin: Option<Target>,
}

impl Focus {
    /// The one target that counts.
    pub fn active(&self) -> Option<Target> {
        self.pin.or(self.hover).or(self.keyboard)
    }

    /// A click or Enter: pins the target, or lets it go where it was pinned.
    pub fn toggle_pin(&mut self, target: Target) {
        self.pin = if self.pin == Some(target) {
            None
        } else {
            Some(target)
        };
    }

    /// Esc: lets go of everything, also of what the keyboard rests on.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    /// The pinned chunk, as the URL holds it.
    pub fn pinned_chunk(&self) -> Option<u32> {
        match self.pin {
            Some(Target::Chunk(chunk)) => Some(chunk),
            _ => None,
        }
    }
}

/// Who cites whom, in both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FocusIndex {
    units_of: Vec<Vec<u32>>,
    chunks_of: Vec<Vec<u32>>,
}

impl FocusIndex {
    /// From the chunks' attributions; citations of units that do not exist are left out.
    pub fn new(attributions: &[ChunkAttribution], units: usize) -> Self {
        let mut chunks_of = vec![Vec::new(); units];
        let mut units_of = Vec::with_capacity(attributions.len());
        for (chunk, attribution) in attributions.iter().enumerate() {
            let mut cited: Vec<u32> = attribution
                .cited
                .iter()
                .map(|c| c.unit)
                .filter(|&unit| (unit as usize) < units)
                .collect();
            cited.sort_unstable();
            cited.dedup();
            for &unit in &cited {
                chunks_of[unit as usize].push(chunk as u32);
            }
            units_of.push(cited);
        }
        Self {
            units_of,
            chunks_of,
        }
    }

    /// The units that a chunk cites, ascending.
    pub fn units_of(&self, chunk: u32) -> &[u32] {
        self.units_of.get(chunk as usize).map_or(&[], Vec::as_slice)
    }

    /// The chunks that cite a unit, ascending.
    pub fn chunks_of(&self, unit: u32) -> &[u32] {
        self.chunks_of.get(unit as usize).map_or(&[], Vec::as_slice)
    }
}

/// What is lit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Highlight {
    /// What caused it.
    pub active: Option<Target>,
    /// Lit chunks, ascending.
    pub chunks: Vec<u32>,
    /// Lit units, ascending.
    pub units: Vec<u32>,
}

/// What a token lights: its chunk, and the units it drew on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenReach {
    /// The chunk it is in.
    pub chunk: Option<u32>,
    /// Its units, ascending.
    pub units: Vec<u32>,
}

impl Highlight {
    /// Whether this chunk is lit.
    pub fn chunk(&self, chunk: u32) -> bool {
        self.chunks.binary_search(&chunk).is_ok()
    }

    /// Whether this unit is lit.
    pub fn unit(&self, unit: u32) -> bool {
        self.units.binary_search(&unit).is_ok()
    }
}

/// A chunk lights itself and its units; a unit lights itself and the chunks that cite it; a token its chunk and its own
/// units, which `reach` knows.
pub fn highlight(
    index: &FocusIndex,
    focus: &Focus,
    reach: impl FnOnce(u32) -> TokenReach,
) -> Highlight {
    let (chunks, units) = match focus.active() {
        None => (Vec::new(), Vec::new()),
        Some(Target::Chunk(chunk)) => (vec![chunk], index.units_of(chunk).to_vec()),
        Some(Target::Unit(unit)) => (index.chunks_of(unit).to_vec(), vec![unit]),
        Some(Target::Token(token)) => {
            let TokenReach { chunk, units } = reach(token);
            (chunk.into_iter().collect(), units)
        }
    };
    Highlight {
        active: focus.active(),
        chunks,
        units,
    }
}

/// The neighbour `by` places on among `count`, stopping at the ends; from nowhere: the first or the last.
pub fn step(current: Option<u32>, by: i32, count: u32) -> Option<u32> {
    let last = count.checked_sub(1)?;
    Some(match current {
        None if by < 0 => last,
        None => 0,
        Some(at) => at.saturating_add_signed(by).min(last),
    })
}

#[cfg(test)]
mod tests {
    use attribution::record::Citation;

    use super::*;

    fn cites(units: &[u32]) -> ChunkAttribution {
        let cited = units
            .iter()
            .map(|&unit| Citation {
                unit,
                score: 1.0,
                mass: 1.0,
                run: 1.0,
            })
            .collect();
        ChunkAttribution {
            cited,
            intervals: Vec::new(),
        }
    }

    fn index() -> FocusIndex {
        FocusIndex::new(&[cites(&[2, 0]), cites(&[]), cites(&[2, 9])], 4)
    }

    #[test]
    fn a_chunk_lights_its_units_and_a_unit_its_chunks() {
        let on = |hover| {
            highlight(
                &index(),
                &Focus {
                    hover: Some(hover),
                    ..Focus::default()
                },
                |_| TokenReach::default(),
            )
        };
        assert_eq!(
            (on(Target::Chunk(0)).chunks, on(Target::Chunk(0)).units),
            (vec![0], vec![0, 2])
        );
        assert_eq!(
            (on(Target::Chunk(1)).chunks, on(Target::Chunk(1)).units),
            (vec![1], vec![])
        );
        assert_eq!(
            (on(Target::Unit(2)).chunks, on(Target::Unit(2)).units),
            (vec![0, 2], vec![2])
        );
        assert_eq!(
            (on(Target::Unit(3)).chunks, on(Target::Unit(3)).units),
            (vec![], vec![3])
        );
    }

    #[test]
    fn a_token_lights_its_chunk_and_its_own_units() {
        let focus = Focus {
            hover: Some(Target::Token(7)),
            ..Focus::default()
        };
        let lit = highlight(&index(), &focus, |token| TokenReach {
            chunk: Some(token - 6),
            units: vec![3],
        });
        assert_eq!((lit.chunks, lit.units), (vec![1], vec![3]));
    }

    #[test]
    fn unknown_targets_and_damaged_citations_light_nothing_else() {
        assert_eq!(index().units_of(2), [2], "unit 9 does not exist");
        let far = highlight(
            &index(),
            &Focus {
                hover: Some(Target::Chunk(99)),
                ..Focus::default()
            },
            |_| TokenReach::default(),
        );
        assert_eq!(far.units, Vec::<u32>::new());
        let none = highlight(&index(), &Focus::default(), |_| TokenReach::default());
        assert_eq!(none, Highlight::default());
    }

    #[test]
    fn a_pin_survives_the_mouse_and_goes_by_a_second_click_or_esc() {
        let mut focus = Focus {
            hover: Some(Target::Chunk(1)),
            keyboard: Some(Target::Unit(3)),
            pin: None,
        };
        assert_eq!(
            focus.active(),
            Some(Target::Chunk(1)),
            "the mouse goes before the keyboard"
        );
        focus.toggle_pin(Target::Chunk(0));
        assert_eq!(
            (focus.active(), focus.pinned_chunk()),
            (Some(Target::Chunk(0)), Some(0))
        );
        focus.hover = Some(Target::Unit(2));
        assert_eq!(focus.active(), Some(Target::Chunk(0)));
        focus.toggle_pin(Target::Unit(2));
        assert_eq!(
            (focus.active(), focus.pinned_chunk()),
            (Some(Target::Unit(2)), None)
        );
        focus.toggle_pin(Target::Unit(2));
        assert_eq!(focus.pin, None);
        focus.release();
        assert_eq!(focus, Focus::default());
    }

    #[test]
    fn every_lit_unit_is_cited_by_a_lit_chunk_or_is_the_target() {
        for target in (0..3).map(Target::Chunk).chain((0..4).map(Target::Unit)) {
            let lit = highlight(
                &index(),
                &Focus {
                    pin: Some(target),
                    ..Focus::default()
                },
                |_| TokenReach::default(),
            );
            for &unit in &lit.units {
                assert!(
                    target == Target::Unit(unit)
                        || index().chunks_of(unit).iter().any(|&c| lit.chunk(c))
                );
                assert!(lit.unit(unit));
            }
        }
    }

    #[test]
    fn steps_stop_at_the_ends() {
        assert_eq!(step(None, 1, 3), Some(0));
        assert_eq!(step(None, -1, 3), Some(2));
        assert_eq!(step(Some(2), 1, 3), Some(2));
        assert_eq!(step(Some(0), -1, 3), Some(0));
        assert_eq!(step(Some(1), -1, 3), Some(0));
        assert_eq!(step(None, 1, 0), None);
    }
}

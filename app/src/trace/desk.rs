//! The handles that every part of a trace shares.
//! In: what is shown. Out: one focus, one highlight, one wish to play.

use std::sync::Arc;

use leptos::prelude::*;

use crate::focus::{Focus, FocusIndex, Highlight, Target, TokenReach, highlight};
use crate::shown::{Prompt, Shown};

/// Shared by all parts of one trace, through the context.
#[derive(Clone, Copy)]
pub struct Desk {
    /// What is on the page.
    pub shown: Memo<Shown>,
    /// Its sources and units: changes once at most.
    pub prompt: Memo<Arc<Prompt>>,
    /// Who cites whom.
    pub index: Memo<FocusIndex>,
    /// What is pointed at.
    pub focus: RwSignal<Focus>,
    /// What lights up.
    pub lit: Memo<Highlight>,
    /// Opacity of heat maps, 0..=100.
    pub heat: RwSignal<u32>,
    /// The last wish to hear or see an interval.
    pub play: RwSignal<Option<Play>>,
    /// Whether the answer shows its tokens.
    pub tokens: RwSignal<bool>,
    /// Whether threads connect a sentence to its sources.
    pub threads: RwSignal<bool>,
    /// How a time line is looked at, as the magnifier says it: `1_12.5-18_s`, source, seconds, spectrogram.
    pub zoom: RwSignal<Option<String>>,
    /// In front of every DOM id: two traces may stand on one page.
    pub prefix: &'static str,
}

/// A wish to play seconds of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Play {
    /// Index into the sources.
    pub source: u32,
    /// Begin.
    pub start_secs: f64,
    /// End.
    pub end_secs: f64,
}

impl Desk {
    /// Makes the handles and puts them into the context.
    pub fn provide(shown: Memo<Shown>, focus: RwSignal<Focus>, prefix: &'static str) -> Self {
        let index = Memo::new(move |_| shown.with(Shown::index));
        let desk = Self {
            shown,
            prompt: Memo::new(move |_| shown.with(|shown| shown.prompt.clone())),
            index,
            focus,
            lit: Memo::new(move |_| {
                index.with(|index| highlight(index, &focus.get(), |token| reach(shown, token)))
            }),
            heat: RwSignal::new(70),
            play: RwSignal::new(None),
            tokens: RwSignal::new(false),
            threads: RwSignal::new(true),
            zoom: RwSignal::new(None),
            prefix,
        };
        provide_context(desk);
        desk
    }

    /// The desk of the trace around the caller.
    pub fn around() -> Self {
        expect_context()
    }

    /// The DOM id of a unit.
    pub fn unit_dom_id(self, unit_id: &str) -> String {
        format!("{}u-{unit_id}", self.prefix)
    }

    /// How much of the token that is pointed at a unit holds, 0..=1; none where no token is pointed at.
    pub fn token_share(self, unit: u32) -> Option<f64> {
        let Some(Target::Token(token)) = self.lit.with(|lit| lit.active) else {
            return None;
        };
        self.shown.with(|shown| {
            let units = &shown.words.get(token as usize)?.units;
            let all: f64 = units.iter().map(|(_, score)| score).sum();
            let own = units.iter().find(|(own, _)| *own == unit)?.1;
            (all > 0.0).then_some(own / all)
        })
    }

    /// A unit as it is rendered first; `painter` keeps it so.
    pub fn unit_state(self, unit: u32) -> UnitState {
        let cited = self
            .index
            .with_untracked(|index| !index.chunks_of(unit).is_empty());
        UnitState {
            lit: self.lit.with_untracked(|lit| lit.unit(unit)),
            cited,
            // What a sentence cites is in the tab order, the rest is reached from there by arrow keys.
            tab_index: if cited { "0" } else { "-1" },
            spoken: untrack(|| self.spoken(unit)),
        }
    }

    /// Whether any unit of a source is lit.
    pub fn source_lit(self, source: usize) -> bool {
        self.prompt.with(|prompt| {
            self.lit.with(|lit| {
                lit.units.iter().any(|&u| {
                    prompt
                        .units
                        .get(u as usize)
                        .is_some_and(|own| own.source as usize == source)
                })
            })
        })
    }

    /// A unit's spoken name.
    pub fn spoken(self, unit: u32) -> String {
        self.prompt.with(|prompt| {
            self.index
                .with(|index| prompt.spoken_name(unit, index.chunks_of(unit)))
        })
    }
}

/// What an element of a unit shows.
pub struct UnitState {
    /// Lit.
    pub lit: bool,
    /// Cited by a sentence.
    pub cited: bool,
    /// In the tab order or not.
    pub tab_index: &'static str,
    /// Its name for a screen reader.
    pub spoken: String,
}

fn reach(shown: Memo<Shown>, token: u32) -> TokenReach {
    shown.with(|shown| {
        let chunk = shown
            .chunks
            .iter()
            .position(|chunk| (chunk.token_start..chunk.token_end).contains(&token));
        let units = shown.words.get(token as usize).map(|word| &word.units);
        let mut units: Vec<u32> = units.into_iter().flatten().map(|(unit, _)| *unit).collect();
        units.sort_unstable();
        TokenReach {
            chunk: chunk.map(|chunk| chunk as u32),
            units,
        }
    })
}

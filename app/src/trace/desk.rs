//! The handles that every part of a trace shares.
//! In: what is shown. Out: one focus, one highlight, one wish to play.

use std::sync::Arc;

use leptos::prelude::*;

use crate::focus::{Focus, FocusIndex, Highlight, highlight};
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
    pub fn provide(shown: Memo<Shown>, focus: Focus) -> Self {
        let focus = RwSignal::new(focus);
        let index = Memo::new(move |_| shown.with(Shown::index));
        let desk = Self {
            shown,
            prompt: Memo::new(move |_| shown.with(|shown| shown.prompt.clone())),
            index,
            focus,
            lit: Memo::new(move |_| index.with(|index| highlight(index, &focus.get()))),
            heat: RwSignal::new(70),
            play: RwSignal::new(None),
        };
        provide_context(desk);
        desk
    }

    /// The desk of the trace around the caller.
    pub fn around() -> Self {
        expect_context()
    }

    /// `data-lit` of a unit.
    pub fn unit_lit(self, unit: u32) -> Option<&'static str> {
        self.lit.with(|lit| lit.unit(unit)).then_some("")
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

    /// `tabindex` of a unit: what a sentence cites is in the tab order, the rest is reached from there by arrow keys.
    pub fn tab_index(self, unit: u32) -> &'static str {
        if self.index.with(|index| index.chunks_of(unit).is_empty()) {
            "-1"
        } else {
            "0"
        }
    }

    /// Whether any sentence cites the unit.
    pub fn cited(self, unit: u32) -> bool {
        self.index.with(|index| !index.chunks_of(unit).is_empty())
    }
}

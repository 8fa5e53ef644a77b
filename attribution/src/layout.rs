//! The sequence layout: what every prompt position is, built forward while the prompt is assembled.
//! In: the pieces of the prompt in order (scaffolding, text with token offsets, media placeholders). Out: sources, their
//! units, and for every position its unit and its patch.
//!
//! Nothing is ever found again by scanning ids.
//! DIFFERENCE: the released package looks image positions up with the audio token's id and takes image spans from fixed
//! offsets; it takes one sound or film per sample. Here any interleaving of any number of items is laid out as it is fed.

use std::ops::Range;

use crate::record::{Grid, Modality, Rect, Source, Unit};

mod builder;

pub use builder::LayoutBuilder;

/// The finished layout of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// In prompt order, as in the record.
    pub sources: Vec<Source>,
    /// By source, then by position, as in the record.
    pub units: Vec<Unit>,
    /// Per prompt position: its unit; none where it is special or untraceable.
    pub unit_of: Vec<Option<u32>>,
    /// Per prompt position: its patch in the grid of its unit; none where the unit has no grid.
    pub cell_of: Vec<Option<u32>>,
    /// Per unit: the patch grid below it, where there is one.
    pub grids: Vec<Option<UnitGrid>>,
    /// The pieces in order; together they are `0..positions()`.
    pub spans: Vec<Span>,
}

/// The patch grid of one unit and the part of the picture that it covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitGrid {
    /// Rows and columns of the unit's own patches.
    pub grid: Grid,
    /// The part of the picture that these patches cover.
    pub rect_in_source: Rect,
}

/// A piece of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Prompt positions.
    pub positions: Range<usize>,
    /// What they are.
    pub content: SpanContent,
}

/// What a piece of the prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanContent {
    /// Template scaffolding, system prompt, special tokens: never cited.
    Untraceable,
    /// The tokens of a text source.
    Text {
        /// Index among sources.
        source: u32,
    },
    /// Placeholders of a picture, or of one temporal patch of a film.
    Patches {
        /// Index among sources.
        source: u32,
    },
    /// Placeholders of a sound, or of a piece of a film's sound.
    Sound {
        /// Index among sources.
        source: u32,
    },
}

impl Layout {
    /// Length of the prompt.
    pub fn positions(&self) -> usize {
        self.unit_of.len()
    }
}

/// The letter with which ids of a modality's units begin.
pub fn letter(modality: Modality) -> char {
    match modality {
        Modality::Text => 't',
        Modality::Image => 'i',
        Modality::Audio => 'a',
        Modality::Video => 'v',
    }
}

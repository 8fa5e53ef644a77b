//! Faithfulness by removal: does a chunk become less likely when what it cites is taken away?
//! In: a model, a request and the record that it gave. Out: log-probabilities of the same tokens without some units.
//!
//! A removed unit's positions are masked for every later position, those of the earlier answer included; nothing moves: every
//! kept position keeps its rotary position. A key that nobody may look at and a row that is not there are the same thing,
//! so a masked position is simply not run ([`rescore`]). The encoders' output is not computed again: a sound's other
//! seconds may still carry a trace of the removed one.

use attribution::record::Finish;
use serde::{Deserialize, Serialize};

mod draws;
mod measures;
mod replay;
pub(crate) mod rescore;
mod similarity;

pub use measures::{Curves, LeaveOneOut, Point, UnitFall};
pub use measures::{area, rank_correlation};
pub use replay::Replay;

/// Most random draws of one question.
pub const MAX_DRAWS: usize = 64;
/// Most units that are left out one by one; the strongest are taken.
pub const MAX_LEFT_OUT: usize = 64;
/// Steps of a deletion or insertion curve.
pub const CURVE_STEPS: usize = 10;

/// What to measure on one chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Index among the record's chunks.
    pub chunk: usize,
    /// Units to remove; none: those that the chunk cites.
    pub units: Option<Vec<u32>>,
    /// Random sets to compare with, at most [`MAX_DRAWS`].
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Also every unit alone, at most [`MAX_LEFT_OUT`].
    pub leave_one_out: bool,
    /// Also deletion and insertion curves.
    pub curves: bool,
    /// Also the answer that the model gives without the units.
    pub regenerate: bool,
}

impl Question {
    /// Removal of what the chunk cites, against eight random sets.
    pub fn new(chunk: usize) -> Self {
        Self {
            chunk,
            units: None,
            draws: 8,
            seed: 0,
            leave_one_out: false,
            curves: false,
            regenerate: false,
        }
    }
}

/// What removal does to a chunk. Log-probabilities are natural, summed over the chunk's visible tokens, before any rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Faithfulness {
    /// The chunk.
    pub chunk: usize,
    /// What was removed, ascending.
    pub units: Vec<u32>,
    /// With every source in place.
    pub log_prob: f64,
    /// Without the units.
    pub log_prob_without: f64,
    /// `log_prob - log_prob_without`: positive where the chunk needs them.
    pub fall: f64,
    /// With no other content than the units (sufficiency); the instruction stays.
    pub log_prob_only: f64,
    /// Without any content at all.
    pub log_prob_nothing: f64,
    /// Every scored token with and without the units.
    pub tokens: Vec<TokenFall>,
    /// As many random units of the same kinds, draw by draw; none where there is no other unit to draw.
    pub random: Vec<Draw>,
    /// Mean fall of the draws.
    pub random_fall: Option<f64>,
    /// Share of draws whose fall is smaller than the units'; a tie counts half.
    pub beats_random: Option<f64>,
    /// Every unit left out alone, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_one_out: Option<LeaveOneOut>,
    /// Deletion and insertion, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<Curves>,
    /// The answer without the units, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regenerated: Option<Regenerated>,
    /// How often the answer was scored.
    pub passes: usize,
}

/// One token's log-probability with and without the units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TokenFall {
    /// Index among the record's tokens.
    pub token: u32,
    /// With every source in place.
    pub log_prob: f64,
    /// Without the units.
    pub log_prob_without: f64,
}

/// A random set of units, removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draw {
    /// The set, ascending.
    pub units: Vec<u32>,
    /// The chunk's log-probability without it.
    pub log_prob_without: f64,
    /// The fall.
    pub fall: f64,
}

/// An answer generated without some units, with the record's decoding settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regenerated {
    /// The text, special tokens skipped.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

#[cfg(test)]
mod tests;

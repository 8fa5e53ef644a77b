//! What is true of a sample of the synthetic world: kept beside its trace, and held against it.

mod compare;
mod places;

use serde::{Deserialize, Serialize};
use world::Spec;
use world::sample::{Sample, Sentence};

pub use compare::{compare, last_letter};
pub use places::Places;

/// The expected answer with each sentence's exact sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// What a visitor composed; none for a sample that was made from a seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Spec>,
    /// Sentence by sentence.
    pub answer: Vec<Sentence>,
    /// The letter of the right option, for questions with options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option_letter: Option<char>,
}

impl Truth {
    /// Of a sample that this program rendered itself.
    pub fn of(sample: &Sample, spec: Option<Spec>) -> Self {
        Self {
            spec,
            answer: sample.answer.clone(),
            option_letter: sample.option_letter,
        }
    }
}

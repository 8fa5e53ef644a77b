//! The token-level signals by name, and one step of them.
//! In: what the engine's taps read at one decode step. Out: one slice over the prompt positions per signal.
//!
//! A further signal is one arm of [`SignalKind`] here and one tap in the engine.

use std::str::FromStr;

pub use crate::record::SignalKind;

/// One step's scores: for each of [`SignalKind::ALL`], one value >= 0 per prompt position.
pub type StepSignals<'a> = [&'a [f32]; SignalKind::ALL.len()];

impl SignalKind {
    /// Where this signal stands in [`SignalKind::ALL`] and in `Record::signals`.
    pub fn index(self) -> usize {
        match self {
            Self::AttMean => 0,
            Self::AttRaw => 1,
            Self::AttGrads => 2,
            Self::AttFocus => 3,
            Self::AttRise => 4,
            Self::AttValue => 5,
        }
    }
}

impl FromStr for SignalKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("no signal {name:?}: choose one of {names}")
            })
    }
}

impl std::fmt::Display for SignalKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

//! Source units, layouts, traces, chunks, curation and records: the crate every other one shares.
//! Pure: no file system, no runtime, no tensors; compiles for wasm32.
//!
//! In the order of the flow: [`layout`] says what every prompt position is, [`score`] turns one step's signal into unit
//! masses, [`trace`] keeps them bounded, [`chunk`] cuts the answer, [`curation`] picks each chunk's sources, [`record`]
//! holds all of it. `live` drives these while tokens arrive.

pub mod chunk;
pub mod curation;
mod error;
pub mod event;
pub mod heat;
pub mod label;
pub mod layout;
#[cfg(all(feature = "sentences", feature = "tagger"))]
pub mod live;
pub mod metrics;
pub mod pos;
pub mod record;
pub mod resize;
pub mod score;
pub mod signal;
#[cfg(feature = "tagger")]
pub mod tagger;
pub mod time;
pub mod trace;
pub mod transcript;

pub use error::AttributionError;

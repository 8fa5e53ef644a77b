//! Sources and a prompt in, trace events and a record out.
//! Knows no async runtime, no socket, and no file system beyond `load`.

mod error;
pub mod pipeline;
mod request;

pub use error::EngineError;
pub use request::{Item, MediaItem, Outcome, RawScores, TraceOptions, TraceRequest};

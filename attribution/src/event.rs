//! What happens while a trace is made, as the engine reports it, the server streams it (SSE) and the page reads it.

use serde::{Deserialize, Serialize};

use crate::record::{Chunk, ChunkAttribution, HeatMap, Source, Stage, Unit};

/// One event. Over SSE each has a running id from 0; applying all in order rebuilds the live page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TraceEvent {
    /// Waiting; `position` 0 is next.
    Queued {
        /// Jobs before this one.
        position: u32,
    },
    /// A stage moved on.
    Progress {
        /// Which.
        stage: Stage,
        /// Steps done.
        done: u32,
        /// Steps in all.
        total: u32,
    },
    /// The prompt is laid out: the sources and their units are final.
    Sources {
        /// As in the record.
        sources: Vec<Source>,
        /// As in the record.
        units: Vec<Unit>,
    },
    /// A token's text was appended to the response (may be empty while a character is incomplete).
    Token {
        /// Step, from 0.
        index: u32,
        /// What was appended.
        text: String,
    },
    /// A chunk is final, with its sources.
    Chunk {
        /// Index among chunks.
        index: u32,
        /// Its spans.
        chunk: Chunk,
        /// Its sources, for the request's method.
        attribution: ChunkAttribution,
        /// Its heat maps, for the request's signal.
        heat: Vec<HeatMap>,
    },
    /// The record is stored: fetch `/api/traces/{id}`.
    Done,
    /// It will not be finished.
    Failed {
        /// Machine-readable.
        code: String,
        /// A sentence that says what to do.
        message: String,
    },
}

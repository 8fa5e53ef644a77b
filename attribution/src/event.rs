//! What happens while a trace is made, as the engine reports it, the server streams it (SSE) and the page reads it.

use serde::{Deserialize, Serialize};

use crate::record::flat::{Unfit, need, unfit};
use crate::record::{Chunk, ChunkAttribution, HeatMap, Source, Stage, Unit};

/// One event. Over SSE each has a running id from 0; applying all in order rebuilds the live page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "FlatEvent")]
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

/// How an event is read; see `record::flat`.
#[derive(Deserialize)]
struct FlatEvent {
    r#type: String,
    position: Option<u32>,
    stage: Option<Stage>,
    done: Option<u32>,
    total: Option<u32>,
    sources: Option<Vec<Source>>,
    units: Option<Vec<Unit>>,
    index: Option<u32>,
    text: Option<String>,
    chunk: Option<Chunk>,
    attribution: Option<ChunkAttribution>,
    heat: Option<Vec<HeatMap>>,
    code: Option<String>,
    message: Option<String>,
}

impl TryFrom<FlatEvent> for TraceEvent {
    type Error = Unfit;

    fn try_from(flat: FlatEvent) -> Result<Self, Unfit> {
        Ok(match flat.r#type.as_str() {
            "queued" => {
                need!(flat, "event", position);
                Self::Queued { position }
            }
            "progress" => {
                need!(flat, "event", stage, done, total);
                Self::Progress { stage, done, total }
            }
            "sources" => {
                need!(flat, "event", sources, units);
                Self::Sources { sources, units }
            }
            "token" => {
                need!(flat, "event", index, text);
                Self::Token { index, text }
            }
            "chunk" => {
                need!(flat, "event", index, chunk, attribution, heat);
                Self::Chunk {
                    index,
                    chunk,
                    attribution,
                    heat,
                }
            }
            "done" => Self::Done,
            "failed" => {
                need!(flat, "event", code, message);
                Self::Failed { code, message }
            }
            _ => return Err(unfit("event")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let events = [
            TraceEvent::Queued { position: 2 },
            TraceEvent::Progress {
                stage: Stage::Prefill,
                done: 1,
                total: 3,
            },
            TraceEvent::Token {
                index: 4,
                text: "A \"word\"".to_owned(),
            },
            TraceEvent::Done,
            TraceEvent::Failed {
                code: "x".to_owned(),
                message: "Try again.".to_owned(),
            },
        ];
        for event in events {
            let json = serde_json::to_string(&event).expect("written");
            let back: TraceEvent = serde_json::from_str(&json).expect("read");
            assert_eq!(back, event, "{json}");
        }
        for damaged in [
            r#"{"type":"token","index":1}"#,
            r#"{"type":"dance"}"#,
            r#"{"index":1}"#,
        ] {
            assert!(
                serde_json::from_str::<TraceEvent>(damaged).is_err(),
                "{damaged}"
            );
        }
    }
}

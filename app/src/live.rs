//! A trace while it is made: what its events add up to.
//! In: events with their ids, in order. Out: what to show and where it stands.

use std::sync::Arc;

use attribution::event::TraceEvent;
use attribution::record::Stage;

use crate::shown::{Prompt, Shown};

/// Where a live trace stands.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveState {
    /// Nothing heard yet.
    Joining,
    /// Waiting; 0 is next.
    Queued(u32),
    /// In a stage.
    Working {
        /// Which.
        stage: Stage,
        /// Steps done.
        done: u32,
        /// Steps in all; 0 where unknown.
        total: u32,
    },
    /// The record can be fetched.
    Done,
    /// It will not be finished; the sentence says what to do.
    Failed(String),
}

/// The live page's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// What to show.
    pub shown: Shown,
    /// Where it stands.
    pub state: LiveState,
    next: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            shown: Shown::default(),
            state: LiveState::Joining,
            next: 0,
        }
    }
}

impl Live {
    /// Nothing heard yet, but this much is known from the page's load.
    pub fn in_state(state: LiveState) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    /// Applies one event. An event that was seen already (a replay after a reconnect) changes nothing.
    pub fn apply(&mut self, id: u64, event: TraceEvent) {
        if id < self.next {
            return;
        }
        self.next = id.saturating_add(1);
        match event {
            TraceEvent::Queued { position } => {
                // Nothing is written while a trace waits: it was interrupted and begins again from the beginning.
                self.shown = Shown::default();
                self.state = LiveState::Queued(position);
            }
            TraceEvent::Progress { stage, done, total } => {
                self.state = LiveState::Working { stage, done, total }
            }
            TraceEvent::Sources { sources, units } => {
                self.shown.prompt = Arc::new(Prompt { sources, units })
            }
            TraceEvent::Token { text, .. } => {
                self.shown.response.push_str(&text);
                if !matches!(
                    self.state,
                    LiveState::Working {
                        stage: Stage::Generate,
                        ..
                    }
                ) {
                    self.state = LiveState::Working {
                        stage: Stage::Generate,
                        done: 0,
                        total: 0,
                    };
                }
            }
            TraceEvent::Chunk {
                index,
                chunk,
                attribution,
                heat,
            } => {
                // Chunks come in order; one that does not fit would shift every later one.
                if index as usize == self.shown.chunks.len() {
                    self.shown.chunks.push(chunk);
                    self.shown.attributions.push(attribution);
                    self.shown.heat.push(heat);
                }
            }
            TraceEvent::Done => self.state = LiveState::Done,
            TraceEvent::Failed { message, .. } => self.state = LiveState::Failed(message),
        }
    }
}

impl Live {
    /// [`Live::apply`] for an event without an id.
    pub fn apply_next(&mut self, event: TraceEvent) {
        self.apply(self.next, event);
    }
}

/// What a stage is called on the page.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Decode => "Opening the files",
        Stage::Encode => "Looking and listening",
        Stage::Prefill => "Reading the prompt",
        Stage::Generate => "Writing",
    }
}

#[cfg(test)]
mod tests {
    use attribution::record::{Chunk, ChunkAttribution};

    use super::*;

    fn token(text: &str) -> TraceEvent {
        TraceEvent::Token {
            index: 0,
            text: text.to_owned(),
        }
    }

    fn chunk(index: u32, start: u32, end: u32) -> TraceEvent {
        let chunk = Chunk {
            start,
            end,
            token_start: 0,
            token_end: 1,
        };
        TraceEvent::Chunk {
            index,
            chunk,
            attribution: ChunkAttribution::default(),
            heat: Vec::new(),
        }
    }

    #[test]
    fn a_replay_from_the_start_changes_nothing() {
        let events = [
            TraceEvent::Queued { position: 2 },
            token("A b. "),
            token("C"),
            chunk(0, 0, 5),
            TraceEvent::Done,
        ];
        let mut once = Live::default();
        for (id, event) in events.iter().enumerate() {
            once.apply(id as u64, event.clone());
        }
        let mut twice = once.clone();
        for (id, event) in events.iter().enumerate() {
            twice.apply(id as u64, event.clone());
        }
        assert_eq!(once, twice);
        assert_eq!(
            (once.shown.response.as_str(), once.shown.tail(), once.state),
            ("A b. C", "C", LiveState::Done)
        );
    }

    #[test]
    fn tokens_mean_writing_even_without_a_progress_event() {
        let mut live = Live::default();
        live.apply(0, token("Hi"));
        assert!(matches!(
            live.state,
            LiveState::Working {
                stage: Stage::Generate,
                ..
            }
        ));
        live.apply(
            1,
            TraceEvent::Failed {
                code: "x".to_owned(),
                message: "Try again.".to_owned(),
            },
        );
        assert_eq!(live.state, LiveState::Failed("Try again.".to_owned()));
    }

    #[test]
    fn what_begins_again_is_drawn_once() {
        let mut live = Live::default();
        live.apply(0, TraceEvent::Queued { position: 0 });
        live.apply(1, token("A b. "));
        live.apply(2, chunk(0, 0, 5));
        live.apply(1_000_000, TraceEvent::Queued { position: 0 });
        live.apply(1_000_001, token("A b. "));
        live.apply(1_000_002, chunk(0, 0, 5));
        assert_eq!(
            (live.shown.response.as_str(), live.shown.chunks.len()),
            ("A b. ", 1)
        );
    }

    #[test]
    fn a_chunk_out_of_order_is_not_shown_in_the_wrong_place() {
        let mut live = Live::default();
        live.apply(0, token("One. Two."));
        live.apply(1, chunk(1, 5, 9));
        assert!(live.shown.chunks.is_empty());
        live.apply(2, chunk(0, 0, 5));
        assert_eq!(live.shown.chunks.len(), 1);
    }
}

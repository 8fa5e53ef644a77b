//! One job's event log while it is in memory: the worker appends, any number of viewers read at their own pace.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use attribution::event::TraceEvent;
use tokio::sync::watch;

use crate::admission::JobSize;
use crate::admission::estimate::Progress;

/// Event ids of attempt `n` begin at `n * ATTEMPT_STRIDE`: an id seen before a restart never names an event after it.
pub const ATTEMPT_STRIDE: u64 = 1_000_000;

/// The log and the stop flag of one attempt at a trace.
#[derive(Debug)]
pub struct Live {
    /// The trace.
    pub id: String,
    attempt: u32,
    log: Mutex<Log>,
    /// Ticks whenever the log has grown; carries nothing, so that a slow viewer can lose nothing.
    grown: watch::Sender<()>,
    stop: AtomicBool,
    /// What its request tells of its cost.
    pub size: JobSize,
    accepted: Instant,
    begun: OnceLock<Instant>,
    tokens: AtomicU32,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<Arc<str>>,
    position: Option<u32>,
    closed: bool,
}

/// What a viewer reads in one go.
pub struct Batch {
    /// Events with their ids, as JSON.
    pub events: Vec<(u64, Arc<str>)>,
    /// No event will follow these.
    pub closed: bool,
}

impl Live {
    /// An empty log; `attempt` counts from 0.
    pub fn new(id: String, attempt: u32) -> Self {
        Self::sized(id, attempt, JobSize::default())
    }

    /// [`Self::new`] for a job whose size is known.
    pub fn sized(id: String, attempt: u32, size: JobSize) -> Self {
        Self {
            id,
            attempt,
            log: Mutex::default(),
            grown: watch::Sender::new(()),
            stop: AtomicBool::new(false),
            size,
            accepted: Instant::now(),
            begun: OnceLock::new(),
            tokens: AtomicU32::new(0),
        }
    }

    /// The device is at it from now on.
    pub fn begin(&self) {
        self.begun.get_or_init(Instant::now);
    }

    /// Seconds that it waited, once it has begun.
    pub fn waited_secs(&self) -> f64 {
        let begun = self.begun.get().copied().unwrap_or_else(Instant::now);
        begun.duration_since(self.accepted).as_secs_f64()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress {
            secs: (self.begun.get()).map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
            tokens: self.tokens.load(Ordering::Relaxed),
        }
    }

    /// Appends an event. After [`Self::close`] nothing is appended.
    pub fn push(&self, event: &TraceEvent) {
        let line: Arc<str> = match serde_json::to_string(event) {
            Ok(line) => line.into(),
            Err(error) => {
                tracing::error!(%error, "an event does not serialize");
                return;
            }
        };
        let mut log = self.lock();
        if log.closed {
            return;
        }
        log.lines.push(line);
        if matches!(event, TraceEvent::Token { .. }) {
            self.tokens.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(event, TraceEvent::Done | TraceEvent::Failed { .. }) {
            log.closed = true;
        }
        drop(log);
        self.grown.send_replace(());
    }

    /// Reports the place in the queue where it has changed.
    pub fn push_position(&self, position: u32) {
        let mut log = self.lock();
        if log.position == Some(position) {
            return;
        }
        log.position = Some(position);
        drop(log);
        self.push(&TraceEvent::Queued { position });
    }

    /// Ends every viewer's stream without a last event (the server goes down; the trace does not).
    pub fn close(&self) {
        self.lock().closed = true;
        self.grown.send_replace(());
    }

    /// The events after `after`; all of them when `after` is none or of another attempt.
    pub fn read(&self, after: Option<u64>) -> Batch {
        let base = u64::from(self.attempt) * ATTEMPT_STRIDE;
        let log = self.lock();
        let from = after
            .and_then(|after| after.saturating_add(1).checked_sub(base))
            .and_then(|from| usize::try_from(from).ok())
            .filter(|&from| from <= log.lines.len())
            .unwrap_or(0);
        let events = (base + from as u64..)
            .zip(log.lines[from..].iter().cloned())
            .collect();
        Batch {
            events,
            closed: log.closed,
        }
    }

    /// The id that the next event will have.
    pub fn next_event(&self) -> u64 {
        u64::from(self.attempt) * ATTEMPT_STRIDE + self.lock().lines.len() as u64
    }

    /// A receiver that wakes when the log grows.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// Asks the worker to stop within one decode step.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether someone asked.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // A poisoned log is still a valid log: every write to it is a single push or assignment.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(index: u32) -> TraceEvent {
        TraceEvent::Token {
            index,
            text: "a".into(),
        }
    }

    #[test]
    fn reading_resumes_after_an_id_and_restarts_for_another_attempt() {
        let live = Live::new("x".into(), 1);
        for index in 0..3 {
            live.push(&token(index));
        }
        let ids = |after| {
            live.read(after)
                .events
                .iter()
                .map(|(id, _)| *id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(None), [1_000_000, 1_000_001, 1_000_002]);
        assert_eq!(ids(Some(1_000_000)), [1_000_001, 1_000_002]);
        assert_eq!(ids(Some(1_000_002)), [0u64; 0]);
        // Ids of the attempt before a restart, and ids that were never given.
        assert_eq!(ids(Some(5)).len(), 3);
        assert_eq!(ids(Some(9_999_999)).len(), 3);
        assert!(!live.read(None).closed);
        live.push(&TraceEvent::Done);
        live.push(&token(9));
        assert_eq!(ids(None).len(), 4);
        assert!(live.read(None).closed);
    }

    #[test]
    fn an_unchanged_position_is_not_repeated() {
        let live = Live::new("x".into(), 0);
        for position in [2, 2, 1, 1, 0] {
            live.push_position(position);
        }
        assert_eq!(live.read(None).events.len(), 3);
    }
}

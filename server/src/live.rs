//! One job's event log while it is in memory: the worker appends, any number of viewers read at their own pace.
//! Where the worker is another process, this process has a mirror of its log.

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
    /// Whether another process writes the events.
    mirror: bool,
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
    /// With ids that ascend.
    lines: Vec<(u64, Arc<str>)>,
    position: Option<u32>,
    closed: bool,
}

/// The attempt that an event belongs to.
fn attempt_of(id: u64) -> u64 {
    id / ATTEMPT_STRIDE
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
            mirror: false,
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

    /// An empty log to be filled with what another process has written.
    pub fn mirror(id: String) -> Self {
        Self {
            mirror: true,
            ..Self::new(id, 0)
        }
    }

    /// Appends what another process has written; what is here already, or is of an attempt before the last, is passed over.
    /// The first event of another attempt replaces all before it.
    pub fn push_line(&self, id: u64, line: Arc<str>) {
        let mut log = self.lock();
        let last = log.lines.last().map(|(last, _)| *last);
        if log.closed || last.is_some_and(|last| id <= last) {
            return;
        }
        if last.is_some_and(|last| last >= ATTEMPT_STRIDE && attempt_of(last) < attempt_of(id)) {
            log.lines.clear();
        }
        // The tag comes first in what `push` writes.
        log.closed = ["{\"type\":\"done\"", "{\"type\":\"failed\""]
            .iter()
            .any(|end| line.starts_with(end));
        log.lines.push((id, line));
        drop(log);
        self.grown.send_replace(());
    }

    /// Which attempt this is, from 0.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether no event will follow.
    pub fn closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether events of work are here, and not only places in the queue.
    pub fn begun(&self) -> bool {
        (self.lock().lines.last()).is_some_and(|(id, _)| *id >= ATTEMPT_STRIDE)
    }

    /// Appends an event. After [`Self::close`] nothing is appended.
    pub fn push(&self, event: &TraceEvent) {
        self.append(self.lock(), event);
    }

    /// Reports the place in the queue where it has changed; a mirror where the work has begun knows better.
    pub fn push_position(&self, position: u32) {
        let mut log = self.lock();
        let begun = log
            .lines
            .last()
            .is_some_and(|(id, _)| *id >= ATTEMPT_STRIDE);
        if log.position == Some(position) || (self.mirror && begun) {
            return;
        }
        log.position = Some(position);
        self.append(log, &TraceEvent::Queued { position });
    }

    fn append(&self, mut log: MutexGuard<'_, Log>, event: &TraceEvent) {
        if log.closed {
            return;
        }
        let line: Arc<str> = match serde_json::to_string(event) {
            Ok(line) => line.into(),
            Err(error) => {
                tracing::error!(%error, "an event does not serialize");
                return;
            }
        };
        let id = self.next_of(&log);
        log.lines.push((id, line));
        if matches!(event, TraceEvent::Token { .. }) {
            self.tokens.fetch_add(1, Ordering::Relaxed);
        }
        log.closed = matches!(event, TraceEvent::Done | TraceEvent::Failed { .. });
        drop(log);
        self.grown.send_replace(());
    }

    /// Ends every viewer's stream without a last event (the server goes down; the trace does not).
    pub fn close(&self) {
        self.lock().closed = true;
        self.grown.send_replace(());
    }

    /// The events after `after`; all of them when `after` is none, of another attempt, or an id that was never given. A
    /// mirror may not have heard of an id yet.
    pub fn read(&self, after: Option<u64>) -> Batch {
        let log = self.lock();
        let last = log.lines.last().map(|(last, _)| *last);
        let after = after.filter(|after| self.mirror || last.is_some_and(|last| *after <= last));
        let from = after.map_or(0, |after| log.lines.partition_point(|(id, _)| *id <= after));
        Batch {
            events: log.lines[from..].to_vec(),
            closed: log.closed,
        }
    }

    /// The id that the next event will have.
    pub fn next_event(&self) -> u64 {
        self.next_of(&self.lock())
    }

    fn next_of(&self, log: &Log) -> u64 {
        match log.lines.last() {
            Some((last, _)) => last + 1,
            None => u64::from(self.attempt) * ATTEMPT_STRIDE,
        }
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
    fn a_mirror_follows_one_attempt_after_another() {
        let live = Live::mirror("x".into());
        live.push_position(1);
        live.push_position(0);
        let ids = |after| {
            let events = live.read(after).events;
            events.iter().map(|(id, _)| *id).collect::<Vec<_>>()
        };
        assert!(!live.begun());
        for id in [1_000_000, 1_000_001, 1_000_001, 1_000_000] {
            live.push_line(id, r#"{"type":"token"}"#.into());
        }
        assert!(live.begun());
        assert_eq!(ids(None), [0, 1, 1_000_000, 1_000_001]);
        assert_eq!(ids(Some(1_000_007)), [0u64; 0], "not here yet");
        // Its worker was killed; another begins. What the first still sends is too late.
        live.push_line(2_000_000, r#"{"type":"queued","position":0}"#.into());
        live.push_line(1_000_002, r#"{"type":"token"}"#.into());
        assert_eq!(ids(Some(1_000_001)), [2_000_000]);
        assert_eq!(ids(None), [2_000_000]);
        live.push_line(2_000_001, r#"{"type":"done"}"#.into());
        assert!(live.closed());
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

//! The one narrow place behind which traces, media and the queue are kept: on one machine or on many.
//! In: what visitors send and workers make. Out: the same to whoever asks, wherever it is kept.
//!
//! Everything here may wait for a disk or a network: async code calls it through `routes::blocking`. Only what is marked so
//! answers at once.

use std::path::PathBuf;
use std::sync::Arc;

use app::data::ModelView;
use engine::Precision;

use crate::admission::{Elsewhere, JobSize, Marks, Took};
use crate::blobs::Blobs;
use crate::checks::Check;
use crate::error::ServerError;
use crate::jobs::{Job, Place, Refused};
use crate::live::Live;
use crate::store::{Child, NewTrace, Policy, Report, Stored, Swept};
use crate::truth::Truth;

mod embedded;
mod nats;

pub use embedded::Embedded;
pub use nats::{Nats, NatsArgs, stored_sizes};

/// What became of the wish to stop a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was waiting and never begins.
    Withdrawn,
    /// It runs, and stops within one decode step.
    Stopping,
    /// It is just being begun: ask again.
    Busy,
    /// It had ended before.
    Ended,
    /// There is no such trace.
    Unknown,
}

/// How busy the house is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Visitors' traces that wait.
    pub queued: u32,
    /// Seconds that a new one would wait.
    pub wait_secs: f64,
    /// Seconds until a place in the queue is free.
    pub free_in_secs: u64,
    /// Workers at hand, where they are processes of their own.
    pub workers: Option<u32>,
}

/// What the web side needs.
pub trait Depot: Send + Sync + 'static {
    /// Open traces of a client that other processes of the house accepted.
    fn elsewhere(&self, _marks: &Marks) -> Result<Elsewhere, ServerError> {
        Ok(Elsewhere::default())
    }
    /// Stores and queues a trace whose media are in [`Self::files`]. On return it survives a crash.
    fn submit(&self, new: &NewTrace) -> Result<(), Refused>;
    /// Stores a shipped example and queues it behind every visitor's trace; one under the same id is made anew.
    fn submit_example(&self, new: &NewTrace) -> Result<(), ServerError>;
    /// Queues a question about a finished trace. It is not stored: who asks waits for the answer.
    fn ask(&self, check: Check) -> Result<(), Refused>;

    /// Where a trace that has not ended stands; `None` where that is not known here.
    fn place(&self, id: &str) -> Option<Place>;
    /// The event log of a trace; `None` when its events are no longer kept, or never were.
    fn follow(&self, id: &str) -> Result<Option<Arc<Live>>, ServerError>;
    /// Stops a trace.
    fn stop(&self, id: &str) -> Result<Stopped, ServerError>;

    /// A trace without its record.
    fn load(&self, id: &str) -> Result<Option<Stored>, ServerError>;
    /// A finished trace's record, as JSON.
    fn record_json(&self, id: &str) -> Result<Option<String>, ServerError>;
    /// What is true of a trace; none where that is not known.
    fn truth(&self, id: &str) -> Result<Option<Truth>, ServerError>;
    /// The traces that repeat this one's question without some sources, in the order of their acceptance.
    fn children(&self, id: &str) -> Result<Vec<Child>, ServerError>;
    /// What a shipped example was made from; `None` when it is not there.
    fn gallery_origin(&self, id: &str) -> Result<Option<String>, ServerError>;
    /// The short id of a trace seen like this; the same view always has the same.
    fn share(&self, id: &str, view: &str) -> Result<String, ServerError>;
    /// Trace and view of a short id.
    fn shared(&self, short: &str) -> Result<Option<(String, String)>, ServerError>;
    /// Whether this key may delete this trace.
    fn may_delete(&self, id: &str, key: &str) -> Result<bool, ServerError>;
    /// Deletes a trace with its short links, and every media file that no other trace names.
    fn delete(&self, id: &str) -> Result<(), ServerError>;

    /// Whether this process shall sweep now, where several could.
    fn on_duty(&self) -> Result<bool, ServerError> {
        Ok(true)
    }
    /// Takes away what the policy does not keep; what is gone by whichever way is not shown any more.
    fn sweep(&self, policy: &Policy) -> Result<Swept, ServerError>;
    /// Bytes that traces and files take.
    fn used_bytes(&self) -> Result<u64, ServerError>;
    /// Keeps a report of abuse for the operator; false when too many came within the hour.
    fn report(&self, id: &str, reason: &str) -> Result<bool, ServerError>;
    /// Every open report, the oldest first.
    fn reports(&self) -> Result<Vec<Report>, ServerError>;
    /// Removes a trace for good, whatever its state; false when it is not there.
    fn take_down(&self, id: &str) -> Result<bool, ServerError>;
    /// Whether the operator removed it.
    fn was_taken_down(&self, id: &str) -> Result<bool, ServerError>;

    /// Files on this machine: where uploads arrive, and where a trace's media must be before it is submitted.
    fn files(&self) -> &Blobs;
    /// Where a stored media file can be read, if it is one.
    fn media(&self, hash: &str) -> Result<Option<PathBuf>, ServerError>;
    /// The whole of a stored media file.
    fn media_bytes(&self, hash: &str) -> Result<Arc<[u8]>, ServerError> {
        let path = (self.media(hash)?).ok_or_else(|| ServerError::MissingMedia(hash.to_owned()))?;
        let read = std::fs::read(&path).map_err(ServerError::file(path))?;
        Ok(read.into())
    }

    /// Models to choose from, the default first. Answers at once.
    fn models(&self) -> Vec<ModelView>;
    /// How busy the house is. Answers at once.
    fn load_now(&self) -> Load;
    /// The same, counted anew where others queue traces as well.
    fn recount(&self) -> Load {
        self.load_now()
    }
    /// Seconds until a waiting trace begins, where that can be told. Answers at once.
    fn wait_secs(&self, _id: &str) -> Option<f64> {
        None
    }
    /// Whether traces will be made now. Answers at once.
    fn ready(&self) -> bool;
    /// From now on no job begins here; whether one is at work here, which may end. Answers at once.
    fn drain(&self) -> bool;
    /// Ends every viewer's stream and every wait; nothing accepted is lost. Answers at once.
    fn shut_down(&self);
    /// Whether [`Self::shut_down`] was called. Answers at once.
    fn shutting_down(&self) -> bool;
}

/// What a device thread needs on top.
pub trait Work: Depot {
    /// Blocks until there is a job; `None` when the house goes down.
    fn next(&self) -> Option<Job>;
    /// The next job, if it is a trace by this model in this precision; does not wait for one.
    fn next_like(&self, model: &str, dtype: Option<Precision>) -> Option<Arc<Live>>;
    /// Notes that a trace is being made, so that a crash counts against it; what is asked.
    fn begin(&self, live: &Live) -> Result<Stored, ServerError>;
    /// Stores the record, as JSON, whose media are in [`Depot::files`].
    fn finish(&self, live: &Live, record: &str) -> Result<(), ServerError>;
    /// Notes that a trace will not be finished.
    fn fail(&self, live: &Live, code: &str, message: &str) -> Result<(), ServerError>;
    /// Puts a trace back that was interrupted by an orderly shutdown: not its fault.
    fn put_back(&self, live: &Live) -> Result<(), ServerError>;
    /// The job is over, its last event pushed; it took so long.
    fn ended(&self, live: Arc<Live>, secs: f64);
    /// What a trace took that ended by itself and is not over yet: estimates of waits go by it.
    fn learn(&self, live: &Live, took: Took);
    /// What a first answer took, which is nobody's trace.
    fn warmed_up(&self, size: &JobSize, took: Took);
    /// A question about a trace was answered in so many seconds.
    fn answered(&self, _secs: f64) {}
    /// This device works no more.
    fn leave(&self) {}
}

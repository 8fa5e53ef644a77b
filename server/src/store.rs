//! What must survive a crash: traces in SQLite, media in content-addressed files.
//! In: requests and records. Out: the same after `kill -9`.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use app::data::RequestView;
use attribution::record::ChildOf;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use crate::admission::{JobSize, Marks};
use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::error::ServerError;
use crate::sample::Options;
use crate::truth::Truth;

/// Most bytes of a rendered page: a record twice, and its frame.
pub const MAX_PAGE_BYTES: usize = 96 << 20;

/// The database's file in a data directory.
pub const DATABASE: &str = "omnitrace.sqlite";

/// A trace that brought the program down this often is not tried again.
pub const MAX_ATTEMPTS: u32 = 3;

mod recent;
mod relations;
mod reports;
mod retention;
mod schema;
mod shares;

pub use relations::Child;
pub use reports::Report;
pub use retention::{Policy, Swept};

/// The data directory.
#[derive(Debug)]
pub struct Store {
    database: Mutex<Connection>,
    clock: Clock,
    /// When files were last looked through for such that belong to no trace.
    orphans_checked: AtomicU64,
    /// The media files.
    pub blobs: Blobs,
}

/// A trace to be accepted.
#[derive(Debug, Clone)]
pub struct NewTrace {
    /// Its id.
    pub id: String,
    /// What is asked; the media are already stored.
    pub request: RequestView,
    /// How.
    pub options: Options,
    /// World task, or empty.
    pub task: String,
    /// For a shipped example: what it was made from, so that a change makes it anew.
    pub gallery: Option<String>,
    /// Who holds it may delete the trace; a shipped example has none.
    pub delete_key: Option<String>,
    /// What is true of it, where that is known.
    pub truth: Option<Truth>,
    /// Of which trace it repeats the question, and what it leaves out.
    pub child_of: Option<ChildOf>,
    /// Whose it is while it is open, where several processes count together.
    pub marks: Marks,
}

/// Where a stored trace stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Accepted; waiting, or being made.
    Open,
    /// The record is there.
    Finished,
    /// It will not be.
    Failed {
        /// Machine-readable.
        code: String,
        /// A sentence.
        message: String,
    },
}

/// A stored trace without its record.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What was asked.
    pub request: RequestView,
    /// How.
    pub options: Options,
    /// World task, or empty.
    pub task: String,
    /// Where it stands.
    pub state: State,
    /// The id of its last event.
    pub last_event: u64,
    /// Of which trace it repeats the question, and what it leaves out.
    pub child_of: Option<ChildOf>,
}

/// A trace to be queued again after a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Its id.
    pub id: String,
    /// How often it was begun.
    pub attempts: u32,
    /// Whether it is a shipped example.
    pub background: bool,
    /// What its request tells of its cost.
    pub size: JobSize,
}

impl Store {
    /// Opens or makes the data directory.
    pub fn open(data_dir: &Path) -> Result<Self, ServerError> {
        Self::open_at(data_dir, Clock::default())
    }

    /// [`Self::open`] with another clock.
    pub fn open_at(data_dir: &Path, clock: Clock) -> Result<Self, ServerError> {
        std::fs::create_dir_all(data_dir).map_err(ServerError::file(data_dir))?;
        Self::with(data_dir, Blobs::open(data_dir)?, clock)
    }

    /// Opens a data directory that is there already, beside the server that may be using it.
    pub fn open_beside(data_dir: &Path) -> Result<Self, ServerError> {
        Self::with(data_dir, Blobs::beside(data_dir), Clock::default())
    }

    fn with(data_dir: &Path, blobs: Blobs, clock: Clock) -> Result<Self, ServerError> {
        let mut database = Connection::open(data_dir.join(DATABASE))?;
        schema::prepare(&mut database, &blobs)?;
        Ok(Self {
            database: Mutex::new(database),
            clock,
            orphans_checked: AtomicU64::new(0),
            blobs,
        })
    }

    /// Makes a trace durable. When this returns, the trace survives anything.
    pub fn accept(&self, new: &NewTrace) -> Result<(), ServerError> {
        let request = to_json("request", &new.request)?;
        let options = to_json("options", &new.options)?;
        let mut database = self.lock();
        let change = database.transaction()?;
        let changed = change.execute(
            "INSERT INTO traces (id, created, state, request, options, task, gallery)
             VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET state = 'queued', attempts = 0, request = ?3, options = ?4, gallery = ?6,
                 record = NULL, error_code = NULL, error_message = NULL, ended = NULL
                 WHERE gallery IS NOT NULL",
            params![new.id, self.clock.now_unix_secs(), request, options, new.task, new.gallery],
        )?;
        // Only a shipped example may be made anew under its id.
        if changed != 1 {
            return Err(ServerError::Lost("a fresh id"));
        }
        schema::note_media(&change, &self.blobs, &new.id, &request)?;
        if let Some(key) = &new.delete_key {
            shares::keep_delete_key(&change, &new.id, key)?;
        }
        if let Some(truth) = &new.truth {
            relations::keep_truth(&change, &new.id, truth)?;
        }
        if let Some(child_of) = &new.child_of {
            relations::keep_child(&change, &new.id, child_of)?;
        }
        Ok(change.commit()?)
    }

    /// Notes that a trace is being made, so that a crash counts against it.
    pub fn begin(&self, id: &str) -> Result<(), ServerError> {
        self.lock().execute(
            "UPDATE traces SET state = 'running', attempts = attempts + 1 WHERE id = ?1",
            [id],
        )?;
        Ok(())
    }

    /// Notes that a running trace was asked to stop: after a crash it is not begun again.
    pub fn note_stop(&self, id: &str) -> Result<(), ServerError> {
        self.lock().execute(
            "UPDATE traces SET error_code = 'stopped' WHERE id = ?1 AND state = 'running'",
            [id],
        )?;
        Ok(())
    }

    /// Puts a trace back that was interrupted by an orderly shutdown: not its fault.
    pub fn put_back(&self, id: &str) -> Result<(), ServerError> {
        self.lock().execute(
            "UPDATE traces SET state = 'queued', attempts = max(attempts - 1, 0) WHERE id = ?1",
            [id],
        )?;
        Ok(())
    }

    /// Stores the record, as JSON.
    pub fn finish(&self, id: &str, record: &str, last_event: u64) -> Result<(), ServerError> {
        let mut database = self.lock();
        let change = database.transaction()?;
        let changed = change.execute(
            "UPDATE traces SET state = 'finished', record = ?2, last_event = ?3, ended = ?4 WHERE id = ?1",
            params![id, record, last_event, self.clock.now_unix_secs()],
        )?;
        // It may have been taken down meanwhile.
        if changed > 0 {
            schema::note_media(&change, &self.blobs, id, record)?;
        }
        Ok(change.commit()?)
    }

    /// Notes that a trace will not be finished.
    pub fn fail(
        &self,
        id: &str,
        code: &str,
        message: &str,
        last_event: u64,
    ) -> Result<(), ServerError> {
        self.lock().execute(
            "UPDATE traces SET state = 'failed', error_code = ?2, error_message = ?3, last_event = ?4, ended = ?5
             WHERE id = ?1",
            params![id, code, message, last_event, self.clock.now_unix_secs()],
        )?;
        Ok(())
    }

    /// What SQLite finds wrong with the database; `None` when it is whole.
    pub fn check(&self) -> Result<Option<String>, ServerError> {
        let said: String = self
            .lock()
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((said != "ok").then_some(said))
    }

    /// After a start: gives up traces that were asked to stop or interrupted too often, and returns the rest in order of
    /// acceptance.
    pub fn recover(&self) -> Result<Vec<Pending>, ServerError> {
        let database = self.lock();
        database.execute(
            "UPDATE traces SET state = 'failed', last_event = attempts * ?1, ended = ?2,
                 error_message = 'This trace was stopped, and the server was interrupted before it could keep the answer so far.'
             WHERE state = 'running' AND error_code = 'stopped'",
            params![crate::live::ATTEMPT_STRIDE, self.clock.now_unix_secs()],
        )?;
        database.execute(
            "UPDATE traces SET state = 'failed', error_code = 'interrupted', ended = ?3,
                 error_message = 'The server was interrupted ' || attempts || ' times while making this trace, '
                     || 'so it is not tried again. Please send it once more.',
                 last_event = attempts * ?2
             WHERE state = 'running' AND attempts >= ?1",
            params![
                MAX_ATTEMPTS,
                crate::live::ATTEMPT_STRIDE,
                self.clock.now_unix_secs()
            ],
        )?;
        database.execute(
            "UPDATE traces SET state = 'queued' WHERE state = 'running'",
            [],
        )?;
        let mut rows = database.prepare(
            "SELECT id, attempts, gallery, request, options FROM traces WHERE state = 'queued' ORDER BY number",
        )?;
        let pending = rows.query_map([], |row| {
            Ok(Pending {
                id: row.get(0)?,
                attempts: row.get(1)?,
                background: row.get::<_, Option<String>>(2)?.is_some(),
                size: self.size(&row.get::<_, String>(3)?, &row.get::<_, String>(4)?),
            })
        })?;
        Ok(pending.collect::<Result<_, _>>()?)
    }

    /// The size of a stored request; one that cannot be read fails when its turn comes.
    fn size(&self, request: &str, options: &str) -> JobSize {
        match (from_json("request", request), from_json("options", options)) {
            (Ok(request), Ok(options)) => JobSize::of(&request, &options, &self.blobs),
            _ => JobSize::default(),
        }
    }

    /// A trace without its record.
    pub fn load(&self, id: &str) -> Result<Option<Stored>, ServerError> {
        let columns = "request, options, task, state, error_code, error_message, last_event,
            (SELECT parent FROM children WHERE children.id = traces.id),
            (SELECT without FROM children WHERE children.id = traces.id)";
        let row = self
            .lock()
            .query_row(
                &format!("SELECT {columns} FROM traces WHERE id = ?1"),
                [id],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get(2)?,
                        state_of(row, 3)?,
                        row.get(6)?,
                        (row.get(7)?, row.get(8)?),
                    ))
                },
            )
            .optional()?;
        let Some((request, options, task, state, last_event, child_of)) = row else {
            return Ok(None);
        };
        Ok(Some(Stored {
            request: from_json("request", &request)?,
            options: from_json("options", &options)?,
            task,
            state,
            last_event,
            child_of: relations::child_of(child_of)?,
        }))
    }

    /// A finished trace's record, as JSON.
    pub fn record_json(&self, id: &str) -> Result<Option<String>, ServerError> {
        let row = self
            .lock()
            .query_row("SELECT record FROM traces WHERE id = ?1", [id], |row| {
                row.get::<_, Option<String>>(0)
            })
            .optional()?;
        Ok(row.flatten())
    }

    /// What a shipped example was made from; `None` when it is not there.
    pub fn gallery_origin(&self, id: &str) -> Result<Option<String>, ServerError> {
        let row = self
            .lock()
            .query_row("SELECT gallery FROM traces WHERE id = ?1", [id], |row| {
                row.get::<_, Option<String>>(0)
            })
            .optional()?;
        Ok(row.flatten())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls an unfinished statement back by itself; a poisoned lock guards nothing broken.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the columns `state`, `error_code` and `error_message`, of which `first` is the first.
fn state_of(row: &Row<'_>, first: usize) -> rusqlite::Result<State> {
    Ok(match row.get::<_, String>(first)?.as_str() {
        "finished" => State::Finished,
        "failed" => State::Failed {
            code: row.get::<_, Option<String>>(first + 1)?.unwrap_or_default(),
            message: row.get::<_, Option<String>>(first + 2)?.unwrap_or_default(),
        },
        _ => State::Open,
    })
}

/// Seconds since the Unix epoch; 0 on a clock before it.
pub fn now_unix_secs() -> u64 {
    Clock::default().now_unix_secs()
}

/// Writes JSON to be stored.
pub fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, ServerError> {
    serde_json::to_string(value).map_err(|source| ServerError::Stored { what, source })
}

/// Reads stored JSON.
pub fn from_json<T: DeserializeOwned>(what: &'static str, json: &str) -> Result<T, ServerError> {
    serde_json::from_str(json).map_err(|source| ServerError::Stored { what, source })
}

#[cfg(test)]
impl NewTrace {
    /// A small one, for tests.
    pub(crate) fn small(id: &str) -> Self {
        Self {
            id: id.into(),
            request: RequestView {
                prompt: "p".into(),
                items: Vec::new(),
                model: "m".into(),
                ..RequestView::default()
            },
            options: Options::default(),
            task: String::new(),
            gallery: None,
            delete_key: None,
            truth: None,
            child_of: None,
            marks: Marks::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_is_pending_after_a_crash_until_three_attempts() {
        let dir = tempfile::tempdir().expect("temp dir");
        Store::open(dir.path())
            .and_then(|store| {
                store.accept(&NewTrace::small("waiting"))?;
                store.accept(&NewTrace::small("running"))?;
                store.accept(&NewTrace::small("done"))?;
                store.accept(&NewTrace::small("stopped"))?;
                store.begin("running")?;
                store.begin("stopped")?;
                store.note_stop("stopped")?;
                store.note_stop("waiting")?;
                store.begin("done")?;
                store.finish("done", "{}", 7)
            })
            .expect("first life");
        for attempts in 1..=2 {
            let store = Store::open(dir.path()).expect("reopen");
            let pending = store.recover().expect("recover");
            let ids: Vec<_> = pending
                .iter()
                .map(|p| (p.id.as_str(), p.attempts))
                .collect();
            assert_eq!(ids, [("waiting", 0), ("running", attempts)]);
            store.begin("running").expect("begin");
        }
        let store = Store::open(dir.path()).expect("reopen");
        assert_eq!(store.recover().expect("recover").len(), 1);
        let failed = store.load("running").expect("load").expect("there");
        assert!(matches!(failed.state, State::Failed { ref code, .. } if code == "interrupted"));
        let stopped = store.load("stopped").expect("load").expect("there");
        assert!(matches!(stopped.state, State::Failed { ref code, .. } if code == "stopped"));
        let done = store.load("done").expect("load").expect("there");
        assert_eq!((done.state, done.last_event), (State::Finished, 7));
        assert_eq!(
            store.record_json("done").expect("record"),
            Some("{}".into())
        );
        assert!(store.load("never").expect("load").is_none());
    }

    #[test]
    fn an_orderly_shutdown_does_not_count() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = Store::open(dir.path()).expect("open");
        store.accept(&NewTrace::small("x")).expect("accept");
        for _ in 0..5 {
            store.begin("x").expect("begin");
            store.put_back("x").expect("put back");
        }
        assert_eq!(store.recover().expect("recover")[0].attempts, 0);
    }
}

//! Many machines: what [`super::Embedded`] does on one, on NATS JetStream.
//!
//! Jobs wait in work queues and go to another worker when theirs falls silent; events fan out by subject; records lie in
//! key-value buckets, media in an object store. Any number of web processes and workers share one server or cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use app::data::ModelView;
use tokio::sync::oneshot;

use self::lines::Ticket;
use self::questions::Asked;
use self::reach::Reach;
use self::sweeping::Kept;
use self::threads::Threads;
use self::traces::{count, forget_deleted};
use self::work::Bench;
use super::{Depot, Load, Stopped};
use crate::admission::{Elsewhere, Marks};
use crate::blobs::Blobs;
use crate::checks::Check;
use crate::clock::Clock;
use crate::error::ServerError;
use crate::id;
use crate::jobs::{Place, Refused};
use crate::live::Live;
use crate::store::{Child, NewTrace, Policy, Report, Stored, Swept, from_json, to_json};
use crate::truth::Truth;

mod args;
mod census;
mod events;
#[cfg(test)]
mod half_done;
mod lines;
mod media;
#[cfg(test)]
#[path = "../../../tests/http/nats_server.rs"]
mod nats_server;
mod objects;
mod presence;
mod questions;
mod reach;
mod records;
mod reports;
mod shelf;
mod sweeping;
mod taking;
mod threads;
mod took;
mod traces;
mod watching;
mod wiping;
mod work;

pub use args::NatsArgs;
pub use reach::stored_sizes;

/// The bucket of media.
const MEDIA: &str = "omnitrace-media";

/// Hashes of media that no trace names any more are said here.
const GONE: &str = "omnitrace.gone";

/// Who is asked to stop is said here: `omnitrace.stop.<id>`.
const STOP: &str = "omnitrace.stop";

/// Rung when a job was queued.
const BELL: &str = "omnitrace.bell";

/// How often the lines are counted for [`Depot::load_now`].
const COUNT: Duration = Duration::from_secs(1);

/// How often files are looked for that were stored here in vain.
const TIDY: Duration = Duration::from_secs(1800);

/// A process of the house: a web process, or a worker.
pub struct Nats {
    /// Of this process.
    id: String,
    /// What a sweeper knows of the traces that have ended.
    kept: tokio::sync::Mutex<Kept>,
    reach: Arc<Reach>,
    /// Traces of one model that may wait.
    capacity: u32,
    waiting: Arc<AtomicU32>,
    /// What a worker has on top.
    bench: Option<Bench>,
    /// Of its own: whoever waits for an answer from NATS may hold a thread of another.
    threads: Threads,
}

/// Wraps an error of the client.
fn nats<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ServerError {
    move |error| ServerError::Nats {
        what,
        reason: error.to_string(),
    }
}

impl Nats {
    /// Connects a web process. `capacity`: traces of one model that may wait; `cache_dir`: for copies of media; `clock`: by
    /// which traces are kept.
    pub fn web(
        args: &NatsArgs,
        capacity: usize,
        cache_dir: &Path,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        let web = Self::connect(args, capacity, cache_dir, clock)?;
        let reach = web.reach.clone();
        let (first, known) = oneshot::channel();
        web.spawn(async move {
            presence::listen(reach.workers.clone(), &reach.presence, first).await;
        });
        let (first, all_heard) = oneshot::channel();
        web.spawn(census::listen(web.reach.clone(), first));
        web.spawn(took::listen(web.reach.clone()));
        web.spawn(watching::tell_positions(web.reach.clone()));
        let (reach, waiting) = (web.reach.clone(), web.waiting.clone());
        web.spawn(async move {
            loop {
                count(&reach, &waiting).await;
                tokio::time::sleep(COUNT).await;
            }
        });
        // The first page already knows the workers that are there.
        let _ = web.wait(async {
            let both = async { (known.await, all_heard.await) };
            tokio::time::timeout(Duration::from_secs(2), both).await
        });
        Ok(web)
    }

    fn connect(
        args: &NatsArgs,
        capacity: usize,
        cache_dir: &Path,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        let threads = Threads::start()?;
        let kept = Kept::begun_at(clock.now_unix_secs());
        let reach = threads.wait(Reach::connect(args, cache_dir, clock))?;
        let nats = Self {
            id: id::fresh()?,
            kept: tokio::sync::Mutex::new(kept),
            reach: Arc::new(reach),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX).max(1),
            waiting: Arc::default(),
            bench: None,
            threads,
        };
        nats.spawn(forget_deleted(nats.reach.clone()));
        let reach = nats.reach.clone();
        nats.spawn(async move {
            loop {
                tokio::time::sleep(TIDY).await;
                if let Err(error) = reach.media.shelf.tidy(&reach.media.blobs) {
                    tracing::warn!(%error, "what was stored in vain stays");
                }
            }
        });
        Ok(nats)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.threads.spawn(work);
    }

    /// Waits for NATS, from any thread.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.threads.wait(work)
    }
}

impl Depot for Nats {
    fn elsewhere(&self, marks: &Marks) -> Result<Elsewhere, ServerError> {
        self.wait(async {
            let hashed = Marks {
                client: self.mark(marks.client.as_deref()).await?,
                address: self.mark(marks.address.as_deref()).await?,
            };
            Ok(self.reach.census.elsewhere(&hashed, &self.id))
        })
    }

    fn submit(&self, new: &NewTrace) -> Result<(), Refused> {
        self.wait(async {
            self.room_in(&lines::name(&new.request.model, false))
                .await?;
            match self.accept(new).await {
                Ok(true) => {}
                Ok(false) => return Err(Refused::Store(ServerError::Lost("a fresh id"))),
                Err(error) => return Err(Refused::Store(error)),
            }
            count(&self.reach, &self.waiting).await;
            Ok(())
        })
    }

    fn submit_example(&self, new: &NewTrace) -> Result<(), ServerError> {
        // Another worker may have been faster.
        self.wait(self.accept(new)).map(drop)
    }

    fn ask(&self, check: Check) -> Result<(), Refused> {
        self.wait(async {
            let entry = self
                .reach
                .ledger
                .get(&check.id)
                .await
                .map_err(Refused::Store)?;
            let Some(entry) = entry else { return Ok(()) };
            // Questions about the examples wait with the visitors' traces.
            let line = entry.line.replace("examples-", "jobs-");
            self.room_in(&line).await?;
            let number = id::fresh().map_err(Refused::Store)?;
            let subject = format!("omnitrace.answer.{number}");
            let asked = Asked {
                id: check.id.clone(),
                question: check.question.clone(),
                subject: subject.clone(),
            };
            let heard = self.reach.client.subscribe(subject).await;
            let heard = heard
                .map_err(nats("an answer cannot be awaited"))
                .map_err(Refused::Store)?;
            let down = self.reach.down.subscribe();
            self.spawn(questions::wait(
                self.reach.client.clone(),
                heard,
                check,
                down,
            ));
            let ticket = Ticket::Question(asked);
            let joined = self.reach.lines.join(&line, &number, &ticket);
            joined.await.map_err(Refused::Store)?;
            self.ring().await.map_err(Refused::Store)
        })
    }

    fn place(&self, id: &str) -> Option<Place> {
        self.wait(watching::place(&self.reach, id))
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a place in the queue is not known");
                None
            })
    }

    fn follow(&self, id: &str) -> Result<Option<Arc<Live>>, ServerError> {
        self.wait(watching::follow(&self.reach, id))
    }

    fn stop(&self, id: &str) -> Result<Stopped, ServerError> {
        self.wait(self.stop_now(id))
    }

    fn load(&self, id: &str) -> Result<Option<Stored>, ServerError> {
        self.wait(async {
            let Some(entry) = self.reach.ledger.get(id).await? else {
                return Ok(None);
            };
            let Some(question) = self.question(id).await? else {
                return Ok(None);
            };
            Ok(Some(question.stored(&entry)))
        })
    }

    fn truth(&self, id: &str) -> Result<Option<Truth>, ServerError> {
        let question = self.wait(self.question(id))?;
        Ok(question.and_then(|question| question.truth))
    }

    fn children(&self, id: &str) -> Result<Vec<Child>, ServerError> {
        self.wait(self.children_of(id))
    }

    fn record_json(&self, id: &str) -> Result<Option<String>, ServerError> {
        self.wait(self.reach.records.get(id))
    }

    fn gallery_origin(&self, id: &str) -> Result<Option<String>, ServerError> {
        let entry = self.wait(self.reach.ledger.get(id))?;
        Ok(entry.and_then(|entry| entry.gallery))
    }

    fn share(&self, id: &str, view: &str) -> Result<String, ServerError> {
        let short = id::of(&format!("{id}{view}"));
        self.wait(async {
            let known = self.reach.ledger.modify(id, |entry| {
                let fresh = !entry.shares.contains(&short);
                if fresh {
                    entry.shares.push(short.clone());
                }
                fresh
            });
            if known.await?.is_none() {
                return Err(ServerError::Lost("a trace"));
            }
            let link = to_json("short link", &(id, view))?;
            let put = self.reach.shares.put(short.as_str(), link.into()).await;
            put.map_err(nats("a short link cannot be stored"))?;
            Ok(short.clone())
        })
    }

    fn shared(&self, short: &str) -> Result<Option<(String, String)>, ServerError> {
        let found = self.wait(records::read(&self.reach.shares, short))?;
        found
            .map(|(link, _)| from_json("short link", &String::from_utf8_lossy(&link)))
            .transpose()
    }

    fn may_delete(&self, id: &str, key: &str) -> Result<bool, ServerError> {
        let entry = self.wait(self.reach.ledger.get(id))?;
        let kept = entry.and_then(|entry| blake3::Hash::from_hex(entry.delete_hash?).ok());
        // blake3 compares its hashes in constant time.
        Ok(kept == Some(blake3::hash(key.as_bytes())))
    }

    fn delete(&self, id: &str) -> Result<(), ServerError> {
        self.wait(self.delete_now(id))
    }

    fn sweep(&self, policy: &Policy) -> Result<Swept, ServerError> {
        self.wait(self.sweep_now(policy))
    }

    fn on_duty(&self) -> Result<bool, ServerError> {
        self.wait(self.take_duty())
    }

    fn used_bytes(&self) -> Result<u64, ServerError> {
        self.wait(self.used())
    }

    fn report(&self, id: &str, reason: &str) -> Result<bool, ServerError> {
        self.wait(self.reach.reports.add(id, reason))
    }

    fn reports(&self) -> Result<Vec<Report>, ServerError> {
        self.wait(self.reach.reports.all())
    }

    fn take_down(&self, id: &str) -> Result<bool, ServerError> {
        self.wait(self.take_down_now(id))
    }

    fn was_taken_down(&self, id: &str) -> Result<bool, ServerError> {
        let marked = self.wait(records::read(&self.reach.removed, id))?;
        Ok(marked.is_some())
    }

    fn files(&self) -> &Blobs {
        &self.reach.media.blobs
    }

    fn media(&self, hash: &str) -> Result<Option<PathBuf>, ServerError> {
        self.wait(self.reach.media.local(hash))
    }

    fn models(&self) -> Vec<ModelView> {
        match &self.bench {
            Some(bench) => bench.models(),
            None => self.reach.presence.models(),
        }
    }

    fn load_now(&self) -> Load {
        let (free_in_secs, wait_secs) = self.waits();
        Load {
            queued: self.waiting.load(Ordering::Relaxed),
            wait_secs,
            free_in_secs,
            workers: Some(self.reach.presence.workers()),
        }
    }

    fn wait_secs(&self, id: &str) -> Option<f64> {
        (self.reach.census).wait_secs(id, &self.reach.presence.hands())
    }

    fn recount(&self) -> Load {
        self.wait(count(&self.reach, &self.waiting));
        self.load_now()
    }

    fn ready(&self) -> bool {
        let connected =
            self.reach.client.connection_state() == async_nats::connection::State::Connected;
        let able = match &self.bench {
            Some(bench) => bench.ready(),
            None => self.reach.presence.workers() > 0,
        };
        connected && able && !self.shutting_down() && !*self.reach.draining.borrow()
    }

    fn drain(&self) -> bool {
        self.reach.draining.send_replace(true);
        let bench = self.bench.as_ref();
        bench.is_some_and(|bench| !bench.in_hand().is_empty())
    }

    fn shut_down(&self) {
        self.reach.down.send_replace(true);
        for (_, mirror) in self.reach.mirrors().iter() {
            mirror.close();
        }
    }

    fn shutting_down(&self) -> bool {
        *self.reach.down.borrow()
    }
}

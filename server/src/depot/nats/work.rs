//! The worker's side: takes jobs from the lines of its models, keeps its lease on them, and says how they ended.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::data::ModelView;
use async_nats::Subscriber;
use async_nats::jetstream::{AckKind, Message};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::presence::{self, BEAT, Here};
use super::records::{Entry, Stage};
use super::taking::flush;
use super::{BELL, Nats, NatsArgs, STOP, nats, took};
use crate::admission::{JobSize, Took};
use crate::clock::Clock;
use crate::depot::{Depot, Work};
use crate::error::ServerError;
use crate::id;
use crate::jobs::Job;
use crate::live::Live;
use crate::models::{ModelSpec, ModelStates};
use crate::store::Stored;

/// A worker that nobody calls looks by itself this often: jobs whose lease ran out ring no bell.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker has besides the connection.
pub(super) struct Bench {
    id: String,
    pub(super) models: Vec<ModelSpec>,
    states: Arc<ModelStates>,
    loaded: watch::Receiver<bool>,
    current: Arc<Mutex<Option<InHand>>>,
    bell: tokio::sync::Mutex<Subscriber>,
    /// Whose line is looked at first next time.
    pub(super) turn: AtomicUsize,
}

/// The trace that a worker has.
pub(super) struct InHand {
    pub(super) live: Arc<Live>,
    pub(super) message: Arc<Message>,
    pub(super) lease: JoinHandle<()>,
    pub(super) publisher: JoinHandle<()>,
    pub(super) put_back: bool,
}

impl Bench {
    pub(super) fn models(&self) -> Vec<ModelView> {
        (self.models.iter().enumerate())
            .map(|(k, model)| model.view(k == 0, &self.states))
            .collect()
    }

    pub(super) fn ready(&self) -> bool {
        *self.loaded.borrow()
    }

    pub(super) fn current(&self) -> MutexGuard<'_, Option<InHand>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nats {
    /// Connects a worker that has these models. `loaded`: becomes true once the default one is in memory.
    pub fn worker(
        args: &NatsArgs,
        cache_dir: &Path,
        models: Vec<ModelSpec>,
        states: Arc<ModelStates>,
        loaded: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, ServerError> {
        let mut worker = Self::connect(args, 1, cache_dir, Clock::default())?;
        let client = worker.reach.client.clone();
        let heard = worker.wait(async {
            let bell = client.subscribe(BELL).await?;
            let stop = client.subscribe(format!("{STOP}.*")).await?;
            Ok::<_, async_nats::SubscribeError>((bell, stop))
        });
        let (bell, stop) = heard.map_err(nats("the jobs cannot be heard of"))?;
        let bench = Bench {
            id: id::fresh()?,
            models,
            states,
            loaded,
            current: Arc::default(),
            bell: tokio::sync::Mutex::new(bell),
            turn: AtomicUsize::new(0),
        };
        worker.spawn(heed_stops(stop, bench.current.clone()));
        worker.bench = Some(bench);
        let worker = Arc::new(worker);
        let (weak, mut down) = (Arc::downgrade(&worker), worker.reach.down.subscribe());
        worker.spawn(async move {
            while let Some(worker) = weak.upgrade() {
                worker.give_sign().await;
                drop(worker);
                tokio::select! {
                    () = tokio::time::sleep(BEAT) => {}
                    _ = down.wait_for(|down| *down) => return,
                }
            }
        });
        Ok(worker)
    }

    async fn give_sign(&self) {
        let Some(bench) = &self.bench else { return };
        let here = Here {
            models: bench.models(),
        };
        let said = presence::announce(&self.reach.workers, &bench.id, &here).await;
        if let Err(error) = said {
            tracing::warn!(%error, "the web processes do not hear of this worker");
        }
    }

    /// Changes an entry, if this worker still has the trace.
    async fn conclude(
        &self,
        live: &Live,
        change: impl Fn(&mut Entry),
    ) -> Result<bool, ServerError> {
        let changed = self.reach.ledger.modify(&live.id, |entry| {
            let own = entry.stage == Stage::Running && entry.delivery == live.attempt();
            if own {
                change(entry);
            }
            own
        });
        let changed = changed.await?.is_some_and(|(_, changed)| changed);
        if !changed {
            tracing::warn!(id = %live.id, "the trace was given to another worker, or removed");
        }
        Ok(changed)
    }
}

/// Stops the trace in hand when somebody asks, for ever.
async fn heed_stops(mut said: Subscriber, current: Arc<Mutex<Option<InHand>>>) {
    while let Some(message) = said.next().await {
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(in_hand) = &*current
            && message.subject.as_str().strip_prefix(STOP) == Some(&format!(".{}", in_hand.live.id))
        {
            in_hand.live.stop();
        }
    }
}

impl Work for Nats {
    fn next(&self) -> Option<Job> {
        let bench = self.bench.as_ref()?;
        let mut down = self.reach.down.subscribe();
        let mut draining = self.reach.draining.subscribe();
        self.wait(async {
            loop {
                if self.shutting_down() || *draining.borrow() {
                    return None;
                }
                match self.look(bench).await {
                    Ok(Some(job)) => return Some(job),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "no job can be had; trying again"),
                }
                let mut bell = bench.bell.lock().await;
                tokio::select! {
                    Some(_) = bell.next() => {}
                    () = tokio::time::sleep(LOOK) => {}
                    _ = down.wait_for(|down| *down) => {}
                    _ = draining.wait_for(|draining| *draining) => {}
                }
                // It rang for every job that came meanwhile: one look finds them.
                while let Some(Some(_)) = bell.next().now_or_never() {}
            }
        })
    }

    fn begin(&self, live: &Live) -> Result<Stored, ServerError> {
        self.load(&live.id)?
            .ok_or(ServerError::Lost("the stored request"))
    }

    fn finish(&self, live: &Live, record: &str) -> Result<(), ServerError> {
        self.wait(async {
            let media = self.reach.media.named_in(record).await?;
            self.reach.media.keep(&live.id, &media).await?;
            self.reach.records.put(&live.id, record).await?;
            let last_event = live.next_event();
            let now = self.reach.clock.now_unix_secs();
            let files = &self.reach.media.blobs;
            let stored = self.conclude(live, |entry| {
                let new = media.iter().filter(|hash| !entry.media.contains(*hash));
                let new_bytes: u64 = new.map(|hash| files.len(hash)).sum();
                entry.bytes += record.len() as u64 + new_bytes;
                entry.end(Stage::Finished, last_event, now);
                entry.media.extend(media.iter().cloned());
                entry.media.sort();
                entry.media.dedup();
            });
            if !stored.await? && self.reach.ledger.get(&live.id).await?.is_none() {
                // Removed while it was made: nothing of it may stay.
                self.reach.records.remove(&live.id).await?;
                self.reach.media.release(&live.id, &media).await?;
            }
            Ok(())
        })
    }

    fn fail(&self, live: &Live, code: &str, message: &str) -> Result<(), ServerError> {
        let (last_event, now) = (live.next_event(), self.reach.clock.now_unix_secs());
        let failed = self.conclude(live, |entry| entry.fail(code, message, last_event, now));
        self.wait(failed).map(drop)
    }

    fn put_back(&self, live: &Live) -> Result<(), ServerError> {
        if let Some(bench) = &self.bench
            && let Some(in_hand) = &mut *bench.current()
        {
            in_hand.put_back = true;
        }
        let queued = self.conclude(live, |entry| {
            entry.stage = Stage::Queued;
            entry.attempts = entry.attempts.saturating_sub(1);
        });
        self.wait(queued).map(drop)
    }

    fn learn(&self, size: &JobSize, took: Took) {
        if let Err(error) = self.wait(took::tell(&self.reach.js, size, took)) {
            tracing::warn!(%error, "waits are told without this trace");
        }
    }

    fn ended(&self, _live: Arc<Live>, _secs: f64) {
        let Some(bench) = &self.bench else { return };
        let Some(in_hand) = bench.current().take() else {
            return;
        };
        self.wait(async {
            // Acknowledged last: until then another worker would finish what is missing.
            flush(in_hand.publisher).await;
            in_hand.lease.abort();
            let kind = if in_hand.put_back {
                AckKind::Nak(None)
            } else {
                AckKind::Ack
            };
            if let Err(error) = in_hand.message.double_ack_with(kind).await {
                tracing::warn!(%error, "a trace that has ended may be handed out again");
            }
        });
    }

    fn leave(&self) {
        let Some(bench) = &self.bench else { return };
        let said = self.wait(self.reach.workers.delete(bench.id.as_str()));
        if let Err(error) = said {
            tracing::debug!(%error, "the web processes will notice by themselves that this worker left");
        }
    }
}

//! The worker's side: takes jobs from the lines of its models, keeps its lease on each, and says how each ended.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use app::data::ModelView;
use async_nats::Subscriber;
use async_nats::jetstream::{AckKind, Message};
use engine::Precision;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::events::EVENTS;
use super::presence::{self, BEAT, Here};
use super::records::{Entry, Stage};
use super::taking::{Company, flush};
use super::{BELL, Nats, NatsArgs, STOP, nats, took, wiping};
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
    pub(super) id: String,
    pub(super) models: Vec<ModelSpec>,
    states: Arc<ModelStates>,
    loaded: watch::Receiver<bool>,
    /// How many traces it makes at a time.
    together: u16,
    in_hand: Arc<Mutex<Vec<InHand>>>,
    bell: tokio::sync::Mutex<Subscriber>,
    round: Mutex<Round>,
    /// Whose line is looked at first next time.
    pub(super) turn: AtomicUsize,
}

/// A trace that a worker has.
pub(super) struct InHand {
    pub(super) live: Arc<Live>,
    pub(super) message: Arc<Message>,
    pub(super) lease: JoinHandle<()>,
    pub(super) publisher: JoinHandle<()>,
    pub(super) end: End,
    /// Seconds that it took to be handed it.
    pub(super) asking_secs: f64,
    /// What it took, once it has ended by itself, and when that was told.
    pub(super) took: Option<(Took, Instant)>,
}

/// What is known of the end of a trace in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing is stored: somebody has to make it again.
    Open,
    /// It is stored.
    Stored,
    /// Somebody removed the trace meanwhile.
    Removed,
    /// It is with another worker, who alone may say that it is over.
    Anothers,
}

/// The traces that are being made together, as far as others may join them.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// The turn is another's: nobody joins any more.
    over: bool,
    /// When nobody was found who could join.
    looked: Option<Instant>,
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

    /// The traces that it has; each is there until its queue was told how it ended.
    pub(super) fn in_hand(&self) -> MutexGuard<'_, Vec<InHand>> {
        lock(&self.in_hand)
    }

    /// Whether it is worth asking for somebody who joins: not after every step, but when the bell rang, and every now and then.
    fn may_join(&self) -> bool {
        let round = *lock(&self.round);
        if round.over {
            return false;
        }
        let mut rang = false;
        if let Ok(mut bell) = self.bell.try_lock() {
            while let Some(Some(_)) = bell.next().now_or_never() {
                rang = true;
            }
        }
        rang || round.looked.is_none_or(|looked| looked.elapsed() >= LOOK)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is a single insertion, removal or assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nats {
    /// Connects a worker that has these models and makes `together` traces at a time. `loaded`: becomes true once the default
    /// one is in memory.
    pub fn worker(
        args: &NatsArgs,
        cache_dir: &Path,
        models: Vec<ModelSpec>,
        states: Arc<ModelStates>,
        loaded: watch::Receiver<bool>,
        together: u16,
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
            together,
            in_hand: Arc::default(),
            bell: tokio::sync::Mutex::new(bell),
            round: Mutex::new(Round::begin()),
            turn: AtomicUsize::new(0),
        };
        worker.spawn(heed_stops(stop, bench.in_hand.clone()));
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
            together: bench.together,
        };
        let said = presence::announce(&self.reach.workers, &bench.id, &here).await;
        if let Err(error) = said {
            tracing::warn!(%error, "the web processes do not hear of this worker");
        }
    }

    /// Tells the web processes what a trace of this size took; nobody waits for it.
    fn tell(&self, size: JobSize, took: Took) {
        let js = self.reach.js.clone();
        self.spawn(async move {
            if let Err(error) = took::tell(&js, &size, took).await {
                tracing::warn!(%error, "waits are told without this trace");
            }
        });
    }

    /// Changes what is known of a trace in hand.
    fn with_own(&self, live: &Live, change: impl FnOnce(&mut InHand)) {
        let Some(bench) = &self.bench else { return };
        let mut in_hand = bench.in_hand();
        if let Some(own) = in_hand
            .iter_mut()
            .find(|own| std::ptr::eq(&*own.live, live))
        {
            change(own);
        }
    }

    /// Notes what became of a trace in hand.
    fn note_end(&self, live: &Live, end: End) {
        self.with_own(live, |own| own.end = end);
    }

    /// The trace is not this worker's any more: viewers hear nothing more of this attempt, or, where it was removed, its end.
    fn lost(&self, live: &Live, entry: Option<&Entry>) {
        tracing::warn!(id = %live.id, "the trace was given to another worker, or removed");
        if entry.is_some() {
            live.close();
        }
        let end = match entry {
            Some(entry) if !entry.over() => End::Anothers,
            Some(_) => End::Stored,
            None => End::Removed,
        };
        self.note_end(live, end);
    }

    /// The trace's entry, if this worker still has it: who was given up for dead must not touch what another has stored.
    async fn owned(&self, live: &Live) -> Result<Option<Entry>, ServerError> {
        let entry = self.reach.ledger.get(&live.id).await?;
        if entry.as_ref().is_some_and(|entry| held(entry, live)) {
            return Ok(entry);
        }
        self.lost(live, entry.as_ref());
        Ok(None)
    }

    /// Changes an entry, if this worker still has the trace; whether it was so.
    async fn conclude(
        &self,
        live: &Live,
        change: impl Fn(&mut Entry),
    ) -> Result<bool, ServerError> {
        let changed = self.reach.ledger.modify(&live.id, |entry| {
            let own = held(entry, live);
            if own {
                change(entry);
            }
            own
        });
        let changed = changed.await?;
        let own = changed.as_ref().is_some_and(|(_, changed)| *changed);
        if !own {
            self.lost(live, changed.as_ref().map(|(entry, _)| entry));
        }
        Ok(own)
    }
}

/// Whether the entry names this attempt as the one that may write.
fn held(entry: &Entry, live: &Live) -> bool {
    entry.stage == Stage::Running && entry.delivery == live.attempt()
}

impl Round {
    fn begin() -> Self {
        Self {
            over: false,
            looked: None,
        }
    }
}

/// Stops a trace in hand when somebody asks, for ever.
async fn heed_stops(mut said: Subscriber, in_hand: Arc<Mutex<Vec<InHand>>>) {
    while let Some(message) = said.next().await {
        let subject = message.subject.as_str();
        let Some(id) = (subject.strip_prefix(STOP)).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        for own in lock(&in_hand).iter().filter(|own| own.live.id == id) {
            own.live.stop();
        }
    }
}

impl Work for Nats {
    fn next(&self) -> Option<Job> {
        let bench = self.bench.as_ref()?;
        *lock(&bench.round) = Round::begin();
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

    fn next_like(&self, model: &str, dtype: Option<Precision>) -> Option<Arc<Live>> {
        let bench = self.bench.as_ref()?;
        if self.shutting_down() || *self.reach.draining.borrow() || !bench.may_join() {
            return None;
        }
        let found = self.wait(self.look_for_company(bench, model, dtype));
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "nobody can join; trying again");
            Company::Nobody
        });
        let mut round = lock(&bench.round);
        match found {
            Company::Joins(live) => {
                round.looked = None;
                return Some(live);
            }
            Company::Nobody => round.looked = Some(Instant::now()),
            Company::AnothersTurn => round.over = true,
        }
        None
    }

    fn begin(&self, live: &Live) -> Result<Stored, ServerError> {
        self.wait(async {
            let lost = || ServerError::Lost("the stored request");
            let entry = (self.reach.ledger.get(&live.id).await?).ok_or_else(lost)?;
            if entry.stop {
                // Asked for between the ledger's change and the moment from which this worker heeds.
                live.stop();
            }
            let question = self.question(&live.id).await?.ok_or_else(lost)?;
            Ok(question.stored(&entry))
        })
    }

    fn finish(&self, live: &Live, record: &str) -> Result<(), ServerError> {
        self.wait(async {
            let Some(entry) = self.owned(live).await? else {
                return Ok(());
            };
            let media = self.reach.media.named_in(record).await?;
            let fresh: Vec<&String> = (media.iter())
                .filter(|hash| !entry.media.contains(*hash))
                .collect();
            // Named before it is stored: whoever removes the trace from now on removes its new files, too.
            let named = |entry: &mut Entry| {
                entry.media.extend(fresh.iter().copied().cloned());
                entry.media.sort();
                entry.media.dedup();
            };
            if !fresh.is_empty() && !self.conclude(live, named).await? {
                return Ok(());
            }
            self.reach.media.keep(&live.id, &media).await?;
            self.reach.records.put(&live.id, record).await?;
            let last_event = live.next_event();
            let now = self.reach.clock.now_unix_secs();
            let files = &self.reach.media.blobs;
            let fresh_bytes: u64 = fresh.iter().map(|hash| files.len(hash)).sum();
            let stored = self.conclude(live, |entry| {
                entry.bytes += record.len() as u64 + fresh_bytes;
                entry.end(Stage::Finished, last_event, now);
            });
            if stored.await? {
                self.note_end(live, End::Stored);
            } else if self.reach.ledger.get(&live.id).await?.is_none() {
                // Removed while it was made: nothing of it may stay.
                self.reach.records.remove(&live.id).await?;
                let gone = self.reach.media.release(&live.id, &media).await?;
                self.forget(&gone).await?;
            }
            Ok(())
        })
    }

    fn fail(&self, live: &Live, code: &str, message: &str) -> Result<(), ServerError> {
        let (last_event, now) = (live.next_event(), self.reach.clock.now_unix_secs());
        let failed = self.conclude(live, |entry| entry.fail(code, message, last_event, now));
        if self.wait(failed)? {
            self.note_end(live, End::Stored);
        }
        Ok(())
    }

    fn put_back(&self, live: &Live) -> Result<(), ServerError> {
        let queued = self.conclude(live, |entry| {
            entry.stage = Stage::Queued;
            entry.attempts = entry.attempts.saturating_sub(1);
        });
        self.wait(queued).map(drop)
    }

    fn learn(&self, live: &Live, took: Took) {
        self.with_own(live, |own| own.took = Some((took, Instant::now())));
    }

    fn warmed_up(&self, size: &JobSize, took: Took) {
        self.tell(size.clone(), took);
    }

    fn ended(&self, live: Arc<Live>, _secs: f64) {
        let Some(bench) = &self.bench else { return };
        let own = {
            let mut in_hand = bench.in_hand();
            let place = in_hand.iter().position(|own| Arc::ptr_eq(&own.live, &live));
            place.map(|place| in_hand.remove(place))
        };
        let Some(own) = own else { return };
        self.wait(async {
            // Acknowledged last: until then another worker would finish what is missing.
            flush(own.publisher).await;
            own.lease.abort();
            let kind = match own.end {
                End::Stored => AckKind::Ack,
                End::Removed => {
                    // What was written since the removal stays no more than the rest.
                    let events = format!("{EVENTS}.{}", live.id);
                    if let Err(error) = wiping::all(&self.reach.events, &events).await {
                        tracing::warn!(%error, "the last events of a removed trace stay for an hour");
                    }
                    AckKind::Ack
                }
                // Interrupted, or NATS was away when its end was to be stored: it is made again.
                End::Open => AckKind::Nak(None),
                // Also an older delivery's acknowledgement would end it for all.
                End::Anothers => return,
            };
            if let Err(error) = own.message.double_ack_with(kind).await {
                tracing::warn!(%error, "a trace that has ended may be handed out again");
            }
        });
        if let Some((mut took, told)) = own.took {
            // To be handed a trace and to hand it over hold the next one up as well.
            took.front_secs += own.asking_secs + told.elapsed().as_secs_f64();
            self.tell(live.size.clone(), took);
        }
    }

    fn leave(&self) {
        let Some(bench) = &self.bench else { return };
        let said = self.wait(self.reach.workers.delete(bench.id.as_str()));
        if let Err(error) = said {
            tracing::debug!(%error, "the web processes will notice by themselves that this worker left");
        }
    }
}

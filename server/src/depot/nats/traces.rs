//! A trace from the web's side: accepted, stopped, deleted; and how many wait.
//! In: what visitors want. Out: entries, media and jobs where every other process finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use app::data::RequestView;
use attribution::event::TraceEvent;
use attribution::record::ChildOf;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::lines::{self, Ticket};
use super::reach::Reach;
use super::records::{self, Entry, Stage};
use super::{BELL, GONE, Nats, STOP, events, nats, wiping};
use crate::admission::JobSize;
use crate::blobs::Blobs;
use crate::depot::Stopped;
use crate::error::ServerError;
use crate::id;
use crate::jobs::Refused;
use crate::live::ATTEMPT_STRIDE;
use crate::sample::Options;
use crate::store::{Child, NewTrace, Stored, from_json, to_json};
use crate::truth::Truth;

/// The code of a trace whose removal has begun before it ended.
pub(super) const REMOVED: &str = "removed";

/// The key of the secret by which clients are told apart.
const SECRET: &str = "clients";

/// What was asked, as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) request: RequestView,
    pub(super) options: Options,
    pub(super) task: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) truth: Option<Truth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) child_of: Option<ChildOf>,
}

impl Question {
    /// With where its trace stands.
    pub(super) fn stored(self, entry: &Entry) -> Stored {
        Stored {
            state: entry.state(),
            last_event: entry.last_event,
            request: self.request,
            options: self.options,
            task: self.task,
            child_of: self.child_of,
        }
    }
}

impl Nats {
    pub(super) async fn accept(&self, new: &NewTrace) -> Result<bool, ServerError> {
        let reach = &self.reach;
        let question = to_json(
            "question",
            &Question {
                request: new.request.clone(),
                options: new.options.clone(),
                task: new.task.clone(),
                truth: new.truth.clone(),
                child_of: new.child_of.clone(),
            },
        )?;
        let media = reach.media.named_in(&question).await?;
        let key = new.delete_key.as_ref();
        let files = &reach.media.blobs;
        let media_bytes: u64 = media.iter().map(|hash| files.len(hash)).sum();
        let entry = Entry {
            created_unix_secs: reach.clock.now_unix_secs(),
            bytes: question.len() as u64 + media_bytes,
            size: JobSize::of(&new.request, &new.options, files),
            by: self.id.clone(),
            client: self.mark(new.marks.client.as_deref()).await?,
            address: self.mark(new.marks.address.as_deref()).await?,
            line: lines::name(&new.request.model, new.gallery.is_some()),
            gallery: new.gallery.clone(),
            delete_hash: key.map(|key| blake3::hash(key.as_bytes()).to_hex().to_string()),
            media,
            ..Entry::default()
        };
        // Who dies from here on leaves a note of what there is to put in order.
        self.underway(&new.id, &entry).await?;
        reach.media.keep(&new.id, &entry.media).await?;
        reach.questions.put(&new.id, &question).await?;
        let made = match reach.ledger.create(&new.id, &entry).await? {
            Some(revision) => {
                // The next question about waits comes before the ledger's own news.
                let stored = entry.created_unix_secs;
                (reach.census).note(&new.id, revision, (0.0, stored), entry.clone());
                true
            }
            None => self.replace_example(&new.id, &entry).await?,
        };
        if let (true, Some(child_of)) = (made, &new.child_of) {
            // A parent that was deleted meanwhile lists nothing any more.
            let list = |entry: &mut Entry| {
                let fresh = !entry.children.contains(&new.id);
                if fresh {
                    entry.children.push(new.id.clone());
                }
                fresh
            };
            reach.ledger.modify(&child_of.id, list).await?;
        }
        if made {
            let ticket = Ticket::Trace(new.id.clone());
            reach.lines.join(&entry.line, &new.id, &ticket).await?;
            self.ring().await?;
        }
        records::erase(&reach.underway, &new.id).await?;
        Ok(made)
    }

    pub(super) async fn question(&self, id: &str) -> Result<Option<Question>, ServerError> {
        let question = self.reach.questions.get(id).await?;
        question
            .map(|question| from_json("question", &question))
            .transpose()
    }

    /// In the order in which they were accepted; deleted ones are left out.
    pub(super) async fn children_of(&self, id: &str) -> Result<Vec<Child>, ServerError> {
        let parent = self.reach.ledger.get(id).await?;
        let mut found = Vec::new();
        for id in parent.map(|entry| entry.children).unwrap_or_default() {
            let entry = self.reach.ledger.get(&id).await?;
            let question = self.question(&id).await?;
            if let (Some(entry), Some(child_of)) = (entry, question.and_then(|own| own.child_of)) {
                found.push(Child {
                    state: entry.state(),
                    without: child_of.without,
                    id,
                });
            }
        }
        Ok(found)
    }

    /// Only a shipped example may be made anew under its id, and by one worker.
    pub(super) async fn replace_example(&self, id: &str, new: &Entry) -> Result<bool, ServerError> {
        let replace = |entry: &mut Entry| {
            let may = entry.gallery.is_some() && new.gallery.is_some();
            let must = entry.gallery != new.gallery || entry.stage == Stage::Failed;
            if may && must {
                // Deliveries of the new job are counted from the begin; what the old ones wrote is gone.
                *entry = new.clone();
            }
            may && must
        };
        let replaced = self.reach.ledger.modify(id, replace).await?;
        let replaced = replaced.is_some_and(|(_, changed)| changed);
        if replaced {
            let events = format!("{}.{id}", events::EVENTS);
            let purged = self.reach.events.purge().filter(events).await;
            purged.map_err(nats("old events cannot be removed"))?;
        }
        Ok(replaced)
    }

    pub(super) async fn ring(&self) -> Result<(), ServerError> {
        let rung = self.reach.client.publish(BELL, "".into()).await;
        rung.map_err(nats("the workers cannot be called"))
    }

    /// Fails where a line is full; such a line's next place is likely free after so long.
    pub(super) async fn room_in(&self, line: &str) -> Result<(), Refused> {
        let line = self.reach.lines.line(line).await.map_err(Refused::Store)?;
        let waiting = line.waiting().await.map_err(Refused::Store)?;
        if waiting < u64::from(self.capacity) {
            return Ok(());
        }
        Err(Refused::Full {
            retry_after_secs: self.waits().0,
        })
    }

    /// Seconds until a place is free, because the next trace begins; and until a new one would begin.
    pub(super) fn waits(&self) -> (u64, f64) {
        let presence = &self.reach.presence;
        let default = presence.models().into_iter().next();
        let line = default.map(|model| lines::name(&model.name, false));
        let waits = (self.reach.census).waits_of_line(&line.unwrap_or_default(), &presence.hands());
        (waits.0.ceil().clamp(1.0, 3600.0) as u64, waits.1)
    }

    /// What tells a client from others, of no use to who does not have the secret.
    pub(super) async fn mark(&self, text: Option<&str>) -> Result<Option<String>, ServerError> {
        let Some(text) = text else { return Ok(None) };
        let kept = self.secret().await?;
        let mark = blake3::keyed_hash(blake3::hash(&kept).as_bytes(), text.as_bytes());
        Ok(Some(mark.to_hex()[..32].to_owned()))
    }

    /// The secret of the house, made where there is none: NATS forgets it when it goes down.
    async fn secret(&self) -> Result<Bytes, ServerError> {
        let bucket = &self.reach.secret;
        let kept = match records::read(bucket, SECRET).await {
            Ok(kept) => kept,
            Err(_) => {
                self.reach.remake_secret().await?;
                None
            }
        };
        if let Some((kept, _)) = kept {
            return Ok(kept);
        }
        let fresh = format!("{}{}{}", id::fresh()?, id::fresh()?, id::fresh()?);
        // Another process may be faster: what is there then counts.
        let _ = bucket.create(SECRET, fresh.into()).await;
        let kept = records::read(bucket, SECRET).await?;
        Ok(kept.ok_or(ServerError::Lost("the secret of a house"))?.0)
    }

    /// Notes that a trace is being accepted or removed.
    async fn underway(&self, id: &str, entry: &Entry) -> Result<(), ServerError> {
        let note = to_json("trace", entry)?;
        let put = self.reach.underway.put(id, note.into()).await;
        put.map(drop).map_err(nats("a trace cannot be noted"))
    }

    /// Removes a trace whatever its state; `false` when it is not there.
    pub(super) async fn take_down_now(&self, id: &str) -> Result<bool, ServerError> {
        let reach = &self.reach;
        let Some(entry) = reach.ledger.get(id).await? else {
            return Ok(false);
        };
        let marked = reach.removed.put(id, "removed".into()).await;
        marked.map_err(nats("a removal cannot be noted"))?;
        if !entry.over() {
            // Nobody shall watch it any more, and the device has better to do.
            self.stop_now(id).await?;
        }
        if let Some(mirror) = reach.mirrors().get(id) {
            mirror.close();
        }
        self.delete_now(id).await?;
        reach.reports.close(id).await?;
        Ok(true)
    }

    pub(super) async fn stop_now(&self, id: &str) -> Result<Stopped, ServerError> {
        let message = "This trace was stopped before the model began.";
        let reach = &self.reach;
        let now = reach.clock.now_unix_secs();
        let stop = |entry: &mut Entry| match entry.stage {
            Stage::Queued => {
                // After every event of the attempts so far, before every event of the next.
                let last = (u64::from(entry.delivery) + 1) * ATTEMPT_STRIDE - 1;
                entry.fail("stopped", message, last, now);
                true
            }
            Stage::Running if !entry.stop => {
                entry.stop = true;
                true
            }
            _ => false,
        };
        let Some((entry, changed)) = reach.ledger.modify(id, stop).await? else {
            return Ok(Stopped::Unknown);
        };
        if entry.stage == Stage::Running {
            let said = (reach.client)
                .publish(format!("{STOP}.{id}"), "".into())
                .await;
            said.map_err(nats("a worker cannot be told to stop"))?;
            return Ok(Stopped::Stopping);
        }
        if !changed {
            return Ok(Stopped::Ended);
        }
        reach.lines.line(&entry.line).await?.leave(id).await?;
        let event = TraceEvent::Failed {
            code: "stopped".into(),
            message: message.into(),
        };
        let (subject, line) = (
            format!("{}.{id}", events::EVENTS),
            to_json("event", &event)?,
        );
        events::send(&reach.js, &subject, &id::fresh()?, entry.last_event, &line).await?;
        count(reach, &self.waiting).await;
        Ok(Stopped::Withdrawn)
    }

    pub(super) async fn delete_now(&self, id: &str) -> Result<(), ServerError> {
        let reach = &self.reach;
        let Some(entry) = reach.ledger.get(id).await? else {
            return Ok(());
        };
        self.underway(id, &entry).await?;
        let mut entry = entry;
        if !entry.over() {
            // Whoever counts open traces hears of changes, not of removals.
            let now = reach.clock.now_unix_secs();
            let close = |entry: &mut Entry| {
                entry.fail(REMOVED, "This trace was removed.", entry.last_event, now);
                true
            };
            if let Some((closed, _)) = reach.ledger.modify(id, close).await? {
                // A worker may have stored files since it was read; from now on none does.
                entry = closed;
            }
        }
        records::erase(&reach.ledger.0, id).await?;
        self.remove_rest(id, &entry).await
    }

    /// Removes what belongs to a trace that is no longer in the ledger.
    pub(super) async fn remove_rest(&self, id: &str, entry: &Entry) -> Result<(), ServerError> {
        let reach = &self.reach;
        reach.questions.remove(id).await?;
        reach.records.remove(id).await?;
        for short in &entry.shares {
            records::erase(&reach.shares, short).await?;
        }
        let events = format!("{}.{id}", events::EVENTS);
        wiping::all(&reach.events, &events).await?;
        reach.mirrors().remove(id);
        let gone = reach.media.release(id, &entry.media).await?;
        self.forget(&gone).await?;
        records::erase(&reach.underway, id).await
    }

    /// Removes copies of files that no trace names any more, here and on every other machine.
    pub(super) async fn forget(&self, gone: &[String]) -> Result<(), ServerError> {
        for hash in gone {
            self.reach.media.forget(hash)?;
        }
        let said = self.reach.client.publish(GONE, gone.join(" ").into()).await;
        said.map_err(nats("copies of a file cannot be removed"))
    }
}

/// Removes this machine's copies of files that no trace names any more, for ever.
pub(super) async fn forget_deleted(reach: Arc<Reach>) {
    let mut said = match reach.client.subscribe(GONE).await {
        Ok(said) => said,
        Err(error) => {
            tracing::error!(%error, "copies of deleted files will stay until the next start");
            return;
        }
    };
    while let Some(message) = said.next().await {
        let hashes = String::from_utf8_lossy(&message.payload);
        for hash in hashes.split(' ').filter(|hash| Blobs::is_hash(hash)) {
            if let Err(error) = reach.media.forget(hash) {
                tracing::error!(%error, "the copy of a deleted file stays");
            }
        }
    }
}

/// Counts who stands in the lines of visitors.
pub(super) async fn count(reach: &Reach, waiting: &AtomicU32) {
    let mut waits = 0;
    for model in reach.presence.models() {
        let line = reach.lines.line(&lines::name(&model.name, false)).await;
        let Ok(line) = line else { return };
        let Ok(waiting) = line.waiting().await else {
            return;
        };
        waits += waiting;
    }
    waiting.store(u32::try_from(waits).unwrap_or(u32::MAX), Ordering::Relaxed);
}

//! A trace from the web's side: accepted, stopped, deleted; and how many wait.
//! In: what visitors want. Out: entries, media and jobs where every other process finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use app::data::RequestView;
use attribution::event::TraceEvent;
use attribution::record::ChildOf;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::lines::{self, Ticket};
use super::reach::Reach;
use super::records::{self, Entry, Stage};
use super::{BELL, GONE, Nats, STOP, events, nats};
use crate::blobs::Blobs;
use crate::depot::Stopped;
use crate::error::ServerError;
use crate::id;
use crate::jobs::Refused;
use crate::live::ATTEMPT_STRIDE;
use crate::sample::Options;
use crate::store::{Child, NewTrace, from_json, to_json};
use crate::truth::Truth;

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
        let mut media = reach.media.blobs.named_in(&question);
        media.sort();
        media.dedup();
        let key = new.delete_key.as_ref();
        let entry = Entry {
            line: lines::name(&new.request.model, new.gallery.is_some()),
            gallery: new.gallery.clone(),
            delete_hash: key.map(|key| blake3::hash(key.as_bytes()).to_hex().to_string()),
            media,
            ..Entry::default()
        };
        reach.media.keep(&new.id, &entry.media).await?;
        reach.questions.put(&new.id, &question).await?;
        let made = reach.ledger.create(&new.id, &entry).await?
            || self.replace_example(&new.id, &entry).await?;
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
        let standing = line.standing().await.map_err(Refused::Store)?;
        if standing.waiting < u64::from(self.capacity) {
            return Ok(());
        }
        Err(Refused::Full {
            retry_after_secs: self.free_in_secs(),
        })
    }

    /// Seconds until some worker has ended what it has.
    pub(super) fn free_in_secs(&self) -> u64 {
        let workers = f64::from(self.reach.presence.workers().max(1));
        let secs = self.reach.presence.mean_secs() / workers;
        secs.ceil().clamp(1.0, 3600.0) as u64
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
        let stop = |entry: &mut Entry| match entry.stage {
            Stage::Queued => {
                // After every event of the attempts so far, before every event of the next.
                let last = (u64::from(entry.delivery) + 1) * ATTEMPT_STRIDE - 1;
                entry.fail("stopped", message, last);
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
        count(reach, &self.waiting, &self.running).await;
        Ok(Stopped::Withdrawn)
    }

    pub(super) async fn delete_now(&self, id: &str) -> Result<(), ServerError> {
        let reach = &self.reach;
        let Some(entry) = reach.ledger.get(id).await? else {
            return Ok(());
        };
        records::erase(&reach.ledger.0, id).await?;
        reach.questions.remove(id).await?;
        reach.records.remove(id).await?;
        for short in &entry.shares {
            records::erase(&reach.shares, short).await?;
        }
        let events = format!("{}.{id}", events::EVENTS);
        let purged = reach.events.purge().filter(events).await;
        purged.map_err(nats("old events cannot be removed"))?;
        reach.mirrors().remove(id);
        let gone = reach.media.release(id, &entry.media).await?;
        for hash in &gone {
            reach.media.blobs.remove(hash)?;
        }
        let said = reach.client.publish(GONE, gone.join(" ").into()).await;
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
            if let Err(error) = reach.media.blobs.remove(hash) {
                tracing::error!(%error, "the copy of a deleted file stays");
            }
        }
    }
}

/// Counts who stands in the lines of visitors.
pub(super) async fn count(reach: &Reach, waiting: &AtomicU32, running: &AtomicU32) {
    let (mut waits, mut runs) = (0, 0);
    for model in reach.presence.models() {
        let line = reach.lines.line(&lines::name(&model.name, false)).await;
        let Ok(line) = line else { return };
        let Ok(standing) = line.standing().await else {
            return;
        };
        waits += standing.waiting;
        runs += standing.running;
    }
    waiting.store(u32::try_from(waits).unwrap_or(u32::MAX), Ordering::Relaxed);
    running.store(u32::try_from(runs).unwrap_or(u32::MAX), Ordering::Relaxed);
}

//! Keeps the operator's promises on many machines: by age, unless shared, and within a quota; and puts in order what a
//! process that died left half-done, or a queue that lost a job. In: a policy. Out: what is gone everywhere.
//!
//! One process at a time is on duty, to spare the others the work; two that sweep at once only find things gone.

use std::collections::BTreeMap;

use async_nats::jetstream::object_store::ObjectInfo;

use super::records::{Entry, Ledger};
use super::traces::REMOVED;
use super::{Nats, reach, records, wiping};
use crate::error::ServerError;
use crate::store::{Policy, Swept, from_json};

/// The key of who is on duty.
pub(super) const DUTY: &str = "sweeper";

/// What is half-done for so long was left by a process that died.
const LEFT_SECS: u64 = 3600;

/// Every file is looked at: once a day is enough.
const ORPHANS_EVERY_SECS: u64 = 24 * 3600;

/// A sweep for room goes on to this share of the quota, so that the next upload does not begin another one.
const ROOM_SHARE: f64 = 0.9;

/// What is known of the traces that have ended, read on from sweep to sweep.
pub(super) struct Kept {
    /// The ledger's last number that was read.
    read: u64,
    ended: BTreeMap<String, Due>,
    orphans_checked: u64,
}

/// What decides how long a trace stays.
#[derive(Debug, Clone, Copy)]
struct Due {
    created: u64,
    ended: u64,
    shared: bool,
    bytes: u64,
}

impl Kept {
    pub(super) fn begun_at(now_unix_secs: u64) -> Self {
        Self {
            read: 0,
            ended: BTreeMap::new(),
            // An hour after the start: a process that is started anew every day looks as well.
            orphans_checked: now_unix_secs.saturating_sub(ORPHANS_EVERY_SECS - LEFT_SECS),
        }
    }

    /// Reads what has changed since the last time.
    async fn catch_up(&mut self, ledger: &Ledger) -> Result<(), ServerError> {
        let keys = format!("$KV.{}.>", ledger.0.name);
        let from = self.read + 1;
        wiping::each(
            &ledger.0.stream,
            &keys,
            from,
            false,
            async |message, number, stored| {
                self.read = self.read.max(number);
                let id = records::key_in(&message.subject);
                let entry = String::from_utf8_lossy(&message.payload);
                match from_json::<Entry>("trace", &entry) {
                    // The shipped examples belong to the program, and would only be made again.
                    Ok(entry) if entry.over() && entry.gallery.is_none() => {
                        self.ended.insert(id.to_owned(), Due::of(&entry, stored));
                    }
                    _ => drop(self.ended.remove(id)),
                }
                Ok(())
            },
        )
        .await
    }

    fn which(&self, due: impl Fn(&Due) -> bool) -> Vec<String> {
        let ended = self.ended.iter().filter(|(_, own)| due(own));
        ended.map(|(id, _)| id.clone()).collect()
    }

    /// What has lain long and weighs much goes first; what somebody shared goes last.
    fn by_weight(&self, now: u64) -> Vec<String> {
        let weight = |due: &Due| {
            let age = now.saturating_sub(due.created) + 1;
            u128::from(age) * u128::from(due.bytes)
        };
        let mut order: Vec<_> = (self.ended.iter())
            .map(|(id, due)| (due.shared, std::cmp::Reverse(weight(due)), due.created, id))
            .collect();
        order.sort();
        order.into_iter().map(|(.., id)| id.clone()).collect()
    }
}

impl Due {
    /// `stored`: when the entry last changed, for what an older program did not note.
    fn of(entry: &Entry, stored: u64) -> Self {
        let created = match entry.created_unix_secs {
            0 => stored,
            known => known,
        };
        Self {
            created,
            ended: entry.ended_unix_secs.unwrap_or(stored),
            shared: !entry.shares.is_empty(),
            bytes: entry.bytes.max(1),
        }
    }
}

impl Nats {
    /// Whether this process sweeps; one that dies is followed by another within a minute or two.
    pub(super) async fn take_duty(&self) -> Result<bool, ServerError> {
        let holds = &self.reach.holds;
        let own = || self.id.clone().into();
        Ok(match records::read(holds, DUTY).await? {
            Some((holder, revision)) if *holder == *self.id.as_bytes() => {
                // One that was away for too long finds another in its place.
                holds.update(DUTY, own(), revision).await.is_ok()
            }
            Some(_) => false,
            None => holds.create(DUTY, own()).await.is_ok(),
        })
    }

    pub(super) async fn sweep_now(&self, policy: &Policy) -> Result<Swept, ServerError> {
        let mut kept = self.kept.lock().await;
        let now = self.reach.clock.now_unix_secs();
        let mut swept = Swept {
            orphans: self.put_in_order(now).await?,
            ..Swept::default()
        };
        for id in (self.reach.census).unchanged_since(now.saturating_sub(LEFT_SECS)) {
            self.find_job(&id).await?;
        }
        if now.saturating_sub(kept.orphans_checked) >= ORPHANS_EVERY_SECS {
            kept.orphans_checked = now;
            swept.orphans += self.drop_orphans(now).await?;
        }
        if *policy == Policy::default() {
            return Ok(swept);
        }
        kept.catch_up(&self.reach.ledger).await?;
        if let Some(days) = policy.keep_days {
            let last = now.saturating_sub(u64::from(days) * 86_400);
            for id in kept.which(|due| due.created <= last) {
                swept.aged += self.let_go(&mut kept, &id, |_| true).await?;
            }
        }
        if let Some(minutes) = policy.unshared_minutes {
            let last = now.saturating_sub(u64::from(minutes) * 60);
            for id in kept.which(|due| due.ended <= last && !due.shared) {
                // Somebody may share it in this moment.
                let unshared = |entry: &Entry| entry.shares.is_empty();
                swept.unshared += self.let_go(&mut kept, &id, unshared).await?;
            }
        }
        if let Some(quota) = policy.quota_bytes
            && self.used().await? > quota
        {
            let goal = (quota as f64 * ROOM_SHARE) as u64;
            for id in kept.by_weight(now) {
                if self.used().await? <= goal {
                    break;
                }
                swept.for_room += self.let_go(&mut kept, &id, |_| true).await?;
            }
        }
        Ok(swept)
    }

    /// Removes a trace if it may still go; how many are gone.
    async fn let_go(
        &self,
        kept: &mut Kept,
        id: &str,
        may: impl Fn(&Entry) -> bool,
    ) -> Result<usize, ServerError> {
        let entry = self.reach.ledger.get(id).await?;
        if let Some(entry) = &entry
            && !(entry.over() && may(entry))
        {
            return Ok(0);
        }
        self.delete_now(id).await?;
        kept.ended.remove(id);
        Ok(usize::from(entry.is_some()))
    }

    /// Bytes that everything in NATS takes.
    pub(super) async fn used(&self) -> Result<u64, ServerError> {
        let sizes = reach::sizes(&self.reach.js).await?;
        Ok(sizes.iter().map(|(_, bytes)| bytes).sum())
    }

    /// Finishes what a process left half-done: a trace in the ledger gets its place in a line, what is not in it is removed.
    async fn put_in_order(&self, now: u64) -> Result<usize, ServerError> {
        let bucket = &self.reach.underway;
        let mut left = Vec::new();
        let keys = format!("$KV.{}.>", bucket.name);
        wiping::each(
            &bucket.stream,
            &keys,
            0,
            false,
            async |message, _, stored| {
                let id = records::key_in(&message.subject);
                if now.saturating_sub(stored) >= LEFT_SECS && !message.payload.is_empty() {
                    left.push((id.to_owned(), message.payload.clone()));
                }
                Ok(())
            },
        )
        .await?;
        let mut removed = 0;
        for (id, noted) in left {
            match self.put_one_in_order(&id, &noted).await {
                Ok(gone) => removed += usize::from(gone),
                // Of a newer program, for example: the others need not wait for it.
                Err(error) => tracing::warn!(%error, id, "what is half-done stays so for now"),
            }
        }
        Ok(removed)
    }

    /// Whether it was removed.
    async fn put_one_in_order(&self, id: &str, noted: &[u8]) -> Result<bool, ServerError> {
        let Some(entry) = self.reach.ledger.get(id).await? else {
            let noted = from_json::<Entry>("trace", &String::from_utf8_lossy(noted))?;
            self.remove_rest(id, &noted).await?;
            return Ok(true);
        };
        if entry.code == REMOVED {
            self.delete_now(id).await?;
            return Ok(true);
        }
        self.find_job(id).await?;
        records::erase(&self.reach.underway, id).await?;
        Ok(false)
    }

    /// An open trace without a job would wait for ever: it gets one again. The process that accepted it died in between, or
    /// NATS lost the end of a queue when the power went.
    async fn find_job(&self, id: &str) -> Result<(), ServerError> {
        let open = async || {
            let entry = self.reach.ledger.get(id).await?;
            Ok::<_, ServerError>(entry.filter(|entry| !entry.over()))
        };
        let Some(entry) = open().await? else {
            return Ok(());
        };
        let line = self.reach.lines.line(&entry.line).await?;
        // Asked in this order: a worker stores how a trace ended before the job leaves the line.
        if line.holds(id).await? || open().await?.is_none() {
            return Ok(());
        }
        tracing::warn!(id, "the job of an open trace was lost, and is queued again");
        self.reach.lines.join_again(&entry.line, id).await?;
        self.ring().await
    }

    /// Removes files that no trace names, and parts of files that have no name, where they have lain for some time.
    async fn drop_orphans(&self, now: u64) -> Result<usize, ServerError> {
        let media = &self.reach.media;
        let mut gone = Vec::new();
        let look = async |info: &ObjectInfo, stored: u64| {
            let hash = &info.name;
            let old = now.saturating_sub(stored) >= LEFT_SECS;
            if old && !media.named(hash).await? && media.drop_unnamed(hash).await? {
                gone.push(hash.to_owned());
            }
            Ok(())
        };
        media.objects.each(look).await?;
        if !gone.is_empty() {
            self.forget(&gone).await?;
        }
        let before = now.saturating_sub(LEFT_SECS);
        let large = &self.reach.records.large;
        let nameless =
            media.objects.drop_nameless(before).await? + large.drop_nameless(before).await?;
        Ok(gone.len() + nameless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_and_heavy_go_first_and_the_shared_last() {
        let mut kept = Kept::begun_at(0);
        let due = |created, bytes, shared| Due {
            created,
            ended: created,
            shared,
            bytes,
        };
        for (id, due) in [
            ("shared", due(0, 400_000, true)),
            ("small", due(100, 1_000, false)),
            ("large", due(100, 400_000, false)),
            ("new", due(200, 100_000, false)),
        ] {
            kept.ended.insert(id.to_owned(), due);
        }
        assert_eq!(kept.by_weight(200), ["large", "small", "new", "shared"]);
        assert_eq!(
            kept.which(|due| due.created <= 100 && !due.shared),
            ["large", "small"]
        );
    }

    #[test]
    fn entries_of_an_older_program_count_from_their_last_change() {
        let old: Entry = from_json(
            "trace",
            r#"{"stage":"finished","attempts":1,"delivery":1,"stop":false,"code":"","message":"","last_event":9,
                "line":"jobs-m","gallery":null,"delete_hash":null,"media":[],"shares":[]}"#,
        )
        .expect("an entry");
        let due = Due::of(&old, 77);
        assert_eq!((due.created, due.ended, due.shared), (77, 77, false));
    }
}

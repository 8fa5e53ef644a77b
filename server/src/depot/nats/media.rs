//! Media in the object store, by content hash, and on this machine's disk where they were read or sent.
//! In: files that a trace names. Out: local files. A file that no trace names any more is gone everywhere.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;

use super::objects::Objects;
use super::shelf::Shelf;
use super::{nats, records, wiping};
use crate::blobs::Blobs;
use crate::error::ServerError;

/// How often somebody who waits for a file to be gone looks again.
const LOOK: Duration = Duration::from_millis(50);

/// Where files are, and who names them.
pub(super) struct Media {
    pub(super) objects: Objects,
    /// One subject per file and trace that names it.
    pub(super) names: Stream,
    /// Files that are just being removed; entries go by themselves when who removes dies.
    pub(super) holds: Store,
    pub(super) js: Context,
    /// This machine's copies.
    pub(super) blobs: Blobs,
    /// How many of them there may be.
    pub(super) shelf: Shelf,
}

/// Every mention begins like this.
pub(super) const NAMES: &str = "omnitrace.names";

impl Media {
    /// Notes that a trace names these files, and makes sure that the object store has them.
    pub(super) async fn keep(&self, id: &str, hashes: &[String]) -> Result<(), ServerError> {
        for hash in hashes {
            // The mention first: who deletes another trace of the same file from now on sees it, and leaves the file.
            let noted = self.js.publish(format!("{NAMES}.{hash}.{id}"), "".into());
            let noted = noted.await.map_err(nats("a file cannot be noted"))?;
            noted.await.map_err(nats("a file cannot be noted"))?;
            // Who looked before the mention may be about to remove it.
            while records::read(&self.holds, &hold(hash)).await?.is_some() {
                tokio::time::sleep(LOOK).await;
            }
            if !self.objects.has(hash).await? {
                self.objects.put(hash, &self.blobs.read(hash)?).await?;
            }
            if self.blobs.path(hash).is_some() {
                self.shelf.used(&self.blobs, hash)?;
            }
        }
        Ok(())
    }

    /// Removes the mentions of a trace, and every file that no other trace names; those that are gone. Done again after a
    /// crash it finishes what was begun.
    pub(super) async fn release(
        &self,
        id: &str,
        hashes: &[String],
    ) -> Result<Vec<String>, ServerError> {
        let mut gone = Vec::new();
        for hash in hashes {
            wiping::last(&self.names, &format!("{NAMES}.{hash}.{id}")).await?;
            if self.drop_unnamed(hash).await? {
                gone.push(hash.clone());
            }
        }
        Ok(gone)
    }

    /// Removes a file that no trace names; whether it is gone.
    pub(super) async fn drop_unnamed(&self, hash: &str) -> Result<bool, ServerError> {
        // One at a time: who ends first must not lift what another needs.
        while self
            .holds
            .create(hold(hash), "removed".into())
            .await
            .is_err()
        {
            // Also where NATS is away: then this is where it is waited for.
            let held = records::read(&self.holds, &hold(hash)).await?;
            tokio::time::sleep(if held.is_some() { LOOK } else { 4 * LOOK }).await;
        }
        let unnamed = !self.named(hash).await?;
        if unnamed {
            self.objects.remove(hash).await?;
        }
        records::erase(&self.holds, &hold(hash)).await?;
        Ok(unnamed)
    }

    /// The local copy of a file that the object store has; fetched where it is missing.
    pub(super) async fn local(&self, hash: &str) -> Result<Option<PathBuf>, ServerError> {
        if !Blobs::is_hash(hash) {
            return Ok(None);
        }
        // Asked even where there is a copy: what was deleted elsewhere must not be shown here.
        if !self.objects.has(hash).await? {
            return Ok(None);
        }
        if self.blobs.path(hash).is_none() {
            let Some(bytes) = self.objects.get(hash).await? else {
                return Ok(None);
            };
            self.blobs.put_named(hash, &bytes)?;
        }
        self.shelf.used(&self.blobs, hash)?;
        Ok(self.blobs.path(hash))
    }

    /// Every hash of a stored file that stands in a text between quotes, sorted; the copy here may have gone meanwhile.
    pub(super) async fn named_in(&self, json: &str) -> Result<Vec<String>, ServerError> {
        let mut words: Vec<&str> = json
            .split('"')
            .filter(|word| Blobs::is_hash(word))
            .collect();
        words.sort_unstable();
        words.dedup();
        let mut hashes = Vec::new();
        for word in words {
            if self.blobs.path(word).is_some() || self.objects.has(word).await? {
                hashes.push(word.to_owned());
            }
        }
        Ok(hashes)
    }

    /// Removes this machine's copy.
    pub(super) fn forget(&self, hash: &str) -> Result<(), ServerError> {
        self.shelf.gone(hash);
        self.blobs.remove(hash)
    }

    /// Whether a trace names a file.
    pub(super) async fn named(&self, hash: &str) -> Result<bool, ServerError> {
        let mentions = format!("{NAMES}.{hash}.*");
        let mut mentions = (self.names.info_builder().subjects(mentions).fetch().await)
            .map_err(nats("a file cannot be looked up"))?;
        match mentions.next().await {
            Some(mention) => mention
                .map(|_| true)
                .map_err(nats("a file cannot be looked up")),
            None => Ok(false),
        }
    }
}

/// The key under which a file's removal is noted.
fn hold(hash: &str) -> String {
    format!("file-{hash}")
}

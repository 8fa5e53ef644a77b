//! Media in the object store, by content hash, and on this machine's disk where they were read or sent.
//! In: files that a trace names. Out: local files. A file that no trace names any more is gone everywhere.

use std::path::PathBuf;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{
    DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectMetadata, ObjectStore,
};
use async_nats::jetstream::stream::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::nats;
use crate::blobs::Blobs;
use crate::error::ServerError;

/// Of an object's parts: fewer round trips than the usual 128 KiB, well below the usual message size of 1 MiB.
const CHUNK_BYTES: usize = 512 << 10;

/// Where files are, and who names them.
pub(super) struct Media {
    pub(super) objects: ObjectStore,
    /// The stream behind `objects`.
    pub(super) raw: Stream,
    /// One subject per file and trace that names it.
    pub(super) names: Stream,
    pub(super) js: Context,
    /// This machine's copies.
    pub(super) blobs: Blobs,
}

/// Every mention begins like this.
pub(super) const NAMES: &str = "omnitrace.names";

impl Media {
    /// Notes that a trace names these files, and makes sure that the object store has them.
    pub(super) async fn keep(&self, id: &str, hashes: &[String]) -> Result<(), ServerError> {
        for hash in hashes {
            // The mention first: who deletes another trace of the same file meanwhile sees it.
            let noted = self.js.publish(format!("{NAMES}.{hash}.{id}"), "".into());
            let noted = noted.await.map_err(nats("a file cannot be noted"))?;
            noted.await.map_err(nats("a file cannot be noted"))?;
            if !self.has(hash).await? {
                put(&self.objects, hash, &self.blobs.read(hash)?).await?;
            }
        }
        Ok(())
    }

    /// Removes the mentions of a trace, and every file that no other trace names; those that are gone.
    pub(super) async fn release(
        &self,
        id: &str,
        hashes: &[String],
    ) -> Result<Vec<String>, ServerError> {
        let mut gone = Vec::new();
        for hash in hashes {
            let mention = format!("{NAMES}.{hash}.{id}");
            let purged = self.names.purge().filter(mention).await;
            purged.map_err(nats("a file cannot be released"))?;
            if self.named(hash).await? {
                continue;
            }
            let kept = self.local(hash).await?;
            remove(&self.objects, hash).await?;
            // Nothing is left of the object, not even that it was there.
            let marker = format!("$O.{}.M.{}", super::MEDIA, URL_SAFE.encode(hash));
            let purged = self.raw.purge().filter(marker).await;
            purged.map_err(nats("a file cannot be removed"))?;
            // Somebody may have sent the same file in the meantime.
            match kept {
                Some(path) if self.named(hash).await? => {
                    let bytes = std::fs::read(&path).map_err(ServerError::file(&path))?;
                    put(&self.objects, hash, &bytes).await?;
                }
                _ => gone.push(hash.clone()),
            }
        }
        Ok(gone)
    }

    /// The local copy of a file that the object store has; fetched where it is missing.
    pub(super) async fn local(&self, hash: &str) -> Result<Option<PathBuf>, ServerError> {
        if !Blobs::is_hash(hash) {
            return Ok(None);
        }
        // Asked even where there is a copy: what was deleted elsewhere must not be shown here.
        if !self.has(hash).await? {
            return Ok(None);
        }
        if self.blobs.path(hash).is_none() {
            let Some(bytes) = get(&self.objects, hash).await? else {
                return Ok(None);
            };
            self.blobs.put_named(hash, &bytes)?;
        }
        Ok(self.blobs.path(hash))
    }

    async fn has(&self, hash: &str) -> Result<bool, ServerError> {
        match self.objects.info(hash).await {
            Ok(info) => Ok(!info.deleted),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
            Err(error) => Err(nats("a file cannot be looked up")(error)),
        }
    }

    async fn named(&self, hash: &str) -> Result<bool, ServerError> {
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

/// Stores bytes under a name.
pub(super) async fn put(
    objects: &ObjectStore,
    name: &str,
    mut bytes: &[u8],
) -> Result<(), ServerError> {
    let named = ObjectMetadata {
        name: name.to_owned(),
        chunk_size: Some(CHUNK_BYTES),
        ..ObjectMetadata::default()
    };
    let put = objects.put(named, &mut bytes).await;
    put.map(drop).map_err(nats("a file cannot be stored"))
}

/// The bytes under a name.
pub(super) async fn get(objects: &ObjectStore, name: &str) -> Result<Option<Vec<u8>>, ServerError> {
    let mut object = match objects.get(name).await {
        Ok(object) => object,
        Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(nats("a file cannot be read")(error)),
    };
    let mut bytes = Vec::new();
    let read = object.read_to_end(&mut bytes).await;
    read.map_err(nats("a file cannot be read"))?;
    Ok(Some(bytes))
}

/// Removes what is under a name; what is not there is as good as removed.
pub(super) async fn remove(objects: &ObjectStore, name: &str) -> Result<(), ServerError> {
    match objects.delete(name).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(()),
        Err(error) => Err(nats("a file cannot be removed")(error)),
    }
}

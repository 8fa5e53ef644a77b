//! An object store: bytes of any size by name, in parts. What is removed leaves nothing behind, neither a mark nor its bytes.

use std::collections::BTreeSet;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{GetErrorKind, ObjectInfo, ObjectMetadata, ObjectStore};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::{nats, wiping};
use crate::error::ServerError;
use crate::store::from_json;

/// Of an object's parts: fewer round trips than the usual 128 KiB, well below the usual message size of 1 MiB.
const CHUNK_BYTES: usize = 512 << 10;

/// One bucket of objects.
#[derive(Clone)]
pub(super) struct Objects {
    bucket: String,
    store: ObjectStore,
    /// The stream behind it.
    raw: Stream,
}

impl Objects {
    pub(super) async fn of(
        js: &Context,
        bucket: &str,
        store: ObjectStore,
    ) -> Result<Self, ServerError> {
        let raw = js.get_stream(format!("OBJ_{bucket}")).await;
        Ok(Self {
            bucket: bucket.to_owned(),
            store,
            raw: raw.map_err(nats("an object store cannot be opened"))?,
        })
    }

    /// Stores bytes under a name.
    pub(super) async fn put(&self, name: &str, mut bytes: &[u8]) -> Result<(), ServerError> {
        let named = ObjectMetadata {
            name: name.to_owned(),
            chunk_size: Some(CHUNK_BYTES),
            ..ObjectMetadata::default()
        };
        let put = self.store.put(named, &mut bytes).await;
        put.map(drop).map_err(nats("a file cannot be stored"))
    }

    /// The bytes under a name.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ServerError> {
        let mut object = match self.store.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(nats("a file cannot be read")(error)),
        };
        let mut bytes = Vec::new();
        let read = object.read_to_end(&mut bytes).await;
        read.map_err(nats("a file cannot be read"))?;
        Ok(Some(bytes))
    }

    /// Whether there is something under a name.
    pub(super) async fn has(&self, name: &str) -> Result<bool, ServerError> {
        Ok(self
            .entry(name)
            .await?
            .is_some_and(|(_, info)| !info.deleted))
    }

    /// Removes what is under a name; what is not there is as good as removed.
    pub(super) async fn remove(&self, name: &str) -> Result<(), ServerError> {
        let Some((_, info)) = self.entry(name).await? else {
            return Ok(());
        };
        // The name first: what has lost its parts must not be found.
        wiping::last(&self.raw, &self.subject(name)).await?;
        wiping::all(&self.raw, &self.parts_of(&info.nuid)).await
    }

    /// Goes through all objects, each with the seconds since the epoch at which it was stored.
    pub(super) async fn each(
        &self,
        mut take: impl AsyncFnMut(&ObjectInfo, u64) -> Result<(), ServerError>,
    ) -> Result<(), ServerError> {
        let names = format!("$O.{}.M.>", self.bucket);
        wiping::each(
            &self.raw,
            &names,
            0,
            false,
            async |message, _, stored| match from_json::<ObjectInfo>(
                "file",
                &String::from_utf8_lossy(&message.payload),
            ) {
                Ok(info) if !info.deleted => take(&info, stored).await,
                Ok(_) => Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "an object is not understood");
                    Ok(())
                }
            },
        )
        .await
    }

    /// Removes parts that no object has and that were stored before: whoever wrote them died, or another was faster. How many
    /// objects they would have been.
    pub(super) async fn drop_nameless(&self, before_unix_secs: u64) -> Result<usize, ServerError> {
        let mut nameless = self.parts().await?;
        // Names are read after parts: what is finished in between has one.
        self.each(async |info, _| {
            nameless.remove(&self.parts_of(&info.nuid));
            Ok(())
        })
        .await?;
        let mut gone = 0;
        for parts in nameless {
            let last = match self.raw.get_last_raw_message_by_subject(&parts).await {
                Ok(last) => last,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(nats("a file cannot be looked up")(error)),
            };
            let stored = u64::try_from(last.time.unix_timestamp()).unwrap_or(0);
            if stored <= before_unix_secs {
                wiping::all(&self.raw, &parts).await?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// The subjects of all parts, one for each object or would-be object.
    pub(super) async fn parts(&self) -> Result<BTreeSet<String>, ServerError> {
        let failed = "files cannot be looked through";
        let parts = self.parts_of("*");
        let mut listed =
            (self.raw.info_builder().subjects(parts).fetch().await).map_err(nats(failed))?;
        let mut found = BTreeSet::new();
        while let Some(subject) = listed.next().await {
            found.insert(subject.map_err(nats(failed))?.0);
        }
        Ok(found)
    }

    fn parts_of(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.bucket)
    }

    async fn entry(&self, name: &str) -> Result<Option<(u64, ObjectInfo)>, ServerError> {
        let subject = self.subject(name);
        match self.raw.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => {
                let info = from_json("file", &String::from_utf8_lossy(&message.payload))?;
                Ok(Some((message.sequence, info)))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(nats("a file cannot be looked up")(error)),
        }
    }

    fn subject(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name))
    }
}

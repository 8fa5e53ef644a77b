//! What lasts: where each trace stands, what was asked, its record, its short links; in key-value buckets.
//! In: text by key. Out: the same, from whichever process asks. Values above the message size go to the object store.

use std::io::{Read, Write};

use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::objects::Objects;
use super::{nats, wiping};
use crate::admission::JobSize;
use crate::error::ServerError;
use crate::store::{self, from_json};

/// How often a change is tried again when another process changed the same entry meanwhile.
const MAX_CONFLICTS: usize = 20;

/// Where a trace stands; small, rewritten at each step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    /// Attempts that count, as in [`crate::store::Pending`].
    pub(super) attempts: u32,
    /// The delivery whose worker may write; a worker that was given up for dead may not.
    pub(super) delivery: u32,
    /// Somebody asked to stop it.
    pub(super) stop: bool,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) last_event: u64,
    /// Its model's line, and whether it waits behind visitors.
    pub(super) line: String,
    /// For a shipped example: what it was made from.
    pub(super) gallery: Option<String>,
    /// Hash of the key that deletes it.
    pub(super) delete_hash: Option<String>,
    /// Every media file it names, sorted.
    pub(super) media: Vec<String>,
    /// Its short links.
    pub(super) shares: Vec<String>,
    /// The traces that repeat its question without some sources.
    #[serde(default)]
    pub(super) children: Vec<String>,
    /// When it was accepted; 0 where an older program did not say.
    #[serde(default)]
    pub(super) created_unix_secs: u64,
    /// When it ended, once it has.
    #[serde(default)]
    pub(super) ended_unix_secs: Option<u64>,
    /// Of its question, its record and its media.
    #[serde(default)]
    pub(super) bytes: u64,
    /// What its request tells of its cost.
    #[serde(default)]
    pub(super) size: JobSize,
    /// The process that accepted it.
    #[serde(default)]
    pub(super) by: String,
    /// The worker that has it, or had it last.
    #[serde(default)]
    pub(super) worker: String,
    /// Whose it is, while it is open: of the client and of the address, keyed hashes.
    #[serde(default)]
    pub(super) client: Option<String>,
    #[serde(default)]
    pub(super) address: Option<String>,
}

/// The stages of a trace's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    #[default]
    Queued,
    Running,
    Finished,
    Failed,
}

impl Entry {
    /// As the rest of the server sees it.
    pub(super) fn state(&self) -> store::State {
        match self.stage {
            Stage::Queued | Stage::Running => store::State::Open,
            Stage::Finished => store::State::Finished,
            Stage::Failed => store::State::Failed {
                code: self.code.clone(),
                message: self.message.clone(),
            },
        }
    }

    /// Nothing will change it any more.
    pub(super) fn over(&self) -> bool {
        matches!(self.stage, Stage::Finished | Stage::Failed)
    }

    pub(super) fn fail(&mut self, code: &str, message: &str, last_event: u64, now_unix_secs: u64) {
        self.code = code.to_owned();
        self.message = message.to_owned();
        self.end(Stage::Failed, last_event, now_unix_secs);
    }

    /// Nobody's any more.
    pub(super) fn end(&mut self, stage: Stage, last_event: u64, now_unix_secs: u64) {
        self.stage = stage;
        self.last_event = last_event;
        self.ended_unix_secs = Some(now_unix_secs);
        self.client = None;
        self.address = None;
    }
}

/// Whether a word from outside may become part of a subject: ids and short links are such words, wildcards are not.
pub(super) fn plain(word: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=128).contains(&word.len()) && word.bytes().all(fits)
}

/// The last value under a key and its revision, from the stream's leader: what was just written elsewhere is seen here.
pub(super) async fn read(bucket: &Store, key: &str) -> Result<Option<(Bytes, u64)>, ServerError> {
    if !plain(key) {
        return Ok(None);
    }
    let subject = format!("$KV.{}.{key}", bucket.name);
    match bucket
        .stream
        .get_last_raw_message_by_subject(&subject)
        .await
    {
        // A marker of a deletion has no payload.
        Ok(message) if message.payload.is_empty() => Ok(None),
        Ok(message) => Ok(Some((message.payload, message.sequence))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(nats("a record cannot be read")(error)),
    }
}

/// Removes a key without a trace.
pub(super) async fn erase(bucket: &Store, key: &str) -> Result<(), ServerError> {
    if !plain(key) {
        return Ok(());
    }
    wiping::last(&bucket.stream, &format!("$KV.{}.{key}", bucket.name)).await
}

/// The entries of all traces.
#[derive(Debug, Clone)]
pub(super) struct Ledger(pub(super) Store);

impl Ledger {
    /// Its revision; `None` when there is one already.
    pub(super) async fn create(&self, id: &str, entry: &Entry) -> Result<Option<u64>, ServerError> {
        match self.0.create(id, json(entry)?).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(nats("a trace cannot be accepted")(error)),
        }
    }

    pub(super) async fn get(&self, id: &str) -> Result<Option<Entry>, ServerError> {
        Ok(self.revised(id).await?.map(|(entry, _)| entry))
    }

    /// Changes an entry, unless `change` says that it may not; the entry as it is then, and whether it was changed.
    pub(super) async fn modify(
        &self,
        id: &str,
        mut change: impl FnMut(&mut Entry) -> bool,
    ) -> Result<Option<(Entry, bool)>, ServerError> {
        for _ in 0..MAX_CONFLICTS {
            let Some((mut entry, revision)) = self.revised(id).await? else {
                return Ok(None);
            };
            if !change(&mut entry) {
                return Ok(Some((entry, false)));
            }
            match self.0.update(id, json(&entry)?, revision).await {
                Ok(_) => return Ok(Some((entry, true))),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(nats("a trace cannot be changed")(error)),
            }
        }
        Err(ServerError::Lost("a change of a trace"))
    }

    async fn revised(&self, id: &str) -> Result<Option<(Entry, u64)>, ServerError> {
        let Some((bytes, revision)) = read(&self.0, id).await? else {
            return Ok(None);
        };
        let entry = from_json("trace", &String::from_utf8_lossy(&bytes))?;
        Ok(Some((entry, revision)))
    }
}

fn json(entry: &Entry) -> Result<Bytes, ServerError> {
    Ok(store::to_json("trace", entry)?.into())
}

/// Texts of any size, compressed.
#[derive(Clone)]
pub(super) struct Cabinet {
    pub(super) bucket: Store,
    /// For what is larger than a message.
    pub(super) large: Objects,
    pub(super) most_inline_bytes: usize,
}

/// First byte of a value: the text follows, or lies in the object store.
const INLINE: u8 = 0;
const LARGE: u8 = 1;

impl Cabinet {
    pub(super) async fn put(&self, key: &str, text: &str) -> Result<(), ServerError> {
        let packed = pack(text.as_bytes())?;
        let mut value = vec![INLINE];
        if packed.len() > self.most_inline_bytes {
            value[0] = LARGE;
            self.large.put(&self.object(key), &packed).await?;
        } else {
            value.extend_from_slice(&packed);
        }
        let put = self.bucket.put(key, value.into()).await;
        put.map(drop).map_err(nats("a record cannot be stored"))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<String>, ServerError> {
        let Some((value, _)) = read(&self.bucket, key).await? else {
            return Ok(None);
        };
        let text = match value.split_first() {
            Some((&LARGE, _)) => match self.large.get(&self.object(key)).await? {
                Some(packed) => unpack(&packed)?,
                None => return Ok(None),
            },
            Some((_, packed)) => unpack(packed)?,
            None => return Ok(None),
        };
        Ok(Some(text))
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), ServerError> {
        // Whatever the bucket says: who stored a large one may have died before the bucket named it.
        self.large.remove(&self.object(key)).await?;
        erase(&self.bucket, key).await
    }

    fn object(&self, key: &str) -> String {
        format!("{}.{key}", self.bucket.name)
    }
}

fn broken(error: std::io::Error) -> ServerError {
    ServerError::Nats {
        what: "a record cannot be packed",
        reason: error.to_string(),
    }
}

fn pack(text: &[u8]) -> Result<Vec<u8>, ServerError> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text).map_err(broken)?;
    packed.finish().map_err(broken)
}

fn unpack(packed: &[u8]) -> Result<String, ServerError> {
    let mut text = String::new();
    let bound = store::MAX_PAGE_BYTES as u64;
    let mut unpacked = ZlibDecoder::new(packed).take(bound);
    unpacked.read_to_string(&mut text).map_err(broken)?;
    Ok(text)
}

/// The key that a bucket's subject ends with: `$KV.BUCKET.KEY`. Our keys hold no dot.
pub(super) fn key_in(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_no_ids() {
        for word in ["", "*", ">", "a.b", "a b", "A", "ä", &"a".repeat(129)] {
            assert!(!plain(word), "{word}");
        }
        assert!(plain("visual-qa-1") && plain("k3n9"));
    }

    #[test]
    fn what_is_packed_comes_back() {
        let text = "{\"tokens\":[1,2,3]} ä ".repeat(1000);
        let packed = pack(text.as_bytes()).expect("packed");
        assert!(packed.len() * 10 < text.len());
        assert_eq!(unpack(&packed).expect("unpacked"), text);
        assert!(unpack(b"nonsense").is_err());
    }
}

//! What lies behind a NATS address: connects, and makes the buckets and streams that are missing.
//! In: `--nats` and its sisters. Out: a [`Reach`], shared by everything in this process that talks to NATS.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{self, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};
use tokio::sync::watch;

use super::census::Census;
use super::lines::Lines;
use super::media::{Media, NAMES};
use super::objects::Objects;
use super::presence::{GONE, Presence};
use super::records::{Cabinet, Ledger};
use super::reports::Reports;
use super::shelf::Shelf;
use super::took::TOOK;
use super::watching::Mirror;
use super::{MEDIA, NatsArgs, nats};
use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::error::ServerError;
use futures_util::StreamExt;
use tokio::runtime::Builder;

/// What a message carries besides its payload.
const HEADER_BYTES: usize = 8 << 10;

/// Events are kept so long, and so many: a late viewer of a running trace misses nothing.
const EVENTS_KEPT: Duration = Duration::from_secs(3600);
const EVENTS_MAX_BYTES: i64 = 1 << 30;

/// Entries that go by themselves when the process that made them is gone.
pub(super) const HELD: Duration = Duration::from_secs(60);

/// How often, and how many times, it is looked whether another process has made what could not be made here.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 20;

/// Traces of one model by which waits are told.
const TOOK_KEPT: i64 = 96;

/// The connection and everything behind it.
pub(super) struct Reach {
    pub(super) client: Client,
    pub(super) js: Context,
    pub(super) ledger: Ledger,
    /// What was asked, by trace.
    pub(super) questions: Cabinet,
    pub(super) records: Cabinet,
    pub(super) shares: Store,
    pub(super) reports: Reports,
    /// Ids that the operator removed.
    pub(super) removed: Store,
    pub(super) media: Media,
    pub(super) events: Stream,
    pub(super) lines: Lines,
    /// Workers' signs of life.
    pub(super) workers: Store,
    pub(super) presence: Presence,
    /// Open traces, as this process has heard of them.
    pub(super) census: Census,
    /// What traces took.
    pub(super) took: Stream,
    /// Traces that are just being accepted or removed: what a process that died left half-done.
    pub(super) underway: Store,
    /// Who sweeps, and which files are being removed.
    pub(super) holds: Store,
    /// The secret by which clients are told apart; never on a disk.
    pub(super) secret: Store,
    pub(super) clock: Clock,
    pub(super) mirrors: Mutex<BTreeMap<String, Mirror>>,
    /// Becomes true when this process begins no job any more.
    pub(super) draining: watch::Sender<bool>,
    /// Becomes true when this process goes down.
    pub(super) down: watch::Sender<bool>,
}

impl Reach {
    /// `cache_dir`: where this process keeps copies of media; what is in it is removed first.
    pub(super) async fn connect(
        args: &NatsArgs,
        cache_dir: &Path,
        clock: Clock,
    ) -> Result<Self, ServerError> {
        let client = client(args).await?;
        let js = jetstream::new(client.clone());
        let replicas = args.nats_replicas.clamp(1, 5);
        let most_inline_bytes = client.max_payload().saturating_sub(HEADER_BYTES);
        let make = Make { js: &js, replicas };
        let large = make.objects("omnitrace-large").await?;
        let cabinet = async |bucket: &str| -> Result<Cabinet, ServerError> {
            Ok(Cabinet {
                bucket: make.bucket(bucket, Duration::ZERO).await?,
                large: large.clone(),
                most_inline_bytes,
            })
        };
        // A copy of what was deleted while this process was away must not come back.
        if cache_dir.exists() {
            std::fs::remove_dir_all(cache_dir).map_err(ServerError::file(cache_dir))?;
        }
        let objects = make.objects(MEDIA).await?;
        let holds = make.bucket("omnitrace-holds", HELD).await?;
        let names = stream::Config {
            max_messages_per_subject: 1,
            ..make.stream("omnitrace-names", NAMES)
        };
        let events = stream::Config {
            max_age: EVENTS_KEPT,
            max_bytes: EVENTS_MAX_BYTES,
            ..make.stream("omnitrace-events", super::events::EVENTS)
        };
        let took = stream::Config {
            max_messages_per_subject: TOOK_KEPT,
            ..make.stream("omnitrace-took", TOOK)
        };
        let made = "a stream cannot be made";
        Ok(Self {
            ledger: Ledger(make.bucket("omnitrace-traces", Duration::ZERO).await?),
            questions: cabinet("omnitrace-questions").await?,
            records: cabinet("omnitrace-records").await?,
            shares: make.bucket("omnitrace-shares", Duration::ZERO).await?,
            reports: Reports(
                make.bucket("omnitrace-reports", Duration::ZERO).await?,
                clock.clone(),
            ),
            removed: make.bucket("omnitrace-removed", Duration::ZERO).await?,
            workers: make.bucket("omnitrace-workers", GONE).await?,
            media: Media {
                objects,
                holds: holds.clone(),
                shelf: Shelf::new(args.nats_cache),
                names: js.get_or_create_stream(names).await.map_err(nats(made))?,
                js: js.clone(),
                blobs: Blobs::open(cache_dir)?,
            },
            events: js.get_or_create_stream(events).await.map_err(nats(made))?,
            lines: Lines {
                js: js.clone(),
                replicas,
                lease: Duration::from_secs(args.nats_lease_secs.max(1)),
                known: tokio::sync::Mutex::default(),
            },
            presence: Presence::default(),
            census: Census::default(),
            took: js.get_or_create_stream(took).await.map_err(nats(made))?,
            underway: make.bucket("omnitrace-underway", Duration::ZERO).await?,
            secret: make.secret("omnitrace-secret").await?,
            holds,
            clock,
            mirrors: Mutex::default(),
            draining: watch::Sender::new(false),
            down: watch::Sender::new(false),
            client,
            js,
        })
    }

    /// Makes the bucket of the secret again: it lies in the memory of NATS alone.
    pub(super) async fn remake_secret(&self) -> Result<(), ServerError> {
        let replicas = self.lines.replicas;
        let make = Make {
            js: &self.js,
            replicas,
        };
        make.secret("omnitrace-secret").await.map(drop)
    }

    pub(super) fn mirrors(&self) -> MutexGuard<'_, BTreeMap<String, Mirror>> {
        // Every change is a single insertion or removal.
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects, and makes sure that the server is new enough.
pub(super) async fn client(args: &NatsArgs) -> Result<Client, ServerError> {
    let url = args.nats.as_deref().unwrap_or_default();
    let failed = "the server of --nats cannot be reached";
    let addresses: Vec<ServerAddr> = url
        .split(',')
        .map(|address| address.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(nats("--nats takes addresses such as nats://host:4222"))?;
    let mut options = ConnectOptions::new().name("omnitrace");
    if let Some(file) = &args.nats_creds {
        let read = options.credentials_file(file).await;
        options = read.map_err(ServerError::file(file))?;
    }
    let client = options.connect(addresses).await.map_err(nats(failed))?;
    if !client.is_server_compatible(2, 9, 0) {
        return Err(ServerError::Nats {
            what: "nats-server is too old",
            reason: format!("{}: use 2.9 or later", client.server_info().version),
        });
    }
    Ok(client)
}

/// Makes what is missing; what is there keeps its settings.
struct Make<'a> {
    js: &'a Context,
    replicas: usize,
}

impl Make<'_> {
    fn stream(&self, name: &str, subject: &str) -> stream::Config {
        stream::Config {
            name: name.to_owned(),
            subjects: vec![format!("{subject}.>")],
            num_replicas: self.replicas,
            ..stream::Config::default()
        }
    }

    async fn bucket(&self, name: &str, max_age: Duration) -> Result<Store, ServerError> {
        if let Ok(bucket) = self.js.get_key_value(name).await {
            return Ok(bucket);
        }
        // As the client would make it, but without asking for the account first: the answer of nats-server 2.9 is not
        // one that the client reads.
        // Deletion is allowed besides: it overwrites, a purge does not.
        self.made(self.key_value(name, max_age)).await?;
        let bucket = self.js.get_key_value(name).await;
        bucket.map_err(nats("a bucket cannot be opened"))
    }

    /// A bucket in memory alone.
    async fn secret(&self, name: &str) -> Result<Store, ServerError> {
        if let Ok(bucket) = self.js.get_key_value(name).await {
            return Ok(bucket);
        }
        let config = stream::Config {
            storage: StorageType::Memory,
            ..self.key_value(name, Duration::ZERO)
        };
        self.made(config).await?;
        let bucket = self.js.get_key_value(name).await;
        bucket.map_err(nats("a bucket cannot be opened"))
    }

    fn key_value(&self, name: &str, max_age: Duration) -> stream::Config {
        stream::Config {
            max_messages_per_subject: 1,
            max_age,
            allow_rollup: true,
            allow_direct: true,
            discard: stream::DiscardPolicy::New,
            ..self.stream(&format!("KV_{name}"), &format!("$KV.{name}"))
        }
    }

    async fn made(&self, config: stream::Config) -> Result<(), ServerError> {
        let made = self.js.get_or_create_stream(config).await;
        made.map(drop).map_err(nats(
            "a bucket cannot be made (does nats-server run with JetStream, `nats-server -js`?)",
        ))
    }

    async fn objects(&self, name: &str) -> Result<Objects, ServerError> {
        if let Ok(store) = self.js.get_object_store(name).await {
            return Objects::of(self.js, name, store).await;
        }
        let config = object_store::Config {
            bucket: name.to_owned(),
            num_replicas: self.replicas,
            ..object_store::Config::default()
        };
        let made = match self.js.create_object_store(config).await {
            Ok(made) => made,
            // Two processes that start at once: the other was faster, and its answer is on the way.
            Err(error) => (self.made_by_another(name).await).ok_or_else(|| {
                let failed = "an object store cannot be made (does nats-server run with JetStream, `nats-server -js`?)";
                nats(failed)(error)
            })?,
        };
        Objects::of(self.js, name, made).await
    }

    /// An object store that another process makes in this moment.
    async fn made_by_another(&self, name: &str) -> Option<ObjectStore> {
        for _ in 0..LOOKS {
            if let Ok(store) = self.js.get_object_store(name).await {
                return Some(store);
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }
}

/// Bytes that each stream behind a NATS address holds, by name.
pub fn stored_sizes(args: &NatsArgs) -> Result<Vec<(String, u64)>, ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(nats("the streams cannot be listed"))?;
    runtime.block_on(async { sizes(&jetstream::new(client(args).await?)).await })
}

/// Bytes of each of the house's streams, by name.
pub(super) async fn sizes(js: &Context) -> Result<Vec<(String, u64)>, ServerError> {
    let mut streams = js.streams();
    let mut sizes = Vec::new();
    while let Some(stream) = streams.next().await {
        let stream = stream.map_err(nats("the streams cannot be listed"))?;
        if stream.config.name.contains("omnitrace-") {
            sizes.push((stream.config.name, stream.state.bytes));
        }
    }
    sizes.sort();
    Ok(sizes)
}

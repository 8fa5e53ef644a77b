//! What an operator chooses, and the bounds on what a visitor may send.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use engine::Precision;

use crate::admission::Rules;
use crate::clock::Clock;
use crate::depot::NatsArgs;
use crate::models::memory::parse_bytes;
use crate::store::Policy;

/// Longest sound or film, unless the operator says otherwise.
pub const MAX_MEDIA_SECS: f64 = 300.0;

/// Traces that are made at a time, unless the operator says otherwise.
pub const DEFAULT_TOGETHER: u16 = 1;

/// Each of them has keys and values of its own in memory.
const MOST_TOGETHER: i64 = 64;

/// `omnitrace serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// Address to listen on.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:3000",
        env = "OMNITRACE_LISTEN"
    )]
    pub listen: SocketAddr,
    /// Where traces and media are kept.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        env = "OMNITRACE_DATA"
    )]
    pub data: PathBuf,
    /// What answers.
    #[command(flatten)]
    pub models: ModelsConfig,
    /// Serve the page's scripts and styles from here instead of from inside this program.
    #[arg(long, value_name = "DIR")]
    pub site: Option<PathBuf>,
    /// Traces that may wait before the next is refused.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub queue: usize,
    /// Traces of one model that are made at a time: they take their decode steps together, so that weights are read once for
    /// all. Each is the same as alone; together they end sooner, each by itself later. Each keeps keys and values of its own
    /// in memory. 4 is good for models whose weights do not fit the processor's caches; the tiny one gains nothing.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_TOGETHER,
        value_parser = clap::value_parser!(u16).range(1..=MOST_TOGETHER),
        env = "OMNITRACE_TOGETHER"
    )]
    pub together: u16,
    /// Also listen here, and answer GET /metrics in the format of Prometheus. Keep this address inside the house.
    #[arg(long, value_name = "ADDR", env = "OMNITRACE_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Seconds that a running trace has to end after SIGTERM or ctrl-c, while pages go on being served; then it is put back
    /// into the queue. A second signal does not wait.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 60,
        env = "OMNITRACE_DRAIN_SECS"
    )]
    pub drain_secs: u64,
    /// Who may ask, and under which name.
    #[command(flatten)]
    pub access: AccessConfig,
    /// Who may have how much of the device.
    #[command(flatten)]
    pub admission: AdmissionConfig,
    /// What is kept, and for how long.
    #[command(flatten)]
    pub policy: PolicyConfig,
    /// Do not make the shipped examples at the first start.
    #[arg(long)]
    pub no_examples: bool,
    /// With `--nats` this process has no model of its own: `omnitrace work` has.
    #[command(flatten)]
    pub nats: NatsArgs,
}

/// Which models a process has, and in which memory.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelsConfig {
    /// Models to offer (repeat the option): a directory in the hub's layout, or an id on the hub such as
    /// Qwen/Qwen2.5-Omni-7B, which is downloaded into the hub's cache. The first is the default and is loaded at once, the
    /// others on first use. Without this option: the tiny model inside this program.
    #[arg(
        long = "model",
        value_name = "DIR|ID",
        env = "OMNITRACE_MODEL",
        value_delimiter = ','
    )]
    pub wanted: Vec<String>,
    /// Precision of weights and activations: f32, bf16 or f16. Default: f32 for small models,
    /// that of the files for large ones, bf16 on a GPU.
    #[arg(long, value_name = "NAME", env = "OMNITRACE_DTYPE")]
    pub dtype: Option<Precision>,
    /// Memory that the weights of all models may take together, for example 18G; beyond it the least recently used model
    /// goes. Default: 85 % of what is available at the start.
    #[arg(long, value_name = "SIZE", env = "OMNITRACE_MODEL_MEMORY", value_parser = parse_bytes)]
    pub model_memory: Option<u64>,
    /// Whisper model that writes transcripts for sounds whose units shall follow what is said: a directory in the hub's
    /// layout, or an id on the hub such as openai/whisper-small. Without one such units follow the voice alone.
    #[arg(long, value_name = "DIR|ID", env = "OMNITRACE_ASR_MODEL")]
    pub asr_model: Option<String>,
}

/// `omnitrace work`.
#[derive(Debug, Clone, Args)]
pub struct WorkConfig {
    /// Where jobs come from and records go; required.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Where copies of media are kept while they are needed; several workers of one machine may share it.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "worker-data",
        env = "OMNITRACE_WORKER_DATA"
    )]
    pub data: PathBuf,
    /// What answers; only these models' traces come here.
    #[command(flatten)]
    pub models: ModelsConfig,
    /// Traces of one model that are made at a time by this worker: they take their decode steps together, so that weights are
    /// read once for all. Each is the same as alone; together they end sooner, each by itself later. 4 is good for models
    /// whose weights do not fit the processor's caches.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DEFAULT_TOGETHER,
        value_parser = clap::value_parser!(u16).range(1..=MOST_TOGETHER),
        env = "OMNITRACE_TOGETHER"
    )]
    pub together: u16,
    /// Listen here, and answer GET /metrics in the format of Prometheus.
    #[arg(long, value_name = "ADDR", env = "OMNITRACE_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Seconds that running traces have to end after SIGTERM or ctrl-c; then they are put back into the queue. A second
    /// signal does not wait.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 60,
        env = "OMNITRACE_DRAIN_SECS"
    )]
    pub drain_secs: u64,
    /// Make the shipped examples where they are missing: for one worker of the house.
    #[arg(long)]
    pub examples: bool,
}

/// Who may ask, and under which name.
#[derive(Debug, Clone, Default, Args)]
pub struct AccessConfig {
    /// Address under which people reach this server, for example https://trace.example.org: links and QR codes lead there,
    /// whatever a request claims. Without it they lead to the host that each request names.
    #[arg(long, value_name = "URL", env = "OMNITRACE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// File of API tokens, a `NAME TOKEN` on each line. With it, programs must send one as `Authorization: Bearer TOKEN`;
    /// the page needs none.
    #[arg(long, value_name = "FILE", env = "OMNITRACE_API_TOKEN_FILE")]
    pub api_token_file: Option<PathBuf>,
    /// File of operators' tokens, a `NAME TOKEN` on each line: they read reports of abuse and take traces down over HTTP
    /// (`GET /api/admin/reports`, `POST /api/admin/takedown/ID`). `omnitrace admin` does so without, on the machine itself.
    #[arg(long, value_name = "FILE", env = "OMNITRACE_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
}

/// Who may have how much of the device.
#[derive(Debug, Clone, Args)]
pub struct AdmissionConfig {
    /// Traces that one client may have waiting and running: a browser (by a random cookie) or the holder of an API token.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub jobs_per_client: usize,
    /// Traces from one public address (or one /64 network), cookies or not.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub jobs_per_address: usize,
    /// Tokens that an answer may have at most.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub max_tokens: u32,
    /// Longest sound or film that a visitor may send, in seconds. A model hears and sees no more than it can, but the whole
    /// file is kept and can be looked at.
    #[arg(long, value_name = "SECS", default_value_t = MAX_MEDIA_SECS, env = "OMNITRACE_MAX_MEDIA_SECS")]
    pub max_media_secs: f64,
    /// Seconds that a trace may take on the device; then it ends with what it has.
    #[arg(long, value_name = "SECS", default_value_t = 600.0)]
    pub job_secs: f64,
    /// File of invitations, a `NAME TOKEN` on each line: who opens /join/TOKEN (or sends it as `X-OmniTrace-Invite`) may use
    /// the places in the queue that are kept for a workshop.
    #[arg(long, value_name = "FILE", env = "OMNITRACE_INVITE_TOKEN_FILE")]
    pub invite_token_file: Option<PathBuf>,
    /// Places of --queue that are kept for who was invited.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub invite_places: usize,
    /// A reverse proxy of your own stands in front of this server and tells in `X-Forwarded-For` where requests come from.
    #[arg(long, env = "OMNITRACE_FORWARDED_FOR")]
    pub forwarded_for: bool,
}

impl Default for AdmissionConfig {
    /// As on the command line.
    fn default() -> Self {
        Self {
            jobs_per_client: 4,
            jobs_per_address: 16,
            max_tokens: 2048,
            max_media_secs: MAX_MEDIA_SECS,
            job_secs: 600.0,
            invite_token_file: None,
            invite_places: 8,
            forwarded_for: false,
        }
    }
}

impl AdmissionConfig {
    /// The bounds of a queue with so many places; without invitations none is kept back.
    pub fn rules(&self, queue: usize, invites: bool) -> Rules {
        let queue = queue.max(1);
        Rules {
            queue,
            reserved: if invites {
                self.invite_places.min(queue - 1)
            } else {
                0
            },
            of_client: self.jobs_per_client.max(1),
            of_address: self.jobs_per_address.max(1),
        }
    }

    /// The bounds on a request, with those that the operator chose.
    pub fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            max_new_tokens: self.max_tokens.max(1),
            max_job_secs: self.job_secs.max(1.0),
            media: media::Limits {
                max_secs: self.max_media_secs,
                ..usual.media
            },
            ..usual
        }
    }
}

/// What is kept, and for how long; /privacy tells visitors.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyConfig {
    /// Days after which a trace and its files are deleted, shared or not. Default: never.
    #[arg(long, value_name = "N", env = "OMNITRACE_KEEP_DAYS")]
    pub keep_days: Option<u32>,
    /// Minutes after its end at which a trace that nobody has shared is deleted with its files. Default: never.
    #[arg(long, value_name = "N", env = "OMNITRACE_UNSHARED_MINUTES")]
    pub unshared_minutes: Option<u32>,
    /// Disk that traces and files may take, for example 20G. Beyond it what is old and large goes first, what is shared
    /// last. Default: all of it.
    #[arg(long, value_name = "SIZE", env = "OMNITRACE_DISK_QUOTA", value_parser = parse_bytes)]
    pub disk_quota: Option<u64>,
    /// How visitors reach whoever runs this server: shown on /privacy.
    #[arg(long, value_name = "TEXT", env = "OMNITRACE_CONTACT")]
    pub contact: Option<String>,
    /// What time it is; tests bring their own.
    #[arg(skip)]
    pub clock: Clock,
}

impl PolicyConfig {
    /// What sweeps go by.
    pub fn policy(&self) -> Policy {
        Policy {
            keep_days: self.keep_days,
            unshared_minutes: self.unshared_minutes,
            quota_bytes: self.disk_quota,
        }
    }
}

/// Bounds on a request; checked before anything is read or allocated.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes per file.
    pub max_file_bytes: u64,
    /// Bytes per request.
    pub max_request_bytes: u64,
    /// Bytes of the `request` field, texts included.
    pub max_text_bytes: usize,
    /// Items per request.
    pub max_items: usize,
    /// Upper bound of `max_new_tokens`.
    pub max_new_tokens: u32,
    /// Seconds that a trace may take on the device.
    pub max_job_secs: f64,
    /// Uploads read at the same time.
    pub max_uploads: usize,
    /// Bounds for the decoders.
    pub media: media::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        let max_file_bytes = 100 << 20;
        Self {
            max_file_bytes,
            max_request_bytes: 256 << 20,
            max_text_bytes: 1 << 20,
            max_items: 32,
            max_new_tokens: 2048,
            max_job_secs: 600.0,
            max_uploads: 8,
            // A visitor's sound of half an hour would hold the one device for as long: the command line allows more.
            media: media::Limits {
                max_bytes: max_file_bytes,
                max_secs: MAX_MEDIA_SECS,
                ..media::Limits::default()
            },
        }
    }
}

//! A server to test against, and a client that reads event streams.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use reqwest::multipart::Form;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use server::config::{
    AccessConfig, AdmissionConfig, Limits, ModelsConfig, PolicyConfig, ServeConfig, WorkConfig,
};
use server::depot::NatsArgs;
use server::keeper::Keeper;
use server::models::{TINY, TINY_MODEL};
use server::serve;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::nats::args;
pub use crate::nats_server::NatsServer;

/// No single wait in these tests is longer than this on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One event: its id and its JSON.
pub type Event = (u64, Value);

/// What the server stands on: the same tests must pass on both.
pub enum Ground {
    /// SQLite, files and a queue in one process.
    Alone,
    /// A web process and a worker, with a NATS server of their own between them.
    Many(NatsServer),
}

impl Ground {
    pub fn many() -> Self {
        Self::Many(NatsServer::start())
    }
}

/// Makes two tests of each named function.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use $crate::house::Ground;

            #[tokio::test(flavor = "multi_thread")]
            async fn alone() {
                super::$name(Ground::Alone).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn many() {
                super::$name(Ground::many()).await;
            }
        }
    )* };
}

pub struct House {
    pub url: String,
    /// Of the listener for metrics.
    pub metrics_url: Option<String>,
    pub client: Client,
    pub keeper: Arc<Keeper>,
    down: oneshot::Sender<()>,
    server: JoinHandle<()>,
    worker: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// Killed when dropped, last.
    nats: Option<NatsServer>,
}

/// The tiny model, and the same weights with an end token that no generation reaches: a test that needs a long answer
/// gets one, whatever the weights say.
pub fn models() -> Vec<String> {
    static ENDLESS: OnceLock<TempDir> = OnceLock::new();
    let dir = ENDLESS.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let endless = dir.path().join("endless");
        std::fs::create_dir(&endless).expect("a directory");
        assert!(!TINY_MODEL.is_empty(), "these tests need models/tiny-omni");
        for (name, bytes) in TINY_MODEL {
            std::fs::write(endless.join(name), bytes).expect("written");
        }
        let generation = json!({"eos_token_id": 1_000_000, "no_repeat_ngram_size": 0});
        std::fs::write(
            endless.join("generation_config.json"),
            generation.to_string(),
        )
        .expect("written");
        dir
    });
    vec![
        TINY.to_owned(),
        dir.path().join("endless").to_string_lossy().into_owned(),
    ]
}

pub fn config(data: PathBuf) -> ServeConfig {
    ServeConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        data,
        models: ModelsConfig {
            wanted: models(),
            ..ModelsConfig::default()
        },
        site: None,
        queue: 8,
        together: 1,
        metrics: None,
        drain_secs: 0,
        access: AccessConfig::default(),
        policy: PolicyConfig::default(),
        admission: AdmissionConfig::default(),
        no_examples: true,
        nats: NatsArgs::default(),
    }
}

/// A worker with the same models, which takes a silent worker's traces over soon.
pub fn work_config(data: PathBuf, nats: &NatsServer) -> WorkConfig {
    WorkConfig {
        nats: args(nats),
        data,
        models: ModelsConfig {
            wanted: models(),
            ..ModelsConfig::default()
        },
        together: 1,
        metrics: None,
        drain_secs: 0,
        examples: false,
    }
}

impl House {
    pub async fn open(data: &TempDir) -> Self {
        Self::with(config(data.path().to_owned()), Limits::default()).await
    }

    pub async fn on(ground: Ground, data: &TempDir) -> Self {
        Self::on_with(ground, config(data.path().to_owned()), data).await
    }

    /// On many machines, `config`'s models are the worker's.
    pub async fn on_with(ground: Ground, mut config: ServeConfig, data: &TempDir) -> Self {
        let nats = match ground {
            Ground::Alone => return Self::with(config, Limits::default()).await,
            Ground::Many(nats) => nats,
        };
        let mut work = work_config(data.path().join("work"), &nats);
        work.models = std::mem::take(&mut config.models);
        work.together = config.together;
        config.nats = args(&nats);
        let worker = server::work::start(work, Limits::default())
            .await
            .expect("the worker starts");
        let (down, signal) = oneshot::channel();
        let worker = tokio::spawn(async move {
            let signal = async {
                let _ = signal.await;
            };
            worker.run_until(signal).await.expect("an orderly end");
        });
        let mut house = Self::with(config, Limits::default()).await;
        house.worker = Some((down, worker));
        house.nats = Some(nats);
        house.until_ready().await;
        house
    }

    /// Waits until traces will be made.
    pub async fn until_ready(&self) {
        let begun = Instant::now();
        while self.get("/readyz").await.status() != StatusCode::OK {
            assert!(begun.elapsed() < PATIENCE, "never ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn with(config: ServeConfig, limits: Limits) -> Self {
        let running = serve::start(config, limits)
            .await
            .expect("the server starts");
        let url = format!("http://{}", running.address);
        let metrics_url = running
            .metrics_address
            .map(|address| format!("http://{address}/metrics"));
        let keeper = running.keeper();
        let (down, signal) = oneshot::channel();
        let server = tokio::spawn(async move {
            let signal = async {
                let _ = signal.await;
            };
            running.run_until(signal).await.expect("an orderly end");
        });
        Self {
            url,
            metrics_url,
            client: Client::new(),
            keeper,
            down,
            server,
            worker: None,
            nats: None,
        }
    }

    /// As on SIGTERM.
    pub async fn close(self) {
        self.close_but_for_nats().await;
    }

    /// The same, for another house on the same ground.
    pub async fn close_but_for_nats(self) -> Ground {
        let _ = self.down.send(());
        self.server.await.expect("the server ends");
        if let Some((down, worker)) = self.worker {
            let _ = down.send(());
            worker.await.expect("the worker ends");
        }
        self.nats.map_or(Ground::Alone, Ground::Many)
    }

    pub async fn get(&self, path: &str) -> Response {
        get(&self.client, &self.url, path).await
    }

    pub async fn post(&self, path: &str) -> Response {
        self.client
            .post(format!("{}{path}", self.url))
            .send()
            .await
            .expect("an answer")
    }

    pub async fn send(&self, request: &Value) -> Response {
        send(&self.client, &self.url, request).await
    }

    /// Sends a form with files.
    pub async fn send_form(&self, form: Form) -> Response {
        self.client
            .post(format!("{}/api/traces", self.url))
            .multipart(form)
            .send()
            .await
            .expect("an answer")
    }

    /// Sends a request that must be accepted; its id.
    pub async fn accept(&self, request: &Value) -> String {
        accepted(self.send(request).await).await
    }

    pub async fn events(
        &self,
        id: &str,
        after: Option<u64>,
    ) -> impl Stream<Item = Event> + Unpin + use<> {
        let after = after
            .map(|after| format!("?after={after}"))
            .unwrap_or_default();
        let response = self.get(&format!("/api/traces/{id}/events{after}")).await;
        assert_eq!(response.status(), StatusCode::OK);
        events(response)
    }

    /// Every event of a trace until its stream ends.
    pub async fn all_events(&self, id: &str) -> Vec<Event> {
        let events = self.events(id, None).await;
        tokio::time::timeout(PATIENCE, events.collect())
            .await
            .expect("the stream ends")
    }

    /// Status and JSON of a trace.
    pub async fn status_of(&self, id: &str) -> (StatusCode, Value) {
        let answer = self.get(&format!("/api/traces/{id}")).await;
        (answer.status(), answer.json().await.expect("JSON"))
    }

    pub async fn record(&self, id: &str) -> Value {
        record(&self.client, &self.url, id).await
    }
}

pub async fn get(client: &Client, url: &str, path: &str) -> Response {
    client
        .get(format!("{url}{path}"))
        .send()
        .await
        .expect("an answer")
}

pub async fn send(client: &Client, url: &str, request: &Value) -> Response {
    client
        .post(format!("{url}/api/traces"))
        .json(request)
        .send()
        .await
        .expect("an answer")
}

pub async fn accepted(response: Response) -> String {
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let body: Value = response.json().await.expect("JSON");
    let id = body["id"].as_str().expect("an id").to_owned();
    assert_eq!(body["url"], format!("/t/{id}"));
    assert!(id.len() <= 12);
    id
}

/// Waits for a trace to be finished; its record.
pub async fn record(client: &Client, url: &str, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let response = get(client, url, &format!("/api/traces/{id}")).await;
        let status = response.status();
        let body: Value = response.json().await.expect("JSON");
        match status {
            StatusCode::OK => return body,
            StatusCode::ACCEPTED => assert!(begun.elapsed() < PATIENCE, "still {body}"),
            _ => panic!("{status}: {body}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Parses a stream of server-sent events.
pub fn events(response: Response) -> impl Stream<Item = Event> + Unpin {
    let state = (response.bytes_stream(), Vec::<u8>::new());
    Box::pin(futures_util::stream::unfold(
        state,
        |(mut bytes, mut buffer)| async move {
            loop {
                if let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                    let block: Vec<u8> = buffer.drain(..end + 2).collect();
                    let block = String::from_utf8(block).expect("UTF-8");
                    let field = |name: &str| {
                        block
                            .lines()
                            .find_map(|line| line.strip_prefix(name))
                            .map(str::trim)
                    };
                    // Keep-alive comments have neither.
                    if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                        let event = (
                            id.parse().expect("a number"),
                            serde_json::from_str(data).expect("JSON"),
                        );
                        return Some((event, (bytes, buffer)));
                    }
                } else {
                    // A server that is killed breaks the stream off: an end like any other.
                    buffer.extend_from_slice(&bytes.next().await?.ok()?);
                }
            }
        },
    ))
}

pub fn kind(event: &Event) -> &str {
    event.1["type"].as_str().expect("a type")
}

/// A short question.
pub fn short() -> Value {
    json!({
        "prompt": "Summarize the conversation.\n",
        "question": [{"text": "Anna: I bought a red car.\n"}, {"text": "Ben: Nice. I saw a blue bird.\n"}],
        "options": {"max_new_tokens": 24}
    })
}

/// A question whose answer takes so long that a test can do something meanwhile.
pub fn long() -> Value {
    json!({
        "prompt": "Summarize the conversation.\n",
        "question": [{"text": "Anna: I bought a red car.\n"}],
        "options": {"model": "endless", "max_new_tokens": 1500}
    })
}

/// The JSON of an error answer; every one has a code and a sentence.
pub async fn refused(response: Response, status: StatusCode, code: &str) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["code"], code, "{body}");
    let message = body["message"].as_str().expect("a message");
    assert!(message.contains(' ') && message.ends_with('.'), "{message}");
    message.to_owned()
}

/// Nothing half-read may be left once an upload has been answered.
pub fn no_incoming(data: &TempDir) {
    let places = ["incoming", "nats-cache/incoming"].map(|place| data.path().join(place));
    let mut places = places.iter().filter(|place| place.is_dir()).peekable();
    assert!(places.peek().is_some(), "the directory of uploads");
    for place in places {
        let left = std::fs::read_dir(place).expect("readable").count();
        assert_eq!(left, 0, "nothing half-read is left");
    }
}

//! A model that is still on its way from the hub holds nobody up who asks for another.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use ureq::Agent;

use crate::player::{Hub, ID, TOKEN, program, repository};

/// No single wait is longer than this on a machine that works.
const PATIENCE: Duration = Duration::from_secs(120);

/// The real server; killed when dropped.
struct Server {
    child: Child,
    url: String,
    agent: Agent,
    _dir: TempDir,
}

impl Server {
    fn start(hub: &Hub) -> Self {
        let dir = tempdir().unwrap();
        let mut command = program();
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--no-examples"])
            .args(["--model", "tiny-omni", "--model", ID, "--data"])
            .arg(dir.path().join("data"))
            .env("HF_HOME", dir.path().join("home"))
            .env("HF_ENDPOINT", &hub.url)
            .env("HF_TOKEN", TOKEN)
            .env("NO_PROXY", "*")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let said = BufReader::new(child.stdout.take().unwrap()).lines().next();
        let said = said.expect("a line").unwrap();
        let url = said.strip_prefix("Listening on ").expect("an address");
        let agent = Agent::config_builder().http_status_as_error(false).build();
        Self {
            url: url.to_owned(),
            child,
            agent: agent.into(),
            _dir: dir,
        }
    }

    /// Status, `Retry-After` and JSON.
    fn ask(&self, model: &str) -> (u16, Option<u64>, Value) {
        let request =
            json!({"prompt": "Which is older?", "options": {"model": model, "max_new_tokens": 4}});
        let sent = (self.agent)
            .post(format!("{}/api/traces", self.url))
            .header("Content-Type", "application/json")
            .send(request.to_string());
        let mut answer = sent.expect("an answer");
        let retry = answer.headers().get("retry-after");
        let retry = retry.map(|secs| secs.to_str().unwrap().parse().unwrap());
        let body = answer.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&body).expect("JSON");
        (answer.status().as_u16(), retry, body)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut answer = (self.agent.get(format!("{}{path}", self.url)).call()).expect("an answer");
        let body = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&body).unwrap_or_default(),
        )
    }

    /// Waits until something is so.
    fn until(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            assert!(begun.elapsed() < PATIENCE, "never {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks a model, which must answer.
    fn traced(&self, model: &str) -> Value {
        let (status, _, accepted) = self.ask(model);
        assert_eq!(status, 202, "{accepted}");
        let path = format!("/api/traces/{}", accepted["id"].as_str().unwrap());
        let mut record = Value::Null;
        self.until("finished", |own| {
            let (status, body) = own.get(&path);
            assert!(matches!(status, 200 | 202), "{body}");
            record = body;
            status == 200
        });
        record
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_model_on_its_way_answers_503_while_the_tiny_one_serves() {
    let hub = Hub::without_weights(repository("qwen"));
    let server = Server::start(&hub);
    server.until("ready", |own| own.get("/readyz").0 == 200);
    // Its small files are here, and its weights are waited for.
    server.until("asked for weights", |_| {
        hub.files_asked()
            .iter()
            .any(|name| name.ends_with(".safetensors"))
    });
    let (status, retry, body) = server.ask(ID);
    assert_eq!(
        (status, &body["code"]),
        (503, &json!("not_ready")),
        "{body}"
    );
    assert!(
        retry.is_some_and(|secs| (1..=600).contains(&secs)),
        "{retry:?}"
    );
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains(ID) && message.contains("another model"),
        "{message}"
    );
    let record = server.traced("tiny-omni");
    assert_eq!(record["receipt"]["model"], "tiny-omni");
    let (status, ..) = server.ask(ID);
    assert_eq!(status, 503, "still on its way");

    hub.give_weights();
    server.until("fetched", |own| {
        let (_, models) = own.get("/api/models");
        !models.to_string().contains("fetching")
    });
    assert_eq!(server.traced(ID)["receipt"]["model"], ID);
}

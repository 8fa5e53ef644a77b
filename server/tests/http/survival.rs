//! What was accepted survives: an orderly end, and `kill -9` of the real program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt;
use reqwest::{Client, StatusCode};
use serde_json::json;
use server::config::Limits;
use tempfile::tempdir;

use crate::house::{House, accepted, events, get, kind, long, models, record, send, short};

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_keeps_every_trace() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let finished = house.accept(&short()).await;
    let before = house.record(&finished).await;
    let mut request = long();
    request["options"]["max_new_tokens"] = json!(200);
    let running = house.accept(&request).await;
    let waiting = house.accept(&short()).await;
    let mut stream = house.events(&running, None).await;
    while kind(&stream.next().await.expect("an event")) != "token" {}
    house.close().await;
    let rest: Vec<_> = stream.collect().await;
    assert!(
        rest.iter()
            .all(|event| kind(event) == "token" || kind(event) == "chunk"),
        "no end is invented"
    );

    let house = House::open(&data).await;
    assert_eq!(house.record(&finished).await, before);
    // A viewer who comes late learns that it is done, once.
    let late = house.all_events(&finished).await;
    assert_eq!(late.iter().map(kind).collect::<Vec<_>>(), ["done"]);
    let again = house
        .get(&format!(
            "/api/traces/{finished}/events?after={}",
            late[0].0
        ))
        .await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    house.record(&running).await;
    house.record(&waiting).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_down_lets_the_running_trace_end_and_goes_on_showing_the_others() {
    let data = tempdir().unwrap();
    let mut config = crate::house::config(data.path().to_owned());
    config.drain_secs = 100;
    let house = House::with(config, Limits::default()).await;
    let finished = house.accept(&short()).await;
    let record = house.record(&finished).await;
    let mut request = long();
    request["options"]["max_new_tokens"] = json!(600);
    let running = house.accept(&request).await;
    let waiting = house.accept(&short()).await;
    let mut stream = house.events(&running, None).await;
    while kind(&stream.next().await.expect("an event")) != "token" {}
    let (client, url) = (house.client.clone(), house.url.clone());
    let down = tokio::spawn(house.close());
    // Nothing new is taken, in a sentence; whatever ended is still shown.
    let refused = loop {
        let answer = send(&client, &url, &short()).await;
        if answer.status() != StatusCode::ACCEPTED {
            break answer;
        }
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "60");
    let shown = get(&client, &url, &format!("/api/traces/{finished}")).await;
    assert_eq!(shown.json::<serde_json::Value>().await.unwrap(), record);
    let rest: Vec<_> = stream.collect().await;
    assert_eq!(rest.last().map(kind), Some("done"));
    down.await.unwrap();

    let house = House::open(&data).await;
    let ended = house.record(&running).await;
    assert_eq!(ended["tokens"].as_array().unwrap().len(), 600);
    house.record(&waiting).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_data_directory_has_one_server() {
    let data = tempdir().unwrap();
    let house = House::open(&data).await;
    let second = server::serve::start(
        crate::house::config(data.path().to_owned()),
        Default::default(),
    )
    .await;
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("--data"), "{error}");
    house.close().await;
}

/// The real program; killed, not asked, when dropped.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omnitrace"));
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--no-examples",
                "--data",
            ])
            .arg(data);
        for model in models() {
            command.args(["--model", &model]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        let line = BufReader::new(stdout)
            .lines()
            .next()
            .expect("a line")
            .expect("UTF-8");
        let url = line
            .strip_prefix("Listening on ")
            .expect("an address")
            .to_owned();
        Self { child, url }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL on Unix.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_trace_survives_kill_nine() {
    let data = tempdir().unwrap();
    let client = Client::new();
    let program = Program::start(data.path());
    let finished = accepted(send(&client, &program.url, &short()).await).await;
    let before = record(&client, &program.url, &finished).await;
    let mut request = long();
    request["options"]["max_new_tokens"] = json!(150);
    let running = accepted(send(&client, &program.url, &request).await).await;
    let waiting = accepted(send(&client, &program.url, &short()).await).await;
    let mut stream = events(
        get(
            &client,
            &program.url,
            &format!("/api/traces/{running}/events"),
        )
        .await,
    );
    let mut seen = None;
    while seen.as_ref().is_none_or(|event| kind(event) != "token") {
        seen = Some(stream.next().await.expect("an event"));
    }
    drop(program);

    let program = Program::start(data.path());
    let after = seen.map(|(id, _)| id).expect("a token");
    let path = format!("/api/traces/{running}/events?after={after}");
    let resumed: Vec<_> = events(get(&client, &program.url, &path).await)
        .collect()
        .await;
    // The second attempt begins at the beginning, under ids that continue.
    assert_eq!(resumed[0].0, 1_000_000);
    assert_eq!(kind(&resumed[0]), "queued");
    assert_eq!(kind(resumed.last().unwrap()), "done");
    assert_eq!(record(&client, &program.url, &finished).await, before);
    assert_eq!(
        record(&client, &program.url, &running).await["receipt"]["finish"],
        "length"
    );
    record(&client, &program.url, &waiting).await;
}

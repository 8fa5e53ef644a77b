//! Many machines on NATS: a worker killed mid-trace is replaced, viewers' streams go on; without workers the house says so.
//! What one machine does as well is tested where it belongs, on both grounds (`on_both!`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::config::Limits;
use server::depot::NatsArgs;
use tempfile::{TempDir, tempdir};

use crate::house::{
    House, NatsServer, PATIENCE, accepted, config, kind, long, models, refused, short,
};

/// A worker silent for so long has lost its trace.
const LEASE_SECS: u64 = 2;

/// How a process finds this server.
pub fn args(nats: &NatsServer) -> NatsArgs {
    NatsArgs {
        nats: Some(nats.url().to_owned()),
        nats_lease_secs: LEASE_SECS,
        ..NatsArgs::default()
    }
}

/// The real `omnitrace work`; killed, not asked, when dropped.
struct Program(Child);

impl Program {
    fn start(nats: &NatsServer, data: &TempDir) -> Self {
        Self::together(nats, data, 1)
    }

    /// One that makes so many traces at a time.
    fn together(nats: &NatsServer, data: &TempDir, together: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omnitrace"));
        command
            .args(["work", "--nats", nats.url(), "--nats-lease-secs"])
            .arg(LEASE_SECS.to_string())
            .arg("--data")
            .arg(data.path().join("work"))
            .args(["--together", &together.to_string()]);
        for model in models() {
            command.args(["--model", &model]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        let line = BufReader::new(stdout).lines().next();
        assert_eq!(line.expect("a line").expect("UTF-8"), "Working");
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL on Unix.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_trace_is_finished_by_another_before_the_same_eyes() {
    let (nats, data) = (NatsServer::start(), tempdir().unwrap());
    let first = Program::start(&nats, &data);
    let mut config = config(data.path().join("web"));
    config.nats = args(&nats);
    let house = House::with(config, Limits::default()).await;
    house.until_ready().await;
    let mut request = long();
    request["options"]["max_new_tokens"] = json!(400);
    let id = house.accept(&request).await;
    // Behind it in the same line; what is withdrawn takes nothing else along.
    let mut small = request.clone();
    small["options"]["max_new_tokens"] = json!(8);
    let withdrawn = house.accept(&small).await;
    let behind = house.accept(&small).await;
    let waiting = house.accept(&short()).await;
    let mut viewer = house.events(&id, None).await;
    let mut early = viewer.next().await.expect("an event");
    while kind(&early) != "token" {
        early = viewer.next().await.expect("an event");
    }
    house.post(&format!("/api/traces/{withdrawn}/stop")).await;
    drop(first);
    let _second = Program::start(&nats, &data);

    // One stream, never broken off: the trace begins again under ids that go on, with what makes a page begin again.
    let rest: Vec<_> = viewer.collect().await;
    let again = rest
        .iter()
        .position(|(id, _)| *id >= 2_000_000)
        .expect("another attempt");
    assert_eq!((rest[again].0, kind(&rest[again])), (2_000_000, "queued"));
    assert!(rest[..again].iter().all(|event| kind(event) != "done"));
    assert_eq!(kind(rest.last().unwrap()), "done");
    let tokens = rest[again..].iter().filter(|event| kind(event) == "token");
    assert_eq!(tokens.count(), 400);
    let record = house.record(&id).await;
    assert_eq!(record["receipt"]["finish"], "length");
    house.record(&waiting).await;
    house.record(&behind).await;
    let last = house.all_events(&withdrawn).await.pop().unwrap();
    assert_eq!(last.1["code"], "stopped");
    // Somebody who comes back with an id of the first attempt sees the second from its begin.
    let back: Vec<_> = house.events(&id, Some(early.0)).await.collect().await;
    assert_eq!(back, rest[again..]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_traces_in_one_workers_hand_each_has_its_own_fate() {
    let (nats, data) = (NatsServer::start(), tempdir().unwrap());
    let first = Program::together(&nats, &data, 3);
    let mut config = config(data.path().join("web"));
    config.nats = args(&nats);
    let house = House::with(config, Limits::default()).await;
    house.until_ready().await;
    let mut request = long();
    let mut streams = Vec::new();
    for tokens in [1500, 1200, 8, 1400] {
        request["options"]["max_new_tokens"] = json!(tokens);
        let id = house.accept(&request).await;
        let mut stream = house.events(&id, None).await;
        if tokens > 8 {
            while kind(&stream.next().await.expect("an event")) != "token" {}
            streams.push((id, tokens, stream));
        } else {
            // It ends while the others go on, and its place is free.
            let record = house.record(&id).await;
            assert_eq!(record["receipt"]["finish"], "length");
        }
    }
    let (stopped, _, stream) = streams.remove(0);
    house.post(&format!("/api/traces/{stopped}/stop")).await;
    let record = house.record(&stopped).await;
    assert_eq!(record["receipt"]["finish"], "stopped");
    let rest: Vec<_> = stream.collect().await;
    assert_eq!(kind(rest.last().unwrap()), "done");
    drop(first);
    let _second = Program::together(&nats, &data, 3);
    for (id, tokens, stream) in streams {
        let rest: Vec<_> = stream.collect().await;
        let again = rest.iter().filter(|(id, _)| *id >= 2_000_000);
        let again: Vec<_> = again.collect();
        assert_eq!(kind(again.last().expect("another attempt")), "done");
        let written = again.iter().filter(|event| kind(event) == "token");
        assert_eq!(written.count(), tokens);
        let record = house.record(&id).await;
        assert_eq!(record["tokens"].as_array().unwrap().len(), tokens);
    }
    // What was stopped stayed so.
    let again = house.record(&stopped).await;
    assert_eq!(again, record);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_without_workers_says_so_and_two_web_processes_are_one_house() {
    let (nats, data) = (NatsServer::start(), tempdir().unwrap());
    let open = async |name: &str| {
        let mut config = config(data.path().join(name));
        config.nats = args(&nats);
        House::with(config, Limits::default()).await
    };
    let (left, right) = (open("left").await, open("right").await);
    refused(
        left.get("/readyz").await,
        StatusCode::SERVICE_UNAVAILABLE,
        "not_ready",
    )
    .await;
    let limits: Value = left.get("/api/limits").await.json().await.unwrap();
    assert_eq!(limits["workers"], 0);
    let page = left.get("/new").await.text().await.unwrap();
    assert!(page.contains("No machine is at work"), "{page}");
    let answer = left.send(&short()).await;
    refused(answer, StatusCode::SERVICE_UNAVAILABLE, "no_worker").await;

    let worker = Program::start(&nats, &data);
    left.until_ready().await;
    right.until_ready().await;
    let limits: Value = right.get("/api/limits").await.json().await.unwrap();
    assert_eq!(limits["workers"], 1);
    // Sent to one, watched and read at the other.
    let id = left.accept(&short()).await;
    let events = right.all_events(&id).await;
    assert_eq!(kind(events.last().unwrap()), "done");
    assert_eq!(right.record(&id).await, left.record(&id).await);
    drop(worker);
    left.close().await;
    right.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_whose_nats_is_gone_asks_for_patience() {
    let (nats, data) = (NatsServer::start(), tempdir().unwrap());
    let mut config = config(data.path().join("web"));
    config.nats = args(&nats);
    let house = House::with(config, Limits::default()).await;
    let worker = Program::start(&nats, &data);
    house.until_ready().await;
    drop(nats);
    let answer = house.send(&short()).await;
    assert_eq!(answer.headers()["retry-after"], "5");
    refused(answer, StatusCode::SERVICE_UNAVAILABLE, "out_of_reach").await;
    drop(worker);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_bound_in_the_whole_house_and_waits_are_told() {
    let (nats, data) = (NatsServer::start(), tempdir().unwrap());
    let open = async |name: &str| {
        let mut config = config(data.path().join(name));
        config.nats = args(&nats);
        config.admission.jobs_per_client = 2;
        House::with(config, Limits::default()).await
    };
    let (left, right) = (open("left").await, open("right").await);
    let _worker = Program::start(&nats, &data);
    left.until_ready().await;
    right.until_ready().await;
    let page = left.get("/new").await;
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let send = async |house: &House, request: &Value| {
        let sent = house.client.post(format!("{}/api/traces", house.url));
        let sent = sent.header("Cookie", &cookie).json(request).send();
        sent.await.expect("an answer")
    };
    let running = accepted(send(&left, &long()).await).await;
    let mut events = right.events(&running, None).await;
    while kind(&events.next().await.expect("an event")) != "token" {}
    let waiting: Value = send(&left, &short()).await.json().await.unwrap();
    let wait = waiting["expected_wait_secs"].as_f64();
    assert!(wait.is_some_and(|secs| secs > 0.0), "{waiting}");
    let waiting = waiting["id"].as_str().unwrap();
    // The other process hears of both, a moment later.
    let begun = Instant::now();
    let place = loop {
        let (_, place) = right.status_of(waiting).await;
        if place["expected_wait_secs"].is_number() {
            break place;
        }
        assert!(begun.elapsed() < PATIENCE, "{place}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(place["position"], 0, "{place}");
    let limits: Value = right.get("/api/limits").await.json().await.unwrap();
    assert!(
        limits["expected_wait_secs"].as_f64().unwrap() > 0.0,
        "{limits}"
    );
    let answer = send(&right, &short()).await;
    refused(answer, StatusCode::TOO_MANY_REQUESTS, "too_many_jobs").await;
    // Another browser is not meant.
    let other = right.accept(&short()).await;
    left.post(&format!("/api/traces/{running}/stop")).await;
    right.record(&running).await;
    right.record(&other).await;
    let begun = Instant::now();
    let next = loop {
        let answer = send(&right, &short()).await;
        if answer.status() == StatusCode::ACCEPTED {
            break accepted(answer).await;
        }
        assert!(begun.elapsed() < PATIENCE, "its place is not free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    left.record(&next).await;
    left.close().await;
    right.close().await;
}

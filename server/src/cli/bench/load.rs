//! `omnitrace bench serve`: many readers and a full queue against a server, for minutes.
//! In: how many, how long. Out: latencies by what was asked for, refusals, errors, and the server's memory over the time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::StreamExt;
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};

/// How long the server may take until its model and examples are there.
const START: Duration = Duration::from_secs(300);
/// How long a reader looks at a page before the next, at least and at most.
const LOOKING_SECS: (f64, f64) = (5.0, 15.0);
/// Of a media file, as a player asks for it first.
const FIRST_BYTES: &str = "bytes=0-65535";
/// Between two looks at the server's memory.
const LOOK_AT_MEMORY: Duration = Duration::from_secs(5);

/// Options of `bench serve`.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// A server that runs already (http); without one this program starts itself on an empty data directory.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// People who read permalinks at the same time.
    #[arg(long, value_name = "N", default_value_t = 500)]
    viewers: usize,
    /// Traces wanted at the same time; each is followed to its end and then asked for again.
    #[arg(long, value_name = "N", default_value_t = 20)]
    jobs: usize,
    /// How long.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    minutes: f64,
}

/// What was measured, shared by all who measure.
#[derive(Default)]
struct Measured {
    /// Milliseconds by what was asked for.
    latencies_ms: BTreeMap<&'static str, Vec<f64>>,
    /// Answers that are no success, by what was asked for and why.
    errors: BTreeMap<String, usize>,
    /// Refused for now, with the time to try again.
    refused: usize,
    /// Seconds since the begin, and resident bytes.
    memory: Vec<(f64, u64)>,
}

type Shared = Arc<Mutex<Measured>>;

/// Runs the load and returns the report.
pub fn run(args: &LoadArgs) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let own = match &args.url {
        Some(_) => None,
        None => Some(Own::start(args.jobs)?),
    };
    let url = match (&args.url, &own) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(own)) => own.url.clone(),
        (None, None) => bail!("there is no server to load"),
    };
    let process = own.as_ref().map(|own| own.child.id());
    runtime.block_on(load(args, url, process))
}

/// A server of our own; killed when dropped, its data removed.
struct Own {
    child: Child,
    url: String,
    data: PathBuf,
}

impl Own {
    fn start(jobs: usize) -> Result<Self> {
        let data = std::env::temp_dir().join(format!("omnitrace-load-{}", std::process::id()));
        let program = std::env::current_exe().context("this program cannot be found again")?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--queue"])
            .arg(jobs.to_string())
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the server could not be started")?;
        let said = child.stdout.take();
        let mut own = Self {
            child,
            url: String::new(),
            data,
        };
        let line = said
            .and_then(|out| BufReader::new(out).lines().next())
            .and_then(Result::ok)
            .unwrap_or_default();
        match line.strip_prefix("Listening on ") {
            Some(url) => own.url = url.to_owned(),
            None => bail!("the server ended before it listened; run `omnitrace serve` to see why"),
        }
        Ok(own)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Already gone, or gone now.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

async fn load(args: &LoadArgs, url: String, process: Option<u32>) -> Result<Value> {
    let client = Client::new();
    let pages = permalinks(&client, &url).await?;
    let measured = Shared::default();
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(args.minutes.max(0.05) * 60.0);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..args.viewers {
        // Each with connections of its own, like a browser.
        let visitor = Visitor::new(url.clone(), measured.clone(), number as u64);
        tasks.spawn(visitor.read(pages.clone(), end));
    }
    for number in 0..args.jobs {
        let visitor = Visitor::new(url.clone(), measured.clone(), 1_000_000 + number as u64);
        tasks.spawn(visitor.ask(end));
    }
    if let Some(process) = process {
        let measured = measured.clone();
        tasks.spawn(async move {
            while Instant::now() < end {
                if let Some(bytes) = resident_bytes(process) {
                    let at = begun.elapsed().as_secs_f64();
                    lock(&measured).memory.push((at, bytes));
                }
                tokio::time::sleep(LOOK_AT_MEMORY).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a visitor fell over")?;
    }
    let measured = lock(&measured);
    Ok(report(args, &measured, begun.elapsed().as_secs_f64()))
}

/// Paths of the pages that readers read: the server's own examples, once they are made.
async fn permalinks(client: &Client, url: &str) -> Result<Vec<String>> {
    let begun = Instant::now();
    let mut last = 0;
    loop {
        let mut found = Vec::new();
        if let Ok(home) = client.get(url).send().await {
            let html = home.text().await.unwrap_or_default();
            found = paths(&html, "\"/t/");
        }
        // The gallery fills one by one at the first start.
        if !found.is_empty() && found.len() == last {
            return Ok(found);
        }
        if begun.elapsed() > START {
            bail!("{url} shows no finished example to read; is the server ready (/readyz)?");
        }
        last = found.len();
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// Quoted paths in `html` that begin as `begin` says, quote included; each once, in order.
fn paths(html: &str, begin: &str) -> Vec<String> {
    let mut found: Vec<String> = html
        .match_indices(begin)
        .filter_map(|(at, _)| html[at + 1..].split('"').next())
        .map(|path| path.split(['?', '#']).next().unwrap_or(path).to_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

struct Visitor {
    client: Client,
    url: String,
    measured: Shared,
    dice: u64,
}

impl Visitor {
    fn new(url: String, measured: Shared, number: u64) -> Self {
        Self {
            client: Client::new(),
            url,
            measured,
            dice: number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// Even in 0..1, from a seed of its own (xorshift).
    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn note(&self, what: &'static str, begun: Instant) {
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let mut measured = lock(&self.measured);
        measured.latencies_ms.entry(what).or_default().push(took);
    }

    fn fault(&self, what: &str, why: impl std::fmt::Display) {
        let mut measured = lock(&self.measured);
        *measured.errors.entry(format!("{what}: {why}")).or_default() += 1;
    }

    /// Asks for one address, reads all of it, notes the time.
    async fn fetch(&self, what: &'static str, path: &str, range: Option<&str>) -> Option<String> {
        let begun = Instant::now();
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let response = match request.send().await {
            Ok(response) if response.status().is_success() => response,
            Ok(response) => {
                self.fault(what, response.status());
                return None;
            }
            Err(error) => {
                self.fault(what, why(&error));
                return None;
            }
        };
        match response.bytes().await {
            Ok(bytes) => {
                self.note(what, begun);
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(error) => {
                self.fault(what, why(&error));
                None
            }
        }
    }

    /// A reader: a page, its media, some time to look, the next page.
    async fn read(mut self, pages: Vec<String>, end: Instant) {
        // Not all in the same moment.
        let pause = self.roll() * LOOKING_SECS.1;
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        while Instant::now() < end {
            let page = &pages[(self.roll() * pages.len() as f64) as usize % pages.len()];
            if let Some(html) = self.fetch("page", page, None).await {
                for file in paths(&html, "\"/media/").iter().take(2) {
                    self.fetch("media", file, Some(FIRST_BYTES)).await;
                }
            }
            let (least, most) = LOOKING_SECS;
            let looking = Duration::from_secs_f64(least + self.roll() * (most - least));
            tokio::time::sleep(looking.min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Someone who wants a trace: asks, follows it to its end, asks again.
    async fn ask(mut self, end: Instant) {
        while Instant::now() < end {
            let begun = Instant::now();
            let request = json!({
                "prompt": "Summarize the conversation.\n",
                "question": [{"text": "Anna: I bought a red car.\n"}, {"text": "Ben: I saw a blue bird.\n"}],
                "options": {"max_new_tokens": 48, "seed": (self.roll() * 1e6) as u64},
            });
            let asked = self.client.post(format!("{}/api/traces", self.url));
            let response = match asked.json(&request).send().await {
                Ok(response) => response,
                Err(error) => {
                    self.fault("submit", why(&error));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            match response.status() {
                StatusCode::ACCEPTED => self.note("submit", begun),
                StatusCode::TOO_MANY_REQUESTS => {
                    let wait = response.headers().get(header::RETRY_AFTER);
                    let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
                    lock(&self.measured).refused += 1;
                    tokio::time::sleep(Duration::from_secs(wait.unwrap_or(1))).await;
                    continue;
                }
                status => {
                    self.fault("submit", status);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
            let id = response.json::<Value>().await.ok();
            let id = id.and_then(|body| Some(body["id"].as_str()?.to_owned()));
            match id {
                Some(id) => self.follow(&id, begun).await,
                None => self.fault("submit", "an answer without an id"),
            }
        }
    }

    /// Reads the events of a trace to its end.
    async fn follow(&self, id: &str, begun: Instant) {
        let events = format!("{}/api/traces/{id}/events", self.url);
        let response = match self.client.get(events).send().await {
            Ok(response) => response,
            Err(error) => return self.fault("events", why(&error)),
        };
        let (mut bytes, mut text, mut first) = (response.bytes_stream(), String::new(), true);
        while let Some(part) = bytes.next().await {
            match part {
                Ok(part) => text.push_str(&String::from_utf8_lossy(&part)),
                Err(error) => return self.fault("events", why(&error)),
            }
            if first && text.contains("\"type\":\"token\"") {
                self.note("first token", begun);
                first = false;
            }
            if text.contains("\"type\":\"done\"") {
                return self.note("whole trace", begun);
            }
            if text.contains("\"type\":\"failed\"") {
                return self.fault("trace", "failed");
            }
        }
        self.fault("events", "the stream ended without an end");
    }
}

fn lock(measured: &Shared) -> std::sync::MutexGuard<'_, Measured> {
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is at the bottom of an error; the address of each page would make each a kind of its own.
fn why(error: &reqwest::Error) -> String {
    let mut bottom: &dyn std::error::Error = error;
    while let Some(deeper) = bottom.source() {
        bottom = deeper;
    }
    bottom.to_string()
}

/// Resident memory of a process, where the system tells (Linux).
fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

fn report(args: &LoadArgs, measured: &Measured, secs: f64) -> Value {
    let mut report = json!({
        "viewers": args.viewers, "jobs": args.jobs, "secs": secs, "refused": measured.refused,
    });
    for (what, latencies) in &measured.latencies_ms {
        let mut sorted = latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        report[format!("{what}, ms at 50 / 95 / 99 %, most")] = json!(format!(
            "{:.1} / {:.1} / {:.1}, {:.1} ({} times)",
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0),
            sorted.len()
        ));
    }
    report["errors"] = json!(measured.errors.values().sum::<usize>());
    for (what, count) in &measured.errors {
        report[format!("error, {what}")] = json!(count);
    }
    // The first fifth is warming up: caches and allocators fill once.
    let late: Vec<_> = (measured.memory.iter())
        .filter(|(at, _)| *at >= secs / 5.0)
        .collect();
    let mean = |part: &[&(f64, u64)]| {
        part.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / part.len().max(1) as f64
    };
    let (early, later) = late.split_at(late.len() / 2);
    if !early.is_empty() {
        report["memory, MB, from a fifth to three, and after"] = json!(format!(
            "{:.1} / {:.1}",
            mean(early) / 1e6,
            mean(later) / 1e6
        ));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_permalinks_once() {
        let html = r##"<a href="/t/abc">x</a><a href="/t/abc#s1">y</a><img src="/media/12?k=1">"##;
        assert_eq!(paths(html, "\"/t/"), ["/t/abc"]);
        assert_eq!(paths(html, "\"/media/"), ["/media/12"]);
    }

    #[test]
    fn percentiles_errors_and_memory_are_told() {
        let measured = Measured {
            latencies_ms: BTreeMap::from([("page", (1..=100).map(f64::from).collect())]),
            errors: BTreeMap::from([("page: 500".to_owned(), 2)]),
            refused: 3,
            memory: (0..20).map(|at| (f64::from(at), 100_000_000)).collect(),
        };
        let args = LoadArgs {
            url: None,
            viewers: 1,
            jobs: 1,
            minutes: 1.0,
        };
        let report = report(&args, &measured, 20.0);
        assert_eq!(report["errors"], 2);
        assert_eq!(report["refused"], 3);
        let page = report["page, ms at 50 / 95 / 99 %, most"]
            .as_str()
            .expect("a text");
        assert_eq!(page, "51.0 / 95.0 / 99.0, 100.0 (100 times)");
        let memory = "memory, MB, from a fifth to three, and after";
        assert_eq!(report[memory], "100.0 / 100.0");
    }
}

//! `omnitrace bench workers`: traces a minute of one web process and 1, 2, 4 workers around a NATS server started for it.
//! In: how many workers and traces. Out: a line for each number of workers, and what a trace takes in NATS.

use std::iter::StepBy;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::config::{
    AccessConfig, AdmissionConfig, Limits, ModelsConfig, PolicyConfig, ServeConfig,
};
use crate::depot::{NatsArgs, stored_sizes};
use crate::{id, serve};

/// Questions that are on their way at the same time; fewer than a server reads uploads.
const SENDERS: usize = 4;

/// No single step takes longer on a machine that works.
const PATIENCE: Duration = Duration::from_secs(600);

/// `omnitrace bench workers`.
#[derive(Debug, Clone, Args)]
pub struct WorkersArgs {
    /// Numbers of worker processes to measure.
    #[arg(long, value_name = "N", default_values_t = [1, 2, 4])]
    workers: Vec<usize>,
    /// Traces per number of workers: questions of the synthetic world, half of them with a picture.
    #[arg(long, value_name = "N", default_value_t = 120)]
    traces: usize,
    /// Threads of each worker.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// The NATS server's program.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    nats_server: PathBuf,
}

/// One number of workers; `show` gets each report.
pub fn run(args: &WorkersArgs, mut show: impl FnMut(&str, &Value)) -> Result<()> {
    ensure!(args.traces > 0, "--traces must be at least 1");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let dir = std::env::temp_dir().join(format!("omnitrace-bench-{}", id::fresh()?));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut measured = Ok(());
    for &workers in &args.workers {
        let place = dir.join(workers.to_string());
        measured = runtime.block_on(measure(args, workers, &place, &mut show));
        if measured.is_err() {
            break;
        }
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    let _ = std::fs::remove_dir_all(&dir);
    measured
}

async fn measure(
    args: &WorkersArgs,
    count: usize,
    dir: &Path,
    show: &mut impl FnMut(&str, &Value),
) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let (_nats, url) = start_nats(&args.nats_server, dir).await?;
    let program = std::env::current_exe().context("this program cannot be found again")?;
    let mut processes = Vec::new();
    for _ in 0..count {
        let mut command = Command::new(&program);
        command
            .args(["work", "--nats", &url, "--data"])
            .arg(dir.join("work"))
            .env("RAYON_NUM_THREADS", args.threads.to_string())
            .env("OMNITRACE_LOG", "error");
        processes.push(Killed(
            quiet(&mut command)
                .spawn()
                .context("a worker does not start")?,
        ));
    }
    let nats = NatsArgs {
        nats: Some(url.clone()),
        ..NatsArgs::default()
    };
    let running = serve::start(web(dir, nats.clone(), args.traces), Limits::default()).await?;
    let address = running.address;
    let (down, signal) = oneshot::channel::<()>();
    let server = tokio::spawn(running.run_until(async {
        let _ = signal.await;
    }));
    let begun = Instant::now();
    while limits(address).await?["workers"].as_u64() != Some(count as u64) {
        ensure!(begun.elapsed() < PATIENCE, "the workers do not report");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Loaded and warm before the clock runs.
    let warm = ask(address, 2 * count, 1_000_000).await?;
    finished(address, &warm).await?;
    let begun = Instant::now();
    let ids = ask(address, args.traces, 0).await?;
    let accepted = begun.elapsed();
    finished(address, &ids).await?;
    let secs = begun.elapsed().as_secs_f64();
    let report = json!({
        "workers": count,
        "threads_of_each": args.threads,
        "traces": ids.len(),
        "traces_per_minute": ids.len() as f64 * 60.0 / secs,
        "accepting_secs": accepted.as_secs_f64(),
        "all_secs": secs,
    });
    show("workers", &report);
    let sizes = tokio::task::spawn_blocking(move || stored_sizes(&nats)).await??;
    let traces = (ids.len() + warm.len()) as f64;
    let sizes: serde_json::Map<String, Value> = sizes
        .into_iter()
        .map(|(name, bytes)| (name, json!(bytes as f64 / traces)))
        .collect();
    show("bytes in NATS, a trace", &Value::Object(sizes));
    let _ = down.send(());
    server.await.context("the web process died")?
}

fn web(dir: &Path, nats: NatsArgs, traces: usize) -> ServeConfig {
    ServeConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        data: dir.join("web"),
        models: ModelsConfig::default(),
        site: None,
        together: 1,
        queue: traces + 1,
        metrics: None,
        drain_secs: 0,
        no_examples: true,
        access: AccessConfig::default(),
        policy: PolicyConfig::default(),
        // All come from this one process.
        admission: AdmissionConfig {
            jobs_per_client: traces + 1,
            jobs_per_address: traces + 1,
            ..AdmissionConfig::default()
        },
        nats,
    }
}

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

async fn start_nats(program: &Path, dir: &Path) -> Result<(Killed, String)> {
    let mut command = Command::new(program);
    command
        .args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"])
        .arg(dir.join("jetstream"))
        .arg("--ports_file_dir")
        .arg(dir);
    let child = quiet(&mut command)
        .spawn()
        .context("nats-server does not start: install it (`apt-get install nats-server`), or say where it is with --nats-server")?;
    let ports = dir.join(format!("nats-server_{}.ports", child.id()));
    let server = Killed(child);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let text = tokio::fs::read_to_string(&ports).await.unwrap_or_default();
        let ports: Option<Value> = serde_json::from_str(&text).ok();
        let url = ports.and_then(|ports| ports["nats"][0].as_str().map(str::to_owned));
        if let Some(url) = url
            && TcpStream::connect(url.trim_start_matches("nats://"))
                .await
                .is_ok()
        {
            return Ok((server, url));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("nats-server does not answer")
}

/// Sends so many questions, some at a time; their ids.
async fn ask(address: SocketAddr, count: usize, first_seed: usize) -> Result<Vec<String>> {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let seeds = (first_seed + sender..first_seed + count).step_by(SENDERS);
        senders.spawn(ask_each(address, seeds));
    }
    let mut ids = Vec::with_capacity(count);
    while let Some(sent) = senders.join_next().await {
        ids.extend(sent??);
    }
    Ok(ids)
}

async fn ask_each(address: SocketAddr, seeds: StepBy<Range<usize>>) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for seed in seeds {
        let task = ["dialogue", "visual-qa"][seed / SENDERS % 2];
        let path = format!("/api/examples/{task}?seed={seed}");
        let (status, answer) = http(address, "POST", &path).await?;
        ensure!(
            status == 202,
            "a question was not accepted ({status}): {answer}"
        );
        ids.push(answer["id"].as_str().unwrap_or_default().to_owned());
    }
    Ok(ids)
}

/// Waits until every record is there.
async fn finished(address: SocketAddr, ids: &[String]) -> Result<()> {
    let begun = Instant::now();
    for id in ids {
        loop {
            let (status, answer) = http(address, "GET", &format!("/api/traces/{id}")).await?;
            match status {
                200 => break,
                202 => ensure!(begun.elapsed() < PATIENCE, "a trace does not end: {answer}"),
                _ => bail!("a trace failed ({status}): {answer}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn limits(address: SocketAddr) -> Result<Value> {
    Ok(http(address, "GET", "/api/limits").await?.1)
}

/// One request to our own server; status and JSON.
async fn http(address: SocketAddr, method: &str, path: &str) -> Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = serde_json::from_str(body).unwrap_or_default();
    Ok((status.context("no status")?, body))
}

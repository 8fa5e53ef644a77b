//! A house of many machines: a NATS server, a web process, two workers; each may be killed at any moment and comes back.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::Dice;
use crate::faults::Stage;
use crate::ledger::{Ledger, plain};
use crate::program::{PATIENCE, Program, Started, accepted, question, serve, submit, together};

/// A worker silent for so long has lost its trace.
const LEASE_SECS: &str = "2";

/// Processes around one NATS server, and what they promised.
pub struct Many {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    nats: Child,
    web: Option<Program>,
    workers: Vec<Worker>,
    /// Workers so far: each has a log of its own.
    hired: usize,
    pub ledger: Ledger,
}

struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let log = String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned();
        ensure!(!log.contains("panicked"), "a worker's panic: {log}");
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether Debian's `nats-server` is installed.
pub fn nats_server() -> bool {
    let asked = Command::new("nats-server").arg("--version").output();
    asked.is_ok_and(|out| out.status.success())
}

impl Many {
    pub fn start(program: &Path, dir: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir)?;
        // Free now; it comes back under the same number after each kill.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut many = Self {
            program: program.to_owned(),
            nats: start_nats(&dir, port)?,
            dir,
            port,
            web: None,
            workers: Vec::new(),
            hired: 0,
            ledger: Ledger::default(),
        };
        many.hire()?;
        many.hire()?;
        many.open()?;
        Ok(many)
    }

    fn nats_args(&self) -> [String; 4] {
        let url = format!("nats://127.0.0.1:{}", self.port);
        ["--nats", &url, "--nats-lease-secs", LEASE_SECS].map(str::to_owned)
    }

    /// One more worker.
    fn hire(&mut self) -> Result<()> {
        self.hired += 1;
        let log = self.dir.join(format!("worker-{}.txt", self.hired));
        let (key, value) = together(self.hired);
        let mut child = Command::new(&self.program)
            .env(key, value)
            .arg("work")
            .args(self.nats_args())
            .arg("--data")
            .arg(self.dir.join("work"))
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("a worker does not start")?;
        let out = child.stdout.take().context("no output")?;
        let worker = Worker { child, log };
        let said = BufReader::new(out).lines().next().and_then(Result::ok);
        let log = || std::fs::read_to_string(&worker.log).unwrap_or_default();
        ensure!(said.as_deref() == Some("Working"), "a worker: {}", log());
        self.workers.push(worker);
        Ok(())
    }

    /// A web process.
    fn open(&mut self) -> Result<()> {
        let (log, data) = (self.dir.join("web.txt"), self.dir.join("web"));
        match serve(&self.program, &data, log, &self.nats_args(), &[])? {
            Started::Serves(web) => self.web = Some(web),
            Started::Refuses(log) => bail!("the web process does not start: {log}"),
        }
        Ok(())
    }

    fn web(&self) -> Result<&Program> {
        self.web.as_ref().context("no web process")
    }

    /// Who is asked for patience has some: after a fault NATS may need a moment more than the web process says.
    fn submit(&mut self, dice: &mut Dice) -> Result<()> {
        let (web, asked) = (self.web()?, question(dice));
        let begun = Instant::now();
        let mut answer = web.submit(&asked);
        while matches!(answer, Some((503, _))) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_secs(1));
            answer = web.submit(&asked);
        }
        let id = accepted(answer);
        let id = id.with_context(|| web.log().unwrap_or_default())?;
        self.ledger.accepted(id);
        Ok(())
    }

    /// Whatever answer a question got that was on its way when something happened.
    fn note(&mut self, answer: Option<(u16, serde_json::Value)>) -> Result<()> {
        match answer {
            Some((202, body)) => {
                (self.ledger).accepted(body["id"].as_str().context("no id")?.to_owned());
            }
            Some((_, body)) => plain(&body.to_string())?,
            // Nobody was there to answer: nothing was promised.
            None => {}
        }
        Ok(())
    }

    /// Waits until all of them are at work again; then everything promised must hold.
    pub fn settle(&mut self, all: bool) -> Result<()> {
        let begun = Instant::now();
        let web = self.web.as_ref().context("no web process")?;
        while web.get("/readyz").is_none_or(|(status, _)| status != 200) {
            ensure!(begun.elapsed() < PATIENCE, "never ready again");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.ledger.settle(web, all)?;
        web.no_panic()
    }

    /// The end: everything is looked at again, and everybody leaves in order.
    pub fn end(mut self) -> Result<()> {
        self.settle(true)?;
        println!("many machines: {}", self.ledger);
        for worker in std::mem::take(&mut self.workers) {
            worker.kill()?;
        }
        self.web.take().context("no web process")?.end()
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        let _ = self.nats.kill();
        let _ = self.nats.wait();
    }
}

fn start_nats(dir: &Path, port: u16) -> Result<Child> {
    let child = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(dir.join("jetstream"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("nats-server does not start")?;
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(begun.elapsed() < PATIENCE, "nats-server does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child)
}

fn pause(dice: &mut Dice, most_ms: u64) {
    std::thread::sleep(Duration::from_millis(dice.below(most_ms)));
}

/// `kill -9` of the web process, also while a question is on its way.
pub fn web(stage: &mut Stage, _: &mut Ledger) -> Result<()> {
    let (many, dice) = stage.many()?;
    for _ in 0..=dice.below(3) {
        many.submit(dice)?;
    }
    let (url, last) = (many.web()?.url.clone(), question(dice));
    let racing = std::thread::spawn(move || submit(&url, &last));
    let most_ms = if dice.below(2) == 0 { 30 } else { 900 };
    pause(dice, most_ms);
    many.web.take().context("no web process")?.kill()?;
    let answer = racing.join().ok().flatten();
    many.note(answer)?;
    many.open()?;
    many.settle(false)
}

/// `kill -9` of a worker that most likely has a trace; another one takes over.
pub fn worker(stage: &mut Stage, _: &mut Ledger) -> Result<()> {
    let (many, dice) = stage.many()?;
    for _ in 0..2 + dice.below(5) {
        many.submit(dice)?;
    }
    pause(dice, 400);
    let unlucky = dice.below(many.workers.len() as u64) as usize;
    many.workers.remove(unlucky).kill()?;
    if dice.below(2) == 0 {
        pause(dice, 3000);
    }
    many.hire()?;
    many.settle(false)
}

/// `kill -9` of the NATS server, which comes back on the same directory; everybody else waits for it.
pub fn nats(stage: &mut Stage, _: &mut Ledger) -> Result<()> {
    let (many, dice) = stage.many()?;
    for _ in 0..=dice.below(3) {
        many.submit(dice)?;
    }
    let (url, last) = (many.web()?.url.clone(), question(dice));
    let racing = std::thread::spawn(move || submit(&url, &last));
    pause(dice, 600);
    many.nats.kill()?;
    many.nats.wait()?;
    pause(dice, 3000);
    many.nats = start_nats(&many.dir, many.port)?;
    let answer = racing.join().ok().flatten();
    many.note(answer)?;
    many.settle(false)
}

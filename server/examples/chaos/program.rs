//! The program under test as a child: started, asked, killed; its log is searched for panics.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::Dice;

/// No single wait is longer than this on a machine that works.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How many traces a server or worker makes at a time: every other start one, every other three.
pub fn together(starts: usize) -> (&'static str, String) {
    let together = if starts.is_multiple_of(2) { 3 } else { 1 };
    ("OMNITRACE_TOGETHER", together.to_string())
}

/// A server at work. Killed, not asked, when dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
    pub url: String,
}

/// How a start ended.
pub enum Started {
    Serves(Program),
    /// With an exit status other than 0 and these words.
    Refuses(String),
}

/// Starts it on a data directory; waits until it is ready, or gone.
pub fn start(
    program: &Path,
    data: &Path,
    log: PathBuf,
    models: &[&Path],
    env: &[(&str, String)],
) -> Result<Started> {
    let models: Vec<String> = (models.iter())
        .flat_map(|model| ["--model".to_owned(), model.display().to_string()])
        .collect();
    serve(program, data, log, &models, env)
}

/// [`start`] with other options.
pub fn serve(
    program: &Path,
    data: &Path,
    log: PathBuf,
    options: &[String],
    env: &[(&str, String)],
) -> Result<Started> {
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--no-examples"]);
    command.args(["--queue", "64", "--data"]).arg(data);
    command
        .args(options)
        .envs(env.iter().map(|(key, value)| (key, value)))
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?);
    let mut child = command.spawn().context("the program cannot be started")?;
    let out = child.stdout.take().context("no output")?;
    let line = BufReader::new(out).lines().next();
    let said = line.and_then(Result::ok).unwrap_or_default();
    let mut started = Program {
        child,
        log,
        url: String::new(),
    };
    let Some(url) = said.strip_prefix("Listening on ") else {
        return started.refusal();
    };
    started.url = url.to_owned();
    let begun = Instant::now();
    while started
        .get("/readyz")
        .is_none_or(|(status, _)| status != 200)
    {
        if started.child.try_wait()?.is_some() {
            return started.refusal();
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "never ready: {}",
            started.log()?
        );
        std::thread::sleep(Duration::from_millis(30));
    }
    Ok(Started::Serves(started))
}

impl Program {
    fn refusal(mut self) -> Result<Started> {
        let status = self.child.wait()?;
        let log = self.log()?;
        ensure!(!status.success(), "it ended as if all were well: {log}");
        ensure!(
            status.code().is_some(),
            "it was brought down: {status}: {log}"
        );
        ensure!(
            log.contains("error: "),
            "it ended without a sentence: {log}"
        );
        self.no_panic()?;
        Ok(Started::Refuses(log))
    }

    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    pub fn no_panic(&self) -> Result<()> {
        let log = self.log()?;
        ensure!(!log.contains("panicked"), "a panic: {log}");
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.no_panic()
    }

    /// As an operator ends it.
    pub fn end(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").arg(&id).status()?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "it does not end on SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.no_panic()
    }

    pub fn alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Status and body; none where there was no whole answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        block(async {
            let client = client();
            let response = client
                .get(format!("{}{path}", self.url))
                .send()
                .await
                .ok()?;
            let status = response.status().as_u16();
            Some((status, response.text().await.ok()?))
        })
    }

    /// Sends a question; none where there was no whole answer.
    pub fn submit(&self, request: &Value) -> Option<(u16, Value)> {
        submit(&self.url, request)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As [`Program::submit`], from any thread.
pub fn submit(url: &str, request: &Value) -> Option<(u16, Value)> {
    block(async {
        let asked = client().post(format!("{url}/api/traces"));
        let response = asked.json(request).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    })
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// A question that takes some time, or hardly any.
pub fn question(dice: &mut Dice) -> Value {
    json!({
        "prompt": "Summarize the conversation.\n",
        "question": [{"text": "Anna: I bought a red car.\n"}, {"text": "Ben: I saw a blue bird.\n"}],
        "options": {"max_new_tokens": 4 + dice.below(60), "seed": dice.below(1000)}
    })
}

/// The id of an accepted question; an error where it was refused.
pub fn accepted(answer: Option<(u16, Value)>) -> Result<String> {
    match answer {
        Some((202, body)) => Ok(body["id"].as_str().context("no id")?.to_owned()),
        Some((status, body)) => bail!("refused with {status}: {body}"),
        None => bail!("no answer"),
    }
}

//! What may happen to a server: each fault happens once, and leaves the stage so that an ordinary server can start.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use server::models::TINY_MODEL;

use crate::Dice;
use crate::ledger::{Ledger, plain};
use crate::many::{self, Many};
use crate::program::{Program, Started, accepted, question, start, submit, together};

pub struct Fault {
    pub name: &'static str,
    /// What the machine must offer; empty for nothing.
    pub needs: &'static str,
    /// It happens to a house of many machines, which settles by itself.
    pub many: bool,
    pub run: fn(&mut Stage, &mut Ledger) -> Result<()>,
}

pub const FAULTS: [Fault; 11] = [
    fault("kill", "", kill),
    fault("vanish", "", vanish),
    fault("slow", "", slow),
    fault("full", "a disk of its own", full),
    fault("read-only", "a disk of its own", read_only),
    fault("corrupt", "", corrupt),
    fault("clock", "faketime", clock),
    fault("model", "", model),
    of_many("web", many::web),
    of_many("worker", many::worker),
    of_many("nats", many::nats),
];

const fn fault(
    name: &'static str,
    needs: &'static str,
    run: fn(&mut Stage, &mut Ledger) -> Result<()>,
) -> Fault {
    Fault {
        name,
        needs,
        many: false,
        run,
    }
}

const fn of_many(name: &'static str, run: fn(&mut Stage, &mut Ledger) -> Result<()>) -> Fault {
    Fault {
        name,
        needs: "nats-server",
        many: true,
        run,
    }
}

pub struct Stage {
    pub program: PathBuf,
    pub data: PathBuf,
    pub scratch: PathBuf,
    pub dice: Dice,
    /// Servers so far.
    pub starts: Cell<usize>,
    pub faketime: Option<PathBuf>,
    /// Once something has happened to it.
    pub house: Option<Many>,
}

/// The library that lies about the time, where Debian's `faketime` is installed.
pub fn faketime() -> Option<PathBuf> {
    let folders = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    folders
        .iter()
        .map(|folder| {
            Path::new("/usr/lib")
                .join(folder)
                .join("faketime/libfaketime.so.1")
        })
        .find(|path| path.is_file())
}

impl Stage {
    fn start_with(&self, models: &[&Path], env: &[(&str, String)]) -> Result<Started> {
        let log = self.scratch.join("log.txt");
        self.starts.set(self.starts.get() + 1);
        let mut env = env.to_vec();
        env.push(together(self.starts.get()));
        start(&self.program, &self.data, log, models, &env)
    }

    fn start(&self) -> Result<Program> {
        match self.start_with(&[], &[])? {
            Started::Serves(program) => Ok(program),
            Started::Refuses(log) => bail!("it does not start: {log}"),
        }
    }

    /// An ordinary server on the stage: what was accepted is finished or plainly failed.
    pub fn settle(&self, ledger: &mut Ledger, all: bool) -> Result<()> {
        let program = self.start()?;
        ledger.settle(&program, all)?;
        if all { program.end() } else { program.kill() }
    }

    /// The house of many machines, and the dice.
    pub fn many(&mut self) -> Result<(&mut Many, &mut Dice)> {
        let house = match self.house.take() {
            Some(house) => house,
            None => Many::start(&self.program, self.scratch.join("many"))?,
        };
        Ok((self.house.insert(house), &mut self.dice))
    }

    fn submit(&mut self, program: &Program, ledger: &mut Ledger) -> Result<()> {
        ledger.accepted(accepted(program.submit(&question(&mut self.dice)))?);
        Ok(())
    }

    fn pause(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.dice.below(most_ms)));
    }
}

/// `kill -9` at any moment, also while a question is on its way.
fn kill(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    let program = stage.start()?;
    for _ in 0..=stage.dice.below(5) {
        stage.submit(&program, ledger)?;
    }
    let (url, last) = (program.url.clone(), question(&mut stage.dice));
    let racing = std::thread::spawn(move || submit(&url, &last));
    let most_ms = if stage.dice.below(2) == 0 { 15 } else { 900 };
    stage.pause(most_ms);
    program.kill()?;
    let answer = racing.join().ok().flatten();
    if let Some((202, body)) = answer {
        ledger.accepted(body["id"].as_str().context("no id")?.to_owned());
    }
    Ok(())
}

fn connect(program: &Program) -> Result<TcpStream> {
    let address = program.url.trim_start_matches("http://");
    Ok(TcpStream::connect(address)?)
}

/// The first half of an upload.
fn half_an_upload(stream: &mut TcpStream) -> Result<()> {
    let head = "POST /api/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\
        Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"a\"; \
        filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(&[7; 200_000])?;
    Ok(())
}

/// Clients that go away in the middle of an upload and of a stream.
fn vanish(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    let program = stage.start()?;
    half_an_upload(&mut connect(&program)?)?;
    let id = accepted(program.submit(&question(&mut stage.dice)))?;
    for _ in 0..20 {
        let mut viewer = connect(&program)?;
        write!(
            viewer,
            "GET /api/traces/{id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )?;
        let _ = viewer.read(&mut [0; 64])?;
    }
    ledger.accepted(id);
    ledger.settle(&program, false)?;
    // The half upload is put away, maybe a moment later.
    for _ in 0..100 {
        if fs::read_dir(stage.data.join("incoming"))?.count() == 0 {
            return program.kill();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("half an upload is left");
}

/// Clients that hardly read and hardly write hold nobody else up.
fn slow(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    let program = stage.start()?;
    let mut crowd = Vec::new();
    for _ in 0..6 {
        let mut upload = connect(&program)?;
        half_an_upload(&mut upload)?;
        crowd.push(upload);
    }
    stage.submit(&program, ledger)?;
    let newest = ledger.ids().last().cloned().unwrap_or_default();
    for _ in 0..30 {
        let mut viewer = connect(&program)?;
        write!(
            viewer,
            "GET /api/traces/{newest}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )?;
        crowd.push(viewer);
    }
    ledger.settle(&program, false)?;
    drop(crowd);
    program.kill()
}

/// A disk without room: refused in a sentence, or accepted and kept; never half.
fn full(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    let mut program = stage.start()?;
    stage.submit(&program, ledger)?;
    let ballast = stage.data.with_file_name("ballast");
    let mut file = File::create(&ballast)?;
    let block = vec![1; 64 << 10];
    while file.write_all(&block).is_ok() {}
    drop(file);
    for _ in 0..3 {
        match program.submit(&question(&mut stage.dice)) {
            Some((202, body)) => ledger.accepted(body["id"].as_str().context("no id")?.to_owned()),
            Some((status, body)) => {
                ensure!(
                    status >= 500,
                    "a full disk is not the sender's fault: {status} {body}"
                );
                plain(&body.to_string())?;
            }
            None => bail!("a full disk leaves the sender without an answer"),
        }
    }
    ensure!(
        program.alive()?,
        "a full disk ended the server: {}",
        program.log()?
    );
    let home = program.get("/").context("no answer")?;
    ensure!(home.0 == 200, "nothing can be read while the disk is full");
    fs::remove_file(&ballast)?;
    stage
        .submit(&program, ledger)
        .context("after the disk had room again")?;
    program.kill()
}

/// A disk that cannot be written: it says so and does not start.
fn read_only(stage: &mut Stage, _: &mut Ledger) -> Result<()> {
    let volume = stage.data.parent().context("a volume")?;
    let remount = |how: &str| {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(volume)
            .status();
        done.is_ok_and(|status| status.success())
    };
    ensure!(remount("ro"), "the disk cannot be made read-only");
    let started = stage.start_with(&[], &[]);
    ensure!(remount("rw"), "the disk cannot be made writable again");
    match started? {
        Started::Refuses(_) => Ok(()),
        Started::Serves(_) => bail!("it serves from a disk to which it cannot write"),
    }
}

/// One damaged page in a copy of the database: refused in a sentence, or nothing false is shown.
fn corrupt(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    const PAGE: u64 = 4096;
    let copy = stage.scratch.join("damaged");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    fs::create_dir_all(&copy)?;
    if !stage.data.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&stage.data)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), copy.join(entry.file_name()))?;
        }
    }
    let mut file = OpenOptions::new()
        .write(true)
        .open(copy.join("omnitrace.sqlite"))?;
    let pages = (file.metadata()?.len() / PAGE).max(1);
    file.seek(SeekFrom::Start(stage.dice.below(pages) * PAGE))?;
    let noise: Vec<u8> = (0..PAGE).map(|_| stage.dice.roll() as u8).collect();
    file.write_all(&noise)?;
    drop(file);
    let log = stage.scratch.join("log.txt");
    match start(&stage.program, &copy, log, &[], &[])? {
        Started::Refuses(_) => Ok(()),
        Started::Serves(program) => {
            ledger.nothing_false(&program)?;
            program.kill()
        }
    }
}

/// A clock that is wrong, and one that jumps.
fn clock(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    let library = stage.faketime.clone().context("no faketime")?;
    let time = stage.scratch.join("time");
    let jump = |days: u64, forward: bool| format!("{}{days}d\n", if forward { '+' } else { '-' });
    fs::write(
        &time,
        jump(stage.dice.below(4000), stage.dice.below(2) == 0),
    )?;
    let env = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", time.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let program = match stage.start_with(&[], &env)? {
        Started::Serves(program) => program,
        Started::Refuses(log) => bail!("a wrong clock keeps it from starting: {log}"),
    };
    stage.submit(&program, ledger)?;
    fs::write(
        &time,
        jump(stage.dice.below(4000), stage.dice.below(2) == 0),
    )?;
    stage.submit(&program, ledger)?;
    ledger.settle(&program, false)?;
    program.kill()
}

/// Another file in the model's place: what is loaded goes on; what cannot be loaded is said.
fn model(stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
    let dir = stage.scratch.join("other");
    fs::create_dir_all(&dir)?;
    for (name, bytes) in TINY_MODEL {
        fs::write(dir.join(name), bytes)?;
    }
    let program = match stage.start_with(&[&dir], &[])? {
        Started::Serves(program) => program,
        Started::Refuses(log) => bail!("it does not start: {log}"),
    };
    stage.submit(&program, ledger)?;
    let weights = dir.join("model.safetensors");
    let fresh = dir.join("model.safetensors.new");
    let bytes = fs::read(&weights)?;
    let length = stage.dice.below(bytes.len() as u64) as usize;
    fs::write(&fresh, &bytes[..length])?;
    fs::rename(&fresh, &weights)?;
    stage.submit(&program, ledger)?;
    program.kill()?;
    match stage.start_with(&[&dir], &[])? {
        Started::Refuses(log) => ensure!(log.contains("model.safetensors"), "which file? {log}"),
        Started::Serves(_) => bail!("it serves {length} bytes of a model"),
    }
    Ok(())
}

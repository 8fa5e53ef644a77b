//! `cargo xtask chaos`: the real program under everything that happens to a server, round after round.
//! In: the program, rounds, a seed. Out: nothing accepted is lost, nothing half-written is shown, nothing panics; or what was.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a campaign may stop at the first surprise"
)]

mod faults;
mod ledger;
mod many;
mod program;

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Parser;

use faults::{FAULTS, Stage};
use ledger::Ledger;

/// Kills, starves and confuses a server, and looks whether it kept its word.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program under test.
    #[arg(long)]
    program: PathBuf,
    /// How many times something happens.
    #[arg(long, default_value_t = 200)]
    rounds: u64,
    /// What happens when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these kinds of fault, by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Bytes of the disk that fills up.
const VOLUME_BYTES: u64 = 96 << 20;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let scratch = tempfile::tempdir()?;
    let volume = Volume::mount(scratch.path().join("volume"))?;
    let faketime = faults::faketime();
    let nats = many::nats_server();
    let faults: Vec<_> = FAULTS
        .iter()
        .filter(|fault| {
            arguments.only.is_empty() || arguments.only.iter().any(|only| only == fault.name)
        })
        .filter(|fault| {
            let missing = match fault.needs {
                "a disk of its own" => !volume.own,
                "faketime" => faketime.is_none(),
                "nats-server" => !nats,
                _ => false,
            };
            if missing {
                println!("left out: {} (needs {})", fault.name, fault.needs);
            }
            !missing
        })
        .collect();
    if faults.is_empty() {
        bail!("no fault of that name can be made here");
    }
    let mut stage = Stage {
        program: arguments.program,
        data: volume.path.join("data"),
        scratch: scratch.path().to_owned(),
        dice: Dice(arguments.seed),
        starts: Cell::default(),
        faketime,
        house: None,
    };
    let mut ledger = Ledger::default();
    for round in 0..arguments.rounds {
        let fault = faults[(round % faults.len() as u64) as usize];
        let last = round + 1 == arguments.rounds;
        (fault.run)(&mut stage, &mut ledger)
            .and_then(|()| match fault.many && !last {
                true => Ok(()),
                false => stage.settle(&mut ledger, last),
            })
            .with_context(|| format!("round {round} ({}), seed {}", fault.name, arguments.seed))?;
        match &stage.house {
            Some(house) if fault.many => {
                println!("round {round}: {}; {}", fault.name, house.ledger)
            }
            _ => println!("round {round}: {}; {ledger}", fault.name),
        }
    }
    if let Some(house) = stage.house.take() {
        house.end()?;
    }
    println!("{} rounds: {ledger}. Nothing was lost.", arguments.rounds);
    Ok(())
}

/// A small seeded generator (SplitMix64): the same campaign on every run.
pub struct Dice(u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}

/// A small disk that may be filled: where it cannot be mounted, a folder that may not.
struct Volume {
    path: PathBuf,
    own: bool,
}

impl Volume {
    fn mount(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path)?;
        let size = format!("size={VOLUME_BYTES}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .output();
        let own = mounted.is_ok_and(|out| out.status.success());
        Ok(Self { path, own })
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.own {
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        }
    }
}

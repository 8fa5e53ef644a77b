//! `cargo xtask chaos`: builds the server and the campaign, and lets the one loose on the other.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, Cargo};

/// Options go to the campaign.
pub fn run(options: &[String]) -> Result<()> {
    crate::provision::for_build()?;
    shell::say("building the server and the campaign (as the checks do)");
    Cargo::new("test", "building the campaign")
        .args(["--profile", "checks", "--no-run"])
        .run()?;
    let built = shell::root().join("target/checks");
    shell::say(
        "200 rounds take some ten minutes; the same seed brings the same faults (as root, with faketime and nats-server: all of them)",
    );
    let mut campaign = Command::new(built.join("examples/chaos"));
    campaign
        .arg("--program")
        .arg(built.join("omnitrace"))
        .args(options);
    shell::run(&mut campaign, "the campaign")
}

//! `cargo xtask test`: every check, in the order in which failures are cheapest to see.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::shell::{self, Cargo};
use crate::{boundaries, browser, licences, provision, site};

type Step = (&'static str, &'static str, fn() -> Result<()>);

const STEPS: [Step; 8] = [
    (
        "boundaries",
        "who may depend on whom, and the tree's habits (seconds)",
        boundaries::check,
    ),
    (
        "licences",
        "every dependency's licence (seconds)",
        licences::check,
    ),
    ("fmt", "format (seconds)", fmt),
    (
        "site",
        "the page's files as wasm (about 2 minutes cold)",
        site::build,
    ),
    ("clippy", "lints, native (about 5 minutes cold)", clippy),
    (
        "clippy-wasm",
        "lints, wasm32 (about 5 minutes cold)",
        clippy_wasm,
    ),
    (
        "unit",
        "unit, property, parity and HTTP tests (about 13 minutes cold)",
        unit,
    ),
    (
        "browser",
        "browser tests on the real server, with and without JavaScript (about 1 minute)",
        browser::test,
    ),
];

/// Runs the named steps, or all.
pub fn run(only: &[String]) -> Result<()> {
    if let Some(unknown) = only
        .iter()
        .find(|name| STEPS.iter().all(|(step, ..)| step != name))
    {
        bail!(
            "there is no step `{unknown}`; steps: {}",
            STEPS.map(|(name, ..)| name).join(" ")
        );
    }
    shell::say(
        "cargo xtask test: every check; about half an hour on 2 cores from a clean clone, a few minutes when warm",
    );
    provision::for_tests()?;
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|(name, ..)| only.is_empty() || only.iter().any(|o| o == name))
        .collect();
    let mut passed = Vec::new();
    for (index, (name, what, step)) in chosen.iter().enumerate() {
        shell::say(&format!(
            "step {} of {}: {name}: {what}",
            index + 1,
            chosen.len()
        ));
        let start = Instant::now();
        step().map_err(|error| {
            error.context(format!(
                "step `{name}`; run it alone: cargo xtask test {name}"
            ))
        })?;
        passed.push((name, start.elapsed().as_secs()));
    }
    println!();
    for (name, secs) in &passed {
        println!("    {name:<12} {secs:>5} s");
    }
    println!("all {} steps passed", passed.len());
    Ok(())
}

fn fmt() -> Result<()> {
    let mut command = std::process::Command::new("cargo");
    shell::run(
        command
            .args(["fmt", "--all", "--check"])
            .current_dir(shell::root()),
        "cargo fmt --all --check",
    )?;
    let mut command = std::process::Command::new("cargo");
    shell::run(
        command
            .args(["fmt", "--check", "--manifest-path", "xtask/Cargo.toml"])
            .current_dir(shell::root()),
        "cargo fmt of xtask",
    )
}

fn clippy() -> Result<()> {
    Cargo::new("clippy", "clippy (native)")
        .args([
            "--profile",
            "checks",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
        .run()
}

fn clippy_wasm() -> Result<()> {
    Cargo::new("clippy", "clippy (wasm32)")
        .args([
            "-p",
            "frontend",
            "-p",
            "frontend-compose",
            "-p",
            "frontend-world",
            "-p",
            "frontend-scope",
            "--target",
            "wasm32-unknown-unknown",
            "--target-dir",
            "target/wasm",
        ])
        .args(["--", "-D", "warnings"])
        .run()?;
    // The crates that must keep compiling for the browser on their own features.
    Cargo::new("check", "wasm32 check of attribution and world")
        .args([
            "-p",
            "attribution",
            "-p",
            "world",
            "--target",
            "wasm32-unknown-unknown",
        ])
        .args(["--target-dir", "target/wasm"])
        .run()
}

fn unit() -> Result<()> {
    Cargo::new("test", "the tests")
        .args(["--profile", "checks"])
        .run()
}

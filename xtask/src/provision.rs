//! Installs what a fresh Debian machine lacks, saying so; or says what to install where it cannot.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// What both commands need: a C++ compiler (openh264), the wasm target, node packages (wasm-opt).
pub fn for_build() -> Result<()> {
    debian("g++", "g++", "it compiles the H.264 decoder")?;
    debian("nasm", "nasm", "it assembles the decoder's fast paths")?;
    if !shell::has("npm") {
        debian(
            "npm",
            "npm",
            "it brings wasm-opt, which makes the page small",
        )?;
    }
    wasm_target()?;
    node_packages()
}

/// What the checks need on top: a browser, ffmpeg for the formats that are not built in, and a NATS server.
pub fn for_tests() -> Result<()> {
    for_build()?;
    rust_component("rustfmt", "cargo-fmt")?;
    rust_component("clippy", "cargo-clippy")?;
    debian(
        "ffmpeg",
        "ffmpeg",
        "it reads the formats that are not built in",
    )?;
    debian(
        "nats-server",
        "nats-server",
        "the tests of many machines start one",
    )?;
    debian("chromium", "chromium", "the browser tests drive it")
}

fn debian(program: &str, package: &str, why: &str) -> Result<()> {
    if shell::has(program) {
        return Ok(());
    }
    let by_hand = format!("install it by hand: apt-get install {package} ({why})");
    if !shell::has("apt-get") {
        bail!("`{program}` is missing and this is no Debian machine; {by_hand}");
    }
    shell::say(&format!("installing Debian's {package}: {why}"));
    let as_root = is_root();
    if !as_root && !shell::has("sudo") {
        bail!("`{program}` is missing, and there is neither root nor sudo; {by_hand}");
    }
    let apt = |arguments: &[&str]| {
        let mut command = if as_root {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.arg("apt-get");
            sudo
        };
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    shell::run(&mut apt(&["update", "-q"]), "apt-get update").with_context(|| by_hand.clone())?;
    shell::run(
        &mut apt(&["install", "-y", "-q", "--no-install-recommends", package]),
        "apt-get install",
    )
    .context(by_hand)
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

fn wasm_target() -> Result<()> {
    let sysroot = shell::output(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(shell::root()),
        "rustc",
    )?;
    if Path::new(sysroot.trim())
        .join("lib/rustlib/wasm32-unknown-unknown/lib")
        .is_dir()
    {
        return Ok(());
    }
    shell::say("adding the wasm32 target to the Rust toolchain");
    shell::run(
        Command::new("rustup")
            .args(["target", "add", "wasm32-unknown-unknown"])
            .current_dir(shell::root()),
        "rustup target add wasm32-unknown-unknown",
    )
}

fn rust_component(name: &str, program: &str) -> Result<()> {
    let works = Command::new(program)
        .arg("--version")
        .current_dir(shell::root())
        .output()
        .is_ok_and(|out| out.status.success());
    if works {
        return Ok(());
    }
    shell::say(&format!("adding {name} to the Rust toolchain"));
    shell::run(
        Command::new("rustup")
            .args(["component", "add", name])
            .current_dir(shell::root()),
        "rustup component add",
    )
}

/// `npm ci` in end2end when its lock file is newer than what is installed.
fn node_packages() -> Result<()> {
    let folder = shell::root().join("end2end");
    let modified = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&folder.join("package-lock.json")) {
        return Ok(());
    }
    shell::say(
        "installing the node packages of end2end (wasm-opt, Playwright without its own browser)",
    );
    shell::run(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
            .current_dir(&folder),
        "npm ci",
    )
}

//! The project's tasks: `cargo xtask demo`, `cargo xtask test` and the pieces they are made of.
//! In: a clone on a Debian machine. Out: a served app, or a verdict.

mod boundaries;
mod browser;
mod chaos;
mod cuda;
mod fuzz;
mod licences;
mod provision;
mod shell;
mod site;
mod tests;

use anyhow::{Result, bail};

use shell::Cargo;

const HELP: &str = "\
cargo xtask <task>

  demo [-- ARGS]   install what is missing, build (release) and serve the app on http://127.0.0.1:3000
                   (ARGS go to `omnitrace serve`, for example --listen 0.0.0.0:8080)
  test             install what is missing and run every check
  test STEP ...    run only these steps: boundaries licences fmt site clippy clippy-wasm unit browser
  build            the release binary target/release/omnitrace with the page and the tiny model inside
  site             only the page's files: wasm, JavaScript, style (target/site)
  boundaries       who may depend on whom, and the tree's habits
  licences         every dependency's licence against deny.toml
  cuda             check and lint the CUDA build; no GPU needed, nvcc comes from PyPI where it is missing
  cuda build       the release binary for CUDA
  chaos            [--rounds N] [--seed S] [--only FAULT]: the real server killed, starved and confused (as root: all faults)
  fuzz             [--seconds N] [TARGET ...]: readers of foreign bytes against inputs nobody would write (nightly Rust)
";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&arguments) {
        eprintln!("\nxtask: {error:#}");
        std::process::exit(1);
    }
}

fn run(arguments: &[String]) -> Result<()> {
    std::env::set_current_dir(shell::root())?;
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("demo") => demo(rest),
        Some("test") => tests::run(rest),
        Some("build") => build_release().map(|_| ()),
        Some("site") => {
            provision::for_build()?;
            site::build()
        }
        Some("boundaries") => boundaries::check(),
        Some("licences") => licences::check(),
        Some("cuda") => cuda::run(rest),
        Some("chaos") => chaos::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("there is no task `{other}`\n\n{HELP}"),
    }
}

/// Builds `target/release/omnitrace`, the one file that is copied to a server.
fn build_release() -> Result<std::path::PathBuf> {
    provision::for_build()?;
    site::build()?;
    shell::say(
        "building the server (release); the first time takes about 10 to 15 minutes on 2 cores",
    );
    Cargo::new("build", "the server")
        .args(["--release", "-p", "server"])
        .run()?;
    Ok(shell::root().join("target/release/omnitrace"))
}

fn demo(arguments: &[String]) -> Result<()> {
    shell::say(
        "this builds the page and the server, then serves them; the first time takes about 15 minutes on 2 cores, later seconds",
    );
    let binary = build_release()?;
    let own = arguments.iter().skip_while(|a| a.as_str() == "--");
    let mut command = std::process::Command::new(&binary);
    command.arg("serve").args(own);
    if !arguments.iter().any(|a| a == "--data") {
        command.args(["--data", "target/demo-data"]);
    }
    shell::say("serving; stop with Ctrl-C");
    shell::run(&mut command, "omnitrace serve")
}

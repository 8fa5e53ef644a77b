//! Running other programs: what is run is said, what fails says why.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Tells the person at the terminal what happens now.
pub fn say(sentence: &str) {
    println!("\n==> {sentence}");
}

/// Runs to the end; an exit status other than 0 is an error that names `what`.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{what} failed ({status}); the lines above say why");
    }
    Ok(())
}

/// Standard output of a command that must succeed.
pub fn output(command: &mut Command, what: &str) -> Result<String> {
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
    if !out.status.success() {
        bail!("{what} failed ({})", out.status);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Whether a program is on PATH.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// A cargo command on the project's workspace with the environment every build shares.
pub struct Cargo {
    command: Command,
    what: &'static str,
}

impl Cargo {
    /// `cargo <verb>` in the root.
    pub fn new(verb: &str, what: &'static str) -> Self {
        let mut command = Command::new("cargo");
        command
            .arg(verb)
            .arg("--locked")
            .current_dir(root())
            .env("OMNITRACE_SITE_DIR", root().join("target/site"))
            // `cargo run` of this task sets these for itself; the project's builds have their own.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS");
        Self { command, what }
    }

    /// Adds arguments.
    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it.
    pub fn run(mut self) -> Result<()> {
        run(&mut self.command, self.what)
    }
}

//! Playwright against the real server with the tiny model, in Debian's chromium.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{self, Cargo};

/// Builds what the unit step builds (its tests drive the same binary, so nothing is compiled twice) and drives it.
pub fn test() -> Result<()> {
    Cargo::new("test", "the server")
        .args(["--profile", "checks", "--no-run"])
        .run()?;
    let chromium =
        which("chromium").context("chromium is not on PATH; apt-get install chromium")?;
    shell::run(
        Command::new("npx")
            .args(["playwright", "test"])
            .env(
                "OMNITRACE_BINARY",
                shell::root().join("target/checks/omnitrace"),
            )
            .env("CHROMIUM", chromium)
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
            .current_dir(shell::root().join("end2end")),
        "the browser tests",
    )
}

fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

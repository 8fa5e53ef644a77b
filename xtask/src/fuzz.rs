//! `cargo xtask fuzz --seconds N [TARGET ...]`: every reader of foreign bytes against inputs that nobody would write.
//! Corpora grow in target/fuzz; what breaks something is kept in fuzz/found, to be committed with the repair.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// A target, where its first inputs come from, and which of them.
struct Target {
    name: &'static str,
    seeds: &'static str,
    extensions: &'static [&'static str],
}

const TARGETS: [Target; 7] = [
    Target {
        name: "image",
        seeds: "media/tests/data",
        extensions: &["png", "jpg", "webp", "gif"],
    },
    Target {
        name: "sound",
        seeds: "media/tests/data",
        extensions: &[
            "wav", "mp3", "ogg", "oga", "opus", "flac", "m4a", "aac", "mka",
        ],
    },
    Target {
        name: "film",
        seeds: "media/tests/data",
        extensions: &["mp4", "m4a", "webm", "mkv", "gif"],
    },
    Target {
        name: "record",
        seeds: "attribution/tests/golden",
        extensions: &["json"],
    },
    Target {
        name: "chunker",
        seeds: "fuzz/seeds/chunker",
        extensions: &["txt"],
    },
    Target {
        name: "transcript",
        seeds: "fuzz/seeds/transcript",
        extensions: &["json", "srt", "vtt"],
    },
    Target {
        name: "sample",
        seeds: "fuzz/seeds/sample",
        extensions: &["json"],
    },
];

/// Larger seeds slow a fuzzer down more than they teach it.
const MAX_SEED_BYTES: u64 = 64 << 10;

/// Runs the campaign; an error where anything was found.
pub fn run(arguments: &[String]) -> Result<()> {
    let (secs, wanted) = parse(arguments)?;
    provide()?;
    let mut found = Vec::new();
    for target in wanted {
        shell::say(&format!(
            "fuzzing {} for {secs} s (compiling it with sanitizers takes minutes the first time)",
            target.name
        ));
        if !fuzz(target, secs)? {
            found.push(target.name);
        }
    }
    if !found.is_empty() {
        bail!(
            "something broke in: {}. The inputs are in fuzz/found; run one with `cargo +nightly fuzz run --fuzz-dir fuzz TARGET FILE`",
            found.join(", ")
        );
    }
    println!("\nnothing broke");
    Ok(())
}

fn parse(arguments: &[String]) -> Result<(u64, Vec<&'static Target>)> {
    let mut secs = 60;
    let mut wanted = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            let given = rest.next().context("--seconds needs a number")?;
            secs = given
                .parse()
                .with_context(|| format!("`{given}` is no number of seconds"))?;
        } else if let Some(target) = TARGETS.iter().find(|target| target.name == argument) {
            wanted.push(target);
        } else {
            let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            bail!(
                "there is no fuzz target `{argument}`; there are: {}",
                known.join(" ")
            );
        }
    }
    if wanted.is_empty() {
        wanted = TARGETS.iter().collect();
    }
    Ok((secs, wanted))
}

/// The fuzzer needs the nightly compiler's sanitizers.
fn provide() -> Result<()> {
    let quiet = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
    if !quiet(Command::new("rustc").args(["+nightly", "--version"])) {
        shell::say("adding Rust's nightly toolchain: its sanitizers watch the readers");
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        shell::run(&mut rustup, "rustup toolchain install nightly")?;
    }
    if !quiet(Command::new("cargo").args(["fuzz", "--version"])) {
        shell::say("installing cargo-fuzz");
        let mut install = Command::new("cargo");
        install.args(["install", "--locked", "cargo-fuzz"]);
        shell::run(&mut install, "cargo install cargo-fuzz")?;
    }
    Ok(())
}

/// Whether the target held.
fn fuzz(target: &Target, secs: u64) -> Result<bool> {
    let root = shell::root();
    let corpus = root.join("target/fuzz/corpus").join(target.name);
    let found = root.join("fuzz/found").join(target.name);
    for dir in [&corpus, &found] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let seeds = sow(target, &root.join(target.seeds), &corpus)?;
    ensure!(seeds > 0, "no first inputs in {}", target.seeds);
    let before = files(&found)?;
    for path in &before {
        let name = path.file_name().context("a file without a name")?;
        fs::copy(path, corpus.join(name))
            .with_context(|| format!("cannot copy {}", path.display()))?;
    }
    let before = before.len();
    let mut command = Command::new("cargo");
    command
        .args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz"])
        .args(["--target-dir", "target/fuzz/build"])
        .current_dir(&root)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    if target.name == "sample" {
        command.args(["--features", "sample"]);
    }
    command.arg(target.name).arg(&corpus).args([
        "--".to_owned(),
        format!("-max_total_time={secs}"),
        "-timeout=20".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
        format!("-artifact_prefix={}/", found.display()),
    ]);
    let held = command
        .status()
        .context("cannot start cargo fuzz")?
        .success();
    if !held {
        // A build that failed leaves no input behind: that is no finding.
        ensure!(
            files(&found)?.len() > before,
            "cargo fuzz failed before it ran; the lines above say why"
        );
    } else if before == 0 {
        // An empty folder is no news.
        let _ = fs::remove_dir(&found);
    }
    Ok(held)
}

/// Copies the first inputs into the corpus.
fn sow(target: &Target, seeds: &Path, corpus: &Path) -> Result<usize> {
    let mut sown = 0;
    for path in files(seeds)? {
        let fits = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| target.extensions.contains(&extension));
        let small = path.metadata().is_ok_and(|m| m.len() <= MAX_SEED_BYTES);
        if let (true, true, Some(name)) = (fits, small, path.file_name()) {
            fs::copy(&path, corpus.join(name))
                .with_context(|| format!("cannot copy {}", path.display()))?;
            sown += 1;
        }
    }
    Ok(sown)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

//! Who may depend on whom, which libraries must not reach which crate, and the habits of the tree.
//! ARCHITECTURE.md says why; this fails the build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Workspace crates that each crate may name in its manifest.
const MAY_DEPEND: [(&str, &[&str]); 12] = [
    ("attribution", &[]),
    ("media", &[]),
    ("world", &["media"]),
    ("engine", &["attribution", "media"]),
    ("hub", &[]),
    ("app", &["attribution"]),
    ("frontend", &["app"]),
    ("frontend-compose", &["app"]),
    ("frontend-world", &["app", "world"]),
    ("frontend-scope", &["app"]),
    (
        "server",
        &["app", "attribution", "engine", "hub", "media", "world"],
    ),
    ("dataset", &["media", "world"]),
];

/// Packages that must not be linked into a crate, however indirectly.
const MUST_NOT_LINK: [(&str, &[&str]); 5] = [
    ("attribution", &["candle-core", "tokio", "axum", "leptos"]),
    ("media", &["candle-core", "tokio", "axum", "leptos"]),
    (
        "world",
        &["candle-core", "tokio", "axum", "leptos", "getrandom"],
    ),
    (
        "engine",
        &["tokio", "axum", "leptos", "hyper", "hf-hub", "ureq"],
    ),
    (
        "frontend",
        &["candle-core", "axum", "engine", "server", "rusqlite"],
    ),
];

const NO_MODULE_NAMES: [&str; 5] = ["utils", "helpers", "common", "manager", "types"];

/// Fails with every violation at once.
pub fn check() -> Result<()> {
    let mut faults = manifests()?;
    faults.extend(links()?);
    for folder in MAY_DEPEND
        .iter()
        .map(|(name, _)| folder_of(name))
        .chain(["xtask"])
    {
        habits(Path::new(folder), &mut faults)?;
    }
    if !faults.is_empty() {
        bail!("the tree breaks its own rules:\n  {}", faults.join("\n  "));
    }
    println!("    {} crates, no fault", MAY_DEPEND.len());
    Ok(())
}

fn folder_of(name: &'static str) -> &'static str {
    match name {
        "dataset" => "train/dataset",
        "frontend-compose" => "frontend/compose",
        "frontend-world" => "frontend/world",
        "frontend-scope" => "frontend/scope",
        _ => name,
    }
}

fn manifests() -> Result<Vec<String>> {
    let text = shell::output(
        Command::new("cargo").args(["metadata", "--no-deps", "--format-version", "1", "--locked"]),
        "cargo metadata",
    )?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata without packages")?;
    let name_of = |package: &Value| package["name"].as_str().unwrap_or_default().to_owned();
    let names: Vec<String> = packages.iter().map(name_of).collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = name_of(package);
        let Some((_, allowed)) = MAY_DEPEND.iter().find(|(known, _)| *known == name) else {
            faults.push(format!(
                "{name}: a new crate; say in xtask/src/boundaries.rs whom it may depend on"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let other = name_of(dependency);
            let dev = dependency["kind"] == "dev";
            if !dev && names.contains(&other) && !allowed.contains(&other.as_str()) {
                faults.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    Ok(faults)
}

fn links() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (name, forbidden) in MUST_NOT_LINK {
        let mut command = Command::new("cargo");
        command.args([
            "tree", "--locked", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}",
        ]);
        if name == "frontend" {
            command.args(["--target", "wasm32-unknown-unknown"]);
        }
        let tree = shell::output(&mut command, "cargo tree")?;
        let linked: Vec<&str> = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        for package in forbidden.iter().filter(|package| linked.contains(package)) {
            faults.push(format!("{name} links {package}"));
        }
    }
    Ok(faults)
}

/// Every module opens by saying what it does, and none has a name that says nothing.
fn habits(folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    for file in rust_files(&folder.join("src"))? {
        let text = std::fs::read_to_string(&file)?;
        if !text.starts_with("//!") {
            faults.push(format!(
                "{}: must open with `//!`, saying what it does",
                file.display()
            ));
        }
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        if NO_MODULE_NAMES.contains(&stem) {
            faults.push(format!(
                "{}: `{stem}` says nothing; name what it holds",
                file.display()
            ));
        }
    }
    Ok(())
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

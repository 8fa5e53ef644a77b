//! Every dependency's licence against `[licenses].allow` of deny.toml, the file that `cargo deny` reads too.
//! Here because installing `cargo deny` means building it from source on every cold machine.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use spdx::Expression;

use crate::shell;

/// Fails with the list of crates whose licence expression the allowed licences do not satisfy.
pub fn check() -> Result<()> {
    let deny: toml::Table = std::fs::read_to_string("deny.toml")
        .context("deny.toml")?
        .parse()?;
    let allowed: Vec<String> = deny["licenses"]["allow"]
        .as_array()
        .context("deny.toml has no [licenses].allow")?
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let text = shell::output(
        Command::new("cargo").args(["metadata", "--format-version", "1", "--locked"]),
        "cargo metadata",
    )?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata without packages")?;
    let mut refused = Vec::new();
    for package in packages {
        let name = format!(
            "{} {}",
            text_of(&package["name"]),
            text_of(&package["version"])
        );
        let licence = text_of(&package["license"]);
        // Old crates write `MIT/Apache-2.0`.
        let accepted =
            Expression::parse_mode(licence, spdx::ParseMode::LAX).is_ok_and(|expression| {
                expression.evaluate(|requirement| {
                    let id = requirement.license.id().map(|id| id.name);
                    id.is_some_and(|id| allowed.iter().any(|allowed| allowed == id))
                })
            });
        if !accepted {
            refused.push(format!("{name}: {licence:?}"));
        }
    }
    if !refused.is_empty() {
        bail!(
            "not among the licences that deny.toml allows:\n  {}",
            refused.join("\n  ")
        );
    }
    println!(
        "    {} packages, all under {}",
        packages.len(),
        allowed.join(", ")
    );
    Ok(())
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

//! Builds the page's files into target/site: `frontend` as wasm, its JavaScript, the style, `public`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::shell::{self, Cargo};

/// Makes target/site whole and new.
pub fn build() -> Result<()> {
    shell::say("building the page (wasm); the first time takes about 2 minutes on 2 cores");
    Cargo::new("build", "the page")
        .args(["-p", "frontend", "--target", "wasm32-unknown-unknown"])
        .args(["--profile", "wasm-release", "--target-dir", "target/wasm"])
        .run()?;
    let root = shell::root();
    let site = root.join("target/site");
    let pkg = site.join("pkg");
    if site.exists() {
        fs::remove_dir_all(&site).context("cannot empty target/site")?;
    }
    fs::create_dir_all(&pkg).context("cannot make target/site/pkg")?;
    let built = root.join("target/wasm/wasm32-unknown-unknown/wasm-release/frontend.wasm");
    Bindgen::new()
        .input_path(&built)
        .out_name("omnitrace")
        .web(true)?
        .typescript(false)
        .generate(&pkg)
        .context("wasm-bindgen")?;
    optimise(&pkg.join("omnitrace_bg.wasm"))?;
    fs::copy(root.join("style/main.css"), pkg.join("omnitrace.css")).context("style/main.css")?;
    copy_tree(&root.join("public"), &site)?;
    report(&pkg)
}

/// wasm-opt of npm's binaryen. Debian's (version 108) exits 0 and breaks the module, so it is never used.
fn optimise(wasm: &Path) -> Result<()> {
    let wasm_opt = shell::root().join("end2end/node_modules/.bin/wasm-opt");
    let optimised = wasm.with_extension("opt");
    shell::run(
        Command::new(&wasm_opt)
            .arg(wasm)
            .args(["-Oz", "--strip-debug", "--strip-producers", "-o"])
            .arg(&optimised),
        "wasm-opt",
    )?;
    fs::rename(&optimised, wasm).context("cannot replace the wasm by the optimised one")
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn report(pkg: &Path) -> Result<()> {
    for name in ["omnitrace_bg.wasm", "omnitrace.js", "omnitrace.css"] {
        let bytes = fs::metadata(pkg.join(name))
            .with_context(|| name.to_owned())?
            .len();
        ensure!(bytes > 0, "{name} is empty");
        println!("    pkg/{name}: {} KB", bytes.div_ceil(1024));
    }
    Ok(())
}

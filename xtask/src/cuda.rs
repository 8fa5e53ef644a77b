//! The CUDA build on a machine with or without a GPU: `cargo xtask cuda` checks that it compiles, `cargo xtask cuda build`
//! links a release binary. Where there is no nvcc, NVIDIA's compiler comes from PyPI into target/cuda.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, Cargo};

/// The compiler and the libraries that candle links.
const PACKAGES: [&str; 8] = [
    "nvidia-cuda-nvcc==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-nvvm==13.0.*",
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "nvidia-cublas==13.0.*",
    "nvidia-curand==10.4.*",
    "nvidia-cuda-nvrtc==13.0.*",
];
/// Hopper, where `nvidia-smi` cannot be asked and CUDA_COMPUTE_CAP does not say otherwise.
const COMPUTE_CAP: &str = "90";

/// `cargo xtask cuda [build]`.
pub fn run(arguments: &[String]) -> Result<()> {
    let (verb, what) = match arguments.first().map(String::as_str) {
        None => ("clippy", "the CUDA build"),
        Some("build") => ("build", "the server for CUDA"),
        Some(other) => bail!("`cargo xtask cuda` knows only `build`, not `{other}`"),
    };
    shell::say(
        "compiling for CUDA; the first time takes 20 minutes of a core for candle's kernels, and 700 MB of disk for nvcc",
    );
    let mut cargo = Cargo::new(verb, what);
    if shell::has("nvcc") {
        println!("    with the machine's own nvcc");
    } else {
        cargo = with_toolkit(cargo)?;
    }
    if verb == "build" {
        crate::provision::for_build()?;
        crate::site::build()?;
        cargo
            .args(["--release", "-p", "server", "--features", "server/cuda"])
            .run()?;
        println!(
            "    target/release/omnitrace; it starts where NVIDIA's driver and the libraries of CUDA 13 are"
        );
        return Ok(());
    }
    // The whole workspace in the profile of the checks, so that all but candle's GPU part is shared with them.
    cargo
        .args([
            "--profile",
            "checks",
            "--all-targets",
            "--features",
            "server/cuda",
        ])
        .args(["--", "-D", "warnings"])
        .run()
}

/// Sets the variables by which candle's build scripts find the compiler from PyPI.
fn with_toolkit(cargo: Cargo) -> Result<Cargo> {
    let venv = shell::root().join("target/cuda/venv");
    if !venv.join("complete").exists() {
        install(&venv)?;
    }
    let home = toolkit_home(&venv)?;
    let bin = home.join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
    let cap = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| COMPUTE_CAP.to_owned());
    Ok(cargo
        .env("CUDA_HOME", &home)
        .env("NVCC", bin.join("nvcc"))
        .env("PATH", std::env::join_paths(paths).context("PATH")?)
        .env(
            "LIBRARY_PATH",
            std::env::join_paths([home.join("lib"), home.join("lib/stubs")])?,
        )
        .env("CUDA_COMPUTE_CAP", cap))
}

fn install(venv: &Path) -> Result<()> {
    shell::say("installing NVIDIA's compiler from PyPI into target/cuda");
    ensure!(
        shell::has("python3"),
        "python3 is missing: apt-get install python3 python3-venv (it brings NVIDIA's compiler from PyPI), or install nvcc 13"
    );
    shell::run(
        Command::new("python3").args(["-m", "venv"]).arg(venv),
        "python3 -m venv (apt-get install python3-venv)",
    )?;
    shell::run(
        Command::new(venv.join("bin/pip"))
            .args(["install", "--quiet", "--no-deps"])
            .args(PACKAGES),
        "pip install",
    )?;
    let home = toolkit_home(venv)?;
    let lib = home.join("lib");
    // The wheels hold libx.so.13; linkers ask for libx.so.
    for entry in fs::read_dir(&lib)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some((stem, _)) = name.split_once(".so.") {
            let plain = lib.join(format!("{stem}.so"));
            if !plain.exists() {
                symlink(&name, plain)?;
            }
        }
    }
    if !home.join("lib64").exists() {
        symlink("lib", home.join("lib64"))?;
    }
    stub_driver(&lib.join("stubs"))?;
    fs::write(venv.join("complete"), "").context("target/cuda is not writable")
}

/// Where the wheels put the toolkit: `lib/python3.N/site-packages/nvidia/cu13`.
fn toolkit_home(venv: &Path) -> Result<PathBuf> {
    for python in fs::read_dir(venv.join("lib"))? {
        let home = python?.path().join("site-packages/nvidia/cu13");
        if home.join("bin/nvcc").is_file() {
            return Ok(home);
        }
    }
    bail!(
        "pip put no nvcc below {}; remove target/cuda and try again",
        venv.display()
    )
}

/// A libcuda to link with where there is no driver: every function that cudarc names, none of which can be run.
fn stub_driver(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let bindings = cudarc_source()?.join("src/driver/sys/mod.rs");
    let text = fs::read_to_string(&bindings).with_context(|| format!("{}", bindings.display()))?;
    let names: BTreeSet<&str> = text
        .split("fn cu")
        .skip(1)
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    ensure!(
        !names.is_empty(),
        "no function found in {}",
        bindings.display()
    );
    let code: String = names
        .iter()
        .map(|name| format!("int cu{name}(void) {{ return 999; }}\n"))
        .collect();
    let source = dir.join("libcuda.c");
    fs::write(&source, code)?;
    shell::run(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"])
            .arg(dir.join("libcuda.so"))
            .arg(&source),
        "cc (apt-get install gcc)",
    )
}

fn cudarc_source() -> Result<PathBuf> {
    let metadata = shell::output(
        Command::new("cargo")
            .args([
                "metadata",
                "--locked",
                "--format-version",
                "1",
                "--features",
                "server/cuda",
            ])
            .current_dir(shell::root()),
        "cargo metadata",
    )?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "cudarc")
        .and_then(|package| package["manifest_path"].as_str())
        .and_then(|manifest| Path::new(manifest).parent())
        .map(PathBuf::from)
        .context("cudarc is not among the dependencies of the CUDA build")
}

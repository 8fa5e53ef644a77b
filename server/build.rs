//! Lists what the program carries inside: the page's files and the tiny model. Both may be missing while the project is
//! being built: then the program says so plainly when they are asked for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("..");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);

    println!("cargo:rerun-if-env-changed=OMNITRACE_SITE_DIR");
    let site = env::var_os("OMNITRACE_SITE_DIR").map(PathBuf::from);
    embed(
        "SITE_FILES",
        site.as_deref(),
        &|_| true,
        &out.join("site_files.rs"),
    )?;

    // What the loader reads; not the card beside it.
    let weights = |name: &str| name.ends_with(".json") || name.ends_with(".safetensors");
    embed(
        "TINY_MODEL",
        Some(&root.join("models/tiny-omni")),
        &weights,
        &out.join("tiny_model.rs"),
    )
}

/// Writes `static NAME: &[(&str, &[u8])]` with every file under `dir` that `keep` wants, names relative to it.
fn embed(
    name: &str,
    dir: Option<&Path>,
    keep: &dyn Fn(&str) -> bool,
    target: &Path,
) -> io::Result<()> {
    let mut files = Vec::new();
    if let Some(dir) = dir {
        // Also when it is missing: the build runs again once it is there.
        println!("cargo:rerun-if-changed={}", dir.display());
        if dir.is_dir() {
            collect(&dir.canonicalize()?, "", &mut files)?;
        }
    }
    files.retain(|(name, _)| keep(name));
    files.sort();
    let mut code =
        format!("/// Every file by its name.\npub static {name}: &[(&str, &[u8])] = &[\n");
    for (name, path) in files {
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    fs::write(target, code)
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            println!("cargo:rerun-if-changed={}", entry.path().display());
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

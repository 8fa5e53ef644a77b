//! `omnitrace backup`: a copy of a data directory that can be served, made while the server runs.
//! In: the data directory. Out: another one; each run brings it up to date.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rusqlite::{Connection, OpenFlags};

use crate::store::DATABASE;

/// Options of `backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The data directory of the server, which may run meanwhile.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "data",
        env = "OMNITRACE_DATA"
    )]
    data: PathBuf,
    /// Where the copy goes; made where it is missing. To restore: serve it with --data, or copy it back.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Makes or renews the copy.
pub fn run(args: &BackupArgs) -> Result<()> {
    let database = args.data.join(DATABASE);
    ensure!(
        database.is_file(),
        "{} is no data directory: it has no {DATABASE}",
        args.data.display()
    );
    fs::create_dir_all(&args.to)
        .with_context(|| format!("cannot make the directory {}", args.to.display()))?;
    let same = args.data.canonicalize()? == args.to.canonicalize()?;
    ensure!(!same, "the copy must go to another directory than --data");
    // The database first: whatever it names was stored before it.
    let traces = copy_database(&database, &args.to)?;
    let (new, kept, gone) = copy_media(&args.data.join("media"), &args.to.join("media"))?;
    println!(
        "{traces} traces; media: {new} copied, {kept} there already, {gone} deleted since the last copy"
    );
    Ok(())
}

/// A consistent copy in place of the former one, checked; how many traces it has.
fn copy_database(database: &Path, to: &Path) -> Result<u64> {
    let fresh = to.join(format!("{DATABASE}.new"));
    if fresh.exists() {
        fs::remove_file(&fresh).with_context(|| format!("cannot replace {}", fresh.display()))?;
    }
    let source = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .with_context(|| format!("cannot open {}", database.display()))?;
    source.busy_timeout(std::time::Duration::from_secs(60))?;
    source
        .execute("VACUUM INTO ?1", [fresh.to_string_lossy()])
        .context("the database could not be copied")?;
    let copy = Connection::open(&fresh)?;
    let verdict: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(verdict == "ok", "the copied database is damaged: {verdict}");
    let traces = copy.query_row("SELECT count(*) FROM traces", [], |row| row.get(0))?;
    drop(copy);
    for leftover in ["-wal", "-shm"] {
        // Of a copy that was served; it belongs to the former file.
        let path = to.join(format!("{DATABASE}{leftover}"));
        if path.exists() {
            fs::remove_file(&path).with_context(|| {
                format!(
                    "cannot remove {} (is the copy being served?)",
                    path.display()
                )
            })?;
        }
    }
    fs::rename(&fresh, to.join(DATABASE)).context("the copied database cannot take its place")?;
    Ok(traces)
}

/// Files are named by their content: what is there is right. What was deleted goes from the copy too.
fn copy_media(from: &Path, to: &Path) -> Result<(usize, usize, usize)> {
    let (mut new, mut kept, mut gone) = (0, 0, 0);
    let wanted = files(from)?;
    for file in &wanted {
        let (source, target) = (from.join(file), to.join(file));
        let size = |path: &Path| path.metadata().ok().map(|data| data.len());
        let Some(bytes) = size(&source) else {
            // Deleted meanwhile.
            continue;
        };
        if size(&target) == Some(bytes) {
            kept += 1;
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let partial = target.with_extension("partial");
        fs::copy(&source, &partial).with_context(|| format!("cannot copy {}", source.display()))?;
        fs::rename(&partial, &target)
            .with_context(|| format!("cannot write {}", target.display()))?;
        new += 1;
    }
    for file in files(to)?.difference(&wanted) {
        let path = to.join(file);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        gone += 1;
    }
    Ok((new, kept, gone))
}

/// Paths of all files below, relative.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        if !path.exists() {
            continue;
        }
        let entries =
            fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
            let name = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else {
                found.insert(name);
            }
        }
    }
    Ok(found)
}

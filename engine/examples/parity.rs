//! Prints a parity table for a directory of recorded cases (`checkpoint/`, `recorded/`).
//! `OMNITRACE_REFERENCE=DIR cargo run --release -p engine --example parity`
//! With `OMNITRACE_REFERENCE_MEDIA=ROOT` the cases' media files are traced too, decoders and resampler included.

#[allow(dead_code)]
#[path = "../tests/reference/mod.rs"]
mod reference;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen");
    let dir = std::env::var_os("OMNITRACE_REFERENCE").map_or(default, PathBuf::from);
    let reference = reference::Reference::open(&dir);
    let mut rows = Vec::new();
    for case in reference.cases() {
        rows.extend(reference.compare(&case));
        if let Some(root) = std::env::var_os("OMNITRACE_REFERENCE_MEDIA") {
            rows.extend(reference.compare_files(&case, &PathBuf::from(root)));
        }
    }
    print!("{}", reference::table(&rows));
    if rows.iter().all(|row| row.ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

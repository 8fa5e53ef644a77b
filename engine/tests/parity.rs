//! The engine against PyTorch on recorded cases: same ids, same winners, same numbers within tolerance.
//! `fixtures/qwen/make.py` and `fixtures/minicpm/make.py` make the cases; `OMNITRACE_REFERENCE` names a further directory of the same form.

#[allow(dead_code)]
mod reference;

use std::path::{Path, PathBuf};

use reference::{Reference, table};

fn fixtures() -> PathBuf {
    of_family("qwen")
}

fn of_family(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}

fn assert_parity(dir: &Path, cases: usize) {
    let reference = Reference::open(dir);
    let names = reference.cases();
    assert!(names.len() >= cases, "{names:?}");
    let rows: Vec<_> = names
        .iter()
        .flat_map(|case| reference.compare(case))
        .collect();
    // Ten quantities are recorded even of a case without media.
    assert!(rows.len() >= 10 * names.len());
    assert!(rows.iter().all(|row| row.ok), "\n{}", table(&rows));
}

#[test]
fn every_recorded_quantity_agrees() {
    assert_parity(&fixtures(), 6);
}

/// Pictures small, wide, tall and sliced; sounds joined, in two turns, and longer than the window; films with and without sound.
#[test]
fn every_recorded_quantity_of_minicpm_agrees() {
    assert_parity(&of_family("minicpm"), 8);
}

#[test]
fn minicpm_sees_films_once_a_second() {
    let reference = Reference::open(&of_family("minicpm"));
    let indices = |frames, fps| engine::inspect::frame_indices(reference.model(), frames, fps);
    // minicpmo-utils: `int(i * fps)` for every second that begins in the film.
    assert_eq!(indices(150, 30.0), [0, 30, 60, 90, 120]);
    assert_eq!(indices(151, 30.0), [0, 30, 60, 90, 120, 150]);
    assert_eq!(indices(100, 29.97), [0, 29, 59, 89]);
    assert_eq!(indices(1, 25.0), [0]);
    assert!(indices(0, 25.0).is_empty());
    assert_eq!(indices(64 * 25, 25.0).len(), 64);
    // Longer: 64 times evenly from a grid of tenths, `linspace(0, 1233, 64)` truncated.
    let long = indices(3085, 25.0);
    assert_eq!((long.len(), long[0], long[1], long[63]), (64, 0, 47, 3082));
}

#[test]
fn a_further_reference_agrees() {
    if let Some(dir) = std::env::var_os("OMNITRACE_REFERENCE") {
        assert_parity(Path::new(&dir), 1);
    }
}

#[test]
fn films_are_sampled_as_in_the_reference() {
    let reference = Reference::open(&fixtures());
    let indices = |frames, fps| engine::inspect::frame_indices(reference.model(), frames, fps);
    // torch: linspace(0, total - 1, n).round() with n of the released sampler.
    assert_eq!(
        indices(150, 30.0),
        [0, 17, 33, 50, 66, 83, 99, 116, 132, 149]
    );
    assert_eq!(indices(10, 25.0), [0, 3, 6, 9]);
    assert_eq!(indices(3, 1.0), [0, 2]);
    assert_eq!(indices(1, 1.0), [0, 0]);
    assert!(indices(0, 25.0).is_empty());
    let long = indices(100_000, 25.0);
    assert_eq!((long.len(), long[0], long[767]), (768, 0, 99_999));
}

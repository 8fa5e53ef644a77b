//! How long a change of method takes on a large record: `cargo bench -p attribution`. The page has 16 ms for it.

use std::time::Instant;

use attribution::curation::recurate;
use attribution::record::{Method, Record, SignalKind};

/// Tokens and units of the record.
const TOKENS: usize = 300;
const UNITS: usize = 2_000;

fn main() {
    let Ok(record) = serde_json::from_value::<Record>(large()) else {
        eprintln!("the record of this benchmark no longer reads");
        std::process::exit(1);
    };
    let mut method = Method::default();
    let mut times: Vec<f64> = (0..500)
        .map(|round| {
            method.signal = SignalKind::ALL[round % SignalKind::ALL.len()];
            method.curation.coverage = 0.5 + (round % 50) as f64 / 100.0;
            let start = Instant::now();
            let cited: usize = recurate(&record, &method)
                .iter()
                .map(|a| a.cited.len())
                .sum();
            assert!(cited > 0, "nothing to curate");
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "recurate, {TOKENS} tokens x {UNITS} units: median {:.3} ms, 95th percentile {:.3} ms",
        times[times.len() / 2],
        times[times.len() * 95 / 100]
    );
}

/// A record of a long film and a long answer, with made-up masses.
fn large() -> serde_json::Value {
    let units: Vec<_> = (0..UNITS)
        .map(|k| {
            serde_json::json!({
                "id": format!("v{k}"), "source": 0, "positions": 36,
                "extent": {"kind": "time", "start_secs": k, "end_secs": k + 1, "track": "picture"},
            })
        })
        .collect();
    let tokens: Vec<_> = (0..TOKENS)
        .map(|k| serde_json::json!({"id": k, "start": k * 5, "end": k * 5 + 5, "pos": (["NOUN", "DET", "VERB", "ADP"])[k % 4]}))
        .collect();
    let chunks: Vec<_> = (0..TOKENS / 15)
        .map(|k| serde_json::json!({"start": k * 75, "end": k * 75 + 75, "token_start": k * 15, "token_end": k * 15 + 15}))
        .collect();
    let masses = |salt: usize| -> Vec<_> {
        (0..TOKENS)
            .map(|token| {
                (0..14)
                    .map(|k| {
                        let unit = (token / 3 * 41 + k * k * 17 + salt * 7) % UNITS;
                        serde_json::json!([unit, 0.2 / (k + 1) as f64, 0.02 / (k + 1) as f64])
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let signals: Vec<_> = SignalKind::ALL
        .iter()
        .enumerate()
        .map(|(k, signal)| {
            let heat: Vec<Vec<u32>> = vec![Vec::new(); chunks.len()];
            serde_json::json!({"signal": signal.name(), "tokens": masses(k), "heat": heat})
        })
        .collect();
    serde_json::json!({
        "version": 1,
        "sources": [{"role": "content", "number": 1, "item": {
            "kind": "video", "media": "", "name": "long.mp4", "duration_secs": UNITS, "width_px": 640, "height_px": 360,
            "fps": 2.0, "grid": {"rows": 6, "cols": 6}, "peaks": [], "thumbnails": [],
        }}],
        "units": units,
        "response": "word ".repeat(TOKENS),
        "tokens": tokens, "chunks": chunks, "signals": signals,
        "method": Method::default(), "attributions": [], "receipt": attribution::record::Receipt::default(),
    })
}

//! Tests of what is shown, and the small record that other tests look at too.

use attribution::record::{Extent, Grid, Unit};
use attribution::resize::Size;

use super::*;

/// A small record: two sentences over two text units and a picture, three signals.
pub(crate) fn record() -> Record {
    let masses = |best: u32| serde_json::json!([[best, 0.6, 0.3], [2, 0.2, 0.01], [0, 0.01, 0.01]]);
    let heat = |cells: &str| serde_json::json!([{"unit": 2, "grid": {"rows": 2, "cols": 2}, "cells": cells, "peak": 0.1, "boxes": []}]);
    let signal = |name: &str| {
        serde_json::json!({
            "signal": name,
            "tokens": [masses(0), masses(0), masses(1), masses(1)],
            "heat": [heat("ff000000"), heat("00ff0000")],
            "inside": [0.8, 0.8, 0.2, 0.2],
        })
    };
    let chunk = |start, end, token_start, token_end| serde_json::json!({"start": start, "end": end, "token_start": token_start, "token_end": token_end});
    let json = serde_json::json!({
        "version": 1,
        "sources": [
            {"role": "content", "number": 1, "item": {"kind": "text", "text": "A red car. A dog."}},
            {"role": "content", "number": 1, "item": {"kind": "image", "media": "", "name": "", "width_px": 56,
                "height_px": 56, "grid": {"rows": 2, "cols": 2}}},
        ],
        "units": [
            {"id": "t0", "source": 0, "positions": 3, "extent": {"kind": "text", "start": 0, "end": 11}},
            {"id": "t1", "source": 0, "positions": 3, "extent": {"kind": "text", "start": 11, "end": 17}},
            {"id": "i0", "source": 1, "positions": 4, "extent": {"kind": "region",
                "rect_in_source": {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0}}},
        ],
        "response": "Red car. Dog runs.",
        "tokens": [
            {"id": 1, "start": 0, "end": 3, "pos": "ADJ"}, {"id": 2, "start": 3, "end": 9, "pos": "NOUN"},
            {"id": 3, "start": 9, "end": 12, "pos": "NOUN"}, {"id": 4, "start": 12, "end": 18, "pos": "VERB"},
        ],
        "chunks": [chunk(0, 9, 0, 2), chunk(9, 18, 2, 4)],
        "signals": [signal("attmean"), signal("attraw"), signal("attgrads")],
        "method": attribution::record::Method::default(),
        "attributions": [{"cited": [], "intervals": []}, {"cited": [], "intervals": []}],
        "receipt": attribution::record::Receipt::default(),
    });
    let mut record: Record = serde_json::from_value(json).unwrap_or_else(|error| panic!("{error}"));
    record.attributions = recurate(&record, &record.method);
    record
}

fn through(lens: &Lens) -> Shown {
    let record = record();
    let prompt = Prompt {
        sources: record.sources.clone(),
        units: record.units.clone(),
    };
    Shown::of_record(&record, &Arc::new(prompt), lens)
}

#[test]
fn a_lens_changes_chunks_heat_and_boxes() {
    let mut lens = Lens::recorded(&record());
    let shown = through(&lens);
    assert_eq!(shown.chunks.len(), 2);
    assert_eq!(shown.attributions[1].cited[0].unit, 1);
    assert_eq!(
        shown
            .outside
            .iter()
            .map(|o| o.map(|o| (o * 10.0).round()))
            .collect::<Vec<_>>(),
        [Some(2.0), Some(8.0)]
    );
    lens.size = Size::Answer;
    lens.regions = 2;
    let whole = through(&lens);
    assert_eq!(whole.chunks.len(), 1);
    let cited: Vec<u32> = whole.attributions[0].cited.iter().map(|c| c.unit).collect();
    assert_eq!(cited, [1, 0], "the verb outweighs the adjective");
    let map = &whole.heat[0][0];
    assert_eq!(
        (map.cells.as_str(), map.grid),
        ("ffff0000", Grid { rows: 2, cols: 2 })
    );
    let boxes: Vec<(f32, f32)> = map
        .boxes
        .iter()
        .map(|b| (b.rect_in_source.x0, b.rect_in_source.y0))
        .collect();
    assert_eq!(boxes, [(0.0, 0.0), (0.5, 0.0)]);
}

#[test]
fn a_token_shows_its_own_units_and_a_replay_grows_token_by_token() {
    let shown = through(&Lens::recorded(&record()));
    let first: Vec<_> = shown
        .words_of(1)
        .map(|(k, word)| (k, word.units[0].0))
        .collect();
    assert_eq!(first, [(2, 1), (3, 1)]);
    let half = shown.after_tokens(3);
    assert_eq!(
        (half.response.as_str(), half.chunks.len(), half.tail()),
        ("Red car. Dog", 1, "Dog")
    );
    assert_eq!(shown.after_tokens(99), shown);
}

fn unit(start: u32, end: u32) -> Unit {
    Unit {
        id: format!("t{start}"),
        source: 0,
        extent: Extent::Text { start, end },
        positions: 1,
    }
}

#[test]
fn pieces_keep_every_byte_of_the_text() {
    let text = "Ann: hi. Ünsal: no!\nEnd";
    let sets = [
        vec![(0, 9), (9, 21)],
        vec![(3, 9), (5, 12)],
        vec![(0, 900)],
        vec![(10, 11)],
        vec![],
    ];
    for set in sets {
        let units: Vec<Unit> = set.iter().map(|&(a, b)| unit(a, b)).collect();
        let all: String = pieces(text, units.iter().enumerate().map(|(k, u)| (k as u32, u)))
            .into_iter()
            .map(|p| p.text)
            .collect();
        assert_eq!(all, text, "{set:?}");
    }
}

#[test]
fn a_chunk_is_trimmed_and_the_tail_is_what_no_chunk_holds() {
    let chunk = |start, end| Chunk {
        start,
        end,
        token_start: 0,
        token_end: 0,
    };
    let shown = Shown {
        response: "One.  Two. Thr".to_owned(),
        chunks: vec![chunk(0, 6), chunk(6, 11), chunk(90, 99)],
        ..Shown::default()
    };
    assert_eq!(shown.chunk_text(0), ("", "One.", "  "));
    assert_eq!(shown.chunk_text(1), ("", "Two.", " "));
    assert_eq!(
        shown.chunk_text(2),
        ("", "", ""),
        "a damaged span is empty, not a panic"
    );
    let live = Shown {
        chunks: vec![chunk(0, 6), chunk(6, 11)],
        ..shown
    };
    assert_eq!(live.tail(), "Thr");
}

#[test]
fn citing_sentences_are_counted_from_one() {
    assert_eq!(cited_by_phrase(&[]), "not cited");
    assert_eq!(cited_by_phrase(&[2]), "cited by sentence 3");
    assert_eq!(cited_by_phrase(&[0, 1, 4]), "cited by sentences 1, 2 and 5");
}

//! A small prompt of every modality with a made-up but deterministic signal, for the tests of layout, trace and record.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use attribution::layout::{Layout, LayoutBuilder};
use attribution::live::{ClosedChunk, LiveTrace};
use attribution::record::*;
use attribution::time::TimeBins;

pub const PROMPT: &str = "Describe what you see and hear. ";
pub const NOTE: &str = "Anna has a red boat.\nBen likes trains.\n";
pub const ANSWER: [&str; 22] = [
    "The", " red", " boat", " is", " in", " the", " upper", " left", ".", " Then", " a", " bell",
    " rings", " after", " 2", " seconds", ".", "\n", "1.", " Tra", "ins", ".",
];

/// Token offsets as a byte-pair tokenizer would cut: words with the space before them.
pub fn offsets(text: &str) -> Vec<(usize, usize)> {
    let mut edges: Vec<usize> = text
        .match_indices([' ', '\n'])
        .map(|(at, _)| at)
        .filter(|at| *at > 0)
        .collect();
    edges.insert(0, 0);
    edges.push(text.len());
    edges.dedup();
    edges.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

pub fn layout() -> Layout {
    let mut b = LayoutBuilder::new();
    b.special(3);
    b.text(SourceRole::Prompt, PROMPT, &offsets(PROMPT))
        .unwrap();
    b.text(SourceRole::Content, NOTE, &offsets(NOTE)).unwrap();
    b.special(1);
    let grid = Grid { rows: 4, cols: 6 };
    let image = SourceItem::Image {
        media: "11".into(),
        name: "boat.png".into(),
        width_px: 168,
        height_px: 112,
        grid,
    };
    b.image(image).unwrap();
    b.special(2);
    let audio = SourceItem::Audio {
        media: "22".into(),
        name: "bell.wav".into(),
        duration_secs: 3.3,
        peaks: vec![0, 128, 255],
        transcript: None,
    };
    b.audio(audio, 82, 0.04, &TimeBins::uniform(3.3, 1.0))
        .unwrap();
    let film = SourceItem::Video {
        media: "33".into(),
        name: "film.mp4".into(),
        duration_secs: 4.0,
        width_px: 112,
        height_px: 112,
        fps: 2.0,
        grid: Grid { rows: 4, cols: 4 },
        peaks: vec![1, 2],
        thumbnails: vec!["44".into()],
    };
    b.special(1);
    b.film(film, TimeBins::uniform(4.0, 1.0)).unwrap();
    for second in 0..4 {
        b.picture(f64::from(second)).unwrap();
        b.film_sound(25, 0.04).unwrap();
    }
    b.special(4);
    b.finish().unwrap()
}

/// Scores >= 0 that differ by step, signal and position, with a few strong places.
pub fn scores(layout: &Layout, step: usize, signal: usize) -> Vec<f32> {
    let mut state = (step as u64 * 31 + signal as u64 * 7 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let strong = (step / 4 * 37 + signal * 11) % layout.positions();
    (0..layout.positions())
        .map(|position| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 40) as f32 / (1u64 << 24) as f32 * 1e-3;
            if position.abs_diff(strong) < 3 {
                0.1 + noise
            } else {
                noise
            }
        })
        .collect()
}

/// The answer traced over the sample prompt, and what was reported on the way.
pub fn traced(method: &Method) -> (Record, Vec<ClosedChunk>) {
    let layout = layout();
    let mut live = LiveTrace::new(&layout, method.clone());
    let mut closed = Vec::new();
    for (step, text) in ANSWER.iter().chain(&[""]).enumerate() {
        let s = SignalKind::ALL.map(|kind| scores(&layout, step, kind.index()));
        let signals = s.each_ref().map(Vec::as_slice);
        closed.extend(live.push(step as u32 + 100, text, signals).unwrap());
    }
    let (rest, generated) = live.finish().unwrap();
    closed.extend(rest);
    let record = Record {
        version: RECORD_VERSION,
        id: String::new(),
        sources: layout.sources.clone(),
        units: layout.units.clone(),
        response: generated.response,
        tokens: generated.tokens,
        chunks: generated.chunks,
        signals: generated.signals,
        method: method.clone(),
        attributions: generated.attributions,
        warnings: vec!["The film's last frame could not be read.".into()],
        receipt: Receipt {
            model: "sample".into(),
            prompt_tokens: layout.positions() as u32,
            ..Receipt::default()
        },
        child_of: None,
    };
    (record, closed)
}

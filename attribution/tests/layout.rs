//! Layouts: every position is accounted for once, whatever is interleaved.
#![cfg(all(feature = "sentences", feature = "tagger"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod sample;

use attribution::layout::{Layout, LayoutBuilder, SpanContent};
use attribution::pos::Upos;
use attribution::record::*;
use attribution::time::TimeBins;
use attribution::trace::TraceBuilder;
use proptest::prelude::*;

fn image(rows: u32, cols: u32) -> SourceItem {
    SourceItem::Image {
        media: String::new(),
        name: String::new(),
        width_px: 1,
        height_px: 1,
        grid: Grid { rows, cols },
    }
}

fn audio(duration_secs: f64) -> SourceItem {
    SourceItem::Audio {
        media: String::new(),
        name: String::new(),
        duration_secs,
        peaks: Vec::new(),
        transcript: None,
    }
}

fn video(duration_secs: f64, rows: u32, cols: u32) -> SourceItem {
    SourceItem::Video {
        media: String::new(),
        name: String::new(),
        duration_secs,
        width_px: 1,
        height_px: 1,
        fps: 2.0,
        grid: Grid { rows, cols },
        peaks: Vec::new(),
        thumbnails: Vec::new(),
    }
}

#[test]
fn the_sample_prompt() {
    let layout = sample::layout();
    let ids: Vec<&str> = layout.units.iter().map(|u| u.id.as_str()).collect();
    let film = ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"];
    assert_eq!(
        ids,
        [&["t0", "t1", "t2", "i0", "a0", "a1", "a2", "a3"][..], &film].concat()
    );
    let numbers: Vec<u32> = layout.sources.iter().map(|s| s.number).collect();
    assert_eq!(numbers, [0, 1, 1, 1, 1]);
    let sizes: Vec<u32> = layout.units.iter().map(|u| u.positions).collect();
    assert_eq!(
        sizes,
        [7, 5, 4, 24, 25, 25, 25, 7, 16, 25, 16, 25, 16, 25, 16, 25]
    );
    assert_eq!(layout.unit_of[..3], [None; 3]);
    let Extent::Time {
        start_secs,
        end_secs,
        track,
    } = layout.units[7].extent
    else {
        panic!("no time")
    };
    assert_eq!((start_secs, end_secs, track), (3.0, 3.3, Track::Sound));
}

#[test]
fn regions_divide_a_picture() {
    let mut b = LayoutBuilder::with_image_regions(2);
    b.image(image(3, 5)).unwrap();
    let layout = b.finish().unwrap();
    let sizes: Vec<u32> = layout.units.iter().map(|u| u.positions).collect();
    assert_eq!(sizes, [2, 3, 4, 6]);
    assert_eq!(layout.unit_of[4], Some(1));
    assert_eq!((layout.unit_of[12], layout.cell_of[12]), (Some(3), Some(3)));
}

/// An overview and a slice behind learned queries: positions are no patches, marks stand between them.
fn in_parts() -> Layout {
    let mut builder = LayoutBuilder::with_image_regions(3);
    builder.special(2);
    builder
        .image_in_parts(image(8, 8), Grid { rows: 2, cols: 2 })
        .expect("an image");
    builder.image_part(2).expect("a picture is begun");
    builder.special(1);
    builder.image_part(3).expect("a picture is begun");
    builder
        .film(video(2.0, 1, 2), TimeBins::uniform(2.0, 1.0))
        .expect("a film");
    for secs in [0.0, 1.0] {
        builder.picture_part(secs, 2).expect("a film is begun");
        builder
            .film_sound_from(secs, 4, 0.25)
            .expect("a film is begun");
    }
    builder.finish().expect("a layout")
}

#[test]
fn parts_of_a_picture_are_one_unit_and_frames_alternate_with_sound() {
    let layout = in_parts();
    let owners: Vec<Option<u32>> = layout.unit_of.clone();
    let of = |unit: u32, count: usize| vec![Some(unit); count];
    let none = vec![None];
    let expected = [
        vec![None; 2],
        of(0, 2),
        none,
        of(0, 3),
        of(1, 2),
        of(2, 4),
        of(3, 2),
        of(4, 4),
    ]
    .concat();
    assert_eq!(owners, expected);
    assert!(layout.cell_of.iter().all(Option::is_none));
    assert_eq!(
        layout.grids[0].map(|place| place.grid),
        Some(Grid { rows: 2, cols: 2 })
    );
    let ids: Vec<&str> = layout.units.iter().map(|unit| unit.id.as_str()).collect();
    assert_eq!(ids, ["i0", "v0", "v1", "v2", "v3"]);
    assert!(LayoutBuilder::new().image_part(1).is_err());
    assert!(LayoutBuilder::new().picture_part(0.0, 1).is_err());
}

#[test]
fn mass_goes_where_a_position_looks() {
    let layout = in_parts();
    let mut builder = TraceBuilder::new(&layout);
    builder.look(2, vec![(0, 0.25), (3, 0.75)]);
    builder.look(5, vec![(1, 1.0)]);
    // Out of the grid, out of the prompt, and nobody's: ignored.
    builder.look(3, vec![(4, 1.0)]);
    builder.look(99, vec![(0, 1.0)]);
    builder.look(4, vec![(0, 1.0)]);
    let mut scores = vec![0.0; layout.positions()];
    (scores[2], scores[4], scores[5]) = (0.4, 9.0, 0.1);
    let signals = SignalKind::ALL.map(|_| &scores[..]);
    builder.push_step(signals).expect("as long as the prompt");
    let token = Token {
        id: 1,
        start: 0,
        end: 1,
        pos: Upos::Noun,
    };
    let chunk = Chunk {
        start: 0,
        end: 1,
        token_start: 0,
        token_end: 1,
    };
    builder.close_chunk(&chunk, &[token]).expect("in order");
    let maps = &builder.heat(SignalKind::ALL[0])[0];
    assert_eq!(maps.len(), 1);
    // 0.1, 0.1, 0, 0.3 of the mass.
    assert_eq!((maps[0].unit, maps[0].cells.as_str()), (0, "555500ff"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut b = LayoutBuilder::new();
    assert!(b.image(audio(1.0)).is_err());
    assert!(b.image(image(0, 4)).is_err());
    assert!(b.picture(0.0).is_err());
    assert!(
        b.audio(audio(1.0), 4, f64::NAN, &TimeBins::uniform(1.0, 1.0))
            .is_err()
    );
    assert!(
        b.text_in_units(SourceRole::Content, "abc", &[0..1, 2..3], &[(0, 3)])
            .is_err()
    );
}

#[derive(Debug, Clone)]
enum Piece {
    Special(usize),
    Text(String),
    Image(u32, u32),
    Audio(f64, usize),
    Video(f64, Vec<(f64, usize)>),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        (0usize..4).prop_map(Piece::Special),
        "([A-Za-z]{1,6}[ .\n]{1,2}){0,8}".prop_map(Piece::Text),
        (1u32..6, 1u32..6).prop_map(|(r, c)| Piece::Image(r, c)),
        (0.05f64..12.0, 0usize..60).prop_map(|(d, n)| Piece::Audio(d, n)),
        (
            0.05f64..12.0,
            prop::collection::vec((0.0f64..14.0, 0usize..30), 0..5)
        )
            .prop_map(|(d, v)| Piece::Video(d, v)),
    ];
    prop::collection::vec(piece, 0..8)
}

fn build(pieces: &[Piece], regions: u32) -> Layout {
    let mut b = LayoutBuilder::with_image_regions(regions);
    for piece in pieces {
        match piece {
            Piece::Special(count) => b.special(*count),
            Piece::Text(text) => {
                b.text(SourceRole::Content, text, &sample::offsets(text))
                    .unwrap();
            }
            Piece::Image(rows, cols) => {
                b.image(image(*rows, *cols)).unwrap();
            }
            Piece::Audio(secs, tokens) => {
                b.audio(audio(*secs), *tokens, 0.1, &TimeBins::uniform(*secs, 1.0))
                    .unwrap();
            }
            Piece::Video(secs, frames) => {
                b.film(video(*secs, 2, 3), TimeBins::uniform(*secs, 1.0))
                    .unwrap();
                for (at, sound) in frames {
                    b.picture(*at).unwrap();
                    b.special(1);
                    b.film_sound(*sound, 0.1).unwrap();
                }
            }
        }
    }
    b.finish().unwrap()
}

proptest! {
    #[test]
    fn spans_and_units_partition_the_prompt(pieces in pieces(), regions in 1u32..4) {
        let layout = build(&pieces, regions);
        let mut next = 0;
        for span in &layout.spans {
            prop_assert_eq!(span.positions.start, next);
            next = span.positions.end;
            for position in span.positions.clone() {
                let source = layout.unit_of[position].map(|unit| layout.units[unit as usize].source);
                let expected = match span.content {
                    SpanContent::Untraceable => None,
                    SpanContent::Text { source } | SpanContent::Patches { source } | SpanContent::Sound { source } => Some(source),
                };
                prop_assert_eq!(source, expected);
            }
        }
        prop_assert_eq!(next, layout.positions());
        let counted: u32 = layout.units.iter().map(|u| u.positions).sum();
        prop_assert_eq!(counted as usize, layout.unit_of.iter().flatten().count());
        // Ids are unique, sources ascend, and every patch of a gridded unit is met equally often.
        let mut ids: Vec<&str> = layout.units.iter().map(|u| u.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), layout.units.len());
        prop_assert!(layout.units.is_sorted_by_key(|u| u.source));
        for (unit, grid) in layout.grids.iter().enumerate() {
            let Some(grid) = grid else { continue };
            let cells = (grid.grid.rows * grid.grid.cols) as usize;
            let mut met = vec![0; cells];
            for (owner, cell) in layout.unit_of.iter().zip(&layout.cell_of) {
                if *owner == Some(unit as u32) {
                    met[cell.unwrap() as usize] += 1;
                }
            }
            prop_assert!(met.iter().all(|n| *n == met[0] && *n > 0));
        }
    }

    #[test]
    fn bins_cover_the_duration(duration in 0.001f64..4000.0, bin in 0.01f64..90.0, at in 0.0f64..1.0) {
        let bins = TimeBins::uniform(duration, bin);
        prop_assert_eq!(bins.bounds(0).0, 0.0);
        prop_assert_eq!(bins.bounds(bins.len() - 1).1, duration);
        for k in 1..bins.len() {
            prop_assert_eq!(bins.bounds(k - 1).1, bins.bounds(k).0);
            prop_assert!(bins.bounds(k).0 < bins.bounds(k).1);
        }
        let (start, end) = bins.bounds(bins.bin_of(at * duration));
        prop_assert!(start - 1e-5 <= at * duration && at * duration <= end);
    }

    #[test]
    fn segments_and_gaps_cover_the_duration(duration in 0.5f64..60.0, cuts in prop::collection::vec((0.0f64..70.0, 0.0f64..9.0), 0..8)) {
        let segments: Vec<(f64, f64)> = cuts.iter().map(|(start, length)| (*start, start + length)).collect();
        let bins = TimeBins::from_segments(duration, &segments);
        prop_assert_eq!((bins.bounds(0).0, bins.bounds(bins.len() - 1).1), (0.0, duration));
        for k in 1..bins.len() {
            prop_assert_eq!(bins.bounds(k - 1).1, bins.bounds(k).0);
        }
    }
}

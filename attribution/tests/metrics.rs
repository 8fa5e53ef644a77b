//! Metrics and heat maps on cases worked out by hand.
#![allow(clippy::unwrap_used, reason = "tests")]

use attribution::heat::{cell_values, heat_map};
use attribution::label::{clock, interval_label, place_name};
use attribution::layout::UnitGrid;
use attribution::metrics::*;
use attribution::record::{Grid, Rect};
use attribution::time::merged;

#[test]
fn span_scores() {
    let score = span_score(&["t0", "t1", "t1"], &["t1", "t2", "t3"]);
    assert_eq!((score.precision, score.recall), (0.5, 1.0 / 3.0));
    assert!((score.f1 - 0.4).abs() < 1e-12);
    assert_eq!(span_score::<u32>(&[], &[]).f1, 1.0);
    assert_eq!(span_score(&[1], &[]).f1, 0.0);
    assert_eq!(span_score(&[], &[1]).f1, 0.0);
}

#[test]
fn time_scores() {
    assert_eq!(seconds(&[(0.5, 2.0), (1.2, 1.4), (7.0, 7.2)]), [0, 1, 7]);
    assert_eq!(
        seconds(&[(3.0, 3.0), (f64::NAN, 1.0), (5.0, f64::INFINITY)]),
        [0u64; 0]
    );
    let score = time_score(&[(0.0, 2.0)], &[(1.0, 4.0)]);
    assert_eq!((score.precision, score.recall), (0.5, 1.0 / 3.0));
    let mean = mean_over_samples(&[
        vec![score],
        vec![],
        vec![Score::from_counts(1, 1, 1), Score::default()],
    ])
    .unwrap();
    assert!((mean.f1 - (0.4 + 0.5) / 2.0).abs() < 1e-12);
    assert_eq!(mean_over_samples(&[]), None);
}

#[test]
fn spans_merge_where_they_touch() {
    assert_eq!(
        merged(&[(4.0, 5.0), (0.0, 1.0), (1.0, 2.0), (2.5, 3.0), (4.2, 4.4)]),
        [(0.0, 2.0), (2.5, 3.0), (4.0, 5.0)]
    );
}

fn whole(rows: u32, cols: u32) -> UnitGrid {
    UnitGrid {
        grid: Grid { rows, cols },
        rect_in_source: Rect {
            x0: 0.0,
            y0: 0.0,
            x1: 1.0,
            y1: 1.0,
        },
    }
}

#[test]
fn boxes_stand_around_connected_hot_cells() {
    let mut mass = vec![0.1; 16];
    // Two cells in the upper left, one in the lower right corner, touching nothing.
    (mass[0], mass[1], mass[15]) = (4.0, 2.0, 3.0);
    let map = heat_map(5, &whole(4, 4), &mass).unwrap();
    let boxes: Vec<(f32, f32, f32, f32)> = map
        .boxes
        .iter()
        .map(|b| b.rect_in_source)
        .map(|r| (r.x0, r.y0, r.x1, r.y1))
        .collect();
    assert_eq!(boxes, [(0.0, 0.0, 0.5, 0.25), (0.75, 0.75, 1.0, 1.0)]);
    assert!((map.boxes[0].share - 6.0 / 10.3).abs() < 1e-3);
    assert_eq!(&map.cells[..4], "ff80");
    assert_eq!(cell_values(&map)[0], 1.0);
    assert_eq!(heat_map(0, &whole(2, 2), &[0.0; 4]), None);
    assert!(
        heat_map(0, &whole(2, 2), &[1.0; 4])
            .unwrap()
            .boxes
            .is_empty()
    );
    // A large grid is stored smaller; its boxes stay exact.
    let mut large = vec![0.0; 100 * 100];
    large[99 * 100 + 99] = 1.0;
    let map = heat_map(0, &whole(100, 100), &large).unwrap();
    assert!(map.grid.rows * map.grid.cols <= 1024);
    assert_eq!(
        map.boxes[0].rect_in_source,
        Rect {
            x0: 0.99,
            y0: 0.99,
            x1: 1.0,
            y1: 1.0
        }
    );
}

#[test]
fn labels() {
    assert_eq!(interval_label(4.0, 5.0), "0:04-0:05");
    assert_eq!(interval_label(62.5, 63.0), "1:02.5-1:03.0");
    assert_eq!(clock(3_725.0, false), "1:02:05");
    let place = |x, y| {
        place_name(&Rect {
            x0: x,
            y0: y,
            x1: x + 0.2,
            y1: y + 0.2,
        })
    };
    assert_eq!(
        (place(0.0, 0.0), place(0.4, 0.4), place(0.8, 0.4)),
        ("upper left", "center", "right")
    );
}

#[test]
fn area_scores() {
    let rect = |x0, y0, x1, y1| Rect { x0, y0, x1, y1 };
    let left = (0, rect(0.0, 0.0, 0.5, 1.0));
    let upper = (0, rect(0.0, 0.0, 1.0, 0.5));
    let score = area_score(&[left], &[upper]);
    assert_eq!((score.precision, score.recall), (0.5, 0.5));
    assert_eq!(area_score(&[left, left], &[left]).f1, 1.0);
    let elsewhere = (1, rect(0.0, 0.0, 0.5, 1.0));
    assert_eq!(area_score(&[elsewhere], &[left]).f1, 0.0);
    assert_eq!(area_score(&[left, elsewhere], &[left]).precision, 0.5);
    assert_eq!(area_score(&[], &[]).f1, 1.0);
}

#[test]
fn shared_time() {
    assert_eq!(interval_iou(&[(0.0, 2.0)], &[(1.0, 4.0)]), 0.25);
    assert_eq!(interval_iou(&[(0.0, 1.0), (1.0, 2.0)], &[(0.0, 2.0)]), 1.0);
    assert_eq!(interval_iou(&[(0.0, 1.0)], &[]), 0.0);
    assert_eq!(interval_iou(&[], &[]), 1.0);
}

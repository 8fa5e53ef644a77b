//! Scores against ground truth: span F1 over unit ids, time F1 over 1 s bins (paper, section 4), F1 of areas, shared time.
//! In: predicted and true units, rectangles or seconds per chunk. Out: precision, recall, F1.

use serde::{Deserialize, Serialize};

use crate::record::Rect;
use crate::time::merged;

/// Precision, recall and their harmonic mean, each 0..=1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Right among predicted.
    pub precision: f64,
    /// Found among true.
    pub recall: f64,
    /// Harmonic mean.
    pub f1: f64,
}

impl Score {
    /// From counts. Nothing predicted where nothing is true is a perfect answer; either alone scores 0.
    pub fn from_counts(right: usize, predicted: usize, truth: usize) -> Self {
        if predicted == 0 && truth == 0 {
            return Self {
                precision: 1.0,
                recall: 1.0,
                f1: 1.0,
            };
        }
        let share = |of: usize| {
            if of == 0 {
                0.0
            } else {
                right as f64 / of as f64
            }
        };
        let (precision, recall) = (share(predicted), share(truth));
        let f1 = if right == 0 {
            0.0
        } else {
            2.0 * precision * recall / (precision + recall)
        };
        Self {
            precision,
            recall,
            f1,
        }
    }

    /// The mean of each number; none of nothing.
    pub fn mean(scores: &[Self]) -> Option<Self> {
        if scores.is_empty() {
            return None;
        }
        let mean = |f: fn(&Self) -> f64| scores.iter().map(f).sum::<f64>() / scores.len() as f64;
        Some(Self {
            precision: mean(|s| s.precision),
            recall: mean(|s| s.recall),
            f1: mean(|s| s.f1),
        })
    }
}

/// One chunk over unit ids; duplicates count once.
pub fn span_score<T: Ord>(predicted: &[T], truth: &[T]) -> Score {
    let (predicted, truth) = (distinct(predicted), distinct(truth));
    let right = predicted
        .iter()
        .filter(|id| truth.binary_search(id).is_ok())
        .count();
    Score::from_counts(right, predicted.len(), truth.len())
}

/// One chunk over whole-second bins: bin k is predicted when a predicted span shares time with `k..k + 1` seconds.
pub fn time_score(predicted: &[(f64, f64)], truth: &[(f64, f64)]) -> Score {
    let (predicted, truth) = (seconds(predicted), seconds(truth));
    let right = predicted
        .iter()
        .filter(|second| truth.binary_search(second).is_ok())
        .count();
    Score::from_counts(right, predicted.len(), truth.len())
}

/// One chunk over areas of numbered pictures, on a raster of 64 x 64 points each; overlapping rectangles count once.
pub fn area_score(predicted: &[(usize, Rect)], truth: &[(usize, Rect)]) -> Score {
    const POINTS: usize = 64;
    let mut pictures: Vec<usize> = predicted.iter().chain(truth).map(|(k, _)| *k).collect();
    pictures.sort_unstable();
    pictures.dedup();
    let (mut right, mut ours, mut theirs) = (0, 0, 0);
    for picture in pictures {
        let inside = |rects: &[(usize, Rect)], x: f32, y: f32| {
            rects.iter().any(|(k, rect)| {
                *k == picture && (rect.x0..rect.x1).contains(&x) && (rect.y0..rect.y1).contains(&y)
            })
        };
        for point in 0..POINTS * POINTS {
            let place = |k: usize| (k as f32 + 0.5) / POINTS as f32;
            let (x, y) = (place(point % POINTS), place(point / POINTS));
            let (own, true_one) = (inside(predicted, x, y), inside(truth, x, y));
            ours += usize::from(own);
            theirs += usize::from(true_one);
            right += usize::from(own && true_one);
        }
    }
    Score::from_counts(right, ours, theirs)
}

/// Shared time over covered time, 0..=1; 1 where both are empty.
pub fn interval_iou(predicted: &[(f64, f64)], truth: &[(f64, f64)]) -> f64 {
    let length = |spans: &[(f64, f64)]| spans.iter().map(|(a, b)| b - a).sum::<f64>();
    let (predicted, truth) = (merged(predicted), merged(truth));
    let both: Vec<(f64, f64)> = predicted.iter().chain(&truth).copied().collect();
    let union = length(&merged(&both));
    if union <= 0.0 {
        return 1.0;
    }
    let shared = length(&predicted) + length(&truth) - union;
    (shared / union).clamp(0.0, 1.0)
}

/// The whole-second bins that spans touch. Edges within a millisecond of a whole second count as that second.
pub fn seconds(spans: &[(f64, f64)]) -> Vec<u64> {
    const EDGE_SECS: f64 = 1e-3;
    let mut bins: Vec<u64> = Vec::new();
    for &(start, end) in spans {
        // A day is longer than any source; unreal numbers touch nothing.
        if !(start.is_finite() && end > start && end <= 86_400.0) {
            continue;
        }
        let first = (start.max(0.0) + EDGE_SECS).floor() as u64;
        let last = ((end - EDGE_SECS).ceil() as u64).max(first + 1);
        bins.extend(first..last);
    }
    bins.sort_unstable();
    bins.dedup();
    bins
}

/// Mean over the chunks of each sample, then over samples; samples without chunks are left out.
pub fn mean_over_samples(samples: &[Vec<Score>]) -> Option<Score> {
    let means: Vec<Score> = samples
        .iter()
        .filter_map(|chunks| Score::mean(chunks))
        .collect();
    Score::mean(&means)
}

fn distinct<T: Ord>(ids: &[T]) -> Vec<&T> {
    let mut ids: Vec<&T> = ids.iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

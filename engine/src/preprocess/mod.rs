//! Decoded media -> model input: shared between model families.

pub(crate) mod mel;
pub(crate) mod patches;
pub(crate) mod resample;
pub(crate) mod resize_float;
pub(crate) mod resize_pillow;

/// An 8-bit RGB picture, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels from left to right.
    pub width_px: usize,
    /// Pixels from top to bottom.
    pub height_px: usize,
    /// `height_px * width_px * 3` values.
    pub data: Vec<u8>,
}

/// One axis of an antialiased bicubic resize: for each output pixel, where its inputs start and their weights (sum 1).
///
/// Pillow's and torch's kernels agree here: a = -0.5, widened by the scale when shrinking.
pub(crate) fn bicubic_weights(input: usize, output: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = input as f64 / output as f64;
    let widening = scale.max(1.0);
    let support = 2.0 * widening;
    (0..output)
        .map(|index| {
            let centre = (index as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5) as isize).max(0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let raw: Vec<f64> =
                (first..end).map(|at| cubic((at as f64 - centre + 0.5) / widening)).collect();
            let sum: f64 = raw.iter().sum();
            (first, raw.iter().map(|weight| weight / sum).collect())
        })
        .collect()
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

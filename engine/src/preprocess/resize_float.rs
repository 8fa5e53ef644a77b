//! Antialiased bicubic resize in f32, as torchvision resizes 8-bit film frames.
//! In: 8-bit RGB. Out: 8-bit RGB, rounded once at the end (half to even).

use super::{Rgb, bicubic_weights};

/// Resizes as `torchvision.transforms.functional.resize(..., BICUBIC, antialias=True)` does on a `uint8` tensor.
pub(crate) fn resize_float(image: &Rgb, width_px: usize, height_px: usize) -> Rgb {
    let mut values: Vec<f32> = image.data.iter().map(|&v| f32::from(v)).collect();
    if width_px != image.width_px {
        values = horizontal(&values, image.width_px, width_px);
    }
    if height_px != image.height_px {
        values = vertical(&values, width_px * 3, image.height_px, height_px);
    }
    let to_byte = |v: f32| v.clamp(0.0, 255.0).round_ties_even() as u8;
    Rgb { width_px, height_px, data: values.into_iter().map(to_byte).collect() }
}

fn single_weights(input: usize, output: usize) -> Vec<(usize, Vec<f32>)> {
    bicubic_weights(input, output)
        .into_iter()
        .map(|(first, weights)| (first, weights.into_iter().map(|w| w as f32).collect()))
        .collect()
}

fn horizontal(values: &[f32], from: usize, to: usize) -> Vec<f32> {
    let weights = single_weights(from, to);
    let mut out = Vec::with_capacity(values.len() / from.max(1) * to);
    for row in values.chunks_exact(from * 3) {
        for (first, weights) in &weights {
            let mut sums = [0f32; 3];
            for (pixel, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += value * weight;
                }
            }
            out.extend(sums);
        }
    }
    out
}

fn vertical(values: &[f32], row_len: usize, from: usize, to: usize) -> Vec<f32> {
    let mut out = vec![0f32; row_len * to];
    for (out_row, (first, weights)) in out.chunks_exact_mut(row_len).zip(single_weights(from, to)) {
        for (row, weight) in values[first * row_len..].chunks_exact(row_len).zip(weights) {
            for (sum, &value) in out_row.iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
    }
    out
}

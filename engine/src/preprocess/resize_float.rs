//! Antialiased bicubic resize in f32, as torchvision resizes 8-bit film frames, bit for bit.
//! In: 8-bit RGB. Out: 8-bit RGB, rounded once at the end (half to even).
//!
//! Reference: torch 2.9 to 2.15, `aten/src/ATen/native/cpu/UpSampleKernel.cpp`, as compiled for x86-64 with AVX2: where a
//! value lies on a rounding edge, the level that comes out depends on which products are fused with their sum.

use super::Rgb;

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
    Rgb {
        width_px,
        height_px,
        data: values.into_iter().map(to_byte).collect(),
    }
}

/// The inputs of one output pixel: where they start, and their weights.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Taps {
    /// How many products are rounded before they are added: the compiler vectorises them by fours, behind the first;
    /// what is left is fused.
    fn rounded(&self) -> usize {
        1 + self.weights.len().saturating_sub(1) / 4 * 4
    }
}

fn horizontal(values: &[f32], from: usize, to: usize) -> Vec<f32> {
    let taps = all_taps(from, to);
    let mut out = Vec::with_capacity(values.len() / from.max(1) * to);
    for row in values.chunks_exact(from * 3) {
        for tap in &taps {
            let rounded = tap.rounded();
            let mut sums = [0f32; 3];
            for (index, (pixel, &weight)) in row[tap.first * 3..]
                .chunks_exact(3)
                .zip(&tap.weights)
                .enumerate()
            {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum = if index < rounded {
                        *sum + value * weight
                    } else {
                        fused(value, weight, *sum)
                    };
                }
            }
            out.extend(sums);
        }
    }
    out
}

fn vertical(values: &[f32], row_len: usize, from: usize, to: usize) -> Vec<f32> {
    let mut out = vec![0f32; row_len * to];
    for (out_row, tap) in out.chunks_exact_mut(row_len).zip(all_taps(from, to)) {
        let rounded = tap.rounded();
        let rows = values[tap.first * row_len..].chunks_exact(row_len);
        for (index, (row, &weight)) in rows.zip(&tap.weights).enumerate() {
            if index < rounded {
                for (sum, &value) in out_row.iter_mut().zip(row) {
                    *sum += value * weight;
                }
            } else {
                for (sum, &value) in out_row.iter_mut().zip(row) {
                    *sum = fused(value, weight, *sum);
                }
            }
        }
    }
    out
}

/// `a * b + c`, rounded once: the product of two f32 is exact in f64. Fast without a fused instruction, the same with one.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

fn all_taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f32 / to as f32;
    let (support, inverse) = if scale >= 1.0 {
        (2.0 * scale, 1.0 / scale)
    } else {
        (2.0, 1.0)
    };
    (0..to)
        .map(|index| {
            let centre = (f64::from(scale) * (index as f64 + 0.5)) as f32;
            let first = ((f64::from(centre - support) + 0.5) as i64).max(0) as usize;
            let end = ((f64::from(centre + support) + 0.5) as usize).min(from);
            let raw: Vec<f32> = (first..end)
                .map(|at| {
                    let distance = f64::from(at as f32 - centre) + 0.5;
                    cubic((distance * f64::from(inverse)) as f32)
                })
                .collect();
            let sum = raw.iter().fold(0f32, |sum, weight| sum + weight);
            Taps {
                first,
                weights: raw.into_iter().map(|weight| weight / sum).collect(),
            }
        })
        .collect()
}

/// The cubic kernel with a = -0.5, its polynomials in Horner's form with fused steps.
fn cubic(x: f32) -> f32 {
    const A: f32 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        fused(fused(A + 2.0, x, -(A + 3.0)) * x, x, 1.0)
    } else if x < 2.0 {
        fused(fused(fused(A, x, -5.0 * A), x, 8.0 * A), x, -4.0 * A)
    } else {
        0.0
    }
}

//! Bicubic resize with Pillow's fixed-point arithmetic, bit for bit.
//! In: 8-bit RGB. Out: 8-bit RGB; the horizontal pass is rounded to 8 bits before the vertical one.
//!
//! Reference: Pillow up to 12. From 13 on Pillow begins with the cheaper pass, which shifts some values by a few levels.

use std::ops::Range;

use super::Rgb;

/// Fraction bits of a weight.
const PRECISION: u32 = 22;

/// Resizes as `PIL.Image.resize(size, BICUBIC)` does.
pub(crate) fn resize_pillow(image: &Rgb, width_px: usize, height_px: usize) -> Rgb {
    resize_pillow_part(image, (width_px, 0..width_px), (height_px, 0..height_px))
}

/// The same, of which only some columns and rows are made. Both within the resized picture.
pub(crate) fn resize_pillow_part(
    image: &Rgb,
    (width_px, columns): (usize, Range<usize>),
    (height_px, rows): (usize, Range<usize>),
) -> Rgb {
    let wide = if width_px != image.width_px {
        horizontal(image, &fixed_weights(image.width_px, width_px, columns))
    } else if columns.len() < width_px {
        cut_columns(image, columns)
    } else {
        image.clone()
    };
    if height_px != wide.height_px {
        vertical(&wide, &fixed_weights(wide.height_px, height_px, rows))
    } else if rows.len() < height_px {
        let row_len = wide.width_px * 3;
        Rgb {
            width_px: wide.width_px,
            height_px: rows.len(),
            data: wide.data[rows.start * row_len..rows.end * row_len].to_vec(),
        }
    } else {
        wide
    }
}

fn cut_columns(image: &Rgb, columns: Range<usize>) -> Rgb {
    let rows = image.data.chunks_exact(image.width_px * 3);
    let kept = rows.flat_map(|row| &row[columns.start * 3..columns.end * 3]);
    Rgb {
        width_px: columns.len(),
        height_px: image.height_px,
        data: kept.copied().collect(),
    }
}

/// First input pixel, and weights as Pillow stores them: scaled, rounded half away from zero.
type Weights = Vec<(usize, Vec<i64>)>;

fn fixed_weights(input: usize, output: usize, wanted: Range<usize>) -> Weights {
    let fix = |weight: f64| {
        let scaled = weight * f64::from(1u32 << PRECISION);
        (if weight < 0.0 {
            scaled - 0.5
        } else {
            scaled + 0.5
        }) as i64
    };
    bicubic_weights(input, output, wanted)
        .into_iter()
        .map(|(first, weights)| (first, weights.into_iter().map(fix).collect()))
        .collect()
}

fn to_byte(sum: i64) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn horizontal(image: &Rgb, weights: &Weights) -> Rgb {
    let mut data = Vec::with_capacity(image.height_px * weights.len() * 3);
    for row in image.data.chunks_exact(image.width_px * 3) {
        for (first, weights) in weights {
            let mut sums = [1i64 << (PRECISION - 1); 3];
            for (pixel, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i64::from(value) * weight;
                }
            }
            data.extend(sums.map(to_byte));
        }
    }
    Rgb {
        width_px: weights.len(),
        height_px: image.height_px,
        data,
    }
}

fn vertical(image: &Rgb, weights: &Weights) -> Rgb {
    let row_len = image.width_px * 3;
    let mut data = Vec::with_capacity(weights.len() * row_len);
    let mut sums = vec![0i64; row_len];
    for (first, weights) in weights {
        sums.fill(1 << (PRECISION - 1));
        for (row, &weight) in image.data[first * row_len..]
            .chunks_exact(row_len)
            .zip(weights)
        {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i64::from(value) * weight;
            }
        }
        data.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    Rgb {
        width_px: image.width_px,
        height_px: weights.len(),
        data,
    }
}

/// One axis of an antialiased bicubic resize: for each wanted output pixel, where its inputs start and their weights (sum 1).
///
/// The kernel has a = -0.5 and is widened by the scale when shrinking.
fn bicubic_weights(input: usize, output: usize, wanted: Range<usize>) -> Vec<(usize, Vec<f64>)> {
    let scale = input as f64 / output as f64;
    let widening = scale.max(1.0);
    let support = 2.0 * widening;
    wanted
        .map(|index| {
            let centre = (index as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5) as isize).max(0) as usize;
            let end = ((centre + support + 0.5) as usize).min(input);
            let raw: Vec<f64> = (first..end)
                .map(|at| cubic((at as f64 - centre + 0.5) / widening))
                .collect();
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

//! Pictures and film frames -> flattened, normalised patches in the order in which the vision tower merges them.
//! In: resized RGB. Out: `[patches, channels * time * side * side]` and the patch grid.

use super::Rgb;

/// Flattened patches of one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// Row-major `[patches, width]`.
    pub values: Vec<f32>,
    /// Values per patch.
    pub width: usize,
    /// Temporal slices, patch rows, patch columns.
    pub grid: [usize; 3],
}

/// Sizes of the patch cutter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PatchShape {
    pub(crate) side: usize,
    pub(crate) time: usize,
    pub(crate) merge: usize,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
}

/// Width and height to which a picture is resized: multiples of `factor`, area within `min_pixels..=max_pixels`.
/// `None` where a side is 0 or the sides differ more than 200 times.
///
/// Python's `round` (half to even) decides the multiples.
pub(crate) fn smart_resize(
    width_px: usize,
    height_px: usize,
    factor: usize,
    min_pixels: f64,
    max_pixels: f64,
) -> Option<(usize, usize)> {
    let (width, height) = (width_px as f64, height_px as f64);
    if width_px == 0 || height_px == 0 || width.max(height) / width.min(height) > 200.0 {
        return None;
    }
    let unit = factor as f64;
    let mut sides = [width, height].map(|side| ((side / unit).round_ties_even() * unit).max(unit));
    if sides[0] * sides[1] > max_pixels {
        let shrink = (width * height / max_pixels).sqrt();
        sides = [width, height].map(|side| ((side / shrink / unit).floor() * unit).max(unit));
    } else if sides[0] * sides[1] < min_pixels {
        let grow = (min_pixels / (width * height)).sqrt();
        sides = [width, height].map(|side| (side * grow / unit).ceil() * unit);
    }
    Some((sides[0] as usize, sides[1] as usize))
}

/// Cuts frames of equal size. A single picture, or an odd last frame, is repeated to fill its slice.
pub(crate) fn cut_patches(frames: &[Rgb], shape: &PatchShape) -> Patches {
    let PatchShape {
        side,
        time,
        merge,
        mean,
        std,
    } = *shape;
    let width = 3 * time * side * side;
    let Some(last) = frames.last() else {
        return Patches {
            values: Vec::new(),
            width,
            grid: [0, 0, 0],
        };
    };
    let (rows, cols) = (last.height_px / side, last.width_px / side);
    let slices = frames.len().div_ceil(time);
    // As in the reference's fused form: (v - 255 mean) / (255 std).
    let tables: [Vec<f32>; 3] = std::array::from_fn(|channel| {
        let (mean, std) = (mean[channel] * 255.0, std[channel] * 255.0);
        (0..=255u8).map(|v| (f32::from(v) - mean) / std).collect()
    });
    let mut values = Vec::with_capacity(slices * rows * cols * width);
    for slice in 0..slices {
        for cell in 0..(rows / merge) * (cols / merge) {
            for inner in 0..merge * merge {
                let row = cell / (cols / merge) * merge + inner / merge;
                let col = cell % (cols / merge) * merge + inner % merge;
                for (channel, table) in tables.iter().enumerate() {
                    for at in 0..time {
                        let frame = frames.get(slice * time + at).unwrap_or(last);
                        for y in row * side..(row + 1) * side {
                            let start = (y * frame.width_px + col * side) * 3 + channel;
                            let line = frame.data[start..].iter().step_by(3).take(side);
                            values.extend(line.map(|&v| table[usize::from(v)]));
                        }
                    }
                }
            }
        }
    }
    Patches {
        values,
        width,
        grid: [slices, rows, cols],
    }
}

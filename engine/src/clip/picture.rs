//! A picture as CLIP sees it: its middle, resized by Pillow's bicubic, with shifted and scaled levels.
//! In: 8-bit RGB of any size. Out: `[3, height, width]`; of a long picture only the middle is ever made.
//!
//! Reference: transformers 5.23.0 `CLIPImageProcessorPil`.

use super::config::{Preprocessing, Resize};
use crate::preprocess::Rgb;
use crate::preprocess::resize_pillow::resize_pillow_part;

/// Numbers for the network, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    pub(super) height_px: usize,
    pub(super) width_px: usize,
    /// `[3, height_px, width_px]`
    pub(super) values: Vec<f32>,
}

/// Of a picture with at least one pixel.
pub(super) fn pixels(picture: &Rgb, own: &Preprocessing) -> Pixels {
    let [tall, wide] = match own.resize {
        None => [picture.height_px, picture.width_px],
        Some(Resize::ToPx(sides)) => sides,
        Some(Resize::ShortestPx(side)) => {
            let (height, width) = (picture.height_px.max(1), picture.width_px.max(1));
            match height <= width {
                true => [side, side * width / height],
                false => [side * height / width, side],
            }
        }
    };
    let [height_px, width_px] = own.crop_px.unwrap_or([tall, wide]);
    let rows = Middle::of(tall, height_px);
    let columns = Middle::of(wide, width_px);
    let part = resize_pillow_part(picture, (wide, columns.kept()), (tall, rows.kept()));
    let mut values = vec![0f32; 3 * height_px * width_px];
    for channel in 0..3 {
        let level =
            |byte: u8| (f32::from(byte) * own.scale - own.mean[channel]) / own.deviation[channel];
        let plane = &mut values[channel * height_px * width_px..][..height_px * width_px];
        for (y, row) in plane.chunks_exact_mut(width_px.max(1)).enumerate() {
            for (x, value) in row.iter_mut().enumerate() {
                // What the crop reaches beyond a small picture is black.
                let byte = match (rows.place(y), columns.place(x)) {
                    (Some(y), Some(x)) => part.data[(y * part.width_px + x) * 3 + channel],
                    _ => 0,
                };
                *value = level(byte);
            }
        }
    }
    Pixels {
        height_px,
        width_px,
        values,
    }
}

/// The middle `length` of an axis of `whole` pixels; more than there are where `length` is longer.
struct Middle {
    /// Kept pixels, and how many of the crop lie before them.
    first: usize,
    count: usize,
    before: usize,
}

impl Middle {
    fn of(whole: usize, length: usize) -> Self {
        // Rounded down, below 0 too, as the reference does.
        let first = (whole as isize - length as isize).div_euclid(2);
        Self {
            first: first.max(0) as usize,
            count: whole.min(length),
            before: (-first).max(0) as usize,
        }
    }

    fn kept(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }

    /// Which of the kept pixels stands at `at` of the crop.
    fn place(&self, at: usize) -> Option<usize> {
        at.checked_sub(self.before).filter(|at| *at < self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(side: usize) -> Preprocessing {
        Preprocessing {
            resize: None,
            crop_px: Some([side; 2]),
            scale: 1.0,
            mean: [0.0; 3],
            deviation: [1.0; 3],
        }
    }

    #[test]
    fn the_middle_is_kept_and_beyond_it_is_black() {
        let picture = Rgb {
            width_px: 5,
            height_px: 2,
            data: (1..=10).flat_map(|value| [value; 3]).collect(),
        };
        let seen = pixels(&picture, &plain(3));
        let first: Vec<f32> = seen.values[..9].to_vec();
        // Of five columns 1..4; of two rows none is cut, and the odd black one stands first, as numpy's floor does.
        assert_eq!(first, [0.0, 0.0, 0.0, 2.0, 3.0, 4.0, 7.0, 8.0, 9.0]);
    }

    #[test]
    fn a_ribbon_is_not_made_at_full_length() {
        let picture = Rgb {
            width_px: 60_000,
            height_px: 1,
            data: vec![7; 180_000],
        };
        let own = Preprocessing {
            resize: Some(Resize::ShortestPx(224)),
            ..plain(224)
        };
        let seen = pixels(&picture, &own);
        assert_eq!(seen.values.len(), 3 * 224 * 224);
        assert!(seen.values.iter().all(|value| *value == 7.0));
    }
}

//! How a picture is cut: one overview, and for a large picture a grid of slices at a finer scale.
//! In: a picture. Out: pictures whose sides are whole patches, each with the place that it shows.
//!
//! Reference: `processing_minicpmo.py` of MiniCPM-o 4.5, `MiniCPMVImageProcessor.slice_image`.

use attribution::record::{Grid, Rect};

use super::preprocess_config::PreprocessConfig;
use crate::preprocess::Rgb;
use crate::preprocess::resize_pillow::resize_pillow;

/// The whole picture, in fractions of itself.
const WHOLE: Rect = Rect {
    x0: 0.0,
    y0: 0.0,
    x1: 1.0,
    y1: 1.0,
};

/// A picture as the model sees it.
#[derive(Debug)]
pub(super) struct SlicedPicture {
    /// The whole picture, small.
    pub(super) overview: Rgb,
    /// Row by row; empty where the overview shows enough.
    pub(super) slices: Vec<Rgb>,
    /// Rows and columns of slices; 0 without slices.
    pub(super) slice_grid: Grid,
}

impl SlicedPicture {
    /// Overview first, then the slices, each with the part of the picture that it shows.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Rgb, Rect)> {
        let Grid { rows, cols } = self.slice_grid;
        let of = |k: u32, count: u32| k as f32 / count as f32;
        let place = move |index: u32| {
            let (row, col) = (index / cols, index % cols);
            Rect {
                x0: of(col, cols),
                y0: of(row, rows),
                x1: of(col + 1, cols),
                y1: of(row + 1, rows),
            }
        };
        let slices = (0u32..).zip(&self.slices);
        std::iter::once((&self.overview, WHOLE))
            .chain(slices.map(move |(index, slice)| (slice, place(index))))
    }

    /// The finest grid of patches in which the model sees the picture.
    pub(super) fn patch_grid(&self, patch_px: usize) -> Grid {
        let of = |picture: &Rgb, times: u32| {
            [picture.height_px, picture.width_px]
                .map(|side| (side / patch_px) as u32 * times.max(1))
        };
        let [rows, cols] = match self.slices.first() {
            Some(slice) => {
                let Grid { rows, cols } = self.slice_grid;
                [of(slice, rows)[0], of(slice, cols)[1]]
            }
            None => of(&self.overview, 1),
        };
        Grid { rows, cols }
    }
}

/// Cuts `picture` as the config says.
pub(super) fn slice_picture(picture: &Rgb, config: &PreprocessConfig) -> SlicedPicture {
    let size = (picture.width_px, picture.height_px);
    let whole = |overview| SlicedPicture {
        overview,
        slices: Vec::new(),
        slice_grid: Grid { rows: 0, cols: 0 },
    };
    if !config.slice_mode {
        return whole(picture.clone());
    }
    let original = (size.0 as f64, size.1 as f64);
    let Some((cols, rows)) = slice_grid(size, config) else {
        let (width, height) = fitting_size(original, config, true);
        return whole(resize_pillow(picture, width, height));
    };
    let (width, height) = fitting_size(original, config, false);
    let overview = resize_pillow(picture, width, height);
    let (wide, high) = (
        whole_multiple(original.0, cols),
        whole_multiple(original.1, rows),
    );
    let one = (wide as f64 / cols as f64, high as f64 / rows as f64);
    let (width, height) = fitting_size(one, config, true);
    let refined = resize_pillow(picture, width * cols, height * rows);
    let slices = (0..rows * cols).map(|index| {
        let (row, col) = (index / cols, index % cols);
        crop(&refined, col * width, row * height, width, height)
    });
    SlicedPicture {
        overview,
        slices: slices.collect(),
        slice_grid: Grid {
            rows: rows as u32,
            cols: cols as u32,
        },
    }
}

/// Columns and rows of slices, or none where the area asks for one only: of all grids of about as many slices as the area
/// asks for, the first of those that are nearest to the picture's own proportions.
fn slice_grid(
    (width, height): (usize, usize),
    config: &PreprocessConfig,
) -> Option<(usize, usize)> {
    let area = (config.scale_resolution * config.scale_resolution) as f64;
    let ratio = (width * height) as f64 / area;
    let most = config.max_slice_nums;
    let wanted = (ratio.ceil() as usize).min(most);
    if wanted <= 1 {
        return None;
    }
    let proportion = (width as f64 / height as f64).ln();
    let mut best = ((1, 1), f64::INFINITY);
    for count in [wanted - 1, wanted, wanted + 1] {
        if count == 1 || count > most {
            continue;
        }
        for cols in (1..=count).filter(|cols| count.is_multiple_of(*cols)) {
            let rows = count / cols;
            let error = (proportion - (cols as f64 / rows as f64).ln()).abs();
            if error < best.1 {
                best = ((cols, rows), error);
            }
        }
    }
    Some(best.0)
}

/// Width and height in whole patches: the area brought to `scale_resolution` squared where it is larger, or `upscale`.
fn fitting_size(
    (width, height): (f64, f64),
    config: &PreprocessConfig,
    upscale: bool,
) -> (usize, usize) {
    let scale = config.scale_resolution as f64;
    let (width, height) = if width * height > scale * scale || upscale {
        let proportion = width / height;
        let height = (scale / proportion.sqrt()).trunc();
        ((height * proportion).trunc(), height)
    } else {
        (width, height)
    };
    (
        whole_multiple(width, config.patch_size),
        whole_multiple(height, config.patch_size),
    )
}

/// The nearest multiple of `unit`, halves to even as Python rounds, at least one.
fn whole_multiple(length: f64, unit: usize) -> usize {
    let times = (length / unit as f64).round_ties_even();
    (times.max(1.0) as usize) * unit
}

fn crop(picture: &Rgb, left: usize, top: usize, width_px: usize, height_px: usize) -> Rgb {
    let rows = picture.data.chunks_exact(picture.width_px * 3);
    let data = rows
        .skip(top)
        .take(height_px)
        .flat_map(|row| &row[left * 3..(left + width_px) * 3])
        .copied()
        .collect();
    Rgb {
        width_px,
        height_px,
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(width_px: usize, height_px: usize) -> SlicedPicture {
        let data = (0..width_px * height_px * 3).map(|i| (i % 251) as u8);
        let picture = Rgb {
            width_px,
            height_px,
            data: data.collect(),
        };
        slice_picture(&picture, &PreprocessConfig::default())
    }

    #[test]
    fn small_pictures_grow_and_large_ones_are_sliced_along_their_proportions() {
        let size = |picture: &Rgb| (picture.width_px, picture.height_px);
        let small = cut(100, 50);
        // 448^2 pixels at 2:1, in whole patches.
        assert_eq!((size(&small.overview), small.slices.len()), ((630, 322), 0));
        let wide = cut(1400, 300);
        assert_eq!((wide.slice_grid.rows, wide.slice_grid.cols), (1, 4));
        let tall = cut(300, 1400);
        assert_eq!((tall.slice_grid.rows, tall.slice_grid.cols), (4, 1));
        let huge = cut(2000, 2000);
        assert_eq!(huge.slices.len(), 9);
        assert_eq!(huge.patch_grid(14), Grid { rows: 96, cols: 96 });
        let places: Vec<Rect> = huge.parts().map(|(_, place)| place).collect();
        assert_eq!(places[0], WHOLE);
        assert_eq!((places[6].x0, places[6].y1), (2.0 / 3.0, 2.0 / 3.0));
    }
}

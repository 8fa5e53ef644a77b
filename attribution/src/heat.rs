//! Heat maps: where in a picture a chunk's mass lies.
//! In: a chunk's mass per patch of one unit. Out: a bounded map with boxes around its connected hot cells.
//!
//! A cell holds the sum over the chunk's tokens of `posw(pos_t) * a_t(cell)`: content words draw the map, as they carry
//! the vote. Where the chunk has function words only, every token counts 1.

use crate::layout::UnitGrid;
use crate::record::{Grid, HeatBox, HeatMap, Rect};

/// Cells of a stored map; larger grids are averaged down by whole factors (their boxes are made before that).
pub const MAX_CELLS: u32 = 1024;
/// Boxes per map.
pub const MAX_BOXES: usize = 4;
/// A hot cell has at least this share of the strongest cell ...
const HOT_OF_PEAK: f64 = 0.4;
/// ... and this multiple of the mean cell: an even map has no boxes.
const HOT_OF_MEAN: f64 = 1.5;
/// Boxes with less of the map's mass are left out.
const MIN_BOX_SHARE: f64 = 0.04;

/// The map of one unit from its mass per patch, row by row; none where there is no mass.
pub fn heat_map(unit: u32, place: &UnitGrid, mass: &[f64]) -> Option<HeatMap> {
    let cells = place.grid.rows as usize * place.grid.cols as usize;
    let mass = mass.get(..cells)?;
    let total: f64 = mass.iter().sum();
    if !(total > 0.0 && total.is_finite()) {
        return None;
    }
    let boxes = boxes(place, mass, total);
    let (grid, shown) = pooled(place.grid, mass);
    let peak = shown.iter().copied().fold(0.0, f64::max);
    let hex = shown
        .iter()
        .map(|m| format!("{:02x}", (m / peak * 255.0).round().clamp(0.0, 255.0) as u8))
        .collect();
    Some(HeatMap {
        unit,
        grid,
        cells: hex,
        peak: crate::trace::shortened(peak as f32),
        boxes,
    })
}

/// The values 0..=1 of a stored map, row by row; empty where the map is damaged.
pub fn cell_values(map: &HeatMap) -> Vec<f32> {
    let cells = map.grid.rows as usize * map.grid.cols as usize;
    let values: Option<Vec<f32>> = map
        .cells
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16)
                .ok()
                .map(|value| f32::from(value) / 255.0)
        })
        .collect();
    values
        .filter(|values| values.len() == cells)
        .unwrap_or_default()
}

/// Boxes around 4-connected cells above the threshold, strongest first.
fn boxes(place: &UnitGrid, mass: &[f64], total: f64) -> Vec<HeatBox> {
    let (rows, cols) = (place.grid.rows as usize, place.grid.cols as usize);
    let peak = mass.iter().copied().fold(0.0, f64::max);
    let threshold = (peak * HOT_OF_PEAK).max(total / mass.len() as f64 * HOT_OF_MEAN);
    let mut seen = vec![false; mass.len()];
    let mut found: Vec<(f64, HeatBox)> = Vec::new();
    for first in 0..mass.len() {
        if seen[first] || mass[first] < threshold {
            continue;
        }
        seen[first] = true;
        let mut open = vec![first];
        let mut inside = 0.0;
        let (mut top, mut left, mut bottom, mut right) = (rows, cols, 0, 0);
        while let Some(cell) = open.pop() {
            let (row, col) = (cell / cols, cell % cols);
            inside += mass[cell];
            (top, left) = (top.min(row), left.min(col));
            (bottom, right) = (bottom.max(row + 1), right.max(col + 1));
            let neighbours = [
                (row > 0).then(|| cell - cols),
                (row + 1 < rows).then(|| cell + cols),
                (col > 0).then(|| cell - 1),
                (col + 1 < cols).then(|| cell + 1),
            ];
            for next in neighbours.into_iter().flatten() {
                if !seen[next] && mass[next] >= threshold {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
        let share = inside / total;
        if share >= MIN_BOX_SHARE {
            let of = place.rect_in_source;
            let across = |col: usize| rounded(of.x0 + (of.x1 - of.x0) * col as f32 / cols as f32);
            let down = |row: usize| rounded(of.y0 + (of.y1 - of.y0) * row as f32 / rows as f32);
            let rect_in_source = Rect {
                x0: across(left),
                y0: down(top),
                x1: across(right),
                y1: down(bottom),
            };
            found.push((
                share,
                HeatBox {
                    rect_in_source,
                    share: crate::trace::shortened(share as f32),
                },
            ));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(MAX_BOXES);
    found.into_iter().map(|(_, b)| b).collect()
}

/// Averages blocks of cells until the map is small enough to store.
fn pooled(grid: Grid, mass: &[f64]) -> (Grid, Vec<f64>) {
    let mut factor = 1;
    while grid.rows.div_ceil(factor) * grid.cols.div_ceil(factor) > MAX_CELLS {
        factor += 1;
    }
    let small = Grid {
        rows: grid.rows.div_ceil(factor),
        cols: grid.cols.div_ceil(factor),
    };
    let mut sums = vec![(0.0, 0u32); (small.rows * small.cols) as usize];
    for (cell, &m) in (0u32..).zip(mass) {
        let (row, col) = (cell / grid.cols / factor, cell % grid.cols / factor);
        let sum = &mut sums[(row * small.cols + col) as usize];
        *sum = (sum.0 + m, sum.1 + 1);
    }
    (
        small,
        sums.into_iter()
            .map(|(sum, count)| sum / f64::from(count.max(1)))
            .collect(),
    )
}

fn rounded(x: f32) -> f32 {
    (x * 1e4).round() / 1e4
}

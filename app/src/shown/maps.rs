//! Heat maps under a lens: of several chunks as one, and the parts of a picture that hold most of one.

use attribution::heat::cell_values;
use attribution::record::{HeatBox, HeatMap, Rect};

/// The heat maps of several chunks as one: cells added up, boxes of the strongest.
pub(super) fn merged(maps: &[Vec<HeatMap>]) -> Vec<HeatMap> {
    if let [one] = maps {
        return one.clone();
    }
    let mut out: Vec<(HeatMap, Vec<f32>, f32)> = Vec::new();
    for map in maps.iter().flatten() {
        let cells: Vec<f32> = cell_values(map)
            .iter()
            .map(|cell| cell * map.peak)
            .collect();
        match out
            .iter_mut()
            .find(|(own, ..)| own.unit == map.unit && own.grid == map.grid)
        {
            None => out.push((map.clone(), cells, map.peak)),
            Some((own, sums, strongest)) => {
                for (sum, cell) in sums.iter_mut().zip(cells) {
                    *sum += cell;
                }
                if map.peak > *strongest {
                    (own.boxes, *strongest) = (map.boxes.clone(), map.peak);
                }
            }
        }
    }
    for (map, sums, _) in &mut out {
        map.peak = sums.iter().copied().fold(0.0, f32::max);
        let hex = |sum: &f32| {
            format!(
                "{:02x}",
                (sum / map.peak.max(f32::MIN_POSITIVE) * 255.0) as u8
            )
        };
        map.cells = sums.iter().map(hex).collect();
    }
    out.into_iter().map(|(map, ..)| map).collect()
}

/// The parts of a picture, cut into `n` x `n`, that hold most of a map, strongest first.
pub(super) fn region_boxes(map: &HeatMap, n: u32) -> Vec<HeatBox> {
    let cells = cell_values(map);
    let total: f32 = cells.iter().sum();
    if total <= 0.0 || map.grid.cols == 0 || map.grid.rows == 0 {
        return Vec::new();
    }
    let mut shares = vec![0.0; (n * n) as usize];
    for (cell, value) in (0u32..).zip(&cells) {
        // A cell that lies across an edge counts where its middle is.
        let across = (2 * (cell % map.grid.cols) + 1) * n / (2 * map.grid.cols);
        let down = (2 * (cell / map.grid.cols) + 1) * n / (2 * map.grid.rows);
        shares[(down.min(n - 1) * n + across.min(n - 1)) as usize] += value / total;
    }
    let mut ranked: Vec<(u32, f32)> = (0u32..).zip(shares).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let side = 1.0 / n as f32;
    let mut covered = 0.0;
    ranked
        .into_iter()
        .take_while(|(_, share)| {
            let more = covered < 0.6 && *share > 1.0 / (n * n) as f32;
            covered += share;
            more
        })
        .map(|(region, share)| {
            let (x0, y0) = ((region % n) as f32 * side, (region / n) as f32 * side);
            HeatBox {
                rect_in_source: Rect {
                    x0,
                    y0,
                    x1: x0 + side,
                    y1: y0 + side,
                },
                share,
            }
        })
        .collect()
}

//! Where the embeddings of a picture look, if they do not stand for patches: each one's shares, in the cells of the heat map.
//! In: how much of each embedding comes from each patch, and where the patches lie. Out: shares for the live trace.

use attribution::live::LiveTrace;
use candle_core::DType;

use crate::EngineError;
use crate::model::{Encoded, EncoderInput, Look, Prompt, Run};

/// Tells the live trace where the prompt's embeddings of pictures look.
pub(crate) fn show(
    prompt: &Prompt,
    encoded: &[Encoded],
    live: &mut LiveTrace<'_>,
) -> Result<(), EngineError> {
    let mut position = 0;
    for run in &prompt.runs {
        match *run {
            Run::Text { count } => position += count,
            Run::Encoded {
                input,
                first,
                count,
            } => {
                let looks = encoded.get(input).and_then(|one| one.looks.as_ref());
                if let Some(EncoderInput::Patches {
                    patches,
                    look: Some(look),
                }) = prompt.inputs.get(input)
                    && let Some(looks) = looks
                {
                    let [_, rows, cols] = patches.grid;
                    let rows_of = looks.narrow(0, first, count)?.to_dtype(DType::F32)?;
                    for (offset, of_patch) in rows_of.to_vec2()?.iter().enumerate() {
                        live.look(position + offset, in_cells(of_patch, (rows, cols), look));
                    }
                }
                position += count;
            }
        }
    }
    Ok(())
}

/// Shares per patch, row by row -> `(cell, share)` in the grid of the whole picture, by how much of a patch lies in a cell.
fn in_cells(of_patch: &[f32], (rows, cols): (usize, usize), look: &Look) -> Vec<(u32, f32)> {
    let (place, grid) = (look.rect_in_source, look.grid);
    let down = overlaps(rows, (place.y0, place.y1), grid.rows as usize);
    let across = overlaps(cols, (place.x0, place.x1), grid.cols as usize);
    let mut cells = vec![0f32; (grid.rows * grid.cols) as usize];
    for (share, (row, col)) in of_patch
        .iter()
        .zip((0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))))
    {
        for &(y, high) in &down[row] {
            for &(x, wide) in &across[col] {
                cells[y * grid.cols as usize + x] += share * high * wide;
            }
        }
    }
    let cells = (0u32..).zip(cells);
    cells.filter(|(_, share)| *share > 0.0).collect()
}

/// Per patch of one axis that lies at `from..to` of it: the cells that it touches, and the share of it that lies in each.
fn overlaps(patches: usize, (from, to): (f32, f32), cells: usize) -> Vec<Vec<(usize, f32)>> {
    let edge = |patch: usize| {
        let part = patch as f64 / patches as f64;
        (f64::from(from) + (f64::from(to) - f64::from(from)) * part) * cells as f64
    };
    let touched = |patch: usize| {
        let (begin, end) = (edge(patch), edge(patch + 1));
        let first = (begin as usize).min(cells - 1);
        let last = (end.ceil() as usize).clamp(first + 1, cells);
        let share = |cell: usize| {
            let inside = end.min((cell + 1) as f64) - begin.max(cell as f64);
            (inside / (end - begin)) as f32
        };
        (first..last)
            .map(|cell| (cell, share(cell)))
            .filter(|(_, share)| *share > 1e-6)
            .collect()
    };
    (0..patches).map(touched).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use attribution::record::{Grid, Rect};

    #[test]
    fn a_slice_falls_into_its_own_quarter_and_a_coarse_patch_over_several_cells() {
        let rect = |x0, y0, x1, y1| Rect { x0, y0, x1, y1 };
        let look = |rect_in_source| Look {
            rect_in_source,
            grid: Grid { rows: 4, cols: 4 },
        };
        // The lower right slice of 2 x 2, in 2 x 2 patches: a patch is a cell.
        let slice = in_cells(
            &[0.0, 0.25, 0.0, 0.75],
            (2, 2),
            &look(rect(0.5, 0.5, 1.0, 1.0)),
        );
        assert_eq!(slice, [(11, 0.25), (15, 0.75)]);
        // An overview of one row of patches: each is four cells high and half of one wide.
        let overview = in_cells(
            &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            (1, 8),
            &look(rect(0.0, 0.0, 1.0, 1.0)),
        );
        assert_eq!(overview, [(1, 0.25), (5, 0.25), (9, 0.25), (13, 0.25)]);
        // Three patches over four cells: nothing is lost.
        let uneven = in_cells(&[0.2, 0.3, 0.5], (3, 1), &look(rect(0.0, 0.0, 1.0, 1.0)));
        let sum: f32 = uneven.iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

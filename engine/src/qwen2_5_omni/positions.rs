//! TMRoPE: how pictures and films stand in time, height and width.
//! In: the pieces as the prompt is assembled. Out: positions, put down by the prompt's cursor.
//!
//! Reference: transformers 5.23.0 `modeling_qwen2_5_omni.py`, `get_rope_index`.

use crate::decoder::Position;
use crate::prompt::PositionCursor;

/// A stretch of a film as the model reads it: all pictures of a stretch, then all its sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilmStretch {
    /// Merged cells `first..end` of the film's pictures, slice by slice.
    Pictures {
        /// First cell.
        first: usize,
        /// One past the last.
        end: usize,
    },
    /// Tokens `first..end` of the film's sound.
    Sound {
        /// First token.
        first: usize,
        /// One past the last.
        end: usize,
    },
}

/// How a film is placed in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilmTiming {
    /// Merged cells per temporal slice: rows, columns.
    pub(crate) cells: [usize; 2],
    /// Temporal slices.
    pub(crate) slices: usize,
    /// Seconds from one slice to the next.
    pub(crate) secs_per_slice: f32,
    /// Position units per second.
    pub(crate) positions_per_sec: f32,
    /// Seconds of one interleaved stretch.
    pub(crate) chunk_secs: f32,
}

impl FilmTiming {
    /// Position of a slice, relative to the film's begin: truncated, in single precision as the reference does.
    fn slice_offset(&self, slice: usize) -> u32 {
        (slice as f32 * self.secs_per_slice * self.positions_per_sec) as u32
    }

    /// Stretches of pictures and sound in reading order.
    pub(crate) fn interleave(&self, sound_tokens: usize) -> Vec<FilmStretch> {
        let per_slice = self.cells[0] * self.cells[1];
        let unit = f64::from((self.positions_per_sec * self.chunk_secs) as u32);
        // The reference cuts by the untruncated time; it and the truncated one differ in no cut, as cuts are whole.
        let time_of_cell = |cell: usize| {
            (cell / per_slice.max(1)) as f64
                * f64::from(self.secs_per_slice)
                * f64::from(self.positions_per_sec)
        };
        let pictures = cut_at(per_slice * self.slices, unit, time_of_cell);
        let sounds = cut_at(sound_tokens, unit, |token| token as f64);
        let mut stretches = Vec::new();
        for index in 0..pictures.len().max(sounds.len()) {
            if let Some(&(first, end)) = pictures.get(index) {
                stretches.push(FilmStretch::Pictures { first, end });
            }
            if let Some(&(first, end)) = sounds.get(index) {
                stretches.push(FilmStretch::Sound { first, end });
            }
        }
        stretches
    }
}

/// Cuts `0..count` where `time` reaches the next multiple of `unit`; a jump over several multiples counts as one.
fn cut_at(count: usize, unit: f64, time: impl Fn(usize) -> f64) -> Vec<(usize, usize)> {
    let mut cuts = Vec::new();
    let mut start = 0;
    for index in 0..count {
        if time(index) >= (cuts.len() + 1) as f64 * unit {
            cuts.push((start, index));
            start = index;
        }
    }
    cuts.push((start, count));
    cuts.retain(|(start, end)| start < end);
    cuts
}

impl PositionCursor {
    /// A picture of `rows` x `cols` merged cells.
    pub(crate) fn picture(&mut self, rows: usize, cols: usize) {
        let cells = (0..rows as u32).flat_map(|row| (0..cols as u32).map(move |col| [0, row, col]));
        self.place(cells, self.next());
    }

    /// A film without sound.
    pub(crate) fn film(&mut self, timing: &FilmTiming) {
        let count = timing.slices * timing.cells[0] * timing.cells[1];
        self.place(
            (0..count).map(|cell| cell_offset(timing, cell)),
            self.next(),
        );
    }

    /// Two tokens that share one position (the marks around a film with sound).
    pub(crate) fn pair(&mut self) {
        self.place([[0; 3], [0; 3]].into_iter(), self.next());
    }

    /// A film with its sound: both start at the same position.
    pub(crate) fn film_with_sound(&mut self, timing: &FilmTiming, stretches: &[FilmStretch]) {
        let base = self.next();
        for stretch in stretches {
            match *stretch {
                FilmStretch::Pictures { first, end } => {
                    self.place((first..end).map(|cell| cell_offset(timing, cell)), base);
                }
                FilmStretch::Sound { first, end } => {
                    self.place((first..end).map(|token| [token as u32; 3]), base);
                }
            }
        }
    }
}

fn cell_offset(timing: &FilmTiming, cell: usize) -> Position {
    let [rows, cols] = timing.cells;
    let within = cell % (rows * cols).max(1);
    let slice = cell / (rows * cols).max(1);
    [
        timing.slice_offset(slice),
        (within / cols.max(1)) as u32,
        (within % cols.max(1)) as u32,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        slices: usize,
        cells: [usize; 2],
        secs_per_slice: f32,
        sound_tokens: usize,
        order: Vec<(String, usize, usize)>,
        positions: Vec<Position>,
        next: u32,
    }

    /// `fixtures/qwen/make.py` records these from the released model, jumps over several stretches included.
    #[test]
    fn films_with_sound_stand_where_the_released_model_puts_them() {
        let recorded = include_str!("../../../fixtures/qwen/recorded/positions.json");
        let cases: Vec<Case> = serde_json::from_str(recorded).expect("json");
        assert!(cases.len() >= 8);
        for case in cases {
            let timing = FilmTiming {
                cells: case.cells,
                slices: case.slices,
                secs_per_slice: case.secs_per_slice,
                positions_per_sec: 25.0,
                chunk_secs: 2.0,
            };
            let stretches = timing.interleave(case.sound_tokens);
            let order: Vec<_> = stretches
                .iter()
                .map(|stretch| match *stretch {
                    FilmStretch::Pictures { first, end } => ("pictures".to_owned(), first, end),
                    FilmStretch::Sound { first, end } => ("sound".to_owned(), first, end),
                })
                .collect();
            assert_eq!(order, case.order);
            let mut cursor = PositionCursor::default();
            cursor.line(3);
            cursor.pair();
            cursor.film_with_sound(&timing, &stretches);
            cursor.pair();
            cursor.line(2);
            assert_eq!(cursor.finish(), (case.positions, case.next));
        }
    }
}

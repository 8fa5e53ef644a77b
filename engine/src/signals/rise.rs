//! AttRise: what a position gets now above what it got so far.
//! In: one row a step. Out: its excess over the running mean of each position, never below 0.
//!
//! Some positions are looked at whatever is written: the question's line, the first second of a sound. That is a prior of
//! the position, not a source of the word.

/// The rows so far.
#[derive(Debug)]
pub(super) struct Rise {
    /// `[prompt]`
    mean: Vec<f32>,
    steps: u32,
}

impl Rise {
    pub(super) fn new(prompt: usize) -> Self {
        Self {
            mean: vec![0.0; prompt],
            steps: 0,
        }
    }

    /// Writes the excess of `row` into `out`, then remembers the row. Of the first row everything is excess.
    pub(super) fn push(&mut self, row: &[f32], out: &mut [f32]) {
        self.steps += 1;
        let share = 1.0 / self.steps as f32;
        for ((out, value), mean) in out.iter_mut().zip(row).zip(&mut self.mean) {
            *out = (value - *mean).max(0.0);
            *mean += (value - *mean) * share;
        }
    }
}

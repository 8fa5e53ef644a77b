//! Rotary embedding in up to three axes: each frequency follows time, height or width; of plain positions all three are equal.
//! In: positions. Out: `cos` and `sin` tables.
//!
//! Reference: transformers 5.23.0 `modeling_qwen2_5_omni.py`, `Qwen2_5OmniRotaryEmbedding`.

use candle_core::{Result, Tensor};

use crate::layers::rotary_tables;

/// Time, height and width of one token.
pub(crate) type Position = [u32; 3];

/// Rotary frequencies of which each follows time, height or width.
#[derive(Debug)]
pub(crate) struct Rope {
    /// `(frequency, axis)` for each of half the head's dimensions.
    frequencies: Vec<(f32, usize)>,
}

impl Rope {
    /// Every frequency follows the one position that a token has.
    pub(crate) fn plain(head_dim: usize, theta: f64) -> Self {
        Self::new(head_dim, theta, &[head_dim / 2])
    }

    /// `sections`: how many frequencies follow time, height and width, in turn.
    pub(crate) fn new(head_dim: usize, theta: f64, sections: &[usize]) -> Self {
        let axes = sections
            .iter()
            .enumerate()
            .flat_map(|(i, &count)| std::iter::repeat_n(i % 3, count));
        let frequency = |index: usize| theta.powf(-((2 * index) as f64) / head_dim as f64) as f32;
        Self {
            frequencies: axes
                .enumerate()
                .map(|(index, axis)| (frequency(index), axis))
                .collect(),
        }
    }

    /// `[positions, head_dim / 2]`, row-major.
    pub(crate) fn angles(&self, positions: &[Position]) -> Vec<f32> {
        positions
            .iter()
            .flat_map(|position| {
                self.frequencies
                    .iter()
                    .map(|&(frequency, axis)| position[axis] as f32 * frequency)
            })
            .collect()
    }

    /// Angles of one position.
    pub(crate) fn width(&self) -> usize {
        self.frequencies.len()
    }

    /// `cos` and `sin`, each `[positions, head_dim / 2]`.
    pub(crate) fn tables(&self, positions: &[Position], like: &Tensor) -> Result<(Tensor, Tensor)> {
        rotary_tables(&self.angles(positions), self.frequencies.len(), like)
    }
}

//! Rotary positions of every prompt token, built forward piece by piece.
//! In: the pieces as the prompt is assembled. Out: positions, and the position of the first generated token.

use crate::decoder::Position;

/// Positions of the prompt so far.
#[derive(Debug, Default)]
pub(crate) struct PositionCursor {
    positions: Vec<Position>,
    next: u32,
    highest: Option<u32>,
}

impl PositionCursor {
    /// Text, special tokens, sound: one step per token.
    pub(crate) fn line(&mut self, count: usize) {
        self.place((0..count as u32).map(|offset| [offset; 3]), self.next);
    }

    /// Where the next piece begins.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// The next piece starts after the largest position of the piece before it, whatever stood earlier.
    pub(crate) fn place(&mut self, offsets: impl Iterator<Item = Position>, base: u32) {
        let before = self.positions.len();
        self.positions
            .extend(offsets.map(|offset| offset.map(|axis| base + axis)));
        if let Some(&last) = self.positions[before..].iter().flatten().max() {
            self.next = last + 1;
            self.highest = self.highest.max(Some(last));
        }
    }

    /// All positions, and the position of the first generated token.
    pub(crate) fn finish(self) -> (Vec<Position>, u32) {
        (
            self.positions,
            self.highest.map_or(0, |highest| highest + 1),
        )
    }
}

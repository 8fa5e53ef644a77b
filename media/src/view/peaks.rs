//! Lowest and highest sample per column, as samples come.

use super::shape::{FACTOR, Shape};

/// Samples of a column at first.
const COLUMN_SAMPLES: u32 = 16;
/// Columns of a tile: 8 KB.
const TILE_COLUMNS: u16 = 4_096;
/// Most columns of the finest level. With more they are joined by fours: 11 MB hold a sound of any length.
const MAX_COLUMNS: usize = 1 << 22;

/// Collects columns.
pub(super) struct Peaks {
    columns: Vec<u8>,
    column_samples: u32,
    samples: u64,
    /// Of the column that is being filled: how many samples, the lowest, the highest.
    open: (u32, f32, f32),
    loudest: f32,
}

impl Default for Peaks {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            column_samples: COLUMN_SAMPLES,
            samples: 0,
            open: NOTHING,
            loudest: 0.0,
        }
    }
}

const NOTHING: (u32, f32, f32) = (0, f32::INFINITY, f32::NEG_INFINITY);

impl Peaks {
    /// More samples.
    pub(super) fn push(&mut self, mut block: &[f32]) {
        self.samples += block.len() as u64;
        while !block.is_empty() {
            let room = (self.column_samples - self.open.0) as usize;
            let (own, rest) = block.split_at(room.min(block.len()));
            let (count, low, high) = &mut self.open;
            for &sample in own {
                // A NaN changes neither.
                *low = low.min(sample);
                *high = high.max(sample);
            }
            *count += own.len() as u32;
            block = rest;
            if self.open.0 == self.column_samples {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let (_, low, high) = std::mem::replace(&mut self.open, NOTHING);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
        self.loudest = self.loudest.max(high).max(-low);
        self.columns.push(quantised(low));
        self.columns.push(quantised(high));
        if self.columns.len() > 2 * MAX_COLUMNS {
            // Only whole groups: the rest is opened again, as it is not full at the new width.
            let mut wider = Vec::with_capacity(self.columns.len().div_ceil(FACTOR));
            let (groups, rest) = self.columns.as_chunks::<{ 2 * FACTOR }>();
            for group in groups {
                join(group, &mut wider);
            }
            for pair in rest.as_chunks::<2>().0 {
                let (low, high) = (level(pair[0]), level(pair[1]));
                let (count, lowest, highest) = self.open;
                self.open = (
                    count + self.column_samples,
                    lowest.min(low),
                    highest.max(high),
                );
            }
            self.columns = wider;
            self.column_samples *= FACTOR as u32;
        }
    }

    /// The file.
    pub(super) fn finish(mut self, rate_hz: u32) -> Vec<u8> {
        if self.open.0 > 0 {
            self.close();
        }
        let shape = Shape {
            column_bytes: 2,
            tile_columns: TILE_COLUMNS,
            rate_hz,
            column_samples: self.column_samples,
            samples: self.samples,
            top: self.loudest,
        };
        shape.file(self.columns, join)
    }
}

/// Monotonous, so that the extreme of quantised samples is the quantised extreme.
fn quantised(sample: f32) -> u8 {
    (sample * 127.0).round().clamp(-127.0, 127.0) as i8 as u8
}

fn level(byte: u8) -> f32 {
    f32::from(byte as i8) / 127.0
}

fn join(columns: &[u8], out: &mut Vec<u8>) {
    let signed = |at: usize| columns.iter().skip(at).step_by(2).map(|byte| *byte as i8);
    out.push(signed(0).min().unwrap_or(0) as u8);
    out.push(signed(1).max().unwrap_or(0) as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every column of every level against the extremes of its samples.
    fn check(samples: &[f32], blocks: &[usize]) {
        let mut peaks = Peaks::default();
        let (mut at, mut turn) = (0, 0);
        while at < samples.len() {
            let len = blocks[turn % blocks.len()].clamp(1, samples.len() - at);
            peaks.push(&samples[at..at + len]);
            at += len;
            turn += 1;
        }
        let file = peaks.finish(8_000);
        let shape = Shape::read(&file).expect("a header");
        assert_eq!(shape.samples, samples.len() as u64);
        let loudest = samples.iter().fold(0f32, |top, s| top.max(s.abs()));
        assert_eq!(shape.top, loudest);
        for (level, columns) in shape.levels().into_iter().enumerate() {
            let wide = shape.column_samples as usize * FACTOR.pow(level as u32);
            for tile in 0..columns.div_ceil(u64::from(shape.tile_columns)) {
                let range = shape.tile(level, tile).expect("a tile");
                let bytes = &file[range.start as usize..range.end as usize];
                for (k, pair) in bytes.chunks_exact(2).enumerate() {
                    let first = (tile as usize * usize::from(shape.tile_columns) + k) * wide;
                    let own = &samples[first..(first + wide).min(samples.len())];
                    let low = own.iter().copied().fold(f32::INFINITY, f32::min);
                    let high = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    assert_eq!(
                        pair,
                        [quantised(low), quantised(high)],
                        "level {level}, {k}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_level_has_the_extremes_of_its_samples(
            seed in prop::collection::vec(-1.2f32..1.2, 1..600),
            repeats in 1usize..300,
            blocks in prop::collection::vec(1usize..5_000, 1..5),
        ) {
            // Repeated with a fade, so that levels differ from their neighbours.
            let count = seed.len() * repeats;
            let samples: Vec<f32> = (0..count)
                .map(|k| seed[k % seed.len()] * (1.0 - k as f32 / (2 * count) as f32))
                .collect();
            check(&samples, &blocks);
        }
    }

    #[test]
    fn two_hours_fit_and_their_overview_is_small() {
        // 2 h at 44.1 kHz as blocks of one value each, so that the columns are known without the samples.
        let (rate_hz, block) = (44_100u32, 4_096usize);
        let total = 2 * 3_600 * rate_hz as usize;
        let value = |k: usize| (k % 200) as f32 / 200.0;
        let mut peaks = Peaks::default();
        let mut at = 0;
        while at < total {
            let len = block.min(total - at);
            peaks.push(&vec![value(at / block); len]);
            at += len;
        }
        let file = peaks.finish(rate_hz);
        let shape = Shape::read(&file).expect("a header");
        assert_eq!(shape.samples, total as u64);
        assert!(file.len() < 12 << 20, "{}", file.len());
        let overview = shape.overview();
        assert!(overview.end <= 50_000, "{}", overview.end);
        let levels = shape.levels();
        assert!(
            levels
                .last()
                .is_some_and(|columns| (1_024..=4_096).contains(columns))
        );
        // At the finest level every column lies within one block.
        let wide = shape.column_samples as usize;
        assert_eq!(block % wide, 0);
        for column in [0, 1, 63, 64, 1_000_000, levels[0] as usize - 1] {
            let tile = shape.tile(0, column as u64 / 4_096).expect("a tile");
            let at = tile.start as usize + column % 4_096 * 2;
            let own = quantised(value(column * wide / block));
            assert_eq!(file[at..at + 2], [own, own], "column {column}");
        }
    }

    #[test]
    fn silence_and_numbers_that_are_none_are_flat() {
        let mut peaks = Peaks::default();
        peaks.push(&[f32::NAN; 16]);
        peaks.push(&[0.0; 16]);
        let file = peaks.finish(8_000);
        assert_eq!(file[28..], [0, 0, 0, 0]);
    }
}

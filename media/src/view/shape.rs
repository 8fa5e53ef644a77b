//! How a file of tiles is laid out: a header, then the levels, the coarsest first. Both ends compute the rest from it.

use std::ops::Range;

/// Bytes before the coarsest level.
pub const HEADER_BYTES: usize = 28;
/// Columns of one level that become one of the next.
pub(super) const FACTOR: usize = 4;
/// First bytes of such a file; the digit changes with the layout.
const MAGIC: &[u8; 4] = b"OTv1";

/// The header of a file of tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Bytes of a column.
    pub column_bytes: u16,
    /// Columns of a tile; the coarsest level has no more.
    pub tile_columns: u16,
    /// Samples a second.
    pub rate_hz: u32,
    /// Samples of a column of level 0, the finest; each next level has four times as many.
    pub column_samples: u32,
    /// Samples of the sound.
    pub samples: u64,
    /// Of peaks: the loudest sample, 1 being full scale. Of a spectrum: the highest frequency, in hertz.
    pub top: f32,
}

impl Shape {
    /// Reads a header; none where it is not one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
            bytes.get(at..at + N)?.try_into().ok()
        }
        let shape = Self {
            column_bytes: u16::from_le_bytes(field(bytes, 4)?),
            tile_columns: u16::from_le_bytes(field(bytes, 6)?),
            rate_hz: u32::from_le_bytes(field(bytes, 8)?),
            column_samples: u32::from_le_bytes(field(bytes, 12)?),
            samples: u64::from_le_bytes(field(bytes, 16)?),
            top: f32::from_le_bytes(field(bytes, 24)?),
        };
        let sane = shape.column_bytes > 0
            && shape.tile_columns > 0
            && shape.rate_hz > 0
            && shape.column_samples > 0
            && shape.samples > 0;
        (bytes.starts_with(MAGIC) && sane).then_some(shape)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.column_bytes.to_le_bytes());
        out.extend_from_slice(&self.tile_columns.to_le_bytes());
        out.extend_from_slice(&self.rate_hz.to_le_bytes());
        out.extend_from_slice(&self.column_samples.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        out.extend_from_slice(&self.top.to_le_bytes());
    }

    /// Columns of each level, the finest first. The last has at most a tile.
    pub fn levels(&self) -> Vec<u64> {
        let mut columns = self.samples.div_ceil(u64::from(self.column_samples));
        let mut levels = vec![columns];
        while columns > u64::from(self.tile_columns) {
            columns = columns.div_ceil(FACTOR as u64);
            levels.push(columns);
        }
        levels
    }

    /// Where a tile lies in the file; none where there is no such tile.
    pub fn tile(&self, level: usize, tile: u64) -> Option<Range<u64>> {
        let levels = self.levels();
        let first = tile.checked_mul(u64::from(self.tile_columns))?;
        let columns = *levels.get(level)?;
        if first >= columns {
            return None;
        }
        let coarser: u64 = levels[level + 1..].iter().sum();
        let begin = HEADER_BYTES as u64 + (coarser + first) * u64::from(self.column_bytes);
        let count = (columns - first).min(u64::from(self.tile_columns));
        Some(begin..begin + count * u64::from(self.column_bytes))
    }

    /// The part of the file that shows the whole sound: header and coarsest level.
    pub fn overview(&self) -> Range<u64> {
        let coarsest = self.levels().last().copied().unwrap_or(0);
        0..HEADER_BYTES as u64 + coarsest * u64::from(self.column_bytes)
    }

    /// The whole file, from its finest level: `join` writes one column from up to four of the level below.
    pub(super) fn file(&self, finest: Vec<u8>, join: impl Fn(&[u8], &mut Vec<u8>)) -> Vec<u8> {
        let four = FACTOR * usize::from(self.column_bytes);
        let mut levels = vec![finest];
        for _ in 1..self.levels().len() {
            let below = levels.last().map_or(&[][..], Vec::as_slice);
            let mut level = Vec::with_capacity(below.len().div_ceil(FACTOR));
            for columns in below.chunks(four) {
                join(columns, &mut level);
            }
            levels.push(level);
        }
        let bytes: usize = levels.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(HEADER_BYTES + bytes);
        self.write(&mut out);
        for level in levels.iter().rev() {
            out.extend_from_slice(level);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_garbage_does_not() {
        let shape = Shape {
            column_bytes: 2,
            tile_columns: 4_096,
            rate_hz: 16_000,
            column_samples: 16,
            samples: 2 * 3_600 * 16_000,
            top: 0.5,
        };
        let mut bytes = Vec::new();
        shape.write(&mut bytes);
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Shape::read(&bytes), Some(shape));
        assert_eq!(Shape::read(&bytes[..27]), None);
        assert_eq!(Shape::read(&[0; 64]), None);
        bytes[8..12].fill(0);
        assert_eq!(Shape::read(&bytes), None, "no samples a second");
    }

    #[test]
    fn tiles_lie_side_by_side_and_end_with_the_file() {
        let shape = Shape {
            column_bytes: 2,
            tile_columns: 10,
            rate_hz: 8_000,
            column_samples: 1,
            samples: 401,
            top: 1.0,
        };
        assert_eq!(shape.levels(), [401, 101, 26, 7]);
        assert_eq!(shape.overview(), 0..28 + 14);
        let mut at = 28;
        for level in (0..4).rev() {
            for tile in 0..shape.levels()[level].div_ceil(10) {
                let range = shape.tile(level, tile).expect("a tile");
                assert_eq!(range.start, at);
                at = range.end;
            }
        }
        assert_eq!(at, 28 + 2 * (401 + 101 + 26 + 7));
        assert_eq!(shape.tile(3, 1), None);
        assert_eq!(shape.tile(4, 0), None);
        assert_eq!(shape.tile(0, u64::MAX), None);
    }
}

//! How the server's files of tiles are laid out; the same header that `media::view` writes.

/// First bytes of such a file; the digit changes with the layout.
const MAGIC: &[u8; 4] = b"OTv1";
/// Columns of one level that become one of the next.
pub(super) const FACTOR: u64 = 4;
/// Bytes of the header; of peaks the coarsest level follows.
pub const HEADER_BYTES: usize = 28;

/// The header of a file of tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Bytes of a column.
    pub column_bytes: u16,
    /// Columns of a tile.
    pub tile_columns: u16,
    /// Samples a second.
    pub rate_hz: u32,
    /// Samples of a column of level 0, the finest; each next level has four times as many.
    pub column_samples: u32,
    /// Samples of the sound.
    pub samples: u64,
    /// Of a spectrum: its highest frequency in hertz.
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
        let sane = bytes.len() >= HEADER_BYTES
            && shape.column_bytes > 0
            && shape.tile_columns > 0
            && shape.rate_hz > 0
            && shape.column_samples > 0
            && shape.samples > 0;
        (bytes.starts_with(MAGIC) && sane).then_some(shape)
    }

    /// Columns of each level, the finest first; the last fits into one tile.
    pub fn levels(&self) -> Vec<u64> {
        let mut columns = self.samples.div_ceil(u64::from(self.column_samples));
        let mut levels = vec![columns];
        while columns > u64::from(self.tile_columns) {
            columns = columns.div_ceil(FACTOR);
            levels.push(columns);
        }
        levels
    }

    /// Length of a column of a level.
    pub fn column_secs(&self, level: usize) -> f64 {
        let samples = u64::from(self.column_samples) << (2 * level.min(24));
        samples as f64 / f64::from(self.rate_hz)
    }

    /// The coarsest level whose columns are no longer than a pixel; the finest where a pixel is shorter than any.
    pub fn level_for(&self, pixel_secs: f64) -> usize {
        let levels = self.levels().len();
        (0..levels)
            .rev()
            .find(|level| self.column_secs(*level) <= pixel_secs)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_fits_the_pixel() {
        let shape = Shape {
            column_bytes: 2,
            tile_columns: 4_096,
            rate_hz: 16_000,
            column_samples: 16,
            samples: 16_000 * 3_600,
            top: 1.0,
        };
        assert_eq!(
            shape.levels(),
            [3_600_000, 900_000, 225_000, 56_250, 14_063, 3_516]
        );
        assert_eq!(shape.level_for(0.000_1), 0, "finer than any column");
        assert_eq!(shape.level_for(0.001), 0);
        assert_eq!(shape.level_for(0.003_9), 0);
        assert_eq!(shape.level_for(0.004), 1);
        assert_eq!(shape.level_for(4.5), 5, "the whole hour on 800 pixels");
        assert_eq!(Shape::read(b"<html>"), None);
        assert_eq!(Shape::read(&[0; 40]), None);
    }
}

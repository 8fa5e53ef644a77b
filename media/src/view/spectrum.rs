//! Levels on the mel scale per column, as samples come.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::shape::Shape;
use crate::MediaError;

/// Bands of a column.
pub(super) const BANDS: usize = 96;
/// Columns of a tile: 48 KB, a third of it as a picture.
const TILE_COLUMNS: u16 = 512;
/// Most columns of the finest level: 34 MB with the levels above hold a sound of any length.
const MAX_COLUMNS: u64 = 1 << 18;
/// A frame of the transform is at least as long: short enough for syllables, long enough for pitch.
const FRAME_SECS: f64 = 0.025;
/// What lies above says little about speech and music and would take half the picture.
const TOP_HZ: f64 = 11_025.0;
/// From the loudest level to nothing.
const RANGE_DB: f32 = 72.0;
/// A sound without any louder sample is silence: its noise is not blown up.
const LEAST_LOUDEST: f32 = 1e-3;

/// Collects columns.
pub(super) struct Spectrum {
    shape: Shape,
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
    /// Samples from the begin of the next frame on.
    held: Vec<f32>,
    /// Samples before the begin of the next frame, where columns are farther apart than frames are long.
    skip: usize,
    /// Samples from a column to the next.
    hop: usize,
    /// Turns a band's mean power into 1 for a full tone as loud as the loudest sample.
    scale: f32,
    columns: Vec<u8>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

/// Weights over neighbouring bins, adding up to 1.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

impl Spectrum {
    /// For the sound that these peaks are of.
    pub(super) fn of(peaks: &Shape) -> Self {
        let rate = f64::from(peaks.rate_hz);
        let len = ((rate * FRAME_SECS) as usize)
            .next_power_of_two()
            .clamp(64, 1 << 15);
        let hop = (len as u64 / 4).max(peaks.samples.div_ceil(MAX_COLUMNS));
        // A sound of years would have to be shorter than the limits of the decoder allow.
        let hop = u32::try_from(hop).unwrap_or(u32::MAX);
        let top_hz = TOP_HZ.min(rate / 2.0);
        let transform = RealFftPlanner::<f32>::new().plan_fft_forward(len);
        let window: Vec<f32> = (0..len)
            .map(|k| {
                let turn = std::f64::consts::TAU * (k as f64 + 0.5) / len as f64;
                (0.5 - 0.5 * turn.cos()) as f32
            })
            .collect();
        let full: f32 = window.iter().sum::<f32>() / 2.0 * peaks.top.max(LEAST_LOUDEST);
        // The first column's middle is half a hop in: its frame begins before the sound.
        let lead = (len / 2).saturating_sub(hop as usize / 2);
        Self {
            shape: Shape {
                column_bytes: BANDS as u16,
                tile_columns: TILE_COLUMNS,
                rate_hz: peaks.rate_hz,
                column_samples: hop,
                samples: peaks.samples,
                top: top_hz as f32,
            },
            window,
            bands: bands(len, rate, top_hz),
            held: vec![0.0; lead],
            skip: (hop as usize / 2).saturating_sub(len / 2),
            hop: hop as usize,
            scale: 1.0 / (full * full),
            columns: Vec::new(),
            frame: transform.make_input_vec(),
            spectrum: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            transform,
        }
    }

    /// More samples.
    pub(super) fn push(&mut self, block: &[f32]) -> Result<(), MediaError> {
        let skipped = self.skip.min(block.len());
        self.skip -= skipped;
        self.held.extend_from_slice(&block[skipped..]);
        let len = self.window.len();
        let mut at = 0;
        while self.held.len() >= at + len {
            self.column(at)?;
            at += self.hop;
        }
        self.skip += at.saturating_sub(self.held.len());
        self.held.drain(..at.min(self.held.len()));
        Ok(())
    }

    /// One column from the frame that begins at `at`.
    fn column(&mut self, at: usize) -> Result<(), MediaError> {
        let frame = self.frame.iter_mut().zip(&self.held[at..]);
        for ((own, sample), weight) in frame.zip(&self.window) {
            *own = if sample.is_finite() {
                sample * weight
            } else {
                0.0
            };
        }
        self.transform
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .map_err(|error| MediaError::bad_input(error.to_string()))?;
        for band in &self.bands {
            let bins = self.spectrum[band.first..].iter().zip(&band.weights);
            let power: f32 = bins.map(|(bin, weight)| bin.norm_sqr() * weight).sum();
            let db = 10.0 * (power * self.scale).max(1e-12).log10();
            let level = (1.0 + db / RANGE_DB).clamp(0.0, 1.0);
            self.columns.push((level * 255.0).round() as u8);
        }
        Ok(())
    }

    /// The file. Frames at the end see silence behind the sound.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, MediaError> {
        let expected = self.shape.levels().first().copied().unwrap_or(0) as usize * BANDS;
        let silence = vec![0.0; self.window.len() + self.hop];
        while self.columns.len() < expected {
            self.push(&silence)?;
        }
        self.columns.truncate(expected);
        let columns = std::mem::take(&mut self.columns);
        Ok(self.shape.file(columns, |columns, out| {
            let count = (columns.len() / BANDS).max(1) as u32;
            for band in 0..BANDS {
                let own = columns.iter().skip(band).step_by(BANDS);
                let sum: u32 = own.map(|level| u32::from(*level)).sum();
                out.push(((sum + count / 2) / count) as u8);
            }
        }))
    }
}

/// Triangles of equal width on the mel scale, none narrower than a bin of the transform.
fn bands(len: usize, rate: f64, top_hz: f64) -> Vec<Band> {
    let step = mel(top_hz) / (BANDS + 1) as f64;
    let bin_hz = rate / len as f64;
    (1..=BANDS)
        .map(|band| {
            let at = |k: usize| hertz(step * k as f64);
            let middle = at(band) / bin_hz;
            let below = (middle - at(band - 1) / bin_hz).max(1.0);
            let above = (at(band + 1) / bin_hz - middle).max(1.0);
            let first = (middle - below).ceil().max(0.0) as usize;
            let last = ((middle + above).floor() as usize).min(len / 2);
            let mut weights: Vec<f32> = (first..=last.max(first))
                .map(|bin| {
                    let off = bin as f64 - middle;
                    let width = if off < 0.0 { below } else { above };
                    (1.0 - off.abs() / width).max(0.0) as f32
                })
                .collect();
            let sum: f32 = weights.iter().sum();
            for weight in &mut weights {
                *weight /= sum.max(f32::MIN_POSITIVE);
            }
            Band { first, weights }
        })
        .collect()
}

fn mel(hz: f64) -> f64 {
    2595.0 * (1.0 + hz / 700.0).log10()
}

fn hertz(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[f32], rate_hz: u32, block: usize) -> (Shape, Vec<u8>) {
        let loudest = samples.iter().fold(0f32, |top, s| top.max(s.abs()));
        let peaks = Shape {
            column_bytes: 2,
            tile_columns: 4_096,
            rate_hz,
            column_samples: 16,
            samples: samples.len() as u64,
            top: loudest,
        };
        let mut spectrum = Spectrum::of(&peaks);
        for block in samples.chunks(block) {
            spectrum.push(block).expect("a column");
        }
        let file = spectrum.finish().expect("a file");
        (Shape::read(&file).expect("a header"), file)
    }

    fn tone(hz: f64, rate_hz: u32, secs: f64) -> impl Iterator<Item = f32> {
        let count = (f64::from(rate_hz) * secs) as usize;
        (0..count).map(move |k| {
            let turn = std::f64::consts::TAU * hz * k as f64 / f64::from(rate_hz);
            (0.25 * turn.sin()) as f32
        })
    }

    /// The band whose middle is nearest to a frequency.
    fn band_of(hz: f64, shape: &Shape) -> usize {
        let step = mel(f64::from(shape.top)) / (BANDS + 1) as f64;
        (mel(hz) / step).round() as usize - 1
    }

    #[test]
    fn a_tone_stands_in_its_band_and_at_its_time() {
        for (rate_hz, hz) in [
            (16_000, 440.0),
            (16_000, 3_000.0),
            (44_100, 8_000.0),
            (8_000, 120.0),
        ] {
            let mut samples = vec![0.0; rate_hz as usize];
            samples.extend(tone(hz, rate_hz, 1.0));
            samples.extend(vec![0.0; rate_hz as usize / 2]);
            let (shape, file) = of(&samples, rate_hz, 1_152);
            assert_eq!(shape.samples, samples.len() as u64);
            let column = |secs: f64| {
                let at = (secs * f64::from(rate_hz)) as u64 / u64::from(shape.column_samples);
                let tile = shape.tile(0, at / 512).expect("a tile");
                let first = tile.start as usize + (at % 512) as usize * BANDS;
                &file[first..first + BANDS]
            };
            let loud = column(1.5);
            let best = (0..BANDS).max_by_key(|band| loud[*band]).expect("a band");
            assert!(
                best.abs_diff(band_of(hz, &shape)) <= 1,
                "{hz} Hz at {rate_hz}: band {best}"
            );
            assert!(loud[best] > 200, "{hz} Hz at {rate_hz}: {}", loud[best]);
            for silent in [0.5, 0.9, 2.1, 2.45] {
                assert!(
                    column(silent).iter().all(|level| *level == 0),
                    "{silent} s at {rate_hz}"
                );
            }
        }
    }

    #[test]
    fn blocks_change_nothing_and_there_are_as_many_columns_as_the_header_says() {
        let samples: Vec<f32> = tone(700.0, 16_000, 3.7).collect();
        let (shape, file) = of(&samples, 16_000, 1_000);
        assert_eq!(of(&samples, 16_000, 77).1, file);
        assert_eq!(of(&samples, 16_000, samples.len()).1, file);
        let columns: u64 = shape.levels().iter().sum();
        assert_eq!(file.len() as u64, 28 + columns * BANDS as u64);
        // A sound shorter than a frame has its column too.
        let (shape, _) = of(&[0.5; 3], 16_000, 3);
        assert_eq!(shape.levels(), [1]);
    }

    #[test]
    fn columns_farther_apart_than_frames_are_long_stay_in_step() {
        let rate_hz = 1_000;
        // As if the sound were so long that columns are 300 samples apart; a frame has 64.
        let peaks = Shape {
            column_bytes: 2,
            tile_columns: 4_096,
            rate_hz,
            column_samples: 16,
            samples: 300 * MAX_COLUMNS,
            top: 0.25,
        };
        for block in [50, 299, 1_000, 7_777] {
            let mut spectrum = Spectrum::of(&peaks);
            assert_eq!(spectrum.hop, 300);
            let mut samples = vec![0.0; 3_000];
            samples.extend(tone(200.0, rate_hz, 3.0));
            samples.extend(vec![0.0; 1_500]);
            for part in samples.chunks(block) {
                spectrum.push(part).expect("a column");
            }
            let loud: Vec<bool> = (spectrum.columns.chunks_exact(BANDS))
                .map(|column| column.iter().any(|level| *level > 200))
                .collect();
            assert_eq!(loud.len(), 25, "blocks of {block}");
            assert!(
                loud.iter()
                    .enumerate()
                    .all(|(k, loud)| *loud == (10..20).contains(&k))
            );
        }
    }
}

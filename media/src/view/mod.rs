//! A long sound made drawable: its peaks, or its spectrum, at several levels of detail, cut into tiles.
//! In: a sound file. Out: one file of tiles with the coarsest level first, of which a page reads a few kilobytes.

mod peaks;
mod shape;
mod spectrum;

pub use shape::{HEADER_BYTES, Shape};

use crate::sound::scan_sound;
use crate::{Limits, MediaError};

/// Bands of a spectrum's column, the lowest first.
pub const BANDS: usize = spectrum::BANDS;

/// The peaks of a sound file, or of a film's sound: per column the lowest and the highest sample as `i8`, 127 being full
/// scale. The file is decoded block by block; no more than the columns is held.
pub fn peaks(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, MediaError> {
    let mut peaks = peaks::Peaks::default();
    let rate_hz = scan_sound(bytes, limits, &mut |at, block| {
        if at == 0 {
            peaks = peaks::Peaks::default();
        }
        peaks.push(block);
        Ok(())
    })?;
    Ok(peaks.finish(rate_hz))
}

/// The spectrum of the same file: per column [`BANDS`] levels on the mel scale, 255 being as loud as the sound's loudest
/// sample, 0 quieter by 72 dB. `peaks` is the shape of what [`peaks`] made of it.
pub fn spectrum(bytes: &[u8], limits: &Limits, peaks: &Shape) -> Result<Vec<u8>, MediaError> {
    let mut spectrum = spectrum::Spectrum::of(peaks);
    scan_sound(bytes, limits, &mut |at, block| {
        if at == 0 {
            spectrum = spectrum::Spectrum::of(peaks);
        }
        spectrum.push(block)
    })?;
    spectrum.finish()
}

/// A tile of a spectrum, in the order of its file, as a picture: one pixel a level, high tones on top, black that covers
/// the more the louder it is.
pub fn spectrum_png(tile: &[u8]) -> Result<Vec<u8>, MediaError> {
    let columns = tile.len() / BANDS;
    let mut cover = Vec::with_capacity(tile.len());
    for band in (0..BANDS).rev() {
        cover.extend((0..columns).map(|column| tile[column * BANDS + band]));
    }
    let width = u32::try_from(columns)
        .map_err(|_| MediaError::bad_input("a tile of so many columns is no tile"))?;
    crate::encode::cover_png(width, BANDS as u32, &cover)
}

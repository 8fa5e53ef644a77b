//! Writers for the files that the world, the page and the gallery need: PNG, JPEG, WAV and film.
//!
//! All are deterministic: the same input gives the same bytes.

mod film;

pub use film::film;

use image::ImageEncoder;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};

use crate::MediaError;

/// A PNG of `rgb` (row-major, 3 bytes a pixel, `width * height * 3` of them).
pub fn png(width: u32, height: u32, rgb: &[u8]) -> Result<Vec<u8>, MediaError> {
    check_rgb(width, height, rgb)?;
    let mut out = Vec::new();
    PngEncoder::new(&mut out)
        .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|error| MediaError::bad_input(error.to_string()))?;
    Ok(out)
}

/// A PNG that is black everywhere and covers what lies below by `cover` (row-major, 255: wholly): a shape to be coloured.
pub fn cover_png(width: u32, height: u32, cover: &[u8]) -> Result<Vec<u8>, MediaError> {
    let expected = u64::from(width) * u64::from(height);
    if expected == 0 || cover.len() as u64 != expected {
        return Err(MediaError::bad_input(format!(
            "{width} x {height} pixels need {expected} bytes, {} were given",
            cover.len()
        )));
    }
    let pixels: Vec<u8> = cover.iter().flat_map(|own| [0, *own]).collect();
    let mut out = Vec::new();
    PngEncoder::new(&mut out)
        .write_image(&pixels, width, height, image::ExtendedColorType::La8)
        .map_err(|error| MediaError::bad_input(error.to_string()))?;
    Ok(out)
}

/// A JPEG of `rgb` at `quality` 1..=100: for thumbnails, since it loses detail.
pub fn jpeg(width: u32, height: u32, rgb: &[u8], quality: u8) -> Result<Vec<u8>, MediaError> {
    check_rgb(width, height, rgb)?;
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, quality.clamp(1, 100))
        .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|error| MediaError::bad_input(error.to_string()))?;
    Ok(out)
}

/// A mono WAV with 16-bit samples; `samples` are in -1..=1 and clipped to it.
pub fn wav(samples: &[f32], rate_hz: u32) -> Result<Vec<u8>, MediaError> {
    if rate_hz == 0 {
        return Err(MediaError::bad_input("a sample rate of zero"));
    }
    let data_len = u32::try_from(samples.len() * 2)
        .ok()
        .filter(|len| *len < u32::MAX - 36)
        .ok_or_else(|| MediaError::bad_input("more samples than a WAV file can hold"))?;
    let mut out = Vec::with_capacity(44 + samples.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + data_len).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&rate_hz.to_le_bytes());
    out.extend_from_slice(&(rate_hz.saturating_mul(2)).to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&16u16.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&data_len.to_le_bytes());
    for sample in samples {
        out.extend_from_slice(&to_i16(*sample).to_le_bytes());
    }
    Ok(out)
}

/// The 16-bit value of a sample; decoders divide by 32,768, so this is their exact inverse on values they return.
pub(crate) fn to_i16(sample: f32) -> i16 {
    // A NaN casts to 0.
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

pub(crate) fn check_rgb(width: u32, height: u32, rgb: &[u8]) -> Result<(), MediaError> {
    let expected = u64::from(width) * u64::from(height) * 3;
    if expected == 0 || rgb.len() as u64 != expected {
        return Err(MediaError::bad_input(format!(
            "{width} x {height} pixels need {expected} bytes of RGB, {} were given",
            rgb.len()
        )));
    }
    Ok(())
}

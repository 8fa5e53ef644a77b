//! JPEG -> RGB by libjpeg-turbo's decoder, whose levels are those that the models' reference pipelines see.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg::{ColorSpace, Decompress};

use crate::{Limits, MediaError, Picture};

/// Most scans of a progressive JPEG. Encoders write about ten; each costs a pass over the whole picture, even when empty.
const MAX_SCANS: usize = 64;

/// Decodes a JPEG of any kind but CMYK, for which `None` comes back. An EXIF orientation is not applied.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Option<Picture>, MediaError> {
    check_scans(bytes)?;
    // Fatal errors leave the library by unwinding, with a sentence.
    catch_unwind(AssertUnwindSafe(|| decode_or_unwind(bytes, limits)))
        .unwrap_or_else(|payload| Err(MediaError::corrupt(said(payload.as_ref()))))
}

fn decode_or_unwind(bytes: &[u8], limits: &Limits) -> Result<Option<Picture>, MediaError> {
    let refused = |error: std::io::Error| MediaError::corrupt(error.to_string());
    let header = Decompress::new_mem(bytes).map_err(refused)?;
    let (width, height) = header.size();
    limits.check_pixels(width as u64, height as u64)?;
    if matches!(
        header.color_space(),
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK
    ) {
        return Ok(None);
    }
    let mut scan = header.rgb().map_err(refused)?;
    let mut rgb = vec![0u8; width * height * 3];
    scan.read_scanlines_into::<u8>(&mut rgb).map_err(refused)?;
    scan.finish().map_err(refused)?;
    Ok(Some(Picture {
        width: width as u32,
        height: height as u32,
        rgb,
    }))
}

/// Fails where the end marker is missing (the decoder would fill the rest with grey, without a word) or the scans are too many.
///
/// Neither marker can occur inside coded data, where each 0xFF is followed by a zero.
fn check_scans(bytes: &[u8]) -> Result<(), MediaError> {
    const START_OF_SCAN: [u8; 2] = [0xFF, 0xDA];
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    if last(END_OF_IMAGE) <= last(START_OF_SCAN) {
        return Err(MediaError::truncated("the JPEG has no end"));
    }
    let scans = bytes
        .windows(2)
        .filter(|pair| *pair == START_OF_SCAN)
        .count();
    if scans > MAX_SCANS {
        return Err(MediaError::Unsupported {
            what: format!("a JPEG in {scans} scans"),
            hint: format!("save it again: {MAX_SCANS} are allowed, and about ten are usual"),
        });
    }
    Ok(())
}

fn said(payload: &(dyn Any + Send)) -> String {
    let sentence = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    sentence
        .unwrap_or("the JPEG decoder gave up on it")
        .trim_start_matches("libjpeg fatal error: ")
        .to_owned()
}

//! JPEG, PNG, WebP and GIF -> RGB.

use std::io::Cursor;

use image::error::LimitErrorKind;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use crate::{Family, Kind, Limits, MediaError, fence, jpeg, sniff};

/// A picture, as the models see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green, blue; row by row from the top left; `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

/// Decodes a JPEG, PNG, WebP or GIF (its first frame).
///
/// As the reference pipeline does: an EXIF orientation is **not** applied (show such a picture with
/// `image-orientation: none`), transparency is laid on white, grey becomes three equal channels, 16-bit samples become 8-bit.
pub fn decode_image(bytes: &[u8], limits: &Limits) -> Result<Picture, MediaError> {
    decode_image_as(bytes, limits, Transparency::OnWhite)
}

/// What becomes of transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transparency {
    /// White shines through.
    OnWhite,
    /// Every pixel is shown in its own colour, however transparent: what Pillow's `convert("RGB")` does.
    Dropped,
}

/// [`decode_image`] with a choice of what becomes of transparency.
pub fn decode_image_as(
    bytes: &[u8],
    limits: &Limits,
    transparency: Transparency,
) -> Result<Picture, MediaError> {
    limits.check_bytes(bytes)?;
    let kind = sniff(bytes);
    let format = match kind {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        Kind::WebP => ImageFormat::WebP,
        Kind::Gif => ImageFormat::Gif,
        _ => return Err(unsupported(kind)),
    };
    fence::guard("picture", || decode(bytes, format, limits, transparency))
}

/// Width and height in pixels from the header alone, within the same limits.
pub fn image_size(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), MediaError> {
    limits.check_bytes(bytes)?;
    let kind = sniff(bytes);
    let format = match kind {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        Kind::WebP => ImageFormat::WebP,
        Kind::Gif => ImageFormat::Gif,
        _ => return Err(unsupported(kind)),
    };
    fence::guard("picture", || {
        open(bytes, format, limits).map(|decoder| decoder.dimensions())
    })
}

fn unsupported(kind: Kind) -> MediaError {
    let hint = match kind.family() {
        Some(Family::Image) | None => "use a JPEG, PNG, WebP or GIF",
        Some(Family::Audio) => "it is a sound, not a picture",
        Some(Family::Video) => "it is a film, not a picture",
    };
    MediaError::Unsupported {
        what: format!("this {} as a picture", kind.name()),
        hint: hint.into(),
    }
}

fn open<'a>(
    bytes: &'a [u8],
    format: ImageFormat,
    limits: &Limits,
) -> Result<impl ImageDecoder + 'a, MediaError> {
    // RGBA in 16 bits is the widest thing a decoder holds, and some hold two of them.
    let max_alloc = limits.max_pixels.saturating_mul(16);
    let mut inner = image::Limits::no_limits();
    inner.max_alloc = Some(max_alloc);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(inner);
    let decoder = reader
        .into_decoder()
        .map_err(|error| translate(error, max_alloc))?;
    let (width, height) = decoder.dimensions();
    limits.check_pixels(u64::from(width), u64::from(height))?;
    Ok(decoder)
}

fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
    transparency: Transparency,
) -> Result<Picture, MediaError> {
    if format == ImageFormat::Jpeg
        && let Some(picture) = jpeg::decode(bytes, limits)?
    {
        return Ok(picture);
    }
    let decoder = open(bytes, format, limits)?;
    let max_alloc = limits.max_pixels.saturating_mul(16);
    let decoded =
        DynamicImage::from_decoder(decoder).map_err(|error| translate(error, max_alloc))?;
    let (width, height) = (decoded.width(), decoded.height());
    limits.check_pixels(u64::from(width), u64::from(height))?;
    let rgb = if decoded.color().has_alpha() {
        let rgba = decoded.into_rgba8();
        let shown = |pixel: &image::Rgba<u8>| {
            let [red, green, blue, alpha] = pixel.0;
            [red, green, blue].map(|value| match transparency {
                Transparency::OnWhite => on_white(value, alpha),
                Transparency::Dropped => value,
            })
        };
        rgba.pixels().flat_map(shown).collect()
    } else {
        decoded.into_rgb8().into_raw()
    };
    Ok(Picture { width, height, rgb })
}

/// `value` at opacity `alpha` over white, rounded as Pillow's `paste` does.
fn on_white(value: u8, alpha: u8) -> u8 {
    let sum = u32::from(value) * u32::from(alpha) + 255 * u32::from(255 - alpha) + 128;
    (((sum >> 8) + sum) >> 8) as u8
}

fn translate(error: ImageError, max_alloc: u64) -> MediaError {
    match error {
        ImageError::Limits(error) => match error.kind() {
            LimitErrorKind::Unsupported { .. } => {
                MediaError::corrupt("its decoder cannot keep the limits")
            }
            _ => MediaError::TooMuchMemory {
                bytes: max_alloc.saturating_add(1),
                limit: max_alloc,
            },
        },
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            MediaError::truncated("the picture ends too early")
        }
        ImageError::Unsupported(error) => MediaError::Unsupported {
            what: error.to_string(),
            hint: "save the picture as a plain PNG or JPEG".into(),
        },
        error => MediaError::corrupt(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparency_is_laid_on_white_as_pillow_does() {
        assert_eq!(on_white(10, 0), 255);
        assert_eq!(on_white(10, 255), 10);
        // Pillow 11: Image.new("RGB", (1, 1), "white") pasted with (10, _, _, 128) gives 132.
        assert_eq!(on_white(10, 128), 132);
    }

    #[test]
    fn transparency_is_dropped_where_it_is_asked_for() {
        let pixel = image::RgbaImage::from_raw(1, 1, vec![10, 20, 30, 0]).expect("a pixel");
        let mut png = Cursor::new(Vec::new());
        pixel.write_to(&mut png, ImageFormat::Png).expect("written");
        let decoded = |transparency| {
            decode_image_as(png.get_ref(), &Limits::default(), transparency).expect("decoded")
        };
        assert_eq!(decoded(Transparency::OnWhite).rgb, [255; 3]);
        assert_eq!(decoded(Transparency::Dropped).rgb, [10, 20, 30]);
    }
}

//! Takes out of a file what belongs neither to the picture nor to the sound: EXIF, XMP, comments, tags, places, dates.
//! In: a file of any kind. Out: the same pixels and samples, under the same kind.
//!
//! Pictures are put together anew without their notes, bit for bit the same otherwise. In sounds and films the notes are
//! overwritten where they stand, so that no index in them has to move. Formats that are not listed in [`is_cleaned`], and
//! tracks of positions inside a film, stay as they are.

mod boxes;
mod comments;
mod matroska;
mod ogg;
mod picture;
mod sound;

use crate::{Kind, sniff};

/// Whether [`without_notes`] knows where such a file keeps its notes.
pub fn is_cleaned(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Jpeg
            | Kind::Png
            | Kind::WebP
            | Kind::Gif
            | Kind::Mp3
            | Kind::Wav
            | Kind::Avi
            | Kind::Flac
            | Kind::Mp4
            | Kind::Mov
            | Kind::M4a
            | Kind::Ogg
            | Kind::Opus
            | Kind::Theora
            | Kind::WebM
            | Kind::Matroska
    )
}

/// A file without its notes. Never fails: what cannot be followed is copied as it is, for the decoder to refuse.
///
/// An orientation noted in EXIF goes too, and the picture is then shown as it is stored: as the models see it
/// ([`crate::decode_image`] applies none).
pub fn without_notes(mut bytes: Vec<u8>) -> Vec<u8> {
    match sniff(&bytes) {
        Kind::Jpeg => picture::jpeg(&bytes),
        Kind::Png => picture::png(&bytes),
        Kind::WebP => picture::webp(&bytes),
        Kind::Gif => picture::gif(&bytes),
        kind => {
            match kind {
                Kind::Mp3 => sound::mp3(&mut bytes),
                Kind::Wav | Kind::Avi => sound::riff(&mut bytes),
                Kind::Flac => sound::flac(&mut bytes),
                Kind::Mp4 | Kind::Mov | Kind::M4a => boxes::mp4(&mut bytes),
                Kind::Ogg | Kind::Opus | Kind::Theora => ogg::ogg(&mut bytes),
                Kind::WebM | Kind::Matroska => matroska::matroska(&mut bytes),
                _ => {}
            }
            bytes
        }
    }
}

/// A number in four bytes, the large end first.
fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    let field: [u8; 4] = field.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(field)).ok()
}

/// A number in four bytes, the small end first.
fn le32(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    let field: [u8; 4] = field.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(field)).ok()
}

/// Writes zeros over a stretch, as far as the file goes.
fn blank(bytes: &mut [u8], from: usize, to: usize) {
    let to = to.min(bytes.len());
    if let Some(stretch) = bytes.get_mut(from..to) {
        stretch.fill(0);
    }
}

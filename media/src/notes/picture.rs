//! JPEG, PNG, WebP and GIF, put together anew without their notes.

use super::{be32, le32};

/// Keeps what decoding needs: JFIF's header, a colour profile, Adobe's colour transform. What follows the end of the
/// picture (a second picture, a film) goes.
pub(super) fn jpeg(bytes: &[u8]) -> Vec<u8> {
    const START_OF_SCAN: u8 = 0xDA;
    const END: u8 = 0xD9;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..2]);
    let mut at = 2;
    // As the decoder does: bytes before a marker are skipped, and a marker may be filled up with more FF.
    while let Some(code_at) = next_marker(bytes, at) {
        let code = bytes[code_at];
        at = code_at + 1;
        match code {
            0x00 => {}
            END => {
                out.extend_from_slice(&[0xFF, END]);
                break;
            }
            0x01 | 0xD0..=0xD8 => out.extend_from_slice(&[0xFF, code]),
            _ => {
                let len = match bytes.get(at..at + 2) {
                    Some(&[high, low]) => usize::from(high) << 8 | usize::from(low),
                    _ => bytes.len() - at,
                };
                let end = at.saturating_add(len.max(2)).min(bytes.len());
                let segment = &bytes[at..end];
                if jpeg_keeps(code, segment.get(2..).unwrap_or_default()) {
                    out.extend_from_slice(&[0xFF, code]);
                    out.extend_from_slice(segment);
                }
                at = end;
                if code == START_OF_SCAN {
                    let end = end_of_scan(bytes, at);
                    out.extend_from_slice(&bytes[at..end]);
                    at = end;
                }
            }
        }
    }
    out
}

fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let filled = from + bytes.get(from..)?.iter().position(|byte| *byte == 0xFF)?;
    let code = bytes[filled..].iter().position(|byte| *byte != 0xFF)?;
    Some(filled + code)
}

fn jpeg_keeps(code: u8, body: &[u8]) -> bool {
    match code {
        0xE0 => body.starts_with(b"JFIF\0"),
        0xE2 => body.starts_with(b"ICC_PROFILE\0"),
        0xEE => body.starts_with(b"Adobe"),
        0xE1..=0xEF | 0xFE => false,
        _ => true,
    }
}

/// Where the coded rows end: before a marker that is neither a stuffed byte nor a restart.
fn end_of_scan(bytes: &[u8], from: usize) -> usize {
    let pairs = bytes.get(from..).unwrap_or_default().windows(2);
    let marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7 | 0xFF);
    pairs
        .enumerate()
        .find(|(_, pair)| marker(pair))
        .map_or(bytes.len(), |(k, _)| from + k)
}

/// Chunks that say how the pixels look; the critical ones are kept besides.
const PNG_LOOKS: [&[u8; 4]; 14] = [
    b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL",
    b"fdAT", b"cICP", b"mDCV", b"cLLI",
];

pub(super) fn png(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..8]);
    let mut at = 8;
    while let (Some(len), Some(kind)) = (be32(bytes, at), bytes.get(at + 4..at + 8)) {
        let end = at.saturating_add(len).saturating_add(12).min(bytes.len());
        // A large first letter: without such a chunk there is no picture.
        if kind[0].is_ascii_uppercase() || PNG_LOOKS.iter().any(|known| *known == kind) {
            out.extend_from_slice(&bytes[at..end]);
        }
        if kind == b"IEND" {
            break;
        }
        at = end;
    }
    out
}

pub(super) fn webp(bytes: &[u8]) -> Vec<u8> {
    const EXIF_FLAG: u8 = 0x08;
    const XMP_FLAG: u8 = 0x04;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..12]);
    let claimed = le32(bytes, 4).unwrap_or_default();
    let file_end = claimed.saturating_add(8).min(bytes.len());
    let (mut at, mut dropped) = (12, 0);
    while let (Some(kind), Some(len)) = (bytes.get(at..at + 4), le32(bytes, at + 4)) {
        if at >= file_end {
            break;
        }
        let end = at
            .saturating_add(8)
            .saturating_add(len)
            .saturating_add(len & 1);
        let end = end.min(bytes.len());
        match kind {
            b"VP8X" => {
                let flags = out.len() + 8;
                out.extend_from_slice(&bytes[at..end]);
                if let Some(flags) = out.get_mut(flags) {
                    *flags &= !(EXIF_FLAG | XMP_FLAG);
                }
            }
            b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP" => {
                out.extend_from_slice(&bytes[at..end]);
            }
            _ => dropped += end - at,
        }
        at = end;
    }
    // A file that is cut off stays one that says so.
    let claimed = u32::try_from(claimed.saturating_sub(dropped)).unwrap_or(u32::MAX);
    out[4..8].copy_from_slice(&claimed.to_le_bytes());
    out
}

pub(super) fn gif(bytes: &[u8]) -> Vec<u8> {
    let table_len = |flags: u8| match flags & 0x80 {
        0 => 0,
        _ => 3usize << ((flags & 7) + 1),
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 13 + bytes.get(10).map_or(0, |flags| table_len(*flags));
    at = at.min(bytes.len());
    out.extend_from_slice(&bytes[..at]);
    while let Some(&introducer) = bytes.get(at) {
        let (body, kept) = match introducer {
            0x2C => {
                let flags = bytes.get(at + 9).copied().unwrap_or_default();
                (at + 11 + table_len(flags), true)
            }
            0x21 => {
                let label = bytes.get(at + 1).copied().unwrap_or_default();
                let name = bytes.get(at + 3..at + 14).unwrap_or_default();
                let repeats = name == b"NETSCAPE2.0" || name == b"ANIMEXTS1.0";
                (at + 2, label == 0xF9 || (label == 0xFF && repeats))
            }
            // The end, or nothing that can be followed.
            _ => {
                out.push(introducer);
                break;
            }
        };
        let end = end_of_blocks(bytes, body);
        if kept {
            out.extend_from_slice(&bytes[at..end]);
        }
        at = end;
    }
    out
}

/// Past a row of blocks, each with its length before it, that an empty one ends.
fn end_of_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&len) = bytes.get(at) {
        at += 1 + usize::from(len);
        if len == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

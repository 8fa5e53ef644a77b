//! MP3, RIFF (WAV, AVI) and FLAC: their notes become padding where they stand.

use super::{blank, le32};

/// ID3v2 tags in front become tags that hold padding alone, an ID3v1 tag at the end an empty one.
pub(super) fn mp3(bytes: &mut [u8]) {
    const HEADER: usize = 10;
    let mut at = 0;
    while bytes.get(at..at + 3) == Some(b"ID3") {
        let Some(size) = bytes.get(at + 6..at + HEADER) else {
            return;
        };
        // Seven bits a byte.
        let len = (size.iter()).fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7F));
        let footer = bytes[at + 5] & 0x10 != 0;
        // No second header, no unsynchronisation: nothing of it is left. The footer's flag stays with the footer.
        bytes[at + 5] &= 0x10;
        blank(bytes, at + HEADER, at + HEADER + len);
        at += HEADER + len + if footer { HEADER } else { 0 };
    }
    if let Some(tag) = bytes.len().checked_sub(128)
        && bytes.get(tag..tag + 3) == Some(b"TAG")
    {
        blank(bytes, tag + 3, tag + 128);
    }
}

/// Chunks of notes become `JUNK`, which every reader skips.
pub(super) fn riff(bytes: &mut [u8]) {
    const NOTES: [&[u8]; 9] = [
        b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"aXML", b"_PMX", b"cart", b"IDIT",
    ];
    let mut at = 12;
    while let (Some(kind), Some(len)) = (bytes.get(at..at + 4), le32(bytes, at + 4)) {
        let end = at.saturating_add(8).saturating_add(len);
        let list = kind == b"LIST" && bytes.get(at + 8..at + 12) == Some(b"INFO");
        if list || NOTES.contains(&kind) {
            bytes[at..at + 4].copy_from_slice(b"JUNK");
            blank(bytes, at + 8, end);
        }
        at = end.saturating_add(len & 1);
    }
}

/// Comments, pictures, cue sheets and other programs' blocks become padding.
pub(super) fn flac(bytes: &mut [u8]) {
    const PADDING: u8 = 1;
    let mut at = 4;
    while let Some(&[head, a, b, c]) = bytes.get(at..at + 4) {
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        // Stream info, padding and the seek table say nothing about anybody.
        if !matches!(head & 0x7F, 0 | 1 | 3) {
            bytes[at] = head & 0x80 | PADDING;
            blank(bytes, at + 4, at + 4 + len);
        }
        at += 4 + len;
        if head & 0x80 != 0 {
            break;
        }
    }
}

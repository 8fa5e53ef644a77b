//! MP4, QuickTime and M4A: boxes of notes become `free`, dates become zero.

use super::{be32, blank};

/// Where in the tree of boxes a walk is.
#[derive(Clone, Copy)]
enum Inside {
    File,
    Movie,
    Track,
    Media,
    UserData,
    Meta,
}

/// How deep boxes are followed; the deepest place of a note is the fourth.
const MAX_DEPTH: usize = 8;

/// The one item of a tag list that belongs to the sound: how many samples at its ends are none.
const GAPLESS: &[u8] = b"iTunSMPB";

pub(super) fn mp4(bytes: &mut [u8]) {
    let len = bytes.len();
    walk(bytes, 0, len, Inside::File, 0);
}

fn walk(bytes: &mut [u8], mut at: usize, end: usize, inside: Inside, depth: usize) {
    while at < end && depth < MAX_DEPTH {
        let (Some(size), Some(kind)) = (be32(bytes, at), bytes.get(at + 4..at + 8)) else {
            return;
        };
        let kind: [u8; 4] = [kind[0], kind[1], kind[2], kind[3]];
        let (header, len) = match size {
            0 => (8, end - at),
            1 => match (be32(bytes, at + 8), be32(bytes, at + 12)) {
                (Some(high), Some(low)) => (16, (high << 32).saturating_add(low)),
                _ => return,
            },
            len => (8, len),
        };
        if len < header {
            return;
        }
        let (body, next) = (at + header, at.saturating_add(len).min(end));
        if matches!(inside, Inside::Meta) && &kind == b"ilst" && header == 8 {
            keep_gapless(bytes, at, next);
        } else if let Some((inner, skipped)) = inner(inside, &kind) {
            walk(bytes, (body + skipped).min(next), next, inner, depth + 1);
        } else if dated(inside, &kind) {
            // Version, flags, then two times of 32 bits, or of 64 in version 1.
            let wide = bytes.get(body) == Some(&1);
            blank(
                bytes,
                body + 4,
                (body + if wide { 20 } else { 12 }).min(next),
            );
        } else if is_note(inside, &kind) {
            bytes[at + 4..at + 8].copy_from_slice(b"free");
            blank(bytes, body, next);
        }
        at = next;
    }
}

/// A list of tags keeps its one item that belongs to the sound, in front; the rest becomes a `free` box after the list.
/// Readers take every child of a list for a tag, so that none of them may become `free` itself.
fn keep_gapless(bytes: &mut [u8], at: usize, end: usize) {
    let (mut item, mut kept) = (at + 8, Vec::new());
    while let (Some(len), Some(kind)) = (be32(bytes, item), bytes.get(item + 4..item + 8)) {
        let next = item.saturating_add(len);
        if len < 8 || next > end {
            break;
        }
        let body = &bytes[item + 8..next];
        if kind == b"----" && body.windows(GAPLESS.len()).any(|part| part == GAPLESS) {
            kept = bytes[item..next].to_vec();
            break;
        }
        item = next;
    }
    blank(bytes, at + 8, end);
    let rest = at + 8 + kept.len();
    let Some(left) = end
        .checked_sub(rest)
        .filter(|left| !kept.is_empty() && (*left == 0 || *left >= 8))
    else {
        bytes[at + 4..at + 8].copy_from_slice(b"free");
        return;
    };
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    bytes[at..at + 4].copy_from_slice(&size(8 + kept.len()));
    bytes[at + 8..rest].copy_from_slice(&kept);
    if left > 0 {
        bytes[rest..rest + 4].copy_from_slice(&size(left));
        bytes[rest + 4..rest + 8].copy_from_slice(b"free");
    }
}

/// What lies in a box that is opened, and how many bytes of its own come first.
fn inner(inside: Inside, kind: &[u8; 4]) -> Option<(Inside, usize)> {
    Some(match (inside, kind) {
        (Inside::File, b"moov") => (Inside::Movie, 0),
        (Inside::Movie, b"trak") => (Inside::Track, 0),
        (Inside::Movie, b"udta") => (Inside::UserData, 0),
        (Inside::Track, b"mdia") => (Inside::Media, 0),
        (Inside::UserData, b"meta") => (Inside::Meta, 4),
        _ => return None,
    })
}

fn dated(inside: Inside, kind: &[u8; 4]) -> bool {
    matches!(
        (inside, kind),
        (Inside::Movie, b"mvhd") | (Inside::Track, b"tkhd") | (Inside::Media, b"mdhd")
    )
}

fn is_note(inside: Inside, kind: &[u8; 4]) -> bool {
    match inside {
        Inside::File | Inside::Movie | Inside::Track => {
            matches!(kind, b"udta" | b"meta" | b"uuid")
        }
        Inside::Media => false,
        Inside::UserData => true,
        Inside::Meta => kind != b"hdlr",
    }
}

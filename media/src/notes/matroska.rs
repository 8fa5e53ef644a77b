//! Matroska and WebM: tags, attachments, chapters, titles and dates become `Void`, which every reader passes over.
//! Nothing moves: an index of places within the file stays true.

use super::{blank, comments};

const VOID: u8 = 0xEC;
const SUM: u8 = 0xBF;

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const SEEK_HEAD: u32 = 0x114D_9B74;
const SEEK: u32 = 0x4DBB;
const SEEK_ID: u32 = 0x53AB;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK: u32 = 0xAE;
const CODEC_PRIVATE: u32 = 0x63A2;
/// Tags, attachments, chapters.
const NOTES: [u32; 3] = [0x1254_C367, 0x1941_A469, 0x1043_A770];
/// What lies in them: a tag, a file, an edition.
const IN_NOTES: [u32; 3] = [0x7373, 0x61A7, 0x45B9];
/// Title, date, names of this file and its neighbours, and the numbers that tell files apart.
const OF_INFO: [u32; 9] = [
    0x7BA9, 0x4461, 0x7384, 0x3C_83AB, 0x3E_83BB, 0x73A4, 0x3C_B923, 0x3E_B923, 0x4444,
];
/// Which programs wrote it: these must be there, but may be empty.
const PROGRAMS: [u32; 2] = [0x4D80, 0x5741];
/// A track's name, its codec's name in words, and the attachment that belongs to it.
const OF_TRACK: [u32; 3] = [0x536E, 0x25_8688, 0x7446];

/// Where in the tree of elements a walk is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    File,
    Segment,
    SeekHead,
    Info,
    Tracks,
    Track,
}

/// One element's place.
struct Element {
    id: u32,
    at: usize,
    body: usize,
    end: usize,
    /// It says where it ends.
    bounded: bool,
}

pub(super) fn matroska(bytes: &mut [u8]) {
    let len = bytes.len();
    walk(bytes, 0, len, Inside::File);
}

/// Whether anything changed.
fn walk(bytes: &mut [u8], mut at: usize, end: usize, inside: Inside) -> bool {
    let mut changed = false;
    let mut sums = Vec::new();
    while let Some(element) = element(bytes, at, end) {
        at = element.end;
        let id = element.id;
        let inner = match (inside, id) {
            (Inside::File, SEGMENT) => Some(Inside::Segment),
            (Inside::Segment, SEEK_HEAD) => Some(Inside::SeekHead),
            (Inside::Segment, INFO) => Some(Inside::Info),
            (Inside::Segment, TRACKS) => Some(Inside::Tracks),
            (Inside::Tracks, TRACK) => Some(Inside::Track),
            _ => None,
        };
        if let Some(inner) = inner {
            changed |= walk(bytes, element.body, element.end, inner);
        } else if !element.bounded && (id == CLUSTER || NOTES.contains(&id)) {
            // What lies in it is walked over like its sisters: it ends where the next one begins.
            at = element.body;
        } else if id == u32::from(SUM) {
            sums.push(element.at);
        } else if is_note(bytes, inside, &element) {
            changed |= erase(bytes, &element);
        } else if inside == Inside::Info && PROGRAMS.contains(&id) {
            let own = &mut bytes[element.body..element.end];
            changed |= own.iter().any(|byte| *byte != 0);
            own.fill(0);
        } else if inside == Inside::Track && id == CODEC_PRIVATE {
            let own = &mut bytes[element.body..element.end];
            let before = own.to_vec();
            comments::clear_private(own);
            changed |= *own != before[..];
        }
    }
    if changed {
        // The sums of what they stood before are no longer true.
        for at in sums {
            bytes[at] = VOID;
        }
    }
    changed
}

fn is_note(bytes: &[u8], inside: Inside, element: &Element) -> bool {
    match inside {
        Inside::Segment => NOTES.contains(&element.id) || IN_NOTES.contains(&element.id),
        Inside::Info => OF_INFO.contains(&element.id),
        Inside::Track => OF_TRACK.contains(&element.id),
        // An entry that leads to what is no longer there.
        Inside::SeekHead => element.id == SEEK && leads_to_note(bytes, element),
        Inside::File | Inside::Tracks => false,
    }
}

fn leads_to_note(bytes: &[u8], seek: &Element) -> bool {
    let mut at = seek.body;
    while let Some(part) = element(bytes, at, seek.end) {
        at = part.end;
        if part.id == SEEK_ID {
            let wanted = bytes[part.body..part.end].iter();
            let wanted = wanted.fold(0u32, |id, byte| id << 8 | u32::from(*byte));
            return NOTES.contains(&wanted);
        }
    }
    false
}

/// Makes an element a `Void` of the same length; what does not say where it ends stays.
fn erase(bytes: &mut [u8], element: &Element) -> bool {
    let whole = element.end - element.at;
    if !element.bounded || whole < 2 {
        return false;
    }
    // As wide as the name and the size were, so that every length fits; eight bytes at most.
    let width = (element.body - element.at - 1).clamp(1, 8);
    let left = whole - 1 - width;
    let size = (left as u64) | 1 << (7 * width);
    blank(bytes, element.at, element.end);
    bytes[element.at] = VOID;
    let field = &size.to_be_bytes()[8 - width..];
    bytes[element.at + 1..element.at + 1 + width].copy_from_slice(field);
    true
}

/// The element at a place; `None` where there is none that can be followed.
fn element(bytes: &[u8], at: usize, end: usize) -> Option<Element> {
    let bytes = bytes.get(..end)?;
    let first = *bytes.get(at)?;
    let id_len = first.leading_zeros() as usize + 1;
    if id_len > 4 {
        return None;
    }
    let id = bytes.get(at..at + id_len)?.iter();
    let id = id.fold(0u32, |id, byte| id << 8 | u32::from(*byte));
    let size_at = at + id_len;
    let first = *bytes.get(size_at)?;
    let size_len = first.leading_zeros() as usize + 1;
    if size_len > 8 {
        return None;
    }
    let field = bytes.get(size_at..size_at + size_len)?.iter();
    let field = field.fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    let mask = (1u64 << (7 * size_len)) - 1;
    let size = field & mask;
    let body = size_at + size_len;
    let bounded = size != mask;
    let after = usize::try_from(size).map_or(usize::MAX, |size| body.saturating_add(size));
    Some(Element {
        id,
        at,
        body,
        // A file that is cut off ends before its elements do.
        end: if bounded { after.min(end) } else { end },
        bounded,
    })
}

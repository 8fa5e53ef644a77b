//! Xiph's comment headers (Vorbis, Opus, Theora, Speex, VP8, FLAC): the tags go, the packet keeps its length.
//!
//! What is left is a header without comments whose vendor string, all spaces, fills the room: every reader passes over it.

use super::{blank, sound};

/// Of whose stream a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Vorbis,
    Opus,
    Theora,
    Speex,
    Vp8,
    Flac,
}

impl Codec {
    /// By the first packet of a stream.
    pub(super) fn of(first: &[u8]) -> Option<Self> {
        const HEADS: [(&[u8], Codec); 6] = [
            (b"\x01vorbis", Codec::Vorbis),
            (b"OpusHead", Codec::Opus),
            (b"\x80theora", Codec::Theora),
            (b"Speex   ", Codec::Speex),
            (b"OVP80\x01", Codec::Vp8),
            (b"\x7FFLAC", Codec::Flac),
        ];
        let known = HEADS.iter().find(|(head, _)| first.starts_with(head));
        known.map(|(_, codec)| *codec)
    }

    /// Whether the packet of this number (the first is 0) may hold comments; `packet`: its first bytes.
    pub(super) fn may_note(self, number: usize, packet: &[u8]) -> bool {
        match self {
            // Blocks come one a packet, until one says that it is the last; sound begins with a sync code.
            Self::Flac => number >= 1 && packet.first() != Some(&0xFF),
            _ => number == 1,
        }
    }

    /// Bytes before the vendor string's length.
    fn head(self) -> &'static [u8] {
        match self {
            Self::Vorbis => b"\x03vorbis",
            Self::Opus => b"OpusTags",
            Self::Theora => b"\x81theora",
            Self::Vp8 => b"OVP80\x02 ",
            Self::Speex | Self::Flac => b"",
        }
    }

    /// Takes the comments out of such a packet.
    pub(super) fn clear(self, packet: &mut [u8]) {
        if self == Self::Flac {
            return flac_block(packet);
        }
        let head = self.head();
        if !packet.starts_with(head) {
            return;
        }
        // Vorbis ends with a bit that must be set.
        let tail = usize::from(self == Self::Vorbis);
        empty(packet, head.len(), tail);
    }
}

/// Vendor of spaces, no comments, and `tail` bytes of which the first is 1.
fn empty(packet: &mut [u8], from: usize, tail: usize) {
    let len = packet.len();
    let vendor = len.checked_sub(from + 8 + tail);
    let Some((vendor, length)) = vendor.and_then(|len| Some((len, u32::try_from(len).ok()?)))
    else {
        // Too short to be one: nothing reads it.
        return blank(packet, from, len);
    };
    packet[from..from + 4].copy_from_slice(&length.to_le_bytes());
    packet[from + 4..from + 4 + vendor].fill(b' ');
    blank(packet, from + 4 + vendor, len);
    if tail > 0 {
        packet[len - tail] = 1;
    }
}

/// A block of FLAC's metadata in a packet of its own. A stream in Ogg must have comments: they become empty, and everything
/// else that speaks of somebody padding.
fn flac_block(packet: &mut [u8]) {
    const PADDING: u8 = 1;
    const COMMENTS: u8 = 4;
    const HEADER: usize = 4;
    let len = packet.len();
    let Some(head) = packet.first().copied() else {
        return;
    };
    match head & 0x7F {
        COMMENTS => empty(packet, HEADER.min(len), 0),
        0 | PADDING | 3 => {}
        _ => {
            packet[0] = head & 0x80 | PADDING;
            blank(packet, HEADER, len);
        }
    }
}

/// A codec's headers as Matroska keeps them: FLAC's from its mark on, or three packets after their lengths.
pub(super) fn clear_private(bytes: &mut [u8]) {
    if bytes.starts_with(b"fLaC") {
        return sound::flac(bytes);
    }
    const PACKETS: u8 = 3;
    if bytes.first() != Some(&(PACKETS - 1)) {
        return;
    }
    let mut at = 1;
    let mut lengths = [0; 2];
    for length in &mut lengths {
        loop {
            let Some(&part) = bytes.get(at) else { return };
            at += 1;
            *length += usize::from(part);
            if part < u8::MAX {
                break;
            }
        }
    }
    let codec = bytes.get(at..).and_then(Codec::of);
    let second = at.saturating_add(lengths[0]);
    let packet = bytes.get_mut(second..second.saturating_add(lengths[1]));
    if let (Some(codec), Some(packet)) = (codec, packet) {
        codec.clear(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8], comments: &[u8], tail: &[u8]) -> Vec<u8> {
        let of = |text: &[u8]| [&(text.len() as u32).to_le_bytes()[..], text].concat();
        let count = 1u32.to_le_bytes();
        [head, &of(b"maker"), &count, &of(comments), tail].concat()
    }

    #[test]
    fn a_cleared_header_has_its_length_and_no_comment() {
        let noted = packet(b"\x03vorbis", b"PLACE=here", &[1]);
        let mut clear = noted.clone();
        Codec::Vorbis.clear(&mut clear);
        assert_eq!(clear.len(), noted.len());
        let vendor = noted.len() - 7 - 4 - 4 - 1;
        assert_eq!(clear[7..11], (vendor as u32).to_le_bytes());
        assert!(clear[11..11 + vendor].iter().all(|byte| *byte == b' '));
        assert_eq!(clear[11 + vendor..], [0, 0, 0, 0, 1]);

        let mut speex = packet(b"", b"PLACE=here", b"");
        Codec::Speex.clear(&mut speex);
        assert!(speex.ends_with(b" \0\0\0\0"));
        // One that is no such header, and one that is too short.
        let mut other = b"something else".to_vec();
        Codec::Opus.clear(&mut other);
        assert_eq!(other, b"something else");
        let mut short = b"OpusTags\x05\0".to_vec();
        Codec::Opus.clear(&mut short);
        assert_eq!(short, b"OpusTags\0\0");
    }

    #[test]
    fn headers_of_a_track_are_cleared_too() {
        let (first, second) = (
            b"\x01vorbis....".to_vec(),
            packet(b"\x03vorbis", b"A=B", &[1]),
        );
        let lengths = [first.len() as u8, second.len() as u8];
        let mut private = [&[2][..], &lengths, &first, &second, b"\x05vorbis"].concat();
        let len = private.len();
        clear_private(&mut private);
        assert_eq!(private.len(), len);
        assert!(!private.windows(3).any(|part| part == b"A=B"));
        assert!(private.ends_with(b"\x01\x05vorbis"));
        for broken in [&[2][..], &[2, 255], &[2, 255, 255, 3, 9], b"fLaC", b""] {
            clear_private(&mut broken.to_vec());
        }
    }
}

//! Ogg: the comment packets of every stream lose their comments, and the pages they lie on get new check sums.

use std::ops::Range;

use super::comments::Codec;

/// Bytes of a page before its table of segments.
const HEADER: usize = 27;

/// Where in a page its check sum stands.
const SUM: Range<usize> = 22..26;

const CONTINUED: u8 = 1;
const BEGIN: u8 = 2;

/// Streams that are followed at once; what has more is no sound and no film.
const MAX_STREAMS: usize = 64;

/// A stream on its way through the file.
struct Stream {
    serial: [u8; 4],
    codec: Option<Codec>,
    /// Of the packet that is being read, from 0.
    packet: usize,
    /// Where its parts lie, if it may hold comments or tells the codec.
    parts: Vec<Range<usize>>,
}

/// One page.
struct Page {
    at: usize,
    end: usize,
    flags: u8,
    serial: [u8; 4],
    /// Parts of packets, and whether the packet ends there.
    parts: Vec<(Range<usize>, bool)>,
}

pub(super) fn ogg(bytes: &mut [u8]) {
    let mut streams: Vec<Stream> = Vec::new();
    // Pages whose sum was right and whose bytes may change.
    let mut touched: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(page) = next_page(bytes, at) {
        at = page.end;
        if page.flags & BEGIN != 0 {
            close(bytes, &mut streams, page.serial);
            if streams.len() < MAX_STREAMS {
                streams.push(Stream {
                    serial: page.serial,
                    codec: None,
                    packet: 0,
                    parts: Vec::new(),
                });
            }
        }
        let of = streams.iter_mut().find(|own| own.serial == page.serial);
        let Some(stream) = of else { continue };
        if page.flags & CONTINUED == 0 && !stream.parts.is_empty() {
            // The rest of a packet is lost; no reader takes what there is of it, and nobody shall.
            stream.end(bytes);
        }
        let whole = page.at..page.end;
        if stream.wants(bytes, &page) && sum(&bytes[whole.clone()]) == stored_sum(bytes, &page) {
            touched.push(whole);
        }
        for (part, ends) in page.parts {
            stream.add(bytes, part);
            if ends {
                stream.end(bytes);
            }
        }
    }
    for stream in &mut streams {
        stream.end(bytes);
    }
    for page in touched {
        let sum = sum(&bytes[page.clone()]).to_le_bytes();
        bytes[page.start + SUM.start..page.start + SUM.end].copy_from_slice(&sum);
    }
}

/// A stream may begin again under a number that was used before.
fn close(bytes: &mut [u8], streams: &mut Vec<Stream>, serial: [u8; 4]) {
    if let Some(place) = streams.iter().position(|own| own.serial == serial) {
        streams.swap_remove(place).end(bytes);
    }
}

impl Stream {
    /// Whether bytes of this page may change.
    fn wants(&self, bytes: &[u8], page: &Page) -> bool {
        let Some(codec) = self.codec else {
            // The first page holds the first packet alone, by the rules; where it does not, what follows counts as well.
            return self.packet == 0;
        };
        let mut number = self.packet;
        page.parts.iter().any(|(part, ends)| {
            let begins = self.parts.is_empty() || number > self.packet;
            let head = if begins {
                &bytes[part.clone()]
            } else {
                &bytes[self.parts[0].clone()]
            };
            let may = codec.may_note(number, head);
            number += usize::from(*ends);
            may
        })
    }

    fn add(&mut self, bytes: &[u8], part: Range<usize>) {
        let wanted = match (&self.codec, self.parts.first()) {
            (None, _) => self.packet == 0,
            (Some(_), Some(_)) => true,
            (Some(codec), None) => codec.may_note(self.packet, &bytes[part.clone()]),
        };
        if wanted {
            self.parts.push(part);
        }
    }

    /// The packet is over.
    fn end(&mut self, bytes: &mut [u8]) {
        let parts = std::mem::take(&mut self.parts);
        let number = self.packet;
        self.packet += 1;
        if parts.is_empty() {
            return;
        }
        let mut packet: Vec<u8> = Vec::new();
        for part in &parts {
            packet.extend_from_slice(&bytes[part.clone()]);
        }
        if number == 0 {
            self.codec = Codec::of(&packet);
            return;
        }
        if let Some(codec) = self.codec {
            codec.clear(&mut packet);
            let mut rest = packet.as_slice();
            for part in parts {
                let (now, later) = rest.split_at(part.len());
                bytes[part].copy_from_slice(now);
                rest = later;
            }
        }
    }
}

/// The next page from a place on; what lies between pages is passed over, as readers do.
fn next_page(bytes: &[u8], from: usize) -> Option<Page> {
    let rest = bytes.get(from..)?;
    let at = from + rest.windows(5).position(|mark| mark == b"OggS\0")?;
    let header = bytes.get(at..at + HEADER)?;
    let table = at + HEADER;
    let body = table + usize::from(header[26]);
    let laces = bytes.get(table..body)?;
    let mut parts = Vec::new();
    let (mut begin, mut end) = (body, body);
    for lace in laces {
        end += usize::from(*lace);
        if *lace < u8::MAX {
            parts.push((begin..end, true));
            begin = end;
        }
    }
    if begin < end {
        parts.push((begin..end, false));
    }
    // A file that is cut off ends in the middle of a page.
    for (part, _) in &mut parts {
        *part = part.start.min(bytes.len())..part.end.min(bytes.len());
    }
    Some(Page {
        at,
        end: end.min(bytes.len()),
        flags: header[5],
        serial: [header[14], header[15], header[16], header[17]],
        parts,
    })
}

fn stored_sum(bytes: &[u8], page: &Page) -> u32 {
    let sum = &bytes[page.at + SUM.start..page.at + SUM.end];
    u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]])
}

/// The check sum of a page (polynomial 04C11DB7, the large end first, from zero), its own field taken for zero.
fn sum(page: &[u8]) -> u32 {
    let of = |sum: u32, byte: u8| sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)];
    let bytes = page.iter().enumerate();
    bytes.fold(0, |sum, (k, byte)| {
        of(sum, if SUM.contains(&k) { 0 } else { *byte })
    })
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut k = 0;
    while k < 256 {
        let mut sum = (k as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let high = sum & 0x8000_0000 != 0;
            sum <<= 1;
            if high {
                sum ^= 0x04C1_1DB7;
            }
            bit += 1;
        }
        table[k] = sum;
        k += 1;
    }
    table
}

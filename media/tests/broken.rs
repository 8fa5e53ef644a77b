//! Broken files as the public test packs have them, made here from sound ones, so that each one's fault is known:
//! PngSuite's corrupt pictures; sounds, JPEGs, GIFs and MP4s with the faults that readers' bug trackers are full of.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::{Duration, Instant};

use media::{Film, decode_image, decode_sound};

mod given;

use given::{data, strict};

/// What must become of a file.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Refused,
    /// Readers differ, and both are fine: an error, or something within the limits.
    Either,
}
use Fate::{Either, Refused};

fn expect(name: &str, fate: Fate, read: impl FnOnce() -> Result<(), media::MediaError>) {
    let begun = Instant::now();
    let result = read();
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{name} takes too long"
    );
    match result {
        Ok(()) => assert!(fate == Either, "{name} was read as if it were sound"),
        Err(error) => assert!(!error.to_string().is_empty(), "{name}"),
    }
}

/// CRC-32 as PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// `original` with one byte of IHDR changed and its checksum made right again.
fn with_header(original: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = original.to_vec();
    bytes[16 + at] = value;
    let crc = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&crc);
    bytes
}

fn replaced(original: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes
        .windows(what.len())
        .position(|part| part == what)
        .unwrap()
}

/// Line ends as a careless transfer changes them.
fn line_ends(original: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = original;
    while !rest.is_empty() {
        if rest.starts_with(from) {
            bytes.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            bytes.push(rest[0]);
            rest = &rest[1..];
        }
    }
    bytes
}

#[test]
fn pngsuites_corrupt_pictures_are_refused() {
    let sound = data("grey.png");
    let idat = find(&sound, b"IDAT");
    let length = u32::from_be_bytes(sound[idat - 4..idat].try_into().unwrap()) as usize;
    let without_data = [&sound[..idat - 4], &sound[idat + 8 + length..]].concat();
    let files = [
        (
            "xs1: first signature byte without its high bit",
            replaced(&sound, 0, &[0x09]),
        ),
        ("xs2: second signature byte is Q", replaced(&sound, 1, b"Q")),
        (
            "xs4: fourth signature byte is lower case",
            replaced(&sound, 3, b"g"),
        ),
        (
            "xs7: seventh signature byte is a space",
            replaced(&sound, 6, b" "),
        ),
        (
            "xcr: line feeds became carriage return and line feed",
            line_ends(&sound, b"\n", b"\r\n"),
        ),
        (
            "xlf: carriage returns are lost",
            line_ends(&sound, b"\r\n", b"\n"),
        ),
        (
            "xhd: wrong checksum of the header",
            replaced(&sound, 29, &[0, 0, 0, 0]),
        ),
        ("xc1: colour type 1", with_header(&sound, 9, 1)),
        ("xc9: colour type 9", with_header(&sound, 9, 9)),
        ("xd0: bit depth 0", with_header(&sound, 8, 0)),
        ("xd3: bit depth 3", with_header(&sound, 8, 3)),
        ("xd9: bit depth 99", with_header(&sound, 8, 99)),
        ("xdt: no data", without_data),
        (
            "xcs: wrong checksum of the data",
            replaced(&sound, idat + 4 + length, &[1, 2, 3, 4]),
        ),
        ("no width", with_header(&with_header(&sound, 3, 0), 2, 0)),
        ("two thousand million wide", with_header(&sound, 0, 0x7F)),
    ];
    for (name, bytes) in files {
        expect(name, Refused, || decode_image(&bytes, &strict()).map(drop));
    }
}

#[test]
fn broken_jpegs_and_gifs_do_not_hurt() {
    let sound = data("baseline.jpg");
    let frame = find(&sound, &[0xFF, 0xC0]);
    let table = find(&sound, &[0xFF, 0xC4]);
    let quantization = find(&sound, &[0xFF, 0xDB]);
    let scan = find(&sound, &[0xFF, 0xDA]);
    let files = [
        ("no height", Refused, replaced(&sound, frame + 5, &[0, 0])),
        ("no width", Refused, replaced(&sound, frame + 7, &[0, 0])),
        (
            "65,535 pixels square",
            Refused,
            replaced(&sound, frame + 5, &[255; 4]),
        ),
        ("no components", Refused, replaced(&sound, frame + 9, &[0])),
        (
            "twelve bits deep",
            Refused,
            replaced(&sound, frame + 4, &[12]),
        ),
        (
            "arithmetic coding without its tables",
            Either,
            replaced(&sound, frame + 1, &[0xC9]),
        ),
        ("lossless", Refused, replaced(&sound, frame + 1, &[0xC3])),
        (
            "more codes than a table has",
            Refused,
            replaced(&sound, table + 5, &[255; 16]),
        ),
        (
            "no tables of quantization",
            Either,
            replaced(&sound, quantization + 1, &[0xFE]),
        ),
        (
            "a segment longer than the file",
            Either,
            replaced(&sound, quantization + 2, &[255, 255]),
        ),
        (
            "a scan of a component that is not there",
            Refused,
            replaced(&sound, scan + 5, &[77]),
        ),
        ("no scan", Refused, sound[..scan].to_vec()),
        (
            "sampling factors of 0",
            Refused,
            replaced(&sound, frame + 11, &[0]),
        ),
    ];
    for (name, fate, bytes) in files {
        expect(name, fate, || decode_image(&bytes, &strict()).map(drop));
    }
    let sound = data("moving.gif");
    let image = find(&sound, &[0x2C]);
    let files = [
        ("no screen", replaced(&sound, 6, &[0; 4])),
        ("a screen of 65,535 square", replaced(&sound, 6, &[255; 4])),
        (
            "a frame outside of the screen",
            replaced(&sound, image + 1, &[255, 255, 255, 255]),
        ),
        ("codes of no bits", replaced(&sound, image + 10, &[0])),
        ("codes of 200 bits", replaced(&sound, image + 10, &[200])),
        ("no end", sound[..sound.len() - 1].to_vec()),
    ];
    for (name, bytes) in files {
        expect(name, Either, || {
            decode_image(&bytes, &strict()).map(|picture| {
                assert!(
                    u64::from(picture.width) * u64::from(picture.height) <= 1_000_000,
                    "{name}"
                );
            })
        });
    }
}

/// A WAV of its parts.
fn wav(format: [u16; 8], data: &[u8], claimed: u32) -> Vec<u8> {
    let [tag, channels, rate, _, bytes_per_sec, _, align, bits] = format;
    let mut bytes = b"RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\0\0\0".to_vec();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(u32::from(rate).to_le_bytes());
    bytes.extend(u32::from(bytes_per_sec).to_le_bytes());
    bytes.extend(align.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn broken_sounds_do_not_hurt() {
    let tone = [0x12; 4000];
    let pcm = |channels, rate, align, bits| [1, channels, rate, 0, 16_000, 0, align, bits];
    let whole = |format| wav(format, &tone, 4000);
    let files = [
        (
            "sound (to see that these are read at all)",
            Either,
            whole(pcm(1, 8000, 2, 16)),
        ),
        ("no channels", Refused, whole(pcm(0, 8000, 2, 16))),
        ("no rate", Refused, whole(pcm(1, 0, 2, 16))),
        ("no bits", Refused, whole(pcm(1, 8000, 2, 0))),
        (
            "65,535 channels",
            Refused,
            whole(pcm(u16::MAX, 8000, 2, 16)),
        ),
        ("frames of no bytes", Either, whole(pcm(1, 8000, 0, 16))),
        (
            "frames of other bytes than samples",
            Either,
            whole(pcm(2, 8000, 3, 16)),
        ),
        ("seventeen bits", Either, whole(pcm(1, 8000, 2, 17))),
        (
            "an unknown coding",
            Refused,
            whole([0x1234, 1, 8000, 0, 16_000, 0, 2, 16]),
        ),
        (
            "extensible without its extension",
            Refused,
            whole([0xFFFE, 1, 8000, 0, 16_000, 0, 2, 16]),
        ),
        (
            "data of four gigabytes, as a stream says",
            Either,
            wav(pcm(1, 8000, 2, 16), &tone, u32::MAX),
        ),
        ("no data", Refused, wav(pcm(1, 8000, 2, 16), &[], 0)),
        (
            "data and no format",
            Refused,
            [&b"RIFF\0\0\0\0WAVEdata\x10\0\0\0"[..], &tone[..16]].concat(),
        ),
        (
            "floats that are no numbers",
            Refused,
            wav([3, 1, 8000, 0, 32_000, 0, 4, 32], &[0xFF; 4000], 4000),
        ),
    ];
    for (name, fate, bytes) in files {
        expect(name, fate, || {
            decode_sound(&bytes, &strict()).map(|sound| {
                assert!(
                    sound.samples.iter().all(|sample| sample.is_finite()),
                    "{name}"
                );
                assert!(sound.duration_secs() <= 60.0, "{name}");
            })
        });
    }
    let good = whole(pcm(1, 8000, 2, 16));
    assert_eq!(decode_sound(&good, &strict()).unwrap().samples.len(), 2000);
}

#[test]
fn broken_films_do_not_hurt() {
    let sound = data("film.mp4");
    let after = |name: &[u8]| find(&sound, name) + 4;
    let huge = [0xFF; 4];
    let files = [
        (
            "a box of 1 byte's length field",
            Either,
            replaced(&sound, after(b"trak") - 8, &[0, 0, 0, 1]),
        ),
        (
            "a box smaller than its head",
            Either,
            replaced(&sound, after(b"mdia") - 8, &[0, 0, 0, 7]),
        ),
        (
            "a box larger than its parent",
            Either,
            replaced(&sound, after(b"stbl") - 8, &huge),
        ),
        (
            "four thousand million samples",
            Refused,
            replaced(&sound, after(b"stsz") + 8, &huge),
        ),
        (
            "four thousand million times",
            Refused,
            replaced(&sound, after(b"stts") + 4, &huge),
        ),
        (
            "four thousand million chunks",
            Refused,
            replaced(&sound, after(b"stco") + 4, &huge),
        ),
        (
            "chunks beyond the end",
            Refused,
            replaced(&sound, after(b"stco") + 8, &huge),
        ),
        (
            "no time scale",
            Refused,
            replaced(&sound, after(b"mdhd") + 12, &[0; 4]),
        ),
        (
            "samples that last no time",
            Either,
            replaced(&sound, after(b"stts") + 12, &[0; 4]),
        ),
        (
            "samples that last a year",
            Refused,
            replaced(&sound, after(b"stts") + 12, &[0x7F, 255, 255, 255]),
        ),
        (
            "no movie",
            Refused,
            replaced(&sound, after(b"moov") - 4, b"free"),
        ),
        (
            "an unknown coding",
            Refused,
            replaced(&sound, after(b"stsd") + 12, b"xvc9"),
        ),
        ("only a head", Refused, sound[..40].to_vec()),
    ];
    for (name, fate, bytes) in files {
        expect(name, fate, || {
            let limits = strict();
            let film = Film::open(&bytes, &limits)?;
            let info = film.info();
            assert!(info.frame_count > 0 && info.duration_secs <= 60.0, "{name}");
            film.frames(&[0, info.frame_count - 1]).map(drop)
        });
    }
}

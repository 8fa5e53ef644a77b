//! Truncated, lying, empty and exploding files: a typed error or a sound result, soon, in little memory, never a panic.

use std::time::{Duration, Instant};

use media::{
    Film, Kind, Limits, MediaError, decode_image, decode_sound, encode, image_size, sniff,
};

mod given;

use given::{data, strict};

/// Everything that is offered for such bytes; returns the errors met.
fn try_all(bytes: &[u8]) -> Vec<MediaError> {
    let limits = strict();
    let mut errors = Vec::new();
    let mut note = |result: Result<(), MediaError>| errors.extend(result.err());
    note(image_size(bytes, &limits).map(|_| ()));
    note(decode_image(bytes, &limits).map(|picture| {
        assert_eq!(
            picture.rgb.len() as u64,
            u64::from(picture.width) * u64::from(picture.height) * 3
        );
        assert!(u64::from(picture.width) * u64::from(picture.height) <= limits.max_pixels);
    }));
    note(decode_sound(bytes, &limits).map(|sound| {
        assert!(
            !sound.samples.is_empty()
                && sound.rate_hz > 0
                && sound.duration_secs() <= limits.max_secs
        );
    }));
    note(Film::open(bytes, &limits).and_then(|film| {
        let info = film.info();
        assert!(info.frame_count > 0 && info.fps > 0.0 && info.duration_secs <= limits.max_secs);
        let last = info.frame_count - 1;
        film.frames(&[0, last])
            .map(|frames| assert_eq!(frames.len(), 2))
    }));
    errors
}

/// A small seeded generator (SplitMix64): the same cases on every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn mutate(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = original.to_vec();
    match dice.below(5) {
        0 => bytes.truncate(dice.below(original.len())),
        1 => {
            // A 32-bit field set to an extreme: sizes and counts.
            let at = dice.below(bytes.len().saturating_sub(4).max(1));
            let value = [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFF0, 0x0100_0000][dice.below(6)];
            let field = if dice.below(2) == 0 {
                u32::to_be_bytes(value)
            } else {
                u32::to_le_bytes(value)
            };
            let end = (at + 4).min(bytes.len());
            bytes[at..end].copy_from_slice(&field[..end - at]);
        }
        2 => {
            // Headers are where the lies are.
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len().min(700));
                bytes[at] = dice.next() as u8;
            }
        }
        3 => {
            for _ in 0..=dice.below(8) {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
        }
        _ => {
            let (from, to) = (dice.below(bytes.len()), dice.below(bytes.len()));
            let len = dice.below(64).min(bytes.len() - from.max(to));
            let piece = bytes[from..from + len].to_vec();
            bytes[to..to + len].copy_from_slice(&piece);
        }
    }
    bytes
}

fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1_024)
}

#[test]
fn mutations_give_typed_errors_in_bounded_time_and_memory() {
    let frame: Vec<u8> = (0..64 * 48 * 3).map(|i| (i / 7) as u8).collect();
    let other: Vec<u8> = frame.iter().rev().copied().collect();
    let sound: Vec<f32> = (0..8_000).map(|i| (i as f32 * 0.1).sin() * 0.5).collect();
    let own = encode::film(
        &[&frame, &other, &frame, &other],
        64,
        48,
        4,
        Some((&sound, 8_000)),
    )
    .expect("a film");
    let mut originals = vec![
        (own, 500),
        (encode::wav(&sound, 8_000).expect("a sound"), 300),
        (encode::png(64, 48, &frame).expect("a picture"), 300),
    ];
    let fixtures = [
        "film.mp4",
        "tone.mp3",
        "tone.ogg",
        "tone.m4a",
        "tone.flac",
        "tone.aac",
    ];
    originals.extend(fixtures.map(|name| (data(name), 200)));
    let pictures = [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "lossless.webp",
        "alpha.webp",
        "palette.png",
        "moving.gif",
    ];
    originals.extend(pictures.map(|name| (data(name), 200)));
    let mut dice = Dice(2026);
    let (mut cases, mut failed) = (0, 0);
    let started = Instant::now();
    for (original, times) in &originals {
        for _ in 0..*times {
            let bytes = mutate(original, &mut dice);
            let case = Instant::now();
            // Four questions are asked of each file and at least two of them must be refused: it is one thing only.
            let errors = try_all(&bytes);
            assert!(errors.len() >= 2 || errors.iter().all(|error| !error.to_string().is_empty()));
            assert!(
                case.elapsed() < Duration::from_secs(15),
                "{:?} took {:?}",
                sniff(&bytes),
                case.elapsed()
            );
            cases += 1;
            failed += usize::from(errors.len() == 4);
        }
    }
    assert!(
        failed * 4 > cases,
        "only {failed} of {cases} mutations were noticed at all"
    );
    assert!(
        started.elapsed() < Duration::from_secs(400),
        "{:?}",
        started.elapsed()
    );
    if let Some(peak) = peak_memory_bytes() {
        assert!(peak < 900 << 20, "{peak} bytes of memory at the peak");
    }
}

#[test]
fn empty_and_unknown() {
    assert!(try_all(b"").iter().all(|error| *error == MediaError::Empty));
    assert_eq!(try_all(b"").len(), 4);
    for error in try_all(b"<!doctype html>") {
        assert!(matches!(error, MediaError::Unsupported { .. }), "{error}");
    }
    // The wrong door: each kind is refused by name.
    let refused = decode_image(&data("tone.wav"), &strict())
        .expect_err("no picture")
        .to_string();
    assert!(
        refused.contains("WAV sound") && refused.contains("not a picture"),
        "{refused}"
    );
    assert!(matches!(
        decode_sound(&data("plain.png"), &strict()),
        Err(MediaError::Unsupported { .. })
    ));
    assert!(matches!(
        Film::open(&data("tone.wav"), &strict()).err(),
        Some(MediaError::Unsupported { .. })
    ));
}

#[test]
fn every_truncation_is_noticed() {
    for name in ["plain.png", "baseline.jpg", "lossless.webp", "moving.gif"] {
        let whole = data(name);
        for len in (0..whole.len() / 2).step_by(97) {
            assert!(
                decode_image(&whole[..len], &strict()).is_err(),
                "{name} cut to {len}"
            );
        }
    }
    for name in ["tone.wav", "tone.flac", "tone.m4a", "film.mp4"] {
        let whole = data(name);
        for len in (0..whole.len() - 100).step_by(whole.len() / 60) {
            let result = decode_sound(&whole[..len], &strict());
            assert!(result.is_err(), "{name} cut to {len} of {}", whole.len());
        }
    }
    let whole = data("film.mp4");
    for len in (0..whole.len() - 1).step_by(211) {
        assert!(
            Film::open(&whole[..len], &strict()).is_err(),
            "cut to {len}"
        );
    }
}

#[test]
fn claims_are_checked_before_memory_is_taken() {
    // A PNG of 100,000 x 100,000 pixels in 60 bytes.
    let mut png = encode::png(1, 1, &[0, 0, 0]).expect("a picture");
    png[16..20].copy_from_slice(&100_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&100_000u32.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let expected = MediaError::TooManyPixels {
        width: 100_000,
        height: 100_000,
        limit: 40_000_000,
    };
    assert_eq!(
        decode_image(&png, &Limits::default()),
        Err(expected.clone())
    );
    assert_eq!(image_size(&png, &Limits::default()), Err(expected));

    // A GIF whose canvas is small and whose frame is not, and the other way round.
    let gif = data("moving.gif");
    let mut canvas = gif.clone();
    canvas[6..10].copy_from_slice(&[0xFF; 4]);
    assert!(matches!(
        decode_image(&canvas, &Limits::default()),
        Err(MediaError::TooManyPixels { .. })
    ));
    let descriptor = gif
        .windows(5)
        .position(|window| window == [0x2C, 0, 0, 0, 0])
        .expect("a frame");
    let mut frame = gif;
    frame[descriptor + 5..descriptor + 9].copy_from_slice(&[0xFF; 4]);
    assert!(decode_image(&frame, &strict()).is_err());

    // A WAV that promises four gigabytes less a bit, and one that was streamed and says so.
    let mut wav = encode::wav(&[0.25; 4_000], 8_000).expect("a sound");
    wav[40..44].copy_from_slice(&0x7000_0000u32.to_le_bytes());
    assert!(matches!(
        decode_sound(&wav, &strict()),
        Err(MediaError::Truncated { .. })
    ));
    wav[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    wav[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        decode_sound(&wav, &strict()).map(|sound| sound.samples.len()),
        Ok(4_000)
    );

    // An MP4 whose sample table claims two billion frames, with and without a size for each.
    let frame = vec![90u8; 32 * 32 * 3];
    let film = encode::film(&[&frame, &frame], 32, 32, 2, None).expect("a film");
    let stsz = film
        .windows(4)
        .position(|window| window == b"stsz")
        .expect("a table")
        + 4;
    let mut table = film.clone();
    table[stsz + 8..stsz + 12].copy_from_slice(&2_000_000_000u32.to_be_bytes());
    assert!(matches!(
        Film::open(&table, &strict()).err(),
        Some(MediaError::TooManyFrames { .. })
    ));
    table[stsz + 4..stsz + 8].copy_from_slice(&1u32.to_be_bytes());
    table[stsz + 8..stsz + 12].copy_from_slice(&1_999u32.to_be_bytes());
    assert!(matches!(
        Film::open(&table, &strict()).err(),
        Some(MediaError::Corrupt { .. })
    ));
}

#[test]
fn each_limit_has_its_error() {
    let limits = Limits::default();
    let plain = data("plain.png");
    let few = Limits {
        max_bytes: 100,
        ..limits
    };
    assert_eq!(
        decode_image(&plain, &few),
        Err(MediaError::TooLarge {
            bytes: plain.len() as u64,
            limit: 100
        })
    );
    let small = Limits {
        max_pixels: 60 * 44 - 1,
        ..limits
    };
    assert!(matches!(
        decode_image(&plain, &small),
        Err(MediaError::TooManyPixels {
            width: 60,
            height: 44,
            ..
        })
    ));
    assert!(
        decode_image(
            &plain,
            &Limits {
                max_pixels: 60 * 44,
                ..limits
            }
        )
        .is_ok()
    );
    for name in [
        "tone.wav",
        "tone.mp3",
        "tone.flac",
        "tone.ogg",
        "tone.m4a",
        "film.mp4",
    ] {
        let short = Limits {
            max_secs: 0.5,
            ..limits
        };
        assert!(
            matches!(
                decode_sound(&data(name), &short),
                Err(MediaError::TooLong { .. })
            ),
            "{name}"
        );
        let little = Limits {
            max_decoded_bytes: 4_096,
            ..limits
        };
        assert!(
            matches!(
                decode_sound(&data(name), &little),
                Err(MediaError::TooMuchMemory { .. })
            ),
            "{name}"
        );
    }
    let film = data("film.mp4");
    let open = |limits: Limits| Film::open(&film, &limits).err();
    assert!(matches!(
        open(Limits {
            max_secs: 0.5,
            ..limits
        }),
        Some(MediaError::TooLong { .. })
    ));
    assert!(matches!(
        open(Limits {
            max_frames: 29,
            ..limits
        }),
        Some(MediaError::TooManyFrames { frames: 30, .. })
    ));
    assert!(matches!(
        open(Limits {
            max_pixels: 6_143,
            ..limits
        }),
        Some(MediaError::TooManyPixels { .. })
    ));
    let two_frames = Limits {
        max_decoded_bytes: 96 * 64 * 3 * 2,
        ..limits
    };
    let opened = Film::open(&film, &two_frames).expect("a film");
    assert!(opened.frames(&[1, 5]).is_ok());
    assert!(matches!(
        opened.frames(&[1, 5, 6]),
        Err(MediaError::TooMuchMemory { .. })
    ));
    let hurried = Film::open(
        &film,
        &Limits {
            use_ffmpeg: false,
            max_work_secs: 0.0,
            ..limits
        },
    )
    .expect("a film")
    .frames(&[29]);
    assert!(matches!(hurried, Err(MediaError::TookTooLong { .. })));
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[test]
fn sniffing_never_trusts_a_name() {
    for (name, kind, mime) in [
        ("plain.png", Kind::Png, "image/png"),
        ("tone.m4a", Kind::M4a, "audio/mp4"),
        ("tone.opus", Kind::Opus, "audio/ogg"),
        ("tone.aac", Kind::Aac, "audio/aac"),
        ("tone.mp3", Kind::Mp3, "audio/mpeg"),
        ("film.webm", Kind::WebM, "video/webm"),
        ("fragmented.mp4", Kind::Mp4, "video/mp4"),
    ] {
        assert_eq!(
            (sniff(&data(name)), sniff(&data(name)).mime()),
            (kind, mime),
            "{name}"
        );
    }
}

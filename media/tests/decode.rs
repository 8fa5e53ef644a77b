//! The decoders against what ffmpeg and Pillow make of the same files (`data/make.sh` says how those were made).

use media::{
    Film, Kind, Limits, MediaError, Picture, Sound, decode_image, decode_sound, encode, image_size,
    sniff,
};

mod given;

use given::data;

fn picture(name: &str) -> Picture {
    decode_image(&data(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sound(name: &str) -> Sound {
    decode_sound(&data(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// (largest, mean) difference of two pictures, in levels.
fn difference(a: &Picture, b: &Picture) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let steps: Vec<u8> = a
        .rgb
        .iter()
        .zip(&b.rgb)
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let mean = steps.iter().map(|step| f64::from(*step)).sum::<f64>() / steps.len() as f64;
    (steps.into_iter().max().unwrap_or(0), mean)
}

/// Largest difference of two sounds, after checking rate and length.
fn distance(a: &Sound, b: &Sound) -> f32 {
    assert_eq!((a.rate_hz, a.samples.len()), (b.rate_hz, b.samples.len()));
    a.samples
        .iter()
        .zip(&b.samples)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn lossless_pictures_are_exact() {
    let plain = picture("plain.png");
    assert_eq!((plain.width, plain.height), (60, 44));
    assert_eq!(picture("lossless.webp"), plain);
    assert_eq!(picture("palette.png"), picture("palette.png.expected.png"));
    assert_eq!(picture("grey.png"), picture("grey.png.expected.png"));
    assert_eq!(picture("moving.gif"), picture("moving.gif.expected.png"));
    assert_eq!(picture("alpha.png"), picture("alpha.expected.png"));
    assert_eq!(picture("alpha.webp"), picture("alpha.expected.png"));
    assert_eq!(
        image_size(&data("alpha.webp"), &Limits::default()),
        Ok((60, 44))
    );
}

#[test]
fn jpeg_is_exact_and_never_turned() {
    for name in ["baseline.jpg", "progressive.jpg", "turned.jpg"] {
        assert_eq!(
            picture(name),
            picture(&format!("{name}.expected.png")),
            "{name}"
        );
    }
    // CMYK is converted with rounding of its own.
    let (largest, _) = difference(&picture("cmyk.jpg"), &picture("cmyk.jpg.expected.png"));
    assert!(largest <= 8, "{largest}");
}

#[test]
fn sounds_agree_with_ffmpeg() {
    let wav = sound("tone.wav");
    assert_eq!((wav.rate_hz, wav.samples.len()), (22_050, 26_460));
    // Straight from the bytes: the mean of two 16-bit channels.
    let bytes = data("tone.wav");
    let at =
        |index: usize| f32::from(i16::from_le_bytes([bytes[index], bytes[index + 1]])) / 32_768.0;
    let start = bytes.len() - wav.samples.len() * 4;
    for frame in [0, 1, 777, 26_459] {
        let mean = (at(start + frame * 4) + at(start + frame * 4 + 2)) / 2.0;
        assert_eq!(wav.samples[frame], mean, "frame {frame}");
    }
    assert_eq!(distance(&sound("tone.flac"), &wav), 0.0);
    let short = sound("tone24.wav");
    assert!(
        short
            .samples
            .iter()
            .zip(&wav.samples)
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
    for name in ["tone.mp3", "tone.ogg", "tone.m4a"] {
        let far = distance(&sound(name), &sound(&format!("{name}.expected.wav")));
        assert!(far < 1.0 / 8_192.0, "{name} differs by {far}");
    }
    // Bare AAC carries no priming: the same sound, later by whole blocks.
    assert!(sound("tone.aac").samples.len() >= wav.samples.len());
    assert!((wav.duration_secs() - 1.2).abs() < 1e-9);
}

#[test]
fn film_agrees_with_ffmpeg() {
    let bytes = data("film.mp4");
    assert_eq!(sniff(&bytes), Kind::Mp4);
    let film = Film::open(&bytes, &Limits::default()).expect("a film");
    let info = film.info();
    assert_eq!(
        (info.width, info.height, info.frame_count, info.has_sound),
        (96, 64, 30, true)
    );
    assert!((info.fps - 25.0).abs() < 1e-9 && (info.duration_secs - 1.2).abs() < 1e-9);
    // Display order in spite of B-frames; any order of asking; repeats.
    // And its colours, rounding included, are the ones of the x86 conversion that the reference pipeline uses.
    let alone = Limits {
        use_ffmpeg: false,
        ..Limits::default()
    };
    let film = Film::open(&bytes, &alone).expect("a film");
    let frames = film.frames(&[29, 0, 7, 0]).expect("frames");
    for (frame, name) in frames.iter().zip(["3", "1", "2", "1"]) {
        let (largest, mean) = difference(frame, &picture(&format!("film.mp4.{name}.png")));
        // Frame 7 is a B-frame, in which openh264 strays a little.
        assert!(
            if name == "2" {
                largest <= 3 && mean < 0.05
            } else {
                largest == 0
            },
            "frame {name}: {largest}, {mean}"
        );
    }
    let sound = film.sound().expect("a sound").expect("a track");
    assert_eq!(sound.rate_hz, 22_050);
    assert!(
        (sound.duration_secs() - 1.2).abs() < 0.1,
        "{}",
        sound.duration_secs()
    );
    assert_eq!(
        film.frames(&[30]),
        Err(MediaError::NoSuchFrame {
            index: 30,
            frame_count: 30
        })
    );
    assert_eq!(film.frames(&[]), Ok(Vec::new()));
}

#[test]
fn what_we_write_is_what_we_read() {
    let (width, height) = (112u32, 84u32);
    let rgb: Vec<u8> = (0..height)
        .flat_map(|y| {
            (0..width).flat_map(move |x| {
                if x / 28 % 2 == y / 28 % 2 {
                    [220, 40, 30]
                } else {
                    [30, 70, 200]
                }
            })
        })
        .collect();
    let drawn = Picture { width, height, rgb };
    let png = encode::png(width, height, &drawn.rgb).expect("png");
    assert_eq!(decode_image(&png, &Limits::default()).as_ref(), Ok(&drawn));
    let jpeg = encode::jpeg(width, height, &drawn.rgb, 90).expect("jpeg");
    assert!(
        difference(
            &decode_image(&jpeg, &Limits::default()).expect("a picture"),
            &drawn
        )
        .1 < 6.0
    );

    let samples: Vec<f32> = (0..20_001)
        .map(|i| ((i as f32 * 0.37).sin() * 32_767.0).round() / 32_768.0)
        .collect();
    let wav = encode::wav(&samples, 16_000).expect("wav");
    let heard = Sound {
        rate_hz: 16_000,
        samples: samples.clone(),
    };
    assert_eq!(decode_sound(&wav, &Limits::default()).as_ref(), Ok(&heard));

    let dark: Vec<u8> = drawn.rgb.iter().map(|value| value / 3).collect();
    let shown: [&[u8]; 5] = [&drawn.rgb, &drawn.rgb, &dark, &dark, &drawn.rgb];
    let bytes = encode::film(&shown, width, height, 4, Some((&samples, 16_000))).expect("film");
    let film = Film::open(&bytes, &Limits::default()).expect("a film");
    let info = film.info();
    assert_eq!(
        (info.width, info.height, info.frame_count),
        (width, height, 5)
    );
    assert!((info.fps - 4.0).abs() < 1e-9);
    for (index, frame) in film
        .frames(&[0, 1, 2, 3, 4])
        .expect("frames")
        .into_iter()
        .enumerate()
    {
        let drawn = Picture {
            width,
            height,
            rgb: shown[index].to_vec(),
        };
        let (_, mean) = difference(&frame, &drawn);
        assert!(mean < 2.0, "frame {index}: {mean}");
    }
    // The sound track is lossless.
    assert_eq!(film.sound(), Ok(Some(heard)));
    let silent = encode::film(&shown, width, height, 4, None).expect("film");
    let silent = Film::open(&silent, &Limits::default()).expect("a film");
    assert!(!silent.info().has_sound);
    assert_eq!(silent.sound(), Ok(None));
}

#[test]
fn encoders_refuse_what_does_not_fit() {
    let bad = |result: Result<Vec<u8>, MediaError>| {
        assert!(matches!(result, Err(MediaError::BadInput { .. })))
    };
    bad(encode::png(3, 3, &[0; 26]));
    bad(encode::png(0, 3, &[]));
    bad(encode::jpeg(2, 2, &[0; 11], 80));
    bad(encode::wav(&[0.0], 0));
    bad(encode::film(&[], 16, 16, 8, None));
    bad(encode::film(&[&[0; 16 * 17 * 3]], 16, 17, 8, None));
    bad(encode::film(&[&[0; 16 * 16 * 3]], 16, 16, 0, None));
    bad(encode::film(
        &[&[0; 16 * 16 * 3]],
        16,
        16,
        8,
        Some((&[0.5], 0)),
    ));
}

#[test]
fn names_by_content() {
    assert_eq!(media::content_hash(b""), "af1349b9f5f9a1a6a0404dea36dcc949");
    assert_ne!(media::content_hash(b"a"), media::content_hash(b"b"));
}

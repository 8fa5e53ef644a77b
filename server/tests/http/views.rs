//! Long sounds as the page draws them: a small overview, tiles that agree with the samples, sentences for all else.

use std::path::Path;
use std::time::Instant;

use media::view::{BANDS, HEADER_BYTES, Shape};
use reqwest::StatusCode;
use server::config::Limits;
use tempfile::{TempDir, tempdir};

use crate::house::{House, config, refused};

/// Puts a file into the store as an upload would; its hash.
fn keep(data: &Path, bytes: &[u8]) -> String {
    let blobs = server::blobs::Blobs::open(data).expect("a store");
    blobs.put(bytes).expect("stored")
}

async fn house_for(data: &TempDir, max_secs: f64) -> House {
    let mut limits = Limits::default();
    limits.media.max_secs = max_secs;
    House::with(config(data.path().to_owned()), limits).await
}

async fn bytes(house: &House, path: &str) -> Vec<u8> {
    let response = house.get(path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let cached = response.headers()["cache-control"].to_str().unwrap();
    assert!(cached.contains("immutable"), "{cached}");
    response.bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hours_of_sound_show_after_fifty_kilobytes_and_their_tiles_agree_with_the_samples() {
    let data = tempdir().unwrap();
    let rate_hz = 1_000u32;
    let count = 2 * 3_600 * rate_hz as usize;
    // A tone that swells every ten minutes, and one click.
    let click = 5_000_000;
    let samples: Vec<f32> = (0..count)
        .map(|k| {
            let swell = (k % 600_000) as f32 / 600_000.0;
            let tone = if k % 8 < 4 { 0.5 } else { -0.5 };
            if k == click { -1.0 } else { tone * swell }
        })
        .collect();
    let hash = keep(
        data.path(),
        &media::encode::wav(&samples, rate_hz).expect("a WAV"),
    );
    let house = house_for(&data, 7_200.0).await;
    let begun = Instant::now();
    let overview = bytes(&house, &format!("/media/{hash}/v1/peaks")).await;
    println!(
        "overview of 2 h at {rate_hz} Hz: {} bytes after {:.2} s",
        overview.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(overview.len() <= 50_000, "{}", overview.len());
    let shape = Shape::read(&overview).expect("a header");
    // The page has a reader of its own: this crate's would bring every decoder into the browser.
    let read = app::scope::Shape::read(&overview).expect("the page reads it");
    assert_eq!(app::scope::HEADER_BYTES, HEADER_BYTES);
    assert_eq!(read.levels(), shape.levels());
    assert_eq!(
        (read.column_bytes, read.tile_columns, read.rate_hz),
        (shape.column_bytes, shape.tile_columns, shape.rate_hz)
    );
    assert_eq!((read.samples, read.top), (shape.samples, shape.top));
    assert_eq!((shape.rate_hz, shape.samples), (rate_hz, count as u64));
    assert_eq!(shape.top, 1.0);
    let levels = shape.levels();
    assert!(overview.len() > HEADER_BYTES + 2 * 1_000, "it has detail");

    // The page reads the same header.
    let read = app::scope::Shape::read(&overview).expect("a header for the page");
    assert_eq!(read.levels().len(), levels.len());

    for (level, tile) in [(0, 0), (0, 77), (1, 3), (levels.len() - 1, 0)] {
        let path = format!("/media/{hash}/v1/peaks/{level}/{tile}");
        let found = bytes(&house, &path).await;
        let wide = shape.column_samples as usize * 4usize.pow(level as u32);
        assert!(found.len() <= 2 * usize::from(shape.tile_columns));
        for (k, pair) in found.chunks_exact(2).enumerate() {
            let first = (tile as usize * usize::from(shape.tile_columns) + k) * wide;
            let own = &samples[first..(first + wide).min(count)];
            // A WAV has 16 bits: within half a level and that.
            let near = |byte: u8, value: f32| (f32::from(byte as i8) - value * 127.0).abs() <= 0.51;
            let low = own.iter().copied().fold(f32::INFINITY, f32::min);
            let high = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(
                near(pair[0], low) && near(pair[1], high),
                "{path}: column {k}"
            );
        }
    }
    let of_click = click as u64 / u64::from(shape.column_samples);
    let tile = bytes(
        &house,
        &format!("/media/{hash}/v1/peaks/0/{}", of_click / 4_096),
    )
    .await;
    assert_eq!(tile[(of_click % 4_096) as usize * 2] as i8, -127);
    for beyond in [
        "peaks/0/999999",
        "peaks/99/0",
        "spectrum/0/999999",
        "tea",
        "tea/0/0",
    ] {
        let answer = house.get(&format!("/media/{hash}/v1/{beyond}")).await;
        refused(answer, StatusCode::NOT_FOUND, "unknown_view").await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spectrum_comes_in_pictures_and_goes_with_its_file() {
    let data = tempdir().unwrap();
    let tone = |k: usize| (k as f32 * std::f32::consts::TAU * 1_000.0 / 8_000.0).sin();
    let samples: Vec<f32> = (0..8_000 * 30)
        .map(|k| if k < 8_000 * 15 { 0.0 } else { 0.5 * tone(k) })
        .collect();
    let hash = keep(
        data.path(),
        &media::encode::wav(&samples, 8_000).expect("a WAV"),
    );
    let house = house_for(&data, 60.0).await;
    let head = bytes(&house, &format!("/media/{hash}/v1/spectrum")).await;
    assert_eq!(head.len(), HEADER_BYTES);
    let shape = Shape::read(&head).expect("a header");
    assert_eq!(usize::from(shape.column_bytes), BANDS);
    let coarsest = shape.levels().len() - 1;
    let png = bytes(&house, &format!("/media/{hash}/v1/spectrum/{coarsest}/0")).await;
    assert!(png.len() <= 50_000, "{}", png.len());
    let picture = media::decode_image(&png, &media::Limits::default()).expect("a PNG");
    let columns = *shape.levels().last().unwrap();
    assert_eq!(
        (u64::from(picture.width), picture.height as usize),
        (columns, BANDS)
    );

    // Many at once, before anything is there: one is made, all are served.
    let paths: Vec<String> = (0..6)
        .map(|tile| format!("/media/{hash}/v1/spectrum/0/{tile}"))
        .collect();
    let all = futures_util::future::join_all(paths.iter().map(|path| bytes(&house, path))).await;
    assert!(all.iter().all(|png| png.starts_with(b"\x89PNG")));
    let folder = data.path().join("media").join(&hash[..2]);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        3,
        "file, peaks, spectrum"
    );
    let blobs = server::blobs::Blobs::open(data.path()).unwrap();
    blobs.remove(&hash).unwrap();
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        0,
        "nothing stays"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_sound_says_so_every_time() {
    let data = tempdir().unwrap();
    let png = media::encode::png(2, 2, &[7; 12]).expect("a PNG");
    let wav = media::encode::wav(&[0.5; 8_000 * 3], 8_000).expect("a WAV");
    let mut broken = wav.clone();
    broken.truncate(wav.len() / 2);
    let hashes = [
        (keep(data.path(), &png), "picture"),
        (keep(data.path(), &broken), "cut off"),
        (
            keep(data.path(), b"no sound at all, but some words"),
            "unknown",
        ),
        (keep(data.path(), &wav), "seconds"),
    ];
    let house = house_for(&data, 2.0).await;
    for (hash, word) in &hashes {
        for view in ["peaks", "spectrum", "peaks/0/0", "peaks"] {
            let answer = house.get(&format!("/media/{hash}/v1/{view}")).await;
            let message = refused(answer, StatusCode::UNPROCESSABLE_ENTITY, "no_view").await;
            assert!(message.contains(word), "{message}");
        }
    }
    for hash in ["0123456789abcdef0123456789abcdef", "..%2f..%2fx", "x"] {
        let answer = house.get(&format!("/media/{hash}/v1/peaks")).await;
        refused(answer, StatusCode::NOT_FOUND, "unknown_media").await;
    }
    house.close().await;
}

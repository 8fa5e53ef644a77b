//! Small media, made here.

use std::sync::Arc;

use engine::MediaItem;

pub fn file(name: &str, bytes: Vec<u8>) -> MediaItem {
    MediaItem {
        name: name.to_owned(),
        hash: media::content_hash(&bytes),
        bytes: Arc::from(bytes),
    }
}

pub fn picture() -> MediaItem {
    let rgb: Vec<u8> = (0..90 * 60 * 3).map(|i| (i * 7 % 251) as u8).collect();
    file("a.png", media::encode::png(90, 60, &rgb).expect("a PNG"))
}

/// Two seconds.
pub fn sound() -> MediaItem {
    let samples: Vec<f32> = (0..32_000).map(|i| (i as f32 * 0.07).sin() * 0.5).collect();
    file(
        "b.wav",
        media::encode::wav(&samples, 16_000).expect("a WAV"),
    )
}

/// Three seconds, with sound.
pub fn film() -> MediaItem {
    let frame = |k: u32| -> Vec<u8> {
        (0..64 * 48 * 3)
            .map(|i: u32| ((i + k * 40) % 256) as u8)
            .collect()
    };
    let frames: Vec<Vec<u8>> = (0..24).map(frame).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let samples: Vec<f32> = (0..48_000).map(|i| (i as f32 * 0.05).sin() * 0.4).collect();
    let film = media::encode::film(&frames, 64, 48, 8, Some((&samples, 16_000)));
    file("c.mp4", film.expect("a film"))
}

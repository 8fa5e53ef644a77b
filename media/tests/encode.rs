//! The encoders: what they write is what other programs and our own decoders read.

use media::encode;

/// A moving square on a tinted ground, and a tone.
fn frames(count: usize, width: usize, height: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| {
            let mut rgb = Vec::with_capacity(width * height * 3);
            for y in 0..height {
                for x in 0..width {
                    let inside = x / 16 == index % (width / 16) && y / 16 == 2;
                    rgb.extend_from_slice(if inside {
                        &[220, 40, 30]
                    } else {
                        &[40, 90, 200]
                    });
                }
            }
            rgb
        })
        .collect()
}

fn tone(secs: f64, rate_hz: u32) -> Vec<f32> {
    (0..(secs * f64::from(rate_hz)) as usize)
        .map(|i| (i as f32 * 0.2).sin() * 0.4)
        .collect()
}

#[test]
fn film_is_deterministic_and_starts_with_its_index() {
    let frames = frames(12, 112, 112);
    let views: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let sound = tone(1.5, 16_000);
    let first = encode::film(&views, 112, 112, 8, Some((&sound, 16_000))).expect("a film");
    assert_eq!(
        first,
        encode::film(&views, 112, 112, 8, Some((&sound, 16_000))).expect("a film")
    );
    let at = |name: &[u8]| first.windows(4).position(|w| w == name).expect("a box");
    assert!(at(b"moov") < at(b"mdat"));
    if let Ok(dir) = std::env::var("MEDIA_KEEP") {
        std::fs::write(format!("{dir}/film.mp4"), &first).expect("kept");
    }
}

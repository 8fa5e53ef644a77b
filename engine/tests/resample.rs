//! The resampler against soxr's "HQ", as `fixtures/resample/make.py` recorded it.

use std::path::Path;

use engine::inspect::resample;
use safetensors::SafeTensors;

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = tensors.tensor(name).expect("recorded");
    view.data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn agrees_with_soxr() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/resample/soxr_hq.safetensors");
    let bytes = std::fs::read(path).expect("the fixture");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    // Where the rates share no small factor soxr appends a stage that bends the top of the pass band by up to 0.3 %.
    for (rate, bound) in [
        (8_000, 1e-4),
        (24_000, 1e-4),
        (48_000, 1e-4),
        (22_050, 1e-3),
        (44_100, 1e-3),
    ] {
        let theirs = floats(&tensors, &format!("out.{rate}"));
        let own = resample(&floats(&tensors, &format!("in.{rate}")), rate, 16_000);
        assert!(
            own.len() - theirs.len() <= 1,
            "{rate}: {} {}",
            own.len(),
            theirs.len()
        );
        let worst = own
            .iter()
            .zip(&theirs)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(worst < bound, "{rate}: {worst}");
        assert!(own[theirs.len()..].iter().all(|&v| v == 0.0), "{rate}");
    }
}

#[test]
fn odd_rates_use_the_interpolated_table() {
    // A tone far below both limits comes out as the tone.
    let tone = |rate: u32, count: usize| -> Vec<f32> {
        (0..count)
            .map(|i| (std::f64::consts::TAU * 440.0 * i as f64 / f64::from(rate)).sin() as f32)
            .collect()
    };
    let own = resample(&tone(44_099, 22_050), 44_099, 16_000);
    let want = tone(16_000, own.len());
    let inner = 200..own.len() - 200;
    let worst = inner.map(|i| (own[i] - want[i]).abs()).fold(0f32, f32::max);
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn nothing_in_gives_nothing_out() {
    assert!(resample(&[], 44_100, 16_000).is_empty());
    assert_eq!(resample(&[0.5, -0.5], 16_000, 16_000), [0.5, -0.5]);
    assert_eq!(resample(&[1.0], 48_000, 16_000).len(), 1);
}

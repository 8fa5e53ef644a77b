//! Where somebody speaks.
//! In: mono samples. Out: stretches of voice in seconds, with hysteresis, short gaps closed and short stretches dropped.

use earshot::Detector;

use crate::preprocess::resample::resample;

const RATE_HZ: u32 = 16_000;
/// Samples of one frame of the detector.
const FRAME: usize = 256;
const FRAME_SECS: f64 = FRAME as f64 / RATE_HZ as f64;
/// A stretch begins where the detector is this sure, and ends where it is less sure than that. It is up to 0.59 sure of a steady
/// tone.
const BEGIN: f32 = 0.6;
const END: f32 = 0.35;
/// A shorter pause does not end a stretch.
const GAP_SECS: f64 = 0.5;
/// A shorter stretch is a click, not a word.
const MIN_SECS: f64 = 0.25;
/// A word begins and ends softly.
const PAD_SECS: f64 = 0.1;

pub(super) fn stretches_of_voice(samples: &[f32], rate_hz: u32) -> Vec<(f64, f64)> {
    let samples = resample(samples, rate_hz, RATE_HZ);
    let mut detector = Detector::default_boxed();
    let mut frame = [0f32; FRAME];
    let scores: Vec<f32> = samples
        .chunks(FRAME)
        .map(|chunk| {
            frame[..chunk.len()].copy_from_slice(chunk);
            frame[chunk.len()..].fill(0.0);
            detector.predict_f32(&frame)
        })
        .collect();
    stretches(&scores, samples.len() as f64 / f64::from(RATE_HZ))
}

/// Scores per frame -> stretches.
fn stretches(scores: &[f32], duration_secs: f64) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::new();
    let mut begun = None;
    for (index, score) in scores.iter().chain(&[0.0]).enumerate() {
        let now = index as f64 * FRAME_SECS;
        match begun {
            None if *score >= BEGIN => begun = Some(now),
            Some(start) if *score < END => {
                begun = None;
                match found.last_mut() {
                    Some(last) if start - last.1 < GAP_SECS => last.1 = now,
                    _ => found.push((start, now)),
                }
            }
            _ => {}
        }
    }
    found.retain(|(start, end)| end - start >= MIN_SECS);
    for (start, end) in &mut found {
        *start = (*start - PAD_SECS).max(0.0);
        *end = (*end + PAD_SECS).min(duration_secs);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(parts: &[(usize, f32)]) -> Vec<f32> {
        parts
            .iter()
            .flat_map(|&(count, score)| vec![score; count])
            .collect()
    }

    #[test]
    fn stretches_have_hysteresis_length_and_closed_gaps() {
        // 100 frames are 1.6 s.
        let found = stretches(
            &scores(&[(100, 0.1), (50, 0.9), (20, 0.4), (50, 0.9), (100, 0.1)]),
            5.12,
        );
        assert_eq!(
            found.len(),
            1,
            "a dip above the lower threshold does not end it"
        );
        assert!(
            (found[0].0 - 1.5).abs() < 1e-9 && (found[0].1 - 3.62).abs() < 1e-9,
            "{found:?}"
        );
        let found = stretches(
            &scores(&[(50, 0.9), (20, 0.1), (50, 0.9), (60, 0.1), (50, 0.9)]),
            3.68,
        );
        assert_eq!(
            found.len(),
            2,
            "a gap of 0.3 s closes, one of 1 s does not: {found:?}"
        );
        assert_eq!(found[1].1, 3.68, "nothing reaches over the end");
        assert_eq!(
            stretches(&scores(&[(50, 0.1), (5, 0.9), (50, 0.1)]), 1.7),
            []
        );
        assert_eq!(stretches(&[], 0.0), []);
    }

    #[test]
    fn silence_and_a_tone_are_no_voice() {
        assert_eq!(stretches_of_voice(&vec![0.0; 32_000], 16_000), []);
        let tone: Vec<f32> = (0..32_000).map(|i| (i as f32 * 0.4).sin() * 0.3).collect();
        assert_eq!(stretches_of_voice(&tone, 16_000), []);
        assert_eq!(stretches_of_voice(&[], 16_000), []);
    }
}

//! Changes the pace and the pitch of a spoken word independently of each other.

/// Length of one window, 25 ms at 16 kHz: two or more periods of any voice.
const WINDOW: usize = 400;
/// Windows overlap by half.
const HOP: usize = WINDOW / 2;
/// How far a window may move to join the one before in phase: half a period of a deep voice.
const REACH: usize = 96;

/// `clip` spoken `speed` times as fast and `pitch` times as high; both must be positive.
pub(super) fn paced(clip: &[f32], speed: f64, pitch: f64) -> Vec<f32> {
    // Reading faster raises the pitch and shortens; what is left of the pace comes from moving windows.
    resampled(&moved(clip, speed / pitch), pitch)
}

/// Waveform-similarity overlap-add: `tempo` times as fast at the same pitch.
fn moved(clip: &[f32], tempo: f64) -> Vec<f32> {
    if clip.len() < 2 * WINDOW || (tempo - 1.0).abs() < 0.01 {
        return clip.to_vec();
    }
    let length = (clip.len() as f64 / tempo) as usize;
    let at = |k: usize| clip.get(k).copied().unwrap_or(0.0);
    let mut out = vec![0.0_f32; length + WINDOW];
    out[..HOP].copy_from_slice(&clip[..HOP]);
    // The first window is written from its second half on by the loop below.
    let mut previous = 0;
    let mut target = 0;
    while target < length {
        let ideal = (target as f64 * tempo) as usize;
        // What would follow naturally on the window before; the best match to it near the ideal place continues it.
        let natural = previous + HOP;
        let source = if target == 0 {
            0
        } else {
            let from = ideal.saturating_sub(REACH);
            let to = (ideal + REACH).min(clip.len().saturating_sub(1)).max(from);
            best_match(clip, natural, from, to)
        };
        for k in 0..WINDOW {
            // Triangles that overlap by half sum to one.
            let weight = if k < HOP {
                k as f32 / HOP as f32
            } else {
                (WINDOW - k) as f32 / HOP as f32
            };
            let weight = if target == 0 && k < HOP { 0.0 } else { weight };
            if let Some(o) = out.get_mut(target + k) {
                *o += weight * at(source + k);
            }
        }
        previous = source;
        target += HOP;
    }
    out.truncate(length);
    // The last samples of the input may have been passed over: fade out so that no click remains.
    let fade = HOP.min(length);
    for k in 0..fade {
        out[length - 1 - k] *= ((k + 1) as f32 / fade as f32).min(1.0);
    }
    out
}

/// The start in `from..=to` whose window is most like the one at `natural`.
fn best_match(clip: &[f32], natural: usize, from: usize, to: usize) -> usize {
    let tail = |start: usize| clip.get(start..).unwrap_or(&[]);
    let wanted = tail(natural);
    let mut best = (f64::NEG_INFINITY, from);
    for start in from..=to {
        let here = tail(start);
        let (mut dot, mut power) = (0.0_f64, 1e-9_f64);
        // Every second sample is enough to find the phase of a voice.
        for (a, b) in wanted.iter().zip(here).take(HOP).step_by(2) {
            dot += f64::from(a * b);
            power += f64::from(b * b);
        }
        let score = dot / libm::sqrt(power);
        if score > best.0 {
            best = (score, start);
        }
    }
    best.1
}

/// Reads `factor` times as fast, by cubic interpolation.
fn resampled(clip: &[f32], factor: f64) -> Vec<f32> {
    if (factor - 1.0).abs() < 1e-6 {
        return clip.to_vec();
    }
    let at = |k: isize| {
        usize::try_from(k)
            .ok()
            .and_then(|k| clip.get(k))
            .copied()
            .unwrap_or(0.0)
    };
    (0..(clip.len() as f64 / factor) as usize)
        .map(|k| {
            let place = k as f64 * factor;
            let whole = place as isize;
            let t = (place - whole as f64) as f32;
            let (a, b, c, d) = (at(whole - 1), at(whole), at(whole + 1), at(whole + 2));
            // Catmull-Rom.
            b + 0.5
                * t
                * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
        })
        .collect()
}

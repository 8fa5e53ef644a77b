//! The parts that sounds are made of: oscillators, resonant filters, decays, hits and fades.
//!
//! All arithmetic is f64 with `libm` for the transcendental functions, so that a seed sounds the same on every platform.

use core::f64::consts::TAU;

use super::SAMPLE_RATE_HZ;
use crate::rng::Rng;

/// Samples per second, as a float.
pub(super) const RATE: f64 = SAMPLE_RATE_HZ as f64;

/// Nothing is synthesised above this: a margin below half the sample rate.
const HIGHEST_HZ: f64 = 7_400.0;

/// How many samples `secs` last; 0 for anything negative or not a number.
pub(super) fn samples(secs: f64) -> usize {
    // Float-to-integer casts saturate, and NaN gives 0.
    libm::round(secs * RATE) as usize
}

/// A running phase, counted in turns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Phase(f64);

impl Phase {
    /// A phase that starts anywhere in its turn.
    pub(super) fn random(rng: &mut Rng) -> Self {
        Self(rng.unit())
    }

    /// Moves on by one sample at `hz` and returns the phase in turns, in `0.0..1.0`.
    pub(super) fn step(&mut self, hz: f64) -> f64 {
        self.0 += hz / RATE;
        self.0 -= libm::floor(self.0);
        self.0
    }

    /// Moves on by one sample at `hz` and returns the sine there.
    pub(super) fn sine(&mut self, hz: f64) -> f64 {
        libm::sin(TAU * self.step(hz))
    }

    /// Moves on by one sample at `hz` and sums harmonics `1..`, weighted; those too high for the sample rate are left out.
    pub(super) fn harmonics(&mut self, hz: f64, weights: &[f64]) -> f64 {
        let turns = self.step(hz);
        // sin(k x) by the recurrence sin((k+1)x) = 2 cos(x) sin(kx) - sin((k-1)x): two calls for any number of harmonics.
        let (mut before, mut now) = (0.0, libm::sin(TAU * turns));
        let twice_cos = 2.0 * libm::cos(TAU * turns);
        let mut sum = 0.0;
        for (k, weight) in weights.iter().enumerate() {
            if (k + 1) as f64 * hz > HIGHEST_HZ {
                break;
            }
            sum += weight * now;
            (before, now) = (now, twice_cos * now - before);
        }
        sum
    }
}

/// A second-order filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    gains: [f64; 5],
    past: [f64; 2],
}

impl Filter {
    /// Lets a band around `hz` pass; the higher `q`, the narrower. Gain 1 at the centre.
    pub(super) fn band(hz: f64, q: f64) -> Self {
        let (cos, alpha) = Self::angle(hz, q);
        Self::new([alpha, 0.0, -alpha], cos, alpha)
    }

    /// Lets pass what lies below `hz`.
    pub(super) fn low(hz: f64) -> Self {
        let (cos, alpha) = Self::angle(hz, 0.707);
        Self::new(
            [(1.0 - cos) / 2.0, 1.0 - cos, (1.0 - cos) / 2.0],
            cos,
            alpha,
        )
    }

    /// Lets pass what lies above `hz`.
    pub(super) fn high(hz: f64) -> Self {
        let (cos, alpha) = Self::angle(hz, 0.707);
        Self::new(
            [(1.0 + cos) / 2.0, -(1.0 + cos), (1.0 + cos) / 2.0],
            cos,
            alpha,
        )
    }

    fn angle(hz: f64, q: f64) -> (f64, f64) {
        let w = TAU * hz.clamp(1.0, HIGHEST_HZ) / RATE;
        (libm::cos(w), libm::sin(w) / (2.0 * q))
    }

    fn new(b: [f64; 3], cos: f64, alpha: f64) -> Self {
        let a0 = 1.0 + alpha;
        Self {
            gains: [
                b[0] / a0,
                b[1] / a0,
                b[2] / a0,
                -2.0 * cos / a0,
                (1.0 - alpha) / a0,
            ],
            past: [0.0; 2],
        }
    }

    /// Filters one sample.
    pub(super) fn run(&mut self, x: f64) -> f64 {
        let [b0, b1, b2, a1, a2] = self.gains;
        let y = b0 * x + self.past[0];
        self.past = [b1 * x - a1 * y + self.past[1], b2 * x - a2 * y];
        y
    }
}

/// White noise in `-1.0..1.0`.
pub(super) fn noise(rng: &mut Rng) -> f64 {
    rng.range_f64(-1.0, 1.0)
}

/// An envelope that falls to 1/e every `tau_secs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decay {
    level: f64,
    factor: f64,
}

impl Decay {
    /// Starts at 1.
    pub(super) fn new(tau_secs: f64) -> Self {
        Self {
            level: 1.0,
            factor: libm::exp(-1.0 / (tau_secs.max(1e-4) * RATE)),
        }
    }

    /// The level now; then one sample passes.
    pub(super) fn step(&mut self) -> f64 {
        let level = self.level;
        self.level *= self.factor;
        level
    }
}

/// Adds `hit` to `out` from sample `at` on; what lies past the end is lost.
pub(super) fn mix(out: &mut [f64], at: usize, hit: &[f64]) {
    if let Some(rest) = out.get_mut(at..) {
        for (o, h) in rest.iter_mut().zip(hit) {
            *o += h;
        }
    }
}

/// One stretch of a rhythm, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beat {
    /// Its first sample.
    pub(super) at: usize,
    /// How many samples until the next one.
    pub(super) length: usize,
}

/// Divides `total` samples into beats of about `step_secs`, so that the last one ends with the sound; each but the first
/// starts up to `jitter` (a fraction of a step) early or late.
pub(super) fn beats(total: usize, step_secs: f64, jitter: f64, rng: &mut Rng) -> Vec<Beat> {
    let count =
        (libm::round(total as f64 / RATE / step_secs.max(1e-3)) as usize).clamp(1, total.max(1));
    let step = total as f64 / count as f64;
    let mut starts: Vec<usize> = (0..count)
        .map(|k| {
            let shift = if k == 0 {
                0.0
            } else {
                rng.range_f64(-jitter, jitter)
            };
            ((k as f64 + shift) * step) as usize
        })
        .collect();
    starts.sort_unstable();
    (0..count)
        .map(|k| {
            let end = starts.get(k + 1).copied().unwrap_or(total);
            Beat {
                at: starts[k],
                length: end.saturating_sub(starts[k]),
            }
        })
        .collect()
}

/// Raises and lowers the first and last samples along half a cosine.
pub(super) fn fade(sound: &mut [f64], in_secs: f64, out_secs: f64) {
    let half = sound.len() / 2;
    let rise = samples(in_secs).min(half);
    let fall = samples(out_secs).min(half);
    let curve =
        |k: usize, of: usize| 0.5 - 0.5 * libm::cos(TAU / 2.0 * (k as f64 + 0.5) / of as f64);
    for (k, x) in sound.iter_mut().take(rise).enumerate() {
        *x *= curve(k, rise);
    }
    for (k, x) in sound.iter_mut().rev().take(fall).enumerate() {
        *x *= curve(k, fall);
    }
}

/// Scales to the given peak; silence stays silence.
pub(super) fn normalised(sound: &[f64], peak: f64) -> Vec<f32> {
    let highest = sound.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let gain = if highest > 1e-12 { peak / highest } else { 0.0 };
    sound.iter().map(|x| (x * gain) as f32).collect()
}

//! Resampling of sound by a zero-phase windowed sinc.
//! In: mono samples at any rate. Out: `ceil(n * to / from)` samples at the wanted rate.
//!
//! The kernel is that of soxr's "HQ" (measured from its impulse response), which the reference stack uses.

/// Half the kernel's length, in samples of the lower rate.
const HALF_WIDTH: f64 = 92.17;
/// Where the kernel has fallen by 6 dB, relative to the lower Nyquist frequency; from 1 on it stops everything.
const CUTOFF: f64 = 0.95687;
/// Shape of the Kaiser window: 116 dB of attenuation.
const BETA: f64 = 11.82;
/// Most weights in a table of exact phases; odd rate pairs share an interpolated one.
const MAX_WEIGHTS: usize = 1 << 20;
/// Table steps per sample of the lower rate, where phases are interpolated.
const FINE_STEPS: f64 = 2_048.0;

/// Resamples `samples` from `from_hz` to `to_hz`. As in the reference stack the length is rounded up, but a last sample
/// whose time is nearer to the end than to its own place stays silent.
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Vec<f32> {
    if from_hz == to_hz || samples.is_empty() || from_hz == 0 || to_hz == 0 {
        return samples.to_vec();
    }
    let divisor = gcd(from_hz, to_hz);
    let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
    let kernel = Kernel::new((f64::from(to_hz) / f64::from(from_hz)).min(1.0));
    let end = samples.len() as u64 * up as u64;
    let length = end.div_ceil(down as u64) as usize;
    let mut out = if up * kernel.half_len <= MAX_WEIGHTS {
        exact_phases(samples, &kernel, up, down, length)
    } else {
        interpolated_phases(samples, &kernel, up, down, length)
    };
    let rounded = ((2 * end + down as u64) / (2 * down as u64)) as usize;
    out[rounded.min(length)..].fill(0.0);
    out
}

/// Every phase's taps are computed once.
fn exact_phases(
    samples: &[f32],
    kernel: &Kernel,
    up: usize,
    down: usize,
    length: usize,
) -> Vec<f32> {
    let phases: Vec<Vec<f64>> = (0..up)
        .map(|phase| kernel.taps(phase as f64 / up as f64))
        .collect();
    let at = |index: usize| index as u64 * down as u64;
    (0..length)
        .map(|index| {
            let (centre, phase) = (at(index) / up as u64, at(index) % up as u64);
            convolve(
                samples,
                centre as usize,
                kernel.half_len,
                &phases[phase as usize],
            )
        })
        .collect()
}

/// Taps of a fine table; an output between two steps is interpolated.
fn interpolated_phases(
    samples: &[f32],
    kernel: &Kernel,
    up: usize,
    down: usize,
    length: usize,
) -> Vec<f32> {
    let steps = (FINE_STEPS * HALF_WIDTH / kernel.half_width).ceil() as usize;
    let table: Vec<Vec<f64>> = (0..=steps)
        .map(|step| kernel.taps(step as f64 / steps as f64))
        .collect();
    (0..length)
        .map(|index| {
            let at = index as u64 * down as u64;
            let position = (at % up as u64) as f64 / up as f64 * steps as f64;
            let step = (position as usize).min(steps - 1);
            let part = (position - step as f64) as f32;
            let centre = (at / up as u64) as usize;
            let value = |step: usize| convolve(samples, centre, kernel.half_len, &table[step]);
            value(step) * (1.0 - part) + value(step + 1) * part
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `taps[k]` weighs sample `centre - half_len + 1 + k`; what lies outside is silence.
fn convolve(samples: &[f32], centre: usize, half_len: usize, taps: &[f64]) -> f32 {
    let first = centre as isize + 1 - half_len as isize;
    let skip = first.min(0).unsigned_abs();
    let start = first.max(0) as usize;
    if skip >= taps.len() || start >= samples.len() {
        return 0.0;
    }
    taps[skip..]
        .iter()
        .zip(&samples[start..])
        .map(|(tap, &v)| tap * f64::from(v))
        .sum::<f64>() as f32
}

/// A Kaiser-windowed sinc.
struct Kernel {
    /// Cut-off relative to the input's Nyquist frequency.
    cutoff: f64,
    /// Input samples on either side.
    half_width: f64,
    half_len: usize,
}

impl Kernel {
    /// `ratio`: the lower rate over the input's rate.
    fn new(ratio: f64) -> Self {
        let half_width = HALF_WIDTH / ratio;
        Self {
            cutoff: ratio * CUTOFF,
            half_width,
            half_len: half_width.ceil() as usize,
        }
    }

    /// Weights for an output that lies `fraction` of a sample behind its centre; their sum is 1.
    fn taps(&self, fraction: f64) -> Vec<f64> {
        let mut taps: Vec<f64> = (0..2 * self.half_len)
            .map(|k| self.at(k as f64 + 1.0 - self.half_len as f64 - fraction))
            .collect();
        let sum: f64 = taps.iter().sum();
        for tap in &mut taps {
            *tap /= sum;
        }
        taps
    }

    fn at(&self, x: f64) -> f64 {
        let edge = x / self.half_width;
        if edge.abs() >= 1.0 {
            return 0.0;
        }
        let phase = std::f64::consts::PI * x * self.cutoff;
        let sinc = if phase == 0.0 {
            1.0
        } else {
            phase.sin() / phase
        };
        sinc * bessel_i0(BETA * (1.0 - edge * edge).sqrt())
    }
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut k = 1.0;
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

//! Resampling of sound by a zero-phase windowed sinc.
//! In: mono samples at any rate. Out: `ceil(n * to / from)` samples at the wanted rate.
//!
//! The pass band, the stop band and the attenuation are those of soxr's "HQ", which the reference stack uses.

/// Where the pass band ends, relative to the lower Nyquist frequency; the stop band begins at 1.
const PASS_END: f64 = 0.9136;
/// Stop-band attenuation, dB (20 bits).
const ATTENUATION_DB: f64 = 120.4;
/// Most kernel phases that are tabulated exactly; odd rate pairs share an interpolated table.
const MAX_PHASES: usize = 1_280;
/// Table steps per input sample where phases are interpolated.
const FINE_STEPS: usize = 2_048;

/// Resamples `samples` from `from_hz` to `to_hz`.
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Vec<f32> {
    if from_hz == to_hz || samples.is_empty() || from_hz == 0 || to_hz == 0 {
        return samples.to_vec();
    }
    let divisor = gcd(from_hz, to_hz);
    let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
    let kernel = Kernel::new((f64::from(to_hz) / f64::from(from_hz)).min(1.0));
    let length = (samples.len() as u64 * up as u64).div_ceil(down as u64) as usize;
    if up <= MAX_PHASES {
        let phases: Vec<Vec<f64>> =
            (0..up).map(|phase| kernel.taps(phase as f64 / up as f64)).collect();
        return (0..length)
            .map(|index| {
                let at = index * down;
                convolve(samples, at / up, kernel.half_len, &phases[at % up])
            })
            .collect();
    }
    let table: Vec<Vec<f64>> =
        (0..=FINE_STEPS).map(|step| kernel.taps(step as f64 / FINE_STEPS as f64)).collect();
    (0..length)
        .map(|index| {
            let at = index as u64 * down as u64;
            let position = (at % up as u64) as f64 / up as f64 * FINE_STEPS as f64;
            let step = (position as usize).min(FINE_STEPS - 1);
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
    taps[skip..].iter().zip(&samples[start..]).map(|(tap, &v)| tap * f64::from(v)).sum::<f64>() as f32
}

/// A Kaiser-windowed sinc.
struct Kernel {
    /// Cut-off relative to the input's Nyquist frequency.
    cutoff: f64,
    /// Input samples on either side.
    half_width: f64,
    half_len: usize,
    beta: f64,
}

impl Kernel {
    /// `ratio`: the lower rate over the input's rate.
    fn new(ratio: f64) -> Self {
        let transition = std::f64::consts::PI * ratio * (1.0 - PASS_END);
        let half_width = (ATTENUATION_DB - 7.95) / (2.285 * transition) / 2.0;
        Self {
            cutoff: ratio * (1.0 + PASS_END) / 2.0,
            half_width,
            half_len: half_width.ceil() as usize,
            beta: 0.1102 * (ATTENUATION_DB - 8.7),
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
        let sinc = if phase == 0.0 { 1.0 } else { phase.sin() / phase };
        sinc * bessel_i0(self.beta * (1.0 - edge * edge).sqrt())
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

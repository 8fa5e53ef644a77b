//! Whisper-style log-mel spectra.
//! In: mono samples at the model's rate. Out: `[bins, frames]`, one frame per hop that holds sound.
//!
//! Reference: transformers 5.23.0 `WhisperFeatureExtractor` with padding to the full window.

use realfft::RealFftPlanner;

/// A log-mel spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Mel {
    /// Row-major `[bins, frames]`.
    pub values: Vec<f32>,
    /// Mel bands.
    pub bins: usize,
    /// Frames that hold sound.
    pub frames: usize,
}

/// Sizes of the spectrum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MelShape {
    pub(crate) bins: usize,
    pub(crate) fft: usize,
    pub(crate) hop: usize,
    pub(crate) rate: u32,
    /// Samples to which the sound is padded or cut.
    pub(crate) window: usize,
}

/// Log-mel of `samples`, as if padded with silence or cut to the window.
pub(crate) fn log_mel(samples: &[f32], shape: &MelShape) -> Mel {
    let samples = &samples[..samples.len().min(shape.window)];
    let frames = samples
        .len()
        .div_ceil(shape.hop)
        .min(shape.window / shape.hop);
    let filters = mel_filters(shape);
    let window: Vec<f64> = (0..shape.fft)
        .map(|i| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / shape.fft as f64).cos())
        .collect();
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(shape.fft);
    let mut input = transform.make_input_vec();
    let mut spectrum = transform.make_output_vec();
    let mut scratch = transform.make_scratch_vec();
    let mut values = vec![0f32; shape.bins * frames];
    // Where only the padding is left, every band sits at the floor below; the frames need not be computed.
    let mut loudest = if frames * shape.hop < shape.window {
        LOG_FLOOR
    } else {
        f32::NEG_INFINITY
    };
    for frame in 0..frames {
        let start = (frame * shape.hop) as isize - (shape.fft / 2) as isize;
        for (index, (slot, weight)) in input.iter_mut().zip(&window).enumerate() {
            *slot = weight * f64::from(reflected(samples, start + index as isize, shape.window));
        }
        // The plan fixes all three lengths, which is the only thing that can fail.
        if transform
            .process_with_scratch(&mut input, &mut spectrum, &mut scratch)
            .is_err()
        {
            break;
        }
        for (bin, filter) in filters.iter().enumerate() {
            let power: f64 = filter
                .weights
                .iter()
                .zip(&spectrum[filter.first..])
                .map(|(weight, value)| weight * value.norm_sqr())
                .sum();
            let log = power.max(1e-10).log10() as f32;
            loudest = loudest.max(log);
            values[bin * frames + frame] = log;
        }
    }
    for value in &mut values {
        *value = (value.max(loudest - 8.0) + 4.0) / 4.0;
    }
    Mel {
        values,
        bins: shape.bins,
        frames,
    }
}

/// log10 of the smallest power that counts.
const LOG_FLOOR: f32 = -10.0;

/// Sample `at` of the padded window, mirrored at both of its ends (without repeating the end).
fn reflected(samples: &[f32], at: isize, window: usize) -> f32 {
    let last = window as isize - 1;
    let at = if at < 0 { -at } else { at };
    let at = if at > last { 2 * last - at } else { at };
    usize::try_from(at)
        .ok()
        .and_then(|at| samples.get(at))
        .copied()
        .unwrap_or(0.0)
}

/// The non-zero stretch of one triangular filter.
struct Filter {
    first: usize,
    weights: Vec<f64>,
}

/// Slaney's mel scale and area normalisation, 0 to half the rate.
fn mel_filters(shape: &MelShape) -> Vec<Filter> {
    let bands = shape.fft / 2 + 1;
    let top = f64::from(shape.rate) / 2.0;
    let edges: Vec<f64> = (0..shape.bins + 2)
        .map(|i| mel_to_hertz(hertz_to_mel(top) * i as f64 / (shape.bins + 1) as f64))
        .collect();
    edges
        .windows(3)
        .map(|edge| {
            let all: Vec<f64> = (0..bands)
                .map(|band| {
                    let hertz = top * band as f64 / (bands - 1) as f64;
                    let rising = (hertz - edge[0]) / (edge[1] - edge[0]);
                    let falling = (edge[2] - hertz) / (edge[2] - edge[1]);
                    // The reference keeps its filters in single precision.
                    let weight = rising.min(falling).max(0.0) * 2.0 / (edge[2] - edge[0]);
                    f64::from(weight as f32)
                })
                .collect();
            let first = all.iter().position(|&w| w > 0.0).unwrap_or(0);
            let end = all
                .iter()
                .rposition(|&w| w > 0.0)
                .map_or(first, |last| last + 1);
            Filter {
                first,
                weights: all[first..end].to_vec(),
            }
        })
        .collect()
}

/// Linear below 1 kHz, logarithmic above.
fn hertz_to_mel(hertz: f64) -> f64 {
    if hertz < 1000.0 {
        3.0 * hertz / 200.0
    } else {
        15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4f64.ln()
    }
}

fn mel_to_hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        200.0 * mel / 3.0
    } else {
        1000.0 * (6.4f64.ln() / 27.0 * (mel - 15.0)).exp()
    }
}

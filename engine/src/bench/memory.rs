//! Peak memory of tracing one long sound with all three signals. Each length belongs in a process of its own.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use attribution::record::Settings;
use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::{BenchShape, failed, random};
use crate::{
    EngineError, Item, MediaItem, Model, ModelFiles, Precision, TraceOptions, TraceRequest,
};

/// Sound behind one token, in samples at 16 kHz: 40 ms.
const SAMPLES_PER_TOKEN: usize = 640;
const RATE_HZ: u32 = 16_000;

/// One length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// The whole prompt.
    pub prompt_tokens: usize,
    /// Of the process, from its start.
    pub peak_rss_bytes: u64,
    /// Traced.
    pub generated_tokens: usize,
    /// From the file to the record.
    pub secs: f64,
}

/// Most memory that this process has had in RAM; `None` where the system does not tell.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// Bytes a token, and bytes at no token: the least-squares line through the points.
pub fn fitted_slope(points: &[MemoryPoint]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let x = |point: &MemoryPoint| point.prompt_tokens as f64;
    let y = |point: &MemoryPoint| point.peak_rss_bytes as f64;
    let (mean_x, mean_y) = (
        points.iter().map(x).sum::<f64>() / count,
        points.iter().map(y).sum::<f64>() / count,
    );
    let spread: f64 = points.iter().map(|p| (x(p) - mean_x).powi(2)).sum();
    let joint: f64 = points
        .iter()
        .map(|p| (x(p) - mean_x) * (y(p) - mean_y))
        .sum();
    let slope = if spread > 0.0 { joint / spread } else { 0.0 };
    (slope, mean_y - slope * mean_x)
}

/// Traces a sound of about `audio_tokens` on random weights of the tiny shape and tells the peak.
pub fn measure_long_sound(
    audio_tokens: usize,
    answer_tokens: u32,
) -> Result<MemoryPoint, EngineError> {
    let model = tiny_model()?;
    let samples = audio_tokens * SAMPLES_PER_TOKEN;
    let item = MediaItem {
        name: "long.wav".to_owned(),
        hash: String::new(),
        bytes: Arc::from(wav(samples)),
    };
    let request = TraceRequest {
        prompt: "What is heard?".to_owned(),
        items: vec![Item::Audio(item)],
        options: TraceOptions {
            settings: Settings {
                audio_bin_secs: 10.0,
                audio_max_secs: Some((audio_tokens.div_ceil(25) + 1) as f64),
                ..Settings::default()
            },
            ..TraceOptions::at_most(answer_tokens)
        },
        ..TraceRequest::default()
    };
    let begin = Instant::now();
    let outcome = crate::pipeline::trace(&model, &request, &mut |_| ControlFlow::Continue(()))?;
    Ok(MemoryPoint {
        prompt_tokens: outcome.input_ids.len(),
        generated_tokens: outcome.generated_ids.len(),
        secs: begin.elapsed().as_secs_f64(),
        peak_rss_bytes: peak_rss_bytes().ok_or_else(|| {
            failed("this system does not tell a process's peak memory (/proc/self/status)")
        })?,
    })
}

/// The tiny shape with random weights.
fn tiny_model() -> Result<Model, EngineError> {
    let mut files: BTreeMap<String, &'static [u8]> = BTreeMap::new();
    let shape = BenchShape::Tiny;
    // As linked into a program: for as long as the process lives, which measures one length and ends.
    for (name, content) in random::files(shape) {
        files.insert(name.to_owned(), content.to_string().into_bytes().leak());
    }
    let mut weights = Vec::new();
    random::write_weights(shape, Precision::F32, &mut weights)
        .map_err(|error| failed(&error.to_string()))?;
    files.insert("model.safetensors".to_owned(), weights.leak());
    Model::load(&ModelFiles::Bytes(files), "random", &Device::Cpu)
}

/// A mono 16-bit WAV file of slow beats.
fn wav(samples: usize) -> Vec<u8> {
    let bytes = (samples * 2) as u32;
    let mut file = Vec::with_capacity(44 + samples * 2);
    file.extend(b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(RATE_HZ.to_le_bytes());
    file.extend((RATE_HZ * 2).to_le_bytes());
    file.extend(2u16.to_le_bytes());
    file.extend(16u16.to_le_bytes());
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    for i in 0..samples {
        let t = i as f32 / RATE_HZ as f32;
        let value = (t * 1_382.3).sin() * (0.5 + 0.5 * (t * 2.7).sin());
        file.extend(((value * 12_000.0) as i16).to_le_bytes());
    }
    file
}

//! Measurements of decoding, prefill and memory on models of random weights, made in memory: nothing is downloaded.
//! In: a shape or a checkpoint. Out: plain numbers; what is compared is measured in turn within one run.

mod bandwidth;
mod decode;
mod memory;
mod prefill;
mod random;
#[cfg(test)]
pub(crate) use random::builder as random_weights;
mod shapes;
mod together;

use serde::Serialize;

pub use bandwidth::Bandwidth;
pub use decode::{DecodeReport, DecodeSettings, ModeTimes};
pub use memory::{MemoryPoint, fitted_slope, measure_long_sound, peak_rss_bytes};
pub use prefill::PrefillReport;
pub use random::write_checkpoint;
pub use shapes::BenchShape;
pub use together::{TogetherReport, TogetherSettings};

use candle_core::{Device, Error as TensorError};
use serde_json::Value;

use crate::decoder::LanguageModel;
use crate::load::ModelFiles;
use crate::model::loading;
use crate::{EngineError, Precision};

/// A language model to measure.
#[derive(Debug)]
pub struct BenchModel {
    pub(crate) decoder: LanguageModel,
    /// Its shape's or directory's name.
    pub name: String,
    /// In which the weights are held.
    pub precision: Precision,
}

impl BenchModel {
    /// Random weights; the same for the same shape.
    pub fn random(
        shape: BenchShape,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let files = ModelFiles::Bytes(std::collections::BTreeMap::new());
        let (config, vb) = (shape.config(), random::builder(precision.dtype(), device));
        Ok(Self {
            decoder: (loading(&config)?.language_model)(&files, config, vb)?,
            name: shape.name().to_owned(),
            precision,
        })
    }

    /// The language model of a checkpoint; its towers and tokenizer are not read.
    pub fn from_dir(
        dir: std::path::PathBuf,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let name = dir.display().to_string();
        let files = ModelFiles::Dir(dir);
        let config: Value = files.json("config.json")?;
        let vb = files.weights(precision.dtype(), device)?;
        Ok(Self {
            decoder: (loading(&config)?.language_model)(&files, config, vb)?,
            name,
            precision,
        })
    }

    /// Ids of a prompt of `count` tokens, the same every time.
    pub fn prompt(&self, count: usize) -> Vec<u32> {
        let vocabulary = self.decoder.vocabulary() as u64;
        let mut state = 7;
        (0..count)
            .map(|_| (random::next(&mut state) % vocabulary) as u32)
            .collect()
    }
}

/// Of repeated measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// Middle; of an even number the lower one.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value; zeros of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self {
            min: at(0),
            median: at(last / 2),
            max: at(last),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} / {:.3} / {:.3}", self.min, self.median, self.max)
    }
}

/// Of a signal: what a run looks at, so that none is left out as unused.
fn first(signal: &[f32]) -> f32 {
    signal.first().copied().unwrap_or_default()
}

fn failed(message: &str) -> EngineError {
    TensorError::Msg(message.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_sorted_values() {
        let spread = Spread::of([3.0, 1.0, 2.0, 9.0]);
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 9.0));
    }

    #[test]
    fn a_tiny_model_is_measured_and_slopes_are_fitted() {
        let model = BenchModel::random(BenchShape::Tiny, Precision::Bf16, &Device::Cpu)
            .expect("random weights load");
        let settings = DecodeSettings {
            context: 40,
            tokens: 2,
            rounds: 2,
        };
        let report = model.decode(&settings).expect("decodes");
        assert!(report.attention_over_untraced.min > 0.0);
        assert!(report.untraced_secs_per_token.min > 0.0);
        let several = TogetherSettings {
            context: 40,
            generations: vec![3],
            tokens: 2,
            rounds: 1,
        };
        let together = model.together(&several).expect("decodes together");
        let counts: Vec<usize> = together.iter().map(|report| report.generations).collect();
        assert_eq!(counts, [1, 3], "one alone is what is compared with");
        assert!(together[1].over_one_alone.min > 0.0);
        let prefill = model.prefill(48, 2, 1).expect("prefills");
        assert!(prefill.tokens_per_sec.min > 0.0);
        let points = [(10, 120), (20, 220), (40, 420)].map(|(tokens, bytes)| MemoryPoint {
            prompt_tokens: tokens,
            peak_rss_bytes: bytes,
            generated_tokens: 0,
            secs: 0.0,
        });
        let (slope, offset) = fitted_slope(&points);
        assert!((slope - 10.0).abs() < 1e-9 && (offset - 20.0).abs() < 1e-6);
    }
}

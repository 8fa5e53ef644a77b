//! What a caller may choose for a trace: every option with its bounds, and what the engine makes of it.

use attribution::curation::{Competition, CurationConfig};
use attribution::record::{
    AudioUnits, ChunkSize, Decoding, Method, Settings, SignalKind, UnitScore,
};
use engine::{Precision, TraceOptions};
use serde::{Deserialize, Serialize};

use super::{SampleError, error};

/// Generated tokens where nothing is said.
const DEFAULT_NEW_TOKENS: u32 = 256;

/// What a caller may choose; what is absent takes the model's or the method's default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Model name; the first model when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Precision of the model: `f32`, `bf16` or `f16`; the server's choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Precision>,
    /// Upper bound of generated tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<u32>,
    /// The signal: `attmean`, `attraw`, `attgrads`, `attfocus`, `attrise` or `attvalue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<SignalKind>,
    /// `sum`, `max` or `mean`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_score: Option<UnitScore>,
    /// Whether the instruction may be cited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cite_prompt: Option<bool>,
    /// The paper's parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curation: Option<CurationConfig>,
    /// Which units compete: `all` (the paper's), `together` (the default) or `apart`. Goes before `curation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub competition: Option<Competition>,
    /// How far below the second that a token is traced to its neighbours may score to share its vote; 0 is the paper's. Goes
    /// before `curation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<f64>,
    /// 0: greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Of the sampler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// 0: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram: Option<u32>,
    /// Length of a time bin of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_bin_secs: Option<f64>,
    /// How much of each sound is heard, seconds; the model's own bound where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_max_secs: Option<f64>,
    /// Whether a film's sound is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_audio_in_video: Option<bool>,
    /// `bins`, or `semantic`: sentences grouped by meaning, stretches of voice where there is no transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_units: Option<AudioUnits>,
    /// Chunks of the answer: `sentence` or `clause`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ChunkSize>,
    /// A picture has so many units squared; 1: the whole picture is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_grid: Option<u32>,
    /// Frames per second at which films are sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_fps: Option<f64>,
    /// Most pixels of a film's frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_max_pixels: Option<u64>,
    /// Bound for the pixels of all frames of a film.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_total_pixels: Option<u64>,
    /// Sounds and films before the instruction, as the released package puts those of its own samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_order: Option<bool>,
}
impl Options {
    /// Whether every value is within its bounds.
    pub fn check(&self) -> Result<(), SampleError> {
        let outside = |value: Option<f64>, low: f64, high: f64| {
            value.is_some_and(|v| !(low..=high).contains(&v))
        };
        if outside(self.temperature, 0.0, 10.0) {
            return error("`temperature` must be between 0 (greedy) and 10.");
        }
        if outside(self.top_p, 0.001, 1.0) {
            return error("`top_p` must be above 0 and at most 1.");
        }
        if outside(self.audio_bin_secs, 0.04, 60.0) {
            return error("`audio_bin_secs` must be between 0.04 and 60.");
        }
        if outside(self.audio_max_secs, 1.0, 7200.0) {
            return error("`audio_max_secs` must be between 1 and 7200.");
        }
        if outside(self.video_fps, 0.1, 30.0) {
            return error("`video_fps` must be between 0.1 and 30 frames per second.");
        }
        if self.image_grid.is_some_and(|k| !(1..=16).contains(&k)) {
            return error(
                "`image_grid` must be between 1 (the whole picture) and 16 (16 x 16 parts).",
            );
        }
        let small = |pixels: Option<u64>| pixels.is_some_and(|pixels| pixels < 28 * 28);
        if small(self.video_max_pixels) || small(self.video_total_pixels) {
            return error(
                "`video_max_pixels` and `video_total_pixels` must be at least 784 (28 x 28).",
            );
        }
        if self.max_new_tokens == Some(0) {
            return error("`max_new_tokens` must be at least 1.");
        }
        Ok(())
    }

    /// Upper bound of the answer's tokens, before the server's own bound.
    pub fn new_tokens(&self) -> u32 {
        self.max_new_tokens.unwrap_or(DEFAULT_NEW_TOKENS)
    }

    /// The engine's words; `max_new_tokens` bounds what may be asked for, `no_repeat_ngram` is the model's own.
    pub fn resolve(
        &self,
        limits: &media::Limits,
        max_new_tokens: u32,
        no_repeat_ngram: u32,
    ) -> TraceOptions {
        let method = Method::default();
        TraceOptions {
            decoding: Decoding {
                max_new_tokens: self.new_tokens().clamp(1, max_new_tokens),
                temperature: self.temperature.unwrap_or(0.0),
                top_p: self.top_p.unwrap_or(1.0),
                seed: self.seed.unwrap_or(0),
                no_repeat_ngram: self.no_repeat_ngram.unwrap_or(no_repeat_ngram),
            },
            method: Method {
                signal: self.method.unwrap_or(method.signal),
                unit_score: self.unit_score.unwrap_or(method.unit_score),
                cite_prompt: self.cite_prompt.unwrap_or(method.cite_prompt),
                curation: CurationConfig {
                    competition: (self.competition)
                        .or(self.curation.as_ref().map(|own| own.competition))
                        .unwrap_or(method.curation.competition),
                    reach: (self.reach)
                        .or(self.curation.as_ref().map(|own| own.reach))
                        .unwrap_or(method.curation.reach),
                    ..self.curation.clone().unwrap_or(method.curation)
                },
            },
            settings: self.settings(),
            keep_scores: false,
            limits: *limits,
        }
    }

    fn settings(&self) -> Settings {
        let plain = Settings::default();
        Settings {
            chunk: self.chunk.unwrap_or(plain.chunk),
            image_grid: self.image_grid.unwrap_or(plain.image_grid),
            audio_bin_secs: self.audio_bin_secs.unwrap_or(plain.audio_bin_secs),
            audio_units: self.audio_units.unwrap_or(plain.audio_units),
            audio_max_secs: self.audio_max_secs,
            use_audio_in_video: self.use_audio_in_video.unwrap_or(plain.use_audio_in_video),
            video_fps: self.video_fps,
            video_max_pixels: self.video_max_pixels,
            video_total_pixels: self.video_total_pixels,
            package_order: self.package_order.unwrap_or(plain.package_order),
            ..plain
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Sample;
    use super::*;

    #[test]
    fn options_are_checked_and_reach_the_engine() {
        let sample = Sample::parse(&json!({"prompt": "p", "options": {
            "chunk": "clause", "image_grid": 3, "video_fps": 1, "video_max_pixels": 50_000,
            "package_order": true, "use_audio_in_video": false, "audio_bin_secs": 2, "dtype": "bf16",
        }}))
        .expect("a sample");
        let settings = sample
            .options
            .resolve(&media::Limits::default(), 100, 3)
            .settings;
        let expected = Settings {
            chunk: ChunkSize::Clause,
            image_grid: 3,
            video_fps: Some(1.0),
            video_max_pixels: Some(50_000),
            package_order: true,
            use_audio_in_video: false,
            audio_bin_secs: 2.0,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
        assert_eq!(sample.options.dtype, Some(Precision::Bf16));
        for (name, wrong) in [
            ("chunk", json!("word")),
            ("image_grid", json!(0)),
            ("image_grid", json!(17)),
            ("video_fps", json!(0)),
            ("video_max_pixels", json!(10)),
            ("audio_bin_secs", json!(0)),
            ("dtype", json!("f8")),
        ] {
            let sample = json!({"prompt": "p", "options": {name: wrong.clone()}});
            let error = Sample::parse(&sample).expect_err("refused").0;
            assert!(
                error.starts_with('`') && error.ends_with('.'),
                "{name} {wrong}: {error}"
            );
        }
    }
}

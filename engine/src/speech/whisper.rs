//! Speech recognition with Whisper: a sound becomes sentences or phrases with times.
//! In: a Whisper checkpoint in the hub's layout, a sound. Out: a [`Transcript`].
//!
//! The network is candle-transformers'; windows, timestamp rules and segments follow the released `whisper` package's
//! `decoding.py` and `transcribe.py`, greedy, without its second tries at higher temperatures.

use attribution::transcript::{Segment, Transcript, TranscriptOrigin};
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::ops::log_softmax;
use candle_transformers::models::whisper::model::Whisper;
use candle_transformers::models::whisper::{Config, HOP_LENGTH, N_FFT, SAMPLE_RATE};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

mod tokens;

use self::tokens::Tokens;
use super::super::preprocess::mel::{MelShape, log_mel};
use super::super::preprocess::resample::resample;
use crate::{EngineError, MediaItem, ModelFiles};

/// Seconds from one timestamp token to the next.
const TIMESTAMP_SECS: f64 = 0.02;
/// A window is silent where the model says so this surely and is this unsure of its words.
const SILENT: f32 = 0.6;
const UNSURE: f32 = -1.0;

/// A loaded Whisper.
#[derive(Debug)]
pub struct Transcriber {
    name: String,
    whisper: Whisper,
    tokenizer: Tokenizer,
    tokens: Tokens,
    device: Device,
}

/// What one window holds.
struct Window {
    /// Seconds from the window's begin; text.
    segments: Vec<(f64, f64, String)>,
    /// Where the next window begins, from this one's begin.
    next_secs: f64,
}

impl Transcriber {
    /// Loads a Whisper checkpoint of any size, multilingual or not.
    pub fn load(files: &ModelFiles, name: &str, device: &Device) -> Result<Self, EngineError> {
        let mut config: Value = files.json("config.json")?;
        if config.get("model_type").and_then(Value::as_str) != Some("whisper") {
            return Err(files.failure(
                "config.json",
                "this is not a Whisper model; speech is recognized with Whisper",
            ));
        }
        if let Some(fields) = config.as_object_mut() {
            // Newer checkpoints keep their suppressed tokens in the generation config, and null here.
            fields.retain(|_, value| !value.is_null());
        }
        let config =
            Config::deserialize(config).map_err(|error| files.failure("config.json", error))?;
        let heads = [
            config.encoder_attention_heads,
            config.decoder_attention_heads,
        ];
        if heads
            .iter()
            .any(|heads| *heads == 0 || !config.d_model.is_multiple_of(*heads))
            || config.max_source_positions == 0
            || config.max_target_positions < 8
        {
            return Err(files.failure("config.json", "its sizes do not fit together"));
        }
        let tokenizer = files.tokenizer()?;
        let tokens = Tokens::of(files, &tokenizer, &config)?;
        let vb = files.weights(DType::F32, device)?;
        let whisper = Whisper::load(&vb, config)
            .map_err(|error| files.failure(files.weights_name(), error))?;
        Ok(Self {
            name: name.to_owned(),
            whisper,
            tokenizer,
            tokens,
            device: device.clone(),
        })
    }

    /// What is said in a sound file; `None` where no words are found.
    pub fn transcribe(
        &mut self,
        file: &MediaItem,
        limits: &media::Limits,
    ) -> Result<Option<Transcript>, EngineError> {
        let sound =
            media::decode_sound(&file.bytes, limits).map_err(|source| EngineError::Media {
                item: 1,
                name: file.name.clone(),
                source,
            })?;
        let samples = resample(&sound.samples, sound.rate_hz, SAMPLE_RATE as u32);
        let segments = self.segments(&samples)?;
        let transcript = Transcript {
            origin: TranscriptOrigin::Recognized {
                model: self.name.clone(),
            },
            segments,
        };
        Ok((!transcript.segments.is_empty()).then_some(transcript))
    }

    /// Window by window; each begins where the last certain segment of the one before ended.
    fn segments(&mut self, samples: &[f32]) -> Result<Vec<Segment>, EngineError> {
        let duration_secs = samples.len() as f64 / SAMPLE_RATE as f64;
        let window = self.whisper.config.max_source_positions * 2 * HOP_LENGTH;
        let mut segments: Vec<Segment> = Vec::new();
        let mut at = 0;
        while at < samples.len() {
            let heard = self.window(&samples[at..samples.len().min(at + window)])?;
            let offset_secs = at as f64 / SAMPLE_RATE as f64;
            for (start_secs, end_secs, text) in heard.segments {
                let end_secs = (offset_secs + end_secs).min(duration_secs);
                let start_secs = (offset_secs + start_secs).min(end_secs);
                segments.push(Segment {
                    start_secs,
                    end_secs,
                    text,
                });
            }
            at += ((heard.next_secs * SAMPLE_RATE as f64) as usize).clamp(HOP_LENGTH, window);
        }
        Ok(segments)
    }

    fn window(&mut self, samples: &[f32]) -> Result<Window, EngineError> {
        let features = self.encode(samples)?;
        let window_secs = self.whisper.config.max_source_positions as f64 * TIMESTAMP_SECS;
        let mut prompt = vec![self.tokens.start];
        if let Some(transcribe) = self.tokens.transcribe {
            let (logits, _) = self.logits(&prompt, &features, true)?;
            let likeliest =
                |a: &&u32, b: &&u32| logits[**a as usize].total_cmp(&logits[**b as usize]);
            prompt.extend(self.tokens.languages.iter().max_by(likeliest));
            prompt.push(transcribe);
        }
        let most = (self.whisper.config.max_target_positions / 2).min(224);
        let (mut written, mut sum, mut silence) = (Vec::new(), 0f32, 0f32);
        while written.len() < most
            && prompt.len() + written.len() < self.whisper.config.max_target_positions
        {
            let ids = [&prompt[..], &written].concat();
            let (mut logits, no_speech) = self.logits(&ids, &features, written.is_empty())?;
            if written.is_empty() {
                silence = no_speech;
            }
            self.tokens.rule(&mut logits, &written);
            let Some((id, logprob)) = best(&logits) else {
                break;
            };
            sum += logprob;
            if id == self.tokens.end {
                break;
            }
            written.push(id);
        }
        let mean = sum / (written.len() + 1) as f32;
        if silence > SILENT && mean < UNSURE {
            return Ok(Window {
                segments: Vec::new(),
                next_secs: window_secs,
            });
        }
        let heard_secs = samples.len() as f64 / SAMPLE_RATE as f64;
        let (pieces, next_secs) = pieces(
            &written,
            self.tokens.first_timestamp,
            heard_secs,
            window_secs,
        );
        let mut segments = Vec::with_capacity(pieces.len());
        for (start, end, ids) in pieces {
            let text = self.tokenizer.decode(&ids, true).map_err(|error| {
                EngineError::Request(format!("recognized speech cannot be spelled: {error}"))
            })?;
            if !text.trim().is_empty() {
                segments.push((start, end, text.trim().to_owned()));
            }
        }
        Ok(Window {
            segments,
            next_secs,
        })
    }

    /// Features of one window, padded with silence: `[1, positions, width]`.
    fn encode(&mut self, samples: &[f32]) -> Result<Tensor, EngineError> {
        let config = &self.whisper.config;
        let mut padded = samples.to_vec();
        padded.resize(config.max_source_positions * 2 * HOP_LENGTH, 0.0);
        let mel = log_mel(
            &padded,
            &MelShape {
                bins: config.num_mel_bins,
                fft: N_FFT,
                hop: HOP_LENGTH,
                rate: SAMPLE_RATE as u32,
                window: padded.len(),
            },
        );
        let mel = Tensor::from_vec(mel.values, (1, mel.bins, mel.frames), &self.device)?;
        Ok(self.whisper.encoder.forward(&mel, true)?)
    }

    /// Log-probabilities of the next token, and the probability that nobody speaks. `fresh`: another window.
    fn logits(
        &mut self,
        ids: &[u32],
        features: &Tensor,
        fresh: bool,
    ) -> Result<(Vec<f32>, f32), EngineError> {
        let input = Tensor::new(ids, &self.device)?.unsqueeze(0)?;
        let hidden = self.whisper.decoder.forward(&input, features, fresh)?;
        let logits = self.whisper.decoder.final_linear(&hidden)?;
        let row = |at: usize| log_softmax(&logits.i((0, at))?, 0)?.to_vec1::<f32>();
        let no_speech = match self.tokens.no_speech {
            Some(id) => row(0)?
                .get(id as usize)
                .map_or(0.0, |logprob| logprob.exp()),
            None => 0.0,
        };
        Ok((row(ids.len() - 1)?, no_speech))
    }
}

/// The first of the highest; none where everything is forbidden.
fn best(logprobs: &[f32]) -> Option<(u32, f32)> {
    let mut best: Option<(u32, f32)> = None;
    for (id, logprob) in (0u32..).zip(logprobs) {
        if logprob.is_finite() && best.is_none_or(|(_, top)| *logprob > top) {
            best = Some((id, *logprob));
        }
    }
    best
}

/// What was written -> segments with times, and where the next window begins.
fn pieces(
    written: &[u32],
    first_timestamp: u32,
    heard_secs: f64,
    window_secs: f64,
) -> (Vec<(f64, f64, Vec<u32>)>, f64) {
    let secs = |id: u32| f64::from(id - first_timestamp) * TIMESTAMP_SECS;
    let mut pieces = Vec::new();
    let (mut start, mut words, mut last_time) = (0.0, Vec::new(), None);
    for &id in written {
        if id < first_timestamp {
            words.push(id);
            continue;
        }
        if !words.is_empty() {
            pieces.push((start, secs(id), std::mem::take(&mut words)));
        }
        start = secs(id);
        last_time = Some(start);
    }
    let pair = |k: usize| {
        written
            .len()
            .checked_sub(k)
            .and_then(|k| written.get(k))
            .is_some_and(|id| *id >= first_timestamp)
    };
    if !words.is_empty() {
        // Cut off at the window's end: it is kept with what was heard of it, and the next window begins after it.
        pieces.push((start, heard_secs, words));
    } else if let Some(time) = last_time.filter(|time| *time > 0.0 && pair(1) && pair(2)) {
        // The model began another segment that it did not finish.
        return (pieces, time);
    }
    (pieces, window_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_end_at_their_times() {
        let cut = |written: &[u32]| pieces(written, 100, 30.0, 30.0);
        assert_eq!(cut(&[100, 1, 2, 150]), (vec![(0.0, 1.0, vec![1, 2])], 30.0));
        assert_eq!(
            cut(&[100, 1, 150, 150, 2, 200, 200]),
            (vec![(0.0, 1.0, vec![1]), (1.0, 2.0, vec![2])], 2.0)
        );
        assert_eq!(
            cut(&[100, 1, 150, 150, 2]),
            (vec![(0.0, 1.0, vec![1]), (1.0, 30.0, vec![2])], 30.0)
        );
        assert_eq!(cut(&[]), (vec![], 30.0));
    }

    fn fixture() -> Transcriber {
        let dir = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fixtures/whisper/checkpoint"
        );
        Transcriber::load(&ModelFiles::from(dir), "tiny-whisper", &Device::Cpu)
            .expect("the fixture loads")
    }

    /// As in fixtures/whisper/make.py: a second and a half.
    fn sound(secs: f64) -> Vec<f32> {
        let count = (secs * SAMPLE_RATE as f64) as usize;
        (0..count)
            .map(|i| (0.4 * (i as f64 * 0.05).sin() * (i as f64 * 0.0004).sin()) as f32)
            .collect()
    }

    #[test]
    fn the_network_agrees_with_the_reference() {
        #[derive(Deserialize)]
        struct Recorded {
            prefix: Vec<u32>,
            features: Vec<f32>,
            logprobs: Vec<f32>,
        }
        let recorded = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fixtures/whisper/recorded.json"
        ));
        let recorded: Recorded =
            serde_json::from_slice(&recorded.expect("the fixture")).expect("json");
        let mut transcriber = fixture();
        let features = transcriber.encode(&sound(1.5)).expect("encodes");
        let rows = features
            .squeeze(0)
            .and_then(|f| f.to_vec2::<f32>())
            .expect("features");
        let some = rows.iter().step_by(10).flat_map(|row| &row[..4]);
        // DIFFERENCE: candle-transformers' GELU is the tanh approximation, the reference's is exact.
        for (ours, theirs) in some.zip(&recorded.features) {
            assert!((ours - theirs).abs() < 0.02, "{ours} {theirs}");
        }
        let (logprobs, _) = transcriber
            .logits(&recorded.prefix, &features, true)
            .expect("logits");
        let far = logprobs
            .iter()
            .zip(&recorded.logprobs)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(far < 0.05, "{far}");
        assert_eq!(
            best(&logprobs).map(|(id, _)| id),
            best(&recorded.logprobs).map(|(id, _)| id)
        );
        assert_eq!(
            (
                transcriber.tokens.languages.len(),
                transcriber.tokens.not_first.len()
            ),
            (2, 2)
        );
    }

    #[test]
    fn windows_follow_each_other_to_the_end() {
        let samples = sound(5.3);
        let segments = fixture().segments(&samples).expect("hears");
        assert_eq!(fixture().segments(&samples).expect("hears"), segments);
        assert!(!segments.is_empty(), "a random model writes something");
        for pair in segments.windows(2) {
            assert!(pair[0].start_secs <= pair[1].start_secs, "{segments:?}");
        }
        assert!(
            segments
                .iter()
                .all(|s| s.start_secs <= s.end_secs && s.end_secs <= 5.3 && !s.text.is_empty())
        );
        assert!(
            segments.iter().any(|s| s.start_secs > 2.0),
            "later windows are heard too: {segments:?}"
        );
        assert_eq!(fixture().segments(&[]).expect("hears"), []);
    }

    #[test]
    fn other_models_are_refused() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/qwen/checkpoint");
        let error =
            Transcriber::load(&ModelFiles::from(dir), "x", &Device::Cpu).expect_err("refused");
        assert!(error.to_string().contains("not a Whisper"), "{error}");
    }
}

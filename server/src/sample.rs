//! The package's sample form, `{"prompt", "question": [{"text"}, {"image"}, {"audio"}, {"video"}, ...], "options"}`:
//! what the HTTP API takes, what `trace` reads and what `world` writes.
//!
//! A block's `text` is a string or a list of strings (each becomes an item of its own); `image`, `audio` and `video` name
//! a file (command line) or another part of the request (HTTP). Fields that are not known here (`id`, `task`,
//! `source_dataset`, `answer`, ...) are carried along, never read.

use std::fmt;

use app::data::ItemView;
use attribution::curation::CurationConfig;
use attribution::record::{Decoding, Method, SignalKind, UnitScore};
use engine::{Precision, TraceOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The instruction; may be empty.
    pub prompt: String,
    /// The question, block by block.
    pub blocks: Vec<Block>,
    /// How it is to be traced.
    pub options: Options,
}

/// One item of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Typed text.
    Text(String),
    /// A file, by path or part name.
    Media(MediaKind, String),
}

/// The three kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A still picture.
    Image,
    /// A sound.
    Audio,
    /// A film.
    Video,
}

impl MediaKind {
    const ALL: [Self; 3] = [Self::Image, Self::Audio, Self::Video];

    /// The key of a block.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// A stored file of this kind, in the page's words.
    pub fn item(self, hash: String, name: String) -> ItemView {
        match self {
            Self::Image => ItemView::Image { hash, name },
            Self::Audio => ItemView::Audio { hash, name },
            Self::Video => ItemView::Video { hash, name },
        }
    }
}

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
    /// The signal: `attmean`, `attraw` or `attgrads`.
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
    /// Whether a film's sound is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_audio_in_video: Option<bool>,
}

/// Why a sample is not one; a sentence that names the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleError(pub String);

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SampleError {}

fn error<T>(message: impl Into<String>) -> Result<T, SampleError> {
    Err(SampleError(message.into()))
}

impl Sample {
    /// Reads one sample.
    pub fn parse(value: &Value) -> Result<Self, SampleError> {
        let Value::Object(object) = value else {
            return error("A sample must be a JSON object.");
        };
        let prompt = match object.get("prompt") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(prompt)) => prompt.clone(),
            Some(_) => return error("`prompt` must be a string."),
        };
        let blocks = match object.get("question") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(blocks)) => {
                let mut items = Vec::with_capacity(blocks.len());
                for (k, block) in blocks.iter().enumerate() {
                    parse_block(k + 1, block, &mut items)?;
                }
                items
            }
            Some(_) => {
                return error("`question` must be a list of blocks such as {\"text\": \"...\"}.");
            }
        };
        if blocks.is_empty() && prompt.trim().is_empty() {
            return error(
                "There is nothing to ask: give a `prompt` or at least one block in `question`.",
            );
        }
        let options = match object.get("options") {
            None | Some(Value::Null) => Options::default(),
            Some(options) => match Options::deserialize(options) {
                Ok(options) => options,
                Err(reason) => return error(format!("`options`: {reason}.")),
            },
        };
        options.check()?;
        Ok(Self {
            prompt,
            blocks,
            options,
        })
    }
}

fn parse_block(number: usize, block: &Value, items: &mut Vec<Block>) -> Result<(), SampleError> {
    let expected = "exactly one of `text`, `image`, `audio`, `video`";
    let Value::Object(block) = block else {
        return error(format!(
            "Block {number} of `question` must be an object with {expected}."
        ));
    };
    let given = |key: &str| block.get(key).filter(|value| !value.is_null());
    let kinds: Vec<MediaKind> = MediaKind::ALL
        .into_iter()
        .filter(|kind| given(kind.name()).is_some())
        .collect();
    match (given("text"), kinds.as_slice()) {
        (Some(Value::String(text)), []) => items.push(Block::Text(text.clone())),
        (Some(Value::Array(texts)), []) => {
            for text in texts {
                let Value::String(text) = text else {
                    return error(format!(
                        "Block {number} of `question`: a list of texts must hold strings only."
                    ));
                };
                items.push(Block::Text(text.clone()));
            }
        }
        (Some(_), []) => {
            return error(format!(
                "Block {number} of `question`: `text` must be a string or a list of strings."
            ));
        }
        (None, [kind]) => match given(kind.name()) {
            Some(Value::String(name)) if !name.is_empty() => {
                items.push(Block::Media(*kind, name.clone()))
            }
            _ => {
                return error(format!(
                    "Block {number} of `question`: `{}` must name a file.",
                    kind.name()
                ));
            }
        },
        _ => {
            return error(format!(
                "Block {number} of `question` must have {expected}; it has {}.",
                keys(block)
            ));
        }
    }
    Ok(())
}

fn keys(block: &Map<String, Value>) -> String {
    if block.is_empty() {
        "none".into()
    } else {
        block
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Options {
    fn check(&self) -> Result<(), SampleError> {
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
        if self.max_new_tokens == Some(0) {
            return error("`max_new_tokens` must be at least 1.");
        }
        Ok(())
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
                max_new_tokens: self
                    .max_new_tokens
                    .unwrap_or(DEFAULT_NEW_TOKENS)
                    .clamp(1, max_new_tokens),
                temperature: self.temperature.unwrap_or(0.0),
                top_p: self.top_p.unwrap_or(1.0),
                seed: self.seed.unwrap_or(0),
                no_repeat_ngram: self.no_repeat_ngram.unwrap_or(no_repeat_ngram),
            },
            method: Method {
                signal: self.method.unwrap_or(method.signal),
                unit_score: self.unit_score.unwrap_or(method.unit_score),
                cite_prompt: self.cite_prompt.unwrap_or(method.cite_prompt),
                curation: self.curation.clone().unwrap_or(method.curation),
            },
            audio_bin_secs: self.audio_bin_secs.unwrap_or(1.0),
            use_audio_in_video: self.use_audio_in_video.unwrap_or(true),
            keep_scores: false,
            limits: *limits,
        }
    }
}

/// Generated tokens where nothing is said.
const DEFAULT_NEW_TOKENS: u32 = 256;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_keep_their_order_and_a_list_of_texts_becomes_items() {
        let sample = Sample::parse(&json!({
            "id": 3, "prompt": "Look.\n", "answer": "x",
            "question": [{"text": ["a", "b"]}, {"image": "1.png"}, {"text": "c"}, {"audio": "s.wav", "text": null}],
            "options": {"method": "attgrads", "unit_score": "max", "seed": 18_446_744_073_709_551_615u64},
        }))
        .expect("a sample");
        assert_eq!(
            sample.blocks,
            [
                Block::Text("a".into()),
                Block::Text("b".into()),
                Block::Media(MediaKind::Image, "1.png".into()),
                Block::Text("c".into()),
                Block::Media(MediaKind::Audio, "s.wav".into()),
            ]
        );
        assert_eq!(sample.options.seed, Some(u64::MAX));
        assert_eq!(sample.options.method, Some(SignalKind::AttGrads));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |value: Value| Sample::parse(&value).expect_err("not a sample").0;
        assert!(message(json!([])).contains("object"));
        assert!(message(json!({})).contains("nothing to ask"));
        assert!(message(json!({"question": "text"})).contains("list"));
        assert!(message(json!({"question": [{"text": "a"}, {"film": "x"}]})).contains("Block 2"));
        assert!(
            message(json!({"question": [{"text": "a", "image": "b"}]}))
                .contains("it has image, text")
        );
        assert!(message(json!({"question": [{"image": 3}]})).contains("file"));
        assert!(message(json!({"prompt": "p", "options": {"metod": "attmean"}})).contains("metod"));
        assert!(
            message(json!({"prompt": "p", "options": {"temperature": -1}})).contains("temperature")
        );
    }
}

//! The package's sample form, `{"prompt", "question": [{"text"}, {"image"}, {"audio"}, {"video"}, ...], "options"}`:
//! what the HTTP API takes, what `trace` reads and what `world` writes. Beside it a sample may hold
//! - `"system": "..."`, a system message in place of the model's own;
//! - `"turns": [{"role": "user", "content": [blocks] or "..."}, {"role": "assistant", "content": "..."}, ...]`, the earlier
//!   turns of the conversation, the oldest first. They begin with the user's and end with the assistant's; `prompt` and
//!   `question` are what the user says next, and what is answered;
//! - in an `audio` block `"transcript"`: what is said in the sound, as a list of `{"start", "end", "text"}`, as the text of an
//!   SRT or WebVTT file, or (on the command line) as the name of such a file. The sound's units follow it.
//!
//! A block's `text` is a string or a list of strings (each becomes an item of its own); `image`, `audio` and `video` name
//! a file (command line) or another part of the request (HTTP). Fields that are not known here (`id`, `task`,
//! `source_dataset`, `answer`, ...) are carried along, never read.

use std::collections::BTreeMap;
use std::fmt;

use app::data::ItemView;
use attribution::curation::{Competition, CurationConfig};
use attribution::record::{
    AudioUnits, ChunkSize, Decoding, Method, Settings, SignalKind, UnitScore,
};
use attribution::transcript::Transcript;
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
    /// A system message; empty: the model's own.
    pub system: String,
    /// Earlier turns, the oldest first; user and assistant in turn.
    pub history: Vec<SampleTurn>,
    /// Transcripts of sounds, by the name in their block.
    pub transcripts: BTreeMap<String, GivenTranscript>,
    /// How it is to be traced.
    pub options: Options,
}

/// A transcript that comes with a sound.
#[derive(Debug, Clone, PartialEq)]
pub enum GivenTranscript {
    /// The transcript itself.
    Inline(Transcript),
    /// The name of a file that holds it.
    File(String),
}

/// An earlier turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleTurn {
    /// Whether the model wrote it; then it holds text only.
    pub assistant: bool,
    /// What was said or shown.
    pub blocks: Vec<Block>,
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
    /// The signal: `attmean`, `attraw`, `attgrads`, `attfocus` or `attrise`.
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
        let text = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => error(format!("`{key}` must be a string.")),
        };
        let (prompt, system) = (text("prompt")?, text("system")?);
        let blocks = match object.get("question") {
            None | Some(Value::Null) => Vec::new(),
            Some(question) => parse_blocks("`question`", question)?,
        };
        let history = match object.get("turns") {
            None | Some(Value::Null) => Vec::new(),
            Some(turns) => parse_turns(turns)?,
        };
        if blocks.is_empty() && prompt.trim().is_empty() {
            return error(
                "There is nothing to ask: give a `prompt` or at least one block in `question`.",
            );
        }
        let mut transcripts = BTreeMap::new();
        let turns = object.get("turns").and_then(Value::as_array);
        let contents = turns
            .into_iter()
            .flatten()
            .filter_map(|turn| turn.get("content"));
        for blocks in contents
            .chain(object.get("question"))
            .filter_map(Value::as_array)
        {
            gather_transcripts(blocks, &mut transcripts)?;
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
            system,
            history,
            transcripts,
            options,
        })
    }

    /// The blocks of all turns, in order; those of the question come last.
    pub fn all_blocks(&self) -> impl Iterator<Item = &Block> {
        let earlier = self.history.iter().flat_map(|turn| &turn.blocks);
        earlier.chain(&self.blocks)
    }
}

fn gather_transcripts(
    blocks: &[Value],
    found: &mut BTreeMap<String, GivenTranscript>,
) -> Result<(), SampleError> {
    for block in blocks {
        let transcript = match block.get("transcript") {
            None | Some(Value::Null) => continue,
            Some(transcript) => transcript,
        };
        let Some(name) = block.get("audio").and_then(Value::as_str) else {
            return error("A `transcript` stands beside the `audio` that it belongs to.");
        };
        let read = |text: &str| {
            let read = Transcript::parse(text).map(GivenTranscript::Inline);
            read.map_err(|reason| SampleError(format!("The sound {name:?}: {reason}.")))
        };
        let given = match transcript {
            Value::String(text) if !text.trim().contains('\n') => {
                GivenTranscript::File(text.clone())
            }
            Value::String(text) => read(text)?,
            other => read(&other.to_string())?,
        };
        found.insert(name.to_owned(), given);
    }
    Ok(())
}

fn parse_blocks(place: &str, blocks: &Value) -> Result<Vec<Block>, SampleError> {
    let Value::Array(blocks) = blocks else {
        return error(format!(
            "{place} must be a list of blocks such as {{\"text\": \"...\"}}."
        ));
    };
    let mut items = Vec::with_capacity(blocks.len());
    for (k, block) in blocks.iter().enumerate() {
        parse_block(place, k + 1, block, &mut items)?;
    }
    Ok(items)
}

/// The earlier turns: user first, then in turn, the assistant last.
fn parse_turns(turns: &Value) -> Result<Vec<SampleTurn>, SampleError> {
    let form = "{\"role\": \"user\" or \"assistant\", \"content\": ...}";
    let Value::Array(turns) = turns else {
        return error(format!("`turns` must be a list of {form}."));
    };
    let mut history = Vec::with_capacity(turns.len());
    for (k, turn) in turns.iter().enumerate() {
        let place = format!("The content of turn {}", k + 1);
        let assistant = k % 2 == 1;
        let wanted = if assistant { "assistant" } else { "user" };
        if turn.get("role").and_then(Value::as_str) != Some(wanted) {
            return error(format!(
                "Turn {} of `turns` must be {form} with the role {wanted:?}: user and assistant speak in turn, the user first. \
                 A system message goes into `system`.",
                k + 1
            ));
        }
        let blocks = match turn.get("content") {
            Some(Value::String(text)) => vec![Block::Text(text.clone())],
            Some(content @ Value::Array(_)) => parse_blocks(&place, content)?,
            _ => return error(format!("{place} must be a string or a list of blocks.")),
        };
        if assistant && blocks.iter().any(|block| !matches!(block, Block::Text(_))) {
            return error(format!(
                "{place} is the assistant's and must hold text only."
            ));
        }
        history.push(SampleTurn { assistant, blocks });
    }
    if history.last().is_some_and(|turn| !turn.assistant) {
        return error(
            "The last of `turns` must be the assistant's: what the user says next goes into `prompt` and `question`.",
        );
    }
    Ok(history)
}

fn parse_block(
    place: &str,
    number: usize,
    block: &Value,
    items: &mut Vec<Block>,
) -> Result<(), SampleError> {
    let expected = "exactly one of `text`, `image`, `audio`, `video`";
    let Value::Object(block) = block else {
        return error(format!(
            "{place}, block {number}, must be an object with {expected}."
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
                        "{place}, block {number}: a list of texts must hold strings only."
                    ));
                };
                items.push(Block::Text(text.clone()));
            }
        }
        (Some(_), []) => {
            return error(format!(
                "{place}, block {number}: `text` must be a string or a list of strings."
            ));
        }
        (None, [kind]) => match given(kind.name()) {
            Some(Value::String(name)) if !name.is_empty() => {
                items.push(Block::Media(*kind, name.clone()))
            }
            _ => {
                return error(format!(
                    "{place}, block {number}: `{}` must name a file.",
                    kind.name()
                ));
            }
        },
        _ => {
            return error(format!(
                "{place}, block {number}, must have {expected}; it has {}.",
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
                curation: CurationConfig {
                    competition: (self.competition)
                        .or(self.curation.as_ref().map(|own| own.competition))
                        .unwrap_or(method.curation.competition),
                    ..self.curation.clone().unwrap_or(method.curation)
                },
            },
            settings: self.settings(),
            keep_scores: false,
            limits: *limits,
        }
    }
}

impl Options {
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
    fn turns_speak_in_turn_and_blocks_keep_their_order() {
        let sample = Sample::parse(&json!({
            "system": "Be short.", "prompt": "And now?",
            "turns": [
                {"role": "user", "content": [{"image": "1.png"}, {"text": "What is it?"}]},
                {"role": "assistant", "content": "A circle."},
            ],
            "question": [{"audio": "s.wav"}],
        }))
        .expect("a sample");
        assert_eq!(sample.system, "Be short.");
        let all: Vec<&Block> = sample.all_blocks().collect();
        let media = |kind, name: &str| Block::Media(kind, name.into());
        assert_eq!(
            all,
            [
                &media(MediaKind::Image, "1.png"),
                &Block::Text("What is it?".into()),
                &Block::Text("A circle.".into()),
                &media(MediaKind::Audio, "s.wav"),
            ]
        );
        let message = |turns: Value| {
            let sample = json!({"prompt": "p", "turns": turns});
            Sample::parse(&sample).expect_err("not a sample").0
        };
        assert!(message(json!("hello")).contains("list"));
        assert!(message(json!([{"role": "system", "content": "x"}])).contains("`system`"));
        let first = json!({"role": "user", "content": "x"});
        assert!(message(json!([first])).contains("the assistant's"));
        assert!(message(json!([first, first])).contains("Turn 2"));
        let shown = json!({"role": "assistant", "content": [{"image": "x.png"}]});
        assert!(message(json!([first, shown])).contains("text only"));
        let nothing = json!({"role": "assistant"});
        assert!(message(json!([first, nothing])).contains("turn 2"));
    }

    #[test]
    fn transcripts_stand_beside_their_sounds() {
        let parse = |transcript: Value| {
            Sample::parse(&json!({"question": [{"audio": "s.wav", "transcript": transcript}]}))
        };
        let list = json!([{"start": 0, "end": 1, "text": "Hello."}]);
        let vtt = json!("WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n");
        let given: Vec<GivenTranscript> = [list, vtt, json!("s.srt")]
            .into_iter()
            .map(|value| parse(value).expect("a sample").transcripts["s.wav"].clone())
            .collect();
        assert_eq!(given[0], given[1]);
        assert_eq!(given[2], GivenTranscript::File("s.srt".into()));
        assert!(parse(json!([1])).expect_err("refused").0.contains("s.wav"));
        let astray = json!({"question": [{"text": "x", "transcript": "s.srt"}]});
        assert!(
            Sample::parse(&astray)
                .expect_err("refused")
                .0
                .contains("audio")
        );
    }

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

    #[test]
    fn what_is_wrong_is_said() {
        let message = |value: Value| Sample::parse(&value).expect_err("not a sample").0;
        assert!(message(json!([])).contains("object"));
        assert!(message(json!({})).contains("nothing to ask"));
        assert!(message(json!({"question": "text"})).contains("list"));
        assert!(message(json!({"question": [{"text": "a"}, {"film": "x"}]})).contains("block 2"));
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

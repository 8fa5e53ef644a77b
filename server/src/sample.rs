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
use attribution::transcript::Transcript;
use serde::Deserialize;
use serde_json::{Map, Value};

mod options;

pub use options::Options;

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

#[cfg(test)]
mod tests {
    use attribution::record::SignalKind;
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

//! What goes into a trace and what comes out, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use attribution::record::{Decoding, Method, Record, Settings};
use attribution::transcript::Transcript;

/// A prompt and its sources, in the order in which the model reads them: system message, earlier turns, then the prompt and
/// its items.
#[derive(Debug, Clone, Default)]
pub struct TraceRequest {
    /// A system message; none: the model's own.
    pub system: Option<String>,
    /// Earlier turns of the conversation, the oldest first.
    pub history: Vec<Turn>,
    /// The instruction; may be empty.
    pub prompt: String,
    /// Any interleaving of any number of items.
    pub items: Vec<Item>,
    /// What is said in the sounds, by content hash; the units of such a sound follow it.
    pub transcripts: BTreeMap<String, Transcript>,
    /// Units to be left out, as indices into the units of this request's record: their positions are masked during prefill
    /// and generation, nothing else moves. The encoders read everything.
    pub without: Vec<u32>,
    /// Decoding, method, units.
    pub options: TraceOptions,
}

/// An earlier turn of a conversation.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Whether the model wrote it; then it holds text only.
    pub assistant: bool,
    /// What was said or shown.
    pub items: Vec<Item>,
}

/// One item of the question.
#[derive(Debug, Clone)]
pub enum Item {
    /// Typed text.
    Text(String),
    /// A picture file.
    Image(MediaItem),
    /// A sound file.
    Audio(MediaItem),
    /// A film file.
    Video(MediaItem),
}

/// A media file, undecoded.
#[derive(Debug, Clone)]
pub struct MediaItem {
    /// The file's name as given; shown, never trusted.
    pub name: String,
    /// `media::content_hash` of the bytes.
    pub hash: String,
    /// The file.
    pub bytes: Arc<[u8]>,
}

/// Settings of one trace.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// Token bound, temperature, seed, n-gram block.
    pub decoding: Decoding,
    /// Signal, unit score, curation for the live attributions.
    pub method: Method,
    /// Chunks, units, films. Its `system` and `turns` are filled in from the request.
    pub settings: Settings,
    /// Keep the raw `[T, P]` signals for `Outcome::scores`.
    pub keep_scores: bool,
    /// Limits for the decoders.
    pub limits: media::Limits,
}

impl TraceOptions {
    /// The defaults with another bound on the answer.
    pub fn at_most(max_new_tokens: u32) -> Self {
        let mut options = Self::default();
        options.decoding.max_new_tokens = max_new_tokens;
        options
    }
}

impl Default for TraceOptions {
    /// Greedy, at most 256 tokens, no n-gram of 3 twice: as the released package generates.
    fn default() -> Self {
        Self {
            decoding: Decoding {
                max_new_tokens: 256,
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
                no_repeat_ngram: 3,
            },
            method: Method::default(),
            settings: Settings::default(),
            keep_scores: false,
            limits: media::Limits::default(),
        }
    }
}

/// A finished (or stopped) trace.
#[derive(Debug)]
pub struct Outcome {
    /// The record; its id is empty, its times are 0 until the caller fills them in.
    pub record: Record,
    /// Pictures made on the way (film thumbnails): content hash and JPEG bytes.
    pub derived_media: Vec<(String, Vec<u8>)>,
    /// The ids of the prompt, placeholders repeated.
    pub input_ids: Vec<u32>,
    /// Per prompt position, the unit that owns it (index into `Record::units`), as in the layout.
    pub unit_of: Vec<Option<u32>>,
    /// The ids that were generated, the end token included.
    pub generated_ids: Vec<u32>,
    /// Present when `TraceOptions::keep_scores`.
    pub scores: Option<RawScores>,
}

/// The raw signals, row-major `[steps, prompt]`.
#[derive(Debug, Clone, Default)]
pub struct RawScores {
    /// T.
    pub steps: usize,
    /// P.
    pub prompt: usize,
    /// `[T, P]`.
    pub attmean: Vec<f32>,
    /// `[T, P]`.
    pub attraw: Vec<f32>,
    /// `[T, P]`.
    pub attgrads: Vec<f32>,
    /// `[T, P]`.
    pub attfocus: Vec<f32>,
    /// `[T, P]`.
    pub attrise: Vec<f32>,
    /// `[T, P]`.
    pub attvalue: Vec<f32>,
}

impl RawScores {
    /// Appends one step.
    pub(crate) fn push(&mut self, step: &crate::signals::StepScores) {
        self.steps += 1;
        self.attmean.extend(&step.attmean);
        self.attraw.extend(&step.attraw);
        self.attgrads.extend(&step.attgrads);
        self.attfocus.extend(&step.attfocus);
        self.attrise.extend(&step.attrise);
        self.attvalue.extend(&step.attvalue);
    }
}

//! What goes into a trace and what comes out, as plain data.

use std::sync::Arc;

use attribution::record::{Decoding, Method, Record};

/// A prompt and its sources, in the order in which the model reads them: prompt first, then the items.
#[derive(Debug, Clone)]
pub struct TraceRequest {
    /// The instruction; may be empty.
    pub prompt: String,
    /// Any interleaving of any number of items.
    pub items: Vec<Item>,
    /// Decoding, method, units.
    pub options: TraceOptions,
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
    /// Length of a time bin of sound, seconds.
    pub audio_bin_secs: f64,
    /// Whether a film's own sound is heard, where it has one.
    pub use_audio_in_video: bool,
    /// Keep the raw `[T, P]` signals for `Outcome::scores`.
    pub keep_scores: bool,
    /// Limits for the decoders.
    pub limits: media::Limits,
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
}

impl RawScores {
    /// Appends one step.
    pub(crate) fn push(&mut self, step: &crate::signals::StepScores) {
        self.steps += 1;
        self.attmean.extend(&step.attmean);
        self.attraw.extend(&step.attraw);
        self.attgrads.extend(&step.attgrads);
    }
}

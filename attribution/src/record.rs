//! The record of one trace: versioned, bounded, self-contained; all that a page needs to redraw and re-curate.
//! In: what the engine saw and generated. Out: JSON by serde.

use serde::{Deserialize, Serialize};

use crate::curation::CurationConfig;
use crate::transcript::Transcript;

mod check;
pub(crate) mod flat;
mod settings;

pub(crate) use check::check_counts;
pub use settings::{AudioUnits, ChunkSize, Settings, Turn};

/// The version written by this code. Every version ever shipped still loads (see `tests/golden`).
pub const RECORD_VERSION: u32 = 3;

/// Most sources of a record.
pub const MAX_SOURCES: usize = 1_000;
/// Most units of a record.
pub const MAX_UNITS: usize = 20_000;
/// Most generated tokens of a record.
pub const MAX_TOKENS: usize = 8_192;
/// Most bytes of a record's JSON.
pub const MAX_JSON_BYTES: usize = 32 << 20;

/// One traced generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Format version, [`RECORD_VERSION`] when written.
    pub version: u32,
    /// The trace's id; empty for a record that was never stored.
    #[serde(default)]
    pub id: String,
    /// The sources in prompt order. A non-empty instruction prompt has the role [`SourceRole::Prompt`] and stands
    /// before the other items of its turn, unless the package's order was asked for.
    pub sources: Vec<Source>,
    /// Every source unit; `units[k].source` indexes `sources`. Order: by source, then by position.
    pub units: Vec<Unit>,
    /// The generated text, special tokens skipped.
    pub response: String,
    /// One per generated token that carries text or is special, in order.
    pub tokens: Vec<Token>,
    /// Chunks of `response`; they partition it.
    pub chunks: Vec<Chunk>,
    /// One per signal, in the order of [`SignalKind::ALL`]; records of version 1 have the first three, of version 2 five.
    pub signals: Vec<SignalTrace>,
    /// The settings with which `attributions` were made.
    pub method: Method,
    /// One per chunk, for `method`.
    pub attributions: Vec<ChunkAttribution>,
    /// Partial loss and oddities, as sentences.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How it was made.
    pub receipt: Receipt,
    /// For an answer given once more with a part of another trace's sources masked: which part. None in every other record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_of: Option<ChildOf>,
}

/// What a child trace lacks of its parent's prompt. Both have the same sources and units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildOf {
    /// The parent's id; empty for a record that was never stored.
    #[serde(default)]
    pub id: String,
    /// Units whose positions were masked during prefill and generation, ascending; everything else kept its position.
    pub without: Vec<u32>,
}

/// What kind of input a source or unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// Typed text.
    Text,
    /// A still picture.
    Image,
    /// A sound.
    Audio,
    /// A film, with or without its own sound.
    Video,
}

/// Why a source is in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceRole {
    /// The instruction.
    Prompt,
    /// An item of the question.
    Content,
}

/// One uploaded or typed item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Instruction or content.
    pub role: SourceRole,
    /// Its number among the sources of its modality, from 1 ("Image 2"); 0 for the prompt.
    pub number: u32,
    /// The item itself.
    pub item: SourceItem,
}

impl Source {
    /// The modality of the item.
    pub fn modality(&self) -> Modality {
        match self.item {
            SourceItem::Text { .. } => Modality::Text,
            SourceItem::Image { .. } => Modality::Image,
            SourceItem::Audio { .. } => Modality::Audio,
            SourceItem::Video { .. } => Modality::Video,
        }
    }
}

/// What a source holds. `media` is the content hash under which `/media/{hash}` serves it (empty: not stored).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "flat::FlatItem")]
pub enum SourceItem {
    /// Typed text.
    Text {
        /// The text itself.
        text: String,
    },
    /// A picture, `width_px` x `height_px` as displayed.
    Image {
        /// Content hash.
        media: String,
        /// The file's name as given.
        name: String,
        /// Width as displayed.
        width_px: u32,
        /// Height as displayed.
        height_px: u32,
        /// The patch grid the model saw.
        grid: Grid,
    },
    /// A sound.
    Audio {
        /// Content hash.
        media: String,
        /// The file's name as given.
        name: String,
        /// Length.
        duration_secs: f64,
        /// Peak amplitude per equal slice of the sound, 0..=255; at most 1,000.
        peaks: Vec<u8>,
        /// What was said and when, where units follow it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transcript: Option<Transcript>,
    },
    /// A film.
    Video {
        /// Content hash.
        media: String,
        /// The file's name as given.
        name: String,
        /// Length.
        duration_secs: f64,
        /// Width as displayed.
        width_px: u32,
        /// Height as displayed.
        height_px: u32,
        /// Frames per second at which the model saw it.
        fps: f64,
        /// The patch grid of one temporal patch.
        grid: Grid,
        /// Peaks of its own sound as for audio; empty where there is none or it was not used.
        peaks: Vec<u8>,
        /// Timeline thumbnails: content hashes of small JPEG pictures, evenly spaced; at most 16.
        thumbnails: Vec<String>,
    },
}

/// Rows and columns of merged patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Cells from top to bottom.
    pub rows: u32,
    /// Cells from left to right.
    pub cols: u32,
}

/// The smallest attributable piece of a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Unique within the record: `t0`, `i0`, `a0`, `v0`, ... (one counter per letter). The page's `data-unit`.
    pub id: String,
    /// Index into `Record::sources`.
    pub source: u32,
    /// What part of the source it is.
    pub extent: Extent,
    /// How many prompt positions it owns.
    pub positions: u32,
}

/// The part of its source that a unit is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "flat::FlatExtent")]
pub enum Extent {
    /// Bytes `start..end` of the source's text.
    Text {
        /// First byte.
        start: u32,
        /// One past the last byte.
        end: u32,
    },
    /// A rectangle of the picture (the whole by default).
    Region {
        /// In fractions of the picture.
        rect_in_source: Rect,
    },
    /// Seconds `start_secs..end_secs`.
    Time {
        /// Begin.
        start_secs: f64,
        /// End.
        end_secs: f64,
        /// Which track of the item.
        track: Track,
    },
}

/// Which part of a timed item a unit belongs to. Tracks are curated apart, then united.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Track {
    /// A sound, or the sound of a film.
    Sound,
    /// The pictures of a film.
    Picture,
}

/// A rectangle in fractions (0..=1) of its source's width and height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
}

/// One generated token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Vocabulary id.
    pub id: u32,
    /// First byte of its text in `Record::response`.
    pub start: u32,
    /// One past its last byte; equal to `start` for a special token.
    pub end: u32,
    /// Universal part of speech.
    pub pos: crate::pos::Upos,
}

/// A coherent span of generated text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// First byte in `Record::response`.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// First token.
    pub token_start: u32,
    /// One past the last token.
    pub token_end: u32,
}

/// The token-level signals: the paper's three, and three of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// Attention of the last query row, mean over heads and layers.
    AttMean,
    /// The same, last layer only.
    AttRaw,
    /// Gradient of the chosen logit times attention, last layer, mean over heads, clamped at 0.
    AttGrads,
    /// Attention, each layer with the weight of what it puts on few sources.
    AttFocus,
    /// AttFocus above each position's mean over the steps before.
    AttRise,
    /// AttMean and what the values of the two layers of most focus add to the chosen logit, their geometric mean.
    AttValue,
}

impl SignalKind {
    /// Every signal, in record order. A new one is appended, and raises the record's version.
    pub const ALL: [Self; 6] = [
        Self::AttMean,
        Self::AttRaw,
        Self::AttGrads,
        Self::AttFocus,
        Self::AttRise,
        Self::AttValue,
    ];

    /// The name used in records, flags and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttMean => "attmean",
            Self::AttRaw => "attraw",
            Self::AttGrads => "attgrads",
            Self::AttFocus => "attfocus",
            Self::AttRise => "attrise",
            Self::AttValue => "attvalue",
        }
    }
}

/// How a unit's score is made from the scores of its positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitScore {
    /// The paper's Algorithm 1.
    #[default]
    Sum,
    /// The released package.
    Max,
    /// Per position: removes the bias to long units.
    Mean,
}

/// One signal over the whole generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalTrace {
    /// Which signal.
    pub signal: SignalKind,
    /// Per token: its strongest units (the union of the best by sum, max and mean), strongest sum first.
    pub tokens: Vec<Vec<UnitMass>>,
    /// Per chunk: heat maps of the units that have a patch grid and a share of the chunk's mass; bounded.
    pub heat: Vec<Vec<HeatMap>>,
    /// Per token: the sum over all units, kept or not. Of attention, whose whole is 1, the rest went to the answer so far
    /// and to what is no source. Empty in records from before it was noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<f32>,
}

impl SignalTrace {
    /// The share of these tokens' attention that stayed outside every source: the language model on its own. None for a
    /// signal that is no share of a whole, and where it was not noted.
    pub fn outside(&self, tokens: std::ops::Range<usize>) -> Option<f64> {
        if !matches!(self.signal, SignalKind::AttMean | SignalKind::AttRaw) {
            return None;
        }
        let inside = self
            .inside
            .get(tokens)
            .filter(|inside| !inside.is_empty())?;
        let mean = inside.iter().map(|share| f64::from(*share)).sum::<f64>() / inside.len() as f64;
        Some((1.0 - mean).clamp(0.0, 1.0))
    }
}

/// A token's signal over one unit, as `[unit, sum, max]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UnitMass(
    /// Index into `Record::units`.
    pub u32,
    /// Sum over the unit's positions.
    pub f32,
    /// Largest single position.
    pub f32,
);

/// A chunk's mass over the patch grid of one unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Index into `Record::units`: an image region or a bin of a film's pictures.
    pub unit: u32,
    /// Rows and columns.
    pub grid: Grid,
    /// Row-major, two hex digits a cell, 0..=255 relative to `peak`.
    pub cells: String,
    /// The mass that 255 stands for.
    pub peak: f32,
    /// Connected cells above the threshold, strongest first.
    pub boxes: Vec<HeatBox>,
}

/// A box around connected cells of a heat map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeatBox {
    /// In fractions of the picture.
    pub rect_in_source: Rect,
    /// Share of the heat map's mass inside, 0..=1.
    pub share: f32,
}

/// Signal, unit score and curation parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Which signal.
    pub signal: SignalKind,
    /// How positions become a unit's score.
    pub unit_score: UnitScore,
    /// Whether the instruction text may be cited.
    pub cite_prompt: bool,
    /// The paper's parameters and switches.
    pub curation: CurationConfig,
}

/// The sources of one chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunkAttribution {
    /// Cited units, by modality then strongest first.
    pub cited: Vec<Citation>,
    /// Cited seconds, merged where bins touch, per timed source.
    pub intervals: Vec<Interval>,
}

/// One cited unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// Index into `Record::units`.
    pub unit: u32,
    /// `alpha * mass + (1 - alpha) * run`.
    pub score: f64,
    /// Share of the votes.
    pub mass: f64,
    /// Heaviest contiguous run's share.
    pub run: f64,
}

/// Merged cited seconds of one source.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Index into `Record::sources`.
    pub source: u32,
    /// Begin.
    pub start_secs: f64,
    /// End.
    pub end_secs: f64,
    /// Summed mass of the cited units inside.
    pub mass: f64,
}

/// How a record was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Model name.
    pub model: String,
    /// Hash of its weights.
    pub model_hash: String,
    /// Precision of weights and activations: `f32`, `bf16`, `f16`; empty in records made before it was noted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dtype: String,
    /// Version of this program.
    pub code_version: String,
    /// Decoding settings.
    pub decoding: Decoding,
    /// How prompt and units were made; none in records from before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Prompt length in tokens.
    pub prompt_tokens: u32,
    /// Seconds from the Unix epoch; 0 where unknown (kept out of what must be deterministic).
    pub created_unix_secs: u64,
    /// Wall time per stage; empty where a record must be deterministic.
    pub stage_secs: Vec<(Stage, f64)>,
    /// Why generation ended.
    pub finish: Finish,
}

/// Decoding settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// Upper bound of generated tokens.
    pub max_new_tokens: u32,
    /// 0: greedy.
    pub temperature: f64,
    /// Nucleus; 1: off.
    pub top_p: f64,
    /// Seed of the sampler; unused when greedy.
    pub seed: u64,
    /// 0: off.
    pub no_repeat_ngram: u32,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model wrote its end token.
    #[default]
    End,
    /// `max_new_tokens` was reached.
    Length,
    /// Someone pressed stop.
    Stopped,
}

/// The stages of a trace, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Media bytes to pixels, samples, frames.
    Decode,
    /// Vision and audio towers.
    Encode,
    /// Prompt through the decoder.
    Prefill,
    /// Token by token.
    Generate,
}

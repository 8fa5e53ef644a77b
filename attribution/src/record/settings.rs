//! How a prompt and its units were made: what a request may choose besides method and decoding.
//! In: nothing. Out: plain data, kept in the record's receipt.

use serde::{Deserialize, Serialize};

/// What a chunk of the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkSize {
    /// A sentence.
    #[default]
    Sentence,
    /// A part of a sentence, up to a comma, semicolon, colon or dash.
    Clause,
}

/// What a unit of a sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioUnits {
    /// Bins of equal length.
    #[default]
    Bins,
    /// What belongs together: sentences of a transcript grouped by meaning, or stretches of voice where there is none.
    Semantic,
}

/// How a prompt and its units were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Sentences or clauses.
    pub chunk: ChunkSize,
    /// A picture has `image_grid` x `image_grid` units; 1: the whole picture is one.
    pub image_grid: u32,
    /// Length of a time bin of a sound.
    pub audio_bin_secs: f64,
    /// Bins, or what belongs together.
    pub audio_units: AudioUnits,
    /// How much of each sound may be heard, seconds; none: the model's own bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_max_secs: Option<f64>,
    /// Whether a film's own sound was heard.
    pub use_audio_in_video: bool,
    /// Frames per second at which films were sampled; none: the model's own rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_fps: Option<f64>,
    /// Most pixels of a frame; none: the model's own bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_max_pixels: Option<u64>,
    /// Bound for the pixels of all frames of a film; none: the model's own bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_total_pixels: Option<u64>,
    /// Whether sounds and films stood before the instruction, as the released package puts them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub package_order: bool,
    /// The system message; empty: the model's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// The turns of the conversation; empty where there is only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Turn>,
}

/// A turn of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Whether the model wrote it.
    pub assistant: bool,
    /// Its first source; it reaches to the next turn's first.
    pub first_source: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chunk: ChunkSize::Sentence,
            image_grid: 1,
            audio_bin_secs: 1.0,
            audio_units: AudioUnits::Bins,
            audio_max_secs: None,
            use_audio_in_video: true,
            video_fps: None,
            video_max_pixels: None,
            video_total_pixels: None,
            package_order: false,
            system: String::new(),
            turns: Vec::new(),
        }
    }
}

//! The synthetic world: a seed gives one sample with exactly known sources.
//!
//! [`generate`] is pure: seed, task and split give the same sample on every platform, in the browser too.

pub mod attributes;
mod draw;
#[cfg(feature = "files")]
pub mod files;
pub mod film;
pub mod perception;
pub mod picture;
pub mod rng;
pub mod sample;
mod script;
pub mod sound;
pub mod spec;
pub mod speech;
mod tasks;
mod track;
pub mod vocabulary;

pub use draw::{deed_is_held_out, look_is_held_out, succession_is_held_out};
pub use sample::Sample;
pub use spec::Spec;

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// What a sample asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Summarise a conversation with facts, chit-chat and pictures.
    Dialogue,
    /// Summarise spoken sentences.
    Speech,
    /// A question about sound events.
    AudioQa,
    /// A question about pictures.
    VisualQa,
    /// A question about a film with sound.
    VideoQa,
    /// Describe a text, a picture and a sound.
    Mixed,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 6] = [
        Self::Dialogue,
        Self::Speech,
        Self::AudioQa,
        Self::VisualQa,
        Self::VideoQa,
        Self::Mixed,
    ];

    /// The task's name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dialogue => "dialogue",
            Self::Speech => "speech",
            Self::AudioQa => "audio-qa",
            Self::VisualQa => "visual-qa",
            Self::VideoQa => "video-qa",
            Self::Mixed => "mixed",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = WorldError;

    fn from_str(name: &str) -> Result<Self, WorldError> {
        Self::ALL
            .into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| WorldError::UnknownTask(name.to_owned()))
    }
}

/// Which part of the world a sample comes from. A seed gives different samples in different splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// For training: nothing held out ever occurs.
    Train,
    /// What the public sees and what is evaluated: like `Train`, but no sample shares its random key with one of training.
    Eval,
    /// Every sample holds at least one attribute combination or voice that training never shows.
    Heldout,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Eval, Self::Heldout];

    /// The split's name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Eval => "eval",
            Self::Heldout => "heldout",
        }
    }
}

impl FromStr for Split {
    type Err = WorldError;

    fn from_str(name: &str) -> Result<Self, WorldError> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == name)
            .ok_or_else(|| WorldError::UnknownSplit(name.to_owned()))
    }
}

/// What can go wrong in the world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// No such task.
    #[error("unknown task `{0}`: one of dialogue, speech, audio-qa, visual-qa, video-qa, mixed")]
    UnknownTask(String),
    /// No such split.
    #[error("unknown split `{0}`: one of train, eval, heldout")]
    UnknownSplit(String),
    /// A specification lies outside of the world; a sentence.
    #[error("{0}")]
    Spec(String),
    /// The word bank lacks a word or is damaged.
    #[error("the word bank cannot speak: {0}")]
    Unspeakable(String),
    /// A picture or film could not be encoded or decoded again.
    #[cfg(feature = "files")]
    #[error("media: {0}")]
    Media(#[from] media::MediaError),
    /// A file could not be written.
    #[cfg(feature = "files")]
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A sample could not be put into JSON.
    #[cfg(feature = "files")]
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The sample of `seed` in `task` and `split`.
///
/// # Errors
/// [`WorldError::Unspeakable`] where the word bank lacks a word of the vocabulary, which the crate's tests rule out.
pub fn generate(task: Task, seed: u64, split: Split) -> Result<Sample, WorldError> {
    let key = format!("{}/{}", split.name(), task.name());
    let mut rng = rng::Rng::keyed(seed, &key);
    let rng = &mut rng;
    let mut draw = draw::Draw::new(split);
    let mut script = script::Script::default();
    let prompts = match task {
        Task::Dialogue => {
            tasks::dialogue::write(&mut script, &mut draw, rng);
            tasks::dialogue::PROMPTS
        }
        Task::Speech => {
            tasks::speech::write(&mut script, &mut draw, rng)?;
            tasks::speech::PROMPTS
        }
        Task::AudioQa => {
            tasks::audio_qa::write(&mut script, &mut draw, rng);
            tasks::audio_qa::PROMPTS
        }
        Task::VisualQa => {
            tasks::visual_qa::write(&mut script, &mut draw, rng);
            tasks::visual_qa::PROMPTS
        }
        Task::VideoQa => {
            tasks::video_qa::write(&mut script, &mut draw, rng);
            tasks::video_qa::PROMPTS
        }
        Task::Mixed => {
            tasks::mixed::write(&mut script, &mut draw, rng)?;
            tasks::mixed::PROMPTS
        }
    };
    let prompt = script::wording(prompts, rng);
    Ok(Sample {
        seed,
        task,
        split,
        prompt: prompt.to_owned(),
        blocks: script.blocks,
        answer: script.answer,
        option_letter: script.option_letter,
        held_out: draw.held_out,
    })
}

//! A composed sample: what a visitor placed, arranged and asked, as plain data.
//! In: a [`Spec`], which nobody trusts. Out: the sample it describes with its exact sources, or a sentence that says what is wrong.
//!
//! Only what training could have shown can be asked for: the same shapes, sizes, lengths and questions. What is not chosen
//! (a ground's shade, the pitch of a voice, wrong options) follows from the seed, part by part.

mod check;
mod link;
mod parts;
pub mod preview;
mod questions;
mod turns;

pub use parts::{
    Asked, Content, EventSpec, FactSpec, HeardSpec, Kind, ObjectSpec, PartSpec, PictureSpec,
    SaidSpec, SceneSpec, Spec,
};
pub use questions::Question;
pub use turns::TurnSpec;

pub use crate::tasks::dialogue::{CHAT, SHOWS};

pub(crate) use parts::object_at;

use crate::sample::{Sample, Scene};
use crate::script::Script;
use crate::tasks::{audio_qa, dialogue, mixed, speech, video_qa, visual_qa};
use crate::{Split, Task, WorldError};

impl Spec {
    /// The sample: rendered, with the expected answer and each sentence's sources.
    ///
    /// # Errors
    /// [`WorldError::Spec`] with a sentence where [`Self::check`] refuses.
    pub fn compose(&self) -> Result<Sample, WorldError> {
        self.check()?;
        let mut script = Script::default();
        let seed = self.seed;
        match &self.content {
            Content::VisualQa { pictures, question } => {
                visual_qa::compose(&mut script, pictures, *question, seed);
            }
            Content::AudioQa { sounds, question } => {
                audio_qa::compose(&mut script, sounds, *question, seed);
            }
            Content::Speech { said } => speech::compose(&mut script, said, seed)?,
            Content::VideoQa { scenes, question } => {
                video_qa::compose(&mut script, scenes, *question, seed);
            }
            Content::Dialogue { turns } => dialogue::compose(&mut script, turns, seed),
            Content::Mixed { parts } => mixed::compose(&mut script, parts, seed)?,
        }
        let held_out = self.unseen().next().is_some();
        Ok(Sample {
            seed: u64::from(seed),
            task: self.task(),
            split: if held_out {
                Split::Heldout
            } else {
                Split::Eval
            },
            prompt: self.prompt().to_owned(),
            blocks: script.blocks,
            answer: script.answer,
            option_letter: script.option_letter,
            held_out,
        })
    }

    /// What the sample asks for.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.content {
            Content::VisualQa { .. } => Task::VisualQa,
            Content::AudioQa { .. } => Task::AudioQa,
            Content::Speech { .. } => Task::Speech,
            Content::VideoQa { .. } => Task::VideoQa,
            Content::Dialogue { .. } => Task::Dialogue,
            Content::Mixed { .. } => Task::Mixed,
        }
    }

    /// The instruction.
    #[must_use]
    pub fn prompt(&self) -> &'static str {
        let wordings = match self.task() {
            Task::VisualQa => visual_qa::PROMPTS,
            Task::AudioQa => audio_qa::PROMPTS,
            Task::Speech => speech::PROMPTS,
            Task::VideoQa => video_qa::PROMPTS,
            Task::Dialogue => dialogue::PROMPTS,
            Task::Mixed => mixed::PROMPTS,
        };
        wordings[0]
    }
}

/// The scenes one after another.
pub(crate) fn cut(specs: &[SceneSpec]) -> Vec<Scene> {
    let mut scenes: Vec<Scene> = Vec::new();
    for spec in specs {
        let start_secs = scenes.last().map_or(0.0, |own| own.end_secs);
        scenes.push(Scene {
            start_secs,
            end_secs: start_secs + f64::from(spec.secs),
            look: spec.look(),
        });
    }
    scenes
}

#[cfg(test)]
mod tests;

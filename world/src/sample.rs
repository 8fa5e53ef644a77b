//! One sample of the world: what is asked, what is shown and heard, and what each answer sentence rests on.

use crate::attributes::Look;
use crate::{Split, Task};
use serde::{Deserialize, Serialize};

/// The rate of every sound of the world.
pub const SOUND_RATE_HZ: u32 = 16_000;
/// The frame rate of every film of the world.
pub const FILM_FPS: u32 = 8;

/// One sample: a seed, a task and a split give exactly one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The seed it was made from.
    pub seed: u64,
    /// The task.
    pub task: Task,
    /// The split it belongs to.
    pub split: Split,
    /// The instruction; not among the text units.
    pub prompt: String,
    /// What follows the instruction, in order.
    pub blocks: Vec<Block>,
    /// The expected answer, sentence by sentence.
    pub answer: Vec<Sentence>,
    /// The letter of the right option, for tasks with options.
    pub option_letter: Option<char>,
    /// Whether it holds an attribute combination or voice that training never shows.
    pub held_out: bool,
}

impl Sample {
    /// The answer as one text: its sentences joined by a space.
    #[must_use]
    pub fn answer_text(&self) -> String {
        let sentences: Vec<&str> = self.answer.iter().map(|s| s.sentence.as_str()).collect();
        sentences.join(" ")
    }

    /// The text units: the lines of all text blocks in order, the instruction excluded. [`Support::text`] counts over these.
    #[must_use]
    pub fn text_units(&self) -> Vec<&str> {
        self.blocks
            .iter()
            .filter_map(|block| match block {
                Block::Text(text) => Some(text.split_inclusive('\n')),
                _ => None,
            })
            .flatten()
            .collect()
    }
}

/// One block of the question.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Lines of text, each ending in `\n`: one line is one unit.
    Text(String),
    /// A picture.
    Image(Picture),
    /// A sound.
    Audio(Sound),
    /// A film with its sound.
    Video(Film),
}

impl Block {
    /// The film, where it is one.
    #[must_use]
    pub fn film(&self) -> Option<&Film> {
        match self {
            Self::Video(film) => Some(film),
            _ => None,
        }
    }
}

/// A drawn picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// RGB, row by row.
    pub rgb: Vec<u8>,
    /// What it shows.
    pub objects: Vec<Placed>,
}

/// A coloured shape and where it was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// What it is.
    #[serde(flatten)]
    pub look: Look,
    /// x0, y0, x1, y1 of the drawn pixels, in fractions of width and height.
    pub rect: [f64; 4],
}

/// A sound at [`SOUND_RATE_HZ`], mono.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples in -1..1.
    pub samples: Vec<f32>,
    /// What is heard when: events, or spoken words.
    pub segments: Vec<Segment>,
}

/// A named stretch of a sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it starts.
    pub start_secs: f64,
    /// Where it ends.
    pub end_secs: f64,
    /// The event's name or the word.
    pub label: String,
}

/// A film at [`FILM_FPS`]: one coloured shape at a time, moving, with sounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Film {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// RGB frames.
    pub frames: Vec<Vec<u8>>,
    /// What each frame shows.
    pub shown: Vec<Placed>,
    /// Which shape is shown from when to when.
    pub scenes: Vec<Scene>,
    /// As long as the picture.
    pub sound: Sound,
}

/// A stretch of a film that shows one coloured shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scene {
    /// A whole second.
    pub start_secs: f64,
    /// A whole second.
    pub end_secs: f64,
    /// What is shown.
    pub look: Look,
}

/// One sentence of the answer and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence.
    pub sentence: String,
    /// Its sources; never empty.
    pub support: Support,
}

/// The exact sources of a sentence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Support {
    /// Indices into [`Sample::text_units`]: lines of all text blocks, the instruction excluded.
    pub text: Vec<usize>,
    /// Parts of pictures.
    pub image: Vec<ImageSupport>,
    /// Start and end in seconds, in the sample's sound or film (a sample has one at most).
    pub time: Vec<[f64; 2]>,
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageSupport {
    /// Which picture: index among the sample's image blocks.
    pub image: usize,
    /// x0, y0, x1, y1 in fractions of width and height.
    pub rect: [f64; 4],
}

impl Support {
    /// A text unit.
    #[must_use]
    pub fn text(unit: usize) -> Self {
        Self::default().and_text(unit)
    }

    /// A part of a picture.
    #[must_use]
    pub fn image(image: usize, rect: [f64; 4]) -> Self {
        Self::default().and_image(image, rect)
    }

    /// A stretch of time.
    #[must_use]
    pub fn time(start_secs: f64, end_secs: f64) -> Self {
        Self {
            time: vec![[start_secs, end_secs]],
            ..Self::default()
        }
    }

    /// Also a text unit.
    #[must_use]
    pub fn and_text(mut self, unit: usize) -> Self {
        self.text.push(unit);
        self
    }

    /// Also a part of a picture.
    #[must_use]
    pub fn and_image(mut self, image: usize, rect: [f64; 4]) -> Self {
        self.image.push(ImageSupport { image, rect });
        self
    }

    /// Whether it names no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.image.is_empty() && self.time.is_empty()
    }
}

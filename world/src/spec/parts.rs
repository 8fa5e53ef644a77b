//! The data of a specification. It is what a link holds and what the server is sent.

use serde::{Deserialize, Serialize};

use super::TurnSpec;
use crate::attributes::{Colour, Look, Quadrant, Shape};
use crate::draw::Fact;
use crate::sound::Event;
use crate::speech::{VOICES, Voice};
use crate::vocabulary::{NAMES, OBJECTS, PLACES, VERBS};

/// A composed sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// From which follows what is not chosen.
    pub seed: u32,
    /// What is shown, heard and asked.
    pub content: Content,
}

/// What is shown, heard and asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// Pictures and a question about them.
    VisualQa {
        /// In order.
        pictures: Vec<PictureSpec>,
        /// What is asked.
        question: Asked,
    },
    /// Sound events and a question about them.
    AudioQa {
        /// In order.
        sounds: Vec<EventSpec>,
        /// What is asked.
        question: Asked,
    },
    /// Spoken sentences to be summed up.
    Speech {
        /// In order.
        said: Vec<SaidSpec>,
    },
    /// A film and a question about it.
    VideoQa {
        /// In order.
        scenes: Vec<SceneSpec>,
        /// What is asked.
        question: Asked,
    },
    /// A conversation to be summed up.
    Dialogue {
        /// In order.
        turns: Vec<TurnSpec>,
    },
    /// A line of text, a picture and a sound, all to be described.
    Mixed {
        /// In order.
        parts: Vec<PartSpec>,
    },
}

/// What is asked, among what training asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What about.
    pub kind: Kind,
    /// Index of the object (over all pictures), sound or scene that the question names.
    pub of: usize,
    /// Which of the question's wordings.
    pub wording: usize,
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The colour of a shape.
    Colour,
    /// The corner of a shape.
    Place,
    /// How many objects there are in all pictures.
    Count,
    /// Which of at least three pictures shows a shape.
    Picture,
    /// What is heard or shown first.
    First,
    /// What is heard or shown last.
    Last,
    /// What is heard right after a sound.
    After,
    /// What is heard right before a sound.
    Before,
    /// What a film shows when a sound is heard.
    SeenWhenHeard,
    /// What is heard while a film shows something.
    HeardWhileSeen,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSpec {
    /// Columns: 112, 140 or 168.
    pub width: u32,
    /// Rows: 112, 140 or 168.
    pub height: u32,
    /// What it shows, one thing to a quarter.
    pub objects: Vec<ObjectSpec>,
}

/// A coloured shape in its quarter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectSpec {
    /// What it is.
    pub shape: Shape,
    /// Its colour.
    pub colour: Colour,
    /// Where.
    pub quadrant: Quadrant,
    /// Pixels to the right of the quarter's middle.
    pub dx: i8,
    /// Pixels below the quarter's middle.
    pub dy: i8,
    /// How far it reaches: 19 to 24 pixels.
    pub radius_px: u8,
}

/// A sound event on a track.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// What is heard.
    pub event: Event,
    /// Where it begins; it waits until the one before is over.
    pub at_secs: f64,
    /// How long.
    pub secs: f64,
}

/// Somebody did something somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactSpec {
    /// Who, one of [`NAMES`].
    pub name: String,
    /// What, one of [`VERBS`].
    pub verb: String,
    /// To what, one of [`OBJECTS`].
    pub object: String,
    /// Where, one of [`PLACES`].
    pub place: String,
}

/// A spoken sentence on a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaidSpec {
    /// What is said.
    pub fact: FactSpec,
    /// Whose voice: the name of one of [`VOICES`].
    pub voice: String,
    /// On the voice's own pace.
    pub speed: f64,
    /// Where it begins; it waits until the one before is over.
    pub at_secs: f64,
}

/// A scene of a film: one thing, moving.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneSpec {
    /// What is shown.
    pub shape: Shape,
    /// Its colour.
    pub colour: Colour,
    /// Whole seconds.
    pub secs: u8,
    /// What is heard meanwhile.
    pub heard: Option<HeardSpec>,
}

/// The sound of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeardSpec {
    /// What is heard.
    pub event: Event,
    /// Seconds after the scene's begin.
    pub at_secs: f64,
    /// How long.
    pub secs: f64,
}

/// A part of a mixed sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PartSpec {
    /// A line of text.
    Text(FactSpec),
    /// A picture of one or two things.
    Picture(PictureSpec),
    /// One spoken sentence.
    Speech {
        /// Exactly one.
        said: Vec<SaidSpec>,
    },
    /// One or two sound events.
    Events {
        /// In order.
        sounds: Vec<EventSpec>,
    },
}

impl ObjectSpec {
    /// As a sentence names it.
    #[must_use]
    pub fn look(&self) -> Look {
        Look {
            shape: self.shape,
            colour: self.colour,
        }
    }
}

impl SceneSpec {
    /// As a sentence names it.
    #[must_use]
    pub fn look(&self) -> Look {
        Look {
            shape: self.shape,
            colour: self.colour,
        }
    }
}

impl PictureSpec {
    /// What it shows, from the top left to the bottom right.
    pub(crate) fn in_reading_order(&self) -> Vec<(Look, Quadrant)> {
        let mut chosen: Vec<(Look, Quadrant)> = (self.objects.iter())
            .map(|own| (own.look(), own.quadrant))
            .collect();
        chosen.sort_by_key(|own| own.1);
        chosen
    }
}

/// Picture and quarter of the object with this index over all pictures.
pub(crate) fn object_at(pictures: &[PictureSpec], of: usize) -> Option<(usize, Quadrant)> {
    (pictures.iter().enumerate())
        .flat_map(|(k, own)| own.objects.iter().map(move |own| (k, own.quadrant)))
        .nth(of)
}

impl FactSpec {
    /// The fact in the vocabulary's words; none where a word is not in it.
    pub(crate) fn fact(&self) -> Option<Fact> {
        let known =
            |words: &[&'static str], own: &str| words.iter().copied().find(|word| *word == own);
        Some(Fact {
            name: known(&NAMES, &self.name)?,
            verb: known(&VERBS, &self.verb)?,
            object: known(&OBJECTS, &self.object)?,
            place: known(&PLACES, &self.place)?,
        })
    }

    /// As it is spoken: `Anna lost a boat at the school`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self {
            name,
            verb,
            object,
            place,
        } = self;
        format!("{name} {verb} a {object} at the {place}")
    }
}

impl SaidSpec {
    /// The voice; none where there is no such.
    pub(crate) fn voice(&self) -> Option<Voice> {
        VOICES.into_iter().find(|voice| voice.name == self.voice)
    }
}

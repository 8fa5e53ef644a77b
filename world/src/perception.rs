//! Dense samples for the encoders alone: many shapes, events or words in one picture or sound.

use crate::attributes::Quadrant;
use crate::draw::Draw;
use crate::picture;
use crate::rng::Rng;
use crate::sample::Block;
use crate::sound::Event;
use crate::track::Track;
use crate::vocabulary::spoken_words;
use crate::{Split, WorldError};
use core::str::FromStr;

/// What a perception sample shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perception {
    /// A picture of one to four shapes.
    Image,
    /// A row of sound events.
    Event,
    /// Spoken sentences and loose words.
    Speech,
}

impl Perception {
    /// The kind's name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Event => "event",
            Self::Speech => "speech",
        }
    }
}

impl FromStr for Perception {
    type Err = WorldError;

    fn from_str(name: &str) -> Result<Self, WorldError> {
        [Self::Image, Self::Event, Self::Speech]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| WorldError::UnknownTask(name.to_owned()))
    }
}

/// The picture or sound of `seed`, with its labels inside.
///
/// # Errors
/// [`WorldError::Unspeakable`] where the word bank lacks a word of the vocabulary, which the crate's tests rule out.
pub fn perceive(kind: Perception, seed: u64, split: Split) -> Result<Block, WorldError> {
    let mut rng = Rng::keyed(
        seed,
        &format!("{}/perception-{}", split.name(), kind.name()),
    );
    let rng = &mut rng;
    let draw = &mut Draw::new(split);
    Ok(match kind {
        Perception::Image => {
            let mut quadrants = Quadrant::ALL;
            rng.shuffle(&mut quadrants);
            let count = rng.between(1, 4);
            let looks: Vec<_> = quadrants
                .into_iter()
                .take(count)
                .map(|q| (draw.look(rng), q))
                .collect();
            Block::Image(picture::draw(&looks, rng))
        }
        Perception::Event => Block::Audio(events(rng)),
        Perception::Speech => Block::Audio(speech(draw, rng)?),
    })
}

fn events(rng: &mut Rng) -> crate::sample::Sound {
    let mut track = Track::new();
    track.pause(rng.range_f64(0.1, 0.8));
    for k in 0..rng.between(3, 6) {
        if k > 0 {
            track.pause(rng.range_f64(0.2, 0.8));
        }
        let length = rng.range_f64(0.7, 1.4);
        track.event(Event::ALL[rng.below(Event::ALL.len())], length, rng);
    }
    track.pause(rng.range_f64(0.1, 0.6));
    let level = rng.range_f64(0.001, 0.010);
    track.finish(level, rng)
}

fn speech(draw: &mut Draw, rng: &mut Rng) -> Result<crate::sample::Sound, WorldError> {
    let all: Vec<&'static str> = spoken_words().collect();
    let mut track = Track::new();
    track.pause(rng.range_f64(0.05, 0.5));
    for k in 0..rng.between(2, 3) {
        if k > 0 {
            track.pause(rng.range_f64(0.3, 0.6));
        }
        let (voice, speed) = (draw.voice(rng), rng.range_f64(0.9, 1.35));
        // Loose words: no word is told by its neighbours.
        let count = rng.between(3, 7);
        let loose: Vec<&'static str> = (0..count).map(|_| all[rng.below(all.len())]).collect();
        if rng.chance(0.5) {
            track.fact(draw.fact(rng), voice, speed, rng)?;
        } else {
            track.words(&loose, voice, speed, rng)?;
        }
    }
    track.pause(rng.range_f64(0.05, 0.4));
    let level = rng.range_f64(0.001, 0.005);
    Ok(track.finish(level, rng))
}

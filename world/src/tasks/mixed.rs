//! Mixed: a line of text, a picture and a sound in any order; the answer says what each holds.

use crate::WorldError;
use crate::attributes::{Look, Quadrant};
use crate::draw::{Draw, Fact};
use crate::picture;
use crate::rng::Rng;
use crate::sample::{Picture, Support};
use crate::script::Script;
use crate::sound::Event;
use crate::spec::PartSpec;
use crate::tasks::dialogue::tell_fact;
use crate::track::{self, Span, Track};

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &[
    "Describe everything that you read, see and hear.",
    "Describe everything that you see, hear and read.",
];

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) -> Result<(), WorldError> {
    let mut parts = [0, 1, 2];
    rng.shuffle(&mut parts);
    for part in parts {
        match part {
            0 => text(script, draw, rng),
            1 => image(script, draw, rng),
            _ if rng.chance(0.5) => speech(script, draw, rng)?,
            _ => events(script, draw, rng),
        }
    }
    Ok(())
}

/// The parts of a specification. The specification is checked.
pub(crate) fn compose(
    script: &mut Script,
    parts: &[PartSpec],
    seed: u32,
) -> Result<(), WorldError> {
    for part in parts {
        match part {
            PartSpec::Text(fact) => {
                if let Some(fact) = fact.fact() {
                    tell_fact(script, fact);
                }
            }
            PartSpec::Picture(spec) => {
                let chosen = spec.in_reading_order();
                tell_picture(
                    script,
                    picture::draw_specified(spec, &chosen, seed, 0),
                    &chosen,
                );
            }
            PartSpec::Speech { said } => {
                let (sound, told) = track::of_said(said, seed)?;
                script.audio(sound);
                for (fact, span) in told {
                    tell_speech(script, fact, span);
                }
            }
            PartSpec::Events { sounds } => {
                let (sound, spans) = track::of_specified(sounds, seed);
                let events: Vec<Event> = sounds.iter().map(|own| own.event).collect();
                script.audio(sound);
                tell_events(script, &events, &spans);
            }
        }
    }
    Ok(())
}

fn text(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    tell_fact(script, draw.fact(rng));
}

fn image(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let mut quadrants = Quadrant::ALL;
    rng.shuffle(&mut quadrants);
    let count = if rng.chance(0.6) { 1 } else { 2 };
    let mut chosen: Vec<(Look, Quadrant)> = Vec::new();
    for quadrant in quadrants.into_iter().take(count) {
        chosen.push((draw.look(rng), quadrant));
    }
    chosen.sort_by_key(|c| c.1);
    tell_picture(script, picture::draw(&chosen, rng), &chosen);
}

fn tell_picture(script: &mut Script, picture: Picture, chosen: &[(Look, Quadrant)]) {
    let rects: Vec<[f64; 4]> = picture.objects.iter().map(|o| o.rect).collect();
    let image = script.image(picture);
    for (k, (&(look, quadrant), rect)) in chosen.iter().zip(rects).enumerate() {
        let opening = if k == 0 {
            "The picture shows"
        } else {
            "It also shows"
        };
        script.say(
            format!(
                "{opening} {} at the {}.",
                look.with_article(),
                quadrant.name()
            ),
            Support::image(image, rect),
        );
    }
}

fn speech(script: &mut Script, draw: &mut Draw, rng: &mut Rng) -> Result<(), WorldError> {
    let mut track = Track::new();
    track.pause(rng.range_f64(0.1, 0.4));
    let fact = draw.fact(rng);
    let (voice, speed) = (draw.voice(rng), rng.range_f64(0.95, 1.3));
    let span = track.fact(fact, voice, speed, rng)?;
    track.pause(rng.range_f64(0.1, 0.3));
    let level = rng.range_f64(0.001, 0.004);
    script.audio(track.finish(level, rng));
    tell_speech(script, fact, span);
    Ok(())
}

fn tell_speech(script: &mut Script, fact: Fact, (start, end): Span) {
    let sentence = format!("The speaker says that {} {}.", fact.name, fact.deed());
    script.say(sentence, Support::time(start, end));
}

fn events(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let count = rng.between(1, 2);
    let events = draw.events(count, rng);
    let (sound, spans) = track::of_events(&events, rng);
    script.audio(sound);
    tell_events(script, &events, &spans);
}

fn tell_events(script: &mut Script, events: &[Event], spans: &[Span]) {
    for (k, (event, &(start, end))) in events.iter().zip(spans).enumerate() {
        let opening = match k {
            0 if events.len() == 1 => "The only sound is",
            0 => "The first sound is",
            _ => "The last sound is",
        };
        script.say(
            format!("{opening} {}.", event.with_article()),
            Support::time(start, end),
        );
    }
}

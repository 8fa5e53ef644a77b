//! Mixed: a line of text, a picture and a sound in any order; the answer says what each holds.

use crate::WorldError;
use crate::attributes::{Look, Quadrant};
use crate::draw::Draw;
use crate::picture;
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::Script;
use crate::track::{self, Track};

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

fn text(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let fact = draw.fact(rng);
    let unit = script.line(&format!("{}: I {}.", fact.name, fact.deed()));
    script.say(
        format!("{} {}.", fact.name, fact.deed()),
        Support::text(unit),
    );
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
    let picture = picture::draw(&chosen, rng);
    let rects: Vec<[f64; 4]> = picture.objects.iter().map(|o| o.rect).collect();
    let image = script.image(picture);
    for (k, ((look, quadrant), rect)) in chosen.into_iter().zip(rects).enumerate() {
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
    let (start, end) = track.fact(fact, voice, speed, rng)?;
    track.pause(rng.range_f64(0.1, 0.3));
    let level = rng.range_f64(0.001, 0.004);
    script.audio(track.finish(level, rng));
    let sentence = format!("The speaker says that {} {}.", fact.name, fact.deed());
    script.say(sentence, Support::time(start, end));
    Ok(())
}

fn events(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let count = rng.between(1, 2);
    let events = draw.events(count, rng);
    let (sound, spans) = track::of_events(&events, rng);
    script.audio(sound);
    for (k, (event, (start, end))) in events.into_iter().zip(spans).enumerate() {
        let opening = if k == 0 {
            "The first sound is"
        } else {
            "The last sound is"
        };
        let opening = if count == 1 {
            "The only sound is"
        } else {
            opening
        };
        script.say(
            format!("{opening} {}.", event.with_article()),
            Support::time(start, end),
        );
    }
}

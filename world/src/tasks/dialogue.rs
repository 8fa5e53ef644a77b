//! Dialogue summary: turns of facts, chit-chat and pictures; the answer retells facts and pictures in order.

use crate::attributes::{Look, Quadrant};
use crate::draw::{Draw, Fact};
use crate::picture;
use crate::rng::Rng;
use crate::sample::{Picture, Support};
use crate::script::{Script, chosen_wording, wording};
use crate::spec::TurnSpec;
use crate::vocabulary::NAMES;

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &[
    "Summarize the conversation.",
    "Summarize this conversation.",
];

/// Small talk, which no summary retells.
pub const CHAT: [&str; 8] = [
    "Good morning everyone.",
    "That is nice to hear.",
    "Thank you very much.",
    "How are you today?",
    "I am so tired.",
    "What a lovely day!",
    "See you tomorrow.",
    "I did not know that.",
];

/// What is said with a picture.
pub const SHOWS: [&str; 3] = [
    "I made this picture.",
    "Look at this picture.",
    "Here is my new picture.",
];

enum Turn {
    Fact,
    Chat,
    Picture,
}

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let count = rng.between(3, 5);
    // At least two facts, at most one picture; the rest is chat or further facts.
    let mut turns = vec![Turn::Fact, Turn::Fact];
    if rng.chance(0.5) {
        turns.push(Turn::Picture);
    }
    while turns.len() < count {
        turns.push(if rng.chance(0.5) {
            Turn::Chat
        } else {
            Turn::Fact
        });
    }
    rng.shuffle(&mut turns);
    for turn in turns {
        match turn {
            Turn::Fact => tell_fact(script, draw.fact(rng)),
            Turn::Chat => {
                let name = NAMES[rng.below(NAMES.len())];
                script.line(&format!("{name}: {}", wording(&CHAT, rng)));
            }
            Turn::Picture => {
                let name = NAMES[rng.below(NAMES.len())];
                let words = wording(&SHOWS, rng);
                let look = draw.look(rng);
                let quadrant = Quadrant::ALL[rng.below(4)];
                let picture = picture::draw(&[(look, quadrant)], rng);
                tell_picture(script, (name, words), look, picture);
            }
        }
    }
}

/// The turns of a specification. The specification is checked.
pub(crate) fn compose(script: &mut Script, turns: &[TurnSpec], seed: u32) {
    for turn in turns {
        match turn {
            TurnSpec::Fact(fact) => {
                if let Some(fact) = fact.fact() {
                    tell_fact(script, fact);
                }
            }
            TurnSpec::Chat { name, wording } => {
                script.line(&format!("{name}: {}", chosen_wording(&CHAT, *wording, "")));
            }
            TurnSpec::Picture {
                name,
                wording,
                picture: spec,
            } => {
                let chosen = spec.in_reading_order();
                let picture = picture::draw_specified(spec, &chosen, seed, 0);
                if let Some(&(look, _)) = chosen.first() {
                    let words = chosen_wording(&SHOWS, *wording, "");
                    tell_picture(script, (name, &words), look, picture);
                }
            }
        }
    }
}

/// A line of text, retold.
pub(crate) fn tell_fact(script: &mut Script, fact: Fact) {
    let unit = script.line(&format!("{}: I {}.", fact.name, fact.deed()));
    script.say(
        format!("{} {}.", fact.name, fact.deed()),
        Support::text(unit),
    );
}

/// Who shows a picture of one thing, and with which words.
fn tell_picture(script: &mut Script, (name, words): (&str, &str), look: Look, picture: Picture) {
    let unit = script.line(&format!("{name}: {words}"));
    let whole = [0.0, 0.0, 1.0, 1.0];
    let rect = picture.objects.first().map_or(whole, |own| own.rect);
    let image = script.image(picture);
    script.say(
        format!("{name} shared a picture of {}.", look.with_article()),
        Support::image(image, rect).and_text(unit),
    );
}

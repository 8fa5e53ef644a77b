//! Dialogue summary: turns of facts, chit-chat and pictures; the answer retells facts and pictures in order.

use crate::attributes::Quadrant;
use crate::draw::Draw;
use crate::picture;
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::{Script, wording};
use crate::vocabulary::NAMES;

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &[
    "Summarize the conversation.",
    "Summarize this conversation.",
];

const CHAT: [&str; 8] = [
    "Good morning everyone.",
    "That is nice to hear.",
    "Thank you very much.",
    "How are you today?",
    "I am so tired.",
    "What a lovely day!",
    "See you tomorrow.",
    "I did not know that.",
];

const SHOWS: [&str; 3] = [
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
            Turn::Fact => {
                let fact = draw.fact(rng);
                let unit = script.line(&format!("{}: I {}.", fact.name, fact.deed()));
                script.say(
                    format!("{} {}.", fact.name, fact.deed()),
                    Support::text(unit),
                );
            }
            Turn::Chat => {
                let name = NAMES[rng.below(NAMES.len())];
                script.line(&format!("{name}: {}", wording(&CHAT, rng)));
            }
            Turn::Picture => {
                let name = NAMES[rng.below(NAMES.len())];
                let unit = script.line(&format!("{name}: {}", wording(&SHOWS, rng)));
                let look = draw.look(rng);
                let quadrant = Quadrant::ALL[rng.below(4)];
                let picture = picture::draw(&[(look, quadrant)], rng);
                let rect = picture
                    .objects
                    .first()
                    .map_or([0.0, 0.0, 1.0, 1.0], |o| o.rect);
                let image = script.image(picture);
                script.say(
                    format!("{name} shared a picture of {}.", look.with_article()),
                    Support::image(image, rect).and_text(unit),
                );
            }
        }
    }
}

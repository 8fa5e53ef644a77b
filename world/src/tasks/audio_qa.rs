//! Audio question: three or four sound events in mild noise, and which comes first, last, before or after.

use crate::draw::Draw;
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::{Options, Script, wording};
use crate::sound::Event;
use crate::track;

/// The instruction.
pub(crate) const PROMPT: &str =
    "Listen to the audio and answer the question. Explain your reasoning step by step.";

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let count = rng.between(3, 4);
    let events = draw.events(count, rng);
    let (sound, spans) = track::of_events(&events, rng);
    script.audio(sound);
    for (k, (event, &(start, end))) in events.iter().zip(&spans).enumerate() {
        let opening = match k {
            0 => "The first sound is",
            _ if k + 1 == count => "The last sound is",
            _ => "Then there is",
        };
        script.say(
            format!("{opening} {}.", event.with_article()),
            Support::time(start, end),
        );
    }
    let last = count - 1;
    let (answer, question, conclusion) = match rng.below(4) {
        0 => {
            let asked = wording(
                &["Which sound comes first?", "What is the first sound?"],
                rng,
            );
            (
                0,
                asked.to_owned(),
                format!("So the first sound is {}.", events[0].with_article()),
            )
        }
        1 => {
            let asked = wording(&["Which sound comes last?", "What is the last sound?"], rng);
            (
                last,
                asked.to_owned(),
                format!("So the last sound is {}.", events[last].with_article()),
            )
        }
        kind => {
            let (word, answer, key) = if kind == 2 {
                let k = rng.between(1, last);
                ("after", k, events[k - 1])
            } else {
                let k = rng.between(0, last - 1);
                ("before", k, events[k + 1])
            };
            let key = key.name();
            let asked = if rng.chance(0.5) {
                format!("Which sound comes right {word} the {key}?")
            } else {
                format!("What do you hear right {word} the {key}?")
            };
            let found = events[answer].with_article();
            (
                answer,
                asked,
                format!("So right {word} the {key} there is {found}."),
            )
        }
    };
    // One wrong option is heard as well, so that hearing alone does not tell; the other may not be.
    let mut wrong: Vec<Event> = events
        .iter()
        .copied()
        .filter(|&e| e != events[answer])
        .collect();
    rng.shuffle(&mut wrong);
    wrong.truncate(1);
    let mut any = Event::ALL;
    rng.shuffle(&mut any);
    wrong.extend(any);
    let options = Options::new(
        events[answer].name(),
        wrong.into_iter().map(|e| e.name().to_owned()),
        rng,
    );
    let (start, end) = spans[answer];
    script.ask(&question, &options, &conclusion, Support::time(start, end));
}

//! Audio question: two to six sound events in mild noise, and which comes first, last, before or after.

use crate::draw::Draw;
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::{Options, Script, wording_with};
use crate::sound::Event;
use crate::track;

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &[
    "Listen to the audio and answer the question. Explain your reasoning step by step.",
    "Answer the question about the sounds. Explain your reasoning step by step.",
];

const AT_AN_END: &[&str] = &[
    "Which sound comes {}?",
    "What is the {} sound?",
    "What do you hear {}?",
    "Which sound is heard {}?",
];
const NEXT_TO: &[&str] = &[
    "Which sound comes right {}?",
    "What do you hear right {}?",
    "Which sound is heard right {}?",
    "What comes right {}?",
];

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let count = match rng.below(20) {
        0..3 => 2,
        3..9 => 3,
        9..15 => 4,
        15..18 => 5,
        _ => 6,
    };
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
        end @ 0..2 => {
            let (answer, when) = [(0, "first"), (last, "last")][end];
            let found = events[answer].with_article();
            (
                answer,
                wording_with(AT_AN_END, when, rng),
                format!("So the {when} sound is {found}."),
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
            let beside = format!("{word} the {}", key.name());
            let found = events[answer].with_article();
            (
                answer,
                wording_with(NEXT_TO, &beside, rng),
                format!("So right {beside} there is {found}."),
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

//! Audio question: two to six sound events in mild noise, and which comes first, last, before or after.

use crate::draw::Draw;
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::{Options, Script, chosen_wording, wording_with};
use crate::sound::Event;
use crate::spec::{Asked, EventSpec, Kind};
use crate::track::{self, Span};

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

/// What may be asked, and how; before and after are said in the place of `{}`.
pub(crate) fn wordings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::First | Kind::Last => AT_AN_END,
        Kind::After | Kind::Before => NEXT_TO,
        _ => &[],
    }
}

/// What stands in the place of `{}`: `first`, or `after the bell`.
pub(crate) fn key(kind: Kind, of: Event) -> String {
    match kind {
        Kind::First => "first".to_owned(),
        Kind::Last => "last".to_owned(),
        Kind::After => format!("after the {}", of.name()),
        _ => format!("before the {}", of.name()),
    }
}

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
    tell(script, &events, &spans);
    let last = count - 1;
    // Which sound is spoken of, and what about it.
    let (kind, of) = match rng.below(4) {
        0 => (Kind::First, 0),
        1 => (Kind::Last, last),
        2 => (Kind::After, rng.between(1, last) - 1),
        _ => (Kind::Before, rng.between(0, last - 1) + 1),
    };
    let question = wording_with(wordings(kind), &key(kind, events[of]), rng);
    ask(script, kind, of, &question, &events, &spans, rng);
}

/// The sounds of a specification, and its question. The specification is checked.
pub(crate) fn compose(script: &mut Script, sounds: &[EventSpec], asked: Asked, seed: u32) {
    let (sound, spans) = track::of_specified(sounds, seed);
    let events: Vec<Event> = sounds.iter().map(|own| own.event).collect();
    script.audio(sound);
    tell(script, &events, &spans);
    let Some(&of) = events.get(asked.of) else {
        return;
    };
    let question = chosen_wording(wordings(asked.kind), asked.wording, &key(asked.kind, of));
    let rng = &mut Rng::keyed(u64::from(seed), "composed/audio-qa/options");
    ask(
        script, asked.kind, asked.of, &question, &events, &spans, rng,
    );
}

/// Says what is heard, in order.
fn tell(script: &mut Script, events: &[Event], spans: &[Span]) {
    for (k, (event, &(start, end))) in events.iter().zip(spans).enumerate() {
        let opening = match k {
            0 => "The first sound is",
            _ if k + 1 == events.len() => "The last sound is",
            _ => "Then there is",
        };
        script.say(
            format!("{opening} {}.", event.with_article()),
            Support::time(start, end),
        );
    }
}

/// The question about the sound `of`, with its options and the conclusion.
fn ask(
    script: &mut Script,
    kind: Kind,
    of: usize,
    question: &str,
    events: &[Event],
    spans: &[Span],
    rng: &mut Rng,
) {
    let answer = match kind {
        Kind::After => of + 1,
        Kind::Before => of.saturating_sub(1),
        _ => of,
    };
    let found = events[answer].with_article();
    let key = key(kind, events[of]);
    let conclusion = match kind {
        Kind::First | Kind::Last => format!("So the {key} sound is {found}."),
        _ => format!("So right {key} there is {found}."),
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
    script.ask(question, &options, &conclusion, Support::time(start, end));
}

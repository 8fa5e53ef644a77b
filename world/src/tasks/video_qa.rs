//! Video question: a film of two to five scenes with sound events; what is shown when, or heard with what.

use crate::Split;
use crate::attributes::Look;
use crate::draw::Draw;
use crate::film;
use crate::rng::Rng;
use crate::sample::{Scene, Support};
use crate::script::{Options, Script, chosen_wording, wording_with, wrong_looks};
use crate::sound::Event;
use crate::spec::{Asked, Kind, SceneSpec};
use crate::track::{self, Heard, Track};

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &[
    "Watch the film and answer the question. Explain your reasoning step by step.",
    "Answer the question about the film. Explain your reasoning step by step.",
];

const AT_AN_END: &[&str] = &[
    "What is shown {}?",
    "Which object comes {}?",
    "What do you see {}?",
    "Which object is shown {}?",
];
const SEEN_WHEN_HEARD: &[&str] = &[
    "What is on the screen when the {} is heard?",
    "What is shown when the {} is heard?",
    "What do you see when the {} is heard?",
    "Which object is shown when you hear the {}?",
];
const HEARD_WHILE_SEEN: &[&str] = &[
    "Which sound is heard while the {} is shown?",
    "What can you hear while the {} is shown?",
    "What do you hear when you see the {}?",
    "Which sound comes while the {} is on the screen?",
];

/// What may be asked, and how.
pub(crate) fn wordings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::First | Kind::Last => AT_AN_END,
        Kind::SeenWhenHeard => SEEN_WHEN_HEARD,
        Kind::HeardWhileSeen => HEARD_WHILE_SEEN,
        _ => &[],
    }
}

/// What stands in the place of `{}`: `first`, the name of a sound, or of what is shown. None where a scene has no sound.
pub(crate) fn key(kind: Kind, look: Look, heard: Option<Event>) -> Option<String> {
    match kind {
        Kind::First => Some("first".to_owned()),
        Kind::Last => Some("last".to_owned()),
        Kind::SeenWhenHeard => heard.map(|event| event.name().to_owned()),
        _ => heard.map(|_| look.name()),
    }
}

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let scenes = scenes(draw, rng);
    let (sound, heard) = soundtrack(&scenes, draw, rng);
    script.video(film::draw(scenes.clone(), sound, rng));
    tell(script, &scenes, &heard);
    let with_sound: Vec<usize> = (0..scenes.len()).filter(|&k| heard[k].is_some()).collect();
    let noisy = rng.choose(&with_sound).copied().unwrap_or(0);
    let (kind, scene) = match (rng.below(10), heard[noisy]) {
        (3..7, Some(_)) => (Kind::SeenWhenHeard, noisy),
        (7.., Some(_)) => (Kind::HeardWhileSeen, noisy),
        _ if rng.chance(0.5) => (Kind::First, 0),
        _ => (Kind::Last, scenes.len() - 1),
    };
    let event = heard[scene].map(|(event, _)| event);
    let key = key(kind, scenes[scene].look, event).unwrap_or_default();
    let question = wording_with(wordings(kind), &key, rng);
    ask(script, draw, rng, kind, &question, &scenes, &heard, scene);
}

/// The scenes of a specification, and its question. The specification is checked.
pub(crate) fn compose(script: &mut Script, specs: &[SceneSpec], asked: Asked, seed: u32) {
    let scenes = crate::spec::cut(specs);
    let (sound, heard) = track::of_scenes(&scenes, specs, seed);
    script.video(film::draw_specified(scenes.clone(), sound, seed));
    tell(script, &scenes, &heard);
    let (Some(scene), Some(own)) = (scenes.get(asked.of), heard.get(asked.of)) else {
        return;
    };
    let event = own.map(|(event, _)| event);
    let key = key(asked.kind, scene.look, event).unwrap_or_default();
    let question = chosen_wording(wordings(asked.kind), asked.wording, &key);
    let rng = &mut Rng::keyed(u64::from(seed), "composed/video-qa/options");
    // Wrong options are such as training may show.
    let draw = &mut Draw::new(Split::Eval);
    ask(
        script, draw, rng, asked.kind, &question, &scenes, &heard, asked.of,
    );
}

/// Says what is shown and heard, scene by scene.
fn tell(script: &mut Script, scenes: &[Scene], heard: &[Heard]) {
    for (k, (scene, heard)) in scenes.iter().zip(heard).enumerate() {
        let what = scene.look.with_article();
        let sentence = match k {
            0 => format!("First {what} is shown."),
            _ => format!("Then {what} is shown."),
        };
        script.say(sentence, Support::time(scene.start_secs, scene.end_secs));
        if let Some((event, (start, end))) = heard {
            script.say(
                format!("At this time {} is heard.", event.with_article()),
                Support::time(*start, *end),
            );
        }
    }
}

/// The question about a scene, or about the sound in it, with its options and the conclusion.
#[allow(clippy::too_many_arguments)] // one call, all of it the question's matter
fn ask(
    script: &mut Script,
    draw: &mut Draw,
    rng: &mut Rng,
    kind: Kind,
    question: &str,
    scenes: &[Scene],
    heard: &[Heard],
    scene: usize,
) {
    let look = scenes[scene].look;
    let what = look.name();
    // The key is in one of the two tracks, the answer in the other; or both are in the pictures.
    match (kind, heard[scene]) {
        (Kind::SeenWhenHeard, Some((event, (start, end)))) => {
            let wrong = wrong_looks(&others(scenes, scene), rng, draw);
            let options = Options::new(&what, wrong, rng);
            let (name, found) = (event.name(), look.with_article());
            let conclusion = format!("So when the {name} is heard there is {found}.");
            script.ask(question, &options, &conclusion, Support::time(start, end));
        }
        (Kind::HeardWhileSeen, Some((event, (start, end)))) => {
            let mut any = Event::ALL;
            rng.shuffle(&mut any);
            let options = Options::new(event.name(), any.map(|e| e.name().to_owned()), rng);
            let found = event.with_article();
            let conclusion = format!("So while the {what} is shown there is {found}.");
            script.ask(question, &options, &conclusion, Support::time(start, end));
        }
        _ => {
            let when = if kind == Kind::First { "first" } else { "last" };
            let wrong = wrong_looks(&others(scenes, scene), rng, draw);
            let options = Options::new(&what, wrong, rng);
            let support = Support::time(scenes[scene].start_secs, scenes[scene].end_secs);
            let conclusion = format!("So {} is shown {when}.", look.with_article());
            script.ask(question, &options, &conclusion, support);
        }
    }
}

/// The looks of the other scenes: two at most, so that one wrong option may be new.
fn others(scenes: &[Scene], scene: usize) -> Vec<Look> {
    let other = |&(k, _): &(usize, &Scene)| k != scene;
    scenes
        .iter()
        .enumerate()
        .filter(other)
        .map(|(_, s)| s.look)
        .collect()
}

/// Two to five scenes of 2 to 4 s, 4 to 16 s in all; no look occurs twice, and neighbours differ in shape and colour.
fn scenes(draw: &mut Draw, rng: &mut Rng) -> Vec<Scene> {
    let count = match rng.below(20) {
        0..6 => 2,
        6..14 => 3,
        14..18 => 4,
        _ => 5,
    };
    let longest = if count == 5 { 3 } else { 4 };
    let lengths: Vec<usize> = (0..count).map(|_| rng.between(2, longest)).collect();
    let mut scenes: Vec<Scene> = Vec::new();
    let mut start = 0;
    for length in lengths {
        let look = loop {
            let look = draw.look(rng);
            let fresh = scenes.iter().all(|s| s.look != look);
            let apart = |s: &Scene| s.look.shape != look.shape && s.look.colour != look.colour;
            if fresh && scenes.last().is_none_or(apart) {
                break look;
            }
        };
        scenes.push(Scene {
            start_secs: start as f64,
            end_secs: (start + length) as f64,
            look,
        });
        start += length;
    }
    scenes
}

/// At least one and at most three scenes have a sound, which lies wholly within its scene.
fn soundtrack(
    scenes: &[Scene],
    draw: &mut Draw,
    rng: &mut Rng,
) -> (crate::sample::Sound, Vec<Heard>) {
    let mut order: Vec<usize> = (0..scenes.len()).collect();
    rng.shuffle(&mut order);
    let count = rng.between(1, scenes.len().min(3));
    let mut noisy = order[..count].to_vec();
    noisy.sort_unstable();
    let events = draw.events(count, rng);
    let mut track = Track::new();
    let mut heard = vec![None; scenes.len()];
    for (scene, event) in noisy.into_iter().zip(events) {
        let Scene {
            start_secs,
            end_secs,
            ..
        } = scenes[scene];
        let length = rng.range_f64(0.8, 1.3);
        let from = rng.range_f64(start_secs + 0.15, end_secs - 0.15 - length);
        track.pause_until(from);
        heard[scene] = Some((event, track.event(event, length, rng)));
    }
    if let Some(last) = scenes.last() {
        track.pause_until(last.end_secs);
    }
    let level = rng.range_f64(0.002, 0.006);
    (track.finish(level, rng), heard)
}

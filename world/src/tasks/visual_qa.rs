//! Visual question: one to four pictures of coloured shapes; a colour, a place, a count or a picture is asked for.

use crate::attributes::{Colour, Look, Quadrant};
use crate::draw::Draw;
use crate::picture;
use crate::rng::Rng;
use crate::sample::{Picture, Placed, Support};
use crate::script::{Options, Script, chosen_wording, number, wording_with};
use crate::spec::{Asked, Kind, PictureSpec};

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &[
    "Look at the pictures and answer the question. Explain your reasoning step by step.",
    "Answer the question about the pictures. Explain your reasoning step by step.",
];

const COLOUR_OF: &[&str] = &[
    "What colour is the {}?",
    "Which colour does the {} have?",
    "What is the colour of the {}?",
];
const PLACE_OF: &[&str] = &[
    "Where is the {}?",
    "In which corner is the {}?",
    "Which corner shows the {}?",
];
const HOW_MANY: &[&str] = &[
    "How many objects are there in total?",
    "How many objects do the pictures show?",
    "How many objects do you see?",
];
const PICTURE_OF: &[&str] = &[
    "Which picture shows the {}?",
    "In which picture is the {}?",
    "In which picture do you see the {}?",
];

pub(crate) const ORDINALS: [&str; 4] = ["first", "second", "third", "fourth"];
/// The largest count that the world says.
pub(crate) const MOST_OBJECTS: usize = 6;
const WHOLE: [f64; 4] = [0.0, 0.0, 1.0, 1.0];

/// An object of the sample and where it is.
#[derive(Clone, Copy)]
struct Seen {
    image: usize,
    quadrant: Quadrant,
    placed: Placed,
}

/// What may be asked, and how.
pub(crate) fn wordings(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Colour => COLOUR_OF,
        Kind::Place => PLACE_OF,
        Kind::Count => HOW_MANY,
        Kind::Picture => PICTURE_OF,
        _ => &[],
    }
}

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) {
    let images = match rng.below(20) {
        0..3 => 1,
        3..12 => 2,
        12..17 => 3,
        _ => 4,
    };
    let seen = show(images, script, draw, rng);
    let asked = seen[rng.below(seen.len())];
    let kind = match rng.below(if images >= 3 { 4 } else { 3 }) {
        0 => Kind::Colour,
        1 => Kind::Place,
        2 => Kind::Count,
        _ => Kind::Picture,
    };
    let key = asked.placed.look.shape.name();
    let question = wording_with(wordings(kind), key, rng);
    ask(script, kind, &question, &seen, asked, rng);
}

/// The pictures of a specification, and its question. The specification is checked.
pub(crate) fn compose(script: &mut Script, pictures: &[PictureSpec], asked: Asked, seed: u32) {
    let mut seen: Vec<Seen> = Vec::new();
    // Of the object that is asked about: which picture it is in, and its quarter.
    let at = crate::spec::object_at(pictures, asked.of);
    for (k, (ordinal, spec)) in ORDINALS.into_iter().zip(pictures).enumerate() {
        let chosen = spec.in_reading_order();
        let picture = picture::draw_specified(spec, &chosen, seed, k);
        present(script, &mut seen, ordinal, picture, &chosen);
    }
    let wanted = |own: &&Seen| Some((own.image, own.quadrant)) == at;
    let Some(&about) = seen.iter().find(wanted).or(seen.first()) else {
        return;
    };
    let key = about.placed.look.shape.name();
    let question = chosen_wording(wordings(asked.kind), asked.wording, key);
    let rng = &mut Rng::keyed(u64::from(seed), "composed/visual-qa/options");
    ask(script, asked.kind, &question, &seen, about, rng);
}

/// The question with its options and the conclusion.
fn ask(script: &mut Script, kind: Kind, question: &str, seen: &[Seen], asked: Seen, rng: &mut Rng) {
    let images = seen.iter().map(|s| s.image + 1).max().unwrap_or(0);
    let Look { shape, colour } = asked.placed.look;
    let shape = shape.name();
    let support = Support::image(asked.image, asked.placed.rect);
    let place = asked.quadrant.name();
    match kind {
        Kind::Colour => {
            let mut wrong: Vec<Colour> = seen.iter().map(|s| s.placed.look.colour).collect();
            rng.shuffle(&mut wrong);
            wrong.truncate(2);
            let mut any = Colour::ALL;
            rng.shuffle(&mut any);
            wrong.extend(any);
            let options = Options::new(
                colour.name(),
                wrong.into_iter().map(|c| c.name().to_owned()),
                rng,
            );
            let conclusion = format!("So the {shape} is {}.", colour.name());
            script.ask(question, &options, &conclusion, support);
        }
        Kind::Place => {
            let mut wrong = Quadrant::ALL;
            rng.shuffle(&mut wrong);
            let options = Options::new(place, wrong.into_iter().map(|q| q.name().to_owned()), rng);
            let conclusion = format!("So the {shape} is at the {place}.");
            script.ask(question, &options, &conclusion, support);
        }
        Kind::Count => {
            let count = seen.len();
            let mut wrong: Vec<usize> = (2..=MOST_OBJECTS)
                .filter(|&n| n != count && n.abs_diff(count) <= 2)
                .collect();
            rng.shuffle(&mut wrong);
            let options = Options::new(
                number(count),
                wrong.into_iter().map(|n| number(n).to_owned()),
                rng,
            );
            let support =
                (0..images).fold(Support::default(), |s, image| s.and_image(image, WHOLE));
            let conclusion = format!("So there are {} objects in total.", number(count));
            script.ask(question, &options, &conclusion, support);
        }
        _ => {
            let ordinal = ORDINALS[asked.image];
            let mut wrong = ORDINALS[..images].to_vec();
            rng.shuffle(&mut wrong);
            let options = Options::new(ordinal, wrong.into_iter().map(str::to_owned), rng);
            let conclusion = format!("So the {shape} is in the {ordinal} picture.");
            script.ask(question, &options, &conclusion, support);
        }
    }
}

/// How many objects a picture shows: one alone holds two or three, one of several one or two, six at most in all.
fn objects_of_each(images: usize, rng: &mut Rng) -> Vec<usize> {
    if images == 1 {
        return vec![rng.between(2, 3)];
    }
    let mut left = MOST_OBJECTS - images;
    (0..images)
        .map(|_| {
            let two = left > 0 && rng.chance(0.45);
            left -= usize::from(two);
            1 + usize::from(two)
        })
        .collect()
}

/// Shows the pictures and says what each shows. No shape occurs twice in a sample, so that a shape is a key.
fn show(images: usize, script: &mut Script, draw: &mut Draw, rng: &mut Rng) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let counts = objects_of_each(images, rng);
    for (ordinal, count) in ORDINALS.into_iter().zip(counts) {
        let mut quadrants = Quadrant::ALL;
        rng.shuffle(&mut quadrants);
        let mut chosen: Vec<(Look, Quadrant)> = Vec::new();
        for quadrant in quadrants.into_iter().take(count) {
            let look = loop {
                let look = draw.look(rng);
                let known = seen
                    .iter()
                    .map(|s| s.placed.look)
                    .chain(chosen.iter().map(|c| c.0));
                if known.into_iter().all(|k| k.shape != look.shape) {
                    break look;
                }
            };
            chosen.push((look, quadrant));
        }
        // Reading order: the sentences go from the top left to the bottom right.
        chosen.sort_by_key(|c| c.1);
        let picture = picture::draw(&chosen, rng);
        present(script, &mut seen, ordinal, picture, &chosen);
    }
    seen
}

/// Shows one picture and says what is in it.
fn present(
    script: &mut Script,
    seen: &mut Vec<Seen>,
    ordinal: &str,
    picture: Picture,
    chosen: &[(Look, Quadrant)],
) {
    let placed = picture.objects.clone();
    script.line(&format!("{ordinal} picture:"));
    let image = script.image(picture);
    for (k, (placed, &(look, quadrant))) in placed.into_iter().zip(chosen).enumerate() {
        let (what, place) = (look.with_article(), quadrant.name());
        let sentence = if k == 0 {
            format!("The {ordinal} picture shows {what} at the {place}.")
        } else {
            format!("It also shows {what} at the {place}.")
        };
        script.say(sentence, Support::image(image, placed.rect));
        seen.push(Seen {
            image,
            quadrant,
            placed,
        });
    }
}

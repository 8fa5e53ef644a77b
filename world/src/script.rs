//! Builds a sample's blocks and answer while counting the text units and pictures that sentences refer to.

use crate::attributes::Look;
use crate::rng::Rng;
use crate::sample::{Block, Film, Picture, Sentence, Sound, Support};

/// The blocks and the answer so far.
#[derive(Default)]
pub(crate) struct Script {
    pub blocks: Vec<Block>,
    pub answer: Vec<Sentence>,
    pub option_letter: Option<char>,
    units: usize,
    images: usize,
}

/// The options of a question, in order, and which is right.
pub(crate) struct Options {
    texts: Vec<String>,
    right: usize,
}

impl Options {
    /// `right` among up to two of `wrong` (duplicates and the right one itself dropped; earlier ones preferred), in random order.
    pub(crate) fn new(right: &str, wrong: impl IntoIterator<Item = String>, rng: &mut Rng) -> Self {
        let mut texts = vec![right.to_owned()];
        for text in wrong {
            if texts.len() < 3 && !texts.contains(&text) {
                texts.push(text);
            }
        }
        rng.shuffle(&mut texts);
        let right = texts.iter().position(|text| text == right).unwrap_or(0);
        Self { texts, right }
    }
}

impl Script {
    /// One line of text: one unit, whose index is returned.
    pub(crate) fn line(&mut self, line: &str) -> usize {
        let line = format!("{line}\n");
        match self.blocks.last_mut() {
            Some(Block::Text(text)) => text.push_str(&line),
            _ => self.blocks.push(Block::Text(line)),
        }
        self.units += 1;
        self.units - 1
    }

    /// A picture; its index is returned.
    pub(crate) fn image(&mut self, picture: Picture) -> usize {
        self.blocks.push(Block::Image(picture));
        self.images += 1;
        self.images - 1
    }

    pub(crate) fn audio(&mut self, sound: Sound) {
        self.blocks.push(Block::Audio(sound));
    }

    pub(crate) fn video(&mut self, film: Film) {
        self.blocks.push(Block::Video(film));
    }

    /// A sentence of the answer.
    pub(crate) fn say(&mut self, sentence: impl Into<String>, support: Support) {
        self.answer.push(Sentence {
            sentence: sentence.into(),
            support,
        });
    }

    /// The question and its options, one line each; the answer then ends in the conclusion and `So the answer is ...`.
    ///
    /// Options begin with a space, so that ` (`, letter and word are the same tokens here and in the answer; the answer says the
    /// word first and the letter last, so that the letter can be looked up from the word.
    pub(crate) fn ask(
        &mut self,
        question: &str,
        options: &Options,
        conclusion: &str,
        support: Support,
    ) {
        self.line(question);
        let mut chosen = 0;
        for (k, text) in options.texts.iter().enumerate() {
            let unit = self.line(&format!(" ({}) {text}", letter(k)));
            if k == options.right {
                chosen = unit;
            }
        }
        self.say(conclusion, support);
        let (word, letter) = (&options.texts[options.right], letter(options.right));
        self.say(
            format!("So the answer is {word} ({letter})."),
            Support::text(chosen),
        );
        self.option_letter = Some(letter);
    }
}

fn letter(option: usize) -> char {
    ['A', 'B', 'C'].get(option).copied().unwrap_or('D')
}

/// `one`, `two`, ... as the world counts; up to six.
pub(crate) fn number(count: usize) -> &'static str {
    ["no", "one", "two", "three", "four", "five", "six"]
        .get(count)
        .copied()
        .unwrap_or("many")
}

/// One of a few wordings.
pub(crate) fn wording<'a>(wordings: &[&'a str], rng: &mut Rng) -> &'a str {
    rng.choose(wordings).copied().unwrap_or_default()
}

/// One of a few wordings with `{}` in the place of `key`.
pub(crate) fn wording_with(wordings: &[&str], key: &str, rng: &mut Rng) -> String {
    wording(wordings, rng).replace("{}", key)
}

/// The chosen one of a few wordings with `{}` in the place of `key`; the first where there are not so many.
pub(crate) fn chosen_wording(wordings: &[&str], chosen: usize, key: &str) -> String {
    let wording = wordings.get(chosen).or(wordings.first());
    wording.copied().unwrap_or_default().replace("{}", key)
}

/// The names of looks that stand as wrong options: those given, then random ones that training may show.
pub(crate) fn wrong_looks(
    given: &[Look],
    rng: &mut Rng,
    draw: &mut crate::draw::Draw,
) -> Vec<String> {
    let mut names: Vec<String> = given.iter().map(|look| look.name()).collect();
    rng.shuffle(&mut names);
    names.extend((0..4).map(|_| draw.look(rng).name()));
    names
}

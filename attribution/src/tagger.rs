//! Part-of-speech tags of English text: a dictionary, endings for unknown words, then Brill's transformation rules.
//! In: text. Out: words with their tags; a tag per model token.
//!
//! Data: harper-brill 3.0.0 (Apache-2.0), see `tagger/README.md`. Words outside English tag as nouns or proper nouns.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use crate::pos::Upos;
use crate::record::{Chunk, Token};

/// Looked up only, never iterated: no result depends on hash order.
static DICTIONARY: LazyLock<HashMap<&'static str, Upos>> = LazyLock::new(|| {
    data_lines(include_str!("../tagger/dictionary.txt"))
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(tag, words)| Some((Upos::from_name(tag)?, words)))
        .flat_map(|(tag, words)| words.split(' ').map(move |word| (word, tag)))
        .collect()
});

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    data_lines(include_str!("../tagger/rules.txt"))
        .filter_map(Rule::parse)
        .collect()
});

fn data_lines(data: &'static str) -> impl Iterator<Item = &'static str> {
    data.lines().skip(1)
}

/// One transformation: where all conditions hold, `from` becomes `to`.
#[derive(Debug)]
struct Rule {
    from: Upos,
    to: Upos,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    /// The word that many places on.
    Word(isize, &'static str),
    /// The tag that many places on.
    Tag(isize, Upos),
    /// A tag within that many places.
    Any(isize, Upos),
    /// The tags before and after.
    Between(Upos, Upos),
}

impl Rule {
    fn parse(line: &'static str) -> Option<Self> {
        let (change, conditions) = line.split_once(" : ")?;
        let (from, to) = change.split_once(" > ")?;
        let conditions: Option<Vec<Condition>> =
            conditions.split(" & ").map(Condition::parse).collect();
        Some(Self {
            from: Upos::from_name(from)?,
            to: Upos::from_name(to)?,
            conditions: conditions?,
        })
    }
}

impl Condition {
    fn parse(text: &'static str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (kind, a, b) = (parts.next()?, parts.next()?, parts.next()?);
        Some(match kind {
            "word" => Self::Word(a.parse().ok()?, b),
            "tag" => Self::Tag(a.parse().ok()?, Upos::from_name(b)?),
            "any" => Self::Any(a.parse().ok()?, Upos::from_name(b)?),
            "between" => Self::Between(Upos::from_name(a)?, Upos::from_name(b)?),
            _ => return None,
        })
    }

    fn holds(&self, words: &[String], tags: &[Upos], at: usize) -> bool {
        match *self {
            Self::Word(offset, word) => at
                .checked_add_signed(offset)
                .and_then(|i| words.get(i))
                .is_some_and(|other| other == word),
            Self::Tag(offset, tag) => {
                at.checked_add_signed(offset).and_then(|i| tags.get(i)) == Some(&tag)
            }
            Self::Any(reach, tag) => at.checked_add_signed(reach).is_some_and(|far| {
                // The end is left out on the right, as the rules were learnt.
                tags[far.min(at)..far.max(at).min(tags.len())].contains(&tag)
            }),
            Self::Between(before, after) => {
                at > 0 && tags.get(at - 1) == Some(&before) && tags.get(at + 1) == Some(&after)
            }
        }
    }
}

/// The words of a sentence with their tags, in order; white space lies between them.
pub fn tag(text: &str) -> Vec<(Range<usize>, Upos)> {
    let spans = words(text);
    let lower: Vec<String> = spans
        .iter()
        .map(|span| text[span.clone()].to_lowercase().replace('’', "'"))
        .collect();
    let mut tags: Vec<Upos> = (0..spans.len())
        .map(|i| first_tag(text, &spans, &lower, i))
        .collect();
    for rule in RULES.iter() {
        for i in 0..tags.len() {
            if tags[i] == rule.from && rule.conditions.iter().all(|c| c.holds(&lower, &tags, i)) {
                tags[i] = rule.to;
            }
        }
    }
    spans.into_iter().zip(tags).collect()
}

/// A tag per model token, given each token's bytes in `text`: the tag of the word it shares most bytes with (the first
/// on a tie); [`Upos::X`] for tokens without visible text.
///
/// DIFFERENCE: the released package numbers its tags over a flattened list of word pieces and reads them by the place
/// of a generated token, so that tags slip against tokens; here a token's own bytes find its word.
pub fn tag_tokens(text: &str, token_bytes: &[Range<usize>]) -> Vec<Upos> {
    let words = tag(text);
    token_bytes
        .iter()
        .map(|token| {
            let first = words.partition_point(|(span, _)| span.end <= token.start);
            let mut best = (0, Upos::X);
            for (span, tag) in words[first..]
                .iter()
                .take_while(|(span, _)| span.start < token.end)
            {
                let shared = span
                    .end
                    .min(token.end)
                    .saturating_sub(span.start.max(token.start));
                if shared > best.0 {
                    best = (shared, *tag);
                }
            }
            best.1
        })
        .collect()
}

/// Tags the tokens of one chunk from the chunk's own text: a tag never changes when the response grows.
pub fn tag_chunk(response: &str, chunk: &Chunk, tokens: &mut [Token]) {
    let (start, end) = (chunk.start as usize, chunk.end as usize);
    let range = chunk.token_start as usize..chunk.token_end as usize;
    let (Some(text), Some(tokens)) = (response.get(start..end), tokens.get_mut(range)) else {
        return;
    };
    let inside = |byte: u32| (byte as usize).clamp(start, end) - start;
    let bytes: Vec<Range<usize>> = tokens
        .iter()
        .map(|t| inside(t.start)..inside(t.end))
        .collect();
    for (token, pos) in tokens.iter_mut().zip(tag_tokens(text, &bytes)) {
        token.pos = pos;
    }
}

/// Words, numbers and runs of one sign.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut chars = text.char_indices().peekable();
    // The last character taken and whether it continues a word.
    let mut open = false;
    let mut last = ' ';
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        let next = chars.peek().map_or(' ', |(_, next)| *next);
        let joined = open && last.is_alphanumeric() && joins(last, c, next);
        // "..." is one word, as is a word with what joins its parts.
        let repeated = !open && c == last && out.last().is_some_and(|word| word.end == at);
        let continues = if c.is_alphanumeric() {
            open
        } else {
            joined || repeated
        };
        if !c.is_whitespace() {
            match out.last_mut() {
                Some(word) if continues => word.end = end,
                _ => out.push(at..end),
            }
        }
        open = c.is_alphanumeric() || joined;
        last = c;
    }
    out
}

/// Whether a sign between two characters keeps them one word: `don't`, `well-known`, `3.5`, `12:30`, `e.g`.
fn joins(before: char, sign: char, after: char) -> bool {
    match sign {
        '\'' | '’' | '-' | '_' => after.is_alphanumeric(),
        '.' | ',' | ':' if before.is_ascii_digit() => after.is_ascii_digit(),
        '.' => after.is_alphabetic(),
        _ => false,
    }
}

/// The tag of a word before the rules.
fn first_tag(text: &str, spans: &[Range<usize>], lower: &[String], i: usize) -> Upos {
    let (word, key) = (&text[spans[i].clone()], lower[i].as_str());
    let mut chars = word.chars();
    let first = chars.next().unwrap_or(' ');
    // The letter of an option or list, not the article: "(A)", "B)".
    if chars.next().is_none() && first.is_ascii_uppercase() && text[spans[i].end..].starts_with(')')
    {
        return Upos::Propn;
    }
    if let Some(tag) = DICTIONARY.get(key) {
        return *tag;
    }
    if word.chars().all(|c| !c.is_alphanumeric()) {
        let symbol = |c: char| {
            matches!(
                c,
                '+' | '=' | '<' | '>' | '$' | '%' | '°' | '€' | '£' | '^' | '~' | '|' | '×'
            )
        };
        return if word.chars().all(symbol) {
            Upos::Sym
        } else {
            Upos::Punct
        };
    }
    if word.chars().any(|c| c.is_numeric())
        && word.chars().filter(|c| c.is_alphabetic()).count() <= 2
    {
        return Upos::Num;
    }
    // A contraction tags as its stem.
    for ending in ["n't", "'s", "'ll", "'ve", "'re", "'d", "'m"] {
        if let Some(stem) = key.strip_suffix(ending) {
            return DICTIONARY.get(stem).copied().unwrap_or(Upos::Noun);
        }
    }
    // A compound tags as its last part, which is its head.
    if let Some((_, head)) = key.rsplit_once('-')
        && let Some(tag) = DICTIONARY.get(head)
    {
        return *tag;
    }
    if first.is_uppercase() && i > 0 {
        return Upos::Propn;
    }
    by_ending(key)
}

fn by_ending(word: &str) -> Upos {
    let ends =
        |endings: &[&str]| word.len() > 4 && endings.iter().any(|ending| word.ends_with(ending));
    if ends(&["ly"]) {
        Upos::Adv
    } else if ends(&["ing", "ed", "ify", "ize", "ise"]) {
        Upos::Verb
    } else if ends(&[
        "ous", "ful", "ive", "able", "ible", "less", "ish", "ical", "est",
    ]) {
        Upos::Adj
    } else {
        Upos::Noun
    }
}

//! Tags of sentences of the kind that models write.
#![cfg(feature = "tagger")]

use attribution::pos::Upos;
use attribution::tagger::{tag, tag_tokens};
use proptest::prelude::*;

fn tags(text: &str) -> String {
    tag(text)
        .iter()
        .map(|(span, pos)| format!("{}/{} ", &text[span.clone()], pos.name()))
        .collect()
}

#[test]
fn sentences() {
    for (text, expected) in [
        (
            "The first sound is a bell.",
            "The/DET first/ADJ sound/NOUN is/AUX a/DET bell/NOUN ./PUNCT ",
        ),
        (
            "Anna's dog doesn't eat.",
            "Anna's/PROPN dog/NOUN doesn't/AUX eat/VERB ./PUNCT ",
        ),
        (
            "So the answer is bell (B).",
            "So/ADV the/DET answer/NOUN is/AUX bell/NOUN (/PUNCT B/PROPN )/PUNCT ./PUNCT ",
        ),
        (
            "There are 3 green triangles.",
            "There/PRON are/VERB 3/NUM green/ADJ triangles/NOUN ./PUNCT ",
        ),
    ] {
        assert_eq!(tags(text), expected);
    }
}

#[test]
fn tokens_take_the_tag_of_their_word() {
    let text = "Triangles appear.";
    // "Tri" "angles" " appear" "." and a token of the space alone.
    assert_eq!(
        tag_tokens(text, &[0..3, 3..9, 9..16, 16..17, 9..10, 17..17]),
        [
            Upos::Noun,
            Upos::Noun,
            Upos::Verb,
            Upos::Punct,
            Upos::X,
            Upos::X
        ]
    );
}

proptest! {
    #[test]
    fn words_are_apart_and_hold_all_that_is_visible(text in "\\PC{0,40}") {
        let mut end = 0;
        for (span, _) in tag(&text) {
            prop_assert!(span.start >= end && span.end > span.start);
            prop_assert!(text[end..span.start].trim().is_empty());
            end = span.end;
        }
        prop_assert!(text[end..].trim().is_empty());
    }
}

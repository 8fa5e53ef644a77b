//! Chunks: the cases that matter, and that they partition any text and never change once stable.
#![cfg(feature = "sentences")]

use attribution::chunk::{is_list_marker, partitions, split, split_stable, with_tokens};
use proptest::prelude::*;

fn pieces(text: &str) -> Vec<&str> {
    split(text).into_iter().map(|piece| &text[piece]).collect()
}

#[test]
fn sentences_newlines_and_list_markers() {
    assert_eq!(
        pieces("There is a red star. It is big."),
        ["There is a red star. ", "It is big."]
    );
    assert_eq!(
        pieces("One line\nAnother line\n\nThird"),
        ["One line\n", "Another line\n\n", "Third"]
    );
    assert_eq!(
        pieces("1. First thing. 2. Second thing."),
        ["1. First thing. ", "2. Second thing."]
    );
    assert_eq!(
        pieces("1.\nFirst\n- second\n(a) third"),
        ["1.\nFirst\n", "- second\n", "(a) third"]
    );
    assert_eq!(
        pieces("Dr. Smith came, e.g. today. He left."),
        ["Dr. Smith came, e.g. today. ", "He left."]
    );
    assert_eq!(
        pieces("See Fig. 3 vs. Fig. 4. Done!"),
        ["See Fig. 3 vs. Fig. 4. ", "Done!"]
    );
    assert_eq!(
        pieces("So the answer is bell (B)."),
        ["So the answer is bell (B)."]
    );
    assert_eq!(
        pieces("图中有一只猫。它很大！好。"),
        ["图中有一只猫。", "它很大！", "好。"]
    );
    assert_eq!(
        pieces("It costs 3.5 dollars. Really?! Yes."),
        ["It costs 3.5 dollars. ", "Really?! ", "Yes."]
    );
    assert_eq!(pieces(""), [""; 0]);
    assert_eq!(pieces(" \n "), [" \n "]);
}

#[test]
fn markers() {
    for marker in ["1.", "12)", "(3)", "(a)", "B.", "-", "•"] {
        assert!(is_list_marker(marker), "{marker}");
    }
    for other in ["", "1", "a", "1.5", "No.", "(ab)", "2026.", "()", "."] {
        assert!(!is_list_marker(other), "{other}");
    }
}

#[test]
fn tokens_follow_their_visible_bytes() {
    let text = "A cat. I saw.";
    // "A", " cat", ".", " I", " saw", ".", and a special token at the end.
    let tokens = [0..1, 1..5, 5..6, 6..8, 8..12, 12..13, 13..13];
    let chunks = with_tokens(text, &split(text), &tokens);
    let spans: Vec<_> = chunks
        .iter()
        .map(|c| (c.start, c.end, c.token_start, c.token_end))
        .collect();
    assert_eq!(spans, [(0, 7, 0, 3), (7, 13, 3, 7)]);
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(" ".to_owned()),
        Just(". ".to_owned()),
        Just("\n".to_owned()),
        Just("1.".to_owned()),
        Just("\"".to_owned()),
        Just("(a) ".to_owned()),
        Just("e.g. ".to_owned()),
        Just("。".to_owned()),
        Just("」".to_owned()),
        Just("...".to_owned()),
        Just("\r\n\r\n".to_owned()),
        "[A-Za-z]{1,6} ?",
        "\\PC{1,3}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunks_partition_bytes_and_tokens(text in texts(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let chunks = split(&text);
        prop_assert!(partitions(&chunks, text.len()));
        let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        edges.retain(|edge| text.is_char_boundary(*edge));
        edges.extend([0, text.len()]);
        edges.sort_unstable();
        let tokens: Vec<_> = edges.windows(2).map(|pair| pair[0]..pair[1]).collect();
        let mut next = 0;
        let with = with_tokens(&text, &chunks, &tokens);
        for chunk in &with {
            prop_assert_eq!(chunk.token_start, next);
            prop_assert!(chunk.token_end >= next);
            next = chunk.token_end;
        }
        prop_assert!(with.is_empty() || next as usize == tokens.len());
    }

    #[test]
    fn stable_chunks_never_change(text in texts()) {
        let whole = split(&text);
        for (end, _) in text.char_indices() {
            let stable = split_stable(&text[..end]);
            prop_assert!(stable.len() <= whole.len());
            prop_assert_eq!(&whole[..stable.len()], stable.as_slice());
        }
    }
}

#[test]
fn clauses_end_at_signs_and_lists_stay_together() {
    use attribution::chunk::{split_as, split_stable_as};
    use attribution::record::ChunkSize::Clause;
    let text = "When the bell rings, a red, green and blue car turns; it stops. He said: go at 10:30, not before.";
    let pieces: Vec<&str> = split_as(text, Clause)
        .into_iter()
        .map(|p| &text[p])
        .collect();
    assert_eq!(
        pieces,
        [
            "When the bell rings, ",
            "a red, green and blue car turns; ",
            "it stops. ",
            "He said: ",
            "go at 10:30, ",
            "not before."
        ]
    );
    let whole = split_as(text, Clause);
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let stable = split_stable_as(&text[..end], Clause);
        assert_eq!(stable, whole[..stable.len()], "{}", &text[..end]);
    }
}

//! Chunks: generated text, and the text of sources, cut into sentences.
//! In: text and token byte ranges. Out: byte ranges and token ranges that partition both.
//!
//! Cut at newlines first, then into sentences (and on request into clauses); a bare list marker (`1.` `-` `(a)`) joins what follows. White space
//! belongs to the piece before it. A boundary depends on what stands before it and on the one word after it, never on
//! more: text that grows keeps every boundary whose next word is complete ([`split_stable`]).

use std::ops::Range;

use crate::record::Chunk;
#[cfg(feature = "sentences")]
use crate::record::ChunkSize;

/// Context given to the sentence rules before a candidate boundary, bytes: bounds the work on hostile text.
#[cfg(feature = "sentences")]
const WINDOW_BYTES: usize = 512;

/// Byte ranges of the chunks of a whole text; they partition it. Empty text has none.
#[cfg(feature = "sentences")]
pub fn split(text: &str) -> Vec<Range<usize>> {
    split_as(text, ChunkSize::Sentence)
}

/// [`split`] into sentences or clauses.
#[cfg(feature = "sentences")]
pub fn split_as(text: &str, size: ChunkSize) -> Vec<Range<usize>> {
    let mut pieces = pieces(text, true, size);
    if let Some(last) = pieces.last_mut() {
        last.end = text.len();
    }
    pieces
}

/// The chunks at the begin of `text` that no longer change, whatever is appended: a prefix of [`split`] of any longer text.
#[cfg(feature = "sentences")]
pub fn split_stable(text: &str) -> Vec<Range<usize>> {
    split_stable_as(text, ChunkSize::Sentence)
}

/// [`split_stable`] into sentences or clauses.
#[cfg(feature = "sentences")]
pub fn split_stable_as(text: &str, size: ChunkSize) -> Vec<Range<usize>> {
    let mut pieces = pieces(text, false, size);
    pieces.pop();
    pieces
}

/// All pieces; the last reaches to the end of the text. `complete`: nothing will follow, so that the last word counts
/// as complete.
#[cfg(feature = "sentences")]
fn pieces(text: &str, complete: bool, size: ChunkSize) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    let mut words_in_piece = 0;
    let mut words = words(text).peekable();
    let mut previous: Option<Range<usize>> = None;
    while let Some(word) = words.next() {
        if let Some(before) = previous.replace(word.clone()) {
            words_in_piece += 1;
            let known = complete || words.peek().is_some() || word.end < text.len();
            let gap = &text[before.end..word.start];
            let at_newline = gap.contains(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}']);
            let ends_clause =
                size == ChunkSize::Clause && ends_clause(&text[before.clone()], words_in_piece);
            let cut = at_newline
                || ends_clause
                || (known && ends_sentence(text, start, before.end, &word));
            if cut && !is_list_marker(text[start..before.end].trim()) {
                out.push(start..word.start);
                start = word.start;
                words_in_piece = 0;
            }
        }
    }
    if !text.is_empty() {
        out.push(start..text.len());
    }
    out
}

/// Runs without white space, cut also after full-width sentence ends, which no space follows.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].find(|c: char| !c.is_whitespace())?;
        let start = at;
        let mut ended = false;
        let mut end = text.len();
        for (offset, c) in text[start..].char_indices() {
            if c.is_whitespace() || (ended && !is_closer(c) && !FULL_WIDTH_ENDS.contains(&c)) {
                end = start + offset;
                break;
            }
            ended |= FULL_WIDTH_ENDS.contains(&c);
        }
        at = end;
        Some(start..end)
    })
}

const FULL_WIDTH_ENDS: [char; 4] = ['。', '！', '？', '｡'];

fn is_closer(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | ')'
            | ']'
            | '}'
            | '”'
            | '’'
            | '»'
            | '」'
            | '』'
            | '）'
            | '】'
            | '》'
            | '*'
            | '_'
    )
}

/// Fewest words of a clause before a comma: the items of a list stay together.
const CLAUSE_WORDS: usize = 3;

/// Whether a clause ends with `word`, the last of so many. Looks at nothing that follows, so that live chunks keep.
fn ends_clause(word: &str, words: usize) -> bool {
    match word.trim_end_matches(is_closer).chars().next_back() {
        Some(';' | ':' | '—' | '–') => words > 1,
        Some(',') => words >= CLAUSE_WORDS,
        _ => false,
    }
}

/// Ends of the clauses inside a text, in bytes, the text's own end left out.
pub(crate) fn clause_ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut in_clause = 0;
    let mut words = words(text).peekable();
    while let Some(word) = words.next() {
        in_clause += 1;
        if let (true, Some(next)) = (ends_clause(&text[word], in_clause), words.peek()) {
            ends.push(next.start);
            in_clause = 0;
        }
    }
    ends
}

/// Whether a text, cut off here, was cut in the middle of a sentence.
pub(crate) fn ends_inside_sentence(text: &str) -> bool {
    let stem = text.trim_end();
    let at_newline = text[stem.len()..].contains(['\n', '\r', '\u{2028}', '\u{2029}', '\u{85}']);
    let last = stem.trim_end_matches(is_closer).chars().next_back();
    !at_newline && matches!(last, Some(';' | ':' | '—' | '–' | ','))
}

/// Whether a sentence ends at `end`, the piece having begun at `start` and `next` being the word that follows.
#[cfg(feature = "sentences")]
fn ends_sentence(text: &str, start: usize, end: usize, next: &Range<usize>) -> bool {
    let stem = text[start..end].trim_end_matches(is_closer);
    let Some(last) = stem.chars().next_back() else {
        return false;
    };
    if FULL_WIDTH_ENDS.contains(&last) {
        return true;
    }
    // Where no sign ends the last word there is nothing to ask; all others are the sentence rules' to judge.
    if last.is_alphanumeric() || matches!(last, ',' | ';' | ':' | '-' | '(' | '[') {
        return false;
    }
    let mut from = start.max(end.saturating_sub(WINDOW_BYTES));
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let window = &text[from..next.end];
    let target = next.start - from;
    let boundaries = sentencex::get_sentence_boundaries("en", window);
    // The boundary lies in the white space between the two words, on whichever side the rules put it.
    boundaries.iter().any(|b| {
        let begin = b.start_byte;
        begin > 0
            && begin <= target
            && window
                .get(begin..target)
                .is_some_and(|gap| gap.trim().is_empty())
    })
}

/// `1.` `12)` `(a)` `B.` `-` `*` `•`: marks an item and says nothing itself.
pub fn is_list_marker(text: &str) -> bool {
    if matches!(text, "-" | "*" | "+" | "•" | "–" | "—" | "·" | "◦" | "▪") {
        return true;
    }
    let (inner, closed) = match text.strip_prefix('(') {
        Some(rest) => (rest.strip_suffix(')').unwrap_or_default(), true),
        None => (text.strip_suffix(['.', ')']).unwrap_or_default(), false),
    };
    let inner = if closed {
        inner
    } else {
        inner.trim_end_matches(')')
    };
    let number = !inner.is_empty() && inner.len() <= 3 && inner.bytes().all(|b| b.is_ascii_digit());
    let letter = inner.len() == 1 && inner.bytes().all(|b| b.is_ascii_alphabetic());
    number || letter
}

/// Whether `pieces` are contiguous, in order and cover `0..len`.
pub fn partitions(pieces: &[Range<usize>], len: usize) -> bool {
    let mut end = 0;
    for piece in pieces {
        if piece.start != end || piece.end <= piece.start {
            return false;
        }
        end = piece.end;
    }
    end == len
}

/// The piece to which a token belongs: the one with most of its visible bytes, the first on a tie; a token without
/// visible bytes belongs where it begins. `pieces` partition the text; 0 where there are none.
pub fn piece_of(text: &str, pieces: &[Range<usize>], token: Range<usize>) -> usize {
    let visible = match text.get(token.clone()) {
        Some(raw) if !raw.trim().is_empty() => {
            let start = token.start + (raw.len() - raw.trim_start().len());
            start..start + raw.trim().len()
        }
        // White space, nothing, or a part of a character.
        _ => token.start..token.end.max(token.start),
    };
    let first = pieces
        .partition_point(|piece| piece.end <= visible.start)
        .min(pieces.len().saturating_sub(1));
    let mut best = (first, 0);
    for (index, piece) in pieces.iter().enumerate().skip(first) {
        if piece.start >= visible.end {
            break;
        }
        let shared = piece
            .end
            .min(visible.end)
            .saturating_sub(piece.start.max(visible.start));
        if shared > best.1 {
            best = (index, shared);
        }
    }
    best.0
}

/// Chunks from pieces of a text and its tokens' byte ranges: the token ranges partition the tokens. Tokens without text
/// (special ones) stay with the token before them.
pub fn with_tokens(
    text: &str,
    pieces: &[Range<usize>],
    token_bytes: &[Range<usize>],
) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = pieces
        .iter()
        .map(|p| Chunk {
            start: p.start as u32,
            end: p.end as u32,
            token_start: 0,
            token_end: 0,
        })
        .collect();
    let mut current = 0;
    for (index, token) in token_bytes.iter().enumerate() {
        if !token.is_empty() {
            // Never backwards: a token inside an earlier piece would be an overlap, and stays with its neighbours.
            let next = piece_of(text, pieces, token.clone()).max(current);
            for chunk in chunks.iter_mut().take(next + 1).skip(current + 1) {
                chunk.token_start = index as u32;
                chunk.token_end = index as u32;
            }
            current = next;
        }
        if let Some(chunk) = chunks.get_mut(current) {
            chunk.token_end = index as u32 + 1;
        }
    }
    let end = token_bytes.len() as u32;
    for chunk in chunks.iter_mut().skip(current + 1) {
        chunk.token_start = end;
        chunk.token_end = end;
    }
    chunks
}

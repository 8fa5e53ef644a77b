//! Chunks of another size than a record's, made from the record alone: the page needs no sentence rules for it.
//! In: a record's response, tokens and chunks. Out: chunks that partition the same response, with the recorded chunks that
//! each of them overlaps.

use std::ops::Range;

use crate::chunk::{clause_ends, ends_inside_sentence, with_tokens};
use crate::record::{Chunk, Record};

/// How large a piece of the answer is explained at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Up to a comma, semicolon, colon or dash.
    Clause,
    /// A sentence.
    Sentence,
    /// A paragraph or list item.
    Paragraph,
    /// The whole answer.
    Answer,
}

impl Size {
    /// From the smallest.
    pub const ALL: [Self; 4] = [Self::Clause, Self::Sentence, Self::Paragraph, Self::Answer];

    /// The name used in URLs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clause => "clause",
            Self::Sentence => "sentence",
            Self::Paragraph => "paragraph",
            Self::Answer => "answer",
        }
    }

    /// The size of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.name() == name)
    }
}

/// A record's answer cut into chunks of this size; beside each, the recorded chunks that it overlaps.
///
/// Sentences come from clauses by taking back the cuts after a comma, semicolon, colon or dash; clauses from sentences by
/// the same rule that cut them live.
pub fn resized(record: &Record, size: Size) -> Vec<(Chunk, Range<usize>)> {
    let text = record.response.as_str();
    let mut ends = Vec::new();
    for chunk in &record.chunks {
        let own = text
            .get(chunk.start as usize..chunk.end as usize)
            .unwrap_or_default();
        if size == Size::Clause {
            ends.extend(
                clause_ends(own)
                    .iter()
                    .map(|end| chunk.start as usize + end),
            );
        }
        let kept = match size {
            Size::Clause => true,
            Size::Sentence => !ends_inside_sentence(own),
            Size::Paragraph => own[own.trim_end().len()..].contains('\n'),
            Size::Answer => false,
        };
        if kept {
            ends.push(chunk.end as usize);
        }
    }
    if ends.last() != Some(&text.len()) && !text.is_empty() && !record.chunks.is_empty() {
        ends.push(text.len());
    }
    let mut start = 0;
    let pieces: Vec<Range<usize>> = ends
        .into_iter()
        .map(|end| std::mem::replace(&mut start, end)..end)
        .filter(|piece| !piece.is_empty())
        .collect();
    let bytes: Vec<Range<usize>> = (record.tokens.iter())
        .map(|token| token.start as usize..token.end as usize)
        .collect();
    with_tokens(text, &pieces, &bytes)
        .into_iter()
        .map(|chunk| {
            let first = record.chunks.partition_point(|own| own.end <= chunk.start);
            let last = record.chunks.partition_point(|own| own.start < chunk.end);
            (chunk, first..last.max(first))
        })
        .collect()
}

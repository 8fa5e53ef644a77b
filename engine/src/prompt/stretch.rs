//! Text between two special tokens: scaffolding and sources, tokenized as one, then told apart again.
//! In: parts in order. Out: ids, and for each part the byte ranges of its own tokens.

use std::ops::Range;

use attribution::record::SourceRole;
use tokenizers::Tokenizer;

use crate::EngineError;

/// Text gathered so far. A token may run across its parts, so they are not tokenized one by one.
#[derive(Debug, Default)]
pub(super) struct TextStretch {
    /// Scaffolding has no role.
    parts: Vec<(Option<SourceRole>, String)>,
}

/// A tokenized stretch.
#[derive(Debug)]
pub(super) struct TokenizedStretch {
    pub(super) ids: Vec<u32>,
    /// In order; their tokens together are all tokens.
    pub(super) parts: Vec<TokenizedPart>,
}

/// A part and its tokens.
#[derive(Debug, PartialEq)]
pub(super) struct TokenizedPart {
    pub(super) role: Option<SourceRole>,
    pub(super) text: String,
    /// Bytes of this part that each of its tokens covers.
    pub(super) token_bytes: Vec<(usize, usize)>,
}

impl TextStretch {
    pub(super) fn push(&mut self, role: Option<SourceRole>, text: String) {
        self.parts.push((role, text));
    }

    /// A token belongs to the part that holds most of its bytes; the first of equals.
    pub(super) fn tokenize(self, tokenizer: &Tokenizer) -> Result<TokenizedStretch, EngineError> {
        let whole: String = self.parts.iter().map(|(_, text)| text.as_str()).collect();
        let encoding = tokenizer.encode(whole.as_str(), false).map_err(|error| {
            EngineError::Request(format!("the text cannot be tokenized: {error}"))
        })?;
        let mut end = 0;
        let spans: Vec<Range<usize>> = self
            .parts
            .iter()
            .map(|(_, text)| {
                end += text.len();
                end - text.len()..end
            })
            .collect();
        let mut tokens = encoding.get_offsets().iter().peekable();
        let last = spans.len().saturating_sub(1);
        let mut parts = Vec::with_capacity(spans.len());
        for (index, ((role, text), span)) in self.parts.into_iter().zip(&spans).enumerate() {
            let mut token_bytes = Vec::new();
            while let Some(&(from, to)) =
                tokens.next_if(|(from, to)| index == last || owner(&spans, *from..*to) <= index)
            {
                let within = |at: usize| at.clamp(span.start, span.end) - span.start;
                token_bytes.push((within(from), within(to)));
            }
            parts.push(TokenizedPart {
                role,
                text,
                token_bytes,
            });
        }
        Ok(TokenizedStretch {
            ids: encoding.get_ids().to_vec(),
            parts,
        })
    }
}

fn owner(parts: &[Range<usize>], token: Range<usize>) -> usize {
    let overlap = |part: &Range<usize>| {
        part.end
            .min(token.end)
            .saturating_sub(part.start.max(token.start))
    };
    let mut best = (0, 0);
    for (index, part) in parts.iter().enumerate() {
        if overlap(part) > best.1 {
            best = (index, overlap(part));
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_across_two_parts_belongs_to_the_larger_share() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fixtures/qwen/checkpoint/tokenizer.json"
        );
        let tokenizer = Tokenizer::from_file(file).expect("the fixture");
        let mut stretch = TextStretch::default();
        stretch.push(None, "user\n".to_owned());
        stretch.push(Some(SourceRole::Prompt), "Describe the pict".to_owned());
        stretch.push(Some(SourceRole::Content), String::new());
        stretch.push(Some(SourceRole::Content), "ure. 東京".to_owned());
        let whole = tokenizer
            .encode("user\nDescribe the picture. 東京", false)
            .expect("encodes");
        let split = stretch.tokenize(&tokenizer).expect("tokenizes");
        assert_eq!(split.ids, whole.get_ids());
        let counts: Vec<usize> = split
            .parts
            .iter()
            .map(|part| part.token_bytes.len())
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), split.ids.len());
        assert_eq!(counts[2], 0);
        // " picture" is one token of the fixture; five of its eight bytes stand in the prompt.
        assert_eq!(split.parts[1].token_bytes.last(), Some(&(12, 17)));
        assert_eq!(split.parts[3].token_bytes.first(), Some(&(3, 4)));
    }
}

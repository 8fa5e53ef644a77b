//! Whisper's ids with a meaning, and the rule of what may be written after what.

use candle_transformers::models::whisper::{
    Config, EOT_TOKEN, NO_SPEECH_TOKENS, NO_TIMESTAMPS_TOKEN, SOT_TOKEN, TRANSCRIBE_TOKEN,
};
use serde::Deserialize;
use tokenizers::Tokenizer;

use crate::{EngineError, ModelFiles};

/// The first timestamp of a window is at most one second.
const MAX_FIRST_TIMESTAMP: u32 = 50;

/// Ids with a meaning.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) start: u32,
    pub(super) end: u32,
    /// None in models for English only.
    pub(super) transcribe: Option<u32>,
    pub(super) no_speech: Option<u32>,
    pub(super) first_timestamp: u32,
    /// In order; empty in models for English only.
    pub(super) languages: Vec<u32>,
    /// Never written.
    pub(super) suppressed: Vec<u32>,
    /// Not written first.
    pub(super) not_first: Vec<u32>,
}

impl Tokens {
    pub(super) fn of(
        files: &ModelFiles,
        tokenizer: &Tokenizer,
        config: &Config,
    ) -> Result<Self, EngineError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Generation {
            suppress_tokens: Option<Vec<i64>>,
            begin_suppress_tokens: Option<Vec<i64>>,
        }
        let id = |token: &str| tokenizer.token_to_id(token);
        let named = |token: &str| {
            id(token).ok_or_else(|| {
                files.failure("tokenizer.json", format!("the token {token} is missing"))
            })
        };
        let generation: Generation = files.json_or_default("generation_config.json")?;
        let known = |ids: Option<Vec<i64>>| -> Vec<u32> {
            let ids = ids.unwrap_or_default().into_iter();
            ids.filter_map(|id| u32::try_from(id).ok()).collect()
        };
        let mut suppressed = known(generation.suppress_tokens);
        suppressed.extend(&config.suppress_tokens);
        let transcribe = id(TRANSCRIBE_TOKEN);
        let mut languages: Vec<u32> = tokenizer
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| is_language(&token.content))
            .map(|(id, _)| id)
            .collect();
        languages.sort_unstable();
        let tokens = Self {
            start: named(SOT_TOKEN)?,
            end: named(EOT_TOKEN)?,
            transcribe: transcribe.filter(|_| !languages.is_empty()),
            no_speech: NO_SPEECH_TOKENS.into_iter().find_map(id),
            first_timestamp: named(NO_TIMESTAMPS_TOKEN)? + 1,
            languages,
            suppressed,
            not_first: known(generation.begin_suppress_tokens),
        };
        let vocabulary = config.vocab_size as u32;
        let ids = [tokens.start, tokens.end, tokens.first_timestamp];
        if ids
            .iter()
            .chain(&tokens.languages)
            .any(|id| *id >= vocabulary)
        {
            return Err(files.failure(
                "tokenizer.json",
                format!("it has ids beyond the model's {vocabulary}"),
            ));
        }
        Ok(tokens)
    }

    /// Timestamps come in pairs, never go back, and begin the window; what must not be written is out of the question.
    pub(super) fn rule(&self, logits: &mut [f32], written: &[u32]) {
        let first = self.first_timestamp;
        let count = logits.len() as u32;
        let mut forbid = |ids: std::ops::Range<u32>| {
            let ids = ids.start.min(count) as usize..ids.end.min(count) as usize;
            logits[ids].fill(f32::NEG_INFINITY);
        };
        for id in &self.suppressed {
            forbid(*id..id + 1);
        }
        forbid(self.end + 1..first);
        let is_time = |id: &u32| *id >= first;
        match written {
            [] => {
                for id in &self.not_first {
                    forbid(*id..id + 1);
                }
                forbid(0..first);
                forbid(first + MAX_FIRST_TIMESTAMP + 1..count);
            }
            [.., last] if is_time(last) => {
                let before = written.len().checked_sub(2).and_then(|k| written.get(k));
                if before.is_none_or(is_time) {
                    forbid(first..count);
                } else {
                    forbid(0..self.end);
                    // The next segment may begin where this one ended.
                    forbid(first..*last);
                }
            }
            _ => {
                if let Some(last) = written.iter().rev().find(|id| is_time(id)) {
                    forbid(first..last + 1);
                }
            }
        }
        // Where all times together are likelier than any word, it is time for a time.
        let (words, times) = logits.split_at((first.min(count)) as usize);
        let total: f32 = times.iter().map(|logprob| logprob.exp()).sum();
        let word = words.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if total > 0.0 && total.ln() > word {
            logits[..first.min(count) as usize].fill(f32::NEG_INFINITY);
        }
    }
}

/// `<|en|>`, `<|yue|>`.
fn is_language(token: &str) -> bool {
    let code = token
        .strip_prefix("<|")
        .and_then(|rest| rest.strip_suffix("|>"))
        .unwrap_or_default();
    (2..=3).contains(&code.len()) && code.chars().all(|c| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens {
            start: 11,
            end: 10,
            transcribe: None,
            no_speech: None,
            first_timestamp: 14,
            languages: Vec::new(),
            suppressed: vec![3],
            not_first: vec![10],
        }
    }

    /// Which of 20 equally likely ids may follow.
    fn allowed(written: &[u32]) -> Vec<u32> {
        let mut logits = vec![-3.0; 20];
        // No time is likelier than words.
        logits[14..].fill(-9.0);
        tokens().rule(&mut logits, written);
        (0..20)
            .filter(|id| logits[*id as usize].is_finite())
            .collect()
    }

    #[test]
    fn times_come_in_pairs_and_never_go_back() {
        assert_eq!(allowed(&[]), [14, 15, 16, 17, 18, 19]);
        let words = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(allowed(&[15]), words);
        assert_eq!(allowed(&[15, 7]), [&words[..], &[16, 17, 18, 19]].concat());
        assert_eq!(allowed(&[15, 7, 17]), [10, 17, 18, 19]);
        assert_eq!(allowed(&[15, 7, 17, 17]), words);
        let mut logits = vec![-3.0; 20];
        tokens().rule(&mut logits, &[15, 7]);
        assert!(
            logits[7].is_infinite(),
            "all times together are likelier than any word"
        );
    }
    #[test]
    fn languages_are_told_from_other_tokens() {
        assert!(
            is_language("<|en|>")
                && is_language("<|yue|>")
                && !is_language("<|0.00|>")
                && !is_language("<|nospeech|>")
        );
    }
}

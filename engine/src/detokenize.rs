//! Text of generated ids, one id at a time, from the ids themselves.
//! In: ids in order. Out: what each appends; together exactly what decoding all of them at once gives.
//!
//! DIFFERENCE: the released package tokenizes the answer anew, so its ranges drift where the ids are not canonical.

use std::collections::BTreeSet;

use tokenizers::{DecoderWrapper, Tokenizer};

/// Appends text token by token. Bytes of an incomplete character wait for the token that completes it.
#[derive(Debug)]
pub(crate) struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    byte_level: bool,
    special: BTreeSet<u32>,
    waiting: Vec<u8>,
}

impl<'a> Detokenizer<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        let byte_level = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let added = tokenizer.get_added_tokens_decoder();
        let special = added
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(&id, _)| id)
            .collect();
        Self {
            tokenizer,
            byte_level,
            special,
            waiting: Vec::new(),
        }
    }

    /// What `id` appends; nothing for special tokens and ids without a token.
    pub(crate) fn push(&mut self, id: u32) -> String {
        let special = self.special.contains(&id);
        let Some(token) = self.tokenizer.id_to_token(id).filter(|_| !special) else {
            return String::new();
        };
        if self.byte_level {
            let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
            // A token outside the byte alphabet stands for itself.
            self.waiting
                .extend(bytes.unwrap_or_else(|| token.into_bytes()));
        } else {
            self.waiting.extend(
                self.tokenizer
                    .decode(&[id], true)
                    .unwrap_or_default()
                    .into_bytes(),
            );
        }
        let complete = complete_length(&self.waiting);
        let rest = self.waiting.split_off(complete);
        let text = String::from_utf8_lossy(&self.waiting).into_owned();
        self.waiting = rest;
        text
    }

    /// What is left when no further token comes.
    pub(crate) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned()
    }
}

/// Bytes before a character that is not yet complete.
fn complete_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match std::str::from_utf8(&bytes[at..]) {
            Ok(_) => return bytes.len(),
            Err(error) => match error.error_len() {
                Some(length) => at += error.valid_up_to() + length,
                None => return at + error.valid_up_to(),
            },
        }
    }
}

/// The byte that a character of the byte-level alphabet stands for: printable Latin-1 for itself,
/// the others counted up from U+0100.
fn byte_of(c: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(c);
    if let Ok(byte) = u8::try_from(code) {
        return printable(byte).then_some(byte);
    }
    (0..=255u8)
        .filter(|&byte| !printable(byte))
        .nth((code - 256) as usize)
}

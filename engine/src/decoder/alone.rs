//! A model's language model alone, without towers and tokenizer: what benchmarks measure.

use candle_core::Tensor;

use super::{Decoder, DecoderShape, Start};
use crate::EngineError;
use crate::model::Session;
use crate::signals::Wanted;

/// A language model that reads ids.
#[derive(Debug)]
pub(crate) struct LanguageModel {
    decoder: Decoder,
    vocabulary: usize,
}

impl LanguageModel {
    pub(crate) fn new(decoder: Decoder, shape: &DecoderShape) -> Self {
        Self {
            decoder,
            vocabulary: shape.vocabulary,
        }
    }

    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Bytes of weights that one decode step reads.
    pub(crate) fn step_bytes(&self) -> usize {
        self.decoder.step_bytes()
    }

    /// Bytes of keys and values that one decode step reads at `context` positions.
    pub(crate) fn cache_bytes(&self, context: usize) -> usize {
        self.decoder.cache_bytes(context)
    }

    /// Reads a prompt of text, all signals on.
    pub(crate) fn begin_ids(
        &self,
        ids: &[u32],
        max_new_tokens: usize,
    ) -> Result<Box<dyn Session + '_>, EngineError> {
        let embeds = self.decoder.embed(ids)?;
        self.start(&embeds, ids.len(), max_new_tokens, |start| {
            self.decoder.begin(start, &mut |_, _| true)
        })
    }

    /// A generation after a prompt of this length whose keys and values are random; a GPU reads the prompt.
    pub(crate) fn begin_random(
        &self,
        ids: &[u32],
        max_new_tokens: usize,
    ) -> Result<Box<dyn Session + '_>, EngineError> {
        let embeds = self.decoder.embed(ids)?;
        self.start(&embeds, ids.len(), max_new_tokens, |start| {
            self.decoder.pretend(start)
        })
    }

    fn start<'a>(
        &'a self,
        embeds: &Tensor,
        count: usize,
        max_new_tokens: usize,
        begin: impl FnOnce(&Start<'_>) -> candle_core::Result<Option<Box<dyn Session + 'a>>>,
    ) -> Result<Box<dyn Session + 'a>, EngineError> {
        let positions: Vec<[u32; 3]> = (0..count as u32).map(|at| [at; 3]).collect();
        let start = Start {
            embeds,
            positions: &positions,
            next_position: count as u32,
            max_new_tokens,
            wanted: Wanted::Everything,
        };
        begin(&start)?.ok_or_else(|| EngineError::Request("there is no prompt".to_owned()))
    }
}

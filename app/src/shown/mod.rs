//! What is on the page now, whether it comes from a record or from live events.
//! In: a record and a lens, or events. Out: sources, response, chunks with their sources and heat maps, tokens.

mod maps;
mod prompt;
mod words;

use std::sync::Arc;

use attribution::curation::{Curator, recurate};
use attribution::record::{Chunk, ChunkAttribution, HeatMap, Record};
use attribution::resize::resized;

use crate::focus::FocusIndex;
use crate::lens::Lens;

pub use prompt::{Piece, Prompt, cited_by_phrase, pieces};
pub use words::Word;

use maps::{merged, region_boxes};
use words::words;

/// The content of the trace page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// Sources and units; behind `Arc`, as they do not change while tokens come.
    pub prompt: Arc<Prompt>,
    /// The response so far.
    pub response: String,
    /// Its final chunks.
    pub chunks: Vec<Chunk>,
    /// One per chunk.
    pub attributions: Vec<ChunkAttribution>,
    /// Heat maps per chunk.
    pub heat: Vec<Vec<HeatMap>>,
    /// Per chunk: the share of its attention outside every source, where it is known.
    pub outside: Vec<Option<f64>>,
    /// Every token with what it drew on; empty while they come.
    pub words: Arc<Vec<Word>>,
}

impl Shown {
    /// A record through a lens; re-curated where the lens is not the recorded one.
    pub fn of_record(record: &Record, prompt: &Arc<Prompt>, lens: &Lens) -> Self {
        let recorded = Lens::recorded(record);
        let (method, trace) = (
            &lens.method,
            record
                .signals
                .iter()
                .find(|s| s.signal == lens.method.signal),
        );
        let pieces = if lens.size == recorded.size {
            let own = |(k, chunk): (usize, &Chunk)| (chunk.clone(), k..k + 1);
            record.chunks.iter().enumerate().map(own).collect()
        } else {
            resized(record, lens.size)
        };
        let attributions = match trace {
            _ if lens.size == recorded.size && *method == record.method => {
                record.attributions.clone()
            }
            Some(trace) if lens.size != recorded.size => {
                let curator = Curator::new(&record.sources, &record.units, method);
                let of = |(chunk, _): &(Chunk, _)| {
                    curator.chunk(&record.response, chunk, &record.tokens, &trace.tokens)
                };
                pieces.iter().map(of).collect()
            }
            _ => recurate(record, method),
        };
        let heat = pieces
            .iter()
            .map(|(_, over)| {
                let maps = trace.and_then(|trace| trace.heat.get(over.clone()));
                let mut maps = merged(maps.unwrap_or_default());
                if lens.regions > 0 {
                    for map in &mut maps {
                        map.boxes = region_boxes(map, lens.regions);
                    }
                }
                maps
            })
            .collect();
        let outside = |(chunk, _): &(Chunk, _)| {
            trace?.outside(chunk.token_start as usize..chunk.token_end as usize)
        };
        Self {
            prompt: prompt.clone(),
            response: record.response.clone(),
            outside: pieces.iter().map(outside).collect(),
            chunks: pieces.into_iter().map(|(chunk, _)| chunk).collect(),
            attributions,
            heat,
            words: Arc::new(words(record, lens)),
        }
    }

    /// The beginning of the same answer, as it stood after so many tokens.
    pub fn after_tokens(&self, tokens: usize) -> Self {
        let Some(end) = self.words.get(tokens).map(|word| word.start as usize) else {
            return self.clone();
        };
        let count = self
            .chunks
            .partition_point(|chunk| chunk.token_end as usize <= tokens);
        Self {
            response: self.response.get(..end).unwrap_or_default().to_owned(),
            chunks: self.chunks[..count].to_vec(),
            ..self.clone()
        }
    }

    /// Who cites whom.
    pub fn index(&self) -> FocusIndex {
        FocusIndex::new(&self.attributions, self.prompt.units.len())
    }

    /// A chunk's text in three parts: white space before, the sentence, white space after.
    pub fn chunk_text(&self, chunk: u32) -> (&str, &str, &str) {
        let Some(text) = self
            .chunks
            .get(chunk as usize)
            .and_then(|c| self.response.get(c.start as usize..c.end as usize))
        else {
            return ("", "", "");
        };
        let body = text.trim();
        let before = text.len() - text.trim_start().len();
        if body.is_empty() {
            (text, "", "")
        } else {
            (&text[..before], body, &text[before + body.len()..])
        }
    }

    /// What was generated after the last final chunk.
    pub fn tail(&self) -> &str {
        let from = self.chunks.last().map_or(0, |chunk| chunk.end as usize);
        self.response.get(from..).unwrap_or_default()
    }

    /// The tokens of a chunk that have text.
    pub fn words_of(&self, chunk: u32) -> impl Iterator<Item = (u32, &Word)> {
        let range = self
            .chunks
            .get(chunk as usize)
            .map_or(0..0, |c| c.token_start as usize..c.token_end as usize);
        let words = self.words.get(range.clone()).unwrap_or_default();
        (range.start as u32..)
            .zip(words)
            .filter(|(_, word)| word.start < word.end)
    }

    /// The heat maps of a chunk.
    pub fn heat_of(&self, chunk: u32) -> &[HeatMap] {
        self.heat.get(chunk as usize).map_or(&[], Vec::as_slice)
    }

    /// The attribution of a chunk.
    pub fn attribution_of(&self, chunk: u32) -> Option<&ChunkAttribution> {
        self.attributions.get(chunk as usize)
    }
}

#[cfg(test)]
pub(crate) mod tests;

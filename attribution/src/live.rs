//! The live trace: tokens in, closed chunks with their sources out, and at the end the parts of the record.
//! In: per generated token its id, text and signals. Out: what `TraceEvent::Chunk` carries, as soon as a chunk can no
//! longer change; the same values stand in the record.

use std::ops::Range;

use crate::AttributionError;
use crate::chunk;
use crate::curation::Curator;
use crate::layout::Layout;
use crate::pos::Upos;
use crate::record::{Chunk, ChunkAttribution, ChunkSize, HeatMap, Method, SignalTrace, Token};
use crate::signal::StepSignals;
use crate::tagger;
use crate::trace::TraceBuilder;

/// Follows one generation.
#[derive(Debug)]
pub struct LiveTrace<'a> {
    layout: &'a Layout,
    method: Method,
    chunk_size: ChunkSize,
    builder: TraceBuilder,
    response: String,
    tokens: Vec<Token>,
    chunks: Vec<Chunk>,
    attributions: Vec<ChunkAttribution>,
}

/// A chunk that no longer changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedChunk {
    /// Index among chunks.
    pub index: u32,
    /// Its spans.
    pub chunk: Chunk,
    /// Its sources, for the method given at the start.
    pub attribution: ChunkAttribution,
    /// Its heat maps, for that method's signal.
    pub heat: Vec<HeatMap>,
}

/// What a generation adds to the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// As `Record::response`.
    pub response: String,
    /// As `Record::tokens`.
    pub tokens: Vec<Token>,
    /// As `Record::chunks`.
    pub chunks: Vec<Chunk>,
    /// As `Record::signals`.
    pub signals: Vec<SignalTrace>,
    /// As `Record::attributions`.
    pub attributions: Vec<ChunkAttribution>,
}

impl<'a> LiveTrace<'a> {
    /// Before the first token; chunks are sentences.
    pub fn new(layout: &'a Layout, method: Method) -> Self {
        Self::in_chunks(layout, method, ChunkSize::Sentence)
    }

    /// Before the first token.
    pub fn in_chunks(layout: &'a Layout, method: Method, chunk_size: ChunkSize) -> Self {
        Self {
            layout,
            method,
            chunk_size,
            builder: TraceBuilder::new(layout),
            response: String::new(),
            tokens: Vec::new(),
            chunks: Vec::new(),
            attributions: Vec::new(),
        }
    }

    /// The text so far.
    pub fn response(&self) -> &str {
        &self.response
    }

    /// Where a position looks that does not stand for a patch: cells of its unit's grid, each with its share. Before the first
    /// token.
    pub fn look(&mut self, position: usize, cells: Vec<(u32, f32)>) {
        self.builder.look(position, cells);
    }

    /// One token: `text` is what it appends (empty for a special token, or while a character is incomplete). Gives the
    /// chunks that it closes.
    pub fn push(
        &mut self,
        id: u32,
        text: &str,
        signals: StepSignals<'_>,
    ) -> Result<Vec<ClosedChunk>, AttributionError> {
        crate::record::check_counts(0, 0, self.tokens.len() + 1)?;
        self.builder.push_step(signals)?;
        let start = self.response.len() as u32;
        self.response.push_str(text);
        self.tokens.push(Token {
            id,
            start,
            end: self.response.len() as u32,
            pos: Upos::X,
        });
        let done = self.closed_bytes();
        // Boundaries look back no further than the chunk's begin, so the open part is split on its own.
        let stable: Vec<Range<usize>> =
            chunk::split_stable_as(&self.response[done..], self.chunk_size)
                .into_iter()
                .map(|piece| piece.start + done..piece.end + done)
                .collect();
        if stable.is_empty() {
            return Ok(Vec::new());
        }
        // The open rest is a piece too: the tokens in it must not fall to the last closed chunk.
        let mut pieces = stable;
        let closed = pieces.len();
        pieces.push(pieces[closed - 1].end..self.response.len());
        self.close(&pieces, closed)
    }

    /// No further token: the chunks still open, and all of it for the record.
    pub fn finish(mut self) -> Result<(Vec<ClosedChunk>, Generated), AttributionError> {
        let done = self.closed_bytes();
        let pieces: Vec<Range<usize>> = chunk::split_as(&self.response[done..], self.chunk_size)
            .into_iter()
            .map(|piece| piece.start + done..piece.end + done)
            .collect();
        let closed = self.close(&pieces, pieces.len())?;
        let generated = Generated {
            response: self.response,
            tokens: self.tokens,
            chunks: self.chunks,
            signals: self.builder.finish(),
            attributions: self.attributions,
        };
        Ok((closed, generated))
    }

    fn closed_bytes(&self) -> usize {
        self.chunks.last().map_or(0, |chunk| chunk.end as usize)
    }

    /// Makes chunks of the first `count` of `pieces`, which begin where the last chunk ended.
    fn close(
        &mut self,
        pieces: &[Range<usize>],
        count: usize,
    ) -> Result<Vec<ClosedChunk>, AttributionError> {
        let first_token = self.chunks.last().map_or(0, |chunk| chunk.token_end);
        let done = self.closed_bytes();
        let local = |bytes: &Range<usize>| bytes.start - done..bytes.end - done;
        let pieces: Vec<Range<usize>> = pieces.iter().map(local).collect();
        let token_bytes: Vec<Range<usize>> = self.tokens[first_token as usize..]
            .iter()
            .map(|t| (t.start as usize).max(done) - done..(t.end as usize).max(done) - done)
            .collect();
        let mut out = Vec::new();
        for mut chunk in chunk::with_tokens(&self.response[done..], &pieces, &token_bytes)
            .into_iter()
            .take(count)
        {
            chunk.start += done as u32;
            chunk.end += done as u32;
            chunk.token_start += first_token;
            chunk.token_end += first_token;
            tagger::tag_chunk(&self.response, &chunk, &mut self.tokens);
            self.builder.close_chunk(&chunk, &self.tokens)?;
            let curator = Curator::new(&self.layout.sources, &self.layout.units, &self.method);
            let masses = self.builder.masses(self.method.signal);
            let attribution = curator.chunk(&self.response, &chunk, &self.tokens, masses);
            let heat = self
                .builder
                .heat(self.method.signal)
                .last()
                .cloned()
                .unwrap_or_default();
            let index = self.chunks.len() as u32;
            self.chunks.push(chunk.clone());
            self.attributions.push(attribution.clone());
            out.push(ClosedChunk {
                index,
                chunk,
                attribution,
                heat,
            });
        }
        Ok(out)
    }
}

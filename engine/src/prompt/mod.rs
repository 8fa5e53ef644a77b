//! What every family's prompt is written with: ids, positions, embedding runs and layout, all in one forward pass.
//! In: special tokens, text and placeholders in the order in which the model reads them. Out: a [`Prompt`].

mod positions;
mod stretch;

use attribution::layout::LayoutBuilder;
use attribution::record::{SourceRole, Turn};
use tokenizers::Tokenizer;

pub(crate) use self::positions::PositionCursor;
use self::stretch::TextStretch;
use crate::EngineError;
use crate::model::{EncoderInput, Prompt, Run};

/// Writes one prompt; calls follow it from its first token to its last.
pub(crate) struct PromptWriter<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Moved by the caller for placeholders, by the writer for everything else.
    pub(crate) cursor: PositionCursor,
    runs: Vec<Run>,
    /// Told by the caller what placeholders are, by the writer everything else.
    pub(crate) layout: LayoutBuilder,
    /// Text since the last special token: tokens may run across its parts, so it is tokenized as one.
    text: TextStretch,
    turns: Vec<Turn>,
}

impl<'a> PromptWriter<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, image_grid: u32) -> Self {
        Self {
            tokenizer,
            ids: Vec::new(),
            cursor: PositionCursor::default(),
            runs: Vec::new(),
            layout: LayoutBuilder::with_image_regions(image_grid),
            text: TextStretch::default(),
            turns: Vec::new(),
        }
    }

    /// A turn of the conversation begins.
    pub(crate) fn turn(&mut self, assistant: bool) {
        self.turns.push(Turn {
            assistant,
            first_source: self.layout.sources() as u32,
        });
    }

    /// A special token of the template.
    pub(crate) fn special(&mut self, id: u32) -> Result<(), EngineError> {
        self.flush_text()?;
        self.specials_unplaced(&[id]);
        self.cursor.line(1);
        Ok(())
    }

    /// Special tokens behind flushed text whose positions are the caller's.
    pub(crate) fn specials_unplaced(&mut self, ids: &[u32]) {
        self.ids.extend(ids);
        self.runs.push(Run::Text { count: ids.len() });
        self.layout.special(ids.len());
    }

    /// Text of the template.
    pub(crate) fn scaffold(&mut self, text: impl Into<String>) {
        self.text.push(None, text.into());
    }

    /// Text of a source.
    pub(crate) fn text(&mut self, role: SourceRole, text: String) {
        self.text.push(Some(role), text);
    }

    /// `count` times `id`, whose embeddings are rows `first..` of encoder input `input`.
    /// Positions and layout are the caller's.
    pub(crate) fn placeholders(&mut self, id: u32, input: usize, first: usize, count: usize) {
        self.ids.extend(std::iter::repeat_n(id, count));
        self.runs.push(Run::Encoded {
            input,
            first,
            count,
        });
    }

    /// `count` times `id`, looked up. Positions and layout are the caller's.
    pub(crate) fn looked_up(&mut self, id: u32, count: usize) {
        self.ids.extend(std::iter::repeat_n(id, count));
        self.runs.push(Run::Text { count });
    }

    /// Tokenizes the text gathered so far; its tokens are laid out part by part.
    pub(crate) fn flush_text(&mut self) -> Result<(), EngineError> {
        let stretch = std::mem::take(&mut self.text).tokenize(self.tokenizer)?;
        self.runs.push(Run::Text {
            count: stretch.ids.len(),
        });
        self.cursor.line(stretch.ids.len());
        self.ids.extend(stretch.ids);
        for part in stretch.parts {
            match part.role {
                Some(role) => {
                    self.layout
                        .text(role, &part.text, &part.token_bytes)
                        .map_err(layout_error)?;
                }
                None => self.layout.special(part.token_bytes.len()),
            }
        }
        Ok(())
    }

    /// The prompt; `inputs` are what its placeholders number.
    pub(crate) fn finish(
        mut self,
        inputs: Vec<EncoderInput>,
        warnings: Vec<String>,
    ) -> Result<Prompt, EngineError> {
        self.flush_text()?;
        let (positions, next_position) = self.cursor.finish();
        let layout = self.layout.finish().map_err(layout_error)?;
        if self.turns.len() == 1 {
            self.turns.clear();
        }
        Ok(Prompt {
            ids: self.ids,
            layout,
            positions,
            next_position,
            runs: self.runs,
            inputs,
            warnings,
            turns: self.turns,
        })
    }
}

/// What a layout refuses, refuses the request.
pub(crate) fn layout_error(error: attribution::AttributionError) -> EngineError {
    EngineError::Request(error.to_string())
}

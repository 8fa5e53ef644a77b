//! The chat prompt: ids, positions, embedding runs and layout, all built in one forward pass.
//! In: prepared pieces in the order in which the model reads them. Out: a [`Prompt`].

use std::ops::Range;

use attribution::layout::LayoutBuilder;
use attribution::record::{SourceItem, SourceRole, Turn};
use attribution::time::TimeBins;
use tokenizers::Tokenizer;

use super::positions::{FilmStretch, FilmTiming, PositionCursor};
use super::stretch::TextStretch;
use crate::EngineError;
use crate::model::{EncoderInput, Prompt, Run};

/// Seconds of sound per token: 4 mel frames of 10 ms.
pub(crate) const SECS_PER_AUDIO_TOKEN: f64 = 0.04;

/// What the template puts where there is no system message.
pub(crate) const DEFAULT_SYSTEM: &str = "You are a helpful assistant.";

/// Ids of the tokens that the template places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TemplateIds {
    pub(crate) im_start: u32,
    pub(crate) im_end: u32,
    pub(crate) vision_start: u32,
    pub(crate) vision_end: u32,
    pub(crate) audio_start: u32,
    pub(crate) audio_end: u32,
    pub(crate) image: u32,
    pub(crate) video: u32,
    pub(crate) audio: u32,
}

/// A piece of the user's message, ready to be laid out. `input` numbers the prompt's encoder inputs.
#[derive(Debug)]
pub(crate) enum Piece {
    Text {
        role: SourceRole,
        text: String,
    },
    Image {
        item: SourceItem,
        input: usize,
        cells: [usize; 2],
    },
    Audio {
        item: SourceItem,
        input: usize,
        tokens: usize,
        bins: TimeBins,
    },
    Film {
        item: SourceItem,
        input: usize,
        timing: FilmTiming,
        duration_secs: f64,
        sound: Option<FilmSound>,
    },
}

/// The sound of a film.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilmSound {
    pub(crate) input: usize,
    pub(crate) tokens: usize,
}

/// Assembles the system message, the turns and the opening of the answer.
pub(crate) struct PromptBuilder<'a> {
    tokenizer: &'a Tokenizer,
    template: TemplateIds,
    ids: Vec<u32>,
    cursor: PositionCursor,
    runs: Vec<Run>,
    layout: LayoutBuilder,
    /// Text since the last special token: tokens may run across its parts, so it is tokenized as one.
    text: TextStretch,
}

impl<'a> PromptBuilder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, template: TemplateIds, image_grid: u32) -> Self {
        Self {
            tokenizer,
            template,
            ids: Vec::new(),
            cursor: PositionCursor::default(),
            runs: Vec::new(),
            layout: LayoutBuilder::with_image_regions(image_grid),
            text: TextStretch::default(),
        }
    }

    /// The whole prompt: every turn by its role (`true`: the assistant's) and pieces.
    pub(crate) fn build(
        mut self,
        system: &str,
        turns: Vec<(bool, Vec<Piece>)>,
        inputs: Vec<EncoderInput>,
        warnings: Vec<String>,
    ) -> Result<Prompt, EngineError> {
        let TemplateIds {
            im_start, im_end, ..
        } = self.template;
        self.special(im_start)?;
        self.scaffold(format!("system\n{system}"));
        self.special(im_end)?;
        self.scaffold("\n");
        let mut marks = Vec::new();
        for (assistant, pieces) in turns {
            self.special(im_start)?;
            marks.push(Turn {
                assistant,
                first_source: self.layout.sources() as u32,
            });
            self.scaffold(if assistant { "assistant\n" } else { "user\n" });
            for piece in pieces {
                self.piece(piece)?;
            }
            self.special(im_end)?;
            self.scaffold("\n");
        }
        if marks.len() == 1 {
            marks.clear();
        }
        self.special(im_start)?;
        self.scaffold("assistant\n");
        self.flush_text()?;
        let (positions, next_position) = self.cursor.finish();
        let layout = self.layout.finish().map_err(layout_error)?;
        Ok(Prompt {
            ids: self.ids,
            layout,
            positions,
            next_position,
            runs: self.runs,
            inputs,
            warnings,
            turns: marks,
        })
    }

    fn piece(&mut self, piece: Piece) -> Result<(), EngineError> {
        let ids = self.template;
        match piece {
            Piece::Text { role, text } => self.text.push(Some(role), text),
            Piece::Image {
                item,
                input,
                cells: [rows, cols],
            } => {
                self.special(ids.vision_start)?;
                self.placeholders(ids.image, input, 0, rows * cols);
                self.cursor.picture(rows, cols);
                self.layout.image(item).map_err(layout_error)?;
                self.special(ids.vision_end)?;
            }
            Piece::Audio {
                item,
                input,
                tokens,
                bins,
            } => {
                self.special(ids.audio_start)?;
                self.placeholders(ids.audio, input, 0, tokens);
                self.cursor.line(tokens);
                self.layout
                    .audio(item, tokens, SECS_PER_AUDIO_TOKEN, &bins)
                    .map_err(layout_error)?;
                self.special(ids.audio_end)?;
            }
            Piece::Film {
                item,
                input,
                timing,
                duration_secs,
                sound,
            } => {
                self.flush_text()?;
                // One bin per temporal slice: they are even in time, as the frames are.
                let slice_secs = duration_secs / timing.slices.max(1) as f64;
                let bins = TimeBins::uniform(duration_secs, slice_secs);
                self.layout.film(item, bins).map_err(layout_error)?;
                self.film(input, &timing, slice_secs, sound)?;
            }
        }
        Ok(())
    }

    fn film(
        &mut self,
        input: usize,
        timing: &FilmTiming,
        slice_secs: f64,
        sound: Option<FilmSound>,
    ) -> Result<(), EngineError> {
        let ids = self.template;
        let per_slice = timing.cells[0] * timing.cells[1];
        let Some(sound) = sound else {
            self.special(ids.vision_start)?;
            self.placeholders(ids.video, input, 0, timing.slices * per_slice);
            self.cursor.film(timing);
            self.show_slices(0..timing.slices, slice_secs)?;
            return self.special(ids.vision_end);
        };
        let stretches = timing.interleave(sound.tokens);
        self.shared_position(ids.vision_start, ids.audio_start);
        self.cursor.film_with_sound(timing, &stretches);
        for stretch in &stretches {
            match *stretch {
                FilmStretch::Pictures { first, end } => {
                    self.placeholders(ids.video, input, first, end - first);
                    self.show_slices(first / per_slice..end / per_slice, slice_secs)?;
                }
                FilmStretch::Sound { first, end } => {
                    self.placeholders(ids.audio, sound.input, first, end - first);
                    self.layout
                        .film_sound(end - first, SECS_PER_AUDIO_TOKEN)
                        .map_err(layout_error)?;
                }
            }
        }
        self.shared_position(ids.audio_end, ids.vision_end);
        Ok(())
    }

    fn show_slices(&mut self, slices: Range<usize>, slice_secs: f64) -> Result<(), EngineError> {
        for slice in slices {
            self.layout
                .picture((slice as f64 + 0.5) * slice_secs)
                .map_err(layout_error)?;
        }
        Ok(())
    }

    /// Two special tokens that share one position.
    fn shared_position(&mut self, first: u32, second: u32) {
        self.ids.extend([first, second]);
        self.runs.push(Run::Text { count: 2 });
        self.cursor.pair();
        self.layout.special(2);
    }

    fn placeholders(&mut self, id: u32, input: usize, first: usize, count: usize) {
        self.ids.extend(std::iter::repeat_n(id, count));
        self.runs.push(Run::Encoded {
            input,
            first,
            count,
        });
    }

    fn special(&mut self, id: u32) -> Result<(), EngineError> {
        self.flush_text()?;
        self.ids.push(id);
        self.runs.push(Run::Text { count: 1 });
        self.cursor.line(1);
        self.layout.special(1);
        Ok(())
    }

    fn scaffold(&mut self, text: impl Into<String>) {
        self.text.push(None, text.into());
    }

    /// Tokenizes the text gathered so far; its tokens are laid out part by part.
    fn flush_text(&mut self) -> Result<(), EngineError> {
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
}

fn layout_error(error: attribution::AttributionError) -> EngineError {
    EngineError::Request(error.to_string())
}

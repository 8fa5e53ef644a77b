//! The chat template: which tokens stand where, and where pictures, sounds and films stand among them.
//! In: prepared pieces in the order in which the model reads them. Out: a [`Prompt`].

use std::ops::Range;

use attribution::record::{SourceItem, SourceRole};
use attribution::time::TimeBins;
use tokenizers::Tokenizer;

use super::positions::{FilmStretch, FilmTiming};
use crate::EngineError;
use crate::model::{EncoderInput, Prompt};
use crate::prompt::{PromptWriter, layout_error};

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
    writer: PromptWriter<'a>,
    template: TemplateIds,
}

impl<'a> PromptBuilder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, template: TemplateIds, image_grid: u32) -> Self {
        Self {
            writer: PromptWriter::new(tokenizer, image_grid),
            template,
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
        self.writer.special(im_start)?;
        self.writer.scaffold(format!("system\n{system}"));
        self.writer.special(im_end)?;
        self.writer.scaffold("\n");
        for (assistant, pieces) in turns {
            self.writer.special(im_start)?;
            self.writer.turn(assistant);
            self.writer
                .scaffold(if assistant { "assistant\n" } else { "user\n" });
            for piece in pieces {
                self.piece(piece)?;
            }
            self.writer.special(im_end)?;
            self.writer.scaffold("\n");
        }
        self.writer.special(im_start)?;
        self.writer.scaffold("assistant\n");
        self.writer.finish(inputs, warnings)
    }

    fn piece(&mut self, piece: Piece) -> Result<(), EngineError> {
        let ids = self.template;
        match piece {
            Piece::Text { role, text } => self.writer.text(role, text),
            Piece::Image {
                item,
                input,
                cells: [rows, cols],
            } => {
                self.writer.special(ids.vision_start)?;
                self.writer.placeholders(ids.image, input, 0, rows * cols);
                self.writer.cursor.picture(rows, cols);
                self.writer.layout.image(item).map_err(layout_error)?;
                self.writer.special(ids.vision_end)?;
            }
            Piece::Audio {
                item,
                input,
                tokens,
                bins,
            } => {
                self.writer.special(ids.audio_start)?;
                self.writer.placeholders(ids.audio, input, 0, tokens);
                self.writer.cursor.line(tokens);
                self.writer
                    .layout
                    .audio(item, tokens, SECS_PER_AUDIO_TOKEN, &bins)
                    .map_err(layout_error)?;
                self.writer.special(ids.audio_end)?;
            }
            Piece::Film {
                item,
                input,
                timing,
                duration_secs,
                sound,
            } => {
                self.writer.flush_text()?;
                // One bin per temporal slice: they are even in time, as the frames are.
                let slice_secs = duration_secs / timing.slices.max(1) as f64;
                let bins = TimeBins::uniform(duration_secs, slice_secs);
                self.writer.layout.film(item, bins).map_err(layout_error)?;
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
            self.writer.special(ids.vision_start)?;
            self.writer
                .placeholders(ids.video, input, 0, timing.slices * per_slice);
            self.writer.cursor.film(timing);
            self.show_slices(0..timing.slices, slice_secs)?;
            return self.writer.special(ids.vision_end);
        };
        let stretches = timing.interleave(sound.tokens);
        self.shared_position(ids.vision_start, ids.audio_start);
        self.writer.cursor.film_with_sound(timing, &stretches);
        for stretch in &stretches {
            match *stretch {
                FilmStretch::Pictures { first, end } => {
                    self.writer
                        .placeholders(ids.video, input, first, end - first);
                    self.show_slices(first / per_slice..end / per_slice, slice_secs)?;
                }
                FilmStretch::Sound { first, end } => {
                    self.writer
                        .placeholders(ids.audio, sound.input, first, end - first);
                    self.writer
                        .layout
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
            self.writer
                .layout
                .picture((slice as f64 + 0.5) * slice_secs)
                .map_err(layout_error)?;
        }
        Ok(())
    }

    /// Two special tokens that share one position.
    fn shared_position(&mut self, first: u32, second: u32) {
        self.writer.specials_unplaced(&[first, second]);
        self.writer.cursor.pair();
    }
}

//! The chat template: which tokens stand where, and where pictures, slices, sounds and films stand among them.
//! In: prepared pieces in the order in which the model reads them. Out: a [`Prompt`].
//!
//! Reference: `modeling_minicpmo.py` and `processing_minicpmo.py` of MiniCPM-o 4.5 (`chat` without speech output).

use attribution::record::{Grid, SourceItem, SourceRole};
use attribution::time::TimeBins;
use tokenizers::Tokenizer;

use super::preprocess_config::PreprocessConfig;
use crate::EngineError;
use crate::load::ModelFiles;
use crate::model::{EncoderInput, Prompt};
use crate::prompt::{PromptWriter, layout_error};

/// Ids of the tokens that the template places.
#[derive(Debug, Clone, Copy)]
pub(super) struct TemplateIds {
    im_start: u32,
    im_end: u32,
    image: [u32; 2],
    slice: [u32; 2],
    image_id: [u32; 2],
    audio: [u32; 2],
    /// Around what the model thinks before it answers: nothing.
    think: [u32; 2],
    /// Stands for every embedding of a picture or sound.
    placeholder: u32,
}

/// A piece of a message, ready to be laid out.
#[derive(Debug)]
pub(super) enum Piece {
    Text {
        role: SourceRole,
        text: String,
    },
    Image {
        item: SourceItem,
        view: View,
    },
    Audio {
        item: SourceItem,
        tokens: usize,
        bins: TimeBins,
    },
    Film {
        item: SourceItem,
        bins: TimeBins,
        shots: Vec<Shot>,
    },
}

/// A picture as the prompt shows it: encoder inputs by number, the overview's and then, row by row, the slices'.
#[derive(Debug)]
pub(super) struct View {
    pub(super) overview: usize,
    pub(super) slices: Vec<usize>,
    /// Rows and columns of slices.
    pub(super) slice_grid: Grid,
    /// The grid in which is said where an embedding looks.
    pub(super) looks: Grid,
}

/// A frame of a film and the sound from there to the next.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) secs: f64,
    pub(super) view: View,
    /// Tokens; none where the film is silent.
    pub(super) sound: Option<usize>,
}

/// What the sounds of a whole conversation become: one row of embeddings, cut in order across the places for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// The encoder's input.
    pub(super) input: usize,
    /// Embeddings that there are.
    pub(super) tokens: usize,
    pub(super) secs_per_token: f64,
}

impl TemplateIds {
    pub(super) fn new(
        files: &ModelFiles,
        tokenizer: &Tokenizer,
        config: &PreprocessConfig,
    ) -> Result<Self, EngineError> {
        let named = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| {
                files.failure("tokenizer.json", format!("the token {token} is missing"))
            })
        };
        let pair =
            |first: &str, second: &str| Ok::<_, EngineError>([named(first)?, named(second)?]);
        Ok(Self {
            im_start: named("<|im_start|>")?,
            im_end: named("<|im_end|>")?,
            image: pair(&config.im_start, &config.im_end)?,
            slice: pair(&config.slice_start, &config.slice_end)?,
            image_id: pair(&config.im_id_start, &config.im_id_end)?,
            audio: pair("<|audio_start|>", "<|audio_end|>")?,
            think: pair("<think>", "</think>")?,
            placeholder: named(&config.unk)?,
        })
    }
}

/// Assembles the turns and the opening of the answer.
pub(super) struct PromptBuilder<'a> {
    writer: PromptWriter<'a>,
    template: TemplateIds,
    /// Whether pictures are numbered, and how many were.
    numbered: bool,
    pictures: usize,
    queries: usize,
    heard: Heard,
    heard_so_far: usize,
}

impl<'a> PromptBuilder<'a> {
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        template: TemplateIds,
        config: &PreprocessConfig,
        heard: Heard,
    ) -> Self {
        Self {
            writer: PromptWriter::new(tokenizer, 1),
            template,
            numbered: config.use_image_id,
            pictures: 0,
            queries: config.image_feature_size,
            heard,
            heard_so_far: 0,
        }
    }

    /// The whole prompt: every turn by its role (`true`: the assistant's) and pieces. There is no system message but a given one.
    pub(super) fn build(
        mut self,
        system: Option<&str>,
        turns: Vec<(bool, Vec<Piece>)>,
        inputs: Vec<EncoderInput>,
        warnings: Vec<String>,
    ) -> Result<Prompt, EngineError> {
        let ids = self.template;
        if let Some(system) = system {
            self.writer.special(ids.im_start)?;
            self.writer.scaffold(format!("system\n{system}"));
            self.writer.special(ids.im_end)?;
            self.writer.scaffold("\n");
        }
        for (assistant, pieces) in turns {
            self.writer.special(ids.im_start)?;
            self.writer.turn(assistant);
            self.writer
                .scaffold(if assistant { "assistant\n" } else { "user\n" });
            for (index, piece) in pieces.into_iter().enumerate() {
                if index > 0 {
                    self.writer.scaffold("\n");
                }
                self.piece(piece)?;
            }
            self.writer.special(ids.im_end)?;
            self.writer.scaffold("\n");
        }
        self.writer.special(ids.im_start)?;
        self.writer.scaffold("assistant\n");
        self.writer.special(ids.think[0])?;
        self.writer.scaffold("\n\n");
        self.writer.special(ids.think[1])?;
        self.writer.scaffold("\n\n");
        self.writer.finish(inputs, warnings)
    }

    fn piece(&mut self, piece: Piece) -> Result<(), EngineError> {
        match piece {
            Piece::Text { role, text } => self.writer.text(role, text),
            Piece::Image { item, view } => {
                self.writer.flush_text()?;
                let begun = self.writer.layout.image_in_parts(item, view.looks);
                begun.map_err(layout_error)?;
                self.view(&view, None)?;
            }
            Piece::Audio { item, tokens, bins } => {
                self.writer.special(self.template.audio[0])?;
                self.sound_placeholders(tokens);
                let secs = self.heard.secs_per_token;
                let laid = self.writer.layout.audio(item, tokens, secs, &bins);
                laid.map_err(layout_error)?;
                self.writer.special(self.template.audio[1])?;
            }
            Piece::Film { item, bins, shots } => {
                self.writer.flush_text()?;
                self.writer.layout.film(item, bins).map_err(layout_error)?;
                self.film(&shots)?;
            }
        }
        Ok(())
    }

    /// Frames and sound in turn.
    fn film(&mut self, shots: &[Shot]) -> Result<(), EngineError> {
        for (index, shot) in shots.iter().enumerate() {
            if index > 0 {
                self.writer.scaffold("\n");
            }
            self.view(&shot.view, Some(shot.secs))?;
            if let Some(tokens) = shot.sound {
                self.writer.scaffold("\n");
                self.writer.special(self.template.audio[0])?;
                self.sound_placeholders(tokens);
                let secs = self.heard.secs_per_token;
                let laid = self.writer.layout.film_sound_from(shot.secs, tokens, secs);
                laid.map_err(layout_error)?;
                self.writer.special(self.template.audio[1])?;
            }
        }
        Ok(())
    }

    /// A picture, or the frame of a film that is shown at `secs`: its number, the overview, the slices row by row.
    fn view(&mut self, view: &View, secs: Option<f64>) -> Result<(), EngineError> {
        let ids = self.template;
        if self.numbered {
            self.writer.special(ids.image_id[0])?;
            self.writer.scaffold(self.pictures.to_string());
            self.writer.special(ids.image_id[1])?;
        }
        self.pictures += 1;
        self.look(view.overview, ids.image, secs)?;
        for (index, &slice) in view.slices.iter().enumerate() {
            if index > 0 && index.is_multiple_of(view.slice_grid.cols as usize) {
                self.writer.scaffold("\n");
            }
            self.look(slice, ids.slice, secs)?;
        }
        Ok(())
    }

    /// The placeholders of one encoder input between its marks.
    fn look(
        &mut self,
        input: usize,
        marks: [u32; 2],
        secs: Option<f64>,
    ) -> Result<(), EngineError> {
        self.writer.special(marks[0])?;
        let placeholder = self.template.placeholder;
        self.writer
            .placeholders(placeholder, input, 0, self.queries);
        self.writer.cursor.line(self.queries);
        let laid = match secs {
            Some(secs) => self.writer.layout.picture_part(secs, self.queries),
            None => self.writer.layout.image_part(self.queries),
        };
        laid.map_err(layout_error)?;
        self.writer.special(marks[1])
    }

    /// The next `count` embeddings of sound.
    ///
    /// DIFFERENCE: sounds are joined before they are encoded, so that rounding may leave fewer embeddings than places; the
    /// reference then fails, here the last places stay the placeholder's own embedding.
    fn sound_placeholders(&mut self, count: usize) {
        let placeholder = self.template.placeholder;
        let first = self.heard_so_far;
        let there = count.min(self.heard.tokens.saturating_sub(first));
        self.writer
            .placeholders(placeholder, self.heard.input, first, there);
        self.writer.looked_up(placeholder, count - there);
        self.writer.cursor.line(count);
        self.heard_so_far += count;
    }
}

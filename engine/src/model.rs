//! The contract between the flow and a model family, and the one place that chooses the family.
//! In: a model's files. Out: a [`Model`]: prompt assembly, encoders, and a session that generates with taps.

use std::sync::Arc;

use attribution::layout::Layout;
use attribution::record::{Grid, Rect, Settings, SourceItem, SourceRole, Turn};
use attribution::time::TimeBins;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use media::Transparency;
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::decoder::{Decoder, LanguageModel, Position, Rescored, Seat, Start};
use crate::faithfulness::rescore::{self, Answer};
use crate::load::ModelFiles;
use crate::preprocess::Rgb;
use crate::preprocess::mel::Mel;
use crate::preprocess::patches::Patches;
use crate::signals::{StepAttention, StepGradients, Wanted};
use crate::{EngineError, Precision, minicpm_o, qwen2_5_omni};

/// How a family is loaded, whole or in part.
pub(crate) struct Loading {
    /// The whole model, from its files, parsed `config.json`, tokenizer and weights at their root.
    pub(crate) family: LoadFamily,
    /// Its language model alone.
    pub(crate) language_model: LoadLanguageModel,
}

type LoadFamily = fn(
    &ModelFiles,
    Value,
    Arc<Tokenizer>,
    VarBuilder<'static>,
) -> Result<Box<dyn Family>, EngineError>;

type LoadLanguageModel =
    fn(&ModelFiles, Value, VarBuilder<'static>) -> Result<LanguageModel, EngineError>;

/// The one place that knows which families there are.
pub(crate) fn loading(config: &Value) -> Result<Loading, EngineError> {
    let architecture = config.get("model_type").and_then(Value::as_str);
    match architecture.unwrap_or_default() {
        "qwen2_5_omni" | "qwen2_5_omni_thinker" => Ok(qwen2_5_omni::LOADING),
        "minicpmo" => Ok(minicpm_o::LOADING),
        other => Err(EngineError::UnknownArchitecture {
            found: other.to_owned(),
            known: "qwen2_5_omni, qwen2_5_omni_thinker, minicpmo".to_owned(),
        }),
    }
}

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(crate) family: Box<dyn Family>,
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// Shown and recorded.
    pub name: String,
    /// Hash of the weights, for the record; empty where the caller does not set it.
    pub hash: String,
    /// Of weights and activations.
    pub precision: Precision,
}

impl Model {
    /// Loads a model onto `device`, in the usual precision ([`ModelFiles::usual_precision`]).
    pub fn load(files: &ModelFiles, name: &str, device: &Device) -> Result<Self, EngineError> {
        Self::load_as(files, name, device, None)
    }

    /// Loads a model onto `device`. Each tensor is read from its mapped file straight into `precision`.
    pub fn load_as(
        files: &ModelFiles,
        name: &str,
        device: &Device,
        precision: Option<Precision>,
    ) -> Result<Self, EngineError> {
        let config: Value = files.json("config.json")?;
        let mut tokenizer = files.tokenizer()?;
        // A user's text never turns into special tokens, whatever it spells.
        tokenizer.set_encode_special_tokens(true);
        let tokenizer = Arc::new(tokenizer);
        let loading = loading(&config)?;
        let precision = match precision {
            Some(precision) => precision,
            None => files.usual_precision(device)?,
        };
        let root = files.weights(precision.dtype(), device)?;
        let family = (loading.family)(files, config, tokenizer.clone(), root)?;
        Ok(Self {
            family,
            tokenizer,
            name: name.to_owned(),
            hash: String::new(),
            precision,
        })
    }
}

/// What a model family brings.
pub(crate) trait Family: std::fmt::Debug + Send + Sync {
    /// What the model sees of a transparent picture.
    fn transparency(&self) -> Transparency {
        Transparency::OnWhite
    }

    /// Which frames of a film of `frames` at `fps` the model sees; empty where it cannot see the film.
    fn frame_indices(&self, frames: usize, fps: f64, settings: &Settings) -> Vec<usize>;

    /// A frame of a film of which the model sees `frames` frames, in the size in which it sees it.
    fn fit_frame(
        &self,
        frame: &Rgb,
        frames: usize,
        settings: &Settings,
    ) -> Result<Rgb, EngineError>;

    /// Preprocesses the sources and lays the prompt out, ids and layout together.
    /// `system`: a system message other than the family's own default. The answer follows the last turn.
    fn assemble(
        &self,
        turns: Vec<DecodedTurn>,
        system: Option<&str>,
        settings: &Settings,
    ) -> Result<Prompt, EngineError>;

    /// Embeddings of an encoder input of the prompt.
    fn encode(
        &self,
        input: &EncoderInput,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Encoded, EngineError>;

    /// The language model.
    fn decoder(&self) -> &Decoder;

    /// The whole prompt's embeddings: text looked up, `encoded` inputs put in their places.
    fn embed(&self, prompt: &Prompt, encoded: &[Encoded]) -> Result<Tensor, EngineError> {
        let looked_up = self.decoder().embed(&prompt.ids)?;
        let mut parts = Vec::new();
        let mut at = 0;
        for run in &prompt.runs {
            match *run {
                Run::Text { count } if count > 0 => {
                    parts.push(looked_up.narrow(0, at, count)?);
                    at += count;
                }
                Run::Encoded {
                    input,
                    first,
                    count,
                } if count > 0 => {
                    let embeds = encoded.get(input).and_then(|one| one.embeds.as_ref());
                    let embeds = embeds.ok_or_else(|| {
                        candle_core::Error::Msg(format!("encoder input {input} has no embeddings"))
                    })?;
                    parts.push(embeds.narrow(0, first, count)?);
                    at += count;
                }
                _ => {}
            }
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Runs the prompt; `None` when `layer_done(done, total)` said stop.
    fn begin<'a>(
        &'a self,
        prompt: &Prompt,
        embeds: &Tensor,
        max_new_tokens: usize,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Box<dyn Session + 'a>>, EngineError> {
        let start = Start {
            embeds,
            positions: &prompt.positions,
            next_position: prompt.next_position,
            max_new_tokens,
            wanted: Wanted::Everything,
        };
        Ok(self.decoder().begin(&start, layer_done)?)
    }

    /// The answer's log-probabilities with a part of the prompt gone, for each of `kept` (per prompt position: whether it
    /// stays); `None` once `go_on`, asked after every pass, says no.
    fn rescore(
        &self,
        prompt: &Prompt,
        embeds: &Tensor,
        answer: &Answer<'_>,
        kept: &[Vec<bool>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<Vec<f64>>>, EngineError> {
        match self
            .decoder()
            .rescore(prompt, embeds, answer, kept, go_on)?
        {
            Rescored::Done(scores) => Ok(Some(scores)),
            Rescored::Stopped => Ok(None),
            Rescored::NotHere => rescore::step_by_step(self, prompt, embeds, answer, kept, go_on),
        }
    }

    /// What each id is looked up as, before any layer: a vector of the hidden size per id.
    fn word_vectors(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>, EngineError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.decoder().embed(ids)?.to_dtype(DType::F32)?;
        Ok(rows.to_vec2()?)
    }

    /// The part of the prompt whose n-grams the answer must not repeat: all of it, placeholders included.
    fn seen_by_ngram_rule<'p>(&self, prompt_ids: &'p [u32]) -> &'p [u32] {
        prompt_ids
    }

    /// Ids that end generation.
    fn end_ids(&self) -> &[u32];

    /// Longest prompt plus answer, in tokens.
    fn max_positions(&self) -> usize;
}

/// One generation in progress.
pub(crate) trait Session {
    /// Logits of the next token, before any rule.
    fn logits(&self) -> &[f32];
    /// What attention says of this step.
    fn attention(&self) -> Result<StepAttention, EngineError>;
    /// Keeps this step, the last thing that is asked of it, for [`Self::gradients`]: its token is `chosen`, and the values of
    /// `layers` are asked for.
    fn hold(&mut self, chosen: u32, layers: &[usize]) -> Result<(), EngineError>;
    /// What gradients say of the steps held since the last call, oldest first.
    fn gradients(&mut self) -> Result<Vec<StepGradients>, EngineError>;
    /// Feeds the chosen token; afterwards `logits` are those of the next.
    fn advance(&mut self, chosen: u32) -> Result<(), EngineError>;
    /// Back to the end of the prompt, computing other signals from there; `logits` stay those of the last step.
    fn rewind(&mut self, wanted: Wanted);
    /// Its place in a step that several generations take together; none where each steps alone.
    fn seat(&mut self) -> Option<Seat<'_>>;
}

/// A turn of the conversation, its sources decoded.
#[derive(Debug)]
pub(crate) struct DecodedTurn {
    /// Whether the model wrote it.
    pub(crate) assistant: bool,
    pub(crate) sources: Vec<DecodedSource>,
}

/// A source, decoded; a film's frames are fitted. Grids inside `item` are filled in by the family.
#[derive(Debug)]
pub(crate) enum DecodedSource {
    Text {
        role: SourceRole,
        text: String,
    },
    Image {
        item: SourceItem,
        picture: Rgb,
    },
    Audio {
        item: SourceItem,
        sound: Sound,
        bins: TimeBins,
    },
    Film {
        item: SourceItem,
        frames: Vec<Rgb>,
        duration_secs: f64,
        sound: Option<Sound>,
    },
}

/// Mono sound.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) samples: Vec<f32>,
    pub(crate) rate_hz: u32,
}

/// An assembled prompt.
#[derive(Debug)]
pub(crate) struct Prompt {
    /// Placeholders repeated.
    pub(crate) ids: Vec<u32>,
    /// What each of them is.
    pub(crate) layout: Layout,
    /// Rotary position of each: time, height, width.
    pub(crate) positions: Vec<Position>,
    /// Position of the first generated token.
    pub(crate) next_position: u32,
    /// Where the embeddings come from, in order.
    pub(crate) runs: Vec<Run>,
    /// What the encoders read.
    pub(crate) inputs: Vec<EncoderInput>,
    /// Partial loss, as sentences.
    pub(crate) warnings: Vec<String>,
    /// Where each turn begins; empty where there is only one.
    pub(crate) turns: Vec<Turn>,
}

/// A stretch of prompt positions whose embeddings have one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// Looked up by id.
    Text { count: usize },
    /// Rows `first..first + count` of an encoder's output.
    Encoded {
        input: usize,
        first: usize,
        count: usize,
    },
}

/// The part of a picture that patches show, and the grid of the picture's heat map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    pub(crate) rect_in_source: Rect,
    pub(crate) grid: Grid,
}

/// What an encoder makes of an input.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// `[tokens, hidden]`; `None` where it has no token.
    pub(crate) embeds: Option<Tensor>,
    /// Of an input with a [`Look`]: how much of each embedding comes from each patch, `[tokens, patches]`, rows of sum 1.
    pub(crate) looks: Option<Tensor>,
}

/// What an encoder reads.
#[derive(Debug)]
pub(crate) enum EncoderInput {
    Patches {
        patches: Patches,
        /// Where the patches lie, if embeddings do not stand for patches one by one.
        look: Option<Look>,
    },
    /// Sounds that are read together: what an encoder makes of one may depend on how long the others are.
    Sounds(Vec<Mel>),
}

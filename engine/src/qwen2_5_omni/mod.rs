//! Qwen2.5-Omni's Thinker: text, pictures, sound and film in, text out.
//! In: a model directory in the hub's form. Out: the [`Family`] that the flow drives.

mod audio;
mod config;
mod decoder;
mod decoder_device;
mod positions;
mod prepare;
mod preprocess_config;
mod prompt;
mod rope;
mod stretch;
mod thinker;
mod vision;

use std::sync::Arc;

use attribution::record::Settings;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use tokenizers::Tokenizer;

use self::audio::AudioTower;
use self::config::ThinkerConfig;
use self::decoder::{Decoder, Rescored, Start};
use self::preprocess_config::PreprocessConfig;
use self::prompt::{DEFAULT_SYSTEM, Piece, PromptBuilder, TemplateIds};
pub(crate) use self::thinker::ThinkerDecoder;
use self::vision::VisionTower;
use crate::EngineError;
use crate::faithfulness::rescore::{self, Answer};
use crate::load::ModelFiles;
use crate::model::{DecodedSource, DecodedTurn, EncoderInput, Family, Prompt, Run, Session};
use crate::preprocess::Rgb;
use crate::signals::Wanted;

/// A loaded Thinker.
#[derive(Debug)]
pub(crate) struct QwenOmni {
    decoder: Decoder,
    vision: VisionTower,
    audio: AudioTower,
    config: ThinkerConfig,
    preprocess: PreprocessConfig,
    tokenizer: Arc<Tokenizer>,
    template: TemplateIds,
    end_ids: Vec<u32>,
    device: Device,
}

impl QwenOmni {
    pub(crate) fn load(
        files: &ModelFiles,
        config: Value,
        tokenizer: Arc<Tokenizer>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, EngineError> {
        let config = ThinkerConfig::from_value(files, config)?;
        let preprocess: PreprocessConfig = files.json_or_default("preprocessor_config.json")?;
        preprocess
            .check()
            .map_err(|reason| files.failure("preprocessor_config.json", reason))?;
        let named = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| {
                files.failure("tokenizer.json", format!("the token {token} is missing"))
            })
        };
        let template = TemplateIds {
            im_start: named("<|im_start|>")?,
            im_end: named("<|im_end|>")?,
            vision_start: config.vision_start_token_id,
            vision_end: config.vision_end_token_id,
            audio_start: config.audio_start_token_id,
            audio_end: config.audio_end_token_id,
            image: config.image_token_index,
            video: config.video_token_index,
            audio: config.audio_token_index,
        };
        let mut end_ids = config.end_ids(files)?;
        if end_ids.is_empty() {
            end_ids.push(template.im_end);
        }
        let root = files.weights(dtype, device)?;
        // The hub's files hold the Talker too and prefix the Thinker; a Thinker saved alone has no prefix.
        let prefixed = root.contains_tensor("thinker.model.embed_tokens.weight");
        let vb = if prefixed { root.pp("thinker") } else { root };
        let weights = |error: candle_core::Error| files.failure(files.weights_name(), error);
        Ok(Self {
            decoder: Decoder::load(&vb, &config).map_err(weights)?,
            vision: VisionTower::load(&vb.pp("visual"), &config.vision_config).map_err(weights)?,
            audio: AudioTower::load(&vb.pp("audio_tower"), &config.audio_config)
                .map_err(weights)?,
            config,
            preprocess,
            tokenizer,
            template,
            end_ids,
            device: device.clone(),
        })
    }
}

impl Family for QwenOmni {
    fn frame_indices(&self, frames: usize, fps: f64, settings: &Settings) -> Vec<usize> {
        self.sampled_frames(frames, fps, settings)
    }

    fn fit_frame(
        &self,
        frame: &Rgb,
        frames: usize,
        settings: &Settings,
    ) -> Result<Rgb, EngineError> {
        self.fitted_frame(frame, frames, settings)
    }

    fn assemble(
        &self,
        turns: Vec<DecodedTurn>,
        system: Option<&str>,
        settings: &Settings,
    ) -> Result<Prompt, EngineError> {
        let (mut inputs, mut warnings) = (Vec::new(), Vec::new());
        let mut piece = |source| match source {
            DecodedSource::Text { role, text } => Ok(Piece::Text { role, text }),
            DecodedSource::Image { item, picture } => self.picture(item, &picture, &mut inputs),
            DecodedSource::Audio { item, sound, bins } => {
                self.sound(item, &sound, bins, settings, &mut inputs, &mut warnings)
            }
            DecodedSource::Film {
                item,
                frames,
                duration_secs,
                sound,
            } => self.film(
                item,
                (&frames, duration_secs),
                sound,
                settings,
                &mut inputs,
                &mut warnings,
            ),
        };
        let turns = turns
            .into_iter()
            .map(|turn| {
                let pieces = turn
                    .sources
                    .into_iter()
                    .map(&mut piece)
                    .collect::<Result<_, _>>()?;
                Ok((turn.assistant, pieces))
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        PromptBuilder::new(&self.tokenizer, self.template, settings.image_grid).build(
            system.unwrap_or(DEFAULT_SYSTEM),
            turns,
            inputs,
            warnings,
        )
    }

    fn encode(
        &self,
        input: &EncoderInput,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Option<Tensor>, EngineError> {
        Ok(match input {
            EncoderInput::Patches(patches) => {
                Some(self.vision.encode(patches, &self.device, progress)?)
            }
            EncoderInput::Mel(mel) => {
                let embeds = self.audio.encode(mel, &self.device)?;
                progress(1, 1);
                embeds
            }
        })
    }

    fn embed(&self, prompt: &Prompt, encoded: &[Option<Tensor>]) -> Result<Tensor, EngineError> {
        let looked_up = self.decoder.embed(&prompt.ids)?;
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
                    let embeds = encoded.get(input).and_then(Option::as_ref).ok_or_else(|| {
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
        Ok(self.decoder.begin(&start, layer_done)?)
    }

    fn rescore(
        &self,
        prompt: &Prompt,
        embeds: &Tensor,
        answer: &Answer<'_>,
        kept: &[Vec<bool>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<Vec<f64>>>, EngineError> {
        match self.decoder.rescore(prompt, embeds, answer, kept, go_on)? {
            Rescored::Done(scores) => Ok(Some(scores)),
            Rescored::Stopped => Ok(None),
            Rescored::NotHere => rescore::step_by_step(self, prompt, embeds, answer, kept, go_on),
        }
    }

    fn word_vectors(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>, EngineError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.decoder.embed(ids)?.to_dtype(DType::F32)?.to_vec2()?)
    }

    fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    fn max_positions(&self) -> usize {
        self.config.text_config.max_positions()
    }
}

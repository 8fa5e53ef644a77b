//! Qwen2.5-Omni's Thinker: text, pictures, sound and film in, text out.
//! In: a model directory in the hub's form. Out: the [`Family`] that the flow drives.

mod audio;
mod config;
mod positions;
mod prepare;
mod preprocess_config;
mod prompt;
mod vision;

use std::sync::Arc;

use attribution::record::Settings;
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use serde_json::Value;
use tokenizers::Tokenizer;

use self::audio::AudioTower;
use self::config::ThinkerConfig;
use self::preprocess_config::PreprocessConfig;
use self::prompt::{DEFAULT_SYSTEM, Piece, PromptBuilder, TemplateIds};
use self::vision::VisionTower;
use crate::EngineError;
use crate::decoder::{Decoder, LanguageModel};
use crate::load::ModelFiles;
use crate::model::{DecodedSource, DecodedTurn, Encoded, EncoderInput, Family, Loading, Prompt};
use crate::preprocess::Rgb;

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

/// How the family is loaded.
pub(crate) const LOADING: Loading = Loading {
    family: |files, config, tokenizer, root| {
        let family = QwenOmni::load(files, config, tokenizer, root)?;
        Ok(Box::new(family))
    },
    language_model: |files, config, root| {
        let config = ThinkerConfig::from_value(files, config)?;
        let decoder = load_decoder(&thinker(root), &config)?;
        Ok(LanguageModel::new(decoder, &config.decoder_shape()))
    },
};

/// The hub's files hold the Talker too and prefix the Thinker; a Thinker saved alone has no prefix.
fn thinker(root: VarBuilder<'static>) -> VarBuilder<'static> {
    if root.contains_tensor("thinker.model.embed_tokens.weight") {
        root.pp("thinker")
    } else {
        root
    }
}

fn load_decoder(vb: &VarBuilder, config: &ThinkerConfig) -> candle_core::Result<Decoder> {
    Decoder::load(vb, config.decoder_shape(), config.rope())
}

impl QwenOmni {
    fn load(
        files: &ModelFiles,
        config: Value,
        tokenizer: Arc<Tokenizer>,
        root: VarBuilder<'static>,
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
        let (vb, device) = (thinker(root.clone()), root.device());
        let weights = |error: candle_core::Error| files.failure(files.weights_name(), error);
        Ok(Self {
            decoder: load_decoder(&vb, &config).map_err(weights)?,
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
    ) -> Result<Encoded, EngineError> {
        let embeds = match input {
            EncoderInput::Patches { patches, .. } => {
                Some(self.vision.encode(patches, &self.device, progress)?)
            }
            EncoderInput::Sounds(mels) => {
                let mut parts = Vec::with_capacity(mels.len());
                for (index, mel) in mels.iter().enumerate() {
                    parts.extend(self.audio.encode(mel, &self.device)?);
                    progress(index + 1, mels.len());
                }
                if parts.is_empty() {
                    None
                } else {
                    Some(Tensor::cat(&parts, 0)?)
                }
            }
        };
        // An embedding is a patch, or a stretch of sound, of its own.
        Ok(Encoded {
            embeds,
            looks: None,
        })
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    fn max_positions(&self) -> usize {
        self.config.text_config.max_positions()
    }
}

//! MiniCPM-o 4.5: text, pictures, sound and film in, text out.
//! In: a model directory in the hub's form. Out: the [`Family`] that the flow drives.

mod audio;
mod config;
mod film;
mod prepare;
mod preprocess_config;
mod prompt;
mod resampler;
mod slicing;
mod vision;

use std::sync::Arc;

use attribution::record::Settings;
use candle_core::Device;
use candle_nn::VarBuilder;
use media::Transparency;
use serde_json::Value;
use tokenizers::Tokenizer;

use self::audio::AudioTower;
use self::config::MiniCpmConfig;
use self::preprocess_config::PreprocessConfig;
use self::prompt::{PromptBuilder, TemplateIds};
use self::resampler::Resampler;
use self::vision::VisionTower;
use crate::EngineError;
use crate::decoder::{Decoder, LanguageModel};
use crate::load::ModelFiles;
use crate::model::{DecodedTurn, Encoded, EncoderInput, Family, Loading, Prompt};
use crate::preprocess::Rgb;

/// Names of the tokens that end an answer.
const TERMINATORS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// A loaded MiniCPM-o.
#[derive(Debug)]
pub(crate) struct MiniCpmO {
    decoder: Decoder,
    vision: VisionTower,
    resampler: Resampler,
    audio: AudioTower,
    config: MiniCpmConfig,
    preprocess: PreprocessConfig,
    tokenizer: Arc<Tokenizer>,
    template: TemplateIds,
    end_ids: Vec<u32>,
    device: Device,
}

/// How the family is loaded.
pub(crate) const LOADING: Loading = Loading {
    family: |files, config, tokenizer, root| {
        let family = MiniCpmO::load(files, config, tokenizer, root)?;
        Ok(Box::new(family))
    },
    language_model: |files, config, root| {
        let config = MiniCpmConfig::from_value(files, config)?;
        let decoder = load_decoder(&root, &config)?;
        Ok(LanguageModel::new(decoder, &config.decoder_shape()))
    },
};

fn load_decoder(root: &VarBuilder, config: &MiniCpmConfig) -> candle_core::Result<Decoder> {
    Decoder::load(&root.pp("llm"), config.decoder_shape(), config.rope())
}

impl MiniCpmO {
    fn load(
        files: &ModelFiles,
        config: Value,
        tokenizer: Arc<Tokenizer>,
        root: VarBuilder<'static>,
    ) -> Result<Self, EngineError> {
        let config = MiniCpmConfig::from_value(files, config)?;
        let preprocess: PreprocessConfig = files.json_or_default("preprocessor_config.json")?;
        preprocess
            .check(config.vision_config.patch_size, config.query_num)
            .map_err(|reason| files.failure("preprocessor_config.json", reason))?;
        let template = TemplateIds::new(files, &tokenizer, &preprocess)?;
        let ends = TERMINATORS.iter();
        let end_ids = ends
            .filter_map(|name| tokenizer.token_to_id(name))
            .collect();
        let weights = |error: candle_core::Error| files.failure(files.weights_name(), error);
        Ok(Self {
            decoder: load_decoder(&root, &config).map_err(weights)?,
            vision: VisionTower::load(&root.pp("vpm"), &config).map_err(weights)?,
            resampler: Resampler::load(&root.pp("resampler"), &config).map_err(weights)?,
            audio: AudioTower::load(&root, &config).map_err(weights)?,
            config,
            preprocess,
            tokenizer,
            template,
            end_ids,
            device: root.device().clone(),
        })
    }
}

impl Family for MiniCpmO {
    /// Its loader converts pictures without a look at their transparency.
    fn transparency(&self) -> Transparency {
        Transparency::Dropped
    }

    fn frame_indices(&self, frames: usize, fps: f64, settings: &Settings) -> Vec<usize> {
        self.sampled_frames(frames, fps, settings)
    }

    fn fit_frame(
        &self,
        frame: &Rgb,
        frames: usize,
        settings: &Settings,
    ) -> Result<Rgb, EngineError> {
        Ok(self.fitted_frame(frame, frames, settings))
    }

    fn assemble(
        &self,
        turns: Vec<DecodedTurn>,
        system: Option<&str>,
        settings: &Settings,
    ) -> Result<Prompt, EngineError> {
        let prepared = self.prepare(turns, settings)?;
        PromptBuilder::new(
            &self.tokenizer,
            self.template,
            &self.preprocess,
            prepared.heard,
        )
        .build(system, prepared.turns, prepared.inputs, prepared.warnings)
    }

    fn encode(
        &self,
        input: &EncoderInput,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Encoded, EngineError> {
        match input {
            EncoderInput::Patches { patches, .. } => {
                let hidden = self.vision.encode(patches, &self.device)?;
                let [_, rows, cols] = patches.grid;
                let resampled = self.resampler.forward(&hidden, rows, cols)?;
                progress(1, 1);
                Ok(Encoded {
                    embeds: Some(resampled.embeds),
                    looks: Some(resampled.looks),
                })
            }
            EncoderInput::Sounds(mels) => Ok(Encoded {
                embeds: self.audio.encode(mels, &self.device, progress)?,
                looks: None,
            }),
        }
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// It generates from embeddings: of the prompt the rule sees no ids.
    fn seen_by_ngram_rule<'p>(&self, _: &'p [u32]) -> &'p [u32] {
        &[]
    }

    fn end_ids(&self) -> &[u32] {
        &self.end_ids
    }

    fn max_positions(&self) -> usize {
        self.config.max_positions()
    }
}

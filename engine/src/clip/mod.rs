//! CLIP: a sentence and a picture as vectors of one space, for the baseline that the paper calls Embed-CLIP.
//! In: a checkpoint in the hub's layout. Out: a vector per text and per picture.
//!
//! The network is candle-transformers'; configs, preprocessing and the place of a text's vector follow transformers 5.23.0.

use candle_core::{DType, Device, IndexOp, Module, Tensor};
use candle_nn::{Linear, VarBuilder, linear_no_bias};
use candle_transformers::models::clip::text_model::ClipTextTransformer;
use candle_transformers::models::clip::vision_model::ClipVisionTransformer;
use tokenizers::{PostProcessor, Tokenizer, TruncationParams};

use crate::preprocess::Rgb;
use crate::{EngineError, ModelFiles};

mod alike;
mod config;
mod picture;

use config::{End, Preprocessing, Shapes};

/// A loaded CLIP.
pub struct Clip {
    tokenizer: Tokenizer,
    text: ClipTextTransformer,
    text_projection: Linear,
    end: End,
    preprocessing: Preprocessing,
    vision: ClipVisionTransformer,
    visual_projection: Linear,
    device: Device,
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clip")
            .field("preprocessing", &self.preprocessing)
            .finish_non_exhaustive()
    }
}

impl Clip {
    /// Loads `config.json`, `preprocessor_config.json`, `tokenizer.json` and the safetensors. Computes in f32.
    pub fn load(files: &ModelFiles, device: &Device) -> Result<Self, EngineError> {
        let shapes = Shapes::read(files)?;
        let preprocessing = Preprocessing::read(files, shapes.vision.image_size)?;
        let tokenizer = tokenizer(files, &shapes)?;
        let vb = files.weights(DType::F32, device)?;
        let failed = |error| files.failure(files.weights_name(), error);
        let class = "vision_model.embeddings.class_embedding";
        if !vb.contains_tensor(class) {
            // The library would draw one at random.
            return Err(files.failure(files.weights_name(), format!("there is no tensor {class}")));
        }
        let projection = |name: &str, width: usize| {
            linear_no_bias(width, shapes.joint, vb.pp(name)).map_err(failed)
        };
        let part = |name: &str| -> VarBuilder<'static> { vb.pp(name) };
        Ok(Self {
            tokenizer,
            text: ClipTextTransformer::new(part("text_model"), &shapes.text).map_err(failed)?,
            text_projection: projection("text_projection", shapes.text.embed_dim)?,
            end: shapes.end,
            preprocessing,
            vision: ClipVisionTransformer::new(part("vision_model"), &shapes.vision)
                .map_err(failed)?,
            visual_projection: projection("visual_projection", shapes.vision.embed_dim)?,
            device: device.clone(),
        })
    }

    /// The vector of a text; of a long one its first words count, as many as the checkpoint reads.
    pub fn of_text(&self, text: &str) -> Result<Vec<f32>, EngineError> {
        let encoding = self.tokenizer.encode(text, true).map_err(|error| {
            EngineError::Request(format!("CLIP's tokenizer cannot read a text: {error}"))
        })?;
        let ids = encoding.get_ids();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let states = self
            .text
            .forward_with_mask(&Tensor::new(ids, &self.device)?.unsqueeze(0)?, usize::MAX)?;
        let state = states.i((0, self.end.place(ids)))?.unsqueeze(0)?;
        Ok(self
            .text_projection
            .forward(&state)?
            .squeeze(0)?
            .to_vec1()?)
    }

    /// The vector of a picture; empty for one without pixels.
    pub fn of_picture(&self, picture: &Rgb) -> Result<Vec<f32>, EngineError> {
        if picture.data.is_empty() || picture.data.len() != picture.width_px * picture.height_px * 3
        {
            return Ok(Vec::new());
        }
        let seen = picture::pixels(picture, &self.preprocessing);
        let shape = (1, 3, seen.height_px, seen.width_px);
        let state = self
            .vision
            .forward(&Tensor::from_vec(seen.values, shape, &self.device)?)?;
        Ok(self
            .visual_projection
            .forward(&state)?
            .squeeze(0)?
            .to_vec1()?)
    }
}

impl End {
    /// The position that stands for the text; the first where there is no end, as in the reference.
    fn place(self, ids: &[u32]) -> usize {
        let end = match self {
            Self::Highest => ids.iter().copied().max(),
            Self::Word(id) => Some(id),
        };
        let found = ids.iter().position(|id| Some(*id) == end);
        found.unwrap_or_default()
    }
}

/// CLIP's tokenizer, which cuts what is too long for the network and keeps the end.
fn tokenizer(files: &ModelFiles, shapes: &Shapes) -> Result<Tokenizer, EngineError> {
    const FILE: &str = "tokenizer.json";
    let mut tokenizer = files.tokenizer()?;
    let (words, known) = (tokenizer.get_vocab_size(true), shapes.text.vocab_size);
    if words > known {
        return Err(files.failure(
            FILE,
            format!("it has {words} words, the config's vocab_size is {known}: they are not of one checkpoint"),
        ));
    }
    let cut = TruncationParams {
        max_length: shapes.text.max_position_embeddings,
        ..TruncationParams::default()
    };
    let ends = tokenizer
        .get_post_processor()
        .map_or(0, |own| own.added_tokens(false));
    if ends >= cut.max_length {
        return Err(files.failure(
            FILE,
            format!(
                "it adds {ends} words to a text, the network reads {} in all",
                cut.max_length
            ),
        ));
    }
    tokenizer.with_padding(None);
    if let Err(error) = tokenizer.with_truncation(Some(cut)) {
        return Err(files.failure(FILE, error));
    }
    Ok(tokenizer)
}

#[cfg(test)]
mod tests;

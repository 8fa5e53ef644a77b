//! `config.json` of MiniCPM-o 4.5, as far as reading and answering need it: decoder, vision, resampler, audio.
//! Every size comes from here; what the processor alone decides stands in `preprocessor_config.json`.

use serde::Deserialize;
use serde_json::Value;

use crate::EngineError;
use crate::decoder::{DecoderShape, Rope};
use crate::load::ModelFiles;

/// Least width of one head of the resampler: in code of the reference, in no config.
const RESAMPLER_HEAD_DIM: usize = 128;

/// The whole model. The decoder's sizes stand at the root, as its config derives from Qwen3's.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MiniCpmConfig {
    pub(crate) hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    vocab_size: usize,
    #[serde(default = "default_eps")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    #[serde(default)]
    rope_parameters: Option<RopeConfig>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    max_position_embeddings: Option<usize>,
    /// Embeddings that a picture, or a slice of one, becomes.
    #[serde(default = "default_queries")]
    pub(crate) query_num: usize,
    /// Whether the last layer of the vision tower is left out.
    #[serde(default = "default_true")]
    drop_vision_last_layer: bool,
    /// Encoder frames that become one embedding of sound.
    #[serde(default = "default_pool")]
    pub(crate) audio_pool_step: usize,
    /// Seconds of sound of which each frame sees all; 0 or less: each frame sees everything.
    #[serde(default = "default_chunk_secs")]
    pub(crate) audio_chunk_length: f64,
    pub(crate) vision_config: VisionConfig,
    pub(crate) audio_config: AudioConfig,
}

#[derive(Debug, Clone, Deserialize)]
struct RopeConfig {
    rope_theta: Option<f64>,
}

/// The vision tower (SigLIP).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct VisionConfig {
    pub(crate) hidden_size: usize,
    /// Side of the square that the table of positions stands for, pixels.
    pub(crate) image_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_attention_heads: usize,
    num_hidden_layers: usize,
    pub(crate) patch_size: usize,
    #[serde(default = "default_channels")]
    pub(crate) num_channels: usize,
    #[serde(default)]
    hidden_act: VisionActivation,
    #[serde(default = "default_eps")]
    pub(crate) layer_norm_eps: f64,
}

/// What stands between the two maps of the vision tower's feed-forward block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
enum VisionActivation {
    #[default]
    #[serde(rename = "gelu_pytorch_tanh")]
    TanhGelu,
    #[serde(rename = "gelu")]
    Gelu,
}

/// The audio tower (Whisper's encoder).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AudioConfig {
    pub(crate) d_model: usize,
    pub(crate) encoder_attention_heads: usize,
    pub(crate) encoder_ffn_dim: usize,
    pub(crate) encoder_layers: usize,
    #[serde(default = "default_bins")]
    pub(crate) num_mel_bins: usize,
    #[serde(default = "default_source_positions")]
    pub(crate) max_source_positions: usize,
}

impl MiniCpmConfig {
    pub(crate) fn from_value(files: &ModelFiles, config: Value) -> Result<Self, EngineError> {
        let config: Self =
            serde_json::from_value(config).map_err(|error| files.failure("config.json", error))?;
        config
            .check()
            .map_err(|reason| files.failure("config.json", reason))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let (vision, audio) = (&self.vision_config, &self.audio_config);
        let sizes = [
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
            self.num_hidden_layers,
            self.vocab_size,
            self.query_num,
            self.audio_pool_step,
            vision.num_attention_heads,
            vision.patch_size,
            vision.num_hidden_layers,
            audio.encoder_attention_heads,
            audio.num_mel_bins,
        ];
        if sizes.contains(&0) {
            return Err("a size is 0".to_owned());
        }
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return Err("query heads are not a multiple of key heads".to_owned());
        }
        if vision.image_size < vision.patch_size {
            return Err("image_size is smaller than one patch".to_owned());
        }
        let heads = self.resampler_heads();
        let whole = heads > 0 && self.hidden_size.is_multiple_of(heads);
        if !whole || !self.hidden_size.is_multiple_of(4) {
            return Err(format!(
                "hidden_size {} does not divide into heads of the resampler of about {RESAMPLER_HEAD_DIM}",
                self.hidden_size
            ));
        }
        if !vision
            .hidden_size
            .is_multiple_of(vision.num_attention_heads)
            || !audio.d_model.is_multiple_of(audio.encoder_attention_heads)
        {
            return Err("a tower's width is not a multiple of its heads".to_owned());
        }
        Ok(())
    }

    /// Of the language model: norms of heads, no biases.
    pub(crate) fn decoder_shape(&self) -> DecoderShape {
        DecoderShape {
            hidden: self.hidden_size,
            inner: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim(),
            vocabulary: self.vocab_size,
            norm_eps: self.rms_norm_eps as f32,
            tied: self.tie_word_embeddings,
            bias: self.attention_bias,
            head_norms: true,
        }
    }

    /// Positions are plain: text, pictures and sound stand in one line.
    pub(crate) fn rope(&self) -> Rope {
        let parameters = self.rope_parameters.as_ref();
        let theta = parameters
            .and_then(|rope| rope.rope_theta)
            .or(self.rope_theta);
        Rope::plain(self.head_dim(), theta.unwrap_or(1e6))
    }

    fn head_dim(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// Layers of the vision tower that are run.
    pub(crate) fn vision_layers(&self) -> usize {
        self.vision_config.num_hidden_layers - usize::from(self.drop_vision_last_layer)
    }

    pub(crate) fn resampler_heads(&self) -> usize {
        self.hidden_size / RESAMPLER_HEAD_DIM
    }

    /// Encoder frames (20 ms) of a chunk of sound; none where every frame sees everything.
    pub(crate) fn audio_chunk_frames(&self) -> Option<usize> {
        let frames = (self.audio_chunk_length * 50.0) as usize;
        (frames > 0).then_some(frames)
    }

    /// Longest context the model was made for.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_position_embeddings.unwrap_or(32_768)
    }
}

impl VisionConfig {
    /// Rows, and columns, of the table of positions.
    pub(crate) fn table_side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Whether GELU is the approximation by tanh.
    pub(crate) fn tanh_gelu(&self) -> bool {
        self.hidden_act == VisionActivation::TanhGelu
    }
}

fn default_eps() -> f64 {
    1e-6
}
fn default_true() -> bool {
    true
}
fn default_queries() -> usize {
    64
}
fn default_pool() -> usize {
    5
}
fn default_chunk_secs() -> f64 {
    1.0
}
fn default_channels() -> usize {
    3
}
fn default_bins() -> usize {
    80
}
fn default_source_positions() -> usize {
    1_500
}

//! `config.json` and `generation_config.json` of Qwen2.5-Omni, as far as the Thinker needs them.
//! Both the hub's form (`thinker_config` inside) and a Thinker saved alone are read; every size comes from here.

use serde::Deserialize;
use serde_json::Value;

use crate::EngineError;
use crate::decoder::{DecoderShape, Rope};
use crate::load::ModelFiles;

/// The Thinker.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ThinkerConfig {
    pub(crate) text_config: TextConfig,
    pub(crate) vision_config: VisionConfig,
    pub(crate) audio_config: AudioConfig,
    pub(crate) audio_token_index: u32,
    pub(crate) image_token_index: u32,
    pub(crate) video_token_index: u32,
    pub(crate) audio_start_token_id: u32,
    pub(crate) audio_end_token_id: u32,
    pub(crate) vision_start_token_id: u32,
    pub(crate) vision_end_token_id: u32,
    #[serde(default)]
    eos_token_id: Option<OneOrMany>,
    #[serde(default = "default_positions_per_sec")]
    pub(crate) position_id_per_seconds: f32,
    #[serde(default = "default_chunk_secs")]
    pub(crate) seconds_per_chunk: f32,
    #[serde(default)]
    tie_word_embeddings: bool,
}

/// The language model.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TextConfig {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) num_key_value_heads: usize,
    head_dim: Option<usize>,
    pub(crate) vocab_size: usize,
    #[serde(default = "default_eps")]
    pub(crate) rms_norm_eps: f64,
    rope_theta: Option<f64>,
    #[serde(default)]
    rope_scaling: Option<RopeConfig>,
    #[serde(default)]
    rope_parameters: Option<RopeConfig>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    eos_token_id: Option<OneOrMany>,
    #[serde(default)]
    max_position_embeddings: Option<usize>,
}

#[derive(Debug, Clone, Deserialize)]
struct RopeConfig {
    mrope_section: Option<Vec<usize>>,
    rope_theta: Option<f64>,
}

/// The vision tower.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct VisionConfig {
    pub(crate) depth: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_heads: usize,
    pub(crate) out_hidden_size: usize,
    #[serde(default = "default_channels")]
    pub(crate) in_channels: usize,
    #[serde(default = "default_patch")]
    pub(crate) patch_size: usize,
    #[serde(default = "default_two")]
    pub(crate) temporal_patch_size: usize,
    #[serde(default = "default_two")]
    pub(crate) spatial_merge_size: usize,
    #[serde(default = "default_window")]
    pub(crate) window_size: usize,
    pub(crate) fullatt_block_indexes: Vec<usize>,
}

/// The audio tower.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AudioConfig {
    pub(crate) d_model: usize,
    pub(crate) encoder_attention_heads: usize,
    pub(crate) encoder_ffn_dim: usize,
    pub(crate) encoder_layers: usize,
    pub(crate) n_window: usize,
    pub(crate) num_mel_bins: usize,
    pub(crate) output_dim: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl OneOrMany {
    fn ids(&self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![*id],
            Self::Many(ids) => ids.clone(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct GenerationConfig {
    #[serde(default)]
    eos_token_id: Option<OneOrMany>,
}

impl ThinkerConfig {
    /// From a parsed `config.json` of either form.
    pub(crate) fn from_value(files: &ModelFiles, mut config: Value) -> Result<Self, EngineError> {
        if let Some(thinker) = config.get_mut("thinker_config") {
            config = thinker.take();
        }
        for (old, new) in [
            ("audio_token_id", "audio_token_index"),
            ("image_token_id", "image_token_index"),
            ("video_token_id", "video_token_index"),
        ] {
            take_other_name(&mut config, old, new);
        }
        if let Some(vision) = config.get_mut("vision_config") {
            take_other_name(vision, "in_chans", "in_channels");
        }
        let config: Self =
            serde_json::from_value(config).map_err(|error| files.failure("config.json", error))?;
        config
            .check()
            .map_err(|reason| files.failure("config.json", reason))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let text = &self.text_config;
        let sizes = [
            text.hidden_size,
            text.num_attention_heads,
            text.num_key_value_heads,
            text.num_hidden_layers,
            text.vocab_size,
            self.vision_config.num_heads,
            self.vision_config.patch_size,
            self.vision_config.spatial_merge_size,
            self.vision_config.temporal_patch_size,
            self.audio_config.encoder_attention_heads,
            self.audio_config.n_window,
        ];
        if sizes.contains(&0) {
            return Err("a size is 0".to_owned());
        }
        if !text
            .num_attention_heads
            .is_multiple_of(text.num_key_value_heads)
        {
            return Err("query heads are not a multiple of key heads".to_owned());
        }
        if text.mrope_section().iter().sum::<usize>() * 2 != text.head_dim() {
            return Err(format!(
                "mrope_section {:?} does not fill half of head_dim {}",
                text.mrope_section(),
                text.head_dim()
            ));
        }
        let vision = &self.vision_config;
        if vision.window_size / vision.spatial_merge_size / vision.patch_size == 0 {
            return Err("window_size is smaller than one merged patch".to_owned());
        }
        if vision.out_hidden_size != text.hidden_size
            || self.audio_config.output_dim != text.hidden_size
        {
            return Err("a tower's output width is not the decoder's width".to_owned());
        }
        Ok(())
    }

    /// Of the language model: biases, no norms of heads.
    pub(crate) fn decoder_shape(&self) -> DecoderShape {
        let text = &self.text_config;
        DecoderShape {
            hidden: text.hidden_size,
            inner: text.intermediate_size,
            layers: text.num_hidden_layers,
            heads: text.num_attention_heads,
            kv_heads: text.num_key_value_heads,
            head_dim: text.head_dim(),
            vocabulary: text.vocab_size,
            norm_eps: text.rms_norm_eps as f32,
            tied: self.tie_word_embeddings || text.tie_word_embeddings,
            bias: true,
            head_norms: false,
        }
    }

    /// TMRoPE: time, height and width turn frequencies of their own.
    pub(crate) fn rope(&self) -> Rope {
        let text = &self.text_config;
        Rope::new(text.head_dim(), text.rope_theta(), &text.mrope_section())
    }

    /// Ids that end generation: the generation config's, else the model config's; empty when neither names any.
    pub(crate) fn end_ids(&self, files: &ModelFiles) -> Result<Vec<u32>, EngineError> {
        let generation: GenerationConfig = files.json_or_default("generation_config.json")?;
        Ok(generation
            .eos_token_id
            .as_ref()
            .or(self.eos_token_id.as_ref())
            .or(self.text_config.eos_token_id.as_ref())
            .map(OneOrMany::ids)
            .unwrap_or_default())
    }
}

impl TextConfig {
    fn head_dim(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// Longest context the model was made for.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_position_embeddings.unwrap_or(32_768)
    }

    fn ropes(&self) -> impl Iterator<Item = &RopeConfig> {
        self.rope_parameters.iter().chain(&self.rope_scaling)
    }

    fn rope_theta(&self) -> f64 {
        self.ropes()
            .find_map(|rope| rope.rope_theta)
            .or(self.rope_theta)
            .unwrap_or(1e6)
    }

    /// How many rotary frequencies follow time, height and width, in turn.
    fn mrope_section(&self) -> Vec<usize> {
        self.ropes()
            .find_map(|rope| rope.mrope_section.clone())
            .unwrap_or_else(|| vec![16, 24, 24])
    }
}

/// Files name some fields in one way, in another, or in both.
fn take_other_name(object: &mut Value, other: &str, name: &str) {
    if let Some(fields) = object.as_object_mut()
        && !fields.contains_key(name)
        && let Some(value) = fields.get(other).cloned()
    {
        fields.insert(name.to_owned(), value);
    }
}

fn default_positions_per_sec() -> f32 {
    25.0
}
fn default_chunk_secs() -> f32 {
    2.0
}
fn default_eps() -> f64 {
    1e-6
}
fn default_channels() -> usize {
    3
}
fn default_patch() -> usize {
    14
}
fn default_two() -> usize {
    2
}
fn default_window() -> usize {
    112
}

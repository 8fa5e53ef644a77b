//! What a CLIP checkpoint says about itself: `config.json` and `preprocessor_config.json`, checked.
//! In: the two files, of any age: sizes as numbers or as objects, fields left out where they are the first release's.
//! Out: shapes for the network, and what is done to a picture before it.

use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig};
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use serde::Deserialize;
use serde_json::Value;

use crate::{EngineError, ModelFiles};

pub(super) const CONFIG: &str = "config.json";
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";

/// Nothing real is larger; a picture of this side is 48 MB of numbers.
const MAX_SIDE_PX: usize = 2_048;
/// Of any count in the config: layers, widths, words.
const MAX_COUNT: usize = 1 << 20;
/// Where the end of a text is the word with the highest number: configs of the first release name a wrong one.
const UNRELIABLE_END: u32 = 2;

/// Sizes of both towers.
#[derive(Debug)]
pub(super) struct Shapes {
    pub(super) text: ClipTextConfig,
    pub(super) vision: ClipVisionConfig,
    /// Width of what both become.
    pub(super) joint: usize,
    pub(super) end: End,
}

/// Where the state that stands for a whole text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the first word with the highest number.
    Highest,
    /// At the first of this number.
    Word(u32),
}

/// `text_config`; what is left out is ViT-B/32's.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct TextFields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    eos_token_id: u32,
}

impl Default for TextFields {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2_048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: QUICK_GELU.to_owned(),
            layer_norm_eps: NORM_EPS,
            eos_token_id: 49_407,
        }
    }
}

/// `vision_config`; what is left out is ViT-B/32's.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct VisionFields {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Default for VisionFields {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3_072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: QUICK_GELU.to_owned(),
            layer_norm_eps: NORM_EPS,
        }
    }
}

const QUICK_GELU: &str = "quick_gelu";
const NORM_EPS: f64 = 1e-5;
const JOINT_WIDTH: u64 = 512;

impl Shapes {
    pub(super) fn read(files: &ModelFiles) -> Result<Self, EngineError> {
        Self::of(&files.json(CONFIG)?).map_err(|reason| files.failure(CONFIG, reason))
    }

    fn of(config: &Value) -> Result<Self, String> {
        let kind = config.get("model_type").and_then(Value::as_str);
        if kind != Some("clip") {
            return Err(format!(
                "its model_type is {kind:?}, and \"clip\" was expected: sentences and pictures are compared by a CLIP \
                 such as openai/clip-vit-large-patch14"
            ));
        }
        let text: TextFields = part(config, "text_config")?;
        let vision: VisionFields = part(config, "vision_config")?;
        let joint = config.get("projection_dim").filter(|own| !own.is_null());
        let joint = joint.map_or(Some(JOINT_WIDTH), Value::as_u64);
        let joint = joint.and_then(|own| usize::try_from(own).ok());
        let joint = joint.ok_or("projection_dim is not a whole number")?;
        for (tower, act, eps) in [
            ("text_config", &text.hidden_act, text.layer_norm_eps),
            ("vision_config", &vision.hidden_act, vision.layer_norm_eps),
        ] {
            if act != QUICK_GELU || eps != NORM_EPS {
                return Err(format!(
                    "{tower} has hidden_act {act:?} and layer_norm_eps {eps}; only {QUICK_GELU:?} and {NORM_EPS} are \
                     known, as in OpenAI's checkpoints"
                ));
            }
        }
        let fits = |width: usize, heads: usize| heads > 0 && width.is_multiple_of(heads);
        let counts = [
            text.vocab_size,
            text.hidden_size,
            text.intermediate_size,
            text.num_hidden_layers,
            text.max_position_embeddings,
            vision.hidden_size,
            vision.intermediate_size,
            vision.num_hidden_layers,
            vision.patch_size,
            joint,
        ];
        if counts.iter().any(|own| !(1..=MAX_COUNT).contains(own))
            || !fits(text.hidden_size, text.num_attention_heads)
            || !fits(vision.hidden_size, vision.num_attention_heads)
            || vision.num_channels != 3
            || !(vision.patch_size..=MAX_SIDE_PX).contains(&vision.image_size)
        {
            return Err("its sizes do not fit together".to_owned());
        }
        Ok(Self {
            end: match text.eos_token_id {
                UNRELIABLE_END => End::Highest,
                id => End::Word(id),
            },
            text: ClipTextConfig {
                vocab_size: text.vocab_size,
                embed_dim: text.hidden_size,
                activation: Activation::QuickGelu,
                intermediate_size: text.intermediate_size,
                max_position_embeddings: text.max_position_embeddings,
                pad_with: None,
                num_hidden_layers: text.num_hidden_layers,
                num_attention_heads: text.num_attention_heads,
                projection_dim: joint,
            },
            vision: ClipVisionConfig {
                embed_dim: vision.hidden_size,
                activation: Activation::QuickGelu,
                intermediate_size: vision.intermediate_size,
                num_hidden_layers: vision.num_hidden_layers,
                num_attention_heads: vision.num_attention_heads,
                projection_dim: joint,
                num_channels: vision.num_channels,
                image_size: vision.image_size,
                patch_size: vision.patch_size,
            },
            joint,
        })
    }
}

/// A tower's fields. Early checkpoints repeat them under `<name>_dict`, which then holds; null is as good as left out.
fn part<T: serde::de::DeserializeOwned>(config: &Value, name: &str) -> Result<T, String> {
    let mut fields = serde_json::Map::new();
    for name in [name.to_owned(), format!("{name}_dict")] {
        for (field, value) in config
            .get(&name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if !value.is_null() {
                fields.insert(field.clone(), value.clone());
            }
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| format!("{name}: {error}"))
}

/// What is done to a picture: resized, cut to its middle, and its levels shifted and scaled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preprocessing {
    pub(super) resize: Option<Resize>,
    /// Height, width.
    pub(super) crop_px: Option<[usize; 2]>,
    /// Of levels 0..=255; 1 where they stay.
    pub(super) scale: f32,
    /// Per channel, of scaled levels.
    pub(super) mean: [f32; 3],
    /// Per channel, of scaled levels.
    pub(super) deviation: [f32; 3],
}

/// To which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    /// The shorter side becomes this; the other keeps the proportion.
    ShortestPx(usize),
    /// Height, width.
    ToPx([usize; 2]),
}

/// Fields of the file; what is left out is that of the released processor.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct ProcessorFields {
    do_resize: bool,
    size: Value,
    resample: u32,
    do_center_crop: bool,
    crop_size: Value,
    do_rescale: bool,
    rescale_factor: f64,
    do_normalize: bool,
    image_mean: [f64; 3],
    image_std: [f64; 3],
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    Shortest { shortest_edge: usize },
    Both { height: usize, width: usize },
}

impl Size {
    fn of(value: &Value, name: &str) -> Result<Self, String> {
        Self::deserialize(value).map_err(|_| {
            format!(
                "its {name} is {value}; a number, {{\"shortest_edge\": ..}} or {{\"height\": .., \"width\": ..}} was \
                 expected"
            )
        })
    }
}

/// Pillow's number for bicubic.
const BICUBIC: u32 = 3;

impl Default for ProcessorFields {
    fn default() -> Self {
        Self {
            do_resize: true,
            size: 224.into(),
            resample: BICUBIC,
            do_center_crop: true,
            crop_size: 224.into(),
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
        }
    }
}

impl Preprocessing {
    /// For a network that sees squares of `side_px`.
    pub(super) fn read(files: &ModelFiles, side_px: usize) -> Result<Self, EngineError> {
        let fields: Value = files.json(PREPROCESSOR)?;
        Self::of(fields, side_px).map_err(|reason| files.failure(PREPROCESSOR, reason))
    }

    fn of(mut fields: Value, side_px: usize) -> Result<Self, String> {
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let own: ProcessorFields = serde_json::from_value(fields).map_err(|e| e.to_string())?;
        let resize = match Size::of(&own.size, "size")? {
            _ if !own.do_resize => None,
            Size::Side(side)
            | Size::Shortest {
                shortest_edge: side,
            } => Some(Resize::ShortestPx(side)),
            Size::Both { height, width } => Some(Resize::ToPx([height, width])),
        };
        let crop_px = match Size::of(&own.crop_size, "crop_size")? {
            _ if !own.do_center_crop => None,
            Size::Side(side)
            | Size::Shortest {
                shortest_edge: side,
            } => Some([side; 2]),
            Size::Both { height, width } => Some([height, width]),
        };
        if resize.is_some() && own.resample != BICUBIC {
            return Err(format!(
                "its resample is {}; only {BICUBIC} (bicubic) is known",
                own.resample
            ));
        }
        let sides = match resize {
            Some(Resize::ShortestPx(side)) => [side; 2],
            Some(Resize::ToPx(sides)) => sides,
            None => [side_px; 2],
        };
        if sides.iter().any(|side| !(1..=MAX_SIDE_PX).contains(side)) {
            return Err(format!("its size is {sides:?}, not 1 to {MAX_SIDE_PX}"));
        }
        let seen = match (crop_px, resize) {
            (Some(sides), _) | (None, Some(Resize::ToPx(sides))) => Some(sides),
            _ => None,
        };
        if seen != Some([side_px; 2]) {
            return Err(format!(
                "its pictures end as {seen:?} (height, width); the config's image_size says {side_px} x {side_px}"
            ));
        }
        let numbers = own.image_mean.iter().chain(&own.image_std);
        if !numbers
            .chain([&own.rescale_factor])
            .all(|own| own.is_finite())
            || own.image_std.contains(&0.0)
        {
            return Err(
                "image_mean, image_std and rescale_factor must be numbers, image_std not 0"
                    .to_owned(),
            );
        }
        let (mean, deviation) = match own.do_normalize {
            true => (own.image_mean, own.image_std),
            false => ([0.0; 3], [1.0; 3]),
        };
        Ok(Self {
            resize,
            crop_px,
            scale: if own.do_rescale {
                own.rescale_factor as f32
            } else {
                1.0
            },
            mean: mean.map(|own| own as f32),
            deviation: deviation.map(|own| own as f32),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configs_of_every_age_are_read() {
        // openai/clip-vit-base-patch32 names little more than its type.
        let short = json!({"model_type": "clip", "projection_dim": 512, "text_config": {"eos_token_id": 2},
            "vision_config": {"dropout": 0.0}});
        let own = Shapes::of(&short).expect("read");
        assert_eq!(
            (own.text.embed_dim, own.vision.patch_size, own.joint),
            (512, 32, 512)
        );
        assert_eq!(own.end, End::Highest);
        let long = json!({"model_type": "clip", "projection_dim": 768, "text_config_dict": {"hidden_size": 768},
            "text_config": {"hidden_size": 512, "num_attention_heads": 12}, "vision_config_dict": null,
            "vision_config": {"hidden_size": 1024, "num_attention_heads": 16, "patch_size": 14}});
        let own = Shapes::of(&long).expect("read");
        assert_eq!(
            (own.text.embed_dim, own.vision.embed_dim, own.joint),
            (768, 1024, 768)
        );
        assert_eq!(own.end, End::Word(49_407));
        let refused = |config: Value, word: &str| {
            let reason = Shapes::of(&config).expect_err("refused");
            assert!(reason.contains(word), "{reason}");
        };
        refused(json!({"model_type": "siglip"}), "\"clip\" was expected");
        refused(
            json!({"model_type": "clip", "text_config": {"hidden_act": "gelu"}}),
            "quick_gelu",
        );
        refused(
            json!({"model_type": "clip", "vision_config": {"image_size": 0}}),
            "fit together",
        );
        refused(
            json!({"model_type": "clip", "vision_config": {"num_attention_heads": 7}}),
            "fit together",
        );
        refused(
            json!({"model_type": "clip", "text_config": {"hidden_size": "wide"}}),
            "text_config",
        );
    }

    #[test]
    fn processors_of_every_age_are_read() {
        let old = json!({"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
            "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3, "size": 224});
        let new = json!({"crop_size": {"height": 224, "width": 224}, "size": {"shortest_edge": 224}, "resample": 3});
        let read = |own: Value| Preprocessing::of(own, 224);
        assert_eq!(read(old.clone()), read(new));
        assert_eq!(
            read(old).expect("read").resize,
            Some(Resize::ShortestPx(224))
        );
        let whole = json!({"size": {"height": 224, "width": 224}, "do_center_crop": false});
        assert_eq!(read(whole).expect("read").crop_px, None);
        for (own, word) in [
            (json!({"resample": 2}), "bicubic"),
            (json!({"crop_size": 196}), "image_size"),
            (json!({"do_center_crop": false}), "image_size"),
            (json!({"size": 0}), "not 1 to"),
            (json!({"image_std": [0.0, 1.0, 1.0]}), "image_std"),
            (json!({"size": "large"}), "size"),
        ] {
            let reason = read(own).expect_err("refused");
            assert!(reason.contains(word), "{reason}");
        }
    }
}

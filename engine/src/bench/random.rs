//! Random weights by name: as a source of tensors, or written as a checkpoint that other programs load too.
//! The same name and shape always give the same values.
#![allow(unsafe_code)]

use std::io::Write;
use std::path::Path;

use candle_core::{DType, Device, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use half::{bf16, f16};
use serde_json::{Value, json};

use super::BenchShape;
use crate::cpu::pool::{self, Shares};
use crate::{EngineError, Precision};

/// Half the width of the interval that weights are drawn from: a standard deviation of 0.02.
const HALF_WIDTH: f32 = 0.034_64;
/// Values that one piece draws.
const PIECE: usize = 1 << 16;

/// SplitMix64.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Values of the tensor `name`: norms are 1, biases 0, everything else is uniform around 0.
fn values(name: &str, count: usize) -> Vec<f32> {
    if name.contains("norm") || name.contains("ln_") {
        return vec![if name.ends_with("bias") { 0.0 } else { 1.0 }; count];
    }
    if name.ends_with("bias") {
        return vec![0.0; count];
    }
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mut out = vec![0f32; count];
    let shares = Shares::new(&mut out);
    pool::run(count.div_ceil(PIECE), |piece| {
        let first = piece * PIECE;
        let here = PIECE.min(count - first);
        // SAFETY: pieces cover disjoint stretches.
        let out = unsafe { std::slice::from_raw_parts_mut(shares.at(first), here) };
        let mut state = seed ^ (piece as u64) << 32;
        for value in out {
            let unit = (next(&mut state) >> 40) as f32 / (1u64 << 24) as f32;
            *value = (2.0 * unit - 1.0) * HALF_WIDTH;
        }
    });
    out
}

/// A source of random tensors of whatever shape is asked for.
struct Random;

pub(crate) fn builder(dtype: DType, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Random), dtype, device.clone())
}

impl SimpleBackend for Random {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> TensorResult<Tensor> {
        Tensor::from_vec(values(name, shape.elem_count()), shape, &Device::Cpu)?
            .to_dtype(dtype)?
            .to_device(device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> TensorResult<Tensor> {
        Err(candle_core::Error::Msg(format!(
            "a random {name} needs a shape"
        )))
    }

    fn contains_tensor(&self, name: &str) -> bool {
        !name.starts_with("thinker.")
    }
}

/// Writes a checkpoint of random weights that this engine and transformers load alike.
pub fn write_checkpoint(
    shape: BenchShape,
    precision: Precision,
    dir: &Path,
) -> Result<(), EngineError> {
    let file = |name: &str, content: &[u8]| {
        std::fs::write(dir.join(name), content).map_err(|error| failure(dir, name, &error))
    };
    std::fs::create_dir_all(dir).map_err(|error| failure(dir, "", &error))?;
    for (name, content) in files(shape) {
        file(name, content.to_string().as_bytes())?;
    }
    let path = dir.join("model.safetensors");
    let written = std::fs::File::create(&path).and_then(|file| {
        let mut out = std::io::BufWriter::new(file);
        write_weights(shape, precision, &mut out)?;
        out.flush()
    });
    written.map_err(|error| failure(dir, "model.safetensors", &error))
}

fn failure(dir: &Path, name: &str, error: &std::io::Error) -> EngineError {
    EngineError::ModelFile {
        path: dir.join(name),
        reason: error.to_string(),
    }
}

/// The small files of a checkpoint.
pub(super) fn files(shape: BenchShape) -> Vec<(&'static str, Value)> {
    let preprocess = json!({
        "chunk_length": 300, "feature_size": 128, "hop_length": 160, "n_fft": 400, "sampling_rate": 16_000,
        "min_pixels": 3136, "max_pixels": 50_176, "merge_size": 2, "patch_size": 14, "temporal_patch_size": 2,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]
    });
    vec![
        ("config.json", shape.config()),
        ("tokenizer.json", shape.tokenizer()),
        ("preprocessor_config.json", preprocess),
        ("generation_config.json", json!({ "eos_token_id": 258 })),
    ]
}

/// `model.safetensors`: a header, then every tensor in its order.
pub(super) fn write_weights(
    shape: BenchShape,
    precision: Precision,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let tensors = shape.tensors();
    let (dtype, size) = match precision {
        Precision::F32 => ("F32", 4),
        Precision::Bf16 => ("BF16", 2),
        Precision::F16 => ("F16", 2),
    };
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut at = 0;
    for (name, dims) in &tensors {
        let bytes = dims.iter().product::<usize>() * size;
        header.insert(
            name.clone(),
            json!({ "dtype": dtype, "shape": dims, "data_offsets": [at, at + bytes] }),
        );
        at += bytes;
    }
    let mut header = Value::from(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for (name, dims) in &tensors {
        for value in values(name, dims.iter().product()) {
            match precision {
                Precision::F32 => out.write_all(&value.to_le_bytes())?,
                Precision::Bf16 => out.write_all(&bf16::from_f32(value).to_le_bytes())?,
                Precision::F16 => out.write_all(&f16::from_f32(value).to_le_bytes())?,
            }
        }
    }
    Ok(())
}

impl BenchShape {
    /// Name and shape of every tensor of the Thinker, towers included.
    fn tensors(self) -> Vec<(String, Vec<usize>)> {
        let config = self.config();
        let size = |part: &str, key: &str| config[part][key].as_u64().unwrap_or_default() as usize;
        let mut all = Vec::new();
        let mut add = |name: String, dims: &[usize]| all.push((name, dims.to_vec()));
        let linear = |add: &mut dyn FnMut(String, &[usize]),
                      name: String,
                      out: usize,
                      inp: usize,
                      bias: bool| {
            add(format!("{name}.weight"), &[out, inp]);
            if bias {
                add(format!("{name}.bias"), &[out]);
            }
        };
        let text = |key: &str| size("text_config", key);
        let (hidden, inner) = (text("hidden_size"), text("intermediate_size"));
        let dim = hidden / text("num_attention_heads");
        let keys = dim * text("num_key_value_heads");
        add(
            "model.embed_tokens.weight".to_owned(),
            &[text("vocab_size"), hidden],
        );
        add("lm_head.weight".to_owned(), &[text("vocab_size"), hidden]);
        add("model.norm.weight".to_owned(), &[hidden]);
        for index in 0..text("num_hidden_layers") {
            let layer = format!("model.layers.{index}");
            for (name, out) in [("q_proj", hidden), ("k_proj", keys), ("v_proj", keys)] {
                linear(
                    &mut add,
                    format!("{layer}.self_attn.{name}"),
                    out,
                    hidden,
                    true,
                );
            }
            linear(
                &mut add,
                format!("{layer}.self_attn.o_proj"),
                hidden,
                hidden,
                false,
            );
            linear(
                &mut add,
                format!("{layer}.mlp.gate_proj"),
                inner,
                hidden,
                false,
            );
            linear(
                &mut add,
                format!("{layer}.mlp.up_proj"),
                inner,
                hidden,
                false,
            );
            linear(
                &mut add,
                format!("{layer}.mlp.down_proj"),
                hidden,
                inner,
                false,
            );
            add(format!("{layer}.input_layernorm.weight"), &[hidden]);
            add(
                format!("{layer}.post_attention_layernorm.weight"),
                &[hidden],
            );
        }
        let vision = |key: &str| size("vision_config", key);
        let (width, fed) = (vision("hidden_size"), vision("intermediate_size"));
        add(
            "visual.patch_embed.proj.weight".to_owned(),
            &[width, 3, 2, 14, 14],
        );
        for index in 0..vision("depth") {
            let block = format!("visual.blocks.{index}");
            add(format!("{block}.norm1.weight"), &[width]);
            add(format!("{block}.norm2.weight"), &[width]);
            for name in ["q", "k", "v", "proj"] {
                linear(&mut add, format!("{block}.attn.{name}"), width, width, true);
            }
            linear(&mut add, format!("{block}.mlp.gate_proj"), fed, width, true);
            linear(&mut add, format!("{block}.mlp.up_proj"), fed, width, true);
            linear(&mut add, format!("{block}.mlp.down_proj"), width, fed, true);
        }
        add("visual.merger.ln_q.weight".to_owned(), &[width]);
        linear(
            &mut add,
            "visual.merger.mlp.0".to_owned(),
            4 * width,
            4 * width,
            true,
        );
        linear(
            &mut add,
            "visual.merger.mlp.2".to_owned(),
            hidden,
            4 * width,
            true,
        );
        let audio = |key: &str| size("audio_config", key);
        let (width, fed) = (audio("d_model"), audio("encoder_ffn_dim"));
        add("audio_tower.conv1.weight".to_owned(), &[width, 128, 3]);
        add("audio_tower.conv1.bias".to_owned(), &[width]);
        add("audio_tower.conv2.weight".to_owned(), &[width, width, 3]);
        add("audio_tower.conv2.bias".to_owned(), &[width]);
        for index in 0..audio("encoder_layers") {
            let layer = format!("audio_tower.layers.{index}");
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                linear(
                    &mut add,
                    format!("{layer}.self_attn.{name}"),
                    width,
                    width,
                    name != "k_proj",
                );
            }
            linear(&mut add, format!("{layer}.fc1"), fed, width, true);
            linear(&mut add, format!("{layer}.fc2"), width, fed, true);
            for norm in ["self_attn_layer_norm", "final_layer_norm"] {
                add(format!("{layer}.{norm}.weight"), &[width]);
                add(format!("{layer}.{norm}.bias"), &[width]);
            }
        }
        add("audio_tower.ln_post.weight".to_owned(), &[width]);
        add("audio_tower.ln_post.bias".to_owned(), &[width]);
        linear(&mut add, "audio_tower.proj".to_owned(), hidden, width, true);
        add(
            "audio_tower.audio_bos_eos_token.weight".to_owned(),
            &[2, hidden],
        );
        all
    }
}

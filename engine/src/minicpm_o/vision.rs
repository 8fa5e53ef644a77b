//! The vision tower: patches of one picture or slice -> hidden states of its patches.
//! In: `[patches, channels * side * side]`, row by row, and their grid. Out: `[patches, hidden of the tower]`.
//!
//! Reference: `modeling_navit_siglip.py` of MiniCPM-o 4.5, `SiglipVisionTransformer`. A batch's padding is masked there, so
//! that pictures never see one another; here each is run alone.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::{MiniCpmConfig, VisionConfig};
use crate::attention::attend_segments;
use crate::layers::{LayerNorm, Linear, parameter, split_heads};
use crate::preprocess::patches::Patches;

/// The vision tower.
#[derive(Debug)]
pub(super) struct VisionTower {
    /// `[hidden, channels * side * side]`: the convolution's stride is its kernel.
    patch_embed: Linear,
    /// `[table side * table side, hidden]`
    positions: Tensor,
    layers: Vec<Layer>,
    post_norm: LayerNorm,
    table_side: usize,
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    tanh_gelu: bool,
    heads: usize,
}

impl VisionTower {
    pub(super) fn load(vb: &VarBuilder, config: &MiniCpmConfig) -> Result<Self> {
        let c = &config.vision_config;
        let (dim, side) = (c.hidden_size, c.patch_size);
        let embeddings = vb.pp("embeddings");
        let patch = embeddings.pp("patch_embedding");
        let kernel = patch.get((dim, c.num_channels, side, side), "weight")?;
        let table = (c.table_side() * c.table_side(), dim);
        Ok(Self {
            patch_embed: Linear::from_parts(
                kernel.flatten_from(1)?,
                parameter(&patch, dim, "bias")?,
            )?,
            positions: parameter(&embeddings.pp("position_embedding"), table, "weight")?,
            layers: (0..config.vision_layers())
                .map(|index| Layer::load(&vb.pp("encoder.layers").pp(index), c))
                .collect::<Result<_>>()?,
            post_norm: LayerNorm::load(&vb.pp("post_layernorm"), dim, c.layer_norm_eps)?,
            table_side: c.table_side(),
        })
    }

    /// `[patches, hidden]` of one picture.
    pub(super) fn encode(&self, patches: &Patches, device: &Device) -> Result<Tensor> {
        let [_, rows, cols] = patches.grid;
        let count = rows * cols;
        let x = Tensor::from_slice(&patches.values, (count, patches.width), device)?;
        let embedded = self
            .patch_embed
            .forward(&x.to_dtype(self.patch_embed.dtype())?)?;
        let places = table_places(rows, cols, self.table_side);
        let positions = self
            .positions
            .index_select(&Tensor::new(places, device)?, 0)?;
        let mut hidden = (embedded + positions)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, count)?;
        }
        self.post_norm.forward(&hidden)
    }
}

/// For each patch, row by row, its place in the table of `side` x `side` positions: the bucket in which the patch's share of
/// the picture's height falls, and of its width.
fn table_places(rows: usize, cols: usize, side: usize) -> Vec<u32> {
    let (down, across) = (buckets(rows, side), buckets(cols, side));
    let row = |y: usize| across.iter().map(move |x| (y * side + x) as u32);
    down.into_iter().flat_map(row).collect()
}

/// Bucket of each of `count` patches along one axis. Patch `i` begins at `i / count`; bucket `j` begins at `j / side`.
///
/// Where a patch begins exactly where a bucket does, rounding decides: single precision for the patches, as the reference's
/// `arange` steps them, against boundaries in single precision of double-precision steps.
fn buckets(count: usize, side: usize) -> Vec<usize> {
    let starts = single_steps(f64::from(1.0 / count as f32), 0.0, count);
    let step = 1.0 / side as f64;
    let boundaries = single_steps(step, step, side - 1);
    let bucket = |start: &f32| boundaries.partition_point(|boundary| boundary <= start);
    starts.iter().map(bucket).collect()
}

/// `first + i * step` as torch's `arange` makes it: of each whole vector of lanes the first is rounded to single precision
/// and the others are stepped from it; what is left over is stepped from the begin.
fn single_steps(step: f64, first: f64, count: usize) -> Vec<f32> {
    let whole = count / LANES_AT_ONCE * LANES_AT_ONCE;
    let value = |index: usize| {
        let lane = if index < whole { index % LANES } else { 0 };
        let base = (first + step * (index - lane) as f64) as f32;
        (f64::from(base) + step * lane as f64) as f32
    };
    (0..count).map(value).collect()
}

/// Single-precision numbers in a vector of the reference, and how many it steps at once.
const LANES: usize = 8;
const LANES_AT_ONCE: usize = 16;

impl Layer {
    fn load(vb: &VarBuilder, c: &VisionConfig) -> Result<Self> {
        let (dim, attention, mlp) = (c.hidden_size, vb.pp("self_attn"), vb.pp("mlp"));
        let square = |name: &str| Linear::load(&attention.pp(name), dim, dim, true);
        Ok(Self {
            norm1: LayerNorm::load(&vb.pp("layer_norm1"), dim, c.layer_norm_eps)?,
            query: square("q_proj")?,
            key: square("k_proj")?,
            value: square("v_proj")?,
            output: square("out_proj")?,
            norm2: LayerNorm::load(&vb.pp("layer_norm2"), dim, c.layer_norm_eps)?,
            fc1: Linear::load(&mlp.pp("fc1"), dim, c.intermediate_size, true)?,
            fc2: Linear::load(&mlp.pp("fc2"), c.intermediate_size, dim, true)?,
            tanh_gelu: c.tanh_gelu(),
            heads: c.num_attention_heads,
        })
    }

    /// `[patches, dim]` -> `[patches, dim]`
    fn forward(&self, x: &Tensor, count: usize) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let heads = |linear: &Linear| split_heads(&linear.forward(&normed)?, self.heads);
        let (queries, keys, values) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let context = attend_segments(&queries, &keys, &values, &[count])?;
        let x = (x + self.output.forward(&context)?)?;
        let inner = self.fc1.forward(&self.norm2.forward(&x)?)?;
        let fed = if self.tanh_gelu {
            inner.gelu()?
        } else {
            inner.gelu_erf()?
        };
        x + self.fc2.forward(&fed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.bucketize(torch.arange(0, 1 - 1e-6, 1 / n), torch.arange(1 / side, 1.0, 1 / side), right=True)`: `fixtures/minicpm/make.py`
    /// records it, ties between patches and buckets included.
    #[test]
    fn buckets_are_those_of_torch() {
        let recorded = include_str!("../../../fixtures/minicpm/recorded/buckets.json");
        let cases: Vec<(usize, usize, Vec<usize>)> = serde_json::from_str(recorded).expect("json");
        assert!(cases.len() >= 100);
        for (side, count, expected) in cases {
            assert_eq!(
                buckets(count, side),
                expected,
                "{count} patches, {side} buckets"
            );
        }
    }
}

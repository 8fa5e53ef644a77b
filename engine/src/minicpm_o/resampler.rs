//! The resampler: learned queries look at a picture's patches once and become its embeddings.
//! In: hidden states of the patches and their grid. Out: `[queries, hidden of the decoder]`, and where each query looked.
//!
//! Reference: `modeling_minicpmo.py` of MiniCPM-o 4.5, `Resampler`.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;
use candle_nn::ops::softmax_last_dim;

use super::config::MiniCpmConfig;
use crate::layers::{LayerNorm, Linear, join_heads, parameter, split_heads};

/// Norms of the resampler carry this in code, not in the config.
const NORM_EPS: f64 = 1e-6;
/// Longest period of the sinusoidal positions.
const MAX_TIMESCALE: f32 = 10_000.0;

/// The resampler.
#[derive(Debug)]
pub(super) struct Resampler {
    /// `[queries, dim]`, normed and projected: the same for every picture.
    queries: Tensor,
    /// From the tower's width; none where the widths are equal.
    inward: Option<Linear>,
    norm: LayerNorm,
    key: Linear,
    value: Linear,
    output: Linear,
    post_norm: LayerNorm,
    /// `[dim, dim]`
    proj: Linear,
    heads: usize,
    dim: usize,
}

/// A picture's embeddings.
pub(super) struct Resampled {
    /// `[queries, dim]`
    pub(super) embeds: Tensor,
    /// Share of each query's look that fell on each patch, mean over heads, f32: `[queries, patches]`.
    pub(super) looks: Tensor,
}

impl Resampler {
    pub(super) fn load(vb: &VarBuilder, config: &MiniCpmConfig) -> Result<Self> {
        let (dim, tower) = (config.hidden_size, config.vision_config.hidden_size);
        let attention = vb.pp("attn");
        // Query, key and value maps lie in one tensor, one below the other.
        let weight = attention.get((3 * dim, dim), "in_proj_weight")?;
        let bias = parameter(&attention, 3 * dim, "in_proj_bias")?;
        let packed = |index: usize| {
            Linear::from_parts(
                weight.narrow(0, index * dim, dim)?.contiguous()?,
                bias.narrow(0, index * dim, dim)?.contiguous()?,
            )
        };
        let query_norm = LayerNorm::load(&vb.pp("ln_q"), dim, NORM_EPS)?;
        let learned = parameter(vb, (config.query_num, dim), "query")?;
        let inward = if tower == dim {
            None
        } else {
            Some(Linear::load(&vb.pp("kv_proj"), tower, dim, false)?)
        };
        Ok(Self {
            queries: packed(0)?.forward(&query_norm.forward(&learned)?)?,
            inward,
            norm: LayerNorm::load(&vb.pp("ln_kv"), dim, NORM_EPS)?,
            key: packed(1)?,
            value: packed(2)?,
            output: Linear::load(&attention.pp("out_proj"), dim, dim, true)?,
            post_norm: LayerNorm::load(&vb.pp("ln_post"), dim, NORM_EPS)?,
            // A parameter that is multiplied from the right: `[in, out]`.
            proj: Linear::from_weight(vb.get((dim, dim), "proj")?.t()?.contiguous()?)?,
            heads: config.resampler_heads(),
            dim,
        })
    }

    /// `hidden`: `[rows * cols, width of the tower]`.
    pub(super) fn forward(&self, hidden: &Tensor, rows: usize, cols: usize) -> Result<Resampled> {
        let x = match &self.inward {
            Some(map) => map.forward(hidden)?,
            None => hidden.clone(),
        };
        let x = self.norm.forward(&x)?;
        let positions = Tensor::from_vec(
            plane_sinusoids(rows, cols, self.dim),
            (rows * cols, self.dim),
            x.device(),
        )?
        .to_dtype(x.dtype())?;
        let keys = split_heads(&self.key.forward(&(&x + positions)?)?, self.heads)?;
        let values = split_heads(&self.value.forward(&x)?, self.heads)?;
        let queries = split_heads(&self.queries, self.heads)?;
        let scale = ((self.dim / self.heads) as f64).powf(-0.5);
        let scores = (queries.matmul(&keys.t()?)? * scale)?.to_dtype(DType::F32)?;
        let shares = softmax_last_dim(&scores)?;
        let context = shares.to_dtype(values.dtype())?.matmul(&values)?;
        let out = self.output.forward(&join_heads(&context)?)?;
        Ok(Resampled {
            embeds: self.proj.forward(&self.post_norm.forward(&out)?)?,
            looks: shares.mean(D::Minus(3))?,
        })
    }
}

/// `[rows * cols, dim]`: half of the dimensions follow the column, half the row; of each half the sines come first.
fn plane_sinusoids(rows: usize, cols: usize, dim: usize) -> Vec<f32> {
    let quarter = dim / 4;
    let frequencies: Vec<f32> = (0..quarter)
        .map(|index| 1.0 / MAX_TIMESCALE.powf(index as f32 / quarter as f32))
        .collect();
    let mut values = Vec::with_capacity(rows * cols * dim);
    for row in 0..rows {
        for col in 0..cols {
            for at in [col, row] {
                let angles = frequencies.iter().map(|frequency| at as f32 * frequency);
                values.extend(angles.clone().map(f32::sin));
                values.extend(angles.map(f32::cos));
            }
        }
    }
    values
}

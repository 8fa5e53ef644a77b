//! The blocks of Whisper's encoder, which both families' audio towers are made of; what a frame may see is the family's.
//! In: weights by Whisper's names. Out: convolutions over mel frames, and layers over encoder frames.
//!
//! Reference: transformers 5.23.0 `models/whisper/modeling_whisper.py`, `WhisperEncoderLayer`.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{LayerNorm, Linear, parameter, split_heads};

/// PyTorch's default.
pub(crate) const NORM_EPS: f64 = 1e-5;

/// Sizes of a layer.
pub(crate) struct EncoderShape {
    pub(crate) dim: usize,
    /// Width within the feed-forward block.
    pub(crate) inner: usize,
    pub(crate) heads: usize,
}

/// A convolution over frames, three wide.
#[derive(Debug)]
pub(crate) struct Convolution {
    /// `[out, in, 3]`
    weight: Tensor,
    /// `[1, out, 1]`
    bias: Tensor,
    stride: usize,
}

/// Attention and a feed-forward block, each behind a norm.
#[derive(Debug)]
pub(crate) struct EncoderLayer {
    attention_norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    final_norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl Convolution {
    pub(crate) fn load(
        vb: &VarBuilder,
        input: usize,
        output: usize,
        stride: usize,
    ) -> Result<Self> {
        Ok(Self {
            weight: parameter(vb, (output, input, 3), "weight")?,
            bias: parameter(vb, output, "bias")?.reshape((1, output, 1))?,
            stride,
        })
    }

    /// Of the frames that it reads.
    pub(crate) fn dtype(&self) -> DType {
        self.weight.dtype()
    }

    /// `[chunks, in, frames]` -> `[chunks, out, ceil(frames / stride)]`
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.conv1d(&self.weight, 1, self.stride, 1, 1)?
            .broadcast_add(&self.bias)
    }
}

impl EncoderLayer {
    pub(crate) fn load(vb: &VarBuilder, shape: &EncoderShape) -> Result<Self> {
        let (dim, inner, attention) = (shape.dim, shape.inner, vb.pp("self_attn"));
        Ok(Self {
            attention_norm: LayerNorm::load(&vb.pp("self_attn_layer_norm"), dim, NORM_EPS)?,
            query: Linear::load(&attention.pp("q_proj"), dim, dim, true)?,
            key: Linear::load(&attention.pp("k_proj"), dim, dim, false)?,
            value: Linear::load(&attention.pp("v_proj"), dim, dim, true)?,
            output: Linear::load(&attention.pp("out_proj"), dim, dim, true)?,
            final_norm: LayerNorm::load(&vb.pp("final_layer_norm"), dim, NORM_EPS)?,
            fc1: Linear::load(&vb.pp("fc1"), dim, inner, true)?,
            fc2: Linear::load(&vb.pp("fc2"), inner, dim, true)?,
            heads: shape.heads,
        })
    }

    /// `[frames, dim]` -> `[frames, dim]`. `attend(queries, keys, values)`: `[heads, frames, dim]` each -> `[frames, heads * dim]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        attend: impl FnOnce(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        let heads = |linear: &Linear| split_heads(&linear.forward(&normed)?, self.heads);
        let context = attend(
            &heads(&self.query)?,
            &heads(&self.key)?,
            &heads(&self.value)?,
        )?;
        let x = (x + self.output.forward(&context)?)?;
        let fed = self
            .fc1
            .forward(&self.final_norm.forward(&x)?)?
            .gelu_erf()?;
        x + self.fc2.forward(&fed)?
    }
}

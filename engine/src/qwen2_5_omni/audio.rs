//! The audio tower: log-mel frames -> one embedding per 40 ms.
//! In: mel `[bins, frames]`. Out: `[tokens, hidden of the decoder]`.
//!
//! Reference: transformers 5.23.0 `modeling_qwen2_5_omni.py`, `Qwen2_5OmniAudioEncoder`.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::AudioConfig;
use crate::attention::attend_segments;
use crate::layers::{LayerNorm, Linear, parameter, split_heads};
use crate::preprocess::mel::Mel;

/// PyTorch's default.
const NORM_EPS: f64 = 1e-5;
/// Longest period of the sinusoidal positions.
const MAX_TIMESCALE: f64 = 10_000.0;

/// Chunks that pass through the tower at once: they never look at one another, so a long sound may be cut between them.
const CHUNKS_AT_ONCE: usize = 32;

/// The audio tower.
#[derive(Debug)]
pub(crate) struct AudioTower {
    conv1: Convolution,
    conv2: Convolution,
    layers: Vec<Layer>,
    norm: LayerNorm,
    proj: Linear,
    config: AudioConfig,
}

#[derive(Debug)]
struct Convolution {
    /// `[out, in, 3]`
    weight: Tensor,
    /// `[1, out, 1]`
    bias: Tensor,
    stride: usize,
}

#[derive(Debug)]
struct Layer {
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

/// Tokens that `frames` mel frames become.
pub(crate) fn token_count(frames: usize) -> usize {
    frames.div_ceil(2) / 2
}

impl AudioTower {
    pub(crate) fn load(vb: &VarBuilder, config: &AudioConfig) -> Result<Self> {
        let (dim, bins) = (config.d_model, config.num_mel_bins);
        Ok(Self {
            conv1: Convolution::load(&vb.pp("conv1"), bins, dim, 1)?,
            conv2: Convolution::load(&vb.pp("conv2"), dim, dim, 2)?,
            layers: (0..config.encoder_layers)
                .map(|index| Layer::load(&vb.pp("layers").pp(index), config))
                .collect::<Result<_>>()?,
            norm: LayerNorm::load(&vb.pp("ln_post"), dim, NORM_EPS)?,
            proj: Linear::load(&vb.pp("proj"), dim, config.output_dim, true)?,
            config: config.clone(),
        })
    }

    /// One sound -> `[tokens, hidden of the decoder]`; `None` where it is too short for a single token.
    pub(crate) fn encode(&self, mel: &Mel, device: &Device) -> Result<Option<Tensor>> {
        let tokens = token_count(mel.frames);
        if tokens == 0 {
            return Ok(None);
        }
        let at_once = self.config.n_window * 2 * CHUNKS_AT_ONCE;
        let features = Tensor::from_slice(&mel.values, (mel.bins, mel.frames), device)?
            .to_dtype(self.conv1.weight.dtype())?;
        let mut parts = Vec::new();
        for first in (0..mel.frames).step_by(at_once) {
            let count = at_once.min(mel.frames - first);
            let (mut hidden, segments) = self.convolve(&features.narrow(1, first, count)?)?;
            for layer in &self.layers {
                hidden = layer.forward(&hidden, &segments)?;
            }
            parts.push(hidden);
        }
        let hidden = Tensor::cat(&parts, 0)?;
        // Pairs over the whole sound, across chunks; an odd last frame is dropped.
        let pairs = hidden
            .narrow(0, 0, tokens * 2)?
            .reshape((tokens, 2, self.config.d_model))?;
        let pooled = pairs.mean(1)?;
        Ok(Some(self.proj.forward(&self.norm.forward(&pooled)?)?))
    }

    /// Each chunk of frames `[bins, frames]` is convolved and positioned on its own.
    /// -> `[frames / 2, dim]` and the chunks' lengths.
    fn convolve(&self, features: &Tensor) -> Result<(Tensor, Vec<usize>)> {
        let chunk = self.config.n_window * 2;
        let (bins, frames) = features.dims2()?;
        let whole = frames / chunk;
        let mut parts = Vec::new();
        let mut segments = Vec::new();
        let mut push = |frames: Tensor| -> Result<()> {
            let (chunks, _, _) = frames.dims3()?;
            let x = self.conv1.forward(&frames)?.gelu_erf()?;
            let x = self
                .conv2
                .forward(&x)?
                .gelu_erf()?
                .transpose(1, 2)?
                .contiguous()?;
            let (_, length, dim) = x.dims3()?;
            let positioned = x.broadcast_add(&sinusoids(length, dim, &x)?)?;
            parts.push(positioned.reshape((chunks * length, dim))?);
            segments.extend(std::iter::repeat_n(length, chunks));
            Ok(())
        };
        if whole > 0 {
            let full = features
                .narrow(1, 0, whole * chunk)?
                .reshape((bins, whole, chunk))?;
            push(full.transpose(0, 1)?.contiguous()?)?;
        }
        let rest = frames - whole * chunk;
        if rest > 0 {
            push(
                features
                    .narrow(1, whole * chunk, rest)?
                    .unsqueeze(0)?
                    .contiguous()?,
            )?;
        }
        Ok((Tensor::cat(&parts, 0)?, segments))
    }
}

/// `[length, dim]`: sines, then cosines.
fn sinusoids(length: usize, dim: usize, like: &Tensor) -> Result<Tensor> {
    let half = dim / 2;
    let increment = MAX_TIMESCALE.ln() / (half as f64 - 1.0);
    let mut values = Vec::with_capacity(length * dim);
    for position in 0..length {
        let angle = |index: usize| position as f32 * (-increment * index as f64).exp() as f32;
        values.extend((0..half).map(|index| angle(index).sin()));
        values.extend((0..half).map(|index| angle(index).cos()));
    }
    Tensor::from_vec(values, (length, dim), like.device())?.to_dtype(like.dtype())
}

impl Convolution {
    fn load(vb: &VarBuilder, input: usize, output: usize, stride: usize) -> Result<Self> {
        Ok(Self {
            weight: parameter(vb, (output, input, 3), "weight")?,
            bias: parameter(vb, output, "bias")?.reshape((1, output, 1))?,
            stride,
        })
    }

    /// `[chunks, in, frames]` -> `[chunks, out, ceil(frames / stride)]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.conv1d(&self.weight, 1, self.stride, 1, 1)?
            .broadcast_add(&self.bias)
    }
}

impl Layer {
    fn load(vb: &VarBuilder, config: &AudioConfig) -> Result<Self> {
        let (dim, inner, attention) = (config.d_model, config.encoder_ffn_dim, vb.pp("self_attn"));
        Ok(Self {
            attention_norm: LayerNorm::load(&vb.pp("self_attn_layer_norm"), dim, NORM_EPS)?,
            query: Linear::load(&attention.pp("q_proj"), dim, dim, true)?,
            key: Linear::load(&attention.pp("k_proj"), dim, dim, false)?,
            value: Linear::load(&attention.pp("v_proj"), dim, dim, true)?,
            output: Linear::load(&attention.pp("out_proj"), dim, dim, true)?,
            final_norm: LayerNorm::load(&vb.pp("final_layer_norm"), dim, NORM_EPS)?,
            fc1: Linear::load(&vb.pp("fc1"), dim, inner, true)?,
            fc2: Linear::load(&vb.pp("fc2"), inner, dim, true)?,
            heads: config.encoder_attention_heads,
        })
    }

    /// `[frames, dim]` -> `[frames, dim]`
    fn forward(&self, x: &Tensor, segments: &[usize]) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        let heads = |linear: &Linear| split_heads(&linear.forward(&normed)?, self.heads);
        let context = attend_segments(
            &heads(&self.query)?,
            &heads(&self.key)?,
            &heads(&self.value)?,
            segments,
        )?;
        let x = (x + self.output.forward(&context)?)?;
        let fed = self
            .fc1
            .forward(&self.final_norm.forward(&x)?)?
            .gelu_erf()?;
        x + self.fc2.forward(&fed)?
    }
}

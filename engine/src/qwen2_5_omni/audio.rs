//! The audio tower: log-mel frames -> one embedding per 40 ms.
//! In: mel `[bins, frames]`. Out: `[tokens, hidden of the decoder]`.
//!
//! Reference: transformers 5.23.0 `modeling_qwen2_5_omni.py`, `Qwen2_5OmniAudioEncoder`.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::AudioConfig;
use crate::attention::attend_segments;
use crate::layers::{LayerNorm, Linear};
use crate::preprocess::mel::Mel;
use crate::whisper_blocks::{Convolution, EncoderLayer, EncoderShape, NORM_EPS};

/// Longest period of the sinusoidal positions.
const MAX_TIMESCALE: f64 = 10_000.0;

/// Chunks that pass through the tower at once: they never look at one another, so a long sound may be cut between them.
const CHUNKS_AT_ONCE: usize = 32;

/// The audio tower.
#[derive(Debug)]
pub(crate) struct AudioTower {
    conv1: Convolution,
    conv2: Convolution,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
    proj: Linear,
    config: AudioConfig,
}

/// Tokens that `frames` mel frames become.
pub(crate) fn token_count(frames: usize) -> usize {
    frames.div_ceil(2) / 2
}

impl AudioTower {
    pub(crate) fn load(vb: &VarBuilder, config: &AudioConfig) -> Result<Self> {
        let (dim, bins) = (config.d_model, config.num_mel_bins);
        let shape = EncoderShape {
            dim,
            inner: config.encoder_ffn_dim,
            heads: config.encoder_attention_heads,
        };
        Ok(Self {
            conv1: Convolution::load(&vb.pp("conv1"), bins, dim, 1)?,
            conv2: Convolution::load(&vb.pp("conv2"), dim, dim, 2)?,
            layers: (0..config.encoder_layers)
                .map(|index| EncoderLayer::load(&vb.pp("layers").pp(index), &shape))
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
            .to_dtype(self.conv1.dtype())?;
        let mut parts = Vec::new();
        for first in (0..mel.frames).step_by(at_once) {
            let count = at_once.min(mel.frames - first);
            let (mut hidden, segments) = self.convolve(&features.narrow(1, first, count)?)?;
            for layer in &self.layers {
                hidden = layer.forward(&hidden, |q, k, v| attend_segments(q, k, v, &segments))?;
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

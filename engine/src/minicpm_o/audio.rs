//! The audio tower: log-mel spectra of everything that is heard -> one embedding per 100 ms.
//! In: spectra, none longer than the window. Out: `[tokens, hidden of the decoder]`, one after the other.
//!
//! Reference: `modeling_minicpmo.py` of MiniCPM-o 4.5, `MiniCPMWhisperEncoder` and `get_audio_embedding`.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::MiniCpmConfig;
use crate::attention::attend_up_to_own_chunk;
use crate::layers::{LayerNorm, Linear, parameter};
use crate::preprocess::mel::Mel;
use crate::whisper_blocks::{Convolution, EncoderLayer, EncoderShape, NORM_EPS};

/// The audio tower.
#[derive(Debug)]
pub(super) struct AudioTower {
    conv1: Convolution,
    conv2: Convolution,
    /// `[longest sound in encoder frames, dim]`
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
    /// Into the decoder's width, with a ReLU between, before frames are pooled.
    inner: Linear,
    outer: Linear,
    pool: usize,
    /// Encoder frames of a chunk, none where every frame sees everything.
    chunk: Option<usize>,
}

/// Tokens that `frames` mel frames become.
pub(super) fn token_count(frames: usize, pool: usize) -> usize {
    frames.div_ceil(2) / pool
}

impl AudioTower {
    /// `vb` stands at the root: the tower is `apm`, its map `audio_projection_layer`.
    pub(super) fn load(vb: &VarBuilder, config: &MiniCpmConfig) -> Result<Self> {
        let (c, apm) = (&config.audio_config, vb.pp("apm"));
        let (dim, bins) = (c.d_model, c.num_mel_bins);
        let shape = EncoderShape {
            dim,
            inner: c.encoder_ffn_dim,
            heads: c.encoder_attention_heads,
        };
        let (projection, hidden) = (vb.pp("audio_projection_layer"), config.hidden_size);
        let table = (c.max_source_positions, dim);
        Ok(Self {
            conv1: Convolution::load(&apm.pp("conv1"), bins, dim, 1)?,
            conv2: Convolution::load(&apm.pp("conv2"), dim, dim, 2)?,
            positions: parameter(&apm.pp("embed_positions"), table, "weight")?,
            layers: (0..c.encoder_layers)
                .map(|index| EncoderLayer::load(&apm.pp("layers").pp(index), &shape))
                .collect::<Result<_>>()?,
            norm: LayerNorm::load(&apm.pp("layer_norm"), dim, NORM_EPS)?,
            inner: Linear::load(
                &projection.pp("linear1"),
                c.encoder_ffn_dim / 4,
                hidden,
                true,
            )?,
            outer: Linear::load(&projection.pp("linear2"), hidden, hidden, true)?,
            pool: config.audio_pool_step,
            chunk: config.audio_chunk_frames(),
        })
    }

    /// `[tokens, hidden of the decoder]` of all sounds; `None` where they are too short for a single token.
    pub(super) fn encode(
        &self,
        mels: &[Mel],
        device: &Device,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Option<Tensor>> {
        let longest = mels.iter().map(|mel| mel.frames).max().unwrap_or_default();
        let mut parts = Vec::new();
        for (index, mel) in mels.iter().enumerate() {
            if token_count(mel.frames, self.pool) > 0 {
                parts.push(self.encode_one(mel, longest, device)?);
            }
            progress(index + 1, mels.len());
        }
        if parts.is_empty() {
            return Ok(None);
        }
        Tensor::cat(&parts, 0).map(Some)
    }

    /// One sound of a batch whose longest has `longest` mel frames.
    ///
    /// The reference pads a batch to its longest with zeros and hides of each sound the encoder frames from its number of
    /// MEL frames on: twice as far as its encoder frames go. So up to the end of its last chunk, or to twice its length,
    /// a shorter sound sees its own padding, which therefore is encoded with it.
    fn encode_one(&self, mel: &Mel, longest: usize, device: &Device) -> Result<Tensor> {
        let own = mel.frames.div_ceil(2);
        let chunk = self.chunk.unwrap_or(usize::MAX);
        let seen = own
            .checked_next_multiple_of(chunk)
            .unwrap_or(usize::MAX)
            .min(mel.frames)
            .min(longest.div_ceil(2));
        let features = Tensor::from_slice(&mel.values, (mel.bins, mel.frames), device)?;
        // As many zeros as the two convolutions can reach.
        let padded = longest.min(2 * seen + 2).max(mel.frames);
        let features = features
            .pad_with_zeros(1, 0, padded - mel.frames)?
            .unsqueeze(0)?
            .to_dtype(self.conv1.dtype())?;
        let x = self.conv1.forward(&features)?.gelu_erf()?;
        let x = self.conv2.forward(&x)?.gelu_erf()?;
        let x = x.squeeze(0)?.t()?.narrow(0, 0, seen)?.contiguous()?;
        if seen > self.positions.dim(0)? {
            return Err(candle_core::Error::Msg(format!(
                "a sound of {seen} encoder frames is longer than the {} that the model has positions for",
                self.positions.dim(0)?
            )));
        }
        let mut hidden = (x + self.positions.narrow(0, 0, seen)?)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, |queries, keys, values| {
                attend_up_to_own_chunk(queries, keys, values, chunk.min(seen))
            })?;
        }
        let tokens = token_count(mel.frames, self.pool);
        let hidden = hidden.narrow(0, 0, tokens * self.pool)?;
        let inner = self.inner.forward(&self.norm.forward(&hidden)?)?.relu()?;
        let projected = self.outer.forward(&inner)?;
        let width = projected.dim(1)?;
        projected.reshape((tokens, self.pool, width))?.mean(1)
    }
}

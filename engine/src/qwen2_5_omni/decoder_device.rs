//! The language model of the Thinker by tensors, for GPUs: prefill in query blocks, then one token a step, with taps.
//! In: embeddings and TMRoPE positions. Out: logits of the last position, and the state that signals are read from.
//! Nothing comes back to the host within a layer: a step reads its logits once, and its signals once.
//!
//! Reference: transformers 5.23.0 `models/qwen2_5_omni/modeling_qwen2_5_omni.py`, `Qwen2_5OmniThinkerTextModel`.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::ThinkerConfig;
use super::decoder::Start;
use super::rope::TimeHeightWidthRope;
use crate::attention::{KvCache, QUERY_BLOCK, attend_block};
use crate::layers::{Linear, RmsNorm, SwiGlu, rotate, split_heads};
use crate::signals::{AttentionTap, StepScores, Wanted, attgrads};

/// The language model.
#[derive(Debug)]
pub(crate) struct DeviceDecoder {
    /// `[vocabulary, hidden]`
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `[vocabulary, hidden]`
    head: Linear,
    kv_heads: usize,
    head_dim: usize,
}

#[derive(Debug)]
struct Layer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    post_norm: RmsNorm,
    feed_forward: SwiGlu,
    heads: usize,
    kv_heads: usize,
}

/// What one generation keeps: the cache and the prompt's length.
#[derive(Debug)]
pub(crate) struct DeviceState {
    caches: Vec<KvCache>,
    prompt: usize,
    wanted: Wanted,
    /// 0, 1, 2 ... for every position there can be.
    order: Tensor,
}

/// The last position of one forward pass.
#[derive(Debug)]
pub(crate) struct StepOutput {
    /// `[vocabulary]`, before any logits rule.
    pub(crate) logits: Vec<f32>,
    tap: AttentionTap,
    /// Hidden state after the last layer's attention residual: `[1, hidden]`.
    after_attention: Tensor,
    /// Hidden state after the last layer: `[1, hidden]`.
    last_hidden: Tensor,
}

impl DeviceState {
    /// Back to the end of the prompt, computing what is `wanted` from there.
    pub(crate) fn rewind(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        for cache in &mut self.caches {
            cache.truncate(self.prompt);
        }
    }
}

impl DeviceDecoder {
    pub(crate) fn load(vb: &VarBuilder, config: &ThinkerConfig) -> Result<Self> {
        let text = &config.text_config;
        let model = vb.pp("model");
        let embedding = model.get((text.vocab_size, text.hidden_size), "embed_tokens.weight")?;
        let head = if config.tied() || !vb.contains_tensor("lm_head.weight") {
            embedding.clone()
        } else {
            vb.get((text.vocab_size, text.hidden_size), "lm_head.weight")?
        };
        let layers = (0..text.num_hidden_layers)
            .map(|index| Layer::load(&model.pp("layers").pp(index), config))
            .collect::<Result<_>>()?;
        Ok(Self {
            embedding,
            layers,
            norm: RmsNorm::load(&model.pp("norm"), text.hidden_size, text.rms_norm_eps)?,
            head: Linear::from_weight(head)?,
            kv_heads: text.num_key_value_heads,
            head_dim: text.head_dim(),
        })
    }

    /// `[ids, hidden]`
    pub(crate) fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        self.embedding
            .index_select(&Tensor::new(ids, self.embedding.device())?, 0)
    }

    /// A tensor of the type and device of the activations.
    pub(crate) fn like(&self) -> &Tensor {
        &self.embedding
    }

    /// Bytes of weights that one decode step reads.
    pub(crate) fn step_bytes(&self) -> usize {
        let layers = self.layers.iter().map(Layer::bytes).sum::<usize>();
        layers + self.head.bytes()
    }

    /// Bytes of keys and values that one decode step reads at `context` positions.
    pub(crate) fn cache_bytes(&self, context: usize) -> usize {
        let width = self.kv_heads * self.head_dim * self.embedding.dtype().size_in_bytes();
        self.layers.len() * 2 * width * context
    }

    /// Runs the prompt; `layer_done(done, total)` returns whether to go on. `None` when it said no.
    pub(crate) fn prefill(
        &self,
        start: &Start<'_>,
        rope: &TimeHeightWidthRope,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<(DeviceState, StepOutput)>> {
        let (embeds, positions) = (start.embeds, start.positions);
        let capacity = positions.len() + start.max_new_tokens;
        let rotary = rope.tables(positions, embeds)?;
        let new_cache = || {
            KvCache::new(
                self.kv_heads,
                capacity,
                self.head_dim,
                embeds.dtype(),
                embeds.device(),
            )
        };
        let mut state = DeviceState {
            caches: self
                .layers
                .iter()
                .map(|_| new_cache())
                .collect::<Result<_>>()?,
            prompt: positions.len(),
            wanted: start.wanted,
            order: Tensor::arange(0, capacity as u32, embeds.device())?,
        };
        let mut tap = AttentionTap::new(state.wanted);
        let mut hidden = embeds.clone();
        let mut after_attention = hidden.clone();
        for (index, (layer, cache)) in self.layers.iter().zip(&mut state.caches).enumerate() {
            // Of the last layer only the last row is ever used.
            let rows = if index + 1 == self.layers.len() {
                1
            } else {
                positions.len()
            };
            (after_attention, hidden) =
                layer.forward(&hidden, (&rotary, &state.order), cache, rows, &mut tap)?;
            if !layer_done(index + 1, self.layers.len()) {
                return Ok(None);
            }
        }
        let output = self.finish(after_attention, hidden, tap)?;
        Ok(Some((state, output)))
    }

    /// Feeds one generated token.
    pub(crate) fn step(
        &self,
        state: &mut DeviceState,
        id: u32,
        rotary: &(Tensor, Tensor),
    ) -> Result<StepOutput> {
        let mut hidden = self.embed(&[id])?;
        let mut tap = AttentionTap::new(state.wanted);
        let mut after_attention = hidden.clone();
        for (layer, cache) in self.layers.iter().zip(&mut state.caches) {
            (after_attention, hidden) =
                layer.forward(&hidden, (rotary, &state.order), cache, 1, &mut tap)?;
        }
        self.finish(after_attention, hidden, tap)
    }

    fn finish(
        &self,
        after_attention: Tensor,
        last_hidden: Tensor,
        tap: AttentionTap,
    ) -> Result<StepOutput> {
        let logits = self.head.forward(&self.norm.forward(&last_hidden)?)?;
        let logits = logits.squeeze(0)?.to_dtype(DType::F32)?.to_vec1()?;
        Ok(StepOutput {
            logits,
            tap,
            after_attention,
            last_hidden,
        })
    }

    /// All signals of a step, once its token is chosen.
    ///
    /// The gradient of the chosen logit is taken back through the one-token tail by hand
    /// (output row, final norm, feed-forward with its norm and residual, output map): no second forward, no autograd.
    pub(crate) fn signals(
        &self,
        state: &DeviceState,
        step: &StepOutput,
        chosen: u32,
    ) -> Result<StepScores> {
        let prompt = state.prompt;
        let (Some(layer), Some(cache)) = (self.layers.last(), state.caches.last()) else {
            return Err(candle_core::Error::Msg(
                "the decoder has no layer".to_owned(),
            ));
        };
        let attgrads = match step.tap.last_probabilities() {
            Some(probabilities) if state.wanted == Wanted::Everything => {
                let at_logit = self.head.weight_row(chosen as usize)?;
                let at_last = self.norm.backward(&step.last_hidden, &at_logit)?;
                let at_context = layer.tail_backward(&step.after_attention, &at_last)?;
                attgrads(&at_context, probabilities, &cache.values(prompt)?)?
            }
            _ => Vec::new(),
        };
        Ok(StepScores {
            attmean: step.tap.attmean(prompt)?,
            attraw: step.tap.attraw(prompt)?,
            attgrads,
        })
    }
}

impl Layer {
    fn load(vb: &VarBuilder, config: &ThinkerConfig) -> Result<Self> {
        let text = &config.text_config;
        let (hidden, heads, kv_heads) = (
            text.hidden_size,
            text.num_attention_heads,
            text.num_key_value_heads,
        );
        let (queries, keys) = (heads * text.head_dim(), kv_heads * text.head_dim());
        let attention = vb.pp("self_attn");
        Ok(Self {
            input_norm: RmsNorm::load(&vb.pp("input_layernorm"), hidden, text.rms_norm_eps)?,
            query: Linear::load(&attention.pp("q_proj"), hidden, queries, true)?,
            key: Linear::load(&attention.pp("k_proj"), hidden, keys, true)?,
            value: Linear::load(&attention.pp("v_proj"), hidden, keys, true)?,
            output: Linear::load(&attention.pp("o_proj"), queries, hidden, false)?,
            post_norm: RmsNorm::load(
                &vb.pp("post_attention_layernorm"),
                hidden,
                text.rms_norm_eps,
            )?,
            feed_forward: SwiGlu::load(&vb.pp("mlp"), hidden, text.intermediate_size, false)?,
            heads,
            kv_heads,
        })
    }

    /// `hidden` `[rows, hidden]` -> the last `wanted` rows after attention and after the whole layer.
    /// Keys and values of all rows go into the cache; the tap sees the last row.
    fn forward(
        &self,
        hidden: &Tensor,
        (rotary, order): (&(Tensor, Tensor), &Tensor),
        cache: &mut KvCache,
        wanted: usize,
        tap: &mut AttentionTap,
    ) -> Result<(Tensor, Tensor)> {
        let rows = hidden.dim(0)?;
        let normed = self.input_norm.forward(hidden)?;
        let keys = rotate(
            &split_heads(&self.key.forward(&normed)?, self.kv_heads)?,
            rotary,
        )?;
        let values = split_heads(&self.value.forward(&normed)?, self.kv_heads)?;
        let first_position = cache.len();
        cache.append(&keys.contiguous()?, &values)?;
        let mut contexts = Vec::new();
        for first in (rows - wanted..rows).step_by(QUERY_BLOCK) {
            let count = QUERY_BLOCK.min(rows - first);
            let queries = self.query.forward(&normed.narrow(0, first, count)?)?;
            let tables = (
                rotary.0.narrow(0, first, count)?,
                rotary.1.narrow(0, first, count)?,
            );
            let queries = rotate(&split_heads(&queries, self.heads)?, &tables)?;
            let block = attend_block(&queries, cache, first_position + first, order)?;
            if first + count == rows {
                tap.observe(&block.last_row)?;
            }
            contexts.push(block.context);
        }
        let context = Tensor::cat(&contexts, 0)?;
        let residual = hidden.narrow(0, rows - wanted, wanted)?;
        let after_attention = (residual + self.output.forward(&context)?)?;
        let fed = self
            .feed_forward
            .forward(&self.post_norm.forward(&after_attention)?)?;
        let out = (&after_attention + fed)?;
        Ok((after_attention, out))
    }

    fn bytes(&self) -> usize {
        let maps = [&self.query, &self.key, &self.value, &self.output];
        maps.into_iter().map(Linear::bytes).sum::<usize>() + self.feed_forward.bytes()
    }

    /// Gradient at the layer's output `[1, hidden]` -> gradient at the heads' joint context `[1, heads * dim]`.
    fn tail_backward(&self, after_attention: &Tensor, at_out: &Tensor) -> Result<Tensor> {
        let normed = self.post_norm.forward(after_attention)?;
        let at_normed = self
            .feed_forward
            .backward(&normed, &at_out.to_dtype(normed.dtype())?)?;
        let at_attention = (at_out + self.post_norm.backward(after_attention, &at_normed)?)?;
        self.output
            .backward(&at_attention.to_dtype(normed.dtype())?)
    }
}

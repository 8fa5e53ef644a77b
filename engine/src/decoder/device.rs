//! A decoder of the Llama kind by tensors, for GPUs: prefill in query blocks, then one token a step, with taps.
//! In: embeddings and positions. Out: logits of the last position, and the state that signals are read from.
//! Nothing comes back to the host within a layer: a step reads its logits once, and its signals once.
//!
//! Reference: transformers 5.23.0 `models/qwen2_5_omni/modeling_qwen2_5_omni.py`, `Qwen2_5OmniThinkerTextModel`, and
//! `models/qwen3/modeling_qwen3.py`, which norms the heads of queries and keys and has no bias.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::rope::Rope;
use super::session::Backend;
use super::{DecoderShape, Start};
use crate::attention::{KvCache, QUERY_BLOCK, attend_block};
use crate::layers::{Linear, RmsNorm, SwiGlu, rotate, split_heads};
use crate::signals::{AttentionTap, StepAttention, StepGradients, Wanted, attgrads};

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
    /// Of each head of queries and of keys, where the family has them.
    query_norm: Option<RmsNorm>,
    key_norm: Option<RmsNorm>,
    output: Linear,
    post_norm: RmsNorm,
    feed_forward: SwiGlu,
    heads: usize,
    kv_heads: usize,
}

/// What one generation keeps.
#[derive(Debug)]
pub(crate) struct DeviceState {
    caches: Vec<KvCache>,
    prompt: usize,
    wanted: Wanted,
    /// 0, 1, 2 ... for every position there can be.
    order: Tensor,
    /// Of the position fed last.
    output: StepOutput,
    /// Positions whose gradients are still to be taken.
    held: Vec<Held>,
}

/// A position of which all but the gradients is known.
#[derive(Debug)]
struct Held {
    chosen: u32,
    after_attention: Tensor,
    last_hidden: Tensor,
    /// `[heads, context]` of the last layer, where AttGrads is wanted.
    last: Option<Tensor>,
    /// The same of the layers whose values are asked for.
    layers: Vec<(usize, Tensor)>,
}

/// The last position of one forward pass.
#[derive(Debug)]
struct StepOutput {
    /// `[vocabulary]`, before any logits rule.
    logits: Vec<f32>,
    tap: AttentionTap,
    /// Hidden state after the last layer's attention residual: `[1, hidden]`.
    after_attention: Tensor,
    /// Hidden state after the last layer: `[1, hidden]`.
    last_hidden: Tensor,
}

impl DeviceDecoder {
    /// `vb` stands at the language model's root: `model.layers...`, `model.embed_tokens`, `lm_head`.
    pub(crate) fn load(vb: &VarBuilder, shape: DecoderShape) -> Result<Self> {
        let model = vb.pp("model");
        let table = (shape.vocabulary, shape.hidden);
        let embedding = model.get(table, "embed_tokens.weight")?;
        let head = if shape.tied || !vb.contains_tensor("lm_head.weight") {
            embedding.clone()
        } else {
            vb.get(table, "lm_head.weight")?
        };
        let layers = (0..shape.layers)
            .map(|index| Layer::load(&model.pp("layers").pp(index), &shape))
            .collect::<Result<_>>()?;
        Ok(Self {
            embedding,
            layers,
            norm: RmsNorm::load(&model.pp("norm"), shape.hidden, f64::from(shape.norm_eps))?,
            head: Linear::from_weight(head)?,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
        })
    }

    /// `[ids, hidden]`
    pub(crate) fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        self.embedding
            .index_select(&Tensor::new(ids, self.embedding.device())?, 0)
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
}

impl DeviceDecoder {
    /// The gradient of the chosen logit is taken back through the one-token tail by hand
    /// (output row, final norm, feed-forward with its norm and residual, output map): no second forward, no autograd.
    fn attgrads(&self, state: &DeviceState, held: &Held) -> Result<Vec<f32>> {
        let (Some(layer), Some(cache), Some(probabilities)) =
            (self.layers.last(), state.caches.last(), &held.last)
        else {
            return Ok(Vec::new());
        };
        let at_logit = self.head.weight_row(held.chosen as usize)?;
        let at_last = self.norm.backward(&held.last_hidden, &at_logit)?;
        let at_context = layer.tail_backward(&held.after_attention, &at_last)?;
        attgrads(&at_context, probabilities, &cache.values(state.prompt)?)
    }

    /// What the values of the layers asked for add to the chosen logit.
    fn added(&self, state: &DeviceState, held: &Held) -> Result<Vec<f32>> {
        if held.layers.is_empty() {
            return Ok(Vec::new());
        }
        let at_logit = self.head.weight_row(held.chosen as usize)?;
        let at_last = self.norm.scaled(&held.last_hidden, &at_logit)?;
        let mut out = vec![0f32; state.prompt];
        for (index, probabilities) in &held.layers {
            let (Some(layer), Some(cache)) = (self.layers.get(*index), state.caches.get(*index))
            else {
                continue;
            };
            let dtype = layer.output.dtype();
            let at_context = layer.output.backward(&at_last.to_dtype(dtype)?)?;
            let added = attgrads(&at_context, probabilities, &cache.values(state.prompt)?)?;
            out.iter_mut()
                .zip(&added)
                .for_each(|(sum, own)| *sum += own);
        }
        Ok(out)
    }
}

impl Backend for DeviceDecoder {
    type State = DeviceState;

    fn read(
        &self,
        start: &Start<'_>,
        rope: &Rope,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<DeviceState>> {
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
        let mut caches = self
            .layers
            .iter()
            .map(|_| new_cache())
            .collect::<Result<Vec<_>>>()?;
        let order = Tensor::arange(0, capacity as u32, embeds.device())?;
        let mut tap = AttentionTap::new(start.wanted);
        let mut hidden = embeds.clone();
        let mut after_attention = hidden.clone();
        for (index, (layer, cache)) in self.layers.iter().zip(&mut caches).enumerate() {
            // Of the last layer only the last row is ever used.
            let rows = if index + 1 == self.layers.len() {
                1
            } else {
                positions.len()
            };
            (after_attention, hidden) =
                layer.forward(&hidden, (&rotary, &order), cache, rows, &mut tap)?;
            if !layer_done(index + 1, self.layers.len()) {
                return Ok(None);
            }
        }
        Ok(Some(DeviceState {
            caches,
            prompt: positions.len(),
            wanted: start.wanted,
            order,
            output: self.finish(after_attention, hidden, tap)?,
            held: Vec::new(),
        }))
    }

    fn feed(&self, state: &mut DeviceState, id: u32, position: u32, rope: &Rope) -> Result<()> {
        let rotary = rope.tables(&[[position; 3]], &self.embedding)?;
        let mut hidden = self.embed(&[id])?;
        let mut tap = AttentionTap::new(state.wanted);
        let mut after_attention = hidden.clone();
        for (layer, cache) in self.layers.iter().zip(&mut state.caches) {
            (after_attention, hidden) =
                layer.forward(&hidden, (&rotary, &state.order), cache, 1, &mut tap)?;
        }
        state.output = self.finish(after_attention, hidden, tap)?;
        Ok(())
    }

    fn logits<'s>(&self, state: &'s DeviceState) -> &'s [f32] {
        &state.output.logits
    }

    fn attention(&self, state: &DeviceState) -> Result<StepAttention> {
        let (prompt, tap) = (state.prompt, &state.output.tap);
        Ok(StepAttention {
            attmean: tap.attmean(prompt)?,
            attraw: tap.attraw(prompt)?,
            layers: tap.layers(prompt)?,
        })
    }

    fn hold(&self, state: &mut DeviceState, chosen: u32, layers: &[usize]) -> Result<()> {
        let step = &state.output;
        let of = |layer: usize| step.tap.probabilities(layer).cloned();
        let last = (self.layers.len().checked_sub(1)).filter(|_| state.wanted.gradients());
        let asked: &[usize] = match state.wanted.probabilities_of_layers() {
            true => layers,
            false => &[],
        };
        state.held.push(Held {
            chosen,
            after_attention: step.after_attention.clone(),
            last_hidden: step.last_hidden.clone(),
            last: last.and_then(of),
            layers: (asked.iter())
                .filter_map(|&layer| Some((layer, of(layer)?)))
                .collect(),
        });
        Ok(())
    }

    fn gradients(&self, state: &mut DeviceState) -> Result<Vec<StepGradients>> {
        let held = std::mem::take(&mut state.held);
        let of = |own: &Held| {
            Ok(StepGradients {
                attgrads: self.attgrads(state, own)?,
                added: self.added(state, own)?,
            })
        };
        held.iter().map(of).collect()
    }

    fn rewind(&self, state: &mut DeviceState, wanted: Wanted) {
        state.wanted = wanted;
        state.held.clear();
        for cache in &mut state.caches {
            cache.truncate(state.prompt);
        }
    }
}

impl Layer {
    fn load(vb: &VarBuilder, s: &DecoderShape) -> Result<Self> {
        let (hidden, eps) = (s.hidden, f64::from(s.norm_eps));
        let attention = vb.pp("self_attn");
        let head_norm = |name: &str| {
            s.head_norms
                .then(|| RmsNorm::load(&attention.pp(name), s.head_dim, eps))
                .transpose()
        };
        Ok(Self {
            input_norm: RmsNorm::load(&vb.pp("input_layernorm"), hidden, eps)?,
            query: Linear::load(&attention.pp("q_proj"), hidden, s.query_width(), s.bias)?,
            key: Linear::load(&attention.pp("k_proj"), hidden, s.key_width(), s.bias)?,
            value: Linear::load(&attention.pp("v_proj"), hidden, s.key_width(), s.bias)?,
            query_norm: head_norm("q_norm")?,
            key_norm: head_norm("k_norm")?,
            output: Linear::load(&attention.pp("o_proj"), s.query_width(), hidden, false)?,
            post_norm: RmsNorm::load(&vb.pp("post_attention_layernorm"), hidden, eps)?,
            feed_forward: SwiGlu::load(&vb.pp("mlp"), hidden, s.inner, false)?,
            heads: s.heads,
            kv_heads: s.kv_heads,
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
        let keys = split_heads(&self.key.forward(&normed)?, self.kv_heads)?;
        let keys = rotate(&norm_heads(keys, self.key_norm.as_ref())?, rotary)?;
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
            let queries = split_heads(&queries, self.heads)?;
            let queries = rotate(&norm_heads(queries, self.query_norm.as_ref())?, &tables)?;
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

/// `[heads, rows, dim]`, each head of each row normed where there is a norm.
fn norm_heads(x: Tensor, norm: Option<&RmsNorm>) -> Result<Tensor> {
    match norm {
        Some(norm) => norm.forward(&x),
        None => Ok(x),
    }
}

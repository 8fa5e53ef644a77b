//! A decoder of the Llama kind (RMS norms, rotary half-dimension embedding, grouped keys, SwiGLU) on the CPU.
//! Biases of query, key and value, and norms of the heads of queries and keys, stand where the shape says so.
//! In: weights by the checkpoint's names. Out: layers that `prefill`, `step` and `gradients` run.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::aligned::Floats;
use super::attention::QueryAttention;
use super::cache::Cache;
use super::gradients::{Held, Rooms};
use super::matrix::Matrix;
use super::step::norm_in_place;
use crate::decoder::DecoderShape;
use crate::signals::Wanted;

/// The decoder.
#[derive(Debug)]
pub(crate) struct CpuDecoder {
    pub(super) shape: DecoderShape,
    /// `[vocabulary, hidden]`
    embedding: Matrix,
    pub(super) layers: Vec<Layer>,
    /// `[hidden]`
    pub(super) norm: Vec<f32>,
    /// `[vocabulary, hidden]`; none where the embedding table serves.
    head: Option<Matrix>,
}

#[derive(Debug)]
pub(super) struct Layer {
    /// `[hidden]`
    pub(super) input_norm: Vec<f32>,
    /// Query, key and value: `[heads * dim or kv_heads * dim, hidden]`.
    pub(super) inward: [Matrix; 3],
    /// Their biases; zeros where the family has none.
    pub(super) biases: [Vec<f32>; 3],
    /// Norms of each head of queries and of keys, `[head_dim]`, where the family has them.
    pub(super) head_norms: Option<[Vec<f32>; 2]>,
    /// `[hidden, heads * dim]`
    pub(super) output: Matrix,
    /// `[hidden]`
    pub(super) post_norm: Vec<f32>,
    /// `[inner, hidden]`
    pub(super) gate: Matrix,
    /// `[inner, hidden]`
    pub(super) up: Matrix,
    /// `[hidden, inner]`
    pub(super) down: Matrix,
}

/// What one generation keeps.
#[derive(Debug)]
pub(crate) struct CpuState {
    pub(super) caches: Vec<Cache>,
    /// Prompt positions: those that signals are about.
    pub(super) prompt: usize,
    pub(super) wanted: Wanted,
    /// Of each layer where their probabilities are wanted after the step; else the first serves all.
    pub(super) attention: Vec<QueryAttention>,
    pub(super) step: StepBuffers,
    /// Steps whose gradients are still to be taken.
    pub(super) held: Vec<Held>,
    /// What earlier ones leave, for later ones.
    pub(super) spare: Vec<Held>,
    pub(super) rooms: Rooms,
    pub(crate) logits: Vec<f32>,
    /// Mean over heads, summed over layers times their share: attmean of the step, `[prompt]`.
    pub(super) attmean: Vec<f32>,
    /// Mean over heads of every layer, times its share of attmean: `[layers, prompt]`.
    pub(super) layers: Vec<f32>,
}

/// Vectors of one step; of the last layer when the step is over.
#[derive(Debug)]
pub(super) struct StepBuffers {
    pub(super) tail: Tail,
    pub(super) normed: Floats,
    pub(super) queries: Floats,
    pub(super) keys: Floats,
    pub(super) values: Floats,
    pub(super) context: Floats,
    pub(super) inner: Floats,
}

/// Those of them that gradients are taken back through.
#[derive(Debug)]
pub(super) struct Tail {
    /// After the last layer.
    pub(super) hidden: Floats,
    pub(super) after_attention: Floats,
    pub(super) gate: Floats,
    pub(super) up: Floats,
}

impl Tail {
    pub(super) fn new(s: &DecoderShape) -> Self {
        Self {
            hidden: Floats::zeros(s.hidden),
            after_attention: Floats::zeros(s.hidden),
            gate: Floats::zeros(s.inner),
            up: Floats::zeros(s.inner),
        }
    }
}

impl CpuDecoder {
    /// `vb` stands at the language model's root: `model.layers...`, `model.embed_tokens`, `lm_head`.
    pub(crate) fn load(vb: &VarBuilder, shape: DecoderShape) -> Result<Self> {
        let model = vb.pp("model");
        let table = (shape.vocabulary, shape.hidden);
        let embedding = Matrix::from_tensor(model.get(table, "embed_tokens.weight")?)?;
        let head = if shape.tied || !vb.contains_tensor("lm_head.weight") {
            None
        } else {
            Some(Matrix::from_tensor(vb.get(table, "lm_head.weight")?)?)
        };
        Ok(Self {
            shape,
            embedding,
            layers: (0..shape.layers)
                .map(|index| Layer::load(&model.pp("layers").pp(index), &shape))
                .collect::<Result<_>>()?,
            norm: vector(&model.pp("norm"), shape.hidden, "weight")?,
            head,
        })
    }

    pub(super) fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// `[ids, hidden]`, widened.
    pub(crate) fn embed(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let hidden = self.shape.hidden;
        let mut rows = vec![0f32; ids.len() * hidden];
        for (row, &id) in rows.chunks_exact_mut(hidden).zip(ids) {
            if id as usize >= self.shape.vocabulary {
                return Err(candle_core::Error::Msg(format!(
                    "token {id} is not in the vocabulary of {}",
                    self.shape.vocabulary
                )));
            }
            self.embedding.row(id as usize, row);
        }
        Ok(rows)
    }

    /// Bytes of weights that one decode step reads.
    pub(crate) fn step_bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|layer| {
            layer
                .inward
                .iter()
                .chain([&layer.output, &layer.gate, &layer.up, &layer.down])
        });
        layers.map(Matrix::bytes).sum::<usize>() + self.head().bytes()
    }

    /// Bytes of keys and values that one decode step reads at `context` positions.
    pub(crate) fn cache_bytes(&self, context: usize) -> usize {
        self.shape.layers * 2 * self.shape.key_width() * context * size_of::<f32>()
    }

    /// Width of a row of keys.
    pub(crate) fn key_width(&self) -> usize {
        self.shape.key_width()
    }

    /// An empty state for a prompt of `prompt` positions.
    pub(crate) fn state(&self, prompt: usize, wanted: Wanted) -> CpuState {
        let s = &self.shape;
        CpuState {
            caches: (0..s.layers)
                .map(|_| Cache::new(s.kv_heads, s.head_dim))
                .collect(),
            prompt,
            wanted,
            attention: (0..s.layers)
                .map(|_| QueryAttention::new(s.heads, s.head_dim))
                .collect(),
            step: StepBuffers {
                tail: Tail::new(s),
                normed: Floats::zeros(s.hidden),
                queries: Floats::zeros(s.query_width()),
                keys: Floats::zeros(s.key_width()),
                values: Floats::zeros(s.key_width()),
                context: Floats::zeros(s.query_width()),
                inner: Floats::zeros(s.inner),
            },
            held: Vec::new(),
            spare: Vec::new(),
            rooms: Rooms::default(),
            logits: vec![0.0; s.vocabulary],
            attmean: vec![0.0; prompt],
            layers: vec![0.0; s.layers * prompt],
        }
    }
}

impl CpuState {
    /// Back to the end of the prompt, computing what is `wanted` from there.
    pub(crate) fn rewind(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.release();
        for cache in &mut self.caches {
            cache.truncate(self.prompt);
        }
    }

    /// Forgets everything after `len` positions.
    pub(super) fn cut(&mut self, len: usize) {
        for cache in &mut self.caches {
            cache.truncate(len);
        }
    }

    /// Fills every cache with the given keys and values up to the end of the prompt: a prompt that was not read.
    /// `rows`: `[prompt, kv_heads * head_dim]`.
    pub(crate) fn pretend(&mut self, rows: &[f32]) {
        for cache in &mut self.caches {
            cache.append(rows, rows);
        }
    }
}

impl Layer {
    fn load(vb: &VarBuilder, s: &DecoderShape) -> Result<Self> {
        let attention = vb.pp("self_attn");
        let (queries, keys) = (s.query_width(), s.key_width());
        let matrix = |vb: VarBuilder, outputs: usize, inputs: usize| {
            Matrix::from_tensor(vb.get((outputs, inputs), "weight")?)
        };
        let inward = |name: &str, width: usize| matrix(attention.pp(name), width, s.hidden);
        let bias = |name: &str, width: usize| {
            if s.bias {
                vector(&attention.pp(name), width, "bias")
            } else {
                Ok(vec![0.0; width])
            }
        };
        let head_norm = |name: &str| vector(&attention.pp(name), s.head_dim, "weight");
        let mlp = vb.pp("mlp");
        Ok(Self {
            input_norm: vector(&vb.pp("input_layernorm"), s.hidden, "weight")?,
            inward: [
                inward("q_proj", queries)?,
                inward("k_proj", keys)?,
                inward("v_proj", keys)?,
            ],
            biases: [
                bias("q_proj", queries)?,
                bias("k_proj", keys)?,
                bias("v_proj", keys)?,
            ],
            head_norms: if s.head_norms {
                Some([head_norm("q_norm")?, head_norm("k_norm")?])
            } else {
                None
            },
            output: matrix(attention.pp("o_proj"), s.hidden, queries)?,
            post_norm: vector(&vb.pp("post_attention_layernorm"), s.hidden, "weight")?,
            gate: matrix(mlp.pp("gate_proj"), s.inner, s.hidden)?,
            up: matrix(mlp.pp("up_proj"), s.inner, s.hidden)?,
            down: matrix(mlp.pp("down_proj"), s.hidden, s.inner)?,
        })
    }
}

/// A vector in f32, however it is stored.
fn vector(vb: &VarBuilder, len: usize, name: &str) -> Result<Vec<f32>> {
    vb.get_with_hints_dtype(len, name, Init::Const(1.0), DType::F32)?
        .to_vec1()
}

impl Layer {
    /// Norms (where the family does) and rotates the heads of one position's queries and keys.
    pub(super) fn place_heads(
        &self,
        s: &DecoderShape,
        queries: &mut [f32],
        keys: &mut [f32],
        (cos, sin): (&[f32], &[f32]),
    ) {
        for (which, heads) in [queries, keys].into_iter().enumerate() {
            for head in heads.chunks_exact_mut(s.head_dim) {
                if let Some(norms) = &self.head_norms {
                    norm_in_place(head, &norms[which], s.norm_eps);
                }
                rotate(head, cos, sin);
            }
        }
    }
}

/// Rotates one head by half-dimension rotary embedding; `cos` and `sin` hold half as many values.
fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (low, high) = head.split_at_mut(cos.len());
    for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
        (*low, *high) = (*low * cos - *high * sin, *low * sin + *high * cos);
    }
}

/// A CPU tensor's rows as plain numbers.
pub(crate) fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

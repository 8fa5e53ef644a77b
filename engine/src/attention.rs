//! Attention in bounded blocks: causal with a cache for decoders, within segments for encoders.
//! Probabilities of the last query row are handed out; (heads, queries, keys) never exists for all queries at once.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;

use crate::layers::join_heads;

/// Most query rows for which probabilities exist at once.
pub(crate) const QUERY_BLOCK: usize = 256;

/// Most segments that one batched product handles.
const SEGMENT_RUN: usize = 16;

/// Keys and values of one layer, written in place.
#[derive(Debug)]
pub(crate) struct KvCache {
    /// `[kv_heads, capacity, dim]`
    keys: Tensor,
    /// `[kv_heads, capacity, dim]`
    values: Tensor,
    len: usize,
}

impl KvCache {
    pub(crate) fn new(
        kv_heads: usize,
        capacity: usize,
        dim: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self {
            keys: Tensor::zeros((kv_heads, capacity, dim), dtype, device)?,
            values: Tensor::zeros((kv_heads, capacity, dim), dtype, device)?,
            len: 0,
        })
    }

    /// Appends `[kv_heads, rows, dim]` each, contiguous.
    pub(crate) fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<()> {
        self.keys.slice_set(keys, 1, self.len)?;
        self.values.slice_set(values, 1, self.len)?;
        self.len += keys.dim(1)?;
        Ok(())
    }

    /// Forgets everything after `len` positions.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Positions held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first `count` values: `[kv_heads, count, dim]`.
    pub(crate) fn values(&self, count: usize) -> Result<Tensor> {
        self.values.narrow(1, 0, count)
    }
}

/// Causal attention of one block of query rows.
#[derive(Debug)]
pub(crate) struct BlockAttention {
    /// `[rows, heads * dim]`
    pub(crate) context: Tensor,
    /// Probabilities of the last row, f32: `[heads, keys]`.
    pub(crate) last_row: Tensor,
}

/// Attention of `queries` `[heads, rows, dim]`, which stand at positions `first..first + rows`, over the cache.
///
/// Query heads of one key head are stacked as rows, so that keys and values are never repeated.
/// `order`: 0, 1, 2 ... for at least as many positions, on the device, where the mask is made of it.
pub(crate) fn attend_block(
    queries: &Tensor,
    cache: &KvCache,
    first: usize,
    order: &Tensor,
) -> Result<BlockAttention> {
    let (heads, rows, dim) = queries.dims3()?;
    let kv_heads = cache.keys.dim(0)?;
    let keys = first + rows;
    let stacked = queries.reshape((kv_heads, heads / kv_heads * rows, dim))?;
    let scale = (dim as f64).powf(-0.5);
    let scores =
        (stacked.matmul(&cache.keys.narrow(1, 0, keys)?.t()?)? * scale)?.to_dtype(DType::F32)?;
    let probabilities = if rows == 1 {
        softmax_last_dim(&scores)?
    } else {
        let masked = scores
            .reshape((heads, rows, keys))?
            .broadcast_add(&causal_mask(rows, first, order)?)?;
        softmax_last_dim(&masked)?.reshape((kv_heads, heads / kv_heads * rows, keys))?
    };
    let context = probabilities
        .to_dtype(queries.dtype())?
        .matmul(&cache.values.narrow(1, 0, keys)?)?
        .reshape((heads, rows, dim))?;
    let last_row = probabilities
        .reshape((heads, rows, keys))?
        .narrow(1, rows - 1, 1)?
        .contiguous()?
        .reshape((heads, keys))?;
    Ok(BlockAttention {
        context: join_heads(&context)?,
        last_row,
    })
}

/// `[rows, first + rows]`: 0 where a query may look, else so little that its share is exactly 0.
fn causal_mask(rows: usize, first: usize, order: &Tensor) -> Result<Tensor> {
    let keys = order.narrow(0, 0, first + rows)?.unsqueeze(0)?;
    let queries = order.narrow(0, first, rows)?.unsqueeze(1)?;
    let seen = keys.broadcast_le(&queries)?.to_dtype(DType::F32)?;
    (seen - 1.0)? * 1e30
}

/// Full attention within consecutive segments of `lengths` rows; all tensors `[heads, rows, dim]`, contiguous.
/// Returns `[rows, heads * dim]`.
pub(crate) fn attend_segments(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    lengths: &[usize],
) -> Result<Tensor> {
    let (heads, _, dim) = queries.dims3()?;
    let mut parts = Vec::new();
    let mut start = 0;
    let mut index = 0;
    while index < lengths.len() {
        let length = lengths[index];
        let run = lengths[index..]
            .iter()
            .take(SEGMENT_RUN)
            .take_while(|&&l| l == length)
            .count();
        let rows = run * length;
        let segment = |x: &Tensor| {
            x.narrow(1, start, rows)?
                .contiguous()?
                .reshape((heads * run, length, dim))
        };
        let context = attend_fully(&segment(queries)?, &segment(keys)?, &segment(values)?)?;
        parts.push(context.reshape((heads, rows, dim))?);
        start += rows;
        index += run;
    }
    join_heads(&Tensor::cat(&parts, 1)?)
}

/// Attention of rows in chunks of `chunk`: each row sees every row up to the end of its own chunk.
/// All tensors `[heads, rows, dim]`, contiguous. Returns `[rows, heads * dim]`.
pub(crate) fn attend_up_to_own_chunk(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    chunk: usize,
) -> Result<Tensor> {
    let rows = queries.dim(1)?;
    let mut parts = Vec::new();
    for first in (0..rows).step_by(chunk) {
        let end = (first + chunk).min(rows);
        let part = |x: &Tensor, first: usize| x.narrow(1, first, end - first)?.contiguous();
        parts.push(attend_fully(
            &part(queries, first)?,
            &part(keys, 0)?,
            &part(values, 0)?,
        )?);
    }
    join_heads(&Tensor::cat(&parts, 1)?)
}

/// Unmasked attention, batch first: `[batch, rows, dim]`, in blocks of query rows.
fn attend_fully(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (_, rows, dim) = queries.dims3()?;
    let scale = (dim as f64).powf(-0.5);
    let transposed = keys.t()?;
    let mut parts = Vec::new();
    for first in (0..rows).step_by(QUERY_BLOCK) {
        let block = queries.narrow(1, first, QUERY_BLOCK.min(rows - first))?;
        let scores = (block.contiguous()?.matmul(&transposed)? * scale)?.to_dtype(DType::F32)?;
        parts.push(
            softmax_last_dim(&scores)?
                .to_dtype(values.dtype())?
                .matmul(values)?,
        );
    }
    Tensor::cat(&parts, 1)
}

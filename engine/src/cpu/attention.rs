//! Attention on the CPU: one query over all blocks with its probabilities kept, and blocks of queries without.
//! In: rotated queries and a cache. Out: contexts; for one query also what the taps and gradients read.
#![allow(unsafe_code)]

use super::aligned::Floats;
use super::block::{self, BLOCK};
use super::cache::Cache;
use super::math;
use super::matrix::gemm_f32;
use super::pool::{self, Shares};

/// Below this many products the parts of one query's context are put together by one thread.
const ALONE: usize = 16_384;
/// From so many blocks a thread on, a block's heads are one piece.
const WHOLE_BLOCKS: usize = 8;
/// Query rows that one thread takes at once.
const QUERY_ROWS: usize = 128;

/// One query's attention over a cache: unnormalised shares per block, and what makes them probabilities.
#[derive(Debug)]
pub(crate) struct QueryAttention {
    /// `[blocks, heads, BLOCK]`: `e^(score - the block's maximum)`, 0 after the last key.
    shares: Floats,
    /// `[blocks, heads]`: maximum and sum.
    parts: Vec<[f32; 2]>,
    /// `[blocks, heads, dim]`
    contexts: Floats,
    /// `[blocks, heads]`: share times factor is the probability.
    factors: Vec<f32>,
    heads: usize,
    dim: usize,
    blocks: usize,
}

impl QueryAttention {
    pub(crate) fn new(heads: usize, dim: usize) -> Self {
        Self {
            shares: Floats::zeros(0),
            parts: Vec::new(),
            contexts: Floats::zeros(0),
            factors: Vec::new(),
            heads,
            dim,
            blocks: 0,
        }
    }

    /// Room for a query over so many blocks, and where it writes.
    fn places(&mut self, blocks: usize) -> Places {
        let (heads, dim) = (self.heads, self.dim);
        self.blocks = blocks;
        self.shares.ensure(cache_room(blocks) * heads * BLOCK);
        self.contexts.ensure(cache_room(blocks) * heads * dim);
        self.parts.resize(blocks * heads, [0.0; 2]);
        self.factors.resize(blocks * heads, 0.0);
        Places {
            shares: Shares::new(&mut self.shares),
            parts: Shares::new(&mut self.parts),
            contexts: Shares::new(&mut self.contexts),
            factors: Shares::new(&mut self.factors),
            heads,
            dim,
            blocks,
        }
    }

    /// Adds the mean over heads of block `index`, of `count` positions, times `share` to `sum`; it is also put into `last`, if that is
    /// not null.
    ///
    /// # Safety
    /// Both have room for `count <= BLOCK`.
    pub(crate) unsafe fn tap(
        &self,
        index: usize,
        count: usize,
        share: f32,
        sum: *mut f32,
        last: *mut f32,
    ) {
        let first = index * self.heads;
        assert!(index < self.blocks && count <= BLOCK);
        // SAFETY: the block is there; the rest is the caller's promise.
        unsafe {
            math::tap_block(
                self.shares.as_ptr().add(first * BLOCK),
                self.factors.as_ptr().add(first),
                self.heads,
                count,
                share,
                sum,
                last,
            );
        }
    }

    /// One for as many heads, empty.
    pub(crate) fn alike(&self) -> Self {
        Self::new(self.heads, self.dim)
    }
}

/// `max(0, mean over heads of dA * A)` of the first `prompt` positions for each step, where `dA[h, k] = <gradient_h, value_k>`.
/// `gradients` are `[kv_heads, steps, heads / kv_heads, dim]`. Values are read once for all steps.
pub(crate) fn weighed_values(
    steps: &[&QueryAttention],
    gradients: &[f32],
    cache: &Cache,
    kv_heads: usize,
    prompt: usize,
) -> Vec<Vec<f32>> {
    let mut all: Vec<Vec<f32>> = steps.iter().map(|_| Vec::with_capacity(prompt)).collect();
    let Some(first) = steps.first() else {
        return all;
    };
    let (heads, dim) = (first.heads, first.dim);
    let (group, blocks) = (heads / kv_heads, prompt.div_ceil(BLOCK));
    // All heads of a key head side by side, whichever step they are of.
    let together = steps.len() * group;
    assert!(gradients.len() == kv_heads * together * dim);
    for own in steps {
        assert!(own.blocks >= blocks && own.heads == heads);
    }
    let outs: Vec<Shares<f32>> = (all.iter_mut())
        .map(|out| Shares::to(out.as_mut_ptr()))
        .collect();
    pool::run(blocks, |index| {
        let count = BLOCK.min(prompt - index * BLOCK);
        let values = &cache.blocks()[index].values;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.ensure(kv_heads * together * BLOCK);
            let slopes = scratch.as_mut_ptr();
            for kv_head in 0..kv_heads {
                // SAFETY: the block has these columns, scratch a place for each head and position.
                unsafe {
                    block::attention_scores(
                        gradients.as_ptr().add(kv_head * together * dim),
                        together,
                        dim,
                        values.as_ptr().add(kv_head * cache.head_size()),
                        count,
                        slopes.add(kv_head * together * BLOCK),
                    );
                }
            }
            for (k, (own, out)) in steps.iter().zip(&outs).enumerate() {
                // SAFETY: each piece writes its own block's positions.
                unsafe {
                    math::weigh_block(
                        own.shares.as_ptr().add(index * heads * BLOCK),
                        slopes.add(k * group * BLOCK),
                        together * BLOCK,
                        group,
                        own.factors.as_ptr().add(index * heads),
                        heads,
                        count,
                        1.0 / heads as f32,
                        out.at(index * BLOCK),
                    );
                }
            }
        });
    });
    for out in &mut all {
        // SAFETY: the blocks cover `prompt` positions, all of which were written.
        unsafe { out.set_len(prompt) };
    }
    all
}

/// One generation's part in a step's attention: from `queries` `[heads, dim]` to everything in the cache.
pub(crate) struct Turn<'a> {
    pub(crate) attention: &'a mut QueryAttention,
    pub(crate) queries: &'a [f32],
    pub(crate) cache: &'a Cache,
    /// `[heads, dim]`
    pub(crate) context: &'a mut [f32],
}

/// Where one query's attention is written, each block and head to places of its own.
#[derive(Clone, Copy)]
struct Places {
    shares: Shares<f32>,
    parts: Shares<[f32; 2]>,
    contexts: Shares<f32>,
    factors: Shares<f32>,
    heads: usize,
    dim: usize,
    blocks: usize,
}

/// Every generation's attention; none of them depends on which others there are.
pub(crate) fn attend(turns: &mut [Turn<'_>], kv_heads: usize) {
    let places: Vec<Places> = (turns.iter_mut())
        .map(|turn| turn.attention.places(turn.cache.blocks().len()))
        .collect();
    let blocks: usize = places.iter().map(|own| own.blocks).sum();
    // The tap reads all heads of a block: where there are blocks enough, one thread computes them all.
    let whole = blocks >= WHOLE_BLOCKS * pool::threads();
    let each = if whole { 1 } else { kv_heads };
    pool::run(blocks * each, |piece| {
        let mut block = piece / each;
        for (turn, own) in turns.iter().zip(&places) {
            if block >= own.blocks {
                block -= own.blocks;
                continue;
            }
            let kv_heads_here = match whole {
                true => 0..kv_heads,
                false => piece % each..piece % each + 1,
            };
            for kv_head in kv_heads_here {
                // SAFETY: each piece has a block and group of its own.
                unsafe { own.block(turn.queries, turn.cache, block, (kv_head, kv_heads)) };
            }
            return;
        }
    });
    let outs: Vec<Shares<f32>> = (turns.iter_mut())
        .map(|turn| Shares::new(turn.context))
        .collect();
    match (&places[..], &outs[..]) {
        ([own], [out]) if own.blocks * own.heads * own.dim < ALONE => {
            // SAFETY: one thread, head by head.
            (0..own.heads).for_each(|head| unsafe { own.combine(head, *out) });
        }
        // SAFETY: each head has places of its own.
        ([own], [out]) => pool::run(own.heads, |head| unsafe { own.combine(head, *out) }),
        _ => pool::run(places.len(), |turn| {
            let own = places[turn];
            // SAFETY: each generation has places of its own.
            (0..own.heads).for_each(|head| unsafe { own.combine(head, outs[turn]) });
        }),
    }
}

impl Places {
    /// One block's shares and context of the heads of one key head.
    ///
    /// # Safety
    /// The places are there, and no other thread works on this block and key head.
    unsafe fn block(
        &self,
        queries: &[f32],
        cache: &Cache,
        index: usize,
        (kv_head, kv_heads): (usize, usize),
    ) {
        let (heads, dim) = (self.heads, self.dim);
        let group = heads / kv_heads;
        let scale = (dim as f32).powf(-0.5);
        let (block, filled) = (&cache.blocks()[index], cache.filled(index));
        let first = index * heads + kv_head * group;
        let at = kv_head * cache.head_size();
        // SAFETY: sizes as made in `places`; the rest is the caller's promise.
        unsafe {
            let (keys, values) = (block.keys.as_ptr().add(at), block.values.as_ptr().add(at));
            let scores = self.shares.at(first * BLOCK);
            let query = queries.as_ptr().add(kv_head * group * dim);
            block::attention_scores(query, group, dim, keys, filled, scores);
            for head in 0..group {
                let part = self.parts.at(first + head);
                math::soften_block(scores.add(head * BLOCK), filled, scale, part);
            }
            let to = self.contexts.at(first * dim);
            block::attention_context(scores, group, dim, values, filled, to);
        }
    }

    /// Puts the blocks' parts of one head together, in order.
    ///
    /// # Safety
    /// Every block is done, `context` has `[heads, dim]`, and no other thread works on this head.
    unsafe fn combine(&self, head: usize, context: Shares<f32>) {
        let (heads, dim, blocks) = (self.heads, self.dim, self.blocks);
        // SAFETY: sizes as made in `places`.
        let part = |block: usize| unsafe { *self.parts.at(block * heads + head) };
        let top = (0..blocks).fold(f32::NEG_INFINITY, |top, b| top.max(part(b)[0]));
        let total: f32 = (0..blocks)
            .map(|block| (part(block)[0] - top).exp() * part(block)[1])
            .sum();
        // SAFETY: as above, and the caller's promise.
        let out = unsafe { std::slice::from_raw_parts_mut(context.at(head * dim), dim) };
        out.fill(0.0);
        for block in 0..blocks {
            let factor = (part(block)[0] - top).exp() / total;
            let place = block * heads + head;
            // SAFETY: as above.
            let values = unsafe {
                *self.factors.at(place) = factor;
                std::slice::from_raw_parts(self.contexts.at(place * dim), dim)
            };
            for (out, value) in out.iter_mut().zip(values) {
                *out += factor * value;
            }
        }
    }
}

/// Rooms grow in steps of 16 blocks, so that a step rarely allocates.
fn cache_room(blocks: usize) -> usize {
    blocks.next_multiple_of(16)
}

thread_local! {
    /// Scores of the piece at hand.
    static SCRATCH: std::cell::RefCell<Floats> = std::cell::RefCell::new(Floats::zeros(0));
}

/// Causal attention of the last `rows` positions of the cache; `queries` and `context` are `[rows, heads * dim]`.
/// Blocks of keys are taken in order with a running maximum: nothing of size (queries, keys) exists.
pub(crate) fn attend_rows(
    queries: &[f32],
    cache: &Cache,
    shape: (usize, usize, usize),
    context: &mut [f32],
) {
    let (heads, kv_heads, dim) = shape;
    let width = heads * dim;
    let rows = queries.len() / width;
    let first = cache.len() - rows;
    let sub_blocks = rows.div_ceil(QUERY_ROWS);
    let out = Shares::new(context);
    // Long rows first: the last piece to finish is then a short one.
    pool::run(sub_blocks * heads, |piece| {
        let (sub, head) = (sub_blocks - 1 - piece / heads, piece % heads);
        let row = sub * QUERY_ROWS;
        let count = QUERY_ROWS.min(rows - row);
        let kv_head = head / (heads / kv_heads);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.ensure(QUERY_ROWS * (BLOCK + 2));
            let (scores, running) = scratch.split_at_mut(QUERY_ROWS * BLOCK);
            // SAFETY: each piece has rows and a head of its own within `context`.
            unsafe {
                let query = queries.as_ptr().add(row * width + head * dim);
                let to = out.at(row * width + head * dim);
                attend_tile(
                    (query, to, width),
                    (first + row, count),
                    cache,
                    (kv_head, dim),
                    scores,
                    running,
                );
            }
        });
    });
}

/// One head's tile of query rows at positions `first..first + count`; pointers step by `width` a row.
unsafe fn attend_tile(
    (query, out, width): (*const f32, *mut f32, usize),
    (first, count): (usize, usize),
    cache: &Cache,
    (kv_head, dim): (usize, usize),
    scores: &mut [f32],
    running: &mut [f32],
) {
    let scale = (dim as f32).powf(-0.5);
    let at = kv_head * cache.head_size();
    let (tops, sums) = running.split_at_mut(QUERY_ROWS);
    let stride = width as isize;
    for index in 0..(first + count).div_ceil(BLOCK) {
        let block = &cache.blocks()[index];
        let keys = (first + count - index * BLOCK).min(BLOCK);
        // SAFETY: the block has BLOCK columns, of which `keys` are read; `scores` holds `count` rows of BLOCK.
        unsafe {
            gemm_f32(
                (count, keys, dim),
                (scores.as_mut_ptr(), BLOCK as isize, 1),
                false,
                (query, stride, 1),
                (block.keys.as_ptr().add(at), BLOCK as isize, 1),
            );
            for row in 0..count {
                let seen = (first + row + 1).saturating_sub(index * BLOCK).min(keys);
                let line = &mut scores[row * BLOCK..(row + 1) * BLOCK];
                let out = std::slice::from_raw_parts_mut(out.add(row * width), dim);
                if index == 0 {
                    (tops[row], sums[row]) = (f32::NEG_INFINITY, 0.0);
                    out.fill(0.0);
                }
                line[seen..keys].fill(0.0);
                if seen == 0 {
                    continue;
                }
                math::soften_row(
                    line.as_mut_ptr(),
                    seen,
                    scale,
                    out.as_mut_ptr(),
                    dim,
                    &raw mut tops[row],
                    &raw mut sums[row],
                );
            }
            gemm_f32(
                (count, dim, keys),
                (out, stride, 1),
                true,
                (scores.as_ptr(), BLOCK as isize, 1),
                (block.values.as_ptr().add(at), 1, BLOCK as isize),
            );
        }
    }
    for (row, sum) in sums[..count].iter().enumerate() {
        // SAFETY: as above.
        let out = unsafe { std::slice::from_raw_parts_mut(out.add(row * width), dim) };
        let inverse = 1.0 / sum;
        out.iter_mut().for_each(|value| *value *= inverse);
    }
}

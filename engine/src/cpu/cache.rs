//! Keys and values of one layer, column by column, in blocks that are added as the text grows and never move.
//! In: rows of keys and values. Out: blocks `[kv_heads, dim, BLOCK]` for the inner loops.
#![allow(unsafe_code)]

use super::aligned::Floats;
use super::block::BLOCK;
use super::pool::{self, Shares};

/// Keys and values of one layer.
#[derive(Debug)]
pub(crate) struct Cache {
    blocks: Vec<CacheBlock>,
    kv_heads: usize,
    dim: usize,
    len: usize,
}

/// `BLOCK` positions, zero where none is written yet. Position last: a vector holds one dimension of sixteen keys,
/// so that neither scores nor contexts need a sum across lanes per key.
#[derive(Debug)]
pub(crate) struct CacheBlock {
    /// `[kv_heads, dim, BLOCK]`
    pub(crate) keys: Floats,
    /// `[kv_heads, dim, BLOCK]`
    pub(crate) values: Floats,
}

impl Cache {
    pub(crate) fn new(kv_heads: usize, dim: usize) -> Self {
        Self {
            blocks: Vec::new(),
            kv_heads,
            dim,
            len: 0,
        }
    }

    /// Positions held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn blocks(&self) -> &[CacheBlock] {
        &self.blocks
    }

    /// Positions held by block `index`.
    pub(crate) fn filled(&self, index: usize) -> usize {
        (self.len - index * BLOCK).min(BLOCK)
    }

    /// Floats of one head of one block.
    pub(crate) fn head_size(&self) -> usize {
        self.dim * BLOCK
    }

    /// Forgets everything after `len` positions.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.blocks.truncate(self.len.div_ceil(BLOCK));
    }

    /// Appends rows `[rows, kv_heads * dim]` of keys and of values.
    pub(crate) fn append(&mut self, keys: &[f32], values: &[f32]) {
        let width = self.kv_heads * self.dim;
        let rows = keys.len() / width;
        let size = width * BLOCK;
        while self.blocks.len() * BLOCK < self.len + rows {
            self.blocks.push(CacheBlock {
                keys: Floats::zeros(size),
                values: Floats::zeros(size),
            });
        }
        let mut done = 0;
        while done < rows {
            let at = self.len % BLOCK;
            let count = (BLOCK - at).min(rows - done);
            let block = &mut self.blocks[self.len / BLOCK];
            transpose(&keys[done * width..], width, count, at, &mut block.keys);
            transpose(&values[done * width..], width, count, at, &mut block.values);
            self.len += count;
            done += count;
        }
    }
}

/// `to[c, at + r] = rows[r, c]`
fn transpose(rows: &[f32], width: usize, count: usize, at: usize, to: &mut Floats) {
    if count == 1 {
        for (column, &value) in rows[..width].iter().enumerate() {
            to[column * BLOCK + at] = value;
        }
        return;
    }
    const COLUMNS: usize = 32;
    let shares = Shares::new(to);
    pool::run(width.div_ceil(COLUMNS), |piece| {
        for column in piece * COLUMNS..((piece + 1) * COLUMNS).min(width) {
            // SAFETY: pieces cover disjoint columns, and `at + count <= BLOCK`.
            let to =
                unsafe { std::slice::from_raw_parts_mut(shares.at(column * BLOCK + at), count) };
            for (row, to) in to.iter_mut().enumerate() {
                *to = rows[row * width + column];
            }
        }
    });
}

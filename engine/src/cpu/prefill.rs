//! The prompt through the decoder in blocks of rows: memory is linear in its length, matrices are read once a block.
//! In: embeddings and rotary tables. Out: a filled cache; the last position goes through `step`, where the taps are.
#![allow(unsafe_code)]

use super::attention::attend_rows;
use super::cache::Cache;
use super::decoder::{CpuDecoder, CpuState, Layer};
use super::math;
use super::matrix::{Matrix, PANEL, Tiles};
use super::pool::{self, Shares};
use super::step::{Turn, norm};

/// Rows that pass through a layer at once.
const ROWS: usize = 512;
/// Rows of one piece of an element-wise loop.
const PIECE_ROWS: usize = 16;

/// Rotary tables, `[positions, head_dim / 2]` each.
#[derive(Debug)]
pub(crate) struct RotaryTables {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
    /// `head_dim / 2`
    pub(crate) width: usize,
}

impl RotaryTables {
    /// Of row-major angles, `width` a position.
    pub(crate) fn new(angles: &[f32], width: usize) -> Self {
        Self {
            cos: angles.iter().map(|angle| angle.cos()).collect(),
            sin: angles.iter().map(|angle| angle.sin()).collect(),
            width,
        }
    }

    pub(crate) fn cos(&self, position: usize) -> &[f32] {
        &self.cos[position * self.width..(position + 1) * self.width]
    }

    pub(crate) fn sin(&self, position: usize) -> &[f32] {
        &self.sin[position * self.width..(position + 1) * self.width]
    }
}

/// Activations of one block of rows.
struct Buffers {
    normed: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    context: Vec<f32>,
    inner: Vec<f32>,
}

impl CpuDecoder {
    /// Runs a prompt, `embeds` being `[positions, hidden]`; `layer_done(done, total)` says whether to go on.
    /// Returns whether it did; then the state holds logits and taps of the last position.
    pub(crate) fn prefill(
        &self,
        state: &mut CpuState,
        mut embeds: Vec<f32>,
        rotary: &RotaryTables,
        layer_done: &mut dyn FnMut(usize, usize) -> bool,
    ) -> bool {
        let s = self.shape;
        let Some(last) = (embeds.len() / s.hidden).checked_sub(1) else {
            return false;
        };
        let last_embed = embeds.split_off(last * s.hidden);
        let mut hidden = embeds;
        let mut b = self.buffers(last);
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer only keys and values are ever used.
            let whole = index + 1 < s.layers;
            for (block, rows) in hidden.chunks_mut(ROWS * s.hidden).enumerate() {
                let cache = &mut state.caches[index];
                self.block(layer, rows, block * ROWS, rotary, cache, &mut b, whole);
            }
            if !layer_done(index + 1, s.layers) {
                return false;
            }
        }
        let (cos, sin) = (rotary.cos(last), rotary.sin(last));
        let embed = &last_embed;
        self.step(&mut [Turn {
            state,
            embed,
            cos,
            sin,
        }]);
        true
    }

    /// Runs rows behind what is cached, in place; `rotary` holds the rows' own angles. Rows before `first_wanted` leave keys
    /// and values in every layer; what the last layer makes of them is not computed.
    pub(super) fn run_rows(
        &self,
        state: &mut CpuState,
        hidden: &mut [f32],
        rotary: &RotaryTables,
        first_wanted: usize,
    ) {
        let s = self.shape;
        let mut b = self.buffers(hidden.len() / s.hidden);
        for (index, layer) in self.layers.iter().enumerate() {
            let whole_from = match index + 1 < s.layers {
                true => 0,
                false => first_wanted,
            };
            let (head, tail) = hidden.split_at_mut(whole_from * s.hidden);
            for (part, offset, whole) in [(head, 0, false), (tail, whole_from, true)] {
                for (block, rows) in part.chunks_mut(ROWS * s.hidden).enumerate() {
                    let cache = &mut state.caches[index];
                    let first = offset + block * ROWS;
                    self.block(layer, rows, first, rotary, cache, &mut b, whole);
                }
            }
        }
    }

    /// For blocks of a prompt of `rows` rows.
    fn buffers(&self, rows: usize) -> Buffers {
        let (s, rows) = (self.shape, rows.min(ROWS));
        Buffers {
            normed: vec![0.0; rows * s.hidden],
            queries: vec![0.0; rows * s.query_width()],
            keys: vec![0.0; rows * s.key_width()],
            values: vec![0.0; rows * s.key_width()],
            context: vec![0.0; rows * s.query_width()],
            inner: vec![0.0; rows * s.inner],
        }
    }

    /// One layer over rows `first..` of the prompt, in place.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        layer: &Layer,
        hidden: &mut [f32],
        first: usize,
        rotary: &RotaryTables,
        cache: &mut Cache,
        b: &mut Buffers,
        whole: bool,
    ) {
        let s = self.shape;
        let rows = hidden.len() / s.hidden;
        let normed = &mut b.normed[..rows * s.hidden];
        norm_rows(hidden, &layer.input_norm, s.norm_eps, normed);
        let widths = [s.query_width(), s.key_width(), s.key_width()];
        let queries = &mut b.queries[..rows * widths[0]];
        let keys = &mut b.keys[..rows * widths[1]];
        let values = &mut b.values[..rows * widths[2]];
        let from = usize::from(!whole);
        let matrices: Vec<&Matrix> = layer.inward[from..].iter().collect();
        let biases: Vec<&[f32]> = layer.biases[from..].iter().map(Vec::as_slice).collect();
        let mut outs = [&mut *queries, &mut *keys, &mut *values];
        products(&matrices, normed, &biases, &mut outs[from..]);
        let [q, k] = [&mut *queries, &mut *keys].map(Shares::new);
        pool::run(rows.div_ceil(PIECE_ROWS), |piece| {
            for row in piece * PIECE_ROWS..((piece + 1) * PIECE_ROWS).min(rows) {
                let tables = (rotary.cos(first + row), rotary.sin(first + row));
                // SAFETY: each piece has rows of its own.
                let [queries, keys] =
                    [(q, widths[0]), (k, widths[1])].map(|(shares, width)| unsafe {
                        std::slice::from_raw_parts_mut(shares.at(row * width), width)
                    });
                layer.place_heads(&s, queries, keys, tables);
            }
        });
        cache.append(keys, values);
        if !whole {
            return;
        }
        let context = &mut b.context[..rows * widths[0]];
        attend_rows(queries, cache, (s.heads, s.kv_heads, s.head_dim), context);
        layer.output.add_times_rows(context, hidden);
        norm_rows(hidden, &layer.post_norm, s.norm_eps, normed);
        let inner = &mut b.inner[..rows * s.inner];
        gated(layer, normed, inner);
        layer.down.add_times_rows(inner, hidden);
    }
}

/// Norms every row.
fn norm_rows(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    let rows = x.len() / width;
    let shares = Shares::new(out);
    pool::run(rows.div_ceil(PIECE_ROWS), |piece| {
        for row in piece * PIECE_ROWS..((piece + 1) * PIECE_ROWS).min(rows) {
            // SAFETY: each piece has rows of its own.
            let out = unsafe { std::slice::from_raw_parts_mut(shares.at(row * width), width) };
            norm(&x[row * width..(row + 1) * width], weight, eps, out);
        }
    });
}

/// Several matrices times the same rows: `outs[i] = x W_i^T + bias_i`.
fn products(matrices: &[&Matrix], x: &[f32], biases: &[&[f32]], outs: &mut [&mut [f32]]) {
    let widths: Vec<usize> = matrices.iter().map(|matrix| matrix.outputs()).collect();
    let inputs = matrices[0].inputs();
    let tiles = Tiles::new(x.len() / inputs, &widths);
    let shares: Vec<Shares<f32>> = outs.iter_mut().map(|out| Shares::new(out)).collect();
    pool::run(tiles.count(), |piece| {
        let tile = tiles.at(piece);
        let x = &x[tile.rows.start * inputs..tile.rows.end * inputs];
        let width = widths[tile.matrix];
        // SAFETY: tiles are disjoint.
        unsafe {
            let out = shares[tile.matrix].at(tile.rows.start * width + tile.first);
            PANEL.with_borrow_mut(|panel| {
                matrices[tile.matrix].panel_times_rows(
                    tile.first,
                    tile.count,
                    x,
                    (out, width),
                    false,
                    panel,
                );
            });
            super::matrix::add_bias(biases[tile.matrix], &tile, out, width);
        }
    });
}

/// `inner = silu(gate x) * up x` for every row.
fn gated(layer: &Layer, x: &[f32], inner: &mut [f32]) {
    let (inputs, width) = (layer.gate.inputs(), layer.gate.outputs());
    let tiles = Tiles::new(x.len() / inputs, &[width]);
    let shares = Shares::new(inner);
    pool::run(tiles.count(), |piece| {
        let tile = tiles.at(piece);
        let x = &x[tile.rows.start * inputs..tile.rows.end * inputs];
        UP.with_borrow_mut(|up| {
            up.resize((tile.rows.len() * tile.count).max(up.len()), 0.0);
            PANEL.with_borrow_mut(|panel| {
                // SAFETY: tiles are disjoint, and `up` is this thread's.
                unsafe {
                    let out = shares.at(tile.rows.start * width + tile.first);
                    let up = up.as_mut_ptr();
                    layer.gate.panel_times_rows(
                        tile.first,
                        tile.count,
                        x,
                        (out, width),
                        false,
                        panel,
                    );
                    layer.up.panel_times_rows(
                        tile.first,
                        tile.count,
                        x,
                        (up, tile.count),
                        false,
                        panel,
                    );
                    for row in 0..tile.rows.len() {
                        let gate = out.add(row * width);
                        math::silu_times(gate, up.add(row * tile.count), tile.count, gate);
                    }
                }
            });
        });
    });
}

thread_local! {
    /// The second half of a gated tile.
    static UP: std::cell::RefCell<Vec<f32>> = const { std::cell::RefCell::new(Vec::new()) };
}

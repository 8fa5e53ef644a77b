//! One token of each of several generations through the decoder: weights are read once for all, everything else is each one's.
//! In: embeddings and their rotary angles. Out: logits, attmean and every layer's attention in the states.
//!
//! A generation gets the same bits alone and among others: each product is summed in one order (`several`), and nothing else
//! of a generation is seen by another.
#![allow(unsafe_code)]

use super::aligned::Floats;
use super::attention::{self, QueryAttention};
use super::block::BLOCK;
use super::cache::Cache;
use super::decoder::{CpuDecoder, CpuState, Layer};
use super::math;
use super::matrix::Matrix;
use super::pool::{self, Shares};
use super::several::packed_len;
use crate::signals::Wanted;

/// Most generations of one step.
pub(crate) const MOST: usize = 16;

/// One generation's part in a step: the position that it is fed.
pub(crate) struct Turn<'a> {
    pub(crate) state: &'a mut CpuState,
    /// `[hidden]`
    pub(crate) embed: &'a [f32],
    /// `[head_dim / 2]`
    pub(crate) cos: &'a [f32],
    /// `[head_dim / 2]`
    pub(crate) sin: &'a [f32],
}

/// A vector that pieces of a job write to, each to rows of its own.
#[derive(Clone, Copy)]
struct Place {
    at: Shares<f32>,
    len: usize,
}

impl Place {
    fn of(values: &mut [f32]) -> Self {
        Self {
            len: values.len(),
            at: Shares::new(values),
        }
    }

    /// # Safety
    /// No other thread touches these values while they are used.
    unsafe fn part<'a>(self, first: usize, count: usize) -> &'a mut [f32] {
        assert!(first + count <= self.len);
        // SAFETY: checked; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at.at(first), count) }
    }

    /// # Safety
    /// As [`Self::part`].
    unsafe fn all<'a>(self) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { self.part(0, self.len) }
    }
}

/// Where one generation's step is written.
struct Places {
    hidden: Place,
    normed: Place,
    /// Queries, keys and values.
    inward: [Place; 3],
    context: Place,
    after_attention: Place,
    gate: Place,
    up: Place,
    inner: Place,
    logits: Place,
    attmean: Place,
    layers: Place,
    caches: Shares<Cache>,
    /// One for all layers, or one of each.
    attention: Shares<QueryAttention>,
    wanted: Wanted,
    prompt: usize,
    /// Blocks of positions that the taps read.
    tapped: usize,
}

impl Places {
    fn of(state: &mut CpuState) -> Self {
        let b = &mut state.step;
        Self {
            hidden: Place::of(&mut b.tail.hidden),
            normed: Place::of(&mut b.normed),
            inward: [&mut b.queries, &mut b.keys, &mut b.values].map(|own| Place::of(own)),
            context: Place::of(&mut b.context),
            after_attention: Place::of(&mut b.tail.after_attention),
            gate: Place::of(&mut b.tail.gate),
            up: Place::of(&mut b.tail.up),
            inner: Place::of(&mut b.inner),
            logits: Place::of(&mut state.logits),
            attmean: Place::of(&mut state.attmean),
            layers: Place::of(&mut state.layers),
            caches: Shares::new(&mut state.caches),
            attention: Shares::new(&mut state.attention),
            wanted: state.wanted,
            prompt: state.prompt,
            tapped: match state.wanted {
                Wanted::Nothing => 0,
                _ => state.prompt.div_ceil(BLOCK),
            },
        }
    }
}

/// What matrices are multiplied with: one vector as it lies, or several side by side.
#[derive(Clone, Copy)]
struct Inputs {
    one: Place,
    side_by_side: Place,
    count: usize,
}

impl CpuDecoder {
    /// Feeds each generation one position; [`MOST`] of them at most.
    pub(crate) fn step(&self, turns: &mut [Turn<'_>]) {
        assert!(turns.len() <= MOST);
        if turns.is_empty() {
            return;
        }
        let s = self.shape;
        let widest = s.inner.max(s.hidden).max(s.query_width());
        let several = if turns.len() > 1 { turns.len() } else { 0 };
        let mut side_by_side = Floats::zeros(packed_len(widest, several));
        let step = Step {
            decoder: self,
            places: (turns.iter_mut())
                .map(|turn| Places::of(turn.state))
                .collect(),
            side_by_side: Place::of(&mut side_by_side),
        };
        for (turn, own) in turns.iter().zip(&step.places) {
            // SAFETY: only this thread is at it.
            unsafe {
                own.hidden.all().copy_from_slice(turn.embed);
                own.attmean.all().fill(0.0);
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            step.attend(index, layer, turns);
            step.feed_forward(index, layer);
        }
        step.logits();
    }
}

/// A step under way. Within it every generation has places of its own, and every piece of a product rows of its own: that
/// is what makes the unsafe parts below sound.
struct Step<'a> {
    decoder: &'a CpuDecoder,
    places: Vec<Places>,
    /// Room for vectors side by side; none where there is one generation.
    side_by_side: Place,
}

impl Step<'_> {
    /// Makes one vector of each generation, and puts it where `matrix` reads it.
    fn inputs(
        &self,
        matrix: &Matrix,
        vector: fn(&Places) -> Place,
        make: impl Fn(&Places) + Sync,
    ) -> Inputs {
        let count = self.places.len();
        pool::run(count, |k| {
            let own = &self.places[k];
            make(own);
            if count > 1 {
                // SAFETY: each vector has its places among the others.
                unsafe { matrix.pack(vector(own).all(), (k, count), self.side_by_side.at.at(0)) };
            }
        });
        Inputs {
            one: vector(&self.places[0]),
            side_by_side: self.side_by_side,
            count,
        }
    }

    /// Each generation's `out[first..first + rows]`, on this thread.
    ///
    /// # Safety
    /// No other thread touches these rows.
    unsafe fn multiply(
        &self,
        matrix: &Matrix,
        (first, rows): (usize, usize),
        x: &Inputs,
        out: impl Fn(&Places) -> Place,
    ) {
        // SAFETY: the caller's promise; inputs are only read now.
        unsafe {
            if let [own] = &self.places[..] {
                let to = out(own).part(first, rows);
                return matrix.rows_dot(first, x.one.all(), to);
            }
            let mut outs = [std::ptr::null_mut(); MOST];
            for (to, own) in outs.iter_mut().zip(&self.places) {
                *to = out(own).part(first, rows).as_mut_ptr();
            }
            let outs = &outs[..x.count];
            matrix.rows_dot_several((first, rows), x.side_by_side.at.at(0), outs);
        }
    }

    /// A layer's attention and its output map.
    fn attend(&self, index: usize, layer: &Layer, turns: &[Turn<'_>]) {
        let s = self.decoder.shape;
        // SAFETY: see [`Step`].
        let x = self.inputs(
            &layer.inward[0],
            |own| own.normed,
            |own| unsafe {
                let normed = own.normed.all();
                norm(own.hidden.all(), &layer.input_norm, s.norm_eps, normed);
            },
        );
        let jobs = Rows::new(layer.inward.each_ref());
        pool::run(jobs.pieces, |piece| {
            let (matrix, first, rows) = jobs.at(piece);
            let out = |own: &Places| own.inward[matrix];
            // SAFETY: see [`Step`].
            unsafe {
                self.multiply(&layer.inward[matrix], (first, rows), &x, out);
                for own in &self.places {
                    add(out(own).part(first, rows), &layer.biases[matrix][first..]);
                }
            }
        });
        pool::run(turns.len(), |k| {
            let (turn, own) = (&turns[k], &self.places[k]);
            // SAFETY: see [`Step`].
            let (cache, [queries, keys, values]) = unsafe {
                let inward = own.inward.map(|place| place.all());
                (&mut *own.caches.at(index), inward)
            };
            layer.place_heads(&s, queries, keys, (turn.cos, turn.sin));
            cache.append(keys, values);
        });
        let mut attentions: Vec<attention::Turn<'_>> = (self.places.iter())
            // SAFETY: see [`Step`].
            .map(|own| unsafe {
                attention::Turn {
                    attention: &mut *own.attention.at(own.wanted.attention_of(index)),
                    queries: own.inward[0].all(),
                    cache: &*own.caches.at(index),
                    context: own.context.all(),
                }
            })
            .collect();
        attention::attend(&mut attentions, s.kv_heads);
        drop(attentions);

        let x = self.inputs(&layer.output, |own| own.context, |_| {});
        let jobs = Rows::new([&layer.output]);
        pool::run(jobs.pieces, |piece| {
            let (_, first, rows) = jobs.at(piece);
            // SAFETY: see [`Step`].
            unsafe {
                self.multiply(&layer.output, (first, rows), &x, |own| own.after_attention);
                for own in &self.places {
                    let residual = own.hidden.part(first, rows);
                    add(own.after_attention.part(first, rows), residual);
                }
            }
        });
    }

    /// Block `piece` of the taps of all generations, counted through.
    fn tap(&self, index: usize, piece: usize) {
        let s = self.decoder.shape;
        let share = 1.0 / (s.heads * s.layers) as f32;
        let mut block = piece;
        for own in &self.places {
            if block >= own.tapped {
                block -= own.tapped;
                continue;
            }
            let first = block * BLOCK;
            let count = BLOCK.min(own.prompt - first);
            // SAFETY: each piece has a block of positions of its own, and attention is only read now.
            unsafe {
                let sums = own.attmean.part(first, count).as_mut_ptr();
                let row = match own.wanted.rows_of_layers() || index + 1 == s.layers {
                    true => own
                        .layers
                        .part(index * own.prompt + first, count)
                        .as_mut_ptr(),
                    false => std::ptr::null_mut(),
                };
                let attention = &*own.attention.at(own.wanted.attention_of(index));
                attention.tap(block, count, share, sums, row);
            }
            return;
        }
    }

    /// A layer's feed-forward part; and the taps of its attention, whose small pieces fill the end of a large product.
    fn feed_forward(&self, index: usize, layer: &Layer) {
        let eps = self.decoder.shape.norm_eps;
        // SAFETY: see [`Step`].
        let x = self.inputs(
            &layer.gate,
            |own| own.normed,
            |own| unsafe {
                let normed = own.normed.all();
                norm(own.after_attention.all(), &layer.post_norm, eps, normed);
            },
        );
        let jobs = Rows::new([&layer.gate]);
        let tapped = self.places.iter().map(|own| own.tapped).sum();
        pool::run_kinds([jobs.pieces, tapped], |kind, piece| {
            if kind == 1 {
                return self.tap(index, piece);
            }
            let (_, first, rows) = jobs.at(piece);
            // SAFETY: see [`Step`].
            unsafe {
                self.multiply(&layer.gate, (first, rows), &x, |own| own.gate);
                self.multiply(&layer.up, (first, rows), &x, |own| own.up);
                for own in &self.places {
                    let [gate, up, inner] = [own.gate, own.up, own.inner]
                        .map(|place| place.part(first, rows).as_mut_ptr());
                    math::silu_times(gate, up, rows, inner);
                }
            }
        });
        let x = self.inputs(&layer.down, |own| own.inner, |_| {});
        let jobs = Rows::new([&layer.down]);
        pool::run(jobs.pieces, |piece| {
            let (_, first, rows) = jobs.at(piece);
            // SAFETY: see [`Step`].
            unsafe {
                self.multiply(&layer.down, (first, rows), &x, |own| own.hidden);
                for own in &self.places {
                    let residual = own.after_attention.part(first, rows);
                    add(own.hidden.part(first, rows), residual);
                }
            }
        });
    }

    fn logits(&self) {
        let (head, eps) = (self.decoder.head(), self.decoder.shape.norm_eps);
        // SAFETY: see [`Step`].
        let x = self.inputs(
            head,
            |own| own.normed,
            |own| unsafe {
                norm(own.hidden.all(), &self.decoder.norm, eps, own.normed.all());
            },
        );
        let jobs = Rows::new([head]);
        pool::run(jobs.pieces, |piece| {
            let (_, first, rows) = jobs.at(piece);
            // SAFETY: see [`Step`].
            unsafe { self.multiply(head, (first, rows), &x, |own| own.logits) };
        });
    }
}

/// `to[i] += values[i]`
fn add(to: &mut [f32], values: &[f32]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += value;
    }
}

pub(super) fn norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert!(x.len() == weight.len() && x.len() == out.len());
    // SAFETY: lengths are equal.
    unsafe { math::rms_norm(x.as_ptr(), weight.as_ptr(), x.len(), eps, out.as_mut_ptr()) };
}

/// Norms `x` where it lies.
pub(super) fn norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) {
    assert!(x.len() == weight.len());
    let at = x.as_mut_ptr();
    // SAFETY: lengths are equal; each value is read before it is written, through one pointer.
    unsafe { math::rms_norm(at, weight.as_ptr(), x.len(), eps, at) };
}

/// Pieces of several matrices' products with one vector.
struct Rows<const N: usize> {
    /// Per matrix: first piece, rows a piece, rows.
    parts: [(usize, usize, usize); N],
    pieces: usize,
}

impl<const N: usize> Rows<N> {
    fn new(matrices: [&Matrix; N]) -> Self {
        let mut pieces = 0;
        let parts = matrices.map(|matrix| {
            let (first, step) = (pieces, matrix.piece_rows());
            pieces += matrix.outputs().div_ceil(step);
            (first, step, matrix.outputs())
        });
        Self { parts, pieces }
    }

    /// Matrix, first row, rows.
    fn at(&self, piece: usize) -> (usize, usize, usize) {
        let matrix = self.parts.partition_point(|&(first, _, _)| first <= piece) - 1;
        let (before, step, outputs) = self.parts[matrix];
        let first = (piece - before) * step;
        (matrix, first, step.min(outputs - first))
    }
}

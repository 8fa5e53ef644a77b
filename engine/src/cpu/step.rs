//! One token through the decoder: five parallel products a layer, buffers that are made once, taps on the way.
//! In: an embedding and its rotary angles. Out: logits, attmean and every layer's attention in the state.
#![allow(unsafe_code)]

use super::decoder::{CpuDecoder, CpuState};
use super::kernels::BLOCK;
use super::math;
use super::matrix::Matrix;
use super::pool::{self, Shares};
use crate::signals::Wanted;

impl CpuDecoder {
    /// Feeds one position: `embed` `[hidden]`, `cos` and `sin` `[head_dim / 2]`.
    pub(crate) fn step(&self, state: &mut CpuState, embed: &[f32], cos: &[f32], sin: &[f32]) {
        let s = self.shape;
        let CpuState {
            caches,
            prompt,
            wanted,
            attention,
            step: b,
            logits,
            attmean,
            layers: rows_of_layers,
        } = state;
        let prompt = *prompt;
        b.hidden.copy_from_slice(embed);
        attmean.fill(0.0);
        for (index, (layer, cache)) in self.layers.iter().zip(caches).enumerate() {
            norm(&b.hidden, &layer.input_norm, s.norm_eps, &mut b.normed);
            let outs = [&mut b.queries, &mut b.keys, &mut b.values].map(|out| Shares::new(out));
            let jobs = Rows::new(layer.inward.each_ref());
            pool::run(jobs.pieces, |piece| {
                let (matrix, first, count) = jobs.at(piece);
                // SAFETY: pieces cover disjoint rows of the three outputs.
                let out = unsafe { std::slice::from_raw_parts_mut(outs[matrix].at(first), count) };
                layer.inward[matrix].rows_dot(first, &b.normed, Some(&layer.biases[matrix]), out);
            });
            layer.place_heads(&s, &mut b.queries, &mut b.keys, (cos, sin));
            cache.append(&b.keys, &b.values);
            attention.attend(&b.queries, cache, s.kv_heads, &mut b.context);

            let rows = Rows::new([&layer.output]);
            let tapped = if *wanted == Wanted::Nothing {
                0
            } else {
                prompt.min(cache.len()).div_ceil(BLOCK)
            };
            let share = 1.0 / (s.heads * s.layers) as f32;
            let out = Shares::new(&mut b.after_attention);
            let (sums, own) = (Shares::new(attmean), Shares::new(rows_of_layers));
            pool::run_kinds([rows.pieces, tapped], |kind, piece| {
                if kind == 0 {
                    let (_, first, count) = rows.at(piece);
                    // SAFETY: pieces cover disjoint rows.
                    let out = unsafe { std::slice::from_raw_parts_mut(out.at(first), count) };
                    layer
                        .output
                        .rows_dot(first, &b.context, Some(&b.hidden), out);
                } else {
                    let at = piece * BLOCK;
                    // SAFETY: each piece has a block of positions of its own.
                    unsafe {
                        let count = BLOCK.min(prompt - at);
                        let own = own.at(index * prompt + at);
                        attention.tap(piece, count, share, sums.at(at), own);
                    }
                }
            });

            norm(
                &b.after_attention,
                &layer.post_norm,
                s.norm_eps,
                &mut b.normed,
            );
            let [gate, up, inner] =
                [&mut b.gate, &mut b.up, &mut b.inner].map(|out| Shares::new(out));
            let rows = Rows::new([&layer.gate]);
            pool::run(rows.pieces, |piece| {
                let (_, first, count) = rows.at(piece);
                // SAFETY: pieces cover disjoint rows of the three.
                unsafe {
                    let slice = |at: *mut f32| std::slice::from_raw_parts_mut(at, count);
                    layer
                        .gate
                        .rows_dot(first, &b.normed, None, slice(gate.at(first)));
                    layer
                        .up
                        .rows_dot(first, &b.normed, None, slice(up.at(first)));
                    math::silu_times(gate.at(first), up.at(first), count, inner.at(first));
                }
            });
            let rows = Rows::new([&layer.down]);
            let out = Shares::new(&mut b.hidden);
            pool::run(rows.pieces, |piece| {
                let (_, first, count) = rows.at(piece);
                // SAFETY: pieces cover disjoint rows.
                let out = unsafe { std::slice::from_raw_parts_mut(out.at(first), count) };
                layer
                    .down
                    .rows_dot(first, &b.inner, Some(&b.after_attention), out);
            });
        }
        norm(&b.hidden, &self.norm, s.norm_eps, &mut b.normed);
        self.head().times_vector(&b.normed, logits);
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

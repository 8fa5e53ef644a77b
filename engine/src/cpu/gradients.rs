//! What gradients say of steps, on the CPU: the chosen logit taken back by hand through the one-token tail.
//! In: held steps, each with its chosen token. Out: `[prompt]` scores.
//!
//! Steps are held and taken back together: the tail's weights and the values of the prompt are then read once for all of
//! them. A step gets the same bits alone and among others.
#![allow(unsafe_code)]

use super::aligned::Floats;
use super::attention::{self, QueryAttention};
use super::decoder::{CpuDecoder, CpuState, Tail};
use super::kernels;
use super::math;
use super::matrix::transposed_products;
use super::pool::{self, Shares};
use crate::signals::{StepAttention, StepGradients};

/// What a step leaves to its gradients.
#[derive(Debug)]
pub(super) struct Held {
    chosen: u32,
    tail: Tail,
    /// The layers whose values are asked for.
    layers: Vec<usize>,
    /// Those layers' attention, and the last one's where its gradient is taken: the first `taken`.
    attention: Vec<(usize, QueryAttention)>,
    taken: usize,
}

impl Held {
    fn attention(&self, layer: usize) -> Option<&QueryAttention> {
        let mut taken = self.attention[..self.taken].iter();
        let own = taken.find(|(index, _)| *index == layer);
        own.map(|(_, attention)| attention)
    }

    /// Takes a layer's attention, and leaves another in its place.
    fn take(&mut self, layer: usize, attention: &mut QueryAttention) {
        if self.taken == self.attention.len() {
            self.attention.push((layer, attention.alike()));
        }
        let place = &mut self.attention[self.taken];
        place.0 = layer;
        std::mem::swap(&mut place.1, attention);
        self.taken += 1;
    }
}

/// Rooms in which held steps are taken back, rows of steps one after the other; they grow, and stay.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    last: Floats,
    inner: Floats,
    up: Floats,
    attention: Floats,
    context: Floats,
    grouped: Floats,
}

impl CpuState {
    /// What attention says of the step that was run last.
    pub(crate) fn attention(&self) -> StepAttention {
        StepAttention {
            attmean: self.attmean.clone(),
            attraw: self.attraw(),
            layers: match self.wanted.rows_of_layers() {
                true => self.layers.clone(),
                false => Vec::new(),
            },
        }
    }

    /// Mean over heads of the last layer: its row, without a layer's share in attmean.
    fn attraw(&self) -> Vec<f32> {
        let layers = self.caches.len() as f32;
        let last = self.layers.len().saturating_sub(self.prompt);
        let row = self.layers[last..].iter();
        row.map(|own| own * layers).collect()
    }

    /// Forgets held steps, and keeps their rooms for steps to come.
    pub(super) fn release(&mut self) {
        self.spare.append(&mut self.held);
    }
}

impl CpuDecoder {
    /// Keeps what gradients of the step that was run last need. It is taken out of the state, not copied: the like takes its
    /// place, and the next step fills it.
    pub(crate) fn hold(&self, state: &mut CpuState, chosen: u32, layers: &[usize]) {
        let wanted = state.wanted;
        let mut held = state.spare.pop().unwrap_or_else(|| Held {
            chosen,
            tail: Tail::new(&self.shape),
            layers: Vec::new(),
            attention: Vec::new(),
            taken: 0,
        });
        (held.chosen, held.taken) = (chosen, 0);
        std::mem::swap(&mut held.tail, &mut state.step.tail);
        held.layers.clear();
        if wanted.probabilities_of_layers() {
            held.layers.extend_from_slice(layers);
        }
        let last = (self.layers.len().checked_sub(1)).filter(|_| wanted.gradients());
        for layer in 0..self.layers.len() {
            if held.layers.contains(&layer) || last == Some(layer) {
                held.take(layer, &mut state.attention[wanted.attention_of(layer)]);
            }
        }
        state.held.push(held);
    }

    /// What gradients say of the steps held, oldest first; none is held afterwards.
    pub(crate) fn take_back(&self, state: &mut CpuState) -> Vec<StepGradients> {
        if state.held.is_empty() {
            return Vec::new();
        }
        let mut rooms = std::mem::take(&mut state.rooms);
        let attgrads = match state.wanted.gradients() {
            true => self.attgrads(state, &mut rooms),
            false => vec![Vec::new(); state.held.len()],
        };
        let added = match state.wanted.probabilities_of_layers() {
            true => self.added(state, &mut rooms),
            false => vec![Vec::new(); state.held.len()],
        };
        state.rooms = rooms;
        state.release();
        (attgrads.into_iter().zip(added))
            .map(|(attgrads, added)| StepGradients { attgrads, added })
            .collect()
    }

    /// `max(0, mean over heads of dA * A)` over the prompt, for the last layer and each step's token.
    ///
    /// Output row, final norm, feed-forward with its norm and residual, output map: gate and up are those of the
    /// forward pass, so that each matrix of the last layer's tail is read once, for all steps.
    fn attgrads(&self, state: &CpuState, rooms: &mut Rooms) -> Vec<Vec<f32>> {
        let (s, held) = (self.shape, &state.held[..]);
        let count = held.len();
        let Some(layer) = self.layers.last() else {
            return vec![vec![0.0; state.prompt]; count];
        };
        let at_last = rooms.last.room(count * s.hidden);
        let places = Shares::new(at_last);
        pool::run(count, |k| {
            // SAFETY: each piece writes its own row.
            let at_logit = unsafe { places.row(k, s.hidden) };
            self.head().row(held[k].chosen as usize, at_logit);
            norm_backward(&held[k].tail.hidden, &self.norm, s.norm_eps, at_logit);
        });
        let at_inner = rooms.inner.room(count * s.inner);
        let at_up = rooms.up.room(count * s.inner);
        let places = Shares::new(at_up);
        transposed_products(&[(&layer.down, at_last)], at_inner, |k, at_inner| {
            // SAFETY: each vector has a row of its own.
            let at_up = unsafe { places.row(k, s.inner) };
            held[k].tail.gated_backward(at_inner, at_up);
        });
        let at_attention = rooms.attention.room(count * s.hidden);
        let inward = [(&layer.gate, &*at_inner), (&layer.up, &*at_up)];
        transposed_products(&inward, at_attention, |k, at_normed| {
            let input = &held[k].tail.after_attention;
            norm_backward(input, &layer.post_norm, s.norm_eps, at_normed);
            let residual = &at_last[k * s.hidden..];
            (at_normed.iter_mut().zip(residual)).for_each(|(sum, residual)| *sum += residual);
        });
        let all: Vec<usize> = (0..count).collect();
        let last = self.layers.len() - 1;
        let rooms = (&mut rooms.context, &mut rooms.grouped);
        self.through_values(state, (last, &all), at_attention, rooms)
    }

    /// What the values of each step's layers add to the logit of its token: summed over layers, in each the mean over heads,
    /// never below 0.
    fn added(&self, state: &CpuState, rooms: &mut Rooms) -> Vec<Vec<f32>> {
        let (s, held) = (self.shape, &state.held[..]);
        let mut at_logit = vec![0f32; s.hidden];
        let at_last: Vec<Vec<f32>> = (held.iter())
            .map(|own| {
                self.head().row(own.chosen as usize, &mut at_logit);
                // The last norm's scale is taken as it was: what is asked is who wrote the logit, not how to move it.
                let hidden = &own.tail.hidden;
                let mean_square = dot(hidden, hidden) / s.hidden as f32;
                let inverse = 1.0 / (mean_square + s.norm_eps).sqrt();
                let scaled = at_logit.iter().zip(&self.norm);
                scaled.map(|(own, weight)| own * weight * inverse).collect()
            })
            .collect();
        let mut out = vec![vec![0f32; state.prompt]; held.len()];
        for layer in 0..self.layers.len() {
            let asking: Vec<usize> = (0..held.len())
                .filter(|&k| held[k].layers.contains(&layer))
                .collect();
            if asking.is_empty() {
                continue;
            }
            let rows: Vec<f32> = (asking.iter())
                .flat_map(|&k| at_last[k].iter().copied())
                .collect();
            let rooms = (&mut rooms.context, &mut rooms.grouped);
            let added = self.through_values(state, (layer, &asking), &rows, rooms);
            for (&k, added) in asking.iter().zip(added) {
                let sums = out[k].iter_mut().zip(added);
                sums.for_each(|(sum, own)| *sum += own);
            }
        }
        out
    }

    /// Gradients at a layer's attention output `[steps, hidden]` -> through its output map and the values of the prompt,
    /// weighed with each step's attention: `[steps][prompt]`. `steps` counts among those held.
    fn through_values(
        &self,
        state: &CpuState,
        (layer, steps): (usize, &[usize]),
        at_attention: &[f32],
        (at_context, grouped): (&mut Floats, &mut Floats),
    ) -> Vec<Vec<f32>> {
        let (s, count) = (self.shape, steps.len());
        let attention: Option<Vec<&QueryAttention>> = (steps.iter())
            .map(|&k| state.held[k].attention(layer))
            .collect();
        let Some(attention) = attention else {
            return vec![vec![0.0; state.prompt]; count];
        };
        let (width, group) = (s.query_width(), s.query_width() / s.kv_heads);
        let at_context = at_context.room(count * width);
        let grouped = grouped.room(count * width);
        let places = Shares::new(grouped);
        let output = &self.layers[layer].output;
        transposed_products(&[(output, at_attention)], at_context, |k, at_context| {
            for (kv_head, own) in at_context.chunks_exact(group).enumerate() {
                // SAFETY: each step and key head has a place of its own.
                unsafe { places.row(kv_head * count + k, group) }.copy_from_slice(own);
            }
        });
        let cache = &state.caches[layer];
        attention::weighed_values(&attention, grouped, cache, s.kv_heads, state.prompt)
    }
}

impl Tail {
    /// Gradient at `silu(gate) * up` -> those at `gate` (in its place) and at `up`, all `[inner]`.
    fn gated_backward(&self, at_inner: &mut [f32], at_up: &mut [f32]) {
        let n = at_inner.len();
        assert!(self.gate.len() == n && self.up.len() == n && at_up.len() == n);
        let (gate, up) = (self.gate.as_ptr(), self.up.as_ptr());
        // SAFETY: all have `n` elements.
        unsafe {
            math::silu_times_backward(gate, up, n, at_inner.as_mut_ptr(), at_up.as_mut_ptr());
        }
    }
}

/// Gradient at a norm's output -> gradient at its input `x`, in the place of the other.
///
/// With `r = (mean(x^2) + eps)^-1/2` and `u = grad * weight`: `r u - x r^3 mean(u x)`.
fn norm_backward(x: &[f32], weight: &[f32], eps: f32, grad: &mut [f32]) {
    let dim = x.len() as f32;
    let mean_square = dot(x, x) / dim;
    let inverse = 1.0 / (mean_square + eps).sqrt();
    for (grad, weight) in grad.iter_mut().zip(weight) {
        *grad *= weight;
    }
    let along = dot(grad, x) / dim;
    let factor = along * inverse * inverse * inverse;
    for (u, x) in grad.iter_mut().zip(x) {
        *u = *u * inverse - x * factor;
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut out = 0.0;
    // SAFETY: one row of as many elements.
    unsafe { kernels::rows_dot_f32(a.as_ptr(), a.len(), 1, b.as_ptr(), &raw mut out) };
    out
}

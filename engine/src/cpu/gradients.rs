//! What gradients say of steps, on the CPU: the chosen logit taken back by hand through the one-token tail.
//! In: held steps, each with its chosen token. Out: `[prompt]` scores.
//!
//! Steps are held and taken back together: the tail's weights and the values of the prompt are then read once for all of
//! them. A step gets the same bits alone and among others.
#![allow(unsafe_code)]

use super::attention::{self, QueryAttention};
use super::decoder::{CpuDecoder, CpuState};
use super::kernels;
use super::math;
use super::matrix::transposed_products;
use crate::signals::{StepAttention, StepGradients};

/// What a step leaves to its gradients.
#[derive(Debug)]
pub(super) struct Held {
    chosen: u32,
    /// After the last layer.
    hidden: Vec<f32>,
    /// Within the last layer, where its own gradient is taken.
    after_attention: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// The layers whose values are asked for.
    layers: Vec<usize>,
    /// Those layers' attention, and the last one's where its gradient is taken.
    attention: Vec<(usize, QueryAttention)>,
}

impl Held {
    fn attention(&self, layer: usize) -> Option<&QueryAttention> {
        let own = self.attention.iter().find(|(index, _)| *index == layer);
        own.map(|(_, attention)| attention)
    }
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

    /// Keeps what gradients of the step that was run last need. Attention is taken out of the state, not copied: another
    /// takes its place, and the next step fills it.
    pub(crate) fn hold(&mut self, chosen: u32, layers: &[usize]) {
        let (wanted, b) = (self.wanted, &self.step);
        let copy = |own: &[f32]| match wanted.gradients() {
            true => own.to_vec(),
            false => Vec::new(),
        };
        let layers = match wanted.probabilities_of_layers() {
            true => layers.to_vec(),
            false => Vec::new(),
        };
        let mut held = Held {
            chosen,
            hidden: b.hidden.to_vec(),
            after_attention: copy(&b.after_attention),
            gate: copy(&b.gate),
            up: copy(&b.up),
            layers,
            attention: Vec::new(),
        };
        let last = (self.caches.len().checked_sub(1)).filter(|_| wanted.gradients());
        for layer in held.layers.iter().copied().chain(last) {
            let place = wanted.attention_of(layer);
            if held.attention(layer).is_none()
                && let Some(own) = self.attention.get_mut(place)
            {
                let fresh = self.spare.pop().unwrap_or_else(|| own.alike());
                held.attention.push((layer, std::mem::replace(own, fresh)));
            }
        }
        self.held.push(held);
    }

    /// Forgets held steps.
    pub(super) fn release(&mut self, held: Vec<Held>) {
        let attention = held.into_iter().flat_map(|own| own.attention);
        self.spare.extend(attention.map(|(_, own)| own));
    }
}

impl CpuDecoder {
    /// What gradients say of the steps held, oldest first; none is held afterwards.
    pub(crate) fn take_back(&self, state: &mut CpuState) -> Vec<StepGradients> {
        let held = std::mem::take(&mut state.held);
        if held.is_empty() {
            return Vec::new();
        }
        let attgrads = match state.wanted.gradients() {
            true => self.attgrads(state, &held),
            false => vec![Vec::new(); held.len()],
        };
        let added = match state.wanted.probabilities_of_layers() {
            true => self.added(state, &held),
            false => vec![Vec::new(); held.len()],
        };
        state.release(held);
        (attgrads.into_iter().zip(added))
            .map(|(attgrads, added)| StepGradients { attgrads, added })
            .collect()
    }

    /// `max(0, mean over heads of dA * A)` over the prompt, for the last layer and each step's token.
    ///
    /// Output row, final norm, feed-forward with its norm and residual, output map: gate and up are those of the
    /// forward pass, so that each matrix of the last layer's tail is read once, for all steps.
    fn attgrads(&self, state: &CpuState, held: &[Held]) -> Vec<Vec<f32>> {
        let (s, count) = (self.shape, held.len());
        let Some(layer) = self.layers.last() else {
            return vec![vec![0.0; state.prompt]; count];
        };
        let mut at_last = Vec::with_capacity(count * s.hidden);
        let mut at_logit = vec![0f32; s.hidden];
        for own in held {
            self.head().row(own.chosen as usize, &mut at_logit);
            at_last.extend(norm_backward(
                &own.hidden,
                &at_logit,
                &self.norm,
                s.norm_eps,
            ));
        }
        let mut at_inner = vec![0f32; count * s.inner];
        transposed_products(&[(&layer.down, &at_last)], &mut at_inner);
        let mut at_up = vec![0f32; count * s.inner];
        let each = at_inner
            .chunks_exact_mut(s.inner)
            .zip(at_up.chunks_exact_mut(s.inner));
        for (own, (at_inner, at_up)) in held.iter().zip(each) {
            assert!(own.gate.len() == s.inner && own.up.len() == s.inner);
            // SAFETY: all have `inner` elements.
            unsafe {
                math::silu_times_backward(
                    own.gate.as_ptr(),
                    own.up.as_ptr(),
                    s.inner,
                    at_inner.as_mut_ptr(),
                    at_up.as_mut_ptr(),
                );
            }
        }
        let mut at_normed = vec![0f32; count * s.hidden];
        let inward = [(&layer.gate, &at_inner[..]), (&layer.up, &at_up[..])];
        transposed_products(&inward, &mut at_normed);
        let mut at_attention = Vec::with_capacity(count * s.hidden);
        let each = at_normed
            .chunks_exact(s.hidden)
            .zip(at_last.chunks_exact(s.hidden));
        for (own, (at_normed, at_last)) in held.iter().zip(each) {
            let input = &own.after_attention;
            let through = norm_backward(input, at_normed, &layer.post_norm, s.norm_eps);
            at_attention.extend(
                (through.iter())
                    .zip(at_last)
                    .map(|(sum, residual)| sum + residual),
            );
        }
        let all: Vec<usize> = (0..count).collect();
        let last = self.layers.len() - 1;
        self.through_values(state, held, (last, &all), &at_attention)
    }

    /// What the values of each step's layers add to the logit of its token: summed over layers, in each the mean over heads,
    /// never below 0.
    fn added(&self, state: &CpuState, held: &[Held]) -> Vec<Vec<f32>> {
        let s = self.shape;
        let mut at_logit = vec![0f32; s.hidden];
        let at_last: Vec<Vec<f32>> = (held.iter())
            .map(|own| {
                self.head().row(own.chosen as usize, &mut at_logit);
                // The last norm's scale is taken as it was: what is asked is who wrote the logit, not how to move it.
                let mean_square = dot(&own.hidden, &own.hidden) / s.hidden as f32;
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
            let added = self.through_values(state, held, (layer, &asking), &rows);
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
        held: &[Held],
        (layer, steps): (usize, &[usize]),
        at_attention: &[f32],
    ) -> Vec<Vec<f32>> {
        let s = self.shape;
        let width = s.query_width();
        let mut at_context = vec![0f32; steps.len() * width];
        let output = &self.layers[layer].output;
        transposed_products(&[(output, at_attention)], &mut at_context);
        let parts: Option<Vec<(&QueryAttention, &[f32])>> = (steps.iter())
            .zip(at_context.chunks_exact(width))
            .map(|(&k, at_context)| Some((held[k].attention(layer)?, at_context)))
            .collect();
        match parts {
            Some(parts) => {
                attention::weighed_values(&parts, &state.caches[layer], s.kv_heads, state.prompt)
            }
            None => vec![vec![0.0; state.prompt]; steps.len()],
        }
    }
}

/// Gradient at a norm's output -> gradient at its input `x`.
///
/// With `r = (mean(x^2) + eps)^-1/2` and `u = grad * weight`: `r u - x r^3 mean(u x)`.
fn norm_backward(x: &[f32], grad: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let dim = x.len() as f32;
    let mean_square = dot(x, x) / dim;
    let inverse = 1.0 / (mean_square + eps).sqrt();
    let mut scaled: Vec<f32> = grad.iter().zip(weight).map(|(g, w)| g * w).collect();
    let along = dot(&scaled, x) / dim;
    let factor = along * inverse * inverse * inverse;
    for (u, x) in scaled.iter_mut().zip(x) {
        *u = *u * inverse - x * factor;
    }
    scaled
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut out = 0.0;
    // SAFETY: one row of as many elements.
    unsafe { kernels::rows_dot_f32(a.as_ptr(), a.len(), 1, b.as_ptr(), &raw mut out) };
    out
}

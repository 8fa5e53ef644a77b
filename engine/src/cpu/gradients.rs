//! AttGrads on the CPU: the chosen logit's gradient, taken back by hand through the one-token tail.
//! In: the state after a step, and the chosen token. Out: `[prompt]` scores.
#![allow(unsafe_code)]

use super::decoder::{CpuDecoder, CpuState};
use super::kernels;
use super::math;
use super::matrix::transposed_products;
use crate::signals::{StepScores, Wanted};

impl CpuDecoder {
    /// The signals of the step that each generation ran last, its token being the one beside it. A generation gets the same
    /// bits alone and among others.
    pub(crate) fn signals(&self, turns: &[(&CpuState, u32)]) -> Vec<StepScores> {
        let traced: Vec<(&CpuState, u32)> = (turns.iter().copied())
            .filter(|(state, _)| state.wanted == Wanted::Everything)
            .collect();
        let mut attgrads = self.attgrads(&traced).into_iter();
        let one = |&(state, _): &(&CpuState, u32)| StepScores {
            attmean: state.attmean.clone(),
            attraw: self.attraw(state),
            layers: match state.wanted.rows_of_layers() {
                true => state.layers.clone(),
                false => Vec::new(),
            },
            attgrads: match state.wanted {
                Wanted::Everything => attgrads.next().unwrap_or_default(),
                _ => Vec::new(),
            },
        };
        turns.iter().map(one).collect()
    }

    /// Mean over heads of the last layer: its row, without a layer's share in attmean.
    fn attraw(&self, state: &CpuState) -> Vec<f32> {
        let layers = self.shape.layers as f32;
        let last = state.layers.len().saturating_sub(state.prompt);
        let row = state.layers[last..].iter();
        row.map(|own| own * layers).collect()
    }

    /// `max(0, mean over heads of dA * A)` over each generation's prompt, for the last layer and the token beside it.
    ///
    /// Output row, final norm, feed-forward with its norm and residual, output map: gate and up are those of the
    /// forward pass, so that each matrix of the last layer's tail is read once, for all generations.
    fn attgrads(&self, turns: &[(&CpuState, u32)]) -> Vec<Vec<f32>> {
        let (s, count) = (self.shape, turns.len());
        if count == 0 {
            return Vec::new();
        }
        let Some(layer) = self.layers.last() else {
            return (turns.iter())
                .map(|(state, _)| vec![0.0; state.prompt])
                .collect();
        };
        let mut at_last = Vec::with_capacity(count * s.hidden);
        let mut at_logit = vec![0f32; s.hidden];
        for (state, chosen) in turns {
            self.head().row(*chosen as usize, &mut at_logit);
            let hidden = &state.step.hidden;
            at_last.extend(norm_backward(hidden, &at_logit, &self.norm, s.norm_eps));
        }
        let mut at_inner = vec![0f32; count * s.inner];
        transposed_products(&[(&layer.down, &at_last)], &mut at_inner);
        let mut at_up = vec![0f32; count * s.inner];
        let own = at_inner
            .chunks_exact_mut(s.inner)
            .zip(at_up.chunks_exact_mut(s.inner));
        for ((state, _), (at_inner, at_up)) in turns.iter().zip(own) {
            let b = &state.step;
            // SAFETY: all have `inner` elements.
            unsafe {
                math::silu_times_backward(
                    b.gate.as_ptr(),
                    b.up.as_ptr(),
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
        let own = at_normed
            .chunks_exact(s.hidden)
            .zip(at_last.chunks_exact(s.hidden));
        for ((state, _), (at_normed, at_last)) in turns.iter().zip(own) {
            let input = &state.step.after_attention;
            let through = norm_backward(input, at_normed, &layer.post_norm, s.norm_eps);
            at_attention.extend(
                (through.iter())
                    .zip(at_last)
                    .map(|(sum, residual)| sum + residual),
            );
        }
        let width = s.query_width();
        let mut at_context = vec![0f32; count * width];
        transposed_products(&[(&layer.output, &at_attention)], &mut at_context);
        (turns.iter().zip(at_context.chunks_exact(width)))
            .map(
                |((state, _), at_context)| match (state.caches.last(), state.attention.last()) {
                    (Some(cache), Some(attention)) => {
                        attention.gradients(at_context, cache, s.kv_heads, state.prompt)
                    }
                    _ => vec![0.0; state.prompt],
                },
            )
            .collect()
    }

    /// What the values of `layers` add to the logit of `chosen`: summed over layers, in each the mean over heads, never below 0.
    pub(crate) fn values_of(&self, state: &CpuState, chosen: u32, layers: &[usize]) -> Vec<f32> {
        let (s, b) = (self.shape, &state.step);
        let mut out = vec![0f32; state.prompt];
        if !state.wanted.probabilities_of_layers() {
            return out;
        }
        let mut at_logit = vec![0f32; s.hidden];
        self.head().row(chosen as usize, &mut at_logit);
        // The last norm's scale is taken as it was: what is asked is who wrote the logit, not how to move it.
        let mean_square = dot(&b.hidden, &b.hidden) / s.hidden as f32;
        let inverse = 1.0 / (mean_square + s.norm_eps).sqrt();
        let at_last: Vec<f32> = (at_logit.iter().zip(&self.norm))
            .map(|(own, weight)| own * weight * inverse)
            .collect();
        for &index in layers {
            let (Some(layer), Some(cache), Some(attention)) = (
                self.layers.get(index),
                state.caches.get(index),
                state.attention.get(index),
            ) else {
                continue;
            };
            let mut at_context = vec![0f32; s.query_width()];
            transposed_products(&[(&layer.output, &at_last[..])], &mut at_context);
            let added = attention.gradients(&at_context, cache, s.kv_heads, state.prompt);
            out.iter_mut()
                .zip(&added)
                .for_each(|(sum, own)| *sum += own);
        }
        out
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

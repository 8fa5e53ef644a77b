//! AttGrads on the CPU: the chosen logit's gradient, taken back by hand through the one-token tail.
//! In: the state after a step, and the chosen token. Out: `[prompt]` scores.
#![allow(unsafe_code)]

use super::decoder::{CpuDecoder, CpuState};
use super::kernels;
use super::math;
use super::matrix::transposed_products;
use crate::signals::{StepScores, Wanted};

impl CpuDecoder {
    /// The signals of the step that was run last, its token being `chosen`.
    pub(crate) fn signals(&self, state: &CpuState, chosen: u32) -> StepScores {
        StepScores {
            attmean: state.attmean.clone(),
            attraw: self.attraw(state),
            layers: match state.wanted {
                Wanted::Nothing => Vec::new(),
                _ => state.layers.clone(),
            },
            attgrads: if state.wanted == Wanted::Everything {
                self.attgrads(state, chosen)
            } else {
                Vec::new()
            },
        }
    }

    /// Mean over heads of the last layer: its row, without a layer's share in attmean.
    fn attraw(&self, state: &CpuState) -> Vec<f32> {
        let layers = self.shape.layers as f32;
        let last = state.layers.len().saturating_sub(state.prompt);
        let row = state.layers[last..].iter();
        row.map(|own| own * layers).collect()
    }

    /// `max(0, mean over heads of dA * A)` over the prompt, for the last layer and the token `chosen`.
    ///
    /// Output row, final norm, feed-forward with its norm and residual, output map: gate and up are those of the
    /// forward pass, so that each matrix of the last layer's tail is read once.
    fn attgrads(&self, state: &CpuState, chosen: u32) -> Vec<f32> {
        let (s, b) = (self.shape, &state.step);
        let (Some(layer), Some(cache)) = (self.layers.last(), state.caches.last()) else {
            return vec![0.0; state.prompt];
        };
        let mut at_logit = vec![0f32; s.hidden];
        self.head().row(chosen as usize, &mut at_logit);
        let at_last = norm_backward(&b.hidden, &at_logit, &self.norm, s.norm_eps);

        let mut at_inner = vec![0f32; s.inner];
        layer.down.transposed_times_vector(&at_last, &mut at_inner);
        let mut at_up = vec![0f32; s.inner];
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
        let mut at_normed = vec![0f32; s.hidden];
        let inward = [(&layer.gate, &at_inner[..]), (&layer.up, &at_up[..])];
        transposed_products(&inward, &mut at_normed);
        let mut at_attention =
            norm_backward(&b.after_attention, &at_normed, &layer.post_norm, s.norm_eps);
        at_attention
            .iter_mut()
            .zip(&at_last)
            .for_each(|(sum, residual)| *sum += residual);
        let mut at_context = vec![0f32; s.query_width()];
        layer
            .output
            .transposed_times_vector(&at_attention, &mut at_context);
        state
            .attention
            .gradients(&at_context, cache, s.kv_heads, state.prompt)
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

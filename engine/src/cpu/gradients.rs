//! AttGrads on the CPU: the chosen logit's gradient, taken back by hand through the one-token tail.
//! In: the state after a step, and the chosen token. Out: `[prompt]` scores.
#![allow(unsafe_code)]

use super::decoder::{CpuDecoder, CpuState};
use super::pool::{self, Shares};
use crate::signals::{StepScores, Wanted};

/// Columns of one piece of a product with a transposed matrix.
const COLUMNS: usize = 64;

impl CpuDecoder {
    /// The signals of the step that was run last, its token being `chosen`.
    pub(crate) fn signals(&self, state: &CpuState, chosen: u32) -> StepScores {
        StepScores {
            attmean: state.attmean.clone(),
            attraw: state.attraw.clone(),
            attgrads: if state.wanted == Wanted::Everything {
                self.attgrads(state, chosen)
            } else {
                Vec::new()
            },
        }
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

        let (mut at_gate, mut at_up) = (vec![0f32; s.inner], vec![0f32; s.inner]);
        let (gates, ups) = (Shares::new(&mut at_gate), Shares::new(&mut at_up));
        pool::run(s.inner.div_ceil(COLUMNS), |piece| {
            let first = piece * COLUMNS;
            let count = COLUMNS.min(s.inner - first);
            // SAFETY: pieces cover disjoint columns.
            let (at_gate, at_up) = unsafe {
                (
                    std::slice::from_raw_parts_mut(gates.at(first), count),
                    std::slice::from_raw_parts_mut(ups.at(first), count),
                )
            };
            layer.down.columns_dot(first, &at_last, at_gate);
            for (i, (at_gate, at_up)) in at_gate.iter_mut().zip(at_up).enumerate() {
                let (gate, up, inner) = (b.gate[first + i], b.up[first + i], *at_gate);
                let sigmoid = 1.0 / (1.0 + (-gate).exp());
                // d silu(g)/dg = s (1 + g (1 - s)), s = sigmoid(g)
                *at_gate = inner * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
                *at_up = inner * gate * sigmoid;
            }
        });
        let mut at_normed = vec![0f32; s.hidden];
        let shares = Shares::new(&mut at_normed);
        pool::run(s.hidden.div_ceil(COLUMNS), |piece| {
            let first = piece * COLUMNS;
            let count = COLUMNS.min(s.hidden - first);
            // SAFETY: pieces cover disjoint columns.
            let out = unsafe { std::slice::from_raw_parts_mut(shares.at(first), count) };
            let mut by_up = [0f32; COLUMNS];
            layer.gate.columns_dot(first, &at_gate, out);
            layer.up.columns_dot(first, &at_up, &mut by_up[..count]);
            out.iter_mut().zip(by_up).for_each(|(out, up)| *out += up);
        });
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
    let mean_square = x.iter().map(|x| x * x).sum::<f32>() / dim;
    let inverse = 1.0 / (mean_square + eps).sqrt();
    let mut scaled: Vec<f32> = grad.iter().zip(weight).map(|(g, w)| g * w).collect();
    let along = scaled.iter().zip(x).map(|(u, x)| u * x).sum::<f32>() / dim;
    let factor = along * inverse * inverse * inverse;
    for (u, x) in scaled.iter_mut().zip(x) {
        *u = *u * inverse - x * factor;
    }
    scaled
}

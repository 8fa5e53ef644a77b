//! The three token-level signals, tapped online: only the last query row of each layer is ever read.
//! In: each layer's last row of probabilities. Out: one `[P]` vector per signal and step.

use candle_core::{DType, Result, Tensor};

/// Which signals a generation computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None: what tracing is measured against.
    Nothing,
    /// `attmean` and `attraw`; `attgrads` is left empty.
    Attention,
    /// All three.
    Everything,
}

/// Reads every layer's last row of probabilities while a step runs and keeps one `[context]` sum.
#[derive(Debug)]
pub(crate) struct AttentionTap {
    wanted: Wanted,
    sum_over_layers: Option<Tensor>,
    last_layer: Option<Tensor>,
    /// `[heads, context]` of the layer seen last: what AttGrads needs.
    last_probabilities: Option<Tensor>,
    layers: usize,
}

impl AttentionTap {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            sum_over_layers: None,
            last_layer: None,
            last_probabilities: None,
            layers: 0,
        }
    }

    /// `probabilities`: `[heads, context]`, f32.
    pub(crate) fn observe(&mut self, probabilities: &Tensor) -> Result<()> {
        if self.wanted == Wanted::Nothing {
            return Ok(());
        }
        let over_heads = probabilities.mean(0)?;
        self.sum_over_layers = Some(match self.sum_over_layers.take() {
            Some(sum) => (sum + &over_heads)?,
            None => over_heads.clone(),
        });
        self.last_layer = Some(over_heads);
        self.last_probabilities = Some(probabilities.clone());
        self.layers += 1;
        Ok(())
    }

    /// Mean over heads and layers, of the first `prompt` positions.
    pub(crate) fn attmean(&self, prompt: usize) -> Result<Vec<f32>> {
        match &self.sum_over_layers {
            Some(sum) => (sum.narrow(0, 0, prompt)? / self.layers as f64)?.to_vec1(),
            None => Ok(vec![0.0; prompt]),
        }
    }

    /// Mean over heads of the last layer, of the first `prompt` positions.
    pub(crate) fn attraw(&self, prompt: usize) -> Result<Vec<f32>> {
        match &self.last_layer {
            Some(row) => row.narrow(0, 0, prompt)?.to_vec1(),
            None => Ok(vec![0.0; prompt]),
        }
    }

    /// `[heads, context]` of the last layer.
    pub(crate) fn last_probabilities(&self) -> Option<&Tensor> {
        self.last_probabilities.as_ref()
    }
}

/// `max(0, mean over heads of dA * A)` for the first `prompt` positions, where `dA[h, k] = <g_h, v_kv(h),k>`.
///
/// `at_context`: gradient of the chosen logit at the last layer's attention output, `[1, heads * dim]`;
/// `probabilities`: `[heads, context]`; `values`: `[kv_heads, prompt, dim]`.
pub(crate) fn attgrads(
    at_context: &Tensor,
    probabilities: &Tensor,
    values: &Tensor,
) -> Result<Vec<f32>> {
    let (kv_heads, prompt, dim) = values.dims3()?;
    let heads = probabilities.dim(0)?;
    let grad = at_context
        .reshape((kv_heads, heads / kv_heads, dim))?
        .to_dtype(values.dtype())?;
    let at_probabilities = grad
        .matmul(&values.t()?)?
        .reshape((heads, prompt))?
        .to_dtype(DType::F32)?;
    (at_probabilities * probabilities.narrow(1, 0, prompt)?)?
        .mean(0)?
        .relu()?
        .to_vec1()
}

/// One step's scores over the prompt positions.
#[derive(Debug, Clone, PartialEq)]
pub struct StepScores {
    /// Mean attention over heads and layers.
    pub attmean: Vec<f32>,
    /// Mean attention over heads of the last layer.
    pub attraw: Vec<f32>,
    /// Gradient of the chosen logit times attention, last layer.
    pub attgrads: Vec<f32>,
}

//! The same answer, scored again after a part of the prompt is gone.
//! In: an assembled prompt, its embeddings, the answer's ids, which positions stay. Out: a log-probability per token.

use attribution::layout::Layout;
use candle_core::Tensor;

use crate::EngineError;
use crate::model::{Family, Prompt};

/// An answer to be scored, teacher-forced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// Generated ids up to the last one to be scored.
    pub(crate) ids: &'a [u32],
    /// The first that counts.
    pub(crate) first: usize,
}

/// Log-probability of every id of `answer` from the first that counts, for each of `kept`; `None` once `go_on` says no.
///
/// Any family on any device: the kept rows as a prompt of their own, at their old positions, then the answer token by token.
pub(crate) fn step_by_step<F: Family + ?Sized>(
    family: &F,
    prompt: &Prompt,
    embeds: &Tensor,
    answer: &Answer<'_>,
    kept: &[Vec<bool>],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Vec<Vec<f64>>>, EngineError> {
    let mut all = Vec::with_capacity(kept.len());
    for kept in kept {
        let (prompt, embeds) = without(prompt, embeds, kept)?;
        let begun = family.begin(&prompt, &embeds, answer.ids.len(), &mut |_, _| true)?;
        let Some(mut session) = begun else {
            return Ok(None);
        };
        session.rewind(crate::signals::Wanted::Nothing);
        let mut scores = Vec::with_capacity(answer.ids.len() - answer.first);
        for (index, &id) in answer.ids.iter().enumerate() {
            if index >= answer.first {
                scores.push(log_prob(session.logits(), id));
            }
            if index + 1 < answer.ids.len() {
                session.advance(id)?;
            }
        }
        all.push(scores);
        if !go_on() {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

/// Per prompt position: whether it stays when `units` go.
pub(crate) fn kept(prompt: &Prompt, units: &[u32]) -> Vec<bool> {
    let gone = |unit: &Option<u32>| unit.is_some_and(|unit| units.contains(&unit));
    (prompt.layout.unit_of.iter())
        .map(|unit| !gone(unit))
        .collect()
}

/// The prompt's kept rows, everyone where it was.
pub(crate) fn without(
    prompt: &Prompt,
    embeds: &Tensor,
    kept: &[bool],
) -> Result<(Prompt, Tensor), EngineError> {
    let rows: Vec<u32> = (0u32..)
        .zip(kept)
        .filter(|(_, kept)| **kept)
        .map(|(row, _)| row)
        .collect();
    let count = rows.len();
    let at = |row: &u32| *row as usize;
    let part = Prompt {
        ids: rows.iter().map(|row| prompt.ids[at(row)]).collect(),
        // What remains is scored, not traced.
        layout: Layout {
            sources: Vec::new(),
            units: Vec::new(),
            unit_of: vec![None; count],
            cell_of: vec![None; count],
            grids: Vec::new(),
            spans: Vec::new(),
        },
        positions: rows.iter().map(|row| prompt.positions[at(row)]).collect(),
        next_position: prompt.next_position,
        runs: Vec::new(),
        inputs: Vec::new(),
        warnings: Vec::new(),
        turns: Vec::new(),
    };
    let rows = Tensor::from_vec(rows, count, embeds.device())?;
    Ok((part, embeds.index_select(&rows, 0)?))
}

/// The natural logarithm of the probability of `id`; of an id beyond the vocabulary, minus infinity.
pub(crate) fn log_prob(logits: &[f32], id: u32) -> f64 {
    let Some(&own) = logits.get(id as usize) else {
        return f64::NEG_INFINITY;
    };
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - top).exp()).sum();
    f64::from(own) - top - sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let logits = [1.0f32, -2.0, 0.5, 30.0];
        let sum: f64 = (0..4).map(|id| log_prob(&logits, id).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert!((log_prob(&[0.0, 0.0], 1) - 0.5f64.ln()).abs() < 1e-12);
        assert_eq!(log_prob(&logits, 4), f64::NEG_INFINITY);
    }
}

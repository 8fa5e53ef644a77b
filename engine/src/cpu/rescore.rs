//! An answer scored again without parts of the prompt, whole rows at a time.
//! In: the prompt's and the answer's embeddings, which rows stay. Out: log-probabilities of the answer's ids.
//!
//! One prefill per set of removed rows, not a batch of them: a prompt's rows already fill the matrix kernels' tiles, so a
//! batch would multiply nothing faster. What pays instead is not to run what cannot change: a row before the first removed
//! one attends to the same keys as ever. Sets are taken in falling order of their first removed row, so that the cache of
//! the whole prompt is cut back, never copied, and every row before the cut serves again.

use super::decoder::{CpuDecoder, CpuState};
use super::prefill::RotaryTables;
use super::step::norm;
use crate::faithfulness::rescore::{Answer, log_prob};
use crate::signals::Wanted;

/// Prompt and answer as rows.
pub(crate) struct Rows<'a> {
    /// `[prompt + answer, hidden]`, the answer's last row left out: nothing follows it.
    pub(crate) embeds: &'a [f32],
    /// One position a row.
    pub(crate) rotary: &'a RotaryTables,
    /// Rows of the prompt.
    pub(crate) prompt: usize,
}

impl CpuDecoder {
    /// Log-probabilities of the answer's ids from the first that counts, for each of `kept` (per prompt row: whether it
    /// stays); `None` once `go_on` says no.
    pub(crate) fn rescore(
        &self,
        rows: &Rows<'_>,
        answer: &Answer<'_>,
        kept: &[Vec<bool>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<Vec<Vec<f64>>> {
        let first_gone = |kept: &Vec<bool>| {
            let gone = kept.iter().position(|kept| !kept);
            gone.unwrap_or(rows.prompt)
        };
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(first_gone(&kept[at])));
        let mut state = self.state(0, Wanted::Nothing);
        // Rows of the whole prompt whose keys and values are in the cache.
        let mut shared = 0;
        let mut all = vec![Vec::new(); kept.len()];
        for at in order {
            let cut = first_gone(&kept[at]);
            // The row before the first id is run in any case: it says how likely that id is.
            let last = kept[at].iter().rposition(|kept| *kept).unwrap_or(0);
            let begin = shared.min(cut).min(last);
            state.cut(begin);
            let run: Vec<usize> = (begin..rows.prompt)
                .filter(|&row| kept[at][row])
                .chain(rows.prompt..rows.prompt + answer.ids.len().saturating_sub(1))
                .collect();
            all[at] = self.score_rows(&mut state, rows, &run, answer);
            shared = cut;
            if !go_on() {
                return None;
            }
        }
        Some(all)
    }

    /// Runs the rows `run` behind what is cached and scores the answer.
    fn score_rows(
        &self,
        state: &mut CpuState,
        rows: &Rows<'_>,
        run: &[usize],
        answer: &Answer<'_>,
    ) -> Vec<f64> {
        let hidden = self.shape.hidden;
        let width = rows.rotary.width;
        let mut x = Vec::with_capacity(run.len() * hidden);
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for &row in run {
            x.extend_from_slice(&rows.embeds[row * hidden..(row + 1) * hidden]);
            cos.extend_from_slice(rows.rotary.cos(row));
            sin.extend_from_slice(rows.rotary.sin(row));
        }
        let rotary = RotaryTables { cos, sin, width };
        // The row before an id says how likely the id is.
        let wanted = answer.ids.len() - answer.first;
        let last = run.len().saturating_sub(wanted);
        self.run_rows(state, &mut x, &rotary, last);
        let mut normed = vec![0f32; hidden];
        let mut logits = vec![0f32; self.shape.vocabulary];
        let tail = x[last * hidden..].chunks_exact(hidden);
        (tail.zip(&answer.ids[answer.first..]))
            .map(|(row, &id)| {
                norm(row, &self.norm, self.shape.norm_eps, &mut normed);
                self.head().times_vector(&normed, &mut logits);
                log_prob(&logits, id)
            })
            .collect()
    }
}

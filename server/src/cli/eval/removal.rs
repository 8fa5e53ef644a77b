//! Faithfulness by removal over a set: whether sentences fall further without what they cite than without random units.
//! In: replayed traces. Out: figures per task.

use anyhow::Result;
use app::evaluation::Removal;
use engine::faithfulness::{Faithfulness, Question, Replay};

use super::report::Estimate;

/// Answers of one task, or of all.
#[derive(Debug, Default)]
pub struct Removals(Vec<Faithfulness>);

impl Removals {
    /// Asks about every right sentence that cites something.
    pub fn add(&mut self, replay: &Replay<'_>, right: &[bool], seed: u64) -> Result<()> {
        for (chunk, _) in right.iter().enumerate().filter(|(_, right)| **right) {
            let question = Question {
                seed,
                leave_one_out: true,
                curves: true,
                ..Question::new(chunk)
            };
            if replay.cites(chunk)
                && let Some(answer) = replay.ask(&question, &mut || true)?
            {
                self.0.push(answer);
            }
        }
        Ok(())
    }

    /// All of another's too.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// The figures; none without a sentence.
    pub fn figures(&self, task: &str, seed: u64) -> Option<Removal> {
        // Only where there are other units of the kind is there anything to compare with.
        let compared: Vec<&Faithfulness> = (self.0.iter())
            .filter(|own| own.random_fall.is_some())
            .collect();
        let over = |value: &dyn Fn(&Faithfulness) -> Option<f64>| {
            let values: Vec<f64> = compared.iter().filter_map(|own| value(own)).collect();
            Estimate::of(&values, seed).map(Estimate::figure)
        };
        (!compared.is_empty()).then(|| Removal {
            task: task.to_owned(),
            chunks: compared.len() as u64,
            larger: over(&|own| Some(f64::from(u8::from(own.fall > own.random_fall?)))),
            fall: over(&|own| Some(own.fall)),
            random_fall: over(&|own| own.random_fall),
            only_fall: over(&|own| Some(own.log_prob - own.log_prob_only)),
            nothing_fall: over(&|own| Some(own.log_prob - own.log_prob_nothing)),
            deletion_area: over(&|own| Some(own.curves.as_ref()?.deletion_area)),
            insertion_area: over(&|own| Some(own.curves.as_ref()?.insertion_area)),
            rank_correlation: over(&|own| own.leave_one_out.as_ref()?.rank_correlation),
        })
    }
}

//! Time of reading a prompt, and of a traced answer to it.

use std::time::Instant;

use serde::Serialize;

use attribution::record::Decoding;

use super::{BenchModel, Spread, failed};
use crate::EngineError;
use crate::generate::Chooser;
use crate::signals::HELD;

/// One model and one prompt length.
#[derive(Debug, Clone, Serialize)]
pub struct PrefillReport {
    /// Of the model.
    pub model: String,
    /// Of its weights.
    pub precision: String,
    /// Of the prompt.
    pub tokens: usize,
    /// Of the answer.
    pub answer: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Of the whole prompt, first logits included, and of the traced answer.
    pub secs: Spread,
    /// Prompt tokens in those seconds.
    pub tokens_per_sec: Spread,
    /// Most memory that the process has had so far.
    pub peak_rss_bytes: Option<u64>,
    /// The token with the highest logit after the prompt: what another implementation must choose too.
    pub first_token: u32,
}

impl BenchModel {
    /// Reads a random prompt of `tokens` ids `rounds` times, and each time writes and traces `answer` tokens by all
    /// three signals.
    pub fn prefill(
        &self,
        tokens: usize,
        answer: usize,
        rounds: usize,
    ) -> Result<PrefillReport, EngineError> {
        let prompt = self.prompt(tokens);
        let mut secs = Vec::new();
        let mut first_token = 0;
        for _ in 0..rounds.max(1) {
            let mut chooser = Chooser::new(&Decoding {
                no_repeat_ngram: 3,
                ..Decoding::default()
            });
            let mut ids = prompt.clone();
            let begin = Instant::now();
            let mut session = self.decoder.begin_ids(&prompt, answer)?;
            first_token = chooser.choose(session.logits(), &[]);
            for written in 0..answer {
                if let Some(&last) = ids.last().filter(|_| written > 0) {
                    session.advance(last)?;
                }
                let id = chooser.choose(session.logits(), &ids);
                ids.push(id);
                let means = session.attention()?.attmean.len();
                session.hold(id, &[])?;
                if written % HELD == HELD - 1 || written + 1 == answer {
                    let steps = session.gradients()?;
                    if steps.iter().any(|step| step.attgrads.len() != means) || means != tokens {
                        return Err(failed("a signal does not cover the prompt"));
                    }
                }
            }
            secs.push(begin.elapsed().as_secs_f64());
        }
        Ok(PrefillReport {
            model: self.name.clone(),
            precision: self.precision.to_string(),
            tokens,
            answer,
            threads: crate::cpu::pool::threads(),
            tokens_per_sec: Spread::of(secs.iter().map(|secs| tokens as f64 / secs)),
            secs: Spread::of(secs),
            peak_rss_bytes: super::peak_rss_bytes(),
            first_token,
        })
    }
}

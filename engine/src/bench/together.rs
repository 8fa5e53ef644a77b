//! Tokens a second of several generations that decode together, against one alone, in turn within one run.

use std::time::Instant;

use attribution::record::Decoding;
use serde::Serialize;

use super::{BenchModel, Spread, failed, first};
use crate::EngineError;
use crate::decoder::together;
use crate::follow::Follower;
use crate::generate::Chooser;
use crate::model::Session;
use crate::signals::{Derived, Wanted};

/// What to measure.
#[derive(Debug, Clone)]
pub struct TogetherSettings {
    /// Prompt positions in each generation's cache.
    pub context: usize,
    /// How many generations step together, one measurement each; compared with one alone.
    pub generations: Vec<usize>,
    /// Tokens of each generation in one measurement.
    pub tokens: usize,
    /// Rounds, each of every number.
    pub rounds: usize,
}

/// So many generations of one model.
#[derive(Debug, Clone, Serialize)]
pub struct TogetherReport {
    /// Of the model.
    pub model: String,
    /// Of its weights.
    pub precision: String,
    /// Prompt positions of each.
    pub context: usize,
    /// Threads that compute.
    pub threads: usize,
    /// That step together.
    pub generations: usize,
    /// Of all of them, with all signals.
    pub tokens_per_sec: Spread,
    /// The same against one generation alone, round by round.
    pub over_one_alone: Spread,
    /// What each of them waits for a token.
    pub secs_per_token_of_each: Spread,
    /// Tokens a second without signals, against one generation alone without signals.
    pub untraced_over_one_alone: Spread,
}

/// In the order of a round.
const MODES: [Wanted; 2] = [Wanted::Everything, Wanted::Nothing];
/// Prompt positions of a source unit here.
const UNIT_POSITIONS: usize = 20;

impl BenchModel {
    /// Measures generations that decode together. Caches hold random keys and values, each its own.
    pub fn together(
        &self,
        settings: &TogetherSettings,
    ) -> Result<Vec<TogetherReport>, EngineError> {
        let prompt = self.prompt(settings.context);
        let mut counts = settings.generations.clone();
        counts.push(1);
        counts.sort_unstable();
        counts.dedup();
        counts.retain(|count| *count > 0);
        let most = counts.last().copied().unwrap_or(1);
        let mut sessions = (0..most)
            .map(|_| self.decoder.begin_random(&prompt, settings.tokens))
            .collect::<Result<Vec<_>, _>>()?;
        let cases: Vec<(usize, Wanted)> = (counts.iter())
            .flat_map(|&count| MODES.map(|mode| (count, mode)))
            .collect();
        let mut secs = vec![Vec::new(); cases.len()];
        // The first round warms up; another case begins each of the others.
        for round in 0..=settings.rounds {
            for turn in 0..cases.len() {
                let at = (round + turn) % cases.len();
                let (count, wanted) = cases[at];
                let took = run(&mut sessions[..count], &prompt, wanted, settings.tokens)?;
                if round > 0 {
                    secs[at].push(took);
                }
            }
        }
        let tokens = settings.tokens as f64;
        let gain = |count: usize, at: usize, alone: usize| {
            let rounds = secs[at].iter().zip(&secs[alone]);
            Spread::of(rounds.map(|(own, alone)| count as f64 * alone / own))
        };
        let report = |(k, &count): (usize, &usize)| TogetherReport {
            model: self.name.clone(),
            precision: self.precision.to_string(),
            context: settings.context,
            threads: crate::cpu::pool::threads(),
            generations: count,
            tokens_per_sec: Spread::of(
                (secs[2 * k].iter()).map(|secs| count as f64 * tokens / secs),
            ),
            over_one_alone: gain(count, 2 * k, 0),
            secs_per_token_of_each: Spread::of(secs[2 * k].iter().map(|secs| secs / tokens)),
            untraced_over_one_alone: gain(count, 2 * k + 1, 1),
        };
        Ok(counts.iter().enumerate().map(report).collect())
    }
}

/// Seconds of `tokens` steps of all sessions, from the ends of their prompts: each chosen, traced as wanted, and fed.
fn run(
    sessions: &mut [Box<dyn Session + '_>],
    prompt: &[u32],
    wanted: Wanted,
    tokens: usize,
) -> Result<f64, EngineError> {
    let decoding = Decoding {
        no_repeat_ngram: 3,
        ..Decoding::default()
    };
    let mut lanes: Vec<_> = (sessions.iter())
        .map(|_| {
            let derived = Derived::in_equal_units(prompt.len(), UNIT_POSITIONS);
            (
                Chooser::new(&decoding),
                prompt.to_vec(),
                Follower::of(derived),
            )
        })
        .collect();
    for session in sessions.iter_mut() {
        session.rewind(wanted);
    }
    let mut seen = 0.0;
    let begin = Instant::now();
    for written in 1..=tokens {
        let mut chosen: Vec<together::Chosen<'_, '_>> = Vec::with_capacity(sessions.len());
        for (session, (chooser, ids, _)) in sessions.iter_mut().zip(&mut lanes) {
            let id = chooser.choose(session.logits(), ids);
            ids.push(id);
            chosen.push((session.as_mut(), id));
        }
        for advanced in together::advance(&mut chosen) {
            advanced?;
        }
        if wanted != Wanted::Nothing {
            for ((session, id), (_, _, follower)) in chosen.iter_mut().zip(&mut lanes) {
                follower.push(*session, *id)?;
                let steps = follower.complete(*session, written == tokens)?;
                seen += steps.iter().map(|step| first(&step.attvalue)).sum::<f32>();
            }
        }
    }
    let secs = begin.elapsed().as_secs_f64();
    if !seen.is_finite() {
        return Err(failed("a signal is not a number"));
    }
    Ok(secs)
}

//! Time of a decode step: without signals, with attention's two, with all three, in turn; and against memory's speed.

use std::time::Instant;

use attribution::record::Decoding;
use serde::Serialize;

use super::{Bandwidth, BenchModel, Spread, failed};
use crate::EngineError;
use crate::generate::Chooser;
use crate::model::Session;
use crate::signals::{Derived, Wanted};

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct DecodeSettings {
    /// Prompt positions in the cache.
    pub context: usize,
    /// Tokens of one measurement.
    pub tokens: usize,
    /// Rounds, each of every mode.
    pub rounds: usize,
}

/// Seconds a token of one mode.
pub type ModeTimes = Spread;

/// One model at one context.
#[derive(Debug, Clone, Serialize)]
pub struct DecodeReport {
    /// Of the model.
    pub model: String,
    /// Of its weights.
    pub precision: String,
    /// Prompt positions.
    pub context: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Without signals.
    pub untraced_secs_per_token: ModeTimes,
    /// With attmean, attraw, attfocus and attrise, against without, round by round.
    pub attention_over_untraced: Spread,
    /// With all three signals, against without, round by round.
    pub everything_over_untraced: Spread,
    /// Bytes of weights, keys and values that one step reads.
    pub bytes_per_token: usize,
    /// Measured in the same rounds, bytes a second.
    pub memory_read_bytes_per_sec: Spread,
    /// Bytes of a step over its time over memory's speed of the same round; without signals.
    pub share_of_memory_speed: Spread,
}

/// In the order of a round.
const MODES: [Wanted; 3] = [Wanted::Nothing, Wanted::Attention, Wanted::Everything];

impl BenchModel {
    /// Measures decoding. The cache holds random keys and values, as those of a prompt would be.
    pub fn decode(&self, settings: &DecodeSettings) -> Result<DecodeReport, EngineError> {
        let prompt = self.prompt(settings.context);
        let mut session = self.decoder.begin_random(&prompt, settings.tokens)?;
        let mut bandwidth = Bandwidth::new();
        let ids = &prompt;
        for mode in MODES {
            run(session.as_mut(), ids, mode, settings.tokens)?;
        }
        bandwidth.measure();
        let mut times: [Vec<f64>; 3] = Default::default();
        let mut speeds = Vec::new();
        for round in 0..settings.rounds {
            // Another mode begins each round, so that none always follows the same.
            for turn in 0..MODES.len() {
                let at = (round + turn) % MODES.len();
                let secs = run(session.as_mut(), ids, MODES[at], settings.tokens)?;
                times[at].push(secs / settings.tokens as f64);
            }
            speeds.push(bandwidth.measure());
        }
        let [untraced, attention, everything] = times;
        let against = |traced: &[f64]| {
            Spread::of(
                traced
                    .iter()
                    .zip(&untraced)
                    .map(|(traced, without)| traced / without),
            )
        };
        let bytes = self.decoder.step_bytes() + self.decoder.cache_bytes(settings.context);
        let shares = untraced
            .iter()
            .zip(&speeds)
            .map(|(secs, speed)| bytes as f64 / secs / speed);
        Ok(DecodeReport {
            model: self.name.clone(),
            precision: self.precision.to_string(),
            context: settings.context,
            threads: crate::cpu::pool::threads(),
            untraced_secs_per_token: Spread::of(untraced.iter().copied()),
            attention_over_untraced: against(&attention),
            everything_over_untraced: against(&everything),
            bytes_per_token: bytes,
            memory_read_bytes_per_sec: Spread::of(speeds.iter().copied()),
            share_of_memory_speed: Spread::of(shares),
        })
    }
}

/// Prompt positions of a source unit here: a sentence, or a second of sound.
const UNIT_POSITIONS: usize = 20;

/// Seconds of `tokens` steps from the end of the prompt, each chosen, traced as wanted, and fed.
fn run(
    session: &mut dyn Session,
    prompt: &[u32],
    wanted: Wanted,
    tokens: usize,
) -> Result<f64, EngineError> {
    session.rewind(wanted);
    let mut ids = prompt.to_vec();
    ids.reserve(tokens);
    let mut chooser = Chooser::new(&Decoding {
        no_repeat_ngram: 3,
        ..Decoding::default()
    });
    let mut derived = Derived::in_equal_units(prompt.len(), UNIT_POSITIONS);
    let mut seen = 0.0;
    let begin = Instant::now();
    for _ in 0..tokens {
        let id = chooser.choose(session.logits(), &ids);
        ids.push(id);
        session.advance(id)?;
        if wanted != Wanted::Nothing {
            let scores = session.signals(id)?;
            derived.push(&scores);
            seen += derived.attrise.first().copied().unwrap_or_default();
        }
    }
    let secs = begin.elapsed().as_secs_f64();
    if !seen.is_finite() {
        return Err(failed("a signal is not a number"));
    }
    Ok(secs)
}

//! Time of a decode step: without signals, with attention's two, the paper's three, with each further one, in turn; and
//! against memory's speed.

use std::time::Instant;

use attribution::record::Decoding;
use serde::Serialize;

use super::{Bandwidth, BenchModel, Spread, failed, first};
use crate::EngineError;
use crate::follow::Follower;
use crate::generate::Chooser;
use crate::model::Session;
use crate::signals::{Derived, HELD, Wanted};

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
    /// With attmean and attraw, against without, round by round.
    pub means_over_untraced: Spread,
    /// With attmean, attraw and attgrads, against without, round by round.
    pub three_over_untraced: Spread,
    /// With attfocus besides, against attmean and attraw alone, round by round.
    pub attfocus_over_means: Spread,
    /// With attrise besides, and attfocus of which it is made, against attmean and attraw alone, round by round.
    pub attrise_over_means: Spread,
    /// With attvalue besides (and those), against attmean and attraw alone, round by round.
    pub attvalue_over_means: Spread,
    /// Time in which both are made of the rows, over the time of the steps within which it lies.
    pub focus_and_rise_share_of_step: Spread,
    /// The same of AttGrads' way back, beside attmean and attraw.
    pub attgrads_share_of_step: Spread,
    /// The same of AttValue's way back, beside all that is made of attention.
    pub attvalue_share_of_step: Spread,
    /// With attmean, attraw, attfocus and attrise, against without, round by round.
    pub attention_over_untraced: Spread,
    /// With all signals, against without, round by round.
    pub everything_over_untraced: Spread,
    /// Bytes of weights, keys and values that one step reads.
    pub bytes_per_token: usize,
    /// Measured in the same rounds, bytes a second.
    pub memory_read_bytes_per_sec: Spread,
    /// Bytes of a step over its time over memory's speed of the same round; without signals.
    pub share_of_memory_speed: Spread,
}

/// What a run computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Untraced,
    Means,
    /// Those and AttGrads.
    Three,
    Focus,
    Rise,
    Value,
    Everything,
}

impl Mode {
    /// In the order of a round.
    const ALL: [Self; 7] = [
        Self::Untraced,
        Self::Means,
        Self::Three,
        Self::Focus,
        Self::Rise,
        Self::Value,
        Self::Everything,
    ];

    fn wanted(self) -> Wanted {
        match self {
            Self::Untraced => Wanted::Nothing,
            Self::Means => Wanted::Means,
            Self::Three => Wanted::Gradients,
            Self::Focus | Self::Rise => Wanted::Attention,
            Self::Value => Wanted::Values,
            Self::Everything => Wanted::Everything,
        }
    }
}

impl BenchModel {
    /// Measures decoding. The cache holds random keys and values, as those of a prompt would be.
    pub fn decode(&self, settings: &DecodeSettings) -> Result<DecodeReport, EngineError> {
        let prompt = self.prompt(settings.context);
        let mut session = self.decoder.begin_random(&prompt, settings.tokens)?;
        let mut bandwidth = Bandwidth::new();
        let ids = &prompt;
        for mode in Mode::ALL {
            run(session.as_mut(), ids, mode, settings.tokens)?;
        }
        bandwidth.measure();
        let mut times: [Vec<f64>; Mode::ALL.len()] = Default::default();
        let mut speeds = Vec::new();
        let mut shares: [Vec<f64>; Mode::ALL.len()] = Default::default();
        for round in 0..settings.rounds {
            // Another mode begins each round, so that none always follows the same.
            for turn in 0..Mode::ALL.len() {
                let at = (round + turn) % Mode::ALL.len();
                let mode = Mode::ALL[at];
                let spent = run(session.as_mut(), ids, mode, settings.tokens)?;
                times[at].push(spent.all_secs / settings.tokens as f64);
                shares[at].push(spent.further_secs / spent.all_secs);
            }
            speeds.push(bandwidth.measure());
        }
        let [untraced, means, three, focus, rise, value, everything] = times;
        let [_, _, of_three, _, of_rise, of_value, _] = shares;
        let against = |more: &[f64], less: &[f64]| {
            Spread::of(more.iter().zip(less).map(|(more, less)| more / less))
        };
        let bytes = self.decoder.step_bytes() + self.decoder.cache_bytes(settings.context);
        let speed_shares = untraced
            .iter()
            .zip(&speeds)
            .map(|(secs, speed)| bytes as f64 / secs / speed);
        Ok(DecodeReport {
            model: self.name.clone(),
            precision: self.precision.to_string(),
            context: settings.context,
            threads: crate::cpu::pool::threads(),
            untraced_secs_per_token: Spread::of(untraced.iter().copied()),
            means_over_untraced: against(&means, &untraced),
            three_over_untraced: against(&three, &untraced),
            attfocus_over_means: against(&focus, &means),
            attrise_over_means: against(&rise, &means),
            attvalue_over_means: against(&value, &means),
            focus_and_rise_share_of_step: Spread::of(of_rise),
            attgrads_share_of_step: Spread::of(of_three),
            attvalue_share_of_step: Spread::of(of_value),
            attention_over_untraced: against(&rise, &untraced),
            everything_over_untraced: against(&everything, &untraced),
            bytes_per_token: bytes,
            memory_read_bytes_per_sec: Spread::of(speeds.iter().copied()),
            share_of_memory_speed: Spread::of(speed_shares),
        })
    }
}

/// Prompt positions of a source unit here: a sentence, or a second of sound.
const UNIT_POSITIONS: usize = 20;

/// Of one run.
struct Spent {
    all_secs: f64,
    /// Within it, in what the mode has beyond the one before: making further signals of the step's rows, or gradients.
    further_secs: f64,
}

/// `tokens` steps from the end of the prompt, each chosen, traced as the mode says, and fed.
fn run(
    session: &mut dyn Session,
    prompt: &[u32],
    mode: Mode,
    tokens: usize,
) -> Result<Spent, EngineError> {
    session.rewind(mode.wanted());
    let mut ids = prompt.to_vec();
    ids.reserve(tokens);
    let mut chooser = Chooser::new(&Decoding {
        no_repeat_ngram: 3,
        ..Decoding::default()
    });
    let units = || Derived::in_equal_units(prompt.len(), UNIT_POSITIONS);
    let (mut derived, mut follower) = (units(), Follower::of(units()));
    let (mut seen, mut further_secs) = (0.0, 0.0);
    let begin = Instant::now();
    for written in 1..=tokens {
        let id = chooser.choose(session.logits(), &ids);
        ids.push(id);
        session.advance(id)?;
        let last = written == tokens;
        match mode {
            Mode::Untraced => {}
            Mode::Means => seen += first(&session.attention()?.attmean),
            Mode::Three => {
                seen += first(&session.attention()?.attmean);
                let begin = Instant::now();
                session.hold(id, &[])?;
                let steps = match last || written % HELD == 0 {
                    true => session.gradients()?,
                    false => Vec::new(),
                };
                further_secs += begin.elapsed().as_secs_f64();
                seen += steps.iter().map(|step| first(&step.attgrads)).sum::<f32>();
            }
            Mode::Focus | Mode::Rise => {
                let attention = session.attention()?;
                let begin = Instant::now();
                let mut row = derived.focus(&attention);
                if mode == Mode::Rise {
                    row = derived.rise(&row);
                }
                further_secs += begin.elapsed().as_secs_f64();
                seen += first(&row);
            }
            Mode::Value | Mode::Everything => {
                follower.push(session, id)?;
                let begin = Instant::now();
                let steps = follower.complete(session, last)?;
                further_secs += begin.elapsed().as_secs_f64();
                seen += steps.iter().map(|step| first(&step.attvalue)).sum::<f32>();
            }
        }
    }
    let all_secs = begin.elapsed().as_secs_f64();
    if !seen.is_finite() {
        return Err(failed("a signal is not a number"));
    }
    Ok(Spent {
        all_secs,
        further_secs,
    })
}

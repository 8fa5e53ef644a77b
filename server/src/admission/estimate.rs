//! How long jobs take, learned from those that ended. In: sizes, and what jobs of such sizes took. Out: seconds, for one
//! job and for a queue of them.
//!
//! A job's time is what comes before its first token (decoding, encoding, prefill: a sum over its parts, whose shares are
//! fitted to the latest jobs) and the tokens of its answer at the measured pace. Of the running job what it has already
//! done is taken off. Nothing here looks at a clock.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::course::{self, Device, Done, Running, Waiting};
use super::size::{FEATURES, JobSize};

/// Jobs that the shares are fitted to.
const REMEMBERED: usize = 96;

/// What an older job counts, against the one after it.
const FADE: f64 = 0.97;

/// Seconds below which a difference is no matter.
const FLOOR_SECS: f64 = 0.02;

/// Before anything was measured.
pub(super) const GUESS: Expected = Expected {
    front_secs: 1.0,
    token_secs: 0.05,
    tokens: 80.0,
};

/// What a job took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// Seconds before its first token, and after its last.
    pub front_secs: f64,
    /// Seconds from its first token to its last.
    pub answer_secs: f64,
    /// Tokens of its answer.
    pub tokens: u32,
}

/// What a job is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Seconds before its first token.
    pub front_secs: f64,
    /// Seconds a token.
    pub token_secs: f64,
    /// Tokens of its answer.
    pub tokens: f64,
}

/// How far the running job has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Seconds since its begin.
    pub secs: f64,
    /// Tokens written.
    pub tokens: u32,
}

impl Expected {
    /// From begin to end.
    pub fn secs(&self) -> f64 {
        self.front_secs + self.token_secs * self.tokens
    }

    /// Seconds left before the first token of a job that has come so far.
    pub(super) fn front_left_secs(&self, done: Progress) -> f64 {
        match done.tokens {
            0 => (self.front_secs - done.secs).max(0.0),
            _ => 0.0,
        }
    }

    /// Seconds left of the answer of a job that has come so far, and may write `max_tokens`.
    pub(super) fn answer_left_secs(&self, done: Progress, max_tokens: u32) -> f64 {
        if done.tokens == 0 {
            return self.token_secs * self.tokens;
        }
        let written = f64::from(done.tokens);
        let most = (f64::from(max_tokens) - written).max(0.0);
        // An answer longer than usual has as likely as not a good way to go.
        let left = (self.tokens - written).max(written * 0.15).min(most);
        self.token_secs * left
    }
}

/// What is known of all models.
#[derive(Debug, Default)]
pub struct Estimator {
    models: BTreeMap<String, Pace>,
}

/// What is known of one model.
#[derive(Debug, Default)]
struct Pace {
    fronts: VecDeque<([f64; FEATURES], f64)>,
    shares: Option<[f64; FEATURES]>,
    token_secs: Ratio,
    /// Answers' lengths by kinds of files and rough bound, by kinds alone, and of all.
    tokens: BTreeMap<(u8, u32), Ratio>,
    tokens_of_kinds: BTreeMap<u8, Ratio>,
    tokens_of_all: Ratio,
}

/// A mean in which the latest counts most.
#[derive(Debug, Clone, Copy, Default)]
struct Ratio {
    sum: f64,
    weight: f64,
}

impl Ratio {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum = self.sum * FADE + value;
        self.weight = self.weight * FADE + weight;
    }

    fn get(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// Bounds of answers in steps of two: few choose an odd one.
fn rough(max_new_tokens: u32) -> u32 {
    max_new_tokens.max(1).ilog2()
}

impl Estimator {
    /// A job of this size has ended.
    pub fn learn(&mut self, size: &JobSize, took: Took) {
        if size.model.is_empty() || !(took.front_secs.is_finite() && took.answer_secs.is_finite()) {
            return;
        }
        let pace = self.models.entry(size.model.clone()).or_default();
        let answer = f64::from(took.tokens);
        if took.tokens > 0 {
            pace.token_secs.add(took.answer_secs.max(0.0), answer);
        }
        let kinds = size.kinds();
        let key = (kinds, rough(size.max_new_tokens));
        pace.tokens.entry(key).or_default().add(answer, 1.0);
        pace.tokens_of_kinds
            .entry(kinds)
            .or_default()
            .add(answer, 1.0);
        pace.tokens_of_all.add(answer, 1.0);
        pace.fronts
            .push_back((size.features(), took.front_secs.max(0.0)));
        if pace.fronts.len() > REMEMBERED {
            pace.fronts.pop_front();
        }
        pace.shares = fit(&pace.fronts);
    }

    /// What a job of this size will take. One of which nothing is known is taken for a usual one.
    pub fn expect(&self, size: &JobSize) -> Expected {
        let most = f64::from(size.max_new_tokens.max(1));
        let usual = || Expected {
            tokens: GUESS.tokens.min(most),
            ..GUESS
        };
        let pace = match self.models.get(&size.model) {
            Some(pace) => pace,
            None if size.model.is_empty() => match self.models.values().next() {
                Some(pace) => return pace.usual(),
                None => return GUESS,
            },
            None => return usual(),
        };
        let kinds = size.kinds();
        let tokens = (pace.tokens.get(&(kinds, rough(size.max_new_tokens))))
            .or_else(|| pace.tokens_of_kinds.get(&kinds))
            .and_then(Ratio::get)
            .or_else(|| pace.tokens_of_all.get());
        Expected {
            front_secs: pace.front_secs(&size.features()),
            token_secs: pace.token_secs.get().unwrap_or(GUESS.token_secs),
            tokens: tokens.unwrap_or(GUESS.tokens).min(most),
        }
    }

    /// Seconds until each waiting job begins, and last of all until a new one would, on a device that makes `together` of one
    /// model at a time: what comes before a first token one by one, answers each at an equal share of its speed. `running`:
    /// their sizes and how far they have come.
    pub fn waits<'a>(
        &self,
        running: impl Iterator<Item = (&'a JobSize, Progress)>,
        waiting: impl Iterator<Item = &'a JobSize>,
        together: usize,
    ) -> Vec<f64> {
        let running: Vec<Running<'_>> = running
            .map(|(size, done)| Running {
                line: &size.model,
                expected: self.expect(size),
                done: Done::Seen(done),
                most_tokens: match size.model.is_empty() {
                    true => u32::MAX,
                    false => size.max_new_tokens,
                },
                device: Some(0),
            })
            .collect();
        let mut waiting: Vec<Waiting<'_>> = waiting
            .map(|size| Waiting {
                line: &size.model,
                expected: self.expect(size),
            })
            .collect();
        let of_last =
            (waiting.last().map(|last| last.line)).or_else(|| running.last().map(|last| last.line));
        waiting.push(Waiting {
            line: of_last.unwrap_or_default(),
            expected: GUESS,
        });
        let device = Device {
            lines: None,
            together,
        };
        let waits = course::waits(&[device], &running, &waiting);
        waits.into_iter().map(Option::unwrap_or_default).collect()
    }
}

impl Pace {
    fn usual(&self) -> Expected {
        let fronts = self.fronts.iter().map(|(_, secs)| secs).sum::<f64>();
        Expected {
            front_secs: fronts / self.fronts.len().max(1) as f64,
            token_secs: self.token_secs.get().unwrap_or(GUESS.token_secs),
            tokens: self.tokens_of_all.get().unwrap_or(GUESS.tokens),
        }
    }

    fn front_secs(&self, features: &[f64; FEATURES]) -> f64 {
        match &self.shares {
            Some(shares) => dot(shares, features).max(FLOOR_SECS),
            None => GUESS.front_secs,
        }
    }
}

fn dot(a: &[f64; FEATURES], b: &[f64; FEATURES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Shares, none below zero, whose sums come nearest to what jobs took, relative to it. Relative to the sums themselves, in a
/// few rounds, and not to what the jobs took: otherwise those that happened to be quick would count most.
fn fit(jobs: &VecDeque<([f64; FEATURES], f64)>) -> Option<[f64; FEATURES]> {
    const ROUNDS: usize = 3;
    let mut shares = None;
    for _ in 0..ROUNDS {
        shares = Some(solve(jobs, shares.as_ref()));
    }
    shares.filter(|_| !jobs.is_empty())
}

/// Coordinate descent on the normal equations, each job weighted by what `known` shares say of it. What no job had keeps a
/// share of zero.
fn solve(
    jobs: &VecDeque<([f64; FEATURES], f64)>,
    known: Option<&[f64; FEATURES]>,
) -> [f64; FEATURES] {
    const ROUNDS: usize = 200;
    let mut matrix = [[0.0; FEATURES]; FEATURES];
    let mut goal = [0.0; FEATURES];
    let mut age = 1.0;
    for (features, secs) in jobs.iter().rev() {
        let expected = known.map_or(1.0, |known| dot(known, features));
        let weight = age / expected.max(FLOOR_SECS).powi(2);
        for (row, of_row) in matrix.iter_mut().zip(features) {
            for (cell, of_column) in row.iter_mut().zip(features) {
                *cell += weight * of_row * of_column;
            }
        }
        for (goal, feature) in goal.iter_mut().zip(features) {
            *goal += weight * feature * secs;
        }
        age *= FADE;
    }
    let mut shares = [0.0; FEATURES];
    for _ in 0..ROUNDS {
        for k in 0..FEATURES {
            let own = matrix[k][k];
            if own > 0.0 {
                let others = dot(&matrix[k], &shares) - own * shares[k];
                shares[k] = ((goal[k] - others) / own).max(0.0);
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_taken_off_and_bounds_are_kept() {
        let expected = Expected {
            front_secs: 2.0,
            token_secs: 0.1,
            tokens: 50.0,
        };
        let left = |secs, tokens| {
            let done = Progress { secs, tokens };
            expected.front_left_secs(done) + expected.answer_left_secs(done, 60)
        };
        assert!((left(0.0, 0) - 7.0).abs() < 1e-9);
        assert!((left(1.5, 0) - 5.5).abs() < 1e-9);
        assert!(
            (left(9.0, 0) - 5.0).abs() < 1e-9,
            "late, and the answer is still to come"
        );
        assert!((left(4.0, 20) - 3.0).abs() < 1e-9);
        assert!((left(8.0, 58) - 0.2).abs() < 1e-9, "two are left to write");
        assert_eq!(left(9.0, 60), 0.0);
    }

    #[test]
    fn jobs_that_happen_to_be_quick_do_not_count_more() {
        let mut estimator = Estimator::default();
        let size = JobSize {
            model: "m".into(),
            max_new_tokens: 10,
            ..JobSize::default()
        };
        for k in 0..80 {
            // Two seconds on average.
            let front_secs = if k % 2 == 0 { 0.5 } else { 3.5 };
            let took = Took {
                front_secs,
                answer_secs: 0.0,
                tokens: 0,
            };
            estimator.learn(&size, took);
        }
        let found = estimator.expect(&size).front_secs;
        assert!((found - 2.0).abs() < 0.1, "{found}");
    }

    #[test]
    fn shares_are_found_again_and_nothing_known_is_a_guess() {
        let mut estimator = Estimator::default();
        let size = |pictures: u32, text_bytes: u64| JobSize {
            model: "m".into(),
            text_bytes,
            counts: [pictures, 0, 0],
            max_new_tokens: 10,
            ..JobSize::default()
        };
        assert!(estimator.expect(&size(1, 0)).secs() > 0.0);
        for k in 0..40 {
            let (pictures, text) = (k % 3, u64::from(k % 5) * 1000);
            let front_secs = 0.5 + f64::from(pictures) * 2.0 + text as f64 * 1e-3;
            let took = Took {
                front_secs,
                answer_secs: 1.0,
                tokens: 10,
            };
            estimator.learn(&size(pictures, text), took);
        }
        let found = estimator.expect(&size(4, 500));
        assert!((found.front_secs - 9.0).abs() < 0.1, "{found:?}");
        assert!((found.token_secs - 0.1).abs() < 1e-9);
        assert!((found.tokens - 10.0).abs() < 1e-9);
        let unknown = estimator.expect(&JobSize::default());
        assert!(unknown.secs() > 1.0 && unknown.secs() < 10.0, "{unknown:?}");
    }
}

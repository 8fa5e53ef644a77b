//! Token by token: the n-gram rule, greedy or seeded choice, signals, and the next forward step.
//! In: a session that has run the prompt. Out: ids, and each step as it happens.

use std::ops::ControlFlow;

use attribution::record::{Decoding, Finish};

use crate::model::Session;
use crate::{Company, EngineError};

/// One generated token.
pub(crate) struct Step<'a> {
    pub(crate) id: u32,
    /// Which can be asked about this step.
    pub(crate) session: &'a mut dyn Session,
}

/// Generates until an end id, `max_new_tokens`, or a `Break` from `observe`, which sees every step, the end id's too.
/// `before`: ids that the n-gram rule counts with the generated ones. Steps are taken with the `company`.
pub(crate) async fn generate_among<'m>(
    company: &Company<'m>,
    mut session: Box<dyn Session + 'm>,
    before: &[u32],
    end_ids: &[u32],
    decoding: &Decoding,
    observe: &mut dyn FnMut(Step<'_>) -> Result<ControlFlow<()>, EngineError>,
) -> Result<(Vec<u32>, Finish), EngineError> {
    let mut chooser = Chooser::new(decoding);
    let mut ids = before.to_vec();
    let finish = loop {
        let generated = ids.len() - before.len();
        if generated >= decoding.max_new_tokens as usize {
            break Finish::Length;
        }
        if generated > 0
            && let Some(&last) = ids.last()
        {
            session = company.advance(session, last).await?;
        }
        let id = chooser.choose(session.logits(), &ids);
        ids.push(id);
        let flow = observe(Step {
            id,
            session: session.as_mut(),
        })?;
        if end_ids.contains(&id) {
            break Finish::End;
        }
        if flow.is_break() {
            break Finish::Stopped;
        }
    };
    Ok((ids.split_off(before.len()), finish))
}

/// [`generate_among`] nobody.
pub(crate) fn generate<'m>(
    session: Box<dyn Session + 'm>,
    before: &[u32],
    end_ids: &[u32],
    decoding: &Decoding,
    observe: &mut dyn FnMut(Step<'_>) -> Result<ControlFlow<()>, EngineError>,
) -> Result<(Vec<u32>, Finish), EngineError> {
    let company = Company::new();
    let generation = generate_among(&company, session, before, end_ids, decoding, observe);
    company.alone(generation)
}

/// Chooses tokens; its randomness depends on the seed alone.
#[derive(Debug)]
pub(crate) struct Chooser {
    temperature: f64,
    top_p: f64,
    ngram: usize,
    state: u64,
}

impl Chooser {
    pub(crate) fn new(decoding: &Decoding) -> Self {
        Self {
            temperature: decoding.temperature,
            top_p: decoding.top_p,
            ngram: decoding.no_repeat_ngram as usize,
            state: decoding.seed,
        }
    }

    /// `ids`: what the n-gram rule counts, everything generated last.
    pub(crate) fn choose(&mut self, logits: &[f32], ids: &[u32]) -> u32 {
        let mut allowed = logits.to_vec();
        for id in repeated_ngram_ends(ids, self.ngram) {
            if let Some(logit) = allowed.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if self.temperature > 0.0 {
            self.sample(&allowed)
        } else {
            highest(&allowed)
        }
    }

    /// Nucleus sampling in f64; ties keep the order of ids.
    fn sample(&mut self, logits: &[f32]) -> u32 {
        let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut weighted: Vec<(usize, f64)> = logits
            .iter()
            .map(|&logit| ((f64::from(logit) - top) / self.temperature).exp())
            .enumerate()
            .filter(|&(_, weight)| weight > 0.0)
            .collect();
        weighted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = weighted.iter().map(|&(_, weight)| weight).sum();
        let nucleus = if self.top_p > 0.0 && self.top_p < 1.0 {
            total * self.top_p
        } else {
            total
        };
        let mut kept = 0.0;
        let end = weighted
            .iter()
            .position(|&(_, weight)| {
                kept += weight;
                kept >= nucleus
            })
            .map_or(weighted.len(), |last| last + 1);
        let mut ticket = self.uniform() * kept;
        for &(id, weight) in &weighted[..end] {
            ticket -= weight;
            if ticket < 0.0 {
                return id as u32;
            }
        }
        weighted[..end]
            .last()
            .map_or_else(|| highest(logits), |&(id, _)| id as u32)
    }

    /// SplitMix64, as a number in `0..1`.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The first of the highest.
fn highest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = id;
        }
    }
    best as u32
}

/// Ids that would complete an n-gram which `ids` already hold. `n` 0: none.
fn repeated_ngram_ends(ids: &[u32], n: usize) -> Vec<u32> {
    if n == 0 || ids.len() + 1 < n {
        return Vec::new();
    }
    let tail = &ids[ids.len() + 1 - n..];
    ids.windows(n)
        .filter(|window| window[..n - 1] == *tail)
        .map(|window| window[n - 1])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngram_rule_blocks_exactly_the_repetitions() {
        assert_eq!(repeated_ngram_ends(&[1, 2, 3, 1, 2], 3), [3]);
        assert_eq!(repeated_ngram_ends(&[1, 2, 3, 2, 1], 3), [0u32; 0]);
        assert_eq!(repeated_ngram_ends(&[7, 7], 1), [7, 7]);
        assert_eq!(repeated_ngram_ends(&[1], 3), [0u32; 0]);
    }

    #[test]
    fn sampling_follows_the_seed_and_the_nucleus() {
        let decoding = |seed, top_p| Decoding {
            temperature: 1.0,
            top_p,
            seed,
            ..Decoding::default()
        };
        let draw = |seed, top_p| -> Vec<u32> {
            let mut chooser = Chooser::new(&decoding(seed, top_p));
            (0..64)
                .map(|_| chooser.choose(&[1.0, 2.0, 0.5, 1.9], &[]))
                .collect()
        };
        assert_eq!(draw(5, 1.0), draw(5, 1.0));
        assert_ne!(draw(5, 1.0), draw(6, 1.0));
        assert!(draw(5, 1.0).contains(&2));
        assert!(draw(5, 0.5).iter().all(|id| [1, 3].contains(id)));
        assert!(draw(5, 0.01).iter().all(|&id| id == 1));
    }

    #[test]
    fn greedy_takes_the_first_of_equals_unless_blocked() {
        let mut chooser = Chooser::new(&Decoding {
            no_repeat_ngram: 2,
            ..Decoding::default()
        });
        assert_eq!(chooser.choose(&[0.0, 3.0, 3.0], &[]), 1);
        assert_eq!(chooser.choose(&[0.0, 3.0, 3.0], &[4, 1, 4]), 2);
    }
}

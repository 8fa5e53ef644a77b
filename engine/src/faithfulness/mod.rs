//! Faithfulness by removal: does a chunk become less likely when what it cites is taken away?
//! In: a model, a request and the record that it gave. Out: log-probabilities of the same tokens without some units.
//!
//! A removed unit's positions are masked for every later position, those of the earlier answer included; nothing moves: every
//! kept position keeps its rotary position. A key that nobody may look at and a row that is not there are the same thing,
//! so a masked position is simply not run ([`rescore`]). The encoders' output is not computed again: a sound's other
//! seconds may still carry a trace of the removed one.

use attribution::curation::Curator;
use attribution::record::{Finish, Record, SourceRole, UnitMass};
use attribution::score;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::detokenize::Detokenizer;
use crate::generate::generate;
use crate::model::{Model, Prompt};
use crate::{EngineError, TraceRequest, pipeline};

mod draws;
mod measures;
pub(crate) mod rescore;
mod similarity;

pub use measures::{Curves, LeaveOneOut, Point, UnitFall};
pub use measures::{area, rank_correlation};

/// Most random draws of one question.
pub const MAX_DRAWS: usize = 64;
/// Most units that are left out one by one; the strongest are taken.
pub const MAX_LEFT_OUT: usize = 64;
/// Steps of a deletion or insertion curve.
pub const CURVE_STEPS: usize = 10;

/// What to measure on one chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Index among the record's chunks.
    pub chunk: usize,
    /// Units to remove; none: those that the chunk cites.
    pub units: Option<Vec<u32>>,
    /// Random sets to compare with, at most [`MAX_DRAWS`].
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Also every unit alone, at most [`MAX_LEFT_OUT`].
    pub leave_one_out: bool,
    /// Also deletion and insertion curves.
    pub curves: bool,
    /// Also the answer that the model gives without the units.
    pub regenerate: bool,
}

impl Question {
    /// Removal of what the chunk cites, against eight random sets.
    pub fn new(chunk: usize) -> Self {
        Self {
            chunk,
            units: None,
            draws: 8,
            seed: 0,
            leave_one_out: false,
            curves: false,
            regenerate: false,
        }
    }
}

/// What removal does to a chunk. Log-probabilities are natural, summed over the chunk's visible tokens, before any rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Faithfulness {
    /// The chunk.
    pub chunk: usize,
    /// What was removed, ascending.
    pub units: Vec<u32>,
    /// With every source in place.
    pub log_prob: f64,
    /// Without the units.
    pub log_prob_without: f64,
    /// `log_prob - log_prob_without`: positive where the chunk needs them.
    pub fall: f64,
    /// With no other content than the units (sufficiency); the instruction stays.
    pub log_prob_only: f64,
    /// Without any content at all.
    pub log_prob_nothing: f64,
    /// Every scored token with and without the units.
    pub tokens: Vec<TokenFall>,
    /// As many random units of the same kinds, draw by draw; none where there is no other unit to draw.
    pub random: Vec<Draw>,
    /// Mean fall of the draws.
    pub random_fall: Option<f64>,
    /// Share of draws whose fall is smaller than the units'; a tie counts half.
    pub beats_random: Option<f64>,
    /// Every unit left out alone, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave_one_out: Option<LeaveOneOut>,
    /// Deletion and insertion, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curves: Option<Curves>,
    /// The answer without the units, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regenerated: Option<Regenerated>,
    /// How often the answer was scored.
    pub passes: usize,
}

/// One token's log-probability with and without the units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TokenFall {
    /// Index among the record's tokens.
    pub token: u32,
    /// With every source in place.
    pub log_prob: f64,
    /// Without the units.
    pub log_prob_without: f64,
}

/// A random set of units, removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draw {
    /// The set, ascending.
    pub units: Vec<u32>,
    /// The chunk's log-probability without it.
    pub log_prob_without: f64,
    /// The fall.
    pub fall: f64,
}

/// An answer generated without some units, with the record's decoding settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regenerated {
    /// The text, special tokens skipped.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// A finished trace, its prompt laid out and encoded again: ready for any number of questions.
#[derive(Debug)]
pub struct Replay<'a> {
    model: &'a Model,
    record: &'a Record,
    request: &'a TraceRequest,
    prompt: Prompt,
    embeds: Tensor,
    /// Units that were left out when the record was made.
    absent: Vec<u32>,
    /// Per unit: its group's index, or none where the record's method may not cite it.
    group_of: Vec<Option<usize>>,
}

impl<'a> Replay<'a> {
    /// Decodes, lays out and encodes what `record` was made from. Refused where that is no longer the same prompt.
    pub fn open(
        model: &'a Model,
        request: &'a TraceRequest,
        record: &'a Record,
    ) -> Result<Self, EngineError> {
        // From here on every index in the record points somewhere.
        record
            .check()
            .map_err(|error| EngineError::Request(error.to_string()))?;
        let (prompt, embeds) = pipeline::prepare(model, request)?;
        if prompt.layout.units != record.units
            || prompt.ids.len() != record.receipt.prompt_tokens as usize
        {
            return Err(EngineError::Request(
                "the sources no longer give the units of this record: it was made by another model or version. Trace the \
                 question again"
                    .to_owned(),
            ));
        }
        // A child trace was generated without some units: they are not there to be removed.
        let absent = record.child_of.as_ref().map(|own| own.without.clone());
        let absent = absent.unwrap_or_default();
        let group_of = (0u32..)
            .zip(&record.units)
            .map(|(index, unit)| {
                let source = record.sources.get(unit.source as usize)?;
                let citable = record.method.cite_prompt || source.role == SourceRole::Content;
                let there = unit.positions > 0 && !absent.contains(&index);
                (citable && there).then(|| score::group(source, unit).index())
            })
            .collect();
        Ok(Self {
            model,
            record,
            request,
            prompt,
            embeds,
            absent,
            group_of,
        })
    }

    /// Units that may be cited, ascending: what random sets are drawn from.
    pub fn citable(&self) -> Vec<u32> {
        let citable = (0u32..).zip(&self.group_of);
        citable
            .filter(|(_, group)| group.is_some())
            .map(|(unit, _)| unit)
            .collect()
    }

    /// Whether a chunk cites anything.
    pub fn cites(&self, chunk: usize) -> bool {
        let attribution = self.record.attributions.get(chunk);
        attribution.is_some_and(|own| !own.cited.is_empty())
    }

    /// Measures. `None` once `go_on`, asked after every pass, says no.
    pub fn ask(
        &self,
        question: &Question,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Faithfulness>, EngineError> {
        let units = self.units_of(question)?;
        let masses = self.masses(question.chunk);
        let citable = self.citable();
        let draws = question.draws.min(MAX_DRAWS);
        let random = draws::random_sets(&units, &self.group_of, draws, question.seed);

        // Every set to be removed, in one list; what comes first is said by the order below.
        let others: Vec<u32> = without(&citable, &units);
        let mut removed: Vec<Vec<u32>> = vec![Vec::new(), units.clone(), others, citable.clone()];
        let first_random = removed.len();
        removed.extend(random.iter().cloned());
        let first_left_out = removed.len();
        let ranked = measures::ranked(&citable, &masses);
        let left_out: Vec<u32> = match question.leave_one_out {
            true => ranked.iter().copied().take(MAX_LEFT_OUT).collect(),
            false => Vec::new(),
        };
        removed.extend(left_out.iter().map(|&unit| vec![unit]));
        let first_step = removed.len();
        let steps = match question.curves {
            true => measures::curve_steps(ranked.len(), CURVE_STEPS),
            false => Vec::new(),
        };
        removed.extend(steps.iter().map(|&count| ranked[..count].to_vec()));
        removed.extend(steps.iter().map(|&count| ranked[count..].to_vec()));

        let Some((tokens, scored)) = self.score(question.chunk, &removed, go_on)? else {
            return Ok(None);
        };
        let sums: Vec<f64> = scored.iter().map(|own| own.iter().sum()).collect();
        let (with, out) = (sums[0], sums[1]);
        let random: Vec<Draw> = random
            .into_iter()
            .zip(&sums[first_random..])
            .map(|(units, &sum)| Draw {
                units,
                log_prob_without: sum,
                fall: with - sum,
            })
            .collect();
        let fall = with - out;
        let counted = random.len() as f64;
        let mean = |value: &dyn Fn(&Draw) -> f64| {
            (!random.is_empty()).then(|| random.iter().map(value).sum::<f64>() / counted)
        };
        let points = |first: usize| -> Vec<Point> {
            let sums = &sums[first..first + steps.len()];
            let shares = steps.iter().map(|&k| k as f64 / ranked.len().max(1) as f64);
            let mean = |sum: f64| (sum / tokens.len().max(1) as f64).exp();
            shares.zip(sums).map(|(x, &y)| Point(x, mean(y))).collect()
        };
        let regenerated = match question.regenerate {
            true => match self.regenerate(&units, go_on)? {
                Some(regenerated) => Some(regenerated),
                None => return Ok(None),
            },
            false => None,
        };
        Ok(Some(Faithfulness {
            chunk: question.chunk,
            log_prob: with,
            log_prob_without: out,
            fall,
            log_prob_only: sums[2],
            log_prob_nothing: sums[3],
            tokens: tokens
                .iter()
                .zip(scored[0].iter().zip(&scored[1]))
                .map(|(&token, (&log_prob, &log_prob_without))| TokenFall {
                    token,
                    log_prob,
                    log_prob_without,
                })
                .collect(),
            random_fall: mean(&|draw| draw.fall),
            beats_random: mean(&|draw| match fall.total_cmp(&draw.fall) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            }),
            leave_one_out: question.leave_one_out.then(|| {
                let falls = sums[first_left_out..].iter().map(|sum| with - sum);
                LeaveOneOut::new(&left_out, falls, &masses)
            }),
            curves: question
                .curves
                .then(|| Curves::new(points(first_step), points(first_step + steps.len()))),
            regenerated,
            units,
            random,
            passes: removed.len(),
        }))
    }

    /// The units to remove, checked.
    fn units_of(&self, question: &Question) -> Result<Vec<u32>, EngineError> {
        let chunks = self.record.chunks.len();
        let Some(attribution) = self.record.attributions.get(question.chunk) else {
            return Err(EngineError::Request(format!(
                "there is no chunk {}: the answer has {chunks}, counted from 0",
                question.chunk
            )));
        };
        let cited = || attribution.cited.iter().map(|cited| cited.unit).collect();
        let mut units: Vec<u32> = question.units.clone().unwrap_or_else(cited);
        units.sort_unstable();
        units.dedup();
        let known = self.record.units.len();
        if let Some(unit) = units.iter().find(|unit| **unit as usize >= known) {
            return Err(EngineError::Request(format!(
                "there is no unit {unit}: the record has {known}, counted from 0"
            )));
        }
        if units.is_empty() {
            return Err(EngineError::Request(
                "the chunk cites nothing, so there is nothing to remove: name units".to_owned(),
            ));
        }
        Ok(units)
    }

    /// Mass of the recorded method's signal over a chunk, per unit; each token counts with its weight.
    fn masses(&self, chunk: usize) -> Vec<f64> {
        let record = self.record;
        let mut masses = vec![0.0; record.units.len()];
        let trace = (record.signals.iter()).find(|own| own.signal == record.method.signal);
        let (Some(chunk), Some(trace)) = (record.chunks.get(chunk), trace) else {
            return masses;
        };
        for (token, own) in (record.tokens.iter().zip(&trace.tokens))
            .take(chunk.token_end as usize)
            .skip(chunk.token_start as usize)
        {
            for &UnitMass(unit, sum, max) in own {
                let positions = record.units[unit as usize].positions;
                let score = record.method.unit_score.of(sum, max, positions);
                masses[unit as usize] += score * token.pos.weight();
            }
        }
        // What was voted for goes first, in the order of its share of the votes.
        let curator = Curator::new(&record.sources, &record.units, &record.method);
        let votes = curator.votes(&record.response, chunk, &record.tokens, &trace.tokens);
        let votes: Vec<_> = votes.into_iter().map(|(_, vote)| vote).collect();
        let top = masses.iter().copied().fold(0.0, f64::max);
        for ranked in attribution::curation::rank(&votes, &record.method.curation) {
            masses[ranked.unit as usize] += top * ranked.score;
        }
        masses
    }

    /// The chunk's visible tokens, and their log-probabilities without each set of units.
    #[allow(clippy::type_complexity)]
    fn score(
        &self,
        chunk: usize,
        removed: &[Vec<u32>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<(Vec<u32>, Vec<Vec<f64>>)>, EngineError> {
        let chunk = &self.record.chunks[chunk];
        let ids: Vec<u32> = (self.record.tokens.iter())
            .take(chunk.token_end as usize)
            .map(|token| token.id)
            .collect();
        let first = chunk.token_start as usize;
        let visible: Vec<u32> = (chunk.token_start..chunk.token_end)
            .filter(|&index| {
                let token = &self.record.tokens[index as usize];
                let text = &self.record.response[token.start as usize..token.end as usize];
                !text.trim().is_empty()
            })
            .collect();
        let kept: Vec<Vec<bool>> = removed.iter().map(|units| self.kept(units)).collect();
        let answer = rescore::Answer { ids: &ids, first };
        let scored =
            (self.model.family).rescore(&self.prompt, &self.embeds, &answer, &kept, go_on)?;
        Ok(scored.map(|scored| {
            let visible_of = |own: Vec<f64>| -> Vec<f64> {
                let at = visible.iter().map(|&token| token as usize - first);
                at.map(|k| own[k]).collect()
            };
            let scored = scored.into_iter().map(visible_of).collect();
            (visible, scored)
        }))
    }

    /// Per prompt position: whether it stays when `units` go.
    fn kept(&self, units: &[u32]) -> Vec<bool> {
        rescore::kept(&self.prompt, &[units, &self.absent].concat())
    }

    /// The answer without the units; `None` once `go_on` says no.
    fn regenerate(
        &self,
        units: &[u32],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Regenerated>, EngineError> {
        let (prompt, embeds) = rescore::without(&self.prompt, &self.embeds, &self.kept(units))?;
        let (family, decoding) = (self.model.family.as_ref(), &self.request.options.decoding);
        let most = decoding.max_new_tokens as usize;
        let begun = family.begin(&prompt, &embeds, most, &mut |_, _| go_on())?;
        let Some(session) = begun else {
            return Ok(None);
        };
        let mut detokenizer = Detokenizer::new(&self.model.tokenizer);
        let mut text = String::new();
        let ends = family.end_ids();
        let (_, finish) = generate(
            session,
            family.seen_by_ngram_rule(&prompt.ids),
            ends,
            decoding,
            &mut |step| {
                text += &detokenizer.push(step.id);
                Ok(match go_on() {
                    true => std::ops::ControlFlow::Continue(()),
                    false => std::ops::ControlFlow::Break(()),
                })
            },
        )?;
        text += &detokenizer.finish();
        Ok((finish != Finish::Stopped).then_some(Regenerated { text, finish }))
    }
}

/// `all` but `units`; both ascending.
fn without(all: &[u32], units: &[u32]) -> Vec<u32> {
    let stays = |unit: &&u32| units.binary_search(unit).is_err();
    all.iter().filter(stays).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{Item, ModelFiles};
    use candle_core::Device;

    fn request() -> TraceRequest {
        TraceRequest {
            prompt: "Summarize the conversation.\n".into(),
            items: [
                "Anna: I bought a red car.\n",
                "Ben: Nice weather today.\n",
                "Carl: I saw a blue bird.\n",
            ]
            .map(|line| Item::Text(line.into()))
            .into(),
            ..TraceRequest::default()
        }
    }

    fn tiny() -> Model {
        let files = ModelFiles::Dir("../models/tiny-omni".into());
        Model::load(&files, "tiny", &Device::Cpu).expect("loads")
    }

    fn traced(model: &Model) -> Record {
        let mut go_on = |_| ControlFlow::Continue(());
        pipeline::trace(model, &request(), &mut go_on)
            .expect("traces")
            .record
    }

    #[test]
    fn whole_rows_score_as_token_by_token_does() {
        let model = tiny();
        let record = traced(&model);
        let request = request();
        let replay = Replay::open(&model, &request, &record).expect("the same prompt");
        let ids: Vec<u32> = record.tokens.iter().map(|token| token.id).collect();
        let all = vec![true; replay.prompt.ids.len()];
        let units: Vec<Vec<bool>> = replay
            .citable()
            .iter()
            .map(|u| replay.kept(&[*u]))
            .collect();
        // In no order at all, the whole prompt twice.
        let mut kept = vec![
            units[1].clone(),
            all.clone(),
            replay.kept(&replay.citable()),
        ];
        kept.extend(units);
        kept.push(all);
        for first in [0, ids.len() / 2] {
            let answer = rescore::Answer { ids: &ids, first };
            let (prompt, embeds) = (&replay.prompt, &replay.embeds);
            let family = model.family.as_ref();
            let rows = (family.rescore(prompt, embeds, &answer, &kept, &mut || true))
                .expect("scores")
                .expect("is not stopped");
            let steps = rescore::step_by_step(family, prompt, embeds, &answer, &kept, &mut || true)
                .expect("scores")
                .expect("is not stopped");
            assert_eq!(rows.len(), kept.len());
            for (rows, steps) in rows.iter().zip(&steps) {
                assert_eq!((rows.len(), steps.len()), (ids.len() - first, rows.len()));
                let apart = rows.iter().zip(steps).map(|(a, b)| (a - b).abs());
                let apart = apart.fold(0.0, f64::max);
                assert!(apart < 2e-3, "{apart}");
            }
            let sum = |at: usize| rows[at].iter().sum::<f64>();
            assert!((sum(1) - sum(kept.len() - 1)).abs() < 1e-4);
            assert!((sum(0) - sum(1)).abs() > 1e-2);
        }
    }

    #[test]
    fn a_sentence_needs_what_it_cites_and_little_else() {
        let model = tiny();
        let record = traced(&model);
        let request = request();
        let replay = Replay::open(&model, &request, &record).expect("the same prompt");
        let question = Question {
            leave_one_out: true,
            curves: true,
            regenerate: true,
            ..Question::new(0)
        };
        let asked = replay.ask(&question, &mut || true);
        let found = asked.expect("measures").expect("is not stopped");
        assert_eq!(found.units.len(), record.attributions[0].cited.len());
        assert!(found.log_prob > found.log_prob_without, "{found:?}");
        assert!(found.fall > found.random_fall.expect("others"), "{found:?}");
        assert!(found.beats_random > Some(0.5));
        assert!((found.fall - (found.log_prob - found.log_prob_without)).abs() < 1e-12);
        let tokens: f64 = found.tokens.iter().map(|own| own.log_prob).sum();
        assert!((tokens - found.log_prob).abs() < 1e-9);
        let one = found.leave_one_out.expect("asked for");
        assert_eq!(one.units.len(), replay.citable().len());
        let curves = found.curves.expect("asked for");
        assert!(curves.insertion_area > curves.deletion_area, "{curves:?}");
        let ends = (
            curves.deletion[0].1,
            curves.insertion[curves.insertion.len() - 1].1,
        );
        assert!((ends.0 - ends.1).abs() < 1e-9, "both are the whole prompt");
        assert_ne!(found.regenerated.expect("asked for").text, record.response);

        // Nothing removed: the generation again, and the same answer.
        let none = replay.regenerate(&[], &mut || true).expect("generates");
        assert_eq!(none.expect("is not stopped").text, record.response);
        assert!(
            replay
                .ask(&question, &mut || false)
                .expect("no error")
                .is_none()
        );
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let model = tiny();
        let mut record = traced(&model);
        let request = request();
        let error = |question: &Question| {
            let replay = Replay::open(&model, &request, &record).expect("the same prompt");
            let asked = replay.ask(question, &mut || true);
            asked.expect_err("is refused").to_string()
        };
        assert!(error(&Question::new(99)).contains("chunk 99"));
        let mut question = Question::new(0);
        question.units = Some(vec![7777]);
        assert!(error(&question).contains("unit 7777"));
        question.units = Some(Vec::new());
        assert!(error(&question).contains("nothing to remove"));
        record.receipt.prompt_tokens += 1;
        let other = Replay::open(&model, &request, &record);
        assert!(other.expect_err("is refused").to_string().contains("again"));
    }
}

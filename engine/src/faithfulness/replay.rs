//! A finished trace, laid out again and asked: what is scored, without which units.
//! In: a model, a request and the record that it gave. Out: answers to questions about its chunks.

use attribution::curation::Curator;
use attribution::record::{Finish, Record, SourceRole, UnitMass};
use attribution::score;
use candle_core::Tensor;

use super::measures::{Curves, LeaveOneOut, Point};
use super::{
    CURVE_STEPS, Draw, Faithfulness, MAX_DRAWS, MAX_LEFT_OUT, Question, Regenerated, TokenFall,
};
use super::{draws, measures, rescore};
use crate::detokenize::Detokenizer;
use crate::generate::generate;
use crate::model::{Model, Prompt};
use crate::{EngineError, TraceRequest, pipeline};

/// A finished trace, its prompt laid out and encoded again: ready for any number of questions.
#[derive(Debug)]
pub struct Replay<'a> {
    pub(super) model: &'a Model,
    pub(super) record: &'a Record,
    request: &'a TraceRequest,
    pub(super) prompt: Prompt,
    pub(super) embeds: Tensor,
    /// Units that were left out when the record was made.
    absent: Vec<u32>,
    /// Per unit: its group's index, or none where the record's method may not cite it.
    pub(super) group_of: Vec<Option<usize>>,
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
    pub(super) fn kept(&self, units: &[u32]) -> Vec<bool> {
        rescore::kept(&self.prompt, &[units, &self.absent].concat())
    }

    /// The answer without the units; `None` once `go_on` says no.
    pub(super) fn regenerate(
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

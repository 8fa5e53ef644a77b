//! Where citations lie, whether image mass is calibrated, how attribution goes with right answers, and options.
//! In: records and truths, one by one. Out: the figures of the paper's analysis, with charts.

use app::charts;
use app::evaluation::Analysis;
use attribution::curation::Curator;
use attribution::record::{Method, Modality, Record, UnitMass};
use attribution::score::Group;
use world::Task;
use world::sample::Sample;

use super::baselines::content;
use super::report::Estimate;
use crate::truth::Places;

/// Bins of the calibration, and points of a distribution.
const BINS: usize = 10;

/// What is gathered sample by sample.
#[derive(Debug, Default)]
pub struct Gathered {
    positions: Vec<f64>,
    true_positions: Vec<f64>,
    /// `(predicted, true)` image mass of a sentence.
    images: Vec<(f64, f64)>,
    /// Per task with options: `(answer right, mean F1)`.
    quality: Vec<(Task, bool, f64)>,
    /// Per task with options: the option with most votes is the one named.
    options: Vec<(Task, bool)>,
}

impl Gathered {
    /// One sample under one method; `f1`: the mean of its sentences.
    pub fn add(
        &mut self,
        sample: &Sample,
        record: &Record,
        places: &Places,
        method: &Method,
        (answered, f1): (bool, Option<f64>),
    ) {
        let chunks = attribution::curation::recurate(record, method);
        let units = content(record);
        let place = |unit: u32| {
            let at = units.iter().position(|own| *own == unit)?;
            Some((at as f64 + 0.5) / units.len() as f64)
        };
        // As in the paper: of summaries, whose evidence may be anywhere.
        if sample.option_letter.is_none() {
            for (chunk, truth) in chunks.iter().zip(&sample.answer) {
                let cited = chunk.cited.iter();
                self.positions
                    .extend(cited.filter_map(|own| place(own.unit)));
                for &unit in &units {
                    let own = &record.units[unit as usize];
                    let k = unit as usize;
                    let in_time = |start: f64, end: f64| {
                        let spans = truth.support.time.iter();
                        spans
                            .into_iter()
                            .any(|span| start < span[1] && span[0] < end)
                    };
                    let is_true = match own.extent {
                        attribution::record::Extent::Time {
                            start_secs,
                            end_secs,
                            ..
                        } => in_time(start_secs, end_secs),
                        _ => {
                            places.line[k].is_some_and(|line| truth.support.text.contains(&line))
                                || places.image[k].is_some_and(|image| {
                                    truth.support.image.iter().any(|own| own.image == image)
                                })
                        }
                    };
                    if is_true {
                        self.true_positions.extend(place(unit));
                    }
                }
            }
        }
        let has = |modality| record.sources.iter().any(|own| own.modality() == modality);
        if has(Modality::Image) {
            for (chunk, truth) in chunks.iter().zip(&sample.answer) {
                let mass = |image: bool| -> f64 {
                    let of = |unit: u32| places.image[unit as usize].is_some() == image;
                    (chunk.cited.iter().filter(|own| of(own.unit)))
                        .map(|own| own.mass)
                        .sum()
                };
                let (images, others) = (
                    truth.support.image.len() as f64,
                    (truth.support.text.len() + truth.support.time.len()) as f64,
                );
                let total = mass(true) + mass(false);
                if total > 0.0 && images + others > 0.0 {
                    self.images
                        .push((mass(true) / total, images / (images + others)));
                }
            }
        }
        if let Some(letter) = sample.option_letter {
            self.quality
                .extend(f1.map(|f1| (sample.task, answered, f1)));
            let named = super::last_letter(&record.response).unwrap_or(letter);
            if let Some(voted) = voted_option(record, method) {
                self.options.push((sample.task, voted == named));
            }
        }
    }

    /// The figures.
    pub fn figures(&self, seed: u64) -> Analysis {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut tasks: Vec<Task> = self.quality.iter().map(|own| own.0).collect();
        tasks.dedup();
        let over = |values: Vec<f64>| Estimate::of(&values, seed).map(Estimate::figure);
        Analysis {
            position_cdf: cdf(&self.positions),
            true_position_cdf: cdf(&self.true_positions),
            mean_position: rounded(mean(&self.positions)),
            true_mean_position: rounded(mean(&self.true_positions)),
            image_calibration: calibration(&self.images),
            quality: tasks
                .iter()
                .map(|task| {
                    let of = |right: bool| {
                        let own = self.quality.iter();
                        let own = own.filter(|own| own.0 == *task && own.1 == right);
                        over(own.map(|own| own.2).collect())
                    };
                    (task.name().to_owned(), of(true), of(false))
                })
                .collect(),
            option_consistency: tasks
                .iter()
                .map(|task| {
                    let own = self.options.iter().filter(|own| own.0 == *task);
                    let shares = own.map(|own| f64::from(u8::from(own.1))).collect();
                    (task.name().to_owned(), over(shares))
                })
                .collect(),
        }
    }
}

/// The letter of the option unit with most votes in the answer's last sentence: `B` of a unit that begins with `(B)` or `B.`
fn voted_option(record: &Record, method: &Method) -> Option<char> {
    let chunk = record.chunks.last()?;
    let trace = record
        .signals
        .iter()
        .find(|own| own.signal == method.signal)?;
    let curator = Curator::new(&record.sources, &record.units, method);
    let mut weights: Vec<(char, f64)> = Vec::new();
    let tokens: Vec<Vec<UnitMass>> = trace
        .tokens
        .iter()
        .map(|own| {
            let option = |mass: &&UnitMass| letter_of(record, mass.0).is_some();
            own.iter().filter(option).copied().collect()
        })
        .collect();
    for (group, vote) in curator.votes(&record.response, chunk, &record.tokens, &tokens) {
        if group != Group::Text {
            continue;
        }
        let Some(letter) = letter_of(record, vote.unit) else {
            continue;
        };
        let weight = method.curation.vote_weight(vote.pos, vote.confidence);
        match weights.iter_mut().find(|own| own.0 == letter) {
            Some(own) => own.1 += weight,
            None => weights.push((letter, weight)),
        }
    }
    let best = weights.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(best.0)
}

fn letter_of(record: &Record, unit: u32) -> Option<char> {
    let own = record.units.get(unit as usize)?;
    let source = &record.sources[own.source as usize];
    let (
        attribution::record::SourceItem::Text { text },
        attribution::record::Extent::Text { start, end },
    ) = (&source.item, &own.extent)
    else {
        return None;
    };
    let text = text.get(*start as usize..*end as usize)?.trim_start();
    let mut chars = text.trim_start_matches('(').chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    matches!(chars.next(), Some(')' | '.' | ':')).then_some(letter)
}

fn cdf(values: &[f64]) -> Vec<[f64; 2]> {
    let share = |at: f64| {
        let below = values.iter().filter(|own| **own <= at).count();
        rounded(below as f64 / values.len().max(1) as f64)
    };
    (0..=2 * BINS)
        .map(|k| k as f64 / (2 * BINS) as f64)
        .map(|at| [at, share(at)])
        .collect()
}

fn calibration(pairs: &[(f64, f64)]) -> Vec<[f64; 3]> {
    (0..BINS)
        .filter_map(|bin| {
            let of = |own: &&(f64, f64)| ((own.0 * BINS as f64) as usize).min(BINS - 1) == bin;
            let own: Vec<&(f64, f64)> = pairs.iter().filter(of).collect();
            let count = own.len() as f64;
            let mean = |value: fn(&(f64, f64)) -> f64| {
                rounded(own.iter().map(|own| value(own)).sum::<f64>() / count)
            };
            (count > 0.0).then(|| [mean(|own| own.0), mean(|own| own.1), count])
        })
        .collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Every chart by name, as SVG, and its data as CSV.
pub fn files(analysis: &Analysis) -> Vec<(&'static str, String, String)> {
    app::evaluation::charts(analysis)
        .into_iter()
        .map(|(name, _, svg)| {
            let mut data = String::new();
            let mut line = |cells: &[String]| data += &(cells.join(",") + "\n");
            match name {
                "position" => {
                    line(&["position".into(), "cited".into(), "true".into()]);
                    let both = analysis
                        .position_cdf
                        .iter()
                        .zip(&analysis.true_position_cdf);
                    both.for_each(|(a, b)| line(&[a[0], a[1], b[1]].map(|own| own.to_string())));
                }
                "calibration" => {
                    line(&["predicted".into(), "true".into(), "sentences".into()]);
                    let bins = analysis.image_calibration.iter();
                    bins.for_each(|own| line(&own.map(|own| own.to_string())));
                }
                "quality" => {
                    line(&["task".into(), "right".into(), "wrong".into()]);
                    let of = |own: &Option<[f64; 3]>| {
                        own.map_or(String::new(), |own| own[0].to_string())
                    };
                    for (task, right, wrong) in &analysis.quality {
                        line(&[task.clone(), of(right), of(wrong)]);
                    }
                }
                _ => {
                    line(&["task".into(), "share".into()]);
                    for (task, share) in &analysis.option_consistency {
                        line(&[
                            task.clone(),
                            share.map_or(String::new(), |own| own[0].to_string()),
                        ]);
                    }
                }
            }
            (name, charts::as_file(&svg), data)
        })
        .collect()
}

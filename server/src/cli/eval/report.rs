//! The numbers of an evaluation: means over samples with bootstrap intervals, as a table, JSON and CSV.

use std::fmt::Write;

use app::evaluation::{Ablation, Analysis, Evaluation, Figure, Removal, Row, TaskFigures};
use attribution::record::{SignalKind, UnitScore};
use engine::Model;
use serde_json::{Map, Value, json};
use world::rng::Rng;
use world::{Split, Task};

use super::marks::Marks;

mod tables;

/// Resamplings behind every 95 % interval.
const RESAMPLINGS: usize = 1_000;

/// One sample, judged.
#[derive(Debug)]
pub struct Judged {
    /// The final answer is right; for a summary: all of it is.
    pub answered: bool,
    /// Per expected sentence: it stands at its place, word for word.
    pub sentences: Vec<bool>,
    /// Per method, in the order of [`methods`], per sentence: whether it is right, and its marks; empty where the method was
    /// not tried.
    pub marks: Vec<Vec<(bool, Marks)>>,
}

impl Judged {
    /// The mean F1 of sources over all sentences, by the first method: the usual one.
    pub fn sources_f1(&self) -> Option<f64> {
        let marks = self.marks.first()?;
        let kinds = Marks::NAMES.iter().enumerate();
        let means: Vec<f64> = kinds
            .filter(|(_, name)| Marks::SOURCES.contains(name))
            .filter_map(|(mark, _)| sample_mean(marks, mark, false))
            .collect();
        (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
    }
}

/// The baselines' names, in the order in which they are judged.
pub const BASELINES: [&str; 5] = ["random", "blind", "embedding", "self", "clip"];

/// The row for who sees every object but does not know which is meant; only the marks that point have it.
pub const ANY_OBJECT: &str = "any object";

/// The paper's method: its best signal, curated as it does.
pub const PAPERS: (&str, &str) = ("attmean", "paper");

/// Every method that is judged, with its unit score: signals (unit score fastest), the paper's, baselines, then any object.
pub fn methods() -> Vec<(&'static str, &'static str)> {
    let signals = (SignalKind::ALL.into_iter())
        .flat_map(|signal| UnitScore::ALL.map(|unit_score| (signal.name(), unit_score.name())));
    let baselines = BASELINES.into_iter().chain([ANY_OBJECT]);
    let baselines = baselines.map(|name| (name, "baseline"));
    signals.chain([PAPERS]).chain(baselines).collect()
}

/// What the page shows: signals by their unit sums, the paper's method, baselines.
fn is_shown(unit_score: &str) -> bool {
    ["sum", PAPERS.1, "baseline"].contains(&unit_score)
}

/// A method's name on the page.
fn named(method: &str, unit_score: &str) -> String {
    match unit_score == PAPERS.1 {
        true => format!("{method}, as the paper"),
        false => method.to_owned(),
    }
}

/// A mean over samples and its 95 % interval; none of nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Mean over samples.
    pub mean: f64,
    /// 2.5 % of the resampled means lie below.
    pub low: f64,
    /// 2.5 % of the resampled means lie above.
    pub high: f64,
    /// Samples that count.
    pub samples: usize,
}

impl Estimate {
    /// From one value per sample.
    pub fn of(values: &[f64], seed: u64) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let mut rng = Rng::keyed(seed, "bootstrap");
        let mut means: Vec<f64> = (0..RESAMPLINGS)
            .map(|_| (0..n).map(|_| values[rng.below(n)]).sum::<f64>() / n as f64)
            .collect();
        means.sort_by(f64::total_cmp);
        Some(Self {
            mean,
            low: means[RESAMPLINGS * 25 / 1_000],
            high: means[RESAMPLINGS * 975 / 1_000 - 1],
            samples: n,
        })
    }

    /// `[mean, low, high]`, rounded.
    pub fn figure(self) -> Figure {
        [self.mean, self.low, self.high].map(|own| (own * 1e4).round() / 1e4)
    }

    fn json(self) -> Value {
        json!({"low": rounded(self.low), "high": rounded(self.high), "samples": self.samples})
    }
}

/// Marks of one signal and unit score: over all sentences, and over the right ones.
#[derive(Debug)]
pub struct Scores {
    method: &'static str,
    unit_score: &'static str,
    all: [Option<Estimate>; Marks::NAMES.len()],
    correct: [Option<Estimate>; Marks::NAMES.len()],
}

/// One task.
#[derive(Debug)]
pub struct TaskReport {
    task: Task,
    answer: Option<Estimate>,
    sentence: Option<Estimate>,
    n: usize,
    scores: Vec<Scores>,
}

impl TaskReport {
    /// Over the samples of a task.
    pub fn new(task: Task, judged: &[Judged], seed: u64) -> Self {
        let share = |right: &[bool]| {
            right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64
        };
        let answers: Vec<f64> = judged
            .iter()
            .map(|one| f64::from(u8::from(one.answered)))
            .collect();
        let sentences: Vec<f64> = judged.iter().map(|one| share(&one.sentences)).collect();
        let scores = (methods().into_iter().enumerate())
            .map(|(at, (method, unit_score))| {
                let over = |only_right: bool| {
                    std::array::from_fn(|mark| {
                        let per_sample: Vec<f64> = judged
                            .iter()
                            .filter_map(|one| sample_mean(&one.marks[at], mark, only_right))
                            .collect();
                        Estimate::of(&per_sample, seed)
                    })
                };
                Scores {
                    method,
                    unit_score,
                    all: over(false),
                    correct: over(true),
                }
            })
            .collect();
        Self {
            task,
            answer: Estimate::of(&answers, seed),
            sentence: Estimate::of(&sentences, seed),
            n: judged.len(),
            scores,
        }
    }

    /// The mean over the marks of sources that this task has, over right sentences.
    fn overall(&self, own: &Scores) -> Option<f64> {
        let marks = Marks::NAMES.iter().zip(own.correct);
        let means: Vec<f64> = marks
            .filter(|(name, _)| Marks::SOURCES.contains(name))
            .filter_map(|(_, estimate)| Some(estimate?.mean))
            .collect();
        (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
    }

    /// For the page: signals by their unit sums, the paper's method, and baselines.
    fn figures(&self) -> TaskFigures {
        let shown = |own: &&Scores| is_shown(own.unit_score);
        TaskFigures {
            task: self.task.name().to_owned(),
            n: self.n as u64,
            answers: self.answer.map(Estimate::figure),
            sentences: self.sentence.map(Estimate::figure),
            rows: (self.scores.iter().filter(shown))
                .filter(|own| own.correct.iter().any(Option::is_some))
                .map(|own| Row {
                    method: named(own.method, own.unit_score),
                    marks: (own.correct.iter())
                        .map(|own| own.map(Estimate::figure))
                        .collect(),
                })
                .collect(),
        }
    }

    fn json(&self) -> Value {
        let mut scores: Map<String, Value> = Map::new();
        for own in &self.scores {
            let mut marks = Map::new();
            for (k, name) in Marks::NAMES.iter().enumerate() {
                for (suffix, estimate) in [("", own.all[k]), ("_correct", own.correct[k])] {
                    let Some(estimate) = estimate else { continue };
                    marks.insert(format!("{name}{suffix}"), rounded(estimate.mean));
                    marks.insert(format!("{name}{suffix}_interval"), estimate.json());
                }
            }
            scores.entry(own.method).or_insert_with(|| json!({}))[own.unit_score] =
                Value::Object(marks);
        }
        let mean = |estimate: Option<Estimate>| estimate.map(|own| rounded(own.mean));
        json!({
            "n": self.n,
            "answer_accuracy": mean(self.answer),
            "answer_accuracy_interval": self.answer.map(Estimate::json),
            "sentence_accuracy": mean(self.sentence),
            "sentence_accuracy_interval": self.sentence.map(Estimate::json),
            "scores": scores,
        })
    }
}

/// The mean of one mark over the sentences of a sample that have it.
fn sample_mean(sentences: &[(bool, Marks)], mark: usize, only_right: bool) -> Option<f64> {
    let values: Vec<f64> = sentences
        .iter()
        .filter(|(right, _)| *right || !only_right)
        .filter_map(|(_, marks)| marks.0[mark])
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// All tasks, and what they were measured with.
#[derive(Debug)]
pub struct Report {
    model: String,
    model_hash: String,
    seed: u64,
    n: u64,
    split: Split,
    /// In the order asked for.
    pub tasks: Vec<TaskReport>,
    /// The curation, part by part.
    pub ablations: Vec<Ablation>,
    /// Removal, per task and over all; empty where it was not measured.
    pub removal: Vec<Removal>,
    /// Positions, calibration, quality, options.
    pub analysis: Analysis,
    /// Of the samples whose model was asked itself: how many, and how many replies had the form.
    pub asked: [u64; 2],
}

impl Report {
    /// Without tasks yet.
    pub fn new(model: &Model, seed: u64, n: u64, split: Split) -> Self {
        Self {
            model: model.name.clone(),
            model_hash: model.hash.clone(),
            seed,
            n,
            split,
            tasks: Vec::new(),
            ablations: Vec::new(),
            removal: Vec::new(),
            analysis: Analysis::default(),
            asked: [0; 2],
        }
    }

    /// Per method and unit score: the mean over tasks of each task's mean over its marks of sources, on right sentences.
    fn overall(&self) -> Vec<((&'static str, &'static str), f64)> {
        (methods().into_iter().enumerate())
            .filter_map(|(at, method)| {
                let means: Vec<f64> = (self.tasks.iter())
                    .filter_map(|task| task.overall(&task.scores[at]))
                    .collect();
                let mean = means.iter().sum::<f64>() / means.len() as f64;
                (!means.is_empty()).then_some((method, mean))
            })
            .collect()
    }

    /// For the page.
    pub fn page(&self, command: String, usual: String) -> Evaluation {
        Evaluation {
            model: self.model.clone(),
            model_hash: self.model_hash.clone(),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            split: self.split.name().to_owned(),
            seed: self.seed,
            n: self.n,
            command,
            usual,
            marks: Marks::NAMES.map(str::to_owned).to_vec(),
            tasks: self.tasks.iter().map(TaskReport::figures).collect(),
            overall: (self.overall().into_iter())
                .filter(|((_, unit_score), _)| is_shown(unit_score))
                .map(|((method, unit_score), mean)| {
                    (named(method, unit_score), (mean * 1e4).round() / 1e4)
                })
                .collect(),
            ablations: self.ablations.clone(),
            removal: self.removal.clone(),
            analysis: self.analysis.clone(),
        }
    }

    /// `tasks.<name>.{n, answer_accuracy, sentence_accuracy, scores.<signal>.<unit score>.<mark>}`; a mark over the right
    /// sentences alone ends in `_correct`, a 95 % interval in `_interval`.
    pub fn json(&self) -> Value {
        let tasks: Map<String, Value> = self
            .tasks
            .iter()
            .map(|task| (task.task.name().to_owned(), task.json()))
            .collect();
        json!({
            "model": self.model,
            "model_hash": self.model_hash,
            "code_version": env!("CARGO_PKG_VERSION"),
            "split": self.split.name(),
            "seed": self.seed,
            "n": self.n,
            "resamplings": RESAMPLINGS,
            "tasks": tasks,
            "overall": self.overall().into_iter()
                .map(|((method, unit_score), mean)| (format!("{method} {unit_score}"), rounded(mean)))
                .collect::<Map<String, Value>>(),
            "ablations": self.ablations,
            "removal": self.removal,
            "analysis": self.analysis,
            "self_attribution": {"asked": self.asked[0], "in_form": self.asked[1]},
        })
    }

    /// One score a line.
    pub fn csv(&self) -> String {
        let mut out = "task,signal,unit_score,sentences,mark,mean,low,high,samples\n".to_owned();
        for task in &self.tasks {
            for own in &task.scores {
                for (which, marks) in [("all", &own.all), ("correct", &own.correct)] {
                    for (name, estimate) in Marks::NAMES.iter().zip(marks) {
                        let Some(e) = estimate else { continue };
                        let _ = writeln!(
                            out,
                            "{},{},{},{which},{name},{:.4},{:.4},{:.4},{}",
                            task.task.name(),
                            own.method,
                            own.unit_score,
                            e.mean,
                            e.low,
                            e.high,
                            e.samples
                        );
                    }
                }
            }
        }
        out
    }
}

/// Four digits: what more would be is noise, and files stay the same between machines.
fn rounded(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_holds_its_mean_and_is_the_same_every_time() {
        let values: Vec<f64> = (0..50).map(|k| f64::from(k % 2)).collect();
        let estimate = Estimate::of(&values, 7).expect("some values");
        assert!((estimate.mean - 0.5).abs() < 1e-12);
        assert!(estimate.low < 0.5 && 0.5 < estimate.high && estimate.low > 0.3);
        assert_eq!(Estimate::of(&values, 7), Some(estimate));
        assert_eq!(Estimate::of(&[], 7), None);
    }

    #[test]
    fn right_sentences_are_told_apart() {
        let mark = |value| {
            let mut marks = Marks::default();
            marks.0[0] = Some(value);
            marks
        };
        let sentences = [
            (true, mark(1.0)),
            (false, mark(0.0)),
            (true, Marks::default()),
        ];
        assert_eq!(sample_mean(&sentences, 0, false), Some(0.5));
        assert_eq!(sample_mean(&sentences, 0, true), Some(1.0));
        assert_eq!(sample_mean(&sentences, 1, false), None);
    }
}

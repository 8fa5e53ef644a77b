//! The numbers of an evaluation: means over samples with bootstrap intervals, as a table, JSON and CSV.

use std::fmt::Write;

use attribution::record::{SignalKind, UnitScore};
use engine::Model;
use serde_json::{Map, Value, json};
use world::rng::Rng;
use world::{Split, Task};

use super::marks::Marks;

/// Resamplings behind every 95 % interval.
const RESAMPLINGS: usize = 1_000;

/// One sample, judged.
#[derive(Debug)]
pub struct Judged {
    /// The final answer is right; for a summary: all of it is.
    pub answered: bool,
    /// Per expected sentence: it stands at its place, word for word.
    pub sentences: Vec<bool>,
    /// Per signal and unit score (unit score fastest), per sentence: whether it is right, and its marks.
    pub marks: Vec<Vec<(bool, Marks)>>,
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

    fn json(self) -> Value {
        json!({"low": rounded(self.low), "high": rounded(self.high), "samples": self.samples})
    }
}

/// Marks of one signal and unit score: over all sentences, and over the right ones.
#[derive(Debug)]
pub struct Scores {
    signal: SignalKind,
    unit_score: UnitScore,
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
        let methods = SignalKind::ALL
            .into_iter()
            .flat_map(|signal| UnitScore::ALL.map(|unit_score| (signal, unit_score)));
        let scores = methods
            .enumerate()
            .map(|(at, (signal, unit_score))| {
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
                    signal,
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
            scores.entry(own.signal.name()).or_insert_with(|| json!({}))[own.unit_score.name()] =
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
                            own.signal.name(),
                            own.unit_score.name(),
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

    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let last = self.seed.wrapping_add(self.n - 1);
        let _ = writeln!(
            out,
            "{} ({}), split {}, seeds {}..={last}; mean over samples [95 % by {RESAMPLINGS} resamplings]\n",
            self.model,
            self.model_hash,
            self.split.name(),
            self.seed
        );
        for task in &self.tasks {
            let _ = writeln!(
                out,
                "{}  n {}  answers {}  sentences {}",
                task.task.name(),
                task.n,
                shown(task.answer),
                shown(task.sentence)
            );
            let named: Vec<usize> = (0..Marks::NAMES.len())
                .filter(|k| task.scores.iter().any(|own| own.all[*k].is_some()))
                .collect();
            for (which, correct) in [("all sentences", false), ("right sentences", true)] {
                let _ = write!(out, "  {which:<22}");
                for k in &named {
                    let _ = write!(out, "{:<22}", Marks::NAMES[*k]);
                }
                out.push('\n');
                for own in &task.scores {
                    let marks = if correct { &own.correct } else { &own.all };
                    let _ = write!(
                        out,
                        "    {:<10}{:<10}",
                        own.signal.name(),
                        own.unit_score.name()
                    );
                    for k in &named {
                        let _ = write!(out, "{:<22}", shown(marks[*k]));
                    }
                    out.push('\n');
                }
            }
            out.push('\n');
        }
        out
    }
}

fn shown(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "-".to_owned(),
        |e| format!("{:.3} [{:.3}, {:.3}]", e.mean, e.low, e.high),
    )
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

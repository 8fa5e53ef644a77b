//! The figures of an evaluation: what `/eval` shows, and what `omnitrace eval world --page` writes.
//! Every number is a mean over samples with its 95 % interval, as `[mean, low, high]`.

use serde::{Deserialize, Serialize};

use crate::charts::{self, Bar, Line};

/// `[mean, low, high]`
pub type Figure = [f64; 3];

/// An evaluation of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evaluation {
    /// Model name.
    pub model: String,
    /// Hash of its weights.
    pub model_hash: String,
    /// Version of the program that measured.
    pub code_version: String,
    /// Which samples: `eval` or `heldout`.
    pub split: String,
    /// First seed of every task.
    pub seed: u64,
    /// Samples per task.
    pub n: u64,
    /// The command that writes this file.
    pub command: String,
    /// The method of new traces, as `signal, unit score, competition`.
    pub usual: String,
    /// Names of the marks of [`Row`], in order.
    pub marks: Vec<String>,
    /// Per task: answers right, and the marks of every method.
    pub tasks: Vec<TaskFigures>,
    /// Every method's mean over tasks, of each task's mean over its marks of sources.
    pub overall: Vec<(String, f64)>,
    /// One part of the curation left out at a time.
    pub ablations: Vec<Ablation>,
    /// What removal does; none where it was not measured.
    pub removal: Vec<Removal>,
    /// Where citations lie, how they relate to truth and to right answers.
    pub analysis: Analysis,
}

/// One task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskFigures {
    /// Name.
    pub task: String,
    /// Samples.
    pub n: u64,
    /// Final answer right; for a summary, all of it.
    pub answers: Option<Figure>,
    /// Sentences right, word for word.
    pub sentences: Option<Figure>,
    /// Per method, over the sentences that are right.
    pub rows: Vec<Row>,
}

/// One method on one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// A signal, or a baseline.
    pub method: String,
    /// In the order of [`Evaluation::marks`]; none where the task has no such sources.
    pub marks: Vec<Option<Figure>>,
}

/// The curation with one part left out: precision, recall and F1 of each modality, in percent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// What is left out.
    pub name: String,
    /// Text, image, audio, video; none where no task has it.
    pub scores: [Option<[f64; 3]>; 4],
}

/// Removal over one task's sentences.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// Task, or `all`.
    pub task: String,
    /// Sentences that could be compared with random units.
    pub chunks: u64,
    /// Share of them whose fall is larger than the mean of the random draws.
    pub larger: Option<Figure>,
    /// Mean fall in nats without the cited units.
    pub fall: Option<Figure>,
    /// Mean fall in nats without as many random units.
    pub random_fall: Option<Figure>,
    /// Mean fall in nats with the cited units alone.
    pub only_fall: Option<Figure>,
    /// Mean fall in nats without any content.
    pub nothing_fall: Option<Figure>,
    /// Area under the deletion curve: low is good.
    pub deletion_area: Option<Figure>,
    /// Area under the insertion curve: high is good.
    pub insertion_area: Option<Figure>,
    /// Spearman's, between a unit's mass and its fall when left out alone.
    pub rank_correlation: Option<Figure>,
}

/// What the paper's analysis section asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Analysis {
    /// `[position, share of citations at or before it]`; positions are a unit's place among the units, 0..=1.
    pub position_cdf: Vec<[f64; 2]>,
    /// The same of the true sources.
    pub true_position_cdf: Vec<[f64; 2]>,
    /// Mean position of citations.
    pub mean_position: f64,
    /// Mean position of the true sources.
    pub true_mean_position: f64,
    /// Per bin `[predicted image mass, true image mass, sentences]`.
    pub image_calibration: Vec<[f64; 3]>,
    /// Per task with answers: mean F1 of sources where the answer is right, and where it is wrong.
    pub quality: Vec<(String, Option<Figure>, Option<Figure>)>,
    /// Per task with options: share of samples in which the option with most votes in the answer is the one it names.
    pub option_consistency: Vec<(String, Option<Figure>)>,
}

/// The charts of an analysis: name, what it shows, SVG. Those without data are left out.
pub fn charts(analysis: &Analysis) -> Vec<(&'static str, &'static str, String)> {
    let mut out = Vec::new();
    let diagonal = |name| Line {
        name,
        points: vec![[0.0, 0.0], [1.0, 1.0]],
        colour: "soft",
        dashed: true,
        steps: false,
    };
    if !analysis.position_cdf.is_empty() {
        let line = |name, points: &[[f64; 2]], colour| Line {
            name,
            points: points.to_vec(),
            colour,
            dashed: false,
            steps: true,
        };
        let all = [
            diagonal("uniform"),
            line("true", &analysis.true_position_cdf, "audio"),
            line("cited", &analysis.position_cdf, "text"),
        ];
        let svg = charts::lines(
            "Where cited sources lie in the prompt",
            "place among the sources",
            "share at or before it",
            &all,
        );
        out.push(("position", "Where cited sources lie", svg));
    }
    if !analysis.image_calibration.is_empty() {
        let bins = Line {
            name: "sentences, in bins",
            points: (analysis.image_calibration.iter())
                .map(|own| [own[0], own[1]])
                .collect(),
            colour: "image",
            dashed: false,
            steps: false,
        };
        let all = [diagonal("calibrated"), bins];
        let svg = charts::lines(
            "Calibration of image mass",
            "share of cited mass on pictures",
            "true share of pictures",
            &all,
        );
        out.push(("calibration", "Calibration of image mass", svg));
    }
    let bar = |name, figure: &Option<Figure>, colour| {
        figure.map(|figure| Bar {
            name,
            figure,
            colour,
        })
    };
    let quality: Vec<(&str, Vec<Bar<'_>>)> = (analysis.quality.iter())
        .map(|(task, right, wrong)| {
            let bars = [
                bar("answer right", right, "audio"),
                bar("answer wrong", wrong, "soft"),
            ];
            (task.as_str(), bars.into_iter().flatten().collect())
        })
        .collect();
    if !quality.is_empty() {
        let svg = charts::bars(
            "Attribution where answers are right and wrong",
            "F1",
            &quality,
        );
        out.push(("quality", "Attribution by answers right and wrong", svg));
    }
    let options: Vec<(&str, Vec<Bar<'_>>)> = (analysis.option_consistency.iter())
        .map(|(task, share)| {
            let bars = bar("most votes on the option named", share, "video");
            (task.as_str(), bars.into_iter().collect())
        })
        .collect();
    if !options.is_empty() {
        let svg = charts::bars("Option consistency", "share of samples", &options);
        out.push(("options", "Most votes on the option that is named", svg));
    }
    out
}

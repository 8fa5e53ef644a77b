//! What an evaluation must show: that weights which know nothing fall to chance, and that those that were trained do not.

use std::path::Path;

use engine::{Device, ModelFiles};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use world::rng::Rng;

use super::*;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-omni");

#[test]
fn the_letter_is_the_last_in_brackets() {
    assert_eq!(
        last_letter("It is (A). So the answer is bell (B)."),
        Some('B')
    );
    assert_eq!(last_letter("bell (B"), None);
    assert_eq!(last_letter(""), None);
}

/// The shipped model with the values of every tensor in another order: the same sizes and scales, no knowledge.
fn shuffled(dir: &Path, seed: u64) -> Model {
    for entry in std::fs::read_dir(TINY).expect("the model") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, dir.join(name)).expect("copied");
    }
    let weights = dir.join("model.safetensors");
    let bytes = std::fs::read(&weights).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut rng = Rng::new(seed);
    // They come in the order of a hash map.
    let mut named = tensors.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mixed: Vec<(String, Vec<u8>)> = named
        .into_iter()
        .map(|(name, tensor)| {
            let size = tensor.dtype().bitsize() / 8;
            let mut values: Vec<&[u8]> = tensor.data().chunks(size).collect();
            for end in (1..values.len()).rev() {
                values.swap(end, rng.below(end + 1));
            }
            (name, values.concat())
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = mixed
        .iter()
        .map(|(name, data)| {
            let like = tensors.tensor(name).expect("it was there");
            let shape = like.shape().to_vec();
            let view = TensorView::new(like.dtype(), shape, data).expect("the same size");
            (name.as_str(), view)
        })
        .collect();
    let whole = safetensors::serialize(views, None).expect("written");
    std::fs::write(weights, whole).expect("written");
    load(dir)
}

fn load(dir: &Path) -> Model {
    let files = ModelFiles::Dir(dir.to_owned());
    Model::load(&files, "tiny", &Device::Cpu).expect("loads")
}

/// Samples of a task.
const FEW: u64 = 12;
/// Samples of the tasks where a mark points at one of several: each is a hit or none, so that the mean of a few says little.
const MANY: u64 = 24;
const POINTED_IN: [Task; 2] = [Task::VisualQa, Task::VideoQa];
const POINTING: [&str; 2] = ["pointing", "frame_pointing"];
/// Untrained attention leans to beginnings, which is right or wrong by how many sentences a model happens to write: not one
/// model, but several.
const SHUFFLES: u64 = 3;

/// Every task as JSON, one of `parts` equal parts of its samples.
fn figures(model: &Model, part: u64, parts: u64) -> Vec<Value> {
    let evaluated = |task: Task| {
        let all = if POINTED_IN.contains(&task) {
            MANY
        } else {
            FEW
        };
        let n = all / parts;
        let args = WorldEvalArgs {
            tasks: vec![task],
            seed: 77_000 + part * n,
            n,
            split: Split::Eval,
            model: None,
            removal: 0,
            ask: 0,
            clip: None,
            charts: None,
            page: None,
            json: None,
            csv: None,
        };
        let report = evaluate(model, 0, &args).expect("evaluates").json();
        report["tasks"][task.name()].clone()
    };
    Task::ALL.into_iter().map(evaluated).collect()
}

/// The mean of one mark of a method over all samples of these tasks, all sentences, and how many samples have it.
fn mark(tasks: &[Value], method: [&str; 2], name: &str) -> Option<(f64, f64)> {
    let (mut sum, mut samples) = (0.0, 0.0);
    for task in tasks {
        let scores = &task["scores"][method[0]][method[1]];
        let interval = &scores[format!("{name}_interval")];
        if let (Some(mean), Some(n)) = (scores[name].as_f64(), interval["samples"].as_f64()) {
            (sum, samples) = (sum + mean * n, samples + n);
        }
    }
    (samples > 0.0).then(|| (sum / samples, samples))
}

#[test]
fn weights_that_know_nothing_fall_to_chance() {
    let ignorant = |part: u64| {
        let dir = tempfile::tempdir().expect("a directory");
        figures(&shuffled(dir.path(), part + 1), part, SHUFFLES)
    };
    let (nothing, trained) = std::thread::scope(|scope| {
        let trained = scope.spawn(|| figures(&load(Path::new(TINY)), 0, 1));
        let nothing: Vec<Value> = (0..SHUFFLES).flat_map(ignorant).collect();
        (nothing, trained.join().expect("evaluated"))
    });
    for (task, name) in nothing.iter().zip(Task::ALL.iter().cycle()) {
        assert_eq!(task["sentence_accuracy"], 0.0, "{name}");
        let answers = task["answer_accuracy"].as_f64().expect("a number");
        assert!(answers < 0.5, "{name}: {answers}");
    }
    let mut wrong = Vec::new();
    for name in Marks::NAMES {
        // Where there is one object to see, pointing at it is no knowledge.
        let of = |tasks: &[Value]| -> Vec<Value> {
            let tasks = tasks.iter().zip(Task::ALL.iter().cycle());
            tasks
                .filter(|(_, task)| !POINTING.contains(&name) || POINTED_IN.contains(task))
                .map(|(own, _)| own.clone())
                .collect()
        };
        let (nothing, trained) = (of(&nothing), of(&trained));
        let chance = |tasks: &[Value]| {
            let of = |method| mark(tasks, [method, "baseline"], name).map(|own| own.0);
            let seeing = of(report::ANY_OBJECT);
            assert_eq!(seeing.is_some(), POINTING.contains(&name), "{name}");
            let chances = [of("random").expect("a mark"), of("blind").expect("a mark")];
            chances.into_iter().chain(seeing).fold(0.0, f64::max)
        };
        let over_signals = |tasks: &[Value]| {
            let marks =
                SignalKind::ALL.map(|own| mark(tasks, [own.name(), "sum"], name).expect("a mark"));
            let sum: f64 = marks.iter().map(|own| own.0).sum();
            (sum / marks.len() as f64, marks[0].1)
        };
        let ((found, samples), (knows, _)) = (over_signals(&nothing), over_signals(&trained));
        let [by_chance, beside_it] = [chance(&nothing), chance(&trained)];
        // Two standard errors of a share of so many samples at their worst.
        let noise = 1.0 / samples.sqrt();
        let told = format!(
            "{name}: knowing nothing {found:.3}, by chance {by_chance:.3}; trained {knows:.3}, by chance {beside_it:.3}; \
             noise {noise:.3}"
        );
        println!("{told}");
        if found > by_chance + noise || knows < found.max(beside_it) + noise {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

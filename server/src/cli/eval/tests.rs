//! What an evaluation must show: that weights which know nothing fall to chance, and that those that were trained do not.

use std::path::Path;

use engine::{Device, ModelFiles};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
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
fn shuffled(dir: &Path) -> Model {
    for entry in std::fs::read_dir(TINY).expect("the model") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, dir.join(name)).expect("copied");
    }
    let weights = dir.join("model.safetensors");
    let bytes = std::fs::read(&weights).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut rng = Rng::new(5);
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

fn figures(model: &Model, n: u64) -> serde_json::Value {
    let args = WorldEvalArgs {
        tasks: Vec::new(),
        seed: 77_000,
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
    evaluate(model, 0, &args).expect("evaluates").json()
}

/// The mean over tasks of one mark of a method, over all sentences.
fn mark(report: &serde_json::Value, method: [&str; 2], name: &str) -> f64 {
    let tasks = report["tasks"].as_object().expect("tasks");
    let of = |task: &serde_json::Value| task["scores"][method[0]][method[1]][name].as_f64();
    let values: Vec<f64> = tasks.values().filter_map(of).collect();
    assert!(!values.is_empty(), "{name}");
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of a few samples a mean may be off by this much.
const NOISE: f64 = 0.3;

#[test]
fn weights_that_know_nothing_fall_to_chance() {
    let dir = tempfile::tempdir().expect("a directory");
    let nothing = figures(&shuffled(dir.path()), 4);
    let trained = figures(&load(Path::new(TINY)), 4);
    for (name, task) in nothing["tasks"].as_object().expect("tasks") {
        assert_eq!(task["sentence_accuracy"], 0.0, "{name}");
        let answers = task["answer_accuracy"].as_f64().expect("a number");
        assert!(answers < 0.5, "{name}: {answers}");
    }
    for name in Marks::NAMES {
        let chance = mark(&nothing, ["random", "baseline"], name);
        let signals = SignalKind::ALL.map(|own| mark(&nothing, [own.name(), "sum"], name));
        let found = signals.iter().sum::<f64>() / signals.len() as f64;
        // An object stands out from its background for an encoder that knows nothing, too. In a film's frame it is the only
        // one, so that knowing nothing is enough to point at it: that mark can be read only beside an untrained model's.
        if name == "frame_pointing" {
            continue;
        }
        assert!(
            name == "pointing" || found < chance + NOISE,
            "{name}: {found}, by chance {chance}"
        );
        let knows = mark(&trained, ["attmean", "sum"], name);
        assert!(
            knows > found + NOISE / 4.0,
            "{name}: {knows}, knowing nothing {found}"
        );
    }
}

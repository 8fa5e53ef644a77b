//! Loading: a directory and linked bytes give the same model; broken files give sentences that name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attribution::record::Decoding;
use engine::inspect::{InspectSource, inspect};
use engine::{Device, EngineError, Model, ModelFiles, Precision};

fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint")
}

/// The fixture's files, as a program would link them.
fn linked() -> BTreeMap<String, &'static [u8]> {
    std::fs::read_dir(checkpoint())
        .expect("the fixture")
        .map(|entry| {
            let path = entry.expect("readable").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("UTF-8")
                .to_owned();
            let bytes: &'static [u8] =
                Box::leak(std::fs::read(path).expect("readable").into_boxed_slice());
            (name, bytes)
        })
        .collect()
}

fn load(files: &ModelFiles) -> Result<Model, EngineError> {
    Model::load(files, "fixture", &Device::Cpu)
}

/// Loads with one file replaced.
fn load_with(name: &str, change: impl FnOnce(String) -> String) -> EngineError {
    let mut files = linked();
    let text = String::from_utf8(files[name].to_vec()).expect("UTF-8");
    files.insert(
        name.to_owned(),
        Box::leak(change(text).into_bytes().into_boxed_slice()),
    );
    load(&ModelFiles::Bytes(files)).expect_err("refused")
}

#[test]
fn bytes_and_directory_give_the_same_model() {
    let run = |files: &ModelFiles| {
        let decoding = Decoding {
            max_new_tokens: 8,
            no_repeat_ngram: 3,
            ..Decoding::default()
        };
        let model = load(files).expect("loads");
        inspect(
            &model,
            vec![InspectSource::Text("Which is older?".to_owned())],
            None,
            &decoding,
        )
        .expect("runs")
    };
    let (mapped, bytes) = (
        run(&ModelFiles::Dir(checkpoint())),
        run(&ModelFiles::Bytes(linked())),
    );
    assert_eq!(mapped.generated_ids, bytes.generated_ids);
    assert_eq!(mapped.logits, bytes.logits);
}

#[test]
fn a_thinker_saved_alone_loads_too() {
    let mut files = linked();
    let config: serde_json::Value = serde_json::from_slice(files["config.json"]).expect("json");
    // Newer releases name ids and rotary settings in another way.
    let alone = config["thinker_config"]
        .to_string()
        .replace("audio_token_index", "audio_token_id")
        .replace("rope_scaling", "rope_parameters");
    files.insert(
        "config.json".to_owned(),
        Box::leak(alone.into_bytes().into_boxed_slice()),
    );
    assert!(load(&ModelFiles::Bytes(files)).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    for name in [
        "config.json",
        "tokenizer.json",
        "model-00002-of-00002.safetensors",
    ] {
        let mut files = linked();
        files.remove(name);
        let error = load(&ModelFiles::Bytes(files))
            .expect_err("refused")
            .to_string();
        assert!(error.contains(name) && error.contains("missing"), "{error}");
    }
    let error = load(&ModelFiles::Dir(PathBuf::from("/nowhere")))
        .expect_err("refused")
        .to_string();
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn other_architectures_are_named() {
    let error = load_with("config.json", |text| {
        text.replace("\"qwen2_5_omni\"", "\"gpt9\"")
    });
    assert!(
        matches!(&error, EngineError::UnknownArchitecture { found, .. } if found == "gpt9"),
        "{error}"
    );
}

#[test]
fn configs_that_do_not_fit_are_refused() {
    let wrong =
        |from: &str, to: &str| load_with("config.json", |text| text.replace(from, to)).to_string();
    assert!(wrong("\"intermediate_size\": 112", "\"intermediate_size\": 113").contains("shape"));
    assert!(
        wrong("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 0").contains("config.json")
    );
    assert!(wrong("\"window_size\": 112", "\"window_size\": 3").contains("window_size"));
    assert!(wrong("\"output_dim\": 64", "\"output_dim\": 65").contains("width"));
    assert!(wrong("\"num_attention_heads\": 4", "\"num_attention_heads\": 3").contains("multiple"));
    assert!(
        load_with("config.json", |_| "{".to_owned())
            .to_string()
            .contains("config.json")
    );
}

#[test]
fn shards_outside_the_directory_are_refused() {
    let error = load_with("model.safetensors.index.json", |text| {
        text.replace("model-00001", "../model-00001")
    });
    assert!(error.to_string().contains("plain file name"), "{error}");
}

#[test]
fn truncated_weights_are_an_error() {
    let mut files = linked();
    let name = "model-00001-of-00002.safetensors";
    let cut = &files[name][..1000];
    files.insert(name.to_owned(), cut);
    let error = load(&ModelFiles::Bytes(files))
        .expect_err("refused")
        .to_string();
    assert!(error.contains(name), "{error}");
}

#[test]
fn a_missing_tensor_is_named_with_shape_and_file() {
    let without = |name: &str| {
        load_with("model.safetensors.index.json", |text| {
            let mut index: serde_json::Value = serde_json::from_str(&text).expect("json");
            let map = index["weight_map"].as_object_mut().expect("a map");
            assert!(map.remove(name).is_some());
            index.to_string()
        })
        .to_string()
    };
    let error = without("thinker.model.norm.weight");
    for part in [
        "thinker.model.norm.weight",
        "[64]",
        "model.safetensors.index.json",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = load_with("model.safetensors.index.json", |text| {
        // The index sends the reader to the wrong shard.
        let mut index: serde_json::Value = serde_json::from_str(&text).expect("json");
        let place = index["weight_map"]["thinker.model.norm.weight"].take();
        let other = if place == "model-00001-of-00002.safetensors" {
            "2"
        } else {
            "1"
        };
        index["weight_map"]["thinker.model.norm.weight"] =
            format!("model-0000{other}-of-00002.safetensors").into();
        index.to_string()
    })
    .to_string();
    assert!(
        error.contains("thinker.model.norm.weight") && error.contains("but it does not"),
        "{error}"
    );
}

#[test]
fn pickles_are_not_weights() {
    let dir = std::env::temp_dir().join(format!("omnitrace-pickle-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(checkpoint().join(name), dir.join(name)).expect("copied");
    }
    std::fs::write(dir.join("pytorch_model.bin"), "a pickle").expect("written");
    let error = load(&ModelFiles::Dir(dir.clone()))
        .expect_err("refused")
        .to_string();
    std::fs::remove_dir_all(dir).expect("removed");
    assert!(
        error.contains("model.safetensors") && error.contains("pickle"),
        "{error}"
    );

    let error = load_with("model.safetensors.index.json", |text| {
        text.replace("model-00001-of-00002.safetensors", "pytorch_model.bin")
    });
    assert!(error.to_string().contains("plain file name"), "{error}");
}

#[test]
fn every_precision_loads_and_answers() {
    let files = ModelFiles::Dir(checkpoint());
    let bytes = |precision| files.weight_bytes(precision).expect("whole");
    assert_eq!(bytes(Precision::F32), 2 * bytes(Precision::Bf16));
    assert_eq!(
        files.usual_precision(&Device::Cpu).expect("whole"),
        Precision::F32
    );
    let full = first_logits(None);
    for precision in [Precision::Bf16, Precision::F16] {
        let logits = first_logits(Some(precision));
        let scale = full.iter().fold(0f32, |top, value| top.max(value.abs()));
        let error = full
            .iter()
            .zip(&logits)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        // bf16 keeps 8 bits.
        assert!(
            error > 0.0 && error < 0.05 * scale,
            "{precision}: {error} of {scale}"
        );
    }
}

fn first_logits(precision: Option<Precision>) -> Vec<f32> {
    let model = Model::load_as(
        &ModelFiles::Dir(checkpoint()),
        "fixture",
        &Device::Cpu,
        precision,
    )
    .expect("loads");
    let picture = engine::inspect::Rgb {
        width_px: 56,
        height_px: 56,
        data: (0..56 * 56 * 3).map(|i| (i * 7 % 251) as u8).collect(),
    };
    let sound = (0..16_000).map(|i| (i as f32 * 0.05).sin()).collect();
    let sources = vec![
        InspectSource::Text("Which is older?".to_owned()),
        InspectSource::Image(picture),
        InspectSource::Audio(sound, 16_000),
    ];
    let decoding = Decoding {
        max_new_tokens: 2,
        ..Decoding::default()
    };
    let found = inspect(&model, sources, None, &decoding).expect("runs");
    assert!(found.scores.attgrads.iter().any(|score| *score > 0.0));
    found.logits[0].clone()
}

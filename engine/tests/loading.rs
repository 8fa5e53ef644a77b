//! Loading: a directory and linked bytes give the same model; broken files give sentences that name them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attribution::record::Decoding;
use engine::inspect::{InspectSource, inspect};
use engine::{Device, EngineError, Model, ModelFiles};

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

//! Against what transformers computes on the same checkpoint (fixtures/clip), and what is said of a wrong one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/clip/checkpoint");

#[derive(Deserialize)]
struct Recorded {
    texts: Vec<Text>,
    pictures: Vec<Picture>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<f32>,
    vector: Vec<f32>,
}

fn recorded() -> Recorded {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/clip/recorded.json"
    );
    serde_json::from_slice(&std::fs::read(file).expect("the fixture")).expect("json")
}

fn clip() -> Clip {
    Clip::load(&ModelFiles::from(DIR), &Device::Cpu).expect("the fixture loads")
}

/// As in fixtures/clip/make.py.
fn picture(width: usize, height: usize) -> Rgb {
    let value = |x: usize, y: usize, channel: usize| x * 7 + y * 13 + channel * 29 + x * y / 5;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Rgb {
        width_px: width,
        height_px: height,
        data: places
            .flat_map(|(x, y)| [0, 1, 2].map(|channel| (value(x, y, channel) % 256) as u8))
            .collect(),
    }
}

fn assert_close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{what}: {a} {b}");
    }
}

#[test]
fn texts_agree_with_the_reference() {
    let clip = clip();
    for own in recorded().texts {
        let encoding = clip.tokenizer.encode(own.text.as_str(), true).expect("ids");
        assert_eq!(encoding.get_ids(), own.ids, "{}", own.text);
        assert_close(
            &clip.of_text(&own.text).expect("a vector"),
            &own.vector,
            &own.text,
        );
    }
}

#[test]
fn pictures_agree_with_the_reference() {
    let clip = clip();
    for own in recorded().pictures {
        let what = format!("{} x {}", own.width, own.height);
        let given = picture(own.width, own.height);
        let seen = picture::pixels(&given, &clip.preprocessing);
        let some: Vec<f32> = seen.values.iter().copied().step_by(97).collect();
        assert_close(&some, &own.pixels, &what);
        assert_close(
            &clip.of_picture(&given).expect("a vector"),
            &own.vector,
            &what,
        );
    }
    let nothing = Rgb {
        width_px: 0,
        height_px: 0,
        data: Vec::new(),
    };
    assert!(clip.of_picture(&nothing).expect("no pixels").is_empty());
}

#[test]
fn a_text_ends_where_the_config_says() {
    let ids = [7, 9, 3, 9, 4];
    assert_eq!(End::Highest.place(&ids), 1);
    assert_eq!(End::Word(3).place(&ids), 2);
    assert_eq!(End::Word(8).place(&ids), 0);
}

/// The fixture's files, with some changed or left out.
fn files(change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> ModelFiles {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(DIR).expect("the fixture") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        files.insert(name, std::fs::read(path).expect("a file"));
    }
    change(&mut files);
    let leaked = |bytes: Vec<u8>| -> &'static [u8] { bytes.leak() };
    ModelFiles::Bytes(
        files
            .into_iter()
            .map(|(name, bytes)| (name, leaked(bytes)))
            .collect(),
    )
}

#[test]
fn a_wrong_checkpoint_is_refused_by_its_file() {
    let refused = |files: ModelFiles, words: &[&str]| {
        let error = Clip::load(&files, &Device::Cpu)
            .expect_err("refused")
            .to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    for file in [
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "model.safetensors",
    ] {
        refused(files(|own| _ = own.remove(file)), &[file, "missing"]);
    }
    let with = |file: &'static str, field: &'static str, value: Value| {
        files(move |own| {
            let mut config: Value = serde_json::from_slice(&own[file]).expect("json");
            *config.pointer_mut(field).expect("a field") = value;
            own.insert(file.to_owned(), config.to_string().into_bytes());
        })
    };
    let config = "config.json";
    refused(
        with(config, "/model_type", "whisper".into()),
        &[config, "whisper", "clip"],
    );
    refused(
        with(config, "/text_config/vocab_size", 100.into()),
        &["tokenizer.json", "535"],
    );
    let width = with(config, "/vision_config/intermediate_size", 65.into());
    refused(width, &["model.safetensors", "fc1"]);
    let side = with("preprocessor_config.json", "/crop_size/height", 64.into());
    refused(side, &["preprocessor_config.json", "48"]);
    refused(
        files(|own| _ = own.insert("model.safetensors".to_owned(), vec![1, 2])),
        &["model.safetensors"],
    );
    refused(
        files(|own| _ = own.insert("tokenizer.json".to_owned(), b"{}".to_vec())),
        &["tokenizer.json"],
    );
}

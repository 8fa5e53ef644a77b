//! Not one bit of a trace depends on how many threads there are.

use std::process::Command;

use attribution::record::Decoding;
use engine::inspect::{InspectSource, Rgb, inspect};
use engine::{Device, Model, ModelFiles};

/// Run by the other test in a process of its own, as the number of threads is fixed at start.
#[test]
#[ignore = "a part of the other test"]
fn print_digest() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint");
    let model = Model::load(&ModelFiles::Dir(dir), "fixture", &Device::Cpu).expect("loads");
    let picture = Rgb {
        width_px: 420,
        height_px: 300,
        data: (0..420 * 300 * 3).map(|i| (i % 251) as u8).collect(),
    };
    let sound: Vec<f32> = (0..60_000).map(|i| (i as f32 * 0.11).sin()).collect();
    let sources = vec![
        InspectSource::Image(picture),
        InspectSource::Audio(sound, 22_050),
        InspectSource::Text("What is it?".to_owned()),
    ];
    let decoding = Decoding {
        max_new_tokens: 12,
        no_repeat_ngram: 3,
        ..Decoding::default()
    };
    let all = inspect(&model, sources, None, &decoding).expect("runs");
    let mut bytes = Vec::new();
    for value in all
        .inputs_embeds
        .iter()
        .chain(all.logits.iter().flatten())
        .chain(&all.scores.attgrads)
    {
        bytes.extend(value.to_le_bytes());
    }
    println!("digest {}", media::content_hash(&bytes));
}

#[test]
fn threads_change_nothing() {
    let digest = |threads: &str| {
        let out = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "print_digest", "--ignored", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("runs");
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        let line = text
            .lines()
            .find(|line| line.contains("digest "))
            .unwrap_or_default()
            .to_owned();
        assert!(line.len() > 20, "{text}");
        line
    };
    let one = digest("1");
    assert_eq!(one, digest("2"));
    assert_eq!(one, digest("5"));
}

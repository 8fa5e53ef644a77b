//! `omnitrace world` and `omnitrace trace`, as a person runs them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

use std::path::Path;
use std::process::{Command, Output};

use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::tempdir;

fn omnitrace(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_omnitrace"))
        .current_dir(dir)
        .args(args)
        .output()
        .expect("the program runs")
}

fn ok(dir: &Path, args: &[&str]) {
    let output = omnitrace(dir, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn fails(dir: &Path, args: &[&str]) -> String {
    let output = omnitrace(dir, args);
    assert!(!output.status.success(), "{args:?} should fail");
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the file is there")).expect("JSON")
}

#[test]
fn every_world_task_is_written_and_traced_in_the_packages_form() {
    let dir = tempdir().unwrap();
    let mut samples = Vec::new();
    for task in world::Task::ALL {
        ok(
            dir.path(),
            &[
                "world",
                "--task",
                task.name(),
                "--seed",
                "18446744073709551615",
                "--out",
                task.name(),
            ],
        );
        let truth = json_of(&dir.path().join(task.name()).join("truth.json"));
        assert!(!truth["answer"].as_array().unwrap().is_empty());
        let mut sample = json_of(&dir.path().join(task.name()).join("sample.json"));
        for block in sample["question"].as_array_mut().unwrap() {
            for (kind, name) in block.as_object_mut().unwrap() {
                if kind != "text" {
                    *name = format!("{}/{}", task.name(), name.as_str().unwrap()).into();
                }
            }
        }
        samples.push(sample);
    }
    std::fs::write(
        dir.path().join("all.json"),
        serde_json::to_vec(&samples).unwrap(),
    )
    .unwrap();
    let args = [
        "trace",
        "--questions-path",
        "all.json",
        "--output-path",
        "out.json",
        "--scores-path",
        "s.safetensors",
    ];
    ok(dir.path(), &args);

    let records = json_of(&dir.path().join("out.json"));
    let records = records.as_array().unwrap();
    assert_eq!(records.len(), samples.len());
    let bytes = std::fs::read(dir.path().join("s.safetensors")).unwrap();
    let scores = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(scores.len(), 8 * samples.len());
    for (i, (record, sample)) in records.iter().zip(&samples).enumerate() {
        for key in [
            "id",
            "task",
            "source_dataset",
            "modality",
            "prompt",
            "question",
            "answer",
        ] {
            assert_eq!(record[key], sample[key], "{i} {key}");
        }
        let trace = &record["trace"];
        assert_eq!(record["response"], trace["response"]);
        check_attribution(record);

        let shape = |name: &str| {
            scores
                .tensor(&format!("{i}.{name}"))
                .unwrap()
                .shape()
                .to_vec()
        };
        let (steps, prompt) = (shape("generated_ids")[0], shape("input_ids")[0]);
        assert_eq!(trace["receipt"]["prompt_tokens"], prompt);
        for signal in ["attmean", "attraw", "attgrads"] {
            let tensor = scores.tensor(&format!("{i}.{signal}")).unwrap();
            assert_eq!(
                (tensor.dtype(), tensor.shape()),
                (Dtype::F32, &[steps, prompt][..]),
                "{i} {signal}"
            );
            let values: Vec<f32> = tensor
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            assert!(values.iter().all(|v| v.is_finite() && *v >= 0.0));
            assert!(values.iter().any(|v| *v > 0.0), "{i} {signal} says nothing");
        }
    }
}

/// Texts, ids and intervals of the package's fields agree with each other and with the full record.
fn check_attribution(record: &Value) {
    let trace = &record["trace"];
    let attribution = &record["attribution"];
    let chunks = attribution["per_chunk_attribution"].as_array().unwrap();
    assert_eq!(chunks.len(), trace["chunks"].as_array().unwrap().len());
    let texts = record["input_text_chunks"].as_array().unwrap();
    let mut last = -1;
    for (k, text) in texts.iter().enumerate() {
        assert_eq!(text["chunk_id"], k);
        let span = [
            text["input_id_span"][0].as_i64().unwrap(),
            text["input_id_span"][1].as_i64().unwrap(),
        ];
        assert!(
            last < span[0] && span[0] <= span[1],
            "units follow each other: {span:?}"
        );
        last = span[1];
    }
    for (k, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["chunk_id"], k);
        assert_eq!(chunk["chunk_text"], attribution["gen_chunks"][k]);
        for source in chunk["text_sources_curated"].as_array().unwrap() {
            let cited = source["source_chunk_id"].as_u64().unwrap() as usize;
            assert_eq!(source["source_text"], texts[cited]["text"]);
        }
        let images = record["input_image_chunks"].as_array().unwrap().len() as u64;
        for source in chunk["image_sources_curated"].as_array().unwrap() {
            assert!(source["source_chunk_id"].as_u64().unwrap() < images);
        }
        for (field, chunks, span) in [
            ("audio_sources_curated", "input_audio_chunks", "audio_span"),
            ("video_sources_curated", "input_video_chunks", "video_span"),
        ] {
            for interval in chunk[field].as_array().unwrap() {
                let (start, end) = (interval[0].as_f64().unwrap(), interval[1].as_f64().unwrap());
                let duration = record[chunks][0][span][1].as_f64().unwrap();
                assert!(
                    0.0 <= start && start < end && end <= duration + 1e-6,
                    "{interval} of {duration}"
                );
            }
        }
    }
}

#[test]
fn flags_rule_and_lines_are_lines() {
    let dir = tempdir().unwrap();
    let sample = json!({
        "id": "x", "prompt": "Summarize the conversation.\n",
        "question": [{"text": "Anna: I bought a red car.\n"}],
        "options": {"method": "attmean", "max_new_tokens": 50}
    });
    let samples = json!([sample, sample, sample]);
    std::fs::write(dir.path().join("in.json"), samples.to_string()).unwrap();
    let args = [
        "--limit",
        "2",
        "--method",
        "attgrads",
        "--unit-score",
        "mean",
        "--max-new-tokens",
        "3",
    ];
    let io = [
        "trace",
        "--questions-path",
        "in.json",
        "--output-path",
        "out.jsonl",
    ];
    ok(dir.path(), &[&io[..], &args].concat());
    let text = std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["modality"], "image_text");
        assert_eq!(record["source_dataset"], Value::Null);
        assert_eq!(record["trace"]["method"]["signal"], "attgrads");
        assert_eq!(record["trace"]["method"]["unit_score"], "mean");
        assert!(record["trace"]["tokens"].as_array().unwrap().len() <= 3);
    }
}

#[test]
fn errors_name_the_sample_and_the_file() {
    let dir = tempdir().unwrap();
    let write = |name: &str, value: Value| {
        std::fs::write(dir.path().join(name), value.to_string()).unwrap()
    };
    let trace = |name: &str| fails(dir.path(), &["trace", "--questions-path", name]);
    assert!(trace("none.json").contains("none.json"));
    write(
        "missing.json",
        json!([{"prompt": "p"}, {"id": 7, "question": [{"image": "gone.png"}]}]),
    );
    let message = trace("missing.json");
    assert!(
        message.contains("sample 1 (id 7)") && message.contains("gone.png"),
        "{message}"
    );
    std::fs::write(dir.path().join("bad.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    write("bad.json", json!({"question": [{"image": "bad.png"}]}));
    let message = trace("bad.json");
    assert!(
        message.contains("sample 0") && message.contains("bad.png"),
        "{message}"
    );
    assert!(
        !dir.path().join("output.json").exists(),
        "nothing was made, nothing is written"
    );
    write("form.json", json!([{"question": [{"film": "x"}]}]));
    assert!(trace("form.json").contains("block 1"));
    let message = fails(
        dir.path(),
        &[
            "trace",
            "--questions-path",
            "bad.json",
            "--output-path",
            "out.txt",
        ],
    );
    assert!(message.contains(".jsonl"), "{message}");
    let message = fails(
        dir.path(),
        &[
            "trace",
            "--questions-path",
            "bad.json",
            "--method",
            "attention",
        ],
    );
    assert!(message.contains("attmean"), "{message}");
}

#[test]
fn turns_and_options_are_traced_and_noted() {
    let dir = tempdir().unwrap();
    ok(
        dir.path(),
        &["world", "--task", "speech", "--seed", "3", "--out", "."],
    );
    let sound = json_of(&dir.path().join("sample.json"))["question"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|block| block["audio"].as_str().map(str::to_owned))
        .unwrap();
    let sample = json!({
        "system": "Be short.",
        "turns": [
            {"role": "user", "content": [{"audio": sound}, {"text": "What was said?"}]},
            {"role": "assistant", "content": "A red car."}
        ],
        "prompt": "And now?\n",
        "question": [{"text": "Listen."}, {"audio": sound}],
        "options": {"max_new_tokens": 3, "audio_bin_secs": 2.0, "chunk": "clause"}
    });
    std::fs::write(dir.path().join("q.json"), sample.to_string()).unwrap();
    let io = [
        "trace",
        "--questions-path",
        "q.json",
        "--output-path",
        "o.json",
    ];
    let flags = [
        "--package-order",
        "--audio-bin-secs",
        "0.5",
        "--dtype",
        "bf16",
    ];
    ok(dir.path(), &[&io[..], &flags].concat());
    let trace = &json_of(&dir.path().join("o.json"))[0]["trace"];
    let kinds: Vec<&str> = trace["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| match source["role"].as_str() {
            Some("prompt") => "prompt",
            _ => source["item"]["kind"].as_str().unwrap(),
        })
        .collect();
    assert_eq!(kinds, ["audio", "text", "text", "audio", "prompt", "text"]);
    let settings = &trace["receipt"]["settings"];
    assert_eq!(
        settings["audio_bin_secs"], 0.5,
        "a flag goes before the sample"
    );
    assert_eq!(settings["chunk"], "clause");
    assert_eq!(settings["package_order"], true);
    assert_eq!(settings["system"], "Be short.");
    assert_eq!(settings["turns"][1]["assistant"], true);
    assert_eq!(trace["receipt"]["dtype"], "bf16");
    let wrong = fails(dir.path(), &[&io[..], &["--image-grid", "99"]].concat());
    assert!(wrong.contains("`image_grid`"), "{wrong}");
}

#[test]
fn units_of_a_sound_follow_what_is_said() {
    let dir = tempdir().unwrap();
    ok(
        dir.path(),
        &["world", "--task", "speech", "--seed", "5", "--out", "."],
    );
    let mut sample = json_of(&dir.path().join("sample.json"));
    sample["options"] = json!({"max_new_tokens": 4});
    std::fs::write(dir.path().join("q.json"), sample.to_string()).unwrap();
    let trace = |flags: &[&str]| {
        let io = [
            "trace",
            "--questions-path",
            "q.json",
            "--output-path",
            "o.json",
        ];
        ok(dir.path(), &[&io[..], flags].concat());
        let mut record = json_of(&dir.path().join("o.json"))[0]["trace"].take();
        let sources = record["sources"].as_array().unwrap().clone();
        let sound = sources
            .iter()
            .position(|s| s["item"]["kind"] == "audio")
            .unwrap();
        let units = record["units"].take();
        let units = units
            .as_array()
            .unwrap()
            .iter()
            .filter(|unit| unit["source"] == sound);
        let spans: Vec<[f64; 2]> = units
            .map(|unit| ["start_secs", "end_secs"].map(|end| unit["extent"][end].as_f64().unwrap()))
            .collect();
        for pair in spans.windows(2) {
            assert_eq!(pair[0][1], pair[1][0], "units cover the sound: {spans:?}");
        }
        (sources[sound]["item"].clone(), spans)
    };
    let (plain, bins) = trace(&[]);
    assert_eq!(plain["transcript"], Value::Null);
    let secs = plain["duration_secs"].as_f64().unwrap();

    // Without a recognition model: where somebody speaks.
    let (item, units) = trace(&["--use-asr-for-audio"]);
    let voice = &item["transcript"];
    assert_eq!(
        voice["origin"]["kind"], "voice",
        "the world's speech is a voice: {voice}"
    );
    let spoken: f64 = voice["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["end_secs"].as_f64().unwrap() - s["start_secs"].as_f64().unwrap())
        .sum();
    assert!(spoken > 0.3 * secs, "{spoken} of {secs}");
    assert_ne!(units, bins);

    // A transcript that is given.
    let middle = secs / 2.0;
    let srt = format!(
        "1\n00:00:00,000 --> 00:00:{middle:06.3}\nThe first half.\n\n2\n00:00:{middle:06.3} --> 00:00:{secs:06.3}\nThe other.\n"
    );
    std::fs::write(dir.path().join("said.srt"), srt).unwrap();
    let (item, _) = trace(&["--transcript", "said.srt"]);
    assert_eq!(item["transcript"]["origin"]["kind"], "given");
    assert_eq!(item["transcript"]["segments"][1]["text"], "The other.");

    // A random Whisper writes noise, but with times and under its name.
    let whisper = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/whisper/checkpoint"
    );
    let (item, units) = trace(&["--use-asr-for-audio", "--asr-model", whisper]);
    let heard = &item["transcript"];
    assert_eq!(heard["origin"]["kind"], "recognized");
    assert_eq!(heard["origin"]["model"], "checkpoint");
    assert!(!heard["segments"].as_array().unwrap().is_empty() && !units.is_empty());

    let io = [
        "trace",
        "--questions-path",
        "q.json",
        "--output-path",
        "o.json",
    ];
    let wrong = fails(dir.path(), &[&io[..], &["--transcript", "q.json"]].concat());
    assert!(
        wrong.contains("q.json") && wrong.contains("transcript"),
        "{wrong}"
    );
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-omni");
    let wrong = fails(
        dir.path(),
        &[&io[..], &["--use-asr-for-audio", "--asr-model", tiny]].concat(),
    );
    assert!(wrong.contains("not a Whisper"), "{wrong}");
}

#[test]
fn the_world_is_evaluated_the_same_way_every_time() {
    let dir = tempdir().expect("a directory");
    let eval = |json: &str, seed: &str| {
        let tasks = ["--tasks", "visual-qa,speech", "--n", "2", "--seed", seed];
        let files = ["--json", json, "--csv", "scores.csv"];
        let arguments = [&["eval", "world"], &tasks[..], &files[..]].concat();
        let output = omnitrace(dir.path(), &arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let table = eval("a.json", "5");
    assert!(table.contains("visual-qa") && table.contains("attgrads"));
    eval("b.json", "5");
    eval("c.json", "500");
    let read = |name: &str| json_of(&dir.path().join(name));
    let report = read("a.json");
    assert_eq!(report, read("b.json"));
    assert_ne!(report["tasks"], read("c.json")["tasks"]);

    let share = |value: &Value| {
        let value = value.as_f64().expect("a number");
        assert!((0.0..=1.0).contains(&value));
        value
    };
    for task in ["visual-qa", "speech"] {
        let own = &report["tasks"][task];
        assert_eq!(own["n"], 2);
        share(&own["answer_accuracy"]);
        share(&own["sentence_accuracy"]);
    }
    let marks = |task: &str| &report["tasks"][task]["scores"]["attmean"]["sum"];
    // Spoken sentences have seconds and no pictures.
    assert!(share(&marks("speech")["time_f1"]) > 0.0);
    assert!(marks("speech").get("region_f1").is_none());
    share(&marks("visual-qa")["region_f1"]);
    let csv = std::fs::read_to_string(dir.path().join("scores.csv")).expect("scores");
    assert!(csv.starts_with("task,signal,unit_score,"));
    let complaint = fails(dir.path(), &["eval", "world", "--tasks", "tea"]);
    assert!(complaint.contains("visual-qa"), "{complaint}");
}

fn has_a_row_for_clip(output: &Output) {
    let table = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let mut lines = table.lines();
    assert!(
        lines.any(|line| line.trim_start().starts_with("clip ")),
        "{table}"
    );
}

#[test]
fn clip_is_compared_where_a_checkpoint_is_given() {
    let dir = tempdir().expect("a directory");
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/clip/checkpoint");
    let world = [
        "eval",
        "world",
        "--tasks",
        "visual-qa,audio-qa,video-qa",
        "--n",
        "1",
    ];
    let more = ["--clip", clip, "--json", "clip.json"];
    let output = omnitrace(dir.path(), &[&world[..], &more[..]].concat());
    has_a_row_for_clip(&output);
    let report = json_of(&dir.path().join("clip.json"));
    let own = |task: &str| report["tasks"][task]["scores"]["clip"]["baseline"].clone();
    for (task, marks) in [
        ("visual-qa", &["text_f1", "image_f1"][..]),
        ("audio-qa", &["text_f1"][..]),
        ("video-qa", &["text_f1", "time_f1", "interval_iou"][..]),
    ] {
        for mark in marks {
            let value = own(task)[*mark].as_f64().unwrap_or(-1.0);
            assert!((0.0..=1.0).contains(&value), "{task} {mark}: {}", own(task));
        }
    }
    assert!(
        own("audio-qa").get("time_f1").is_none(),
        "CLIP hears nothing"
    );

    let labelled = json!([{
        "question": [{"text": "Anna: I bought a red car.\n"}, {"text": "Emma: I sold a boat.\n"}],
        "prompt": "Summarize the conversation.\n",
        "labels": [{"text_source": [0]}, {"text_source": [1]}],
    }]);
    std::fs::write(dir.path().join("mine.json"), labelled.to_string()).expect("written");
    let output = omnitrace(
        dir.path(),
        &["eval", "labelled", "mine.json", "--clip", clip],
    );
    has_a_row_for_clip(&output);

    let complaint = fails(
        dir.path(),
        &["eval", "world", "--n", "1", "--clip", "nowhere"],
    );
    assert!(
        complaint.contains("nowhere") && complaint.contains("preprocessor_config.json"),
        "{complaint}"
    );
    let other = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/whisper/checkpoint"
    );
    let complaint = fails(
        dir.path(),
        &["eval", "labelled", "mine.json", "--clip", other],
    );
    assert!(
        complaint.contains("config.json") && complaint.contains("whisper"),
        "{complaint}"
    );
}

//! Conversations: system message, several turns, mixed items, as the released chat template writes them; and the settings
//! that change units, chunks, films and order.

#[allow(dead_code)]
mod film;

use std::ops::ControlFlow;
use std::path::Path;

use attribution::record::{ChunkSize, Extent, Record, SourceItem, SourceRole, Turn as TurnMark};
use engine::pipeline::trace;
use engine::{
    Device, Item, MediaItem, Model, ModelFiles, Outcome, TraceOptions, TraceRequest, Turn,
};
use film::{film, picture, sound};
use serde_json::Value;

fn model() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint");
    Model::load(&ModelFiles::Dir(dir), "fixture", &Device::Cpu).expect("the fixture loads")
}

fn run(model: &Model, request: &TraceRequest) -> Outcome {
    trace(model, request, &mut |_| ControlFlow::Continue(())).expect("traces")
}

fn options(max_new_tokens: u32) -> TraceOptions {
    let mut options = TraceOptions::default();
    options.decoding.max_new_tokens = max_new_tokens;
    options
}

fn items(content: &Value) -> Vec<Item> {
    if let Some(text) = content.as_str() {
        return vec![Item::Text(text.to_owned())];
    }
    let block = |block: &Value| match block["type"].as_str().expect("a type") {
        "image" => Item::Image(picture()),
        "audio" => Item::Audio(sound()),
        "video" => Item::Video(film()),
        _ => Item::Text(block["text"].as_str().expect("a text").to_owned()),
    };
    content
        .as_array()
        .expect("a list")
        .iter()
        .map(block)
        .collect()
}

/// Runs of one placeholder become one: the template writes it once per item. A film with sound has two kinds between the
/// marks of both; its sound is switched off here.
fn folded(ids: &[u32], placeholders: &[u32]) -> Vec<u32> {
    let mut out: Vec<u32> = Vec::new();
    for id in ids {
        if !(placeholders.contains(id) && out.last() == Some(id)) {
            out.push(*id);
        }
    }
    out
}

#[test]
fn prompts_are_those_of_the_released_template() {
    let model = model();
    let config = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint/config.json"),
    )
    .expect("the fixture");
    let config: Value = serde_json::from_slice(&config).expect("json");
    let placeholders = ["image", "audio", "video"].map(|kind| {
        config["thinker_config"][format!("{kind}_token_index")]
            .as_u64()
            .expect("an id") as u32
    });
    // Made by fixtures/qwen/turns.py.
    let recorded = include_str!("../../fixtures/qwen/recorded/turns.json");
    let cases: Vec<Value> = serde_json::from_str(recorded).expect("json");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let mut messages = case["messages"].as_array().expect("messages").as_slice();
        let mut request = TraceRequest {
            options: options(1),
            ..TraceRequest::default()
        };
        request.options.settings.use_audio_in_video = false;
        if messages[0]["role"] == "system" {
            request.system = messages[0]["content"].as_str().map(str::to_owned);
            messages = &messages[1..];
        }
        let (last, earlier) = messages.split_last().expect("a question");
        request.items = items(&last["content"]);
        for message in earlier {
            request.history.push(Turn {
                assistant: message["role"] == "assistant",
                items: items(&message["content"]),
            });
        }
        let outcome = run(&model, &request);
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).expect("ids");
        assert_eq!(
            folded(&outcome.input_ids, &placeholders),
            expected,
            "{}",
            case["name"]
        );

        let settings = outcome.record.receipt.settings.as_ref().expect("settings");
        assert_eq!(settings.system, request.system.clone().unwrap_or_default());
        let mut first_source = 0;
        let mut turns = Vec::new();
        for turn in &request.history {
            turns.push(TurnMark {
                assistant: turn.assistant,
                first_source,
            });
            first_source += turn.items.len() as u32;
        }
        if !turns.is_empty() {
            turns.push(TurnMark {
                assistant: false,
                first_source,
            });
        }
        assert_eq!(settings.turns, turns);
        assert_eq!(
            outcome.record.sources.len(),
            first_source as usize + request.items.len()
        );
        Record::from_json(&outcome.record.to_json().expect("valid")).expect("reads back");
    }
}

#[test]
fn the_packages_order_puts_sound_and_film_before_the_instruction() {
    let model = model();
    let mut request = TraceRequest {
        prompt: "What do you hear? ".to_owned(),
        items: vec![
            Item::Text("Listen.".to_owned()),
            Item::Audio(sound()),
            Item::Image(picture()),
        ],
        options: options(1),
        ..TraceRequest::default()
    };
    let kinds = |request: &TraceRequest| -> Vec<&str> {
        let sources = run(&model, request).record.sources;
        let kind = |source: &attribution::record::Source| match source.item {
            SourceItem::Text { .. } if source.role == SourceRole::Prompt => "prompt",
            SourceItem::Text { .. } => "text",
            SourceItem::Image { .. } => "image",
            SourceItem::Audio { .. } => "sound",
            SourceItem::Video { .. } => "film",
        };
        sources.iter().map(kind).collect()
    };
    assert_eq!(kinds(&request), ["prompt", "text", "sound", "image"]);
    request.options.settings.package_order = true;
    assert_eq!(kinds(&request), ["sound", "prompt", "text", "image"]);
}

#[test]
fn settings_change_units_chunks_and_films() {
    let model = model();
    let mut request = TraceRequest {
        prompt: "Describe.".to_owned(),
        items: vec![
            Item::Image(picture()),
            Item::Video(film()),
            Item::Audio(sound()),
        ],
        options: options(40),
        ..TraceRequest::default()
    };
    let plain = run(&model, &request).record;
    let settings = &mut request.options.settings;
    settings.image_grid = 2;
    settings.audio_bin_secs = 0.5;
    settings.chunk = ChunkSize::Clause;
    settings.video_fps = Some(4.0);
    settings.video_max_pixels = Some(28 * 28 * 4);
    let changed = run(&model, &request).record;
    assert_eq!(
        changed.receipt.settings.as_ref(),
        Some(&request.options.settings)
    );
    let units = |record: &Record, source: u32| -> Vec<Extent> {
        let own = record.units.iter().filter(|unit| unit.source == source);
        own.map(|unit| unit.extent.clone()).collect()
    };
    assert_eq!((units(&plain, 1).len(), units(&changed, 1).len()), (1, 4));
    assert_eq!((units(&plain, 3).len(), units(&changed, 3).len()), (2, 4));
    let seen = |record: &Record| match &record.sources[2].item {
        SourceItem::Video { fps, grid, .. } => (*fps, grid.rows * grid.cols),
        _ => panic!("a film"),
    };
    let ((fps, cells), (more_fps, fewer_cells)) = (seen(&plain), seen(&changed));
    assert!((fps - 2.0).abs() < 0.1 && (more_fps - 4.0).abs() < 0.1);
    assert!(
        fewer_cells < cells && fewer_cells <= 4,
        "{fewer_cells} of {cells}"
    );
}

#[test]
fn an_assistant_shows_no_pictures() {
    let item: MediaItem = picture();
    let request = TraceRequest {
        prompt: "p".to_owned(),
        history: vec![Turn {
            assistant: true,
            items: vec![Item::Image(item)],
        }],
        options: options(1),
        ..TraceRequest::default()
    };
    let error = trace(&model(), &request, &mut |_| ControlFlow::Continue(())).expect_err("refused");
    assert!(error.to_string().contains("text only"), "{error}");
}

#[test]
fn a_tracer_asks_like_the_package_and_goes_on_talking() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint");
    let tracer = engine::OmniTracer::builder(dir.clone())
        .max_new_tokens(6)
        .precision(engine::Precision::F32)
        .build()
        .expect("loads");
    let sample = engine::Sample::new("Describe. ")
        .item(Item::Image(picture()))
        .text("Which?");
    let outcome = tracer.trace(&sample).expect("traces");
    assert_eq!(outcome.record.receipt.model, "checkpoint");
    let request = TraceRequest {
        prompt: "Describe. ".to_owned(),
        items: vec![Item::Image(picture()), Item::Text("Which?".to_owned())],
        options: options(6),
        ..TraceRequest::default()
    };
    assert_eq!(run(&model(), &request).generated_ids, outcome.generated_ids);
    let chunks: String = outcome.cited().map(|(text, _)| text).collect();
    assert_eq!(chunks.is_empty(), outcome.record.response.trim().is_empty());

    let more = sample.answered(outcome.record.response, "And why?");
    let mut events = 0;
    let second = tracer
        .stream(&more, |_| {
            events += 1;
            ControlFlow::Continue(())
        })
        .expect("traces");
    assert!(events > 6);
    let turns = second.record.receipt.settings.expect("settings").turns;
    assert_eq!(
        turns
            .iter()
            .map(|turn| turn.first_source)
            .collect::<Vec<_>>(),
        [0, 3, 4]
    );
    let error = engine::Sample::new("p")
        .image("/nowhere/x.png")
        .expect_err("no file");
    assert!(error.to_string().contains("/nowhere/x.png"));
}

//! One trace from files to record: events and record agree, nothing depends on timing, stop stops.

#[allow(dead_code)]
mod reference;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use attribution::event::TraceEvent;
use attribution::record::{Extent, Finish, Modality, SourceItem, SourceRole, Track};
use engine::pipeline::trace;
use engine::{Device, Item, MediaItem, Model, ModelFiles, Outcome, TraceOptions, TraceRequest};

fn model() -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint");
    Model::load(&ModelFiles::Dir(dir), "fixture", &Device::Cpu).expect("the fixture loads")
}

fn file(name: &str, bytes: Vec<u8>) -> MediaItem {
    MediaItem {
        name: name.to_owned(),
        hash: media::content_hash(&bytes),
        bytes: Arc::from(bytes),
    }
}

fn options(max_new_tokens: u32) -> TraceOptions {
    TraceOptions {
        keep_scores: true,
        ..TraceOptions::at_most(max_new_tokens)
    }
}

fn request(max_new_tokens: u32) -> TraceRequest {
    let samples: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.07).sin() * 0.5).collect();
    let sound = media::encode::wav(&samples, 16_000).expect("a WAV");
    let picture: Vec<u8> = (0..90 * 60 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let picture = media::encode::png(90, 60, &picture).expect("a PNG");
    TraceRequest {
        prompt: "Describe it. ".to_owned(),
        items: vec![
            Item::Image(file("a.png", picture)),
            Item::Text("A red circle. A blue square.\nWhich?".to_owned()),
            Item::Audio(file("b.wav", sound)),
        ],
        options: options(max_new_tokens),
        ..TraceRequest::default()
    }
}

fn run(model: &Model, request: &TraceRequest) -> (Vec<TraceEvent>, Outcome) {
    let mut events = Vec::new();
    let outcome = trace(model, request, &mut |event| {
        events.push(event);
        ControlFlow::Continue(())
    });
    (events, outcome.expect("traces"))
}

#[test]
fn events_rebuild_the_record() {
    let model = model();
    let request = request(48);
    let (events, outcome) = run(&model, &request);
    let record = &outcome.record;

    let text: String = events
        .iter()
        .filter_map(|event| match event {
            TraceEvent::Token { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, record.response);
    let chunks: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TraceEvent::Chunk {
                chunk, attribution, ..
            } => Some((chunk.clone(), attribution.clone())),
            _ => None,
        })
        .collect();
    let recorded: Vec<_> = record
        .chunks
        .iter()
        .cloned()
        .zip(record.attributions.iter().cloned())
        .collect();
    assert_eq!(chunks, recorded);
    assert!(events.iter().any(|event| matches!(
        event,
        TraceEvent::Sources { sources, units } if *sources == record.sources && *units == record.units
    )));

    let modalities: Vec<_> = record
        .sources
        .iter()
        .map(|source| source.modality())
        .collect();
    assert_eq!(
        modalities,
        [
            Modality::Text,
            Modality::Image,
            Modality::Text,
            Modality::Audio
        ]
    );
    assert_eq!(record.sources[0].role, SourceRole::Prompt);
    assert!(record.units.iter().all(|unit| unit.positions > 0));
    assert_eq!(outcome.unit_of.len(), outcome.input_ids.len());
    assert_eq!(record.tokens.len(), outcome.generated_ids.len());
    assert_eq!(record.signals.len(), 6);
    // Attention whose values say the word: somewhere in the prompt, and nowhere where nobody looks.
    let scores = outcome.scores.as_ref().expect("they are kept");
    assert_eq!(scores.attvalue.len(), scores.attmean.len());
    assert!(scores.attvalue.iter().any(|value| *value > 0.0));
    let seen = scores.attvalue.iter().zip(&scores.attmean);
    assert!(
        seen.into_iter()
            .all(|(own, looked)| own.is_finite() && *own >= 0.0 && (*looked > 0.0 || *own == 0.0))
    );
}

#[test]
fn the_answer_is_what_decoding_the_ids_gives() {
    let model = model();
    let (_, outcome) = run(&model, &request(48));
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint/tokenizer.json");
    let tokenizer = tokenizers::Tokenizer::from_file(file).expect("a tokenizer");
    let whole = tokenizer
        .decode(&outcome.generated_ids, true)
        .expect("decodes");
    assert_eq!(outcome.record.response, whole);
    // The random model writes broken characters: the case that matters is there.
    assert!(whole.contains('\u{fffd}'), "{whole:?}");
}

#[test]
fn scores_are_distributions_over_the_prompt() {
    let (_, outcome) = run(&model(), &request(6));
    let scores = outcome.scores.expect("kept");
    assert_eq!(
        (scores.steps, scores.prompt),
        (outcome.generated_ids.len(), outcome.input_ids.len())
    );
    assert_eq!(scores.attmean.len(), scores.steps * scores.prompt);
    let first: f32 = scores.attmean[..scores.prompt].iter().sum();
    assert!(
        (first - 1.0).abs() < 1e-4,
        "at the first step there is nothing but the prompt: {first}"
    );
    assert!(scores.attgrads.iter().all(|&v| v >= 0.0) && scores.attgrads.iter().any(|&v| v > 0.0));
}

#[test]
fn the_same_request_gives_the_same_bits() {
    let model = model();
    let request = request(24);
    let (first, second) = (run(&model, &request).1, run(&model, &request).1);
    assert_eq!(first.record, second.record);
    assert_eq!(
        first.scores.map(|s| s.attgrads),
        second.scores.map(|s| s.attgrads)
    );
}

#[test]
fn stop_takes_effect_within_one_step() {
    let mut tokens = 0;
    let outcome = trace(&model(), &request(48), &mut |event| {
        if matches!(event, TraceEvent::Token { .. }) {
            tokens += 1;
        }
        if tokens == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .expect("a record");
    assert_eq!(outcome.generated_ids.len(), 3);
    assert_eq!(outcome.record.receipt.finish, Finish::Stopped);

    let before = trace(&model(), &request(48), &mut |event| match event {
        TraceEvent::Progress {
            stage: attribution::record::Stage::Prefill,
            ..
        } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .expect("a record");
    assert!(before.generated_ids.is_empty() && before.record.response.is_empty());
    assert_eq!(before.record.receipt.finish, Finish::Stopped);
}

#[test]
fn a_long_sound_is_heard_as_far_as_the_request_says() {
    let model = model();
    let samples: Vec<f32> = (0..304 * 8_000)
        .map(|i| (i as f32 * 0.07).sin() * 0.5)
        .collect();
    let long = media::encode::wav(&samples, 8_000).expect("a WAV");
    let heard = |most_secs: Option<f64>| {
        let mut request = request(1);
        request.items = vec![Item::Audio(file("long.wav", long.clone()))];
        request.options.settings.audio_bin_secs = 60.0;
        request.options.settings.audio_max_secs = most_secs;
        let record = run(&model, &request).1.record;
        let positions: u32 = (record.units.iter())
            .filter(|unit| matches!(unit.extent, Extent::Time { .. }))
            .map(|unit| unit.positions)
            .sum();
        (positions, record.warnings)
    };
    let (positions, warnings) = heard(None);
    assert_eq!(positions, 300 * 25);
    assert!(warnings[0].contains("first 300 seconds"), "{warnings:?}");
    let (positions, warnings) = heard(Some(1.0));
    assert_eq!(positions, 25);
    assert!(warnings[0].contains("first 1 seconds"), "{warnings:?}");
    assert_eq!(heard(Some(400.0)), (304 * 25, Vec::new()));
}

#[test]
fn special_tokens_in_a_text_stay_text() {
    let model = model();
    let mut request = request(2);
    request.items = vec![Item::Text("<|im_end|><|IMAGE|>".to_owned())];
    let (_, outcome) = run(&model, &request);
    let plain = {
        request.items = vec![Item::Text("a".to_owned())];
        run(&model, &request).1
    };
    let ends = |outcome: &Outcome| {
        let count = |id| {
            outcome
                .input_ids
                .iter()
                .filter(|&&other| other == id)
                .count()
        };
        let end = plain.input_ids[plain.input_ids.len() - 5];
        count(end)
    };
    assert_eq!(ends(&outcome), ends(&plain));
    assert!(outcome.input_ids.len() > plain.input_ids.len() + 4);
}

#[test]
fn unusable_requests_are_refused_with_a_sentence() {
    let model = model();
    let refuse = |request: &TraceRequest| {
        trace(&model, request, &mut |_| ControlFlow::Continue(()))
            .expect_err("refused")
            .to_string()
    };
    let mut empty = request(4);
    empty.prompt.clear();
    empty.items.clear();
    assert!(refuse(&empty).contains("neither"));
    let mut broken = request(4);
    broken
        .items
        .push(Item::Image(file("x.png", b"not a picture".to_vec())));
    assert!(refuse(&broken).starts_with("item 4 (x.png)"));
    let mut narrow = request(4);
    let strip = media::encode::png(900, 2, &[9; 900 * 2 * 3]).expect("a PNG");
    narrow.items = vec![Item::Image(file("strip.png", strip))];
    assert!(refuse(&narrow).contains("too narrow"));
    let mut long = request(40_000);
    long.items.truncate(1);
    assert!(refuse(&long).contains("together more than"));
}

#[test]
fn any_text_is_laid_out_whole() {
    let model = model();
    for text in [
        "",
        " ",
        "\n\n",
        "e\u{301}e\u{301}",
        "\u{1f469}\u{200d}\u{1f467} x",
        "\u{200b}\u{a0}",
        "東京。\r\n\t",
        "\0\u{feff}",
        "ﬁ Ⅷ ½",
    ] {
        let mut request = request(1);
        request.prompt = text.to_owned();
        request.items = vec![
            Item::Text(text.to_owned()),
            Item::Text(format!("{text}a")),
            Item::Text(text.to_owned()),
        ];
        let (_, outcome) = run(&model, &request);
        let own = outcome.unit_of.iter().flatten().count() as u32;
        assert_eq!(
            outcome
                .record
                .units
                .iter()
                .map(|unit| unit.positions)
                .sum::<u32>(),
            own,
            "{text:?}"
        );
        assert_eq!(outcome.unit_of.len(), outcome.input_ids.len());
        assert_eq!(
            outcome.record.sources.len(),
            3 + usize::from(!text.is_empty())
        );
    }
}

#[test]
fn a_film_is_seen_and_heard_on_one_timeline() {
    let frames: Vec<Vec<u8>> = (0..24u32)
        .map(|k| {
            (0..64 * 48 * 3)
                .map(|i: u32| ((i + k * 40) % 256) as u8)
                .collect()
        })
        .collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let samples: Vec<f32> = (0..48_000).map(|i| (i as f32 * 0.05).sin() * 0.4).collect();
    let film = media::encode::film(&frames, 64, 48, 8, Some((&samples, 16_000))).expect("a film");
    let mut request = request(6);
    request.items = vec![Item::Video(file("f.mp4", film))];
    let model = model();
    let tracks = |outcome: &Outcome| {
        let mut counts = [0, 0];
        for unit in &outcome.record.units {
            if let Extent::Time {
                start_secs,
                end_secs,
                track,
            } = unit.extent
            {
                assert!(start_secs < end_secs && end_secs <= 3.1);
                counts[usize::from(track == Track::Sound)] += 1;
            }
        }
        counts
    };
    let (_, heard) = run(&model, &request);
    // Three seconds at two frames a second: three slices, each with its sound.
    assert_eq!(tracks(&heard), [3, 3]);
    let SourceItem::Video {
        peaks,
        thumbnails,
        fps,
        ..
    } = &heard.record.sources[1].item
    else {
        panic!("a film")
    };
    assert_eq!((thumbnails.len(), peaks.is_empty()), (6, false));
    assert!((fps - 2.0).abs() < 0.01);
    for hash in thumbnails {
        let (_, jpeg) = heard
            .derived_media
            .iter()
            .find(|(known, _)| known == hash)
            .expect("made");
        assert_eq!(media::content_hash(jpeg), *hash);
        assert!(media::decode_image(jpeg, &media::Limits::default()).is_ok());
    }

    request.options.settings.use_audio_in_video = false;
    let (_, silent) = run(&model, &request);
    assert_eq!(tracks(&silent), [3, 0]);
    // 75 tokens of sound and the two marks around it.
    assert_eq!(silent.input_ids.len() + 77, heard.input_ids.len());
}

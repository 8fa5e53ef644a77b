//! Traces made together are the traces made alone: to the bit, whoever joins late, stops early or breaks down.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use attribution::event::TraceEvent;
use attribution::record::Finish;
use engine::company::poll;
use engine::pipeline::{trace, trace_among};
use engine::{
    Company, Device, EngineError, Item, MediaItem, Model, ModelFiles, Outcome, Precision,
    TraceOptions, TraceRequest,
};

fn model(precision: Precision) -> Model {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/qwen/checkpoint");
    let files = ModelFiles::Dir(dir);
    Model::load_as(&files, "fixture", &Device::Cpu, Some(precision)).expect("the fixture loads")
}

fn file(name: &str, bytes: Vec<u8>) -> Item {
    let file = MediaItem {
        name: name.to_owned(),
        hash: media::content_hash(&bytes),
        bytes: Arc::from(bytes),
    };
    match name {
        "a.png" => Item::Image(file),
        _ => Item::Audio(file),
    }
}

/// Four questions that have little in common.
fn requests() -> Vec<TraceRequest> {
    let samples: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.07).sin() * 0.5).collect();
    let picture: Vec<u8> = (0..90 * 60 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let picture = file(
        "a.png",
        media::encode::png(90, 60, &picture).expect("a PNG"),
    );
    let sound = media::encode::wav(&samples, 16_000).expect("a WAV");
    let text = |text: &str| Item::Text(text.to_owned());
    let kinds = [
        vec![picture, text("A red circle. A blue square.\n")],
        vec![file("b.wav", sound)],
        vec![text("One. Two. Three.\n")],
        vec![text(&"A long line about nothing much. ".repeat(30))],
    ];
    (kinds.into_iter().zip([24, 9, 17, 30]))
        .map(|(items, tokens)| {
            let mut options = TraceOptions::at_most(tokens);
            options.keep_scores = true;
            // One of them draws lots: with its own seed, whoever else is there.
            options.decoding.temperature = if tokens == 17 { 0.8 } else { 0.0 };
            TraceRequest {
                prompt: "Describe it. ".to_owned(),
                items,
                options,
                ..TraceRequest::default()
            }
        })
        .collect()
}

/// Everything of a trace that must not depend on company.
fn digest(outcome: &Outcome) -> (String, Vec<u32>) {
    let record = serde_json::to_string(&outcome.record).expect("JSON");
    let scores = outcome.scores.as_ref().expect("kept");
    let rows = [
        &scores.attmean,
        &scores.attraw,
        &scores.attgrads,
        &scores.attfocus,
        &scores.attrise,
    ];
    let bits = rows.into_iter().flatten().map(|value| value.to_bits());
    (record, bits.collect())
}

type Trace<'t> = Pin<Box<dyn Future<Output = Result<Outcome, EngineError>> + 't>>;

/// Runs traces together; trace `k` joins after `joins[k]` steps. A panic of one is its own end.
fn together(
    company: &Company<'_>,
    mut traces: Vec<(usize, Option<Trace<'_>>)>,
) -> Vec<Option<Result<Outcome, EngineError>>> {
    let mut ends: Vec<_> = traces.iter().map(|_| None).collect();
    let mut steps = 0;
    while traces.iter().any(|(_, trace)| trace.is_some()) {
        for ((join, trace), end) in traces.iter_mut().zip(&mut ends) {
            if let Some(running) = trace.as_mut().filter(|_| *join <= steps) {
                match catch_unwind(AssertUnwindSafe(|| poll(running.as_mut()))) {
                    Ok(Poll::Pending) => continue,
                    Ok(Poll::Ready(outcome)) => *end = Some(outcome),
                    Err(_) => {}
                }
                *trace = None;
            }
        }
        company.step();
        steps += 1;
    }
    ends
}

#[test]
fn records_are_the_same_alone_and_together() {
    for precision in [Precision::F32, Precision::Bf16] {
        let model = model(precision);
        let requests = requests();
        let alone = (requests.iter()).map(|request| {
            let outcome = trace(&model, request, &mut |_| ControlFlow::Continue(()));
            digest(&outcome.expect("traces"))
        });
        let alone: Vec<_> = alone.collect();
        for joins in [[0, 0, 0, 0], [0, 5, 2, 11]] {
            let company = Company::new();
            let mut watch = [(); 4].map(|()| |_: TraceEvent| ControlFlow::Continue(()));
            let traces = (requests.iter().zip(&mut watch).zip(joins))
                .map(|((request, watch), join)| {
                    let trace: Trace<'_> = Box::pin(trace_among(&company, &model, request, watch));
                    (join, Some(trace))
                })
                .collect();
            let ends = together(&company, traces);
            for (k, (end, alone)) in ends.into_iter().zip(&alone).enumerate() {
                let outcome = end.expect("ended").expect("traces");
                assert_eq!(digest(&outcome), *alone, "{precision} {joins:?} {k}");
            }
        }
    }
}

#[test]
fn who_stops_or_breaks_down_takes_nobody_along() {
    let model = model(Precision::F32);
    let requests = requests();
    let whole = trace(&model, &requests[3], &mut |_| ControlFlow::Continue(()));
    let whole = digest(&whole.expect("traces"));
    let company = Company::new();
    let seen = Cell::new(0);
    let mut stops = |event: TraceEvent| {
        seen.set(seen.get() + usize::from(matches!(event, TraceEvent::Token { .. })));
        match seen.get() {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let mut breaks = |event: TraceEvent| match event {
        TraceEvent::Token { index: 4, .. } => panic!("a bug that one request meets"),
        _ => ControlFlow::Continue(()),
    };
    let mut goes_on = |_| ControlFlow::Continue(());
    let traces: Vec<(usize, Option<Trace<'_>>)> = vec![
        (
            0,
            Some(Box::pin(trace_among(
                &company,
                &model,
                &requests[0],
                &mut stops,
            ))),
        ),
        (
            0,
            Some(Box::pin(trace_among(
                &company,
                &model,
                &requests[2],
                &mut breaks,
            ))),
        ),
        (
            1,
            Some(Box::pin(trace_among(
                &company,
                &model,
                &requests[3],
                &mut goes_on,
            ))),
        ),
    ];
    let mut ends = together(&company, traces);
    let third = ends.pop().flatten().expect("ended").expect("traces");
    assert_eq!(digest(&third), whole);
    assert!(ends.pop().flatten().is_none(), "it broke down");
    let first = ends.pop().flatten().expect("ended").expect("traces");
    assert_eq!(first.record.receipt.finish, Finish::Stopped);
    assert_eq!(first.generated_ids.len(), 3);
}

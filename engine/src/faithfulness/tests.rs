//! A question of each kind, against what it must come to.

use std::ops::ControlFlow;

use super::*;
use crate::{Item, Model, ModelFiles, TraceRequest, pipeline};
use attribution::record::Record;
use candle_core::Device;

fn request() -> TraceRequest {
    TraceRequest {
        prompt: "Summarize the conversation.\n".into(),
        items: [
            "Anna: I bought a red car.\n",
            "Ben: Nice weather today.\n",
            "Carl: I saw a blue bird.\n",
        ]
        .map(|line| Item::Text(line.into()))
        .into(),
        ..TraceRequest::default()
    }
}

fn tiny() -> Model {
    let files = ModelFiles::Dir("../models/tiny-omni".into());
    Model::load(&files, "tiny", &Device::Cpu).expect("loads")
}

fn traced(model: &Model) -> Record {
    let mut go_on = |_| ControlFlow::Continue(());
    pipeline::trace(model, &request(), &mut go_on)
        .expect("traces")
        .record
}

#[test]
fn whole_rows_score_as_token_by_token_does() {
    let model = tiny();
    let record = traced(&model);
    let request = request();
    let replay = Replay::open(&model, &request, &record).expect("the same prompt");
    let ids: Vec<u32> = record.tokens.iter().map(|token| token.id).collect();
    let all = vec![true; replay.prompt.ids.len()];
    let units: Vec<Vec<bool>> = replay
        .citable()
        .iter()
        .map(|u| replay.kept(&[*u]))
        .collect();
    // In no order at all, the whole prompt twice.
    let mut kept = vec![
        units[1].clone(),
        all.clone(),
        replay.kept(&replay.citable()),
    ];
    kept.extend(units);
    kept.push(all);
    for first in [0, ids.len() / 2] {
        let answer = rescore::Answer { ids: &ids, first };
        let (prompt, embeds) = (&replay.prompt, &replay.embeds);
        let family = model.family.as_ref();
        let rows = (family.rescore(prompt, embeds, &answer, &kept, &mut || true))
            .expect("scores")
            .expect("is not stopped");
        let steps = rescore::step_by_step(family, prompt, embeds, &answer, &kept, &mut || true)
            .expect("scores")
            .expect("is not stopped");
        assert_eq!(rows.len(), kept.len());
        for (rows, steps) in rows.iter().zip(&steps) {
            assert_eq!((rows.len(), steps.len()), (ids.len() - first, rows.len()));
            let apart = rows.iter().zip(steps).map(|(a, b)| (a - b).abs());
            let apart = apart.fold(0.0, f64::max);
            assert!(apart < 2e-3, "{apart}");
        }
        let sum = |at: usize| rows[at].iter().sum::<f64>();
        assert!((sum(1) - sum(kept.len() - 1)).abs() < 1e-4);
        assert!((sum(0) - sum(1)).abs() > 1e-2);
    }
}

#[test]
fn a_sentence_needs_what_it_cites_and_little_else() {
    let model = tiny();
    let record = traced(&model);
    let request = request();
    let replay = Replay::open(&model, &request, &record).expect("the same prompt");
    let question = Question {
        leave_one_out: true,
        curves: true,
        regenerate: true,
        ..Question::new(0)
    };
    let asked = replay.ask(&question, &mut || true);
    let found = asked.expect("measures").expect("is not stopped");
    assert_eq!(found.units.len(), record.attributions[0].cited.len());
    assert!(found.log_prob > found.log_prob_without, "{found:?}");
    assert!(found.fall > found.random_fall.expect("others"), "{found:?}");
    assert!(found.beats_random > Some(0.5));
    assert!((found.fall - (found.log_prob - found.log_prob_without)).abs() < 1e-12);
    let tokens: f64 = found.tokens.iter().map(|own| own.log_prob).sum();
    assert!((tokens - found.log_prob).abs() < 1e-9);
    let one = found.leave_one_out.expect("asked for");
    assert_eq!(one.units.len(), replay.citable().len());
    let curves = found.curves.expect("asked for");
    assert!(curves.insertion_area > curves.deletion_area, "{curves:?}");
    let ends = (
        curves.deletion[0].1,
        curves.insertion[curves.insertion.len() - 1].1,
    );
    assert!((ends.0 - ends.1).abs() < 1e-9, "both are the whole prompt");
    assert_ne!(found.regenerated.expect("asked for").text, record.response);

    // Nothing removed: the generation again, and the same answer.
    let none = replay.regenerate(&[], &mut || true).expect("generates");
    assert_eq!(none.expect("is not stopped").text, record.response);
    assert!(
        replay
            .ask(&question, &mut || false)
            .expect("no error")
            .is_none()
    );
}

#[test]
fn what_cannot_be_asked_is_said() {
    let model = tiny();
    let mut record = traced(&model);
    let request = request();
    let error = |question: &Question| {
        let replay = Replay::open(&model, &request, &record).expect("the same prompt");
        let asked = replay.ask(question, &mut || true);
        asked.expect_err("is refused").to_string()
    };
    assert!(error(&Question::new(99)).contains("chunk 99"));
    let mut question = Question::new(0);
    question.units = Some(vec![7777]);
    assert!(error(&question).contains("unit 7777"));
    question.units = Some(Vec::new());
    assert!(error(&question).contains("nothing to remove"));
    record.receipt.prompt_tokens += 1;
    let other = Replay::open(&model, &request, &record);
    assert!(other.expect_err("is refused").to_string().contains("again"));
}

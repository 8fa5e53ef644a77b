//! What is MiniCPM-o's own: pictures cut into slices, films that alternate with their sound, looks instead of patches.

mod film;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use attribution::event::TraceEvent;
use attribution::record::{Extent, Finish, Grid, Modality, SourceItem, Track};
use engine::bench::{BenchModel, DecodeSettings};
use engine::faithfulness::Question;
use engine::{Device, Item, OmniTracer, Outcome, Precision, Sample};

fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/minicpm/checkpoint")
}

fn tracer(max_new_tokens: u32) -> OmniTracer {
    let builder = OmniTracer::builder(checkpoint()).max_new_tokens(max_new_tokens);
    builder.build().expect("the fixture loads")
}

fn trace(sample: &Sample) -> Outcome {
    tracer(12).trace(sample).expect("traces")
}

/// Three times as wide as high: one row of three slices at the fixture's scale.
fn wide_picture() -> Item {
    let rgb: Vec<u8> = (0..330 * 110 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let png = media::encode::png(330, 110, &rgb).expect("a PNG");
    Item::Image(film::file("wide.png", png))
}

#[test]
fn a_picture_and_its_slices_are_one_source_with_one_heat_map() {
    let sample = Sample::new("Describe the pictures.")
        .item(wide_picture())
        .text("And this?")
        .item(Item::Image(film::picture()));
    let outcome = trace(&sample);
    let record = &outcome.record;
    let pictures: Vec<usize> = (0..record.sources.len())
        .filter(|&s| record.sources[s].modality() == Modality::Image)
        .collect();
    let units_of = |source: usize| {
        let all = record.units.iter();
        all.filter(|unit| unit.source as usize == source)
            .collect::<Vec<_>>()
    };
    assert_eq!(pictures.len(), 2);
    let (wide, small) = (units_of(pictures[0]), units_of(pictures[1]));
    // An overview and three slices of 16 embeddings each; an overview alone.
    assert_eq!((wide.len(), wide[0].positions), (1, 64));
    assert_eq!((small.len(), small[0].positions), (1, 16));
    assert!(
        matches!(wide[0].extent, Extent::Region { rect_in_source } if rect_in_source.x1 == 1.0)
    );
    let SourceItem::Image { grid, .. } = record.sources[pictures[0]].item else {
        panic!("a picture");
    };
    // Three slices side by side, each of 8 x 8 patches.
    assert_eq!(grid, Grid { rows: 8, cols: 24 });

    // Every signal has a map of the wide picture in that grid, and every cell of it is looked at by some embedding.
    let unit = record.units.iter().position(|unit| unit == wide[0]);
    for signal in &record.signals {
        let maps = signal.heat.iter().flatten();
        let map = maps
            .filter(|map| Some(map.unit as usize) == unit)
            .max_by(|a, b| a.peak.total_cmp(&b.peak))
            .expect("a map of the wide picture");
        assert_eq!(map.grid, grid);
        let cells = attribution::heat::cell_values(map);
        let looked_at = cells.iter().filter(|&&value| value > 0.0).count();
        assert!(looked_at > cells.len() / 2, "{looked_at}");
        assert!(map.boxes.iter().all(|hot| hot.rect_in_source.x1 <= 1.0));
    }
    // Marks and numbers of slices are nobody's.
    let owned: u32 = record.units.iter().map(|unit| unit.positions).sum();
    assert!((owned as usize) < outcome.input_ids.len());
    assert_eq!(outcome.unit_of.iter().flatten().count(), owned as usize);
}

#[test]
fn regions_of_a_picture_are_refused_with_a_warning() {
    let mut tracer = tracer(2);
    tracer.options_mut().settings.image_grid = 3;
    let sample = Sample::new("Describe it.").item(wide_picture());
    let record = tracer.trace(&sample).expect("traces").record;
    assert!(
        record
            .warnings
            .iter()
            .any(|warning| warning.contains("one unit")),
        "{:?}",
        record.warnings
    );
}

#[test]
fn a_picture_like_a_thread_is_refused_with_a_sentence() {
    let rgb = vec![200; 3 * 20_000];
    let png = media::encode::png(20_000, 1, &rgb).expect("a PNG");
    let sample = Sample::new("What is it?").item(Item::Image(film::file("thread.png", png)));
    let refused = tracer(2).trace(&sample).expect_err("is refused");
    assert!(refused.to_string().contains("too narrow"), "{refused}");
}

#[test]
fn a_film_alternates_with_its_sound_second_by_second() {
    let outcome = trace(&Sample::new("What happens?").item(Item::Video(film::film())));
    let record = &outcome.record;
    let seconds: Vec<(f64, f64, Track)> = record
        .units
        .iter()
        .filter_map(|unit| match unit.extent {
            Extent::Time {
                start_secs,
                end_secs,
                track,
            } => Some((start_secs, end_secs, track)),
            _ => None,
        })
        .collect();
    let expected = [
        (0.0, 1.0, Track::Picture),
        (0.0, 1.0, Track::Sound),
        (1.0, 2.0, Track::Picture),
        (1.0, 2.0, Track::Sound),
        (2.0, 3.0, Track::Picture),
        (2.0, 3.0, Track::Sound),
    ];
    assert_eq!(seconds, expected);
    let positions: Vec<u32> = record.units[record.units.len() - 6..]
        .iter()
        .map(|unit| unit.positions)
        .collect();
    assert_eq!(positions, [16, 10, 16, 10, 16, 10]);
    // Frames have maps too.
    let mut maps = record.signals[0].heat.iter().flatten();
    assert!(maps.any(|map| map.grid.rows > 1));
}

#[test]
fn a_generation_stops_when_told_to_and_live_chunks_are_the_records() {
    let sample = Sample::new("Tell me everything.").item(Item::Audio(film::sound()));
    let mut left = 3;
    let stopped = tracer(200).stream(&sample, |event| {
        left -= i32::from(matches!(event, TraceEvent::Token { .. }));
        if left > 0 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    let stopped = stopped.expect("traces").record;
    assert_eq!(
        (stopped.receipt.finish, stopped.tokens.len()),
        (Finish::Stopped, 3)
    );

    let mut chunks = Vec::new();
    let whole = tracer(40).stream(&sample, |event| {
        if let TraceEvent::Chunk { attribution, .. } = event {
            chunks.push(attribution);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(chunks, whole.expect("traces").record.attributions);
}

#[test]
fn what_it_cites_can_be_taken_away() {
    let tracer = tracer(12);
    let sample = Sample::new("Describe it.")
        .item(wide_picture())
        .text("A red circle.");
    let outcome = tracer.trace(&sample).expect("traces");
    let mut question = Question::new(0);
    question.units = Some(vec![1]);
    question.draws = 1;
    let answer = tracer
        .faithfulness(&sample, &outcome.record, &question)
        .expect("is measured");
    assert!(answer.log_prob.is_finite() && answer.log_prob_without.is_finite());
    assert!((answer.log_prob - answer.log_prob_without - answer.fall).abs() < 1e-9);
}

#[test]
fn it_runs_in_bf16_and_its_language_model_is_measured() {
    let sample = Sample::new("Describe it.").item(wide_picture());
    let builder = OmniTracer::builder(checkpoint())
        .precision(Precision::Bf16)
        .max_new_tokens(4);
    let record = builder
        .build()
        .expect("loads")
        .trace(&sample)
        .expect("traces")
        .record;
    assert_eq!(record.receipt.dtype, "bf16");

    let model = BenchModel::from_dir(checkpoint(), Precision::Bf16, &Device::Cpu).expect("loads");
    let settings = DecodeSettings {
        context: 20,
        tokens: 2,
        rounds: 2,
    };
    let report = model.decode(&settings).expect("decodes");
    assert!(report.untraced_secs_per_token.min > 0.0);
}

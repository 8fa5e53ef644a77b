//! What CLIP finds alike in a real trace: texts, parts of pictures and frames have a cosine, sounds and the instruction none.

use std::ops::ControlFlow;
use std::path::Path;

use attribution::record::{Extent, SourceItem, SourceRole, Track};
use engine::inspect::Rgb;
use engine::{Clip, Device, Item, Model, ModelFiles, TraceOptions, TraceRequest};

mod film;

fn fixture(name: &str) -> ModelFiles {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    ModelFiles::Dir(fixtures.join(name).join("checkpoint"))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn every_unit_but_a_sound_has_a_cosine_to_every_sentence() {
    let model = Model::load(&fixture("qwen"), "fixture", &Device::Cpu).expect("the model loads");
    let clip = Clip::load(&fixture("clip"), &Device::Cpu).expect("CLIP loads");
    let mut request = TraceRequest {
        prompt: "Describe it.\n".to_owned(),
        items: vec![
            Item::Text("The red circle. A blue square.\n".to_owned()),
            Item::Image(film::picture()),
            Item::Video(film::film()),
            Item::Audio(film::sound()),
        ],
        options: TraceOptions::at_most(40),
        ..TraceRequest::default()
    };
    request.options.settings.image_grid = 2;
    let mut go_on = |_| ControlFlow::Continue(());
    let outcome = engine::pipeline::trace(&model, &request, &mut go_on).expect("traces");
    let record = outcome.record;
    let found = clip
        .similarities(&model, &request, &record)
        .expect("similarities");

    assert_eq!(found.len(), record.chunks.len());
    let said = |k: usize| {
        let chunk = &record.chunks[k];
        let text = record.response[chunk.start as usize..chunk.end as usize].trim();
        clip.of_text(text).expect("a vector")
    };
    let (mut regions, mut frames) = (0, 0);
    for (k, cosines) in found.iter().enumerate() {
        assert_eq!(cosines.len(), record.units.len());
        for (own, unit) in cosines.iter().zip(&record.units) {
            let source = &record.sources[unit.source as usize];
            let close = |vector: Vec<f32>| {
                let expected = cosine(&said(k), &vector);
                let own = own.expect("a cosine");
                assert!((own - expected).abs() < 1e-6, "{own} {expected}");
            };
            match (&unit.extent, &source.item, source.role) {
                (_, _, SourceRole::Prompt) => assert_eq!(*own, None),
                (Extent::Text { start, end }, SourceItem::Text { text }, _) => {
                    let text = text[*start as usize..*end as usize].trim();
                    close(clip.of_text(text).expect("a vector"));
                }
                (Extent::Region { rect_in_source }, _, _) => {
                    regions += 1;
                    let bytes: Vec<u8> = (0..90 * 60 * 3).map(|i| (i * 7 % 251) as u8).collect();
                    // Parts end where the model's patches do, which need not be at a whole pixel.
                    let place = |share: f32, side: f32| (share * side).round() as usize;
                    let rect = rect_in_source;
                    let (left, right) = (place(rect.x0, 90.0), place(rect.x1, 90.0));
                    let (top, bottom) = (place(rect.y0, 60.0), place(rect.y1, 60.0));
                    assert!(right - left < 90 && bottom - top < 60);
                    let rows = (top..bottom)
                        .flat_map(|y| &bytes[(y * 90 + left) * 3..(y * 90 + right) * 3]);
                    let part = Rgb {
                        width_px: right - left,
                        height_px: bottom - top,
                        data: rows.copied().collect(),
                    };
                    close(clip.of_picture(&part).expect("a vector"));
                }
                (
                    Extent::Time {
                        track: Track::Picture,
                        ..
                    },
                    SourceItem::Video { .. },
                    _,
                ) => {
                    frames += 1;
                    assert!(own.is_some_and(|own| own.abs() <= 1.0 + 1e-9), "{own:?}");
                }
                _ => assert_eq!(*own, None, "{unit:?}"),
            }
        }
    }
    assert!(regions >= 4 && frames >= 3, "{regions} {frames}");

    // A record is compared with the files that it was made of, or not at all.
    request.items.truncate(1);
    let error = clip.similarities(&model, &request, &record);
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("another question")
    );
}

//! Compares whole traces of the media files themselves, decoders and resampler included, with recorded cases.
//! JPEG and AAC decoders differ by a level or two, so numbers are looser here; ids are not.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use engine::inspect::resample;
use engine::{Item, MediaItem, TraceOptions, TraceRequest};
use safetensors::SafeTensors;
use serde_json::Value;

use super::{Comparison, Reference, Row, floats, integers};

impl Reference {
    /// Traces a case from its files; paths in it are relative to `root`. Cases with a system message are skipped.
    pub fn compare_files(&self, case: &str, root: &Path) -> Vec<Row> {
        let recorded = self.dir.join("recorded");
        let read = |ending: &str| {
            std::fs::read(recorded.join(format!("{case}.{ending}"))).expect("recorded")
        };
        let meta: Value = serde_json::from_slice(&read("json")).expect("json");
        let bytes = read("safetensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let messages = meta["messages"].as_array().expect("messages");
        if messages.len() != 1 {
            return Vec::new();
        }
        let parts = messages[0]["content"].as_array().expect("content");
        let items: Vec<Item> = parts.iter().map(|part| item(part, root)).collect();
        let sounds: Vec<Vec<f32>> = items.iter().filter_map(sound).collect();
        let max_new_tokens = meta["max_new_tokens"].as_u64().expect("max_new_tokens") as u32;
        let request = TraceRequest {
            prompt: String::new(),
            items,
            options: options(max_new_tokens),
            ..TraceRequest::default()
        };
        let outcome =
            engine::pipeline::trace(&self.model, &request, &mut |_| ControlFlow::Continue(()))
                .expect("traces");
        let mut rows = Comparison {
            case,
            tensors: &tensors,
            rows: Vec::new(),
        };
        let widen = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
        rows.identical("files: input ids", "input_ids", &widen(&outcome.input_ids));
        let same = integers(&tensors, "generated_ids").map_or(0, |theirs| {
            theirs
                .iter()
                .zip(&widen(&outcome.generated_ids))
                .take_while(|(a, b)| a == b)
                .count()
        });
        rows.identical(
            "files: generated ids",
            "generated_ids",
            &widen(&outcome.generated_ids),
        );
        for (index, own) in sounds.iter().enumerate() {
            rows.close(
                &format!("files: 16 kHz {index}"),
                &format!("audio_16k_{index}"),
                own,
                usize::MAX,
                1e-3,
                true,
            );
        }
        let scores = outcome.scores.expect("kept");
        let both = same * scores.prompt;
        for (name, own) in [
            ("attmean_lastquery", &scores.attmean),
            ("attraw_lastquery", &scores.attraw),
        ] {
            let theirs = floats(&tensors, name).expect("recorded");
            rows.close_to(
                &format!("files: {name}"),
                &theirs[..both],
                &own[..both],
                scores.prompt,
                0.1,
                false,
            );
        }
        rows.rows
    }
}

fn item(part: &Value, root: &Path) -> Item {
    let kind = part["type"].as_str().expect("type");
    let value = part[kind].as_str().expect("a string");
    if kind == "text" {
        return Item::Text(value.to_owned());
    }
    let bytes = std::fs::read(root.join(value)).expect("the media file is there");
    let file = MediaItem {
        name: value.to_owned(),
        hash: String::new(),
        bytes: Arc::from(bytes),
    };
    match kind {
        "image" => Item::Image(file),
        "audio" => Item::Audio(file),
        _ => Item::Video(file),
    }
}

/// What an item sounds like at 16 kHz.
fn sound(item: &Item) -> Option<Vec<f32>> {
    let (Item::Audio(file) | Item::Video(file)) = item else {
        return None;
    };
    let sound = media::decode_sound(&file.bytes, &media::Limits::default()).ok()?;
    Some(resample(&sound.samples, sound.rate_hz, 16_000))
}

fn options(max_new_tokens: u32) -> TraceOptions {
    TraceOptions {
        keep_scores: true,
        ..TraceOptions::at_most(max_new_tokens)
    }
}

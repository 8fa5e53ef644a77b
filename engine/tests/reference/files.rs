//! Compares whole traces of the media files themselves, decoders and resampler included, with recorded cases.
//! JPEG and AAC decoders differ by a level or two, so numbers are looser here; ids are not.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::inspect::{InspectSource, Rgb, frame_indices, resample};
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
        let messages = super::messages(&meta);
        let [(role, parts)] = &messages[..] else {
            return Vec::new();
        };
        assert_eq!(role, "user");
        let items: Vec<Item> = parts.iter().map(|part| item(part, root)).collect();
        let sounds: Vec<Vec<f32>> = items.iter().filter_map(sound).collect();
        let max_new_tokens = super::max_new_tokens(&meta);
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
            let Some(theirs) = floats(&tensors, name) else {
                continue;
            };
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

/// Where the media files of recorded cases are, if not beside them.
pub fn media_root() -> Option<PathBuf> {
    std::env::var_os("OMNITRACE_REFERENCE_MEDIA").map(PathBuf::from)
}

/// A sound as the reference loaded it, where it lies beside the media file at 16 kHz; else the file itself.
pub fn loaded_sound(file: &str) -> Option<(Vec<f32>, u32)> {
    let path = media_root()?.join(file);
    let stem = path.file_stem()?.to_str()?;
    let loaded = path.with_file_name(format!("{stem}_16k_librosa.wav"));
    let bytes = std::fs::read(loaded)
        .or_else(|_| std::fs::read(&path))
        .ok()?;
    let sound = media::decode_sound(&bytes, &media::Limits::default()).expect("a sound");
    Some((sound.samples, sound.rate_hz))
}

/// A picture as our decoder sees it.
pub fn picture(path: &Path) -> Rgb {
    let bytes = std::fs::read(path).expect("the picture is there");
    rgb(media::decode_image(&bytes, &media::Limits::default()).expect("a picture"))
}

fn rgb(picture: media::Picture) -> Rgb {
    Rgb {
        width_px: picture.width as usize,
        height_px: picture.height as usize,
        data: picture.rgb,
    }
}

/// A film from its file, where no frames are recorded.
pub fn film(model: &engine::Model, file: &str) -> Option<InspectSource> {
    let bytes = std::fs::read(media_root()?.join(file)).ok()?;
    let film = media::Film::open(&bytes, &media::Limits::default()).expect("a film");
    let info = film.info();
    let indices = frame_indices(model, info.frame_count, info.fps);
    let frames = film.frames(&indices).expect("frames");
    let sound = film.sound().expect("a sound");
    Some(InspectSource::Film(
        frames.into_iter().map(rgb).collect(),
        sound.map(|sound| (sound.samples, sound.rate_hz)),
        info.duration_secs,
    ))
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

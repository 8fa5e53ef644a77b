//! Compares this engine with a recorded case: a checkpoint and what PyTorch computed on it.
//! In: a directory with `checkpoint/` and `recorded/<case>.{json,safetensors}`. Out: one row per compared quantity.

mod comparison;
mod files;

use std::path::{Path, PathBuf};

use attribution::record::Decoding;
use engine::inspect::{InspectSource, Rgb, inspect};
use engine::{Model, ModelFiles, default_device};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use comparison::Comparison;

/// One compared quantity.
#[derive(Debug)]
pub struct Row {
    /// Case name.
    pub case: String,
    /// What was compared.
    pub quantity: String,
    /// Largest difference.
    pub max_abs: f64,
    /// Largest difference over the row's largest reference value.
    pub max_rel: f64,
    /// What passes.
    pub bound: f64,
    /// Whether it does.
    pub ok: bool,
}

/// A directory of recorded cases.
pub struct Reference {
    dir: PathBuf,
    model: Model,
}

impl Reference {
    /// Loads `dir/checkpoint`.
    pub fn open(dir: &Path) -> Self {
        let files = ModelFiles::Dir(dir.join("checkpoint"));
        let model = Model::load(&files, "reference", &default_device().expect("a device"))
            .expect("the checkpoint loads");
        Self {
            dir: dir.to_owned(),
            model,
        }
    }

    /// The loaded model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Names of the recorded cases, sorted.
    pub fn cases(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir.join("recorded"))
            .expect("recorded/ is there")
            .filter_map(|entry| {
                let name = entry
                    .expect("readable")
                    .file_name()
                    .into_string()
                    .expect("UTF-8");
                name.strip_suffix(".safetensors").map(str::to_owned)
            })
            .collect();
        names.sort();
        names
    }

    /// Runs a case and compares every recorded quantity.
    pub fn compare(&self, case: &str) -> Vec<Row> {
        let recorded = self.dir.join("recorded");
        let meta: Value = serde_json::from_slice(
            &std::fs::read(recorded.join(format!("{case}.json"))).expect("json"),
        )
        .expect("json");
        let bytes = std::fs::read(recorded.join(format!("{case}.safetensors"))).expect("tensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let (system, sources) = self.sources(&meta, &tensors);
        let decoding = Decoding {
            max_new_tokens: max_new_tokens(&meta),
            no_repeat_ngram: 3,
            ..Decoding::default()
        };
        let ours = inspect(&self.model, sources, system.as_deref(), &decoding).expect("runs");
        Comparison {
            case,
            tensors: &tensors,
            rows: Vec::new(),
        }
        .all(&ours)
    }

    fn sources(
        &self,
        meta: &Value,
        tensors: &SafeTensors<'_>,
    ) -> (Option<String>, Vec<InspectSource>) {
        let (mut system, mut sources, mut recorded) = (None, Vec::new(), 0);
        for (index, (role, parts)) in messages(meta).into_iter().enumerate() {
            if role == "system" {
                system = parts[0]["text"].as_str().map(str::to_owned);
                continue;
            }
            if index > 0 && !sources.is_empty() {
                sources.push(InspectSource::Turn(role == "assistant"));
            }
            for part in &parts {
                let text = |key: &str| part[key].as_str().expect("a string").to_owned();
                let mut sound = || {
                    made_sound(part).or_else(|| {
                        let samples = floats(tensors, &format!("audio_16k_{recorded}"))?;
                        recorded += 1;
                        Some((samples, 16_000))
                    })
                };
                sources.push(match part["type"].as_str().expect("type") {
                    "text" => InspectSource::Text(text("text")),
                    "image" => InspectSource::Image(self.decoded(&text("image"))),
                    "audio" => {
                        let found = sound().or_else(|| files::loaded_sound(&text("audio")));
                        let (samples, rate) = found.expect("a recorded sound");
                        InspectSource::Audio(samples, rate)
                    }
                    "video" => {
                        let frames = self.frames();
                        if frames.is_empty() {
                            let film = files::film(&self.model, &text("video"));
                            film.expect("frames, or the film itself")
                        } else {
                            let secs = meta["film_secs"].as_f64();
                            let secs = secs.unwrap_or(frames.len() as f64 / 2.0);
                            InspectSource::Film(frames, sound(), secs)
                        }
                    }
                    other => panic!("unknown part {other}"),
                });
            }
        }
        (system, sources)
    }

    /// The picture as Pillow decoded it.
    fn decoded(&self, file: &str) -> Rgb {
        let stem = Path::new(file)
            .file_stem()
            .expect("a name")
            .to_str()
            .expect("UTF-8");
        let folder = self.dir.join("recorded/decoded");
        let here = folder.join(format!("{stem}.png"));
        if here.exists() {
            return read_png(&here);
        }
        // A folder of media that several references share; without Pillow's own levels, ours of the file.
        let root = files::media_root().expect("the picture as it was decoded");
        let pillow = root.join(file).with_file_name(format!("{stem}_pillow.png"));
        if pillow.exists() {
            return read_png(&pillow);
        }
        files::picture(&root.join(file))
    }

    /// The film's sampled frames, in order.
    pub fn frames(&self) -> Vec<Rgb> {
        self.frame_files()
            .iter()
            .map(|path| read_png(path))
            .collect()
    }

    /// `frameNN_srcMMM.png`, sorted.
    pub fn frame_files(&self) -> Vec<PathBuf> {
        let Ok(folder) = std::fs::read_dir(self.dir.join("recorded/decoded")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = folder
            .map(|entry| entry.expect("readable").path())
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with("frame"))
            })
            .collect();
        files.sort();
        files
    }
}

/// An RGB picture from a PNG file.
pub fn read_png(path: &Path) -> Rgb {
    let picture = image::open(path).expect("a PNG").to_rgb8();
    Rgb {
        width_px: picture.width() as usize,
        height_px: picture.height() as usize,
        data: picture.into_raw(),
    }
}

/// A recorded f32 tensor, flattened.
pub fn floats(tensors: &SafeTensors<'_>, name: &str) -> Option<Vec<f32>> {
    let view = tensors.tensor(name).ok()?;
    assert_eq!(view.dtype(), Dtype::F32, "{name}");
    Some(
        view.data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
    )
}

/// Role and parts of every message of a case. A recording without messages is one of the user.
fn messages(meta: &Value) -> Vec<(String, Vec<Value>)> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    match meta["messages"].as_array() {
        Some(messages) => messages
            .iter()
            .map(|message| {
                let role = message["role"].as_str().expect("a role");
                (role.to_owned(), list(&message["content"]))
            })
            .collect(),
        None => vec![("user".to_owned(), list(&meta["content"]))],
    }
}

/// A sound that `fixtures/minicpm/make.py` makes from whole numbers, at 16 kHz.
fn made_sound(part: &Value) -> Option<(Vec<f32>, u32)> {
    let (count, seed) = (part["samples"].as_i64()?, part["seed"].as_i64()?);
    let sample = |i: i64| {
        let loud = [8, 1, 3][(i / 4000 % 3) as usize];
        ((i * (37 * seed + 11) % 997 - 498) * loud) as f32 / 16_384.0
    };
    Some(((0..count).map(sample).collect(), 16_000))
}

fn max_new_tokens(meta: &Value) -> u32 {
    let bound = meta["max_new_tokens"].as_u64().or(meta["max_new"].as_u64());
    bound.expect("a bound on the answer") as u32
}

fn integers(tensors: &SafeTensors<'_>, name: &str) -> Option<Vec<i64>> {
    let view = tensors.tensor(name).ok()?;
    if view.dtype() == Dtype::I32 {
        let whole = |b: &[u8]| i64::from(i32::from_le_bytes(b.try_into().expect("4 bytes")));
        return Some(view.data().chunks_exact(4).map(whole).collect());
    }
    assert_eq!(view.dtype(), Dtype::I64, "{name}");
    let whole = |b: &[u8]| i64::from_le_bytes(b.try_into().expect("8 bytes"));
    Some(view.data().chunks_exact(8).map(whole).collect())
}

/// The rows as a table.
pub fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<12} {:<28} {:>11} {:>11} {:>9}  \n",
        "case", "quantity", "max abs", "max rel", "bound"
    );
    for row in rows {
        out += &format!(
            "{:<12} {:<28} {:>11.2e} {:>11.2e} {:>9.0e}  {}\n",
            row.case,
            row.quantity,
            row.max_abs,
            row.max_rel,
            row.bound,
            if row.ok { "ok" } else { "WRONG" }
        );
    }
    out
}

//! A sample as files: `sample.json` in the package's sample form, its media, and `truth.json` with the exact sources.

use crate::Task;
use crate::WorldError;
use crate::sample::{Block, FILM_FPS, Film, Picture, SOUND_RATE_HZ, Sample, Sentence, Sound};
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// A sample's files in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The question in the package's sample form; media are named relative to it.
    pub sample_json: String,
    /// The expected answer and its sources: see [`truth_json`].
    pub truth_json: String,
    /// Name and bytes of each media file, in the order of the blocks.
    pub files: Vec<(String, Vec<u8>)>,
}

/// One block of `question`, as the package has it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Part<'a> {
    Text(&'a str),
    Image(String),
    Audio(String),
    Video(String),
}

/// `sample.json`, its fields in the package's order.
#[derive(Serialize)]
struct Question<'a> {
    id: String,
    task: &'a str,
    source_dataset: &'a str,
    modality: &'a str,
    prompt: &'a str,
    question: Vec<Part<'a>>,
    answer: String,
}

/// Renders a sample's files.
///
/// # Errors
/// [`WorldError::Media`] where an encoder refuses.
pub fn render(sample: &Sample) -> Result<Rendered, WorldError> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut question = Vec::new();
    let mut images = 0;
    for block in &sample.blocks {
        let (name, bytes) = match block {
            Block::Text(text) => {
                question.push(Part::Text(text));
                continue;
            }
            Block::Image(picture) => {
                images += 1;
                (format!("image-{images}.png"), png(picture)?)
            }
            Block::Audio(sound) => ("sound.wav".to_owned(), wav(sound)?),
            Block::Video(film) => ("film.mp4".to_owned(), mp4(film)?),
        };
        question.push(match block {
            Block::Image(_) => Part::Image(name.clone()),
            Block::Audio(_) => Part::Audio(name.clone()),
            _ => Part::Video(name.clone()),
        });
        files.push((name, bytes));
    }
    let question = Question {
        id: format!("{}-{}", sample.task, sample.seed),
        task: sample.task.name(),
        source_dataset: "omnitrace-world",
        modality: modality(sample.task),
        prompt: &sample.prompt,
        question,
        answer: sample.answer_text(),
    };
    Ok(Rendered {
        sample_json: serde_json::to_string_pretty(&question)? + "\n",
        truth_json: truth_json(&sample.answer)?,
        files,
    })
}

/// `{"answer":[{"sentence","support":{"text":[unit],"image":[{"image","rect":[x0,y0,x1,y1]}],"time":[[start_s,end_s]]}}]}`.
///
/// A text unit is a line of the question's text blocks, counted from 0 over all of them in order; the instruction (`prompt`) is
/// not counted. `image` counts the question's images from 0, `rect` is in fractions of its width and height.
///
/// # Errors
/// [`WorldError::Json`] where a number cannot be written, which finite times and rectangles rule out.
pub fn truth_json(answer: &[Sentence]) -> Result<String, WorldError> {
    Ok(serde_json::to_string_pretty(&json!({ "answer": answer }))? + "\n")
}

/// Writes `sample.json`, `truth.json` and the media files into `dir`, which is made where it is missing.
///
/// # Errors
/// [`WorldError::Media`] where an encoder refuses, [`WorldError::Write`] where a file cannot be written.
pub fn write_sample(sample: &Sample, dir: &Path) -> Result<(), WorldError> {
    let rendered = render(sample)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorldError::Write { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    let texts = [
        ("sample.json", rendered.sample_json.as_bytes()),
        ("truth.json", rendered.truth_json.as_bytes()),
    ];
    let media = rendered
        .files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    for (name, bytes) in texts.into_iter().chain(media) {
        let path = dir.join(name);
        std::fs::write(&path, bytes).map_err(failed(&path))?;
    }
    Ok(())
}

/// The picture as a PNG file.
///
/// # Errors
/// [`WorldError::Media`] where the encoder refuses.
pub fn png(picture: &Picture) -> Result<Vec<u8>, WorldError> {
    Ok(media::encode::png(
        picture.width,
        picture.height,
        &picture.rgb,
    )?)
}

/// The sound as a WAV file of 16-bit samples.
///
/// # Errors
/// [`WorldError::Media`] where the encoder refuses.
pub fn wav(sound: &Sound) -> Result<Vec<u8>, WorldError> {
    Ok(media::encode::wav(&sound.samples, SOUND_RATE_HZ)?)
}

/// The film as an MP4 file of H.264 and lossless sound.
///
/// # Errors
/// [`WorldError::Media`] where the encoder refuses.
pub fn mp4(film: &Film) -> Result<Vec<u8>, WorldError> {
    let frames: Vec<&[u8]> = film.frames.iter().map(Vec::as_slice).collect();
    let sound = Some((film.sound.samples.as_slice(), SOUND_RATE_HZ));
    Ok(media::encode::film(
        &frames,
        film.width,
        film.height,
        FILM_FPS,
        sound,
    )?)
}

/// The package's word for what a task is about.
fn modality(task: Task) -> &'static str {
    match task {
        Task::Dialogue | Task::VisualQa => "image_text",
        Task::Speech | Task::AudioQa => "audio",
        Task::VideoQa => "video",
        Task::Mixed => "mixed",
    }
}

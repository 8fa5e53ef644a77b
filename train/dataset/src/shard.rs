//! One shard: a `.jsonl` of samples and a `.bin` with their pixels and sound.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use world::sample::{Block, Film, Picture, Placed, Sound};
use world::{Sample, Split};

pub(crate) struct Shard {
    lines: BufWriter<File>,
    bin: BufWriter<File>,
    offset: u64,
}

/// A line; the fields stand in this order.
#[derive(Serialize)]
struct Line {
    task: String,
    seed: u64,
    split: Split,
    prompt: String,
    blocks: Vec<Value>,
    answer: Vec<String>,
    answer_text: String,
    option_letter: Option<char>,
    labels: Labels,
}

#[derive(Default, Serialize)]
struct Labels {
    images: Vec<Vec<Placed>>,
    audios: Vec<Value>,
    videos: Vec<Value>,
}

impl Shard {
    pub(crate) fn create(prefix: &Path) -> Result<Self> {
        let open = |extension: &str| -> Result<BufWriter<File>> {
            let mut path = prefix.as_os_str().to_owned();
            path.push(extension);
            let file = File::create(&path)
                .with_context(|| format!("cannot create {}", Path::new(&path).display()))?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        Ok(Self {
            lines: open(".jsonl")?,
            bin: open(".bin")?,
            offset: 0,
        })
    }

    pub(crate) fn write_sample(&mut self, sample: &Sample) -> Result<()> {
        let mut labels = Labels::default();
        let mut blocks = Vec::new();
        for block in &sample.blocks {
            blocks.push(self.write_block(block, &mut labels)?);
        }
        self.write_line(&Line {
            task: sample.task.name().to_owned(),
            seed: sample.seed,
            split: sample.split,
            prompt: sample.prompt.clone(),
            blocks,
            answer: sample.answer.iter().map(|s| s.sentence.clone()).collect(),
            answer_text: sample.answer_text(),
            option_letter: sample.option_letter,
            labels,
        })
    }

    pub(crate) fn write_perception(
        &mut self,
        kind: &str,
        seed: u64,
        split: Split,
        block: Block,
    ) -> Result<()> {
        let mut labels = Labels::default();
        let blocks = vec![self.write_block(&block, &mut labels)?];
        self.write_line(&Line {
            task: format!("perception-{kind}"),
            seed,
            split,
            prompt: String::new(),
            blocks,
            answer: Vec::new(),
            answer_text: String::new(),
            option_letter: None,
            labels,
        })
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.lines.flush()?;
        self.bin.flush()?;
        Ok(())
    }

    fn write_line(&mut self, line: &Line) -> Result<()> {
        serde_json::to_writer(&mut self.lines, line)?;
        self.lines.write_all(b"\n")?;
        Ok(())
    }

    fn write_block(&mut self, block: &Block, labels: &mut Labels) -> Result<Value> {
        Ok(match block {
            Block::Text(text) => json!({"kind": "text", "text": text}),
            Block::Image(picture) => {
                labels.images.push(picture.objects.clone());
                self.write_picture(picture)?
            }
            Block::Audio(sound) => {
                labels.audios.push(segments(sound));
                let offset = self.write_sound(&sound.samples)?;
                json!({"kind": "audio", "offset": offset, "n": sound.samples.len()})
            }
            Block::Video(film) => self.write_film(film, labels)?,
        })
    }

    fn write_picture(&mut self, picture: &Picture) -> Result<Value> {
        let offset = self.write_bytes(&picture.rgb)?;
        Ok(json!({"kind": "image", "offset": offset, "h": picture.height, "w": picture.width}))
    }

    fn write_film(&mut self, film: &Film, labels: &mut Labels) -> Result<Value> {
        let seen = crate::film::seen(film)?;
        let offset = self.offset;
        for frame in &seen.frames {
            self.write_bytes(frame)?;
        }
        let audio_offset = self.write_sound(&seen.samples)?;
        let shown: Vec<Vec<Placed>> = seen
            .indices
            .iter()
            .map(|&k| film.shown.get(k).copied().into_iter().collect())
            .collect();
        let scenes: Vec<Value> = film
            .scenes
            .iter()
            .map(|s| json!([s.start_secs, s.end_secs, s.look.shape, s.look.colour]))
            .collect();
        labels
            .videos
            .push(json!({"frames": shown, "events": segments(&film.sound), "scenes": scenes}));
        let duration_secs = film.scenes.last().map_or(0.0, |s| s.end_secs);
        Ok(json!({
            "kind": "video", "offset": offset, "frames": seen.frames.len(), "h": film.height, "w": film.width,
            "audio_offset": audio_offset, "audio_n": seen.samples.len(), "duration_s": duration_secs,
        }))
    }

    /// As 16-bit samples, which is what a WAV or FLAC file holds.
    fn write_sound(&mut self, samples: &[f32]) -> Result<u64> {
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|x| {
                ((f64::from(*x) * 32_768.0)
                    .round()
                    .clamp(-32_768.0, 32_767.0) as i16)
                    .to_le_bytes()
            })
            .collect();
        self.write_bytes(&bytes)
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<u64> {
        let offset = self.offset;
        self.bin.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(offset)
    }
}

fn segments(sound: &Sound) -> Value {
    sound
        .segments
        .iter()
        .map(|s| json!([s.start_secs, s.end_secs, s.label]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Shard;
    use serde_json::Value;
    use world::sample::Block;
    use world::{Split, Task, generate};

    #[test]
    fn every_block_lies_where_the_line_says() {
        let prefix = std::env::temp_dir().join(format!("omnitrace-shard-{}", std::process::id()));
        let path = |extension: &str| prefix.with_extension(extension);
        for task in Task::ALL {
            let samples: Vec<_> = (0..3)
                .map(|seed| generate(task, seed, Split::Train).expect("a sample"))
                .collect();
            let mut shard = Shard::create(&prefix).expect("files");
            for sample in &samples {
                shard.write_sample(sample).expect("a line");
            }
            shard.finish().expect("an end");
            let bin = std::fs::read(path("bin")).expect("pixels");
            let text = std::fs::read_to_string(path("jsonl")).expect("lines");
            let mut at = 0;
            for (line, sample) in text.lines().zip(&samples) {
                let line: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["answer_text"], sample.answer_text());
                let blocks = line["blocks"].as_array().expect("blocks");
                assert_eq!(blocks.len(), sample.blocks.len());
                for (written, block) in blocks.iter().zip(&sample.blocks) {
                    let number = |key: &str| written[key].as_u64().expect("a number") as usize;
                    match block {
                        Block::Text(text) => assert_eq!(written["text"], text.as_str()),
                        Block::Image(picture) => {
                            let offset = number("offset");
                            assert_eq!((offset, number("w")), (at, picture.width as usize));
                            at += number("h") * number("w") * 3;
                            assert!(bin[offset..at] == picture.rgb);
                        }
                        Block::Audio(sound) => {
                            assert_eq!((number("offset"), number("n")), (at, sound.samples.len()));
                            at += number("n") * 2;
                        }
                        Block::Video(film) => {
                            assert_eq!(number("offset"), at);
                            assert_eq!(number("frames") * 4, film.frames.len());
                            at += number("frames") * number("h") * number("w") * 3;
                            assert_eq!(
                                (number("audio_offset"), number("audio_n")),
                                (at, film.sound.samples.len())
                            );
                            at += number("audio_n") * 2;
                        }
                    }
                }
            }
            assert_eq!((at, text.lines().count()), (bin.len(), 3), "{task}");
        }
        for extension in ["bin", "jsonl"] {
            std::fs::remove_file(path(extension)).expect("removal");
        }
    }
}

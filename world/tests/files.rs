//! A sample's files, read back by the project's own decoders.
#![cfg(feature = "files")]

use media::Limits;
use world::files::{render, write_sample};
use world::sample::Block;
use world::{Split, Task, generate};

fn to_i16(samples: &[f32]) -> Vec<i16> {
    samples
        .iter()
        .map(|x| (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16)
        .collect()
}

#[test]
fn pictures_and_sound_survive_exactly_and_film_nearly() {
    let limits = Limits::default();
    for task in Task::ALL {
        let sample = generate(task, 3, Split::Eval).expect("a sample");
        let rendered = render(&sample).expect("its files");
        let media: Vec<&Block> = sample
            .blocks
            .iter()
            .filter(|b| !matches!(b, Block::Text(_)))
            .collect();
        assert_eq!(media.len(), rendered.files.len());
        for (block, (name, bytes)) in media.into_iter().zip(&rendered.files) {
            match block {
                Block::Image(picture) => {
                    let read = media::decode_image(bytes, &limits).expect("a picture");
                    assert_eq!(
                        (read.width, read.height),
                        (picture.width, picture.height),
                        "{name}"
                    );
                    assert!(read.rgb == picture.rgb, "{name}: pixels differ");
                }
                Block::Audio(sound) => {
                    let read = media::decode_sound(bytes, &limits).expect("a sound");
                    assert_eq!(read.rate_hz, 16_000);
                    assert!(
                        to_i16(&read.samples) == to_i16(&sound.samples),
                        "{name}: samples differ"
                    );
                }
                Block::Video(film) => {
                    let read = media::Film::open(bytes, &limits).expect("a film");
                    assert_eq!(read.info().frame_count, film.frames.len());
                    let all: Vec<usize> = (0..film.frames.len()).collect();
                    for (drawn, seen) in film.frames.iter().zip(read.frames(&all).expect("frames"))
                    {
                        let off: u64 = drawn
                            .iter()
                            .zip(&seen.rgb)
                            .map(|(a, b)| u64::from(a.abs_diff(*b)))
                            .sum();
                        assert!(
                            off < 5 * drawn.len() as u64,
                            "mean error {}",
                            off as f64 / drawn.len() as f64
                        );
                    }
                    let heard = read.sound().expect("a track").expect("a sound");
                    assert!(
                        to_i16(&heard.samples) == to_i16(&film.sound.samples),
                        "{name}: samples differ"
                    );
                }
                Block::Text(_) => {}
            }
        }
    }
}

#[test]
fn json_names_every_file_and_keeps_the_order_of_the_blocks() {
    let dir = std::env::temp_dir().join(format!("omnitrace-world-{}", std::process::id()));
    for task in Task::ALL {
        let sample = generate(task, 11, Split::Eval).expect("a sample");
        write_sample(&sample, &dir).expect("files");
        let read = |name: &str| std::fs::read(dir.join(name)).expect("a file");
        let json: serde_json::Value = serde_json::from_slice(&read("sample.json")).expect("JSON");
        assert_eq!(json["id"], format!("{task}-11"));
        assert_eq!(json["prompt"], sample.prompt.as_str());
        assert_eq!(json["answer"], sample.answer_text());
        let parts = json["question"].as_array().expect("blocks");
        assert_eq!(parts.len(), sample.blocks.len());
        for (part, block) in parts.iter().zip(&sample.blocks) {
            match block {
                Block::Text(text) => assert_eq!(part["text"], text.as_str()),
                Block::Image(_) => {
                    assert!(read(part["image"].as_str().expect("a name")).starts_with(b"\x89PNG"))
                }
                Block::Audio(_) => {
                    assert!(read(part["audio"].as_str().expect("a name")).starts_with(b"RIFF"))
                }
                Block::Video(_) => assert_eq!(
                    &read(part["video"].as_str().expect("a name"))[4..8],
                    b"ftyp"
                ),
            }
        }
        let truth: serde_json::Value = serde_json::from_slice(&read("truth.json")).expect("JSON");
        let sentences = truth["answer"].as_array().expect("sentences");
        assert_eq!(sentences.len(), sample.answer.len());
        for (found, expected) in sentences.iter().zip(&sample.answer) {
            assert_eq!(found["sentence"], expected.sentence.as_str());
            assert_eq!(
                found["support"]["text"].as_array().map(Vec::len),
                Some(expected.support.text.len())
            );
            assert_eq!(
                found["support"]["time"].as_array().map(Vec::len),
                Some(expected.support.time.len())
            );
        }
    }
    std::fs::remove_dir_all(&dir).expect("removal");
}

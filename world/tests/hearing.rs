//! What a sample says is heard is heard then: segments and supports against the samples themselves.

use world::sample::{Block, Segment, Sound};
use world::sound::Event;
use world::vocabulary::spoken_words;
use world::{Sample, Split, Task, generate};

const RATE: f64 = 16_000.0;

fn samples_of(task: Task, seeds: u64) -> Vec<Sample> {
    Split::ALL
        .into_iter()
        .flat_map(|split| {
            (0..seeds).map(move |seed| generate(task, seed, split).expect("a sample"))
        })
        .collect()
}

fn sounds(sample: &Sample) -> Vec<&Sound> {
    sample
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Audio(sound) => Some(sound),
            Block::Video(film) => Some(&film.sound),
            Block::Text(_) | Block::Image(_) => None,
        })
        .collect()
}

/// Root mean square between two times.
fn level(sound: &Sound, from: f64, to: f64) -> f64 {
    let part = &sound.samples
        [(from * RATE).round() as usize..((to * RATE).round() as usize).min(sound.samples.len())];
    (part.iter().map(|x| f64::from(x * x)).sum::<f64>() / part.len().max(1) as f64).sqrt()
}

fn segments_in(sound: &Sound, [from, to]: [f64; 2]) -> Vec<&Segment> {
    sound
        .segments
        .iter()
        .filter(|s| s.start_secs >= from - 0.002 && s.end_secs <= to + 0.002)
        .collect()
}

#[test]
fn segments_are_ordered_apart_inside_and_louder_than_what_is_between_them() {
    for task in [Task::AudioQa, Task::VideoQa, Task::Speech, Task::Mixed] {
        for sample in samples_of(task, 8) {
            let name = format!("{task} {} seed {}", sample.split.name(), sample.seed);
            for sound in sounds(&sample) {
                let total = sound.samples.len() as f64 / RATE;
                assert!(sound.samples.iter().all(|x| x.abs() <= 1.0), "{name}");
                let mut before = 0.0;
                for s in &sound.segments {
                    assert!(
                        s.start_secs >= before && s.end_secs > s.start_secs,
                        "{name}: {s:?} after {before}"
                    );
                    assert!(s.end_secs <= total + 1e-3, "{name}: {s:?} of {total}");
                    let heard = level(sound, s.start_secs, s.end_secs);
                    // Gaps between sentences and events; those between words are too short to measure.
                    if s.start_secs - before > 0.15 {
                        let quiet = level(sound, before + 0.005, s.start_secs - 0.005);
                        assert!(
                            heard > 1.5 * quiet,
                            "{name}: {s:?} at {heard:.4}, before it {quiet:.4}"
                        );
                    }
                    before = s.end_secs;
                }
                if total - before > 0.15 {
                    let last = sound
                        .segments
                        .last()
                        .map_or(0.0, |s| level(sound, s.start_secs, s.end_secs));
                    assert!(
                        last > 1.5 * level(sound, before + 0.005, total),
                        "{name}: sound after the last segment"
                    );
                }
            }
        }
    }
}

#[test]
fn events_last_long_enough_to_be_told_and_sentences_that_name_one_point_at_it() {
    for task in [Task::AudioQa, Task::VideoQa] {
        let mut pointed = 0;
        for sample in samples_of(task, 8) {
            let name = format!("{task} {} seed {}", sample.split.name(), sample.seed);
            let sound = sounds(&sample)[0];
            for s in &sound.segments {
                assert!(Event::from_name(&s.label).is_some(), "{name}: {s:?}");
                let secs = s.end_secs - s.start_secs;
                assert!((0.5..4.0).contains(&secs), "{name}: {s:?}");
            }
            for sentence in &sample.answer {
                for time in &sentence.support.time {
                    let heard = segments_in(sound, *time);
                    let names = |label: &str| {
                        sentence
                            .sentence
                            .split(|c: char| !c.is_alphabetic())
                            .any(|w| w == label)
                    };
                    let named = Event::ALL.into_iter().any(|e| names(e.name()));
                    if named && !heard.is_empty() {
                        pointed += 1;
                        assert!(
                            heard.iter().any(|s| names(&s.label)),
                            "{name}: {sentence:?} over {heard:?}"
                        );
                    }
                }
            }
        }
        assert!(
            pointed > 10,
            "{task}: {pointed} sentences point at what they name"
        );
    }
}

#[test]
fn a_retold_sentence_rests_on_the_words_it_retells() {
    let vocabulary: Vec<&str> = spoken_words().collect();
    for sample in samples_of(Task::Speech, 16) {
        let name = format!("{} seed {}", sample.split.name(), sample.seed);
        let sound = sounds(&sample)[0];
        assert!(
            sound
                .segments
                .iter()
                .all(|s| vocabulary.contains(&s.label.as_str())),
            "{name}"
        );
        for sentence in &sample.answer {
            let [[from, to]] = sentence.support.time[..] else {
                panic!("{name}: one interval for {sentence:?}");
            };
            let words: Vec<&str> = segments_in(sound, [from, to])
                .iter()
                .map(|s| s.label.as_str())
                .collect();
            let said = format!("{}.", words.join(" "));
            assert!(
                !words.is_empty() && sentence.sentence.ends_with(&said),
                "{name}: {sentence:?} over {said:?}"
            );
            assert!(
                (1.0..4.0).contains(&(to - from)),
                "{name}: {:.2} s",
                to - from
            );
        }
    }
}

#[test]
fn training_never_hears_what_is_held_out() {
    for task in [Task::AudioQa, Task::Speech] {
        assert!(
            samples_of(task, 12)
                .iter()
                .all(|s| s.held_out == (s.split == Split::Heldout)),
            "{task}"
        );
    }
}

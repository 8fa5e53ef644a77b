//! Tests of speech: the bank is whole and guarded, alignment is exact, pace and pitch do what they say.

use super::bank::Bank;
use super::{SPEECH_PEAK, SPEED_RANGE, VOICES, WORDS, say, stretch};
use crate::rng::Rng;
use crate::vocabulary::spoken_words;

const SENTENCE: [&str; 7] = ["Anna", "lost", "a", "boat", "at", "the", "school"];

fn bank() -> Bank<'static> {
    Bank::parse(WORDS).expect("the shipped bank parses")
}

fn rms(sound: &[f32]) -> f64 {
    (sound.iter().map(|x| f64::from(x * x)).sum::<f64>() / sound.len().max(1) as f64).sqrt()
}

#[test]
fn the_bank_holds_exactly_the_vocabulary_in_exactly_the_voices() {
    assert_eq!(bank().words(), spoken_words().collect::<Vec<_>>());
    assert_eq!(
        bank().voices(),
        VOICES
            .iter()
            .map(|v| (v.name, v.held_out))
            .collect::<Vec<_>>()
    );
    assert!(VOICES.iter().filter(|v| v.held_out).count() >= 2);
    assert!(WORDS.len() <= 3_000_000, "{} bytes", WORDS.len());
}

#[test]
fn every_word_of_every_voice_is_audible_trimmed_and_not_clipped() {
    let bank = bank();
    for voice in 0..VOICES.len() {
        for (k, word) in spoken_words().enumerate() {
            let clip = bank.clip(voice, k).expect("a clip");
            let secs = clip.len() as f64 / 16_000.0;
            assert!(
                (0.04..0.9).contains(&secs),
                "{word}, voice {voice}: {secs:.3} s"
            );
            let peak = clip.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            assert!(
                (0.1..0.9).contains(&peak),
                "{word}, voice {voice}: peak {peak}"
            );
            // Trimmed: the margin at either end is at most 30 ms of near-silence.
            let loudest = clip.chunks(80).map(rms).fold(0.0, f64::max);
            for end in [&clip[..480], &clip[clip.len() - 480..]] {
                let heard = end.chunks(80).map(rms).fold(0.0, f64::max);
                assert!(heard > 0.008 * loudest, "{word}, voice {voice}: silent end");
            }
        }
    }
}

#[test]
fn alignment_is_ordered_inside_the_sound_and_silent_between_words() {
    for (seed, voice) in VOICES.into_iter().enumerate() {
        for speed in [0.8, 1.0, 1.25] {
            let (sound, spans) =
                say(&SENTENCE, voice, speed, &mut Rng::new(seed as u64)).expect("known words");
            let total = sound.len() as f64 / 16_000.0;
            assert_eq!(spans.len(), SENTENCE.len());
            assert_eq!(spans[0].0, 0.0);
            assert!((spans[6].1 - total).abs() < 1e-9);
            for (from, to) in &spans {
                assert!(to - from > 0.03 && *to <= total);
                assert!(rms(&sound[(from * 16_000.0) as usize..(to * 16_000.0) as usize]) > 0.01);
            }
            for pair in spans.windows(2) {
                assert!(pair[0].1 < pair[1].0);
                let gap = &sound[(pair[0].1 * 16_000.0).round() as usize
                    ..(pair[1].0 * 16_000.0).round() as usize];
                assert!(gap.iter().all(|x| *x == 0.0));
            }
            let peak = sound.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            assert!((peak - SPEECH_PEAK).abs() < 1e-5);
        }
    }
}

#[test]
fn sentences_last_about_two_to_three_seconds_at_their_own_pace() {
    for voice in VOICES {
        let (sound, _) = say(&SENTENCE, voice, 1.0, &mut Rng::new(3)).expect("known words");
        let secs = sound.len() as f64 / 16_000.0;
        assert!((1.5..3.0).contains(&secs), "{}: {secs:.2} s", voice.name);
    }
}

#[test]
fn speech_repeats_for_a_seed_and_varies_with_it() {
    let speak = |seed| say(&SENTENCE, VOICES[0], 1.1, &mut Rng::new(seed));
    assert_eq!(speak(4), speak(4));
    assert_ne!(speak(4), speak(5));
}

#[test]
fn unknown_words_give_none_case_is_ignored_and_odd_speeds_are_clamped() {
    let mut rng = Rng::new(0);
    assert_eq!(say(&["Anna", "xylophone"], VOICES[0], 1.0, &mut rng), None);
    assert_eq!(say(&[], VOICES[0], 1.0, &mut rng), Some((vec![], vec![])));
    let long = |speed| {
        say(&["anna", "LOST"], VOICES[0], speed, &mut Rng::new(9))
            .expect("known words")
            .0
            .len()
    };
    assert_eq!(long(f64::NAN), long(1.0));
    assert_eq!(long(1e9), long(SPEED_RANGE.1));
    assert_eq!(long(-1.0), long(SPEED_RANGE.0));
}

/// The frequency of a tone, by counting rising zero crossings.
fn hz(tone: &[f32]) -> f64 {
    let rises = tone
        .windows(2)
        .filter(|w| w[0] < 0.0 && w[1] >= 0.0)
        .count();
    rises as f64 * 16_000.0 / tone.len() as f64
}

#[test]
fn pace_keeps_the_pitch_and_pitch_keeps_the_pace() {
    let tone: Vec<f32> = (0..16_000)
        .map(|k| (k as f32 * 220.0 * std::f32::consts::TAU / 16_000.0).sin())
        .collect();
    for (speed, pitch) in [
        (0.75, 1.0),
        (1.3, 1.0),
        (1.0, 0.94),
        (1.0, 1.06),
        (1.2, 0.95),
    ] {
        let out = stretch::paced(&tone, speed, pitch);
        let length = out.len() as f64 * speed / 16_000.0;
        assert!(
            (length - 1.0).abs() < 0.02,
            "{speed} {pitch}: length {length}"
        );
        // The faded end hides nothing of a pure tone: zero crossings stay.
        assert!(
            (hz(&out) / (220.0 * pitch) - 1.0).abs() < 0.03,
            "{speed} {pitch}: {} Hz",
            hz(&out)
        );
        assert!(out.iter().all(|x| x.abs() < 1.15));
    }
    for short in 0..50 {
        let clip = vec![0.1; short * 17];
        assert!(stretch::paced(&clip, 1.3, 1.05).len() <= clip.len());
    }
}

#[test]
fn damaged_banks_are_refused_or_read_within_bounds() {
    for cut in (0..WORDS.len()).step_by(9_973).chain(0..600) {
        assert!(Bank::parse(&WORDS[..cut]).is_none(), "cut at {cut}");
    }
    // Any byte of the tables changed: refused, or every clip still decodes inside the file or gives `None`.
    for k in 0..1_200 {
        let mut damaged = WORDS.to_vec();
        damaged[k] ^= 0xA5;
        if let Some(bank) = Bank::parse(&damaged) {
            for voice in 0..=VOICES.len() {
                if let Some(clip) = bank.clip(voice, 3) {
                    assert!(clip.len() <= 32_000);
                }
            }
        }
    }
    assert_eq!(bank().clip(VOICES.len(), 0), None);
    assert_eq!(bank().clip(0, 35), None);
}

//! Speech put together from the word bank, so that it is known exactly when each word is heard.

mod bank;
mod stretch;

use std::sync::OnceLock;

use crate::rng::Rng;
use crate::sound::SAMPLE_RATE_HZ;
use bank::Bank;

/// The peak amplitude of a spoken sentence.
pub const SPEECH_PEAK: f32 = 0.5;

/// The slowest and fastest speed of [`say`], as a factor on the voice's own pace.
pub const SPEED_RANGE: (f64, f64) = (0.75, 1.35);

/// The rendered words, made by `train/bank/make.py`.
#[cfg(feature = "bank")]
static WORDS: &[u8] = include_bytes!("../../assets/words.bank");

/// Where a word is heard: the seconds from its onset to its end.
pub type Span = (f64, f64);

/// Somebody who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    /// The voice's name in the bank.
    pub name: &'static str,
    /// Never used in training: evaluation alone hears it.
    pub held_out: bool,
}

const fn voice(name: &'static str, held_out: bool) -> Voice {
    Voice { name, held_out }
}

/// Every voice, in the bank's order: ten for training, then two held out (one female, one male).
pub const VOICES: [Voice; 12] = [
    voice("amber", false),
    voice("basil", false),
    voice("cedar", false),
    voice("daisy", false),
    voice("elder", false),
    voice("fern", false),
    voice("ginger", false),
    voice("hazel", false),
    voice("iris", false),
    voice("juniper", false),
    voice("laurel", true),
    voice("maple", true),
];

/// The bank, parsed once; `Some(None)` only if the asset were damaged, which a test rules out.
static BANK: OnceLock<Option<Bank<'static>>> = OnceLock::new();

#[cfg(feature = "bank")]
fn shipped() -> Option<&'static Bank<'static>> {
    BANK.get_or_init(|| Bank::parse(WORDS)).as_ref()
}

#[cfg(not(feature = "bank"))]
fn shipped() -> Option<&'static Bank<'static>> {
    BANK.get()?.as_ref()
}

/// Gives a program without the bank its words: the bytes of `assets/words.bank`, kept for good. False where they are damaged.
///
/// Until then nothing can be spoken; afterwards, and in a program that has the bank inside, it does nothing.
pub fn lend(bytes: Vec<u8>) -> bool {
    if shipped().is_none() {
        let bytes: &'static [u8] = bytes.leak();
        BANK.get_or_init(|| Bank::parse(bytes));
    }
    shipped().is_some()
}

/// Whether words can be spoken.
#[must_use]
pub fn can_speak() -> bool {
    shipped().is_some()
}

/// Speaks `words` in `voice`: the sound at 16 kHz, and for each word the seconds from its onset to its end.
///
/// `speed` is a factor on the voice's own pace, clamped to [`SPEED_RANGE`]; `rng` varies pitch, gaps and loudness a little.
/// Words are found without regard to case. `None` where the bank lacks a word or the voice. No words give an empty sound.
#[must_use]
pub fn say(
    words: &[&str],
    voice: Voice,
    speed: f64,
    rng: &mut Rng,
) -> Option<(Vec<f32>, Vec<Span>)> {
    let bank = shipped()?;
    let voice = bank.voice(voice.name)?;
    let speed = if speed.is_nan() {
        1.0
    } else {
        speed.clamp(SPEED_RANGE.0, SPEED_RANGE.1)
    };
    let pitch = rng.range_f64(0.94, 1.06);
    let mut sound: Vec<f32> = Vec::new();
    let mut spans = Vec::with_capacity(words.len());
    for (k, word) in words.iter().enumerate() {
        let clip = bank.clip(voice, bank.word(word)?)?;
        let loudness = rng.range_f64(0.85, 1.15) as f32;
        let pause = if k == 0 {
            0.0
        } else {
            rng.range_f64(0.015, 0.05) / speed
        };
        sound.resize(sound.len() + seconds_to_samples(pause), 0.0);
        let start = sound.len();
        sound.extend(
            stretch::paced(&clip, speed, pitch)
                .into_iter()
                .map(|x| x * loudness),
        );
        spans.push((samples_to_seconds(start), samples_to_seconds(sound.len())));
    }
    let peak = sound.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    if peak > 0.0 {
        for x in &mut sound {
            *x *= SPEECH_PEAK / peak;
        }
    }
    Some((sound, spans))
}

fn seconds_to_samples(secs: f64) -> usize {
    (secs * f64::from(SAMPLE_RATE_HZ)) as usize
}

fn samples_to_seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE_HZ)
}

#[cfg(test)]
mod tests;

//! Synthesised sound: twelve events that differ clearly in time and frequency, and a mild background noise.
//!
//! | event | register | rhythm |
//! | --- | --- | --- |
//! | bell | 250-3,600 Hz, inharmonic lines | strokes that ring, about one per second |
//! | siren | 500-1,500 Hz, gliding | none: one continuous wail |
//! | horn | chord at 300-450 Hz with all harmonics | blasts of about a second |
//! | clapping | noise around 1.4 kHz | bursts, four or five per second |
//! | knocking | 350-900 Hz, dull | three or four knocks, then a rest |
//! | chirping | above 4 kHz, glides | phrases of three or four |
//! | barking | voiced, 400 Hz and two resonances | two or three per second |
//! | engine | below 500 Hz | none: a buzz |
//! | alarm | 2 kHz and 6 kHz, steady pitch | six beeps per second |
//! | whistle | 3 kHz, fluttering, breathy | blows of about a second |
//! | drum | below 200 Hz | two or three strokes per second |
//! | rain | hiss above 2 kHz | none |

mod recipes;
mod synth;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Samples per second of every sound in the world.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// The peak amplitude of a rendered event.
pub const EVENT_PEAK: f32 = 0.5;

/// No single sound is rendered longer than this.
pub const MAX_DURATION_SECS: f64 = 600.0;

/// Something that can be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A church bell.
    Bell,
    /// A wailing siren.
    Siren,
    /// A car horn.
    Horn,
    /// A few people clapping.
    Clapping,
    /// Knocking on a door.
    Knocking,
    /// A small bird.
    Chirping,
    /// A dog.
    Barking,
    /// A running motor.
    Engine,
    /// A beeping alarm clock.
    Alarm,
    /// A referee's whistle.
    Whistle,
    /// A deep drum.
    Drum,
    /// Rain on a roof.
    Rain,
}

impl Event {
    /// Every event. The index in this list is the event's label in perception data.
    pub const ALL: [Self; 12] = [
        Self::Bell,
        Self::Siren,
        Self::Horn,
        Self::Clapping,
        Self::Knocking,
        Self::Chirping,
        Self::Barking,
        Self::Engine,
        Self::Alarm,
        Self::Whistle,
        Self::Drum,
        Self::Rain,
    ];

    /// Its name: one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bell => "bell",
            Self::Siren => "siren",
            Self::Horn => "horn",
            Self::Clapping => "clapping",
            Self::Knocking => "knocking",
            Self::Chirping => "chirping",
            Self::Barking => "barking",
            Self::Engine => "engine",
            Self::Alarm => "alarm",
            Self::Whistle => "whistle",
            Self::Drum => "drum",
            Self::Rain => "rain",
        }
    }

    /// Its name as it stands in a sentence after "there is": `a bell`, `an engine`, `clapping`.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Bell => "a bell",
            Self::Siren => "a siren",
            Self::Horn => "a horn",
            Self::Engine => "an engine",
            Self::Alarm => "an alarm",
            Self::Whistle => "a whistle",
            Self::Drum => "a drum",
            Self::Clapping | Self::Knocking | Self::Chirping | Self::Barking | Self::Rain => {
                self.name()
            }
        }
    }

    /// The event with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// Renders `event` at [`SAMPLE_RATE_HZ`], peak [`EVENT_PEAK`], sounding from the first sample to the last.
///
/// Pitch, rate and timbre vary with `rng` within the event's range. Lengths outside `0..=MAX_DURATION_SECS` are clamped, and
/// one that is not a number gives an empty sound.
#[must_use]
pub fn render(event: Event, duration_secs: f64, rng: &mut Rng) -> Vec<f32> {
    let n = synth::samples(duration_secs.min(MAX_DURATION_SECS));
    if n == 0 || duration_secs.is_nan() {
        return Vec::new();
    }
    let mut sound = match event {
        Event::Bell => recipes::bell(n, rng),
        Event::Siren => recipes::siren(n, rng),
        Event::Horn => recipes::horn(n, rng),
        Event::Clapping => recipes::clapping(n, rng),
        Event::Knocking => recipes::knocking(n, rng),
        Event::Chirping => recipes::chirping(n, rng),
        Event::Barking => recipes::barking(n, rng),
        Event::Engine => recipes::engine(n, rng),
        Event::Alarm => recipes::alarm(n, rng),
        Event::Whistle => recipes::whistle(n, rng),
        Event::Drum => recipes::drum(n, rng),
        Event::Rain => recipes::rain(n, rng),
    };
    synth::fade(&mut sound, 0.004, 0.03);
    synth::normalised(&sound, f64::from(EVENT_PEAK))
}

/// Mild background noise, softer towards high frequencies, with the given root-mean-square `level` (0.002 to 0.01 is mild).
#[must_use]
pub fn background(duration_secs: f64, level: f64, rng: &mut Rng) -> Vec<f32> {
    let n = synth::samples(duration_secs.min(MAX_DURATION_SECS));
    if n == 0 || duration_secs.is_nan() {
        return Vec::new();
    }
    let mut slow = synth::Filter::low(rng.range_f64(500.0, 1_500.0));
    let sound: Vec<f64> = (0..n)
        .map(|_| {
            let white = synth::noise(rng);
            slow.run(white) + 0.15 * white
        })
        .collect();
    let power = sound.iter().map(|x| x * x).sum::<f64>() / n as f64;
    let gain = if power > 0.0 && level.is_finite() {
        level / libm::sqrt(power)
    } else {
        0.0
    };
    sound.iter().map(|x| (x * gain) as f32).collect()
}

#[cfg(test)]
mod tests;

//! Lays events and speech on a track over background noise and keeps when each is heard.

use crate::WorldError;
use crate::draw::Fact;
use crate::rng::Rng;
use crate::sample::{SOUND_RATE_HZ, Scene, Segment, Sound};
use crate::sound::{self, Event};
use crate::spec::{EventSpec, SaidSpec, SceneSpec};
use crate::speech::{self, Voice};

/// Start and end in seconds.
pub(crate) type Span = (f64, f64);

/// A scene's sound.
pub(crate) type Heard = Option<(Event, Span)>;

/// Between two things that a specification puts closer, or one over the other.
const SHORTEST_GAP_SECS: f64 = 0.35;

/// A track being filled.
pub(crate) struct Track {
    samples: Vec<f32>,
    segments: Vec<Segment>,
}

/// To milliseconds: what files and sentences say.
pub(crate) fn rounded(secs: f64) -> f64 {
    libm::round(secs * 1_000.0) / 1_000.0
}

impl Track {
    pub(crate) fn new() -> Self {
        Self {
            samples: Vec::new(),
            segments: Vec::new(),
        }
    }

    fn end_secs(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SOUND_RATE_HZ)
    }

    /// Silence of about `secs`, to a whole number of milliseconds.
    pub(crate) fn pause(&mut self, secs: f64) {
        let samples = libm::round(secs.max(0.0) * 1_000.0) as usize * 16;
        self.samples.resize(self.samples.len() + samples, 0.0);
    }

    /// Silence until `secs`; nothing where the track is already longer.
    pub(crate) fn pause_until(&mut self, secs: f64) {
        self.pause(secs - self.end_secs());
    }

    /// An event of about `secs` at the end of the track.
    pub(crate) fn event(&mut self, event: Event, secs: f64, rng: &mut Rng) -> Span {
        let start = rounded(self.end_secs());
        let gain = rng.range_f64(0.6, 1.0) as f32;
        let heard = sound::render(event, rounded(secs), &mut rng.fork("event"));
        self.samples.extend(heard.into_iter().map(|x| x * gain));
        let end = rounded(self.end_secs());
        self.segments.push(Segment {
            start_secs: start,
            end_secs: end,
            label: event.name().to_owned(),
        });
        (start, end)
    }

    /// A spoken sentence at the end of the track.
    pub(crate) fn fact(
        &mut self,
        fact: Fact,
        voice: Voice,
        speed: f64,
        rng: &mut Rng,
    ) -> Result<Span, WorldError> {
        self.words(&fact.words(), voice, speed, rng)
    }

    /// Spoken words at the end of the track.
    pub(crate) fn words(
        &mut self,
        words: &[&'static str],
        voice: Voice,
        speed: f64,
        rng: &mut Rng,
    ) -> Result<Span, WorldError> {
        let start = self.end_secs();
        let gain = rng.range_f64(0.6, 1.0) as f32;
        let (heard, spans) = speech::say(words, voice, speed, &mut rng.fork("speech"))
            .ok_or_else(|| WorldError::Unspeakable(words.join(" ")))?;
        self.samples.extend(heard.into_iter().map(|x| x * gain));
        for (word, (from, to)) in words.iter().zip(spans) {
            self.segments.push(Segment {
                start_secs: rounded(start + from),
                end_secs: rounded(start + to),
                label: (*word).to_owned(),
            });
        }
        // The next start is a whole number of milliseconds again.
        let whole = self.samples.len().div_ceil(16) * 16;
        self.samples.resize(whole, 0.0);
        Ok((rounded(start), rounded(self.end_secs())))
    }

    /// The track over background noise of the given level.
    pub(crate) fn finish(mut self, level: f64, rng: &mut Rng) -> Sound {
        let noise = sound::background(self.end_secs(), level, &mut rng.fork("noise"));
        for (x, n) in self.samples.iter_mut().zip(noise) {
            *x = (*x + n).clamp(-1.0, 1.0);
        }
        Sound {
            samples: self.samples,
            segments: self.segments,
        }
    }
}

/// Events one after another, clearly apart, in mild noise.
pub(crate) fn of_events(events: &[Event], rng: &mut Rng) -> (Sound, Vec<Span>) {
    let mut track = Track::new();
    track.pause(rng.range_f64(0.2, 0.6));
    // Most rows are brisk; in some, long silences lie between the events.
    let (shortest, longest) = if rng.chance(0.75) {
        (0.35, 0.7)
    } else {
        (0.7, 4.0)
    };
    let mut spans = Vec::new();
    for (k, &event) in events.iter().enumerate() {
        if k > 0 {
            track.pause(rng.range_f64(shortest, longest));
        }
        let secs = rng.range_f64(0.75, 1.2);
        spans.push(track.event(event, secs, rng));
    }
    track.pause(rng.range_f64(0.2, 0.5));
    let level = rng.range_f64(0.002, 0.008);
    (track.finish(level, rng), spans)
}

/// The stream of a part of a specified track: to move one thing changes nothing else.
fn stream(seed: u32, part: &str) -> Rng {
    Rng::keyed(u64::from(seed), &format!("composed/track/{part}"))
}

/// The events of a specification, each where it is wished, or as soon as the one before is over.
pub(crate) fn of_specified(sounds: &[EventSpec], seed: u32) -> (Sound, Vec<Span>) {
    let mut track = Track::new();
    let mut spans: Vec<Span> = Vec::new();
    for own in sounds {
        let after = spans.last().map_or(0.2, |span| span.1 + SHORTEST_GAP_SECS);
        track.pause_until(own.at_secs.max(after));
        let rng = &mut stream(seed, own.event.name());
        spans.push(track.event(own.event, own.secs, rng));
    }
    track.pause(0.35);
    let level = 0.004;
    (track.finish(level, &mut stream(seed, "noise")), spans)
}

/// The spoken sentences of a specification, each where it is wished, or as soon as the one before is over.
pub(crate) fn of_said(
    said: &[SaidSpec],
    seed: u32,
) -> Result<(Sound, Vec<(Fact, Span)>), WorldError> {
    let mut track = Track::new();
    let mut told: Vec<(Fact, Span)> = Vec::new();
    for own in said {
        let (Some(fact), Some(voice)) = (own.fact.fact(), own.voice()) else {
            return Err(WorldError::Unspeakable(own.fact.sentence()));
        };
        let after = told
            .last()
            .map_or(0.1, |(_, span)| span.1 + SHORTEST_GAP_SECS);
        track.pause_until(own.at_secs.max(after));
        let rng = &mut stream(seed, &own.fact.sentence());
        let span = track.fact(fact, voice, own.speed, rng)?;
        told.push((fact, span));
    }
    track.pause(0.2);
    let level = 0.002;
    Ok((track.finish(level, &mut stream(seed, "noise")), told))
}

/// The sounds of a specified film, each within its scene.
pub(crate) fn of_scenes(scenes: &[Scene], specs: &[SceneSpec], seed: u32) -> (Sound, Vec<Heard>) {
    let mut track = Track::new();
    let mut heard: Vec<Heard> = Vec::new();
    for (scene, spec) in scenes.iter().zip(specs) {
        heard.push(spec.heard.as_ref().map(|own| {
            track.pause_until(scene.start_secs + own.at_secs);
            let rng = &mut stream(seed, own.event.name());
            (own.event, track.event(own.event, own.secs, rng))
        }));
    }
    if let Some(last) = scenes.last() {
        track.pause_until(last.end_secs);
    }
    let level = 0.004;
    (track.finish(level, &mut stream(seed, "noise")), heard)
}

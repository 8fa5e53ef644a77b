//! Speech summary: one to six spoken sentences; the answer retells each.

use crate::WorldError;
use crate::draw::{Draw, Fact};
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::Script;
use crate::spec::SaidSpec;
use crate::track::{self, Span, Track};

/// The instruction's wordings.
pub(crate) const PROMPTS: &[&str] = &["Summarize the recording.", "Summarize this recording."];

pub(crate) fn write(script: &mut Script, draw: &mut Draw, rng: &mut Rng) -> Result<(), WorldError> {
    let count = match rng.below(20) {
        0..2 => 1,
        2..9 => 2,
        9..15 => 3,
        15..18 => 4,
        18 => 5,
        _ => 6,
    };
    // Most speakers go straight on; some leave long pauses.
    let longest_pause_secs = if rng.chance(0.75) { 0.6 } else { 2.0 };
    let mut track = Track::new();
    track.pause(rng.range_f64(0.1, 0.4));
    let mut voice = draw.voice(rng);
    let several = rng.chance(0.5);
    let mut told = Vec::new();
    for k in 0..count {
        if k > 0 {
            track.pause(rng.range_f64(0.35, longest_pause_secs));
            if several {
                voice = draw.voice(rng);
            }
        }
        let fact = draw.fact(rng);
        let speed = rng.range_f64(0.95, 1.3);
        let (start, end) = track.fact(fact, voice, speed, rng)?;
        told.push((fact, (start, end)));
    }
    track.pause(rng.range_f64(0.1, 0.3));
    let level = rng.range_f64(0.001, 0.004);
    script.audio(track.finish(level, rng));
    tell(script, &told);
    Ok(())
}

/// The spoken sentences of a specification. The specification is checked.
pub(crate) fn compose(script: &mut Script, said: &[SaidSpec], seed: u32) -> Result<(), WorldError> {
    let (sound, told) = track::of_said(said, seed)?;
    script.audio(sound);
    tell(script, &told);
    Ok(())
}

/// Retells what was said, in order.
fn tell(script: &mut Script, told: &[(Fact, Span)]) {
    for (k, (fact, (start, end))) in told.iter().enumerate() {
        let opening = if k == 0 {
            "The speaker says that"
        } else {
            "Then"
        };
        script.say(
            format!("{opening} {} {}.", fact.name, fact.deed()),
            Support::time(*start, *end),
        );
    }
}

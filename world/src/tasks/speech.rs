//! Speech summary: one to six spoken sentences; the answer retells each.

use crate::WorldError;
use crate::draw::Draw;
use crate::rng::Rng;
use crate::sample::Support;
use crate::script::Script;
use crate::track::Track;

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
    let mut sentences = Vec::new();
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
        let opening = if k == 0 {
            "The speaker says that"
        } else {
            "Then"
        };
        let sentence = format!("{opening} {} {}.", fact.name, fact.deed());
        sentences.push((sentence, Support::time(start, end)));
    }
    track.pause(rng.range_f64(0.1, 0.3));
    let level = rng.range_f64(0.001, 0.004);
    script.audio(track.finish(level, rng));
    for (sentence, support) in sentences {
        script.say(sentence, support);
    }
    Ok(())
}

//! What a model hears of a sound: its begin, at the model's rate.
//! In: a decoded sound. Out: samples, and a warning where something is cut off.

use super::resample::resample;
use crate::EngineError;
use crate::model::Sound;

/// Beyond any converter: a higher rate is a lie that would only cost memory.
const MAX_RATE_HZ: u32 = 1_000_000;

/// Samples at `rate_hz`; of a sound longer than `limit_secs`, those of its begin and of the second behind the cut, so that
/// the cut itself makes no edge.
pub(crate) fn heard(
    sound: &Sound,
    rate_hz: u32,
    limit_secs: Option<usize>,
    warnings: &mut Vec<String>,
) -> Result<Vec<f32>, EngineError> {
    if !(1..=MAX_RATE_HZ).contains(&sound.rate_hz) {
        return Err(EngineError::Request(format!(
            "a sound of {} samples a second is not usable",
            sound.rate_hz
        )));
    }
    let rate = sound.rate_hz as usize;
    let mut end = sound.samples.len();
    if let Some(limit_secs) = limit_secs {
        let duration_secs = end as f64 / rate as f64;
        if duration_secs > limit_secs as f64 {
            warnings.push(format!(
                "Only the first {limit_secs} seconds of a sound of {duration_secs:.0} seconds were heard."
            ));
        }
        end = end.min((limit_secs + 1) * rate);
    }
    Ok(resample(&sound.samples[..end], sound.rate_hz, rate_hz))
}

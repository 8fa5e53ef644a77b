//! Semantic units of a sound: sentences of a transcript grouped by meaning, or stretches of voice where there is none.
//! In: samples, a transcript or none, word vectors. Out: time bins, and the transcript that the record keeps.

mod voice;
pub(crate) mod whisper;

use std::collections::BTreeMap;

use attribution::time::TimeBins;
use attribution::transcript::{GROUP_SECS, Segment, Transcript, TranscriptOrigin, groups};
use tokenizers::Tokenizer;

use crate::EngineError;
use crate::model::{Family, Sound};

/// A pause up to this long is no unit of its own: its halves go to what stands before and after it.
const PAUSE_SECS: f64 = 1.0;

/// Units that follow what was said. `None` where nobody says anything.
pub(crate) fn semantic_units(
    sound: &Sound,
    transcript: Option<&Transcript>,
    family: &dyn Family,
    tokenizer: &Tokenizer,
) -> Result<Option<(TimeBins, Transcript)>, EngineError> {
    let duration_secs = sound.samples.len() as f64 / f64::from(sound.rate_hz.max(1));
    let (transcript, spans) = match transcript {
        Some(transcript) => {
            let segments = within(transcript.sentences(), duration_secs);
            let similarities = similarities(&segments, family, tokenizer)?;
            let span = |group: std::ops::Range<usize>| {
                let ends = segments[group.clone()]
                    .iter()
                    .map(|segment| segment.end_secs);
                (segments[group.start].start_secs, ends.fold(0.0, f64::max))
            };
            let spans: Vec<_> = groups(&segments, &similarities)
                .into_iter()
                .map(span)
                .collect();
            let origin = transcript.origin.clone();
            (Transcript { origin, segments }, spans)
        }
        None => {
            let spans = voice::stretches_of_voice(&sound.samples, sound.rate_hz);
            let segment = |&(start_secs, end_secs): &(f64, f64)| Segment {
                start_secs,
                end_secs,
                text: String::new(),
            };
            let segments = within(spans.iter().map(segment).collect(), duration_secs);
            let origin = TranscriptOrigin::Voice;
            (Transcript { origin, segments }, spans)
        }
    };
    if transcript.segments.is_empty() {
        return Ok(None);
    }
    let bins = TimeBins::from_segments(duration_secs, &without_pauses(spans, duration_secs));
    Ok(Some((bins, transcript)))
}

/// What begins after the end of the sound was not said in it.
fn within(mut segments: Vec<Segment>, duration_secs: f64) -> Vec<Segment> {
    segments.retain(|segment| segment.start_secs < duration_secs);
    for segment in &mut segments {
        segment.end_secs = segment.end_secs.min(duration_secs);
    }
    segments
}

/// Closes short pauses and cuts what is longer than a unit may be.
fn without_pauses(mut spans: Vec<(f64, f64)>, duration_secs: f64) -> Vec<(f64, f64)> {
    if let Some(first) = spans.first_mut()
        && first.0 <= PAUSE_SECS
    {
        first.0 = 0.0;
    }
    if let Some(last) = spans.last_mut()
        && duration_secs - last.1 <= PAUSE_SECS
    {
        last.1 = duration_secs;
    }
    for k in 1..spans.len() {
        let pause = spans[k].0 - spans[k - 1].1;
        if pause <= PAUSE_SECS {
            let middle = spans[k - 1].1 + pause / 2.0;
            spans[k - 1].1 = middle;
            spans[k].0 = middle;
        }
    }
    let cut = |(start, end): (f64, f64)| {
        // A group may run over by its last sentence; only what is twice as long is cut.
        let parts = ((end - start) / GROUP_SECS.end / 2.0).ceil().max(1.0);
        (0..parts as usize).map(move |k| {
            let at = |k: usize| start + (end - start) * k as f64 / parts;
            (at(k), at(k + 1))
        })
    };
    spans.into_iter().flat_map(cut).collect()
}

/// Cosines between neighbouring sentences.
///
/// DIFFERENCE: the released package embeds sentences with a model of its own (BGE-M3). Here a sentence is the mean of the
/// traced model's word vectors, a word counting the less the oftener it stands in the transcript: no further weights.
fn similarities(
    segments: &[Segment],
    family: &dyn Family,
    tokenizer: &Tokenizer,
) -> Result<Vec<f64>, EngineError> {
    let tokenized = segments
        .iter()
        .map(|segment| {
            let encoding = tokenizer
                .encode(segment.text.as_str(), false)
                .map_err(|error| {
                    EngineError::Request(format!("the transcript cannot be tokenized: {error}"))
                })?;
            Ok(encoding.get_ids().to_vec())
        })
        .collect::<Result<Vec<_>, EngineError>>()?;
    let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
    for id in tokenized.iter().flatten() {
        *counts.entry(*id).or_default() += 1.0;
    }
    let mut vectors = Vec::with_capacity(tokenized.len());
    for ids in &tokenized {
        let mut mean: Vec<f64> = Vec::new();
        for (id, vector) in ids.iter().zip(family.word_vectors(ids)?) {
            mean.resize(vector.len(), 0.0);
            let weight = 1.0 / counts.get(id).copied().unwrap_or(1.0);
            for (sum, value) in mean.iter_mut().zip(vector) {
                *sum += weight * f64::from(value);
            }
        }
        vectors.push(mean);
    }
    Ok(vectors
        .windows(2)
        .map(|pair| cosine(&pair[0], &pair[1]))
        .collect())
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pauses_close_and_long_ones_stay() {
        let spans = vec![(0.5, 2.0), (2.4, 5.0), (9.0, 11.8)];
        assert_eq!(
            without_pauses(spans, 12.0),
            [(0.0, 2.2), (2.2, 5.0), (9.0, 12.0)]
        );
        assert_eq!(
            without_pauses(vec![(3.0, 243.0)], 300.0),
            [(3.0, 123.0), (123.0, 243.0)]
        );
        assert_eq!(without_pauses(Vec::new(), 3.0), []);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(cosine(&[], &[]), 0.0);
    }
}

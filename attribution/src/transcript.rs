//! What was said in a sound and when: transcripts read from JSON, SRT or WebVTT, cut into sentences, grouped by meaning.
//! In: a transcript's text, or segments with similarities between neighbours. Out: [`Transcript`], and groups of segments.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::AttributionError;

mod parse;

/// Most segments of a transcript.
pub const MAX_SEGMENTS: usize = 10_000;
/// Most bytes of a transcript's text.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Shortest group that may end where the meaning changes, and the length at which one ends wherever it is.
pub const GROUP_SECS: Range<f64> = 5.0..60.0;

/// What was said in a sound and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Where it comes from.
    pub origin: TranscriptOrigin,
    /// In order of their begin; stretches of voice have no text.
    pub segments: Vec<Segment>,
}

/// Where a transcript comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    try_from = "crate::record::flat::FlatOrigin"
)]
pub enum TranscriptOrigin {
    /// It came with the request.
    Given,
    /// A speech recognition model wrote it.
    Recognized {
        /// Its name.
        model: String,
    },
    /// No words: stretches in which a voice was found.
    Voice,
}

/// A stretch of speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Begin.
    pub start_secs: f64,
    /// End.
    pub end_secs: f64,
    /// What was said; empty where only a voice was found.
    #[serde(default)]
    pub text: String,
}

impl Transcript {
    /// Reads JSON, SRT or WebVTT, told apart by how they begin.
    ///
    /// JSON: a list of `{"start", "end", "text"}` (seconds), or an object that holds such a list as `segments`, or one with
    /// `chunks` of `{"timestamp": [start, end], "text"}`.
    pub fn parse(text: &str) -> Result<Self, AttributionError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(AttributionError::TooMany {
                what: "bytes of a transcript",
                found: text.len(),
                limit: MAX_TEXT_BYTES,
            });
        }
        Self::given(parse::segments(text)?)
    }

    /// A transcript that came with the request: sorted, checked, without empty segments.
    pub fn given(mut segments: Vec<Segment>) -> Result<Self, AttributionError> {
        segments.retain(|segment| !segment.text.trim().is_empty());
        let wrong = |segment: &&Segment| {
            let times = [segment.start_secs, segment.end_secs];
            !times.iter().all(|t| t.is_finite() && *t >= 0.0)
                || segment.end_secs < segment.start_secs
        };
        if let Some(segment) = segments.iter().find(wrong) {
            return Err(AttributionError::Transcript(format!(
                "the segment {:?} does not end after it begins",
                segment.text.trim()
            )));
        }
        if segments.is_empty() {
            return Err(AttributionError::Transcript("it holds no words".to_owned()));
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(AttributionError::TooMany {
                what: "segments of a transcript",
                found: segments.len(),
                limit: MAX_SEGMENTS,
            });
        }
        segments.sort_by(|a, b| a.start_secs.total_cmp(&b.start_secs));
        Ok(Self {
            origin: TranscriptOrigin::Given,
            segments,
        })
    }

    /// The same speech cut into sentences. Inside a segment time is taken to run evenly over its characters; a segment may
    /// be a word, a line or several sentences.
    #[cfg(feature = "sentences")]
    pub fn sentences(&self) -> Vec<Segment> {
        let mut text = String::new();
        let mut spans: Vec<(Range<usize>, &Segment)> = Vec::new();
        for segment in &self.segments {
            let words = segment.text.trim();
            let glued = text.is_empty()
                || is_wide(text.chars().next_back()) && is_wide(words.chars().next());
            if !glued {
                text.push(' ');
            }
            let start = text.len();
            // A line break inside a subtitle is not the end of a sentence.
            text.extend(
                words
                    .chars()
                    .map(|c| if c.is_whitespace() { ' ' } else { c }),
            );
            spans.push((start..text.len(), segment));
        }
        let time_at = |byte: usize, end: bool| {
            let mut own = spans.iter().filter(|(span, _)| {
                if end {
                    span.start < byte
                } else {
                    span.end > byte
                }
            });
            let found = if end { own.next_back() } else { own.next() };
            found.map_or(0.0, |(span, segment)| {
                let share = (byte.clamp(span.start, span.end) - span.start) as f64
                    / span.len().max(1) as f64;
                segment.start_secs + share * (segment.end_secs - segment.start_secs)
            })
        };
        let pieces = crate::chunk::split(&text);
        let sentence = |piece: Range<usize>| {
            let words = &text[piece.clone()];
            let end = piece.start + words.trim_end().len();
            Segment {
                start_secs: time_at(piece.start, false),
                end_secs: time_at(end, true),
                text: words.trim().to_owned(),
            }
        };
        pieces
            .into_iter()
            .map(sentence)
            .filter(|s| !s.text.is_empty())
            .collect()
    }
}

/// Scripts that are written without spaces.
#[cfg(feature = "sentences")]
fn is_wide(c: Option<char>) -> bool {
    c.is_some_and(|c| matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ff60}'))
}

/// Groups of neighbouring segments that belong together. `similarities[k]` is the cosine between segments k and k + 1.
///
/// The rule is the released package's: a group ends after segment k where the similarity to the next is below the mean less
/// 0.8 standard deviations (clamped to 0.3..0.7) and the group is at least 5 s long, and wherever it has reached 60 s.
pub fn groups(segments: &[Segment], similarities: &[f64]) -> Vec<Range<usize>> {
    let threshold = threshold(similarities);
    let mut groups = Vec::new();
    let mut first = 0;
    for (k, similarity) in similarities
        .iter()
        .enumerate()
        .take(segments.len().saturating_sub(1))
    {
        let secs = segments[k].end_secs - segments[first].start_secs;
        if secs >= GROUP_SECS.end || (*similarity < threshold && secs >= GROUP_SECS.start) {
            groups.push(first..k + 1);
            first = k + 1;
        }
    }
    if first < segments.len() {
        groups.push(first..segments.len());
    }
    groups
}

fn threshold(similarities: &[f64]) -> f64 {
    if similarities.is_empty() {
        return 0.5;
    }
    let count = similarities.len() as f64;
    let mean = similarities.iter().sum::<f64>() / count;
    let variance = similarities.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
    (mean - 0.8 * libm::sqrt(variance)).clamp(0.3, 0.7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start_secs: f64, end_secs: f64, text: &str) -> Segment {
        Segment {
            start_secs,
            end_secs,
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_threshold_follows_the_package() {
        assert_eq!(threshold(&[]), 0.5);
        // mean 0.6, population deviation 0.2: 0.6 - 0.16.
        assert!((threshold(&[0.4, 0.8]) - 0.44).abs() < 1e-12);
        assert_eq!(threshold(&[0.95, 0.95]), 0.7);
        assert_eq!(threshold(&[0.1, 0.1]), 0.3);
    }

    #[test]
    fn groups_end_at_changes_and_at_a_minute() {
        let segments: Vec<Segment> = (0..6)
            .map(|k| segment(3.0 * k as f64, 3.0 * k as f64 + 3.0, "x"))
            .collect();
        // The change after the first segment comes too early, the one after the third does not.
        assert_eq!(groups(&segments, &[0.1, 0.9, 0.1, 0.9, 0.9]), [0..3, 3..6]);
        let long: Vec<Segment> = (0..3)
            .map(|k| segment(40.0 * k as f64, 40.0 * k as f64 + 40.0, "x"))
            .collect();
        assert_eq!(groups(&long, &[0.9, 0.9]), [0..2, 2..3]);
        assert_eq!(groups(&segments[..1], &[]), std::slice::from_ref(&(0..1)));
        assert_eq!(groups(&[], &[]), [] as [Range<usize>; 0]);
    }

    #[test]
    #[cfg(feature = "sentences")]
    fn words_and_lines_become_sentences_with_times() {
        let words = Transcript::given(vec![
            segment(0.0, 0.5, "Hello"),
            segment(0.5, 1.0, "there."),
            segment(1.5, 2.0, "Go"),
            segment(2.0, 2.5, "on."),
        ])
        .expect("a transcript");
        assert_eq!(
            words.sentences(),
            [
                segment(0.0, 1.0, "Hello there."),
                segment(1.5, 2.5, "Go on.")
            ]
        );
        let lines = Transcript::given(vec![
            segment(0.0, 10.0, "One is\nhere. Two is"),
            segment(12.0, 14.0, "far away."),
        ])
        .expect("a transcript");
        let sentences = lines.sentences();
        assert_eq!(sentences.len(), 2);
        assert_eq!(sentences[0].text, "One is here.");
        assert!((sentences[0].end_secs - 6.3).abs() < 0.1, "{sentences:?}");
        assert_eq!(
            (sentences[1].text.as_str(), sentences[1].end_secs),
            ("Two is far away.", 14.0)
        );
        let wide = Transcript::given(vec![segment(0.0, 1.0, "東京"), segment(1.0, 2.0, "です。")])
            .expect("a transcript");
        assert_eq!(wide.sentences(), [segment(0.0, 2.0, "東京です。")]);
    }
}

//! JSON, SRT and WebVTT -> segments.
//! In: text that nobody trusts. Out: segments as they stand in it, or what is wrong with which of them.

use serde::Deserialize;

use super::Segment;
use crate::AttributionError;

pub(super) fn segments(text: &str) -> Result<Vec<Segment>, AttributionError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.chars().next() {
        Some('[' | '{') => json(text),
        _ => cues(text),
    }
    .map_err(AttributionError::Transcript)
}

/// The forms in which Whisper's tools, transformers' pipelines and the released package write.
#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    List(Vec<JsonSegment>),
    Segments { segments: Vec<JsonSegment> },
    Chunks { chunks: Vec<JsonSegment> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonSegment {
    Ends {
        #[serde(alias = "start_secs")]
        start: f64,
        #[serde(alias = "end_secs")]
        end: f64,
        #[serde(alias = "word")]
        text: String,
    },
    Pair {
        timestamp: (f64, Option<f64>),
        text: String,
    },
}

fn json(text: &str) -> Result<Vec<Segment>, String> {
    let expected = "JSON must be a list of {\"start\", \"end\", \"text\"}, or hold one as \"segments\" or \"chunks\"";
    // Whether it is JSON at all is the first thing to know.
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("it is not valid JSON: {error}"))?;
    let parsed = Json::deserialize(value).map_err(|_| expected.to_owned())?;
    let (Json::List(segments) | Json::Segments { segments } | Json::Chunks { chunks: segments }) =
        parsed;
    let plain = |segment| match segment {
        JsonSegment::Ends { start, end, text } => (start, end, text),
        // The last one of a pipeline may have no end.
        JsonSegment::Pair {
            timestamp: (start, end),
            text,
        } => (start, end.unwrap_or(start), text),
    };
    let segments = segments.into_iter().map(plain);
    Ok(segments
        .map(|(start_secs, end_secs, text)| Segment {
            start_secs,
            end_secs,
            text: text.trim().to_owned(),
        })
        .collect())
}

/// Blocks apart by empty lines; the line with `-->` has the times, what follows it is the text. Headers, notes, styles and
/// numbers come before such a line or have none.
fn cues(text: &str) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    let mut open: Option<Segment> = None;
    for line in text.lines() {
        if let Some((start, end)) = line.split_once("-->") {
            segments.extend(open.take());
            let end = end.split_whitespace().next().unwrap_or_default();
            let times = clock(start.trim()).zip(clock(end));
            let (start_secs, end_secs) = times.ok_or_else(|| {
                format!(
                    "the line {:?} has no two times such as 00:01:02,500",
                    line.trim()
                )
            })?;
            open = Some(Segment {
                start_secs,
                end_secs,
                text: String::new(),
            });
        } else if line.trim().is_empty() {
            segments.extend(open.take());
        } else if let Some(segment) = &mut open {
            if !segment.text.is_empty() {
                segment.text.push(' ');
            }
            segment.text.push_str(&without_tags(line.trim()));
        }
    }
    segments.extend(open);
    if segments.is_empty() {
        return Err("it is neither JSON nor SRT nor WebVTT: no line has times such as 00:01:02,500 --> 00:01:04,000".to_owned());
    }
    Ok(segments)
}

/// `1:02:03,5`, `02:03.500`.
fn clock(text: &str) -> Option<f64> {
    let mut secs = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for (k, part) in parts.iter().enumerate() {
        let last = k + 1 == parts.len();
        let part = if last {
            part.replace(',', ".")
        } else {
            (*part).to_owned()
        };
        if !part
            .chars()
            .all(|c| c.is_ascii_digit() || (last && c == '.'))
        {
            return None;
        }
        secs = secs * 60.0 + part.parse::<f64>().ok()?;
    }
    Some(secs)
}

/// `<v Anna>`, `<i>`, `{\an8}` are not words.
fn without_tags(line: &str) -> String {
    let mut out = String::new();
    let mut closer = None;
    for c in line.chars() {
        match (closer, c) {
            (None, '<') => closer = Some('>'),
            (None, '{') => closer = Some('}'),
            (None, c) => out.push(c),
            (Some(end), c) if c == end => closer = None,
            _ => {}
        }
    }
    // An angle that is never closed was one of the words.
    if closer.is_some() {
        line.to_owned()
    } else {
        out.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Transcript;
    use super::*;

    fn segment(start_secs: f64, end_secs: f64, text: &str) -> Segment {
        Segment {
            start_secs,
            end_secs,
            text: text.to_owned(),
        }
    }

    #[test]
    fn subtitles_are_read() {
        let srt = "\u{feff}1\r\n00:00:01,500 --> 00:00:03,000\r\nHello,\r\n<i>you</i>!\r\n\r\n2\r\n01:00:00,000 --> 01:00:02,250\r\n{\\an8}3 < 4\r\n";
        let expected = [
            segment(1.5, 3.0, "Hello, you!"),
            segment(3600.0, 3602.25, "{\\an8}3 < 4"),
        ];
        assert_eq!(segments(srt).expect("SRT"), expected);
        let vtt = "WEBVTT - talk\n\nNOTE nothing\n\nSTYLE\n::cue {}\n\nintro\n00:01.000 --> 00:02.000 align:start\n<v Anna>Good day\n00:02.000 --> 00:02.500\n(pause)";
        let expected = [segment(1.0, 2.0, "Good day"), segment(2.0, 2.5, "(pause)")];
        assert_eq!(segments(vtt).expect("WebVTT"), expected);
    }

    #[test]
    fn json_of_several_tools_is_read() {
        let expected = [segment(0.0, 1.5, "Hi."), segment(2.0, 3.0, "You?")];
        for json in [
            r#"[{"start": 0, "end": 1.5, "text": " Hi."}, {"start": 2.0, "end": 3.0, "text": "You?", "speaker": 1}]"#,
            r#"{"text": "", "segments": [{"id": 0, "start": 0, "end": 1.5, "text": "Hi."}, {"start": 2, "end": 3, "text": "You?"}]}"#,
            r#"{"text": "", "chunks": [{"timestamp": [0.0, 1.5], "text": "Hi."}, {"timestamp": [2.0, 3.0], "text": "You?"}]}"#,
            r#"[{"start_secs": 0, "end_secs": 1.5, "text": "Hi."}, {"start": 2, "end": 3, "word": "You?"}]"#,
        ] {
            assert_eq!(segments(json).expect(json), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |text: &str| Transcript::parse(text).expect_err("refused").to_string();
        assert!(message("Hello there").contains("neither JSON"));
        assert!(message("[1, 2]").contains("\"segments\""));
        assert!(message("[{").contains("not valid JSON"));
        assert!(message("1\n00:xx --> 00:02\nHi").contains("00:xx"));
        assert!(message("[]").contains("no words"));
        assert!(message(r#"[{"start": 2, "end": 1, "text": "Hi"}]"#).contains("Hi"));
        assert!(message(r#"[{"start": -1, "end": 1, "text": "Hi"}]"#).contains("Hi"));
    }
}

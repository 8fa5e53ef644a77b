//! What is on the page now, whether it comes from a record or from live events.
//! In: a record and a method, or events. Out: sources, response, chunks with their sources and heat maps.

use std::sync::Arc;

use attribution::curation::recurate;
use attribution::label;
use attribution::record::{Chunk, ChunkAttribution, Extent, HeatMap, Method, Record, Source, Unit};

use crate::focus::FocusIndex;

/// The content of the trace page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// Sources and units; behind `Arc`, as they do not change while tokens come.
    pub prompt: Arc<Prompt>,
    /// The response so far.
    pub response: String,
    /// Its final chunks.
    pub chunks: Vec<Chunk>,
    /// One per chunk.
    pub attributions: Vec<ChunkAttribution>,
    /// Heat maps per chunk.
    pub heat: Vec<Vec<HeatMap>>,
}

/// The sources and their units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt {
    /// In prompt order.
    pub sources: Vec<Source>,
    /// By source, then by position.
    pub units: Vec<Unit>,
}

impl Prompt {
    /// The units of one source, with their indices.
    pub fn units_of(&self, source: usize) -> impl Iterator<Item = (u32, &Unit)> {
        self.units
            .iter()
            .enumerate()
            .filter(move |(_, u)| u.source as usize == source)
            .map(|(k, u)| (k as u32, u))
    }

    /// The index of the unit with this id.
    pub fn unit_by_id(&self, id: &str) -> Option<u32> {
        self.units
            .iter()
            .position(|unit| unit.id == id)
            .map(|k| k as u32)
    }

    /// The unit's name for a screen reader: "Image 2, cited by sentences 1 and 3".
    pub fn spoken_name(&self, unit: u32, cited_by: &[u32]) -> String {
        let Some(own) = self.units.get(unit as usize) else {
            return String::new();
        };
        let short = label::label_of(&self.sources, &self.units, unit);
        let name = match (&own.extent, self.sources.get(own.source as usize)) {
            (Extent::Time { track, .. }, Some(source)) => {
                let track = match (track, source.modality()) {
                    (attribution::record::Track::Sound, attribution::record::Modality::Video) => {
                        " sound"
                    }
                    _ => "",
                };
                format!(
                    "{}{track}, {}",
                    label::source_label(source),
                    short.replace('-', " to ")
                )
            }
            _ => short,
        };
        format!("{name}, {}", cited_by_phrase(cited_by))
    }
}

/// "not cited", "cited by sentence 2", "cited by sentences 1, 2 and 5" (counted from 1).
pub fn cited_by_phrase(chunks: &[u32]) -> String {
    let numbers: Vec<String> = chunks.iter().map(|chunk| (chunk + 1).to_string()).collect();
    match numbers.as_slice() {
        [] => "not cited".to_owned(),
        [one] => format!("cited by sentence {one}"),
        [most @ .., last] => format!("cited by sentences {} and {last}", most.join(", ")),
    }
}

impl Shown {
    /// A record under a method; re-curated where the method is not the recorded one.
    pub fn of_record(record: &Record, method: &Method) -> Self {
        let attributions = if *method == record.method {
            record.attributions.clone()
        } else {
            recurate(record, method)
        };
        let heat = record
            .signals
            .iter()
            .find(|s| s.signal == method.signal)
            .map(|s| s.heat.clone());
        Self {
            prompt: Arc::new(Prompt {
                sources: record.sources.clone(),
                units: record.units.clone(),
            }),
            response: record.response.clone(),
            chunks: record.chunks.clone(),
            attributions,
            heat: heat.unwrap_or_default(),
        }
    }

    /// Who cites whom.
    pub fn index(&self) -> FocusIndex {
        FocusIndex::new(&self.attributions, self.prompt.units.len())
    }

    /// A chunk's text in three parts: white space before, the sentence, white space after.
    pub fn chunk_text(&self, chunk: u32) -> (&str, &str, &str) {
        let Some(text) = self
            .chunks
            .get(chunk as usize)
            .and_then(|c| self.response.get(c.start as usize..c.end as usize))
        else {
            return ("", "", "");
        };
        let body = text.trim();
        let before = text.len() - text.trim_start().len();
        if body.is_empty() {
            (text, "", "")
        } else {
            (&text[..before], body, &text[before + body.len()..])
        }
    }

    /// What was generated after the last final chunk.
    pub fn tail(&self) -> &str {
        let from = self.chunks.last().map_or(0, |chunk| chunk.end as usize);
        self.response.get(from..).unwrap_or_default()
    }

    /// The heat maps of a chunk.
    pub fn heat_of(&self, chunk: u32) -> &[HeatMap] {
        self.heat.get(chunk as usize).map_or(&[], Vec::as_slice)
    }

    /// The attribution of a chunk.
    pub fn attribution_of(&self, chunk: u32) -> Option<&ChunkAttribution> {
        self.attributions.get(chunk as usize)
    }
}

/// A run of a text source: a unit, or what stands between units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text of the run.
    pub text: String,
    /// The unit it is, with its id.
    pub unit: Option<(u32, String)>,
}

/// Cuts a text source at its units. Units that overlap or leave the text are skipped, so the text is never lost.
pub fn pieces<'a>(text: &str, units: impl Iterator<Item = (u32, &'a Unit)>) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut at = 0;
    for (index, unit) in units {
        let Extent::Text { start, end } = unit.extent else {
            continue;
        };
        let (start, end) = (start as usize, end as usize);
        if start < at {
            continue;
        }
        let (Some(gap), Some(own)) = (text.get(at..start), text.get(start..end)) else {
            continue;
        };
        if !gap.is_empty() {
            out.push(Piece {
                text: gap.to_owned(),
                unit: None,
            });
        }
        // A unit's own trailing white space would be underlined: it goes between the units.
        let body = own.trim_end();
        out.push(Piece {
            text: body.to_owned(),
            unit: Some((index, unit.id.clone())),
        });
        if body.len() < own.len() {
            out.push(Piece {
                text: own[body.len()..].to_owned(),
                unit: None,
            });
        }
        at = end;
    }
    if at < text.len() {
        out.push(Piece {
            text: text[at..].to_owned(),
            unit: None,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(start: u32, end: u32) -> Unit {
        Unit {
            id: format!("t{start}"),
            source: 0,
            extent: Extent::Text { start, end },
            positions: 1,
        }
    }

    #[test]
    fn pieces_keep_every_byte_of_the_text() {
        let text = "Ann: hi. Ünsal: no!\nEnd";
        let sets = [
            vec![(0, 9), (9, 21)],
            vec![(3, 9), (5, 12)],
            vec![(0, 900)],
            vec![(10, 11)],
            vec![],
        ];
        for set in sets {
            let units: Vec<Unit> = set.iter().map(|&(a, b)| unit(a, b)).collect();
            let all: String = pieces(text, units.iter().enumerate().map(|(k, u)| (k as u32, u)))
                .into_iter()
                .map(|p| p.text)
                .collect();
            assert_eq!(all, text, "{set:?}");
        }
    }

    #[test]
    fn a_chunk_is_trimmed_and_the_tail_is_what_no_chunk_holds() {
        let chunk = |start, end| Chunk {
            start,
            end,
            token_start: 0,
            token_end: 0,
        };
        let shown = Shown {
            response: "One.  Two. Thr".to_owned(),
            chunks: vec![chunk(0, 6), chunk(6, 11), chunk(90, 99)],
            ..Shown::default()
        };
        assert_eq!(shown.chunk_text(0), ("", "One.", "  "));
        assert_eq!(shown.chunk_text(1), ("", "Two.", " "));
        assert_eq!(
            shown.chunk_text(2),
            ("", "", ""),
            "a damaged span is empty, not a panic"
        );
        let live = Shown {
            chunks: vec![chunk(0, 6), chunk(6, 11)],
            ..shown
        };
        assert_eq!(live.tail(), "Thr");
    }

    #[test]
    fn citing_sentences_are_counted_from_one() {
        assert_eq!(cited_by_phrase(&[]), "not cited");
        assert_eq!(cited_by_phrase(&[2]), "cited by sentence 3");
        assert_eq!(cited_by_phrase(&[0, 1, 4]), "cited by sentences 1, 2 and 5");
    }
}

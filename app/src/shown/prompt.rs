//! The sources and their units: what each is called aloud, and texts cut at their units.

use attribution::label;
use attribution::record::{Extent, Modality, Source, Track, Unit};

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
                    (Track::Sound, Modality::Video) => " sound",
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

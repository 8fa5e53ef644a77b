//! What is on the page now, whether it comes from a record or from live events.
//! In: a record and a lens, or events. Out: sources, response, chunks with their sources and heat maps, tokens.

use std::sync::Arc;

use attribution::curation::{Curator, recurate};
use attribution::heat::cell_values;
use attribution::label;
use attribution::record::{
    Chunk, ChunkAttribution, Extent, HeatBox, HeatMap, Record, Rect, Source, Unit, UnitMass,
};
use attribution::resize::resized;

use crate::focus::FocusIndex;
use crate::lens::Lens;

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
    /// Per chunk: the share of its attention outside every source, where it is known.
    pub outside: Vec<Option<f64>>,
    /// Every token with what it drew on; empty while they come.
    pub words: Arc<Vec<Word>>,
}

/// A token as the token view shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// First byte in the response.
    pub start: u32,
    /// One past the last.
    pub end: u32,
    /// Its part of speech.
    pub pos: &'static str,
    /// Units with their scores, strongest first; the first one is what the token votes for.
    pub units: Vec<(u32, f64)>,
}

/// Most units that one token shows.
const MAX_WORD_UNITS: usize = 6;
/// Units with less than this share of the strongest are not shown.
const MIN_WORD_SHARE: f64 = 0.08;

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
    /// A record through a lens; re-curated where the lens is not the recorded one.
    pub fn of_record(record: &Record, prompt: &Arc<Prompt>, lens: &Lens) -> Self {
        let recorded = Lens::recorded(record);
        let (method, trace) = (
            &lens.method,
            record
                .signals
                .iter()
                .find(|s| s.signal == lens.method.signal),
        );
        let pieces = if lens.size == recorded.size {
            let own = |(k, chunk): (usize, &Chunk)| (chunk.clone(), k..k + 1);
            record.chunks.iter().enumerate().map(own).collect()
        } else {
            resized(record, lens.size)
        };
        let attributions = match trace {
            _ if lens.size == recorded.size && *method == record.method => {
                record.attributions.clone()
            }
            Some(trace) if lens.size != recorded.size => {
                let curator = Curator::new(&record.sources, &record.units, method);
                let of = |(chunk, _): &(Chunk, _)| {
                    curator.chunk(&record.response, chunk, &record.tokens, &trace.tokens)
                };
                pieces.iter().map(of).collect()
            }
            _ => recurate(record, method),
        };
        let heat = pieces
            .iter()
            .map(|(_, over)| {
                let maps = trace.and_then(|trace| trace.heat.get(over.clone()));
                let mut maps = merged(maps.unwrap_or_default());
                if lens.regions > 0 {
                    for map in &mut maps {
                        map.boxes = region_boxes(map, lens.regions);
                    }
                }
                maps
            })
            .collect();
        let outside = |(chunk, _): &(Chunk, _)| {
            trace?.outside(chunk.token_start as usize..chunk.token_end as usize)
        };
        Self {
            prompt: prompt.clone(),
            response: record.response.clone(),
            outside: pieces.iter().map(outside).collect(),
            chunks: pieces.into_iter().map(|(chunk, _)| chunk).collect(),
            attributions,
            heat,
            words: Arc::new(words(record, lens)),
        }
    }

    /// The beginning of the same answer, as it stood after so many tokens.
    pub fn after_tokens(&self, tokens: usize) -> Self {
        let Some(end) = self.words.get(tokens).map(|word| word.start as usize) else {
            return self.clone();
        };
        let count = self
            .chunks
            .partition_point(|chunk| chunk.token_end as usize <= tokens);
        Self {
            response: self.response.get(..end).unwrap_or_default().to_owned(),
            chunks: self.chunks[..count].to_vec(),
            ..self.clone()
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

    /// The tokens of a chunk that have text.
    pub fn words_of(&self, chunk: u32) -> impl Iterator<Item = (u32, &Word)> {
        let range = self
            .chunks
            .get(chunk as usize)
            .map_or(0..0, |c| c.token_start as usize..c.token_end as usize);
        let words = self.words.get(range.clone()).unwrap_or_default();
        (range.start as u32..)
            .zip(words)
            .filter(|(_, word)| word.start < word.end)
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

/// Every token with its strongest units under a lens.
fn words(record: &Record, lens: &Lens) -> Vec<Word> {
    let trace = record
        .signals
        .iter()
        .find(|s| s.signal == lens.method.signal);
    let citable = |unit: &Unit| {
        let role = record
            .sources
            .get(unit.source as usize)
            .map(|source| source.role);
        lens.method.cite_prompt || role != Some(attribution::record::SourceRole::Prompt)
    };
    let scored = |&UnitMass(unit, sum, max): &UnitMass| {
        let own = record.units.get(unit as usize).filter(|own| citable(own))?;
        let score = lens.method.unit_score.of(sum, max, own.positions);
        (score > 0.0).then_some((unit, score))
    };
    let masses = trace
        .map(|trace| trace.tokens.as_slice())
        .unwrap_or_default();
    (record.tokens.iter().enumerate())
        .map(|(k, token)| {
            let mut units: Vec<(u32, f64)> = masses
                .get(k)
                .into_iter()
                .flatten()
                .filter_map(scored)
                .collect();
            units.sort_by(|a, b| b.1.total_cmp(&a.1));
            let least = units.first().map_or(0.0, |best| best.1 * MIN_WORD_SHARE);
            units.retain(|(_, score)| *score >= least);
            units.truncate(MAX_WORD_UNITS);
            Word {
                start: token.start,
                end: token.end,
                pos: token.pos.name(),
                units,
            }
        })
        .collect()
}

/// The heat maps of several chunks as one: cells added up, boxes of the strongest.
fn merged(maps: &[Vec<HeatMap>]) -> Vec<HeatMap> {
    if let [one] = maps {
        return one.clone();
    }
    let mut out: Vec<(HeatMap, Vec<f32>, f32)> = Vec::new();
    for map in maps.iter().flatten() {
        let cells: Vec<f32> = cell_values(map)
            .iter()
            .map(|cell| cell * map.peak)
            .collect();
        match out
            .iter_mut()
            .find(|(own, ..)| own.unit == map.unit && own.grid == map.grid)
        {
            None => out.push((map.clone(), cells, map.peak)),
            Some((own, sums, strongest)) => {
                for (sum, cell) in sums.iter_mut().zip(cells) {
                    *sum += cell;
                }
                if map.peak > *strongest {
                    (own.boxes, *strongest) = (map.boxes.clone(), map.peak);
                }
            }
        }
    }
    for (map, sums, _) in &mut out {
        map.peak = sums.iter().copied().fold(0.0, f32::max);
        let hex = |sum: &f32| {
            format!(
                "{:02x}",
                (sum / map.peak.max(f32::MIN_POSITIVE) * 255.0) as u8
            )
        };
        map.cells = sums.iter().map(hex).collect();
    }
    out.into_iter().map(|(map, ..)| map).collect()
}

/// The parts of a picture, cut into `n` x `n`, that hold most of a map, strongest first.
fn region_boxes(map: &HeatMap, n: u32) -> Vec<HeatBox> {
    let cells = cell_values(map);
    let total: f32 = cells.iter().sum();
    if total <= 0.0 || map.grid.cols == 0 || map.grid.rows == 0 {
        return Vec::new();
    }
    let mut shares = vec![0.0; (n * n) as usize];
    for (cell, value) in (0u32..).zip(&cells) {
        // A cell that lies across an edge counts where its middle is.
        let across = (2 * (cell % map.grid.cols) + 1) * n / (2 * map.grid.cols);
        let down = (2 * (cell / map.grid.cols) + 1) * n / (2 * map.grid.rows);
        shares[(down.min(n - 1) * n + across.min(n - 1)) as usize] += value / total;
    }
    let mut ranked: Vec<(u32, f32)> = (0u32..).zip(shares).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let side = 1.0 / n as f32;
    let mut covered = 0.0;
    ranked
        .into_iter()
        .take_while(|(_, share)| {
            let more = covered < 0.6 && *share > 1.0 / (n * n) as f32;
            covered += share;
            more
        })
        .map(|(region, share)| {
            let (x0, y0) = ((region % n) as f32 * side, (region / n) as f32 * side);
            HeatBox {
                rect_in_source: Rect {
                    x0,
                    y0,
                    x1: x0 + side,
                    y1: y0 + side,
                },
                share,
            }
        })
        .collect()
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
pub(crate) mod tests {
    use attribution::record::Grid;
    use attribution::resize::Size;

    use super::*;

    /// A small record: two sentences over two text units and a picture, three signals.
    pub(crate) fn record() -> Record {
        let masses =
            |best: u32| serde_json::json!([[best, 0.6, 0.3], [2, 0.2, 0.01], [0, 0.01, 0.01]]);
        let heat = |cells: &str| serde_json::json!([{"unit": 2, "grid": {"rows": 2, "cols": 2}, "cells": cells, "peak": 0.1, "boxes": []}]);
        let signal = |name: &str| {
            serde_json::json!({
                "signal": name,
                "tokens": [masses(0), masses(0), masses(1), masses(1)],
                "heat": [heat("ff000000"), heat("00ff0000")],
                "inside": [0.8, 0.8, 0.2, 0.2],
            })
        };
        let chunk = |start, end, token_start, token_end| serde_json::json!({"start": start, "end": end, "token_start": token_start, "token_end": token_end});
        let json = serde_json::json!({
            "version": 1,
            "sources": [
                {"role": "content", "number": 1, "item": {"kind": "text", "text": "A red car. A dog."}},
                {"role": "content", "number": 1, "item": {"kind": "image", "media": "", "name": "", "width_px": 56,
                    "height_px": 56, "grid": {"rows": 2, "cols": 2}}},
            ],
            "units": [
                {"id": "t0", "source": 0, "positions": 3, "extent": {"kind": "text", "start": 0, "end": 11}},
                {"id": "t1", "source": 0, "positions": 3, "extent": {"kind": "text", "start": 11, "end": 17}},
                {"id": "i0", "source": 1, "positions": 4, "extent": {"kind": "region",
                    "rect_in_source": {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.0}}},
            ],
            "response": "Red car. Dog runs.",
            "tokens": [
                {"id": 1, "start": 0, "end": 3, "pos": "ADJ"}, {"id": 2, "start": 3, "end": 9, "pos": "NOUN"},
                {"id": 3, "start": 9, "end": 12, "pos": "NOUN"}, {"id": 4, "start": 12, "end": 18, "pos": "VERB"},
            ],
            "chunks": [chunk(0, 9, 0, 2), chunk(9, 18, 2, 4)],
            "signals": [signal("attmean"), signal("attraw"), signal("attgrads")],
            "method": attribution::record::Method::default(),
            "attributions": [{"cited": [], "intervals": []}, {"cited": [], "intervals": []}],
            "receipt": attribution::record::Receipt::default(),
        });
        let mut record: Record =
            serde_json::from_value(json).unwrap_or_else(|error| panic!("{error}"));
        record.attributions = recurate(&record, &record.method);
        record
    }

    fn through(lens: &Lens) -> Shown {
        let record = record();
        let prompt = Prompt {
            sources: record.sources.clone(),
            units: record.units.clone(),
        };
        Shown::of_record(&record, &Arc::new(prompt), lens)
    }

    #[test]
    fn a_lens_changes_chunks_heat_and_boxes() {
        let mut lens = Lens::recorded(&record());
        let shown = through(&lens);
        assert_eq!(shown.chunks.len(), 2);
        assert_eq!(shown.attributions[1].cited[0].unit, 1);
        assert_eq!(
            shown
                .outside
                .iter()
                .map(|o| o.map(|o| (o * 10.0).round()))
                .collect::<Vec<_>>(),
            [Some(2.0), Some(8.0)]
        );
        lens.size = Size::Answer;
        lens.regions = 2;
        let whole = through(&lens);
        assert_eq!(whole.chunks.len(), 1);
        let cited: Vec<u32> = whole.attributions[0].cited.iter().map(|c| c.unit).collect();
        assert_eq!(cited, [1, 0], "the verb outweighs the adjective");
        let map = &whole.heat[0][0];
        assert_eq!(
            (map.cells.as_str(), map.grid),
            ("ffff0000", Grid { rows: 2, cols: 2 })
        );
        let boxes: Vec<(f32, f32)> = map
            .boxes
            .iter()
            .map(|b| (b.rect_in_source.x0, b.rect_in_source.y0))
            .collect();
        assert_eq!(boxes, [(0.0, 0.0), (0.5, 0.0)]);
    }

    #[test]
    fn a_token_shows_its_own_units_and_a_replay_grows_token_by_token() {
        let shown = through(&Lens::recorded(&record()));
        let first: Vec<_> = shown
            .words_of(1)
            .map(|(k, word)| (k, word.units[0].0))
            .collect();
        assert_eq!(first, [(2, 1), (3, 1)]);
        let half = shown.after_tokens(3);
        assert_eq!(
            (half.response.as_str(), half.chunks.len(), half.tail()),
            ("Red car. Dog", 1, "Dog")
        );
        assert_eq!(shown.after_tokens(99), shown);
    }

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

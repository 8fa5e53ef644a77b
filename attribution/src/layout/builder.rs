//! Builds a layout: calls follow the prompt from its first token to its last.
//! In: the pieces of the prompt. Out: [`Layout`].

use std::ops::Range;

mod film;
mod picture;

use self::film::Film;
use super::{Layout, Span, SpanContent, UnitGrid, letter};
use crate::AttributionError;
use crate::record::{Extent, Grid, Source, SourceItem, SourceRole, Track, Unit};
use crate::time::TimeBins;

/// Builds a [`Layout`]; calls follow the prompt from its first token to its last.
#[derive(Debug, Default)]
pub struct LayoutBuilder {
    sources: Vec<Source>,
    units: Vec<Unit>,
    grids: Vec<Option<UnitGrid>>,
    unit_of: Vec<Option<u32>>,
    cell_of: Vec<Option<u32>>,
    spans: Vec<Span>,
    image_regions: u32,
    film: Option<Film>,
    /// The unit of a picture that is fed in parts.
    parts_of: Option<u32>,
}

impl LayoutBuilder {
    /// One unit per picture.
    pub fn new() -> Self {
        Self::with_image_regions(1)
    }

    /// `regions` x `regions` units per picture (1: the picture is one unit).
    pub fn with_image_regions(regions: u32) -> Self {
        Self {
            image_regions: regions.max(1),
            ..Self::default()
        }
    }

    /// Positions laid out so far.
    pub fn positions(&self) -> usize {
        self.unit_of.len()
    }

    /// Sources laid out so far.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// `count` positions that are never cited. May stand inside a film.
    pub fn special(&mut self, count: usize) {
        self.extend(count, |_| (None, None));
        self.span(count, SpanContent::Untraceable);
    }

    /// A text source cut into sentences by [`crate::chunk::split`]; see [`Self::text_in_units`].
    #[cfg(feature = "sentences")]
    pub fn text(
        &mut self,
        role: SourceRole,
        text: &str,
        token_bytes: &[(usize, usize)],
    ) -> Result<u32, AttributionError> {
        self.text_in_units(role, text, &crate::chunk::split(text), token_bytes)
    }

    /// A text source whose units are `unit_bytes` (they must partition the text), one position per token.
    /// `token_bytes` are the byte offsets of each token in the text; a token belongs to the unit with most of its
    /// visible bytes.
    pub fn text_in_units(
        &mut self,
        role: SourceRole,
        text: &str,
        unit_bytes: &[Range<usize>],
        token_bytes: &[(usize, usize)],
    ) -> Result<u32, AttributionError> {
        self.end_film();
        if !crate::chunk::partitions(unit_bytes, text.len()) {
            return Err(AttributionError::Layout(
                "text units do not partition their text".into(),
            ));
        }
        let source = self.source(
            role,
            SourceItem::Text {
                text: text.to_owned(),
            },
        );
        let first = self.units.len() as u32;
        for unit in unit_bytes {
            let extent = Extent::Text {
                start: unit.start as u32,
                end: unit.end as u32,
            };
            self.unit(source, extent, None);
        }
        let has_units = !unit_bytes.is_empty();
        let owners: Vec<Option<u32>> = token_bytes
            .iter()
            .map(|&(start, end)| {
                let piece = crate::chunk::piece_of(text, unit_bytes, start..end);
                has_units.then_some(first + piece as u32)
            })
            .collect();
        self.extend(owners.len(), |k| (owners[k], None));
        self.span(owners.len(), SpanContent::Text { source });
        Ok(source)
    }

    /// A sound: `tokens` positions of `secs_per_token` each. `item` must be audio. Its units are the `bins` up to the
    /// last one heard: a model may hear less than the file holds.
    pub fn audio(
        &mut self,
        item: SourceItem,
        tokens: usize,
        secs_per_token: f64,
        bins: &TimeBins,
    ) -> Result<u32, AttributionError> {
        self.end_film();
        if !matches!(item, SourceItem::Audio { .. }) {
            return Err(AttributionError::Layout(
                "an audio placeholder needs a sound".into(),
            ));
        }
        check_secs(secs_per_token)?;
        let source = self.source(SourceRole::Content, item);
        let bin_of = |k: usize| bins.bin_of((k as f64 + 0.5) * secs_per_token);
        let first = self.units.len() as u32;
        if tokens > 0 {
            // A remainder too short for a token of its own was still heard with the last one.
            let heard_secs = (tokens + 1) as f64 * secs_per_token;
            let last = bin_of(tokens - 1).max(bins.bin_of(heard_secs));
            for bin in 0..=last {
                let (start_secs, end_secs) = bins.bounds(bin);
                self.unit(
                    source,
                    Extent::Time {
                        start_secs,
                        end_secs,
                        track: Track::Sound,
                    },
                    None,
                );
            }
        }
        self.extend(tokens, |k| (Some(first + bin_of(k) as u32), None));
        self.span(tokens, SpanContent::Sound { source });
        Ok(source)
    }

    /// The layout, with unit sizes counted.
    pub fn finish(mut self) -> Result<Layout, AttributionError> {
        self.end_film();
        crate::record::check_counts(self.sources.len(), self.units.len(), 0)?;
        for unit in self.unit_of.iter().flatten() {
            self.units[*unit as usize].positions += 1;
        }
        Ok(Layout {
            sources: self.sources,
            units: self.units,
            unit_of: self.unit_of,
            cell_of: self.cell_of,
            grids: self.grids,
            spans: self.spans,
        })
    }

    fn end_film(&mut self) {
        self.film = None;
        self.parts_of = None;
    }

    fn source(&mut self, role: SourceRole, item: SourceItem) -> u32 {
        let mut source = Source {
            role,
            number: 0,
            item,
        };
        if role == SourceRole::Content {
            let modality = source.modality();
            let before = |s: &&Source| s.role == SourceRole::Content && s.modality() == modality;
            source.number = self.sources.iter().filter(before).count() as u32 + 1;
        }
        self.sources.push(source);
        self.sources.len() as u32 - 1
    }

    fn unit(&mut self, source: u32, extent: Extent, grid: Option<UnitGrid>) -> u32 {
        let letter = letter(self.sources[source as usize].modality());
        let before = self
            .units
            .iter()
            .rev()
            .find(|unit| unit.id.starts_with(letter));
        let number = before
            .and_then(|unit| unit.id[1..].parse::<u32>().ok())
            .map_or(0, |n| n + 1);
        self.units.push(Unit {
            id: format!("{letter}{number}"),
            source,
            extent,
            positions: 0,
        });
        self.grids.push(grid);
        self.units.len() as u32 - 1
    }

    fn extend(&mut self, count: usize, owner: impl Fn(usize) -> (Option<u32>, Option<u32>)) {
        for k in 0..count {
            let (unit, cell) = owner(k);
            self.unit_of.push(unit);
            self.cell_of.push(cell);
        }
    }

    fn span(&mut self, count: usize, content: SpanContent) {
        let end = self.unit_of.len();
        self.spans.push(Span {
            positions: end - count..end,
            content,
        });
    }
}

/// Grids beyond any model's are refused, so that a product of sides cannot overflow.
fn check_grid(grid: Grid) -> Result<(), AttributionError> {
    if grid.rows == 0 || grid.cols == 0 || grid.rows > 4096 || grid.cols > 4096 {
        return Err(AttributionError::Layout(format!(
            "a patch grid of {} x {} is not usable",
            grid.rows, grid.cols
        )));
    }
    Ok(())
}

fn check_secs(secs_per_token: f64) -> Result<(), AttributionError> {
    if !(secs_per_token > 0.0 && secs_per_token.is_finite()) {
        return Err(AttributionError::Layout(format!(
            "{secs_per_token} seconds per token is not usable"
        )));
    }
    Ok(())
}

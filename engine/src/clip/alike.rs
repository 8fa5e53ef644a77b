//! How alike CLIP finds a sentence and each source: the paper's "Embed-CLIP".
//! In: a trace and what it was asked. Out: a cosine per sentence and unit; none for sounds, of which CLIP knows nothing.

use std::ops::Range;

use attribution::record::{Extent, Record, Rect, SourceItem, SourceRole, Track, Unit};
use media::Film;

use super::Clip;
use crate::preprocess::Rgb;
use crate::sources::{frames_at_once, rgb};
use crate::{EngineError, Item, MediaItem, Model, TraceRequest};

impl Clip {
    /// Per sentence of the record, per unit: the cosine of their vectors. A film's bin has the mean direction of those of its
    /// frames that the traced model saw. None for sounds and for the instruction, which is no source.
    pub fn similarities(
        &self,
        model: &Model,
        request: &TraceRequest,
        record: &Record,
    ) -> Result<Vec<Vec<Option<f64>>>, EngineError> {
        let units = self.of_units(model, request, record)?;
        (record.chunks.iter())
            .map(|chunk| {
                let said = record
                    .response
                    .get(chunk.start as usize..chunk.end as usize);
                let said = direction(&self.of_text(said.unwrap_or_default().trim())?);
                let along = |unit: &Option<Vec<f64>>| Some(dot(said.as_ref()?, unit.as_ref()?));
                Ok(units.iter().map(along).collect())
            })
            .collect()
    }

    /// Every unit's direction.
    fn of_units(
        &self,
        model: &Model,
        request: &TraceRequest,
        record: &Record,
    ) -> Result<Vec<Option<Vec<f64>>>, EngineError> {
        let mut out = Vec::with_capacity(record.units.len());
        // Units stand by source, so that a file is decoded once.
        for own in record.units.chunk_by(|a, b| a.source == b.source) {
            let source = record.sources.get(own[0].source as usize);
            let found = match source.filter(|source| source.role == SourceRole::Content) {
                Some(source) => match &source.item {
                    SourceItem::Text { text } => self.of_texts(text, own)?,
                    SourceItem::Image { media, .. } => {
                        self.of_parts(model, request, file(request, media)?, own)?
                    }
                    SourceItem::Video { media, .. } => {
                        self.of_bins(model, request, file(request, media)?, own)?
                    }
                    SourceItem::Audio { .. } => vec![None; own.len()],
                },
                None => vec![None; own.len()],
            };
            out.extend(found);
        }
        Ok(out)
    }

    fn of_texts(&self, text: &str, units: &[Unit]) -> Result<Vec<Option<Vec<f64>>>, EngineError> {
        let of = |unit: &Unit| match unit.extent {
            Extent::Text { start, end } => {
                let text = text.get(start as usize..end as usize).unwrap_or_default();
                Ok(direction(&self.of_text(text.trim())?))
            }
            _ => Ok(None),
        };
        units.iter().map(of).collect()
    }

    fn of_parts(
        &self,
        model: &Model,
        request: &TraceRequest,
        (number, file): (usize, &MediaItem),
        units: &[Unit],
    ) -> Result<Vec<Option<Vec<f64>>>, EngineError> {
        let limits = &request.options.limits;
        let picture = media::decode_image_as(&file.bytes, limits, model.family.transparency());
        let picture = rgb(picture.map_err(failed(number, file))?);
        let of = |unit: &Unit| match unit.extent {
            Extent::Region { rect_in_source } => {
                Ok(direction(&self.of_picture(&cut(&picture, rect_in_source))?))
            }
            _ => Ok(None),
        };
        units.iter().map(of).collect()
    }

    fn of_bins(
        &self,
        model: &Model,
        request: &TraceRequest,
        (number, file): (usize, &MediaItem),
        units: &[Unit],
    ) -> Result<Vec<Option<Vec<f64>>>, EngineError> {
        let (limits, settings) = (&request.options.limits, &request.options.settings);
        let film = Film::open(&file.bytes, limits).map_err(failed(number, file))?;
        let info = film.info();
        let indices = (model.family).frame_indices(info.frame_count, info.fps, settings);
        let mut sums: Vec<Vec<f64>> = vec![Vec::new(); units.len()];
        for batch in indices.chunks(frames_at_once(limits, info.width, info.height)) {
            let frames = film.frames(batch).map_err(failed(number, file))?;
            for (index, frame) in batch.iter().zip(frames) {
                let secs = *index as f64 / info.fps;
                let Some(seen) = direction(&self.of_picture(&rgb(frame))?) else {
                    continue;
                };
                for (unit, sum) in units.iter().zip(&mut sums) {
                    if during(unit, secs) {
                        sum.resize(seen.len(), 0.0);
                        sum.iter_mut().zip(&seen).for_each(|(sum, own)| *sum += own);
                    }
                }
            }
        }
        Ok(sums.iter().map(|sum| length_one(sum)).collect())
    }
}

/// Whether a film's picture bin holds a time; a sound's bins hold none.
fn during(unit: &Unit, secs: f64) -> bool {
    match unit.extent {
        Extent::Time {
            start_secs,
            end_secs,
            track: Track::Picture,
        } => (start_secs..end_secs).contains(&secs),
        _ => false,
    }
}

/// The request's file of a hash, and which of its items it is, from 1.
fn file<'r>(request: &'r TraceRequest, hash: &str) -> Result<(usize, &'r MediaItem), EngineError> {
    let earlier = request.history.iter().flat_map(|turn| &turn.items);
    let items = (1..).zip(earlier.chain(&request.items));
    let mut files = items.filter_map(|(number, item)| match item {
        Item::Text(_) => None,
        Item::Image(file) | Item::Audio(file) | Item::Video(file) => Some((number, file)),
    });
    let found = files.find(|(_, file)| file.hash == hash);
    found.ok_or_else(|| {
        EngineError::Request(
            "a file of this record is not among the sources: it belongs to another question"
                .to_owned(),
        )
    })
}

fn failed(item: usize, file: &MediaItem) -> impl Fn(media::MediaError) -> EngineError + use<> {
    let name = file.name.clone();
    move |source| EngineError::Media {
        item,
        name: name.clone(),
        source,
    }
}

/// The pixels of a part; at least one wherever the part lies within the picture.
fn cut(picture: &Rgb, rect: Rect) -> Rgb {
    let pixels = |from: f32, to: f32, side: usize| -> Range<usize> {
        let first = ((from * side as f32).round().max(0.0) as usize).min(side.saturating_sub(1));
        let end = ((to * side as f32).round().max(0.0) as usize).min(side);
        first..end.max(first + 1).min(side)
    };
    let rows = pixels(rect.y0, rect.y1, picture.height_px);
    let columns = pixels(rect.x0, rect.x1, picture.width_px);
    let kept = rows.clone().flat_map(|row| {
        let at = |column: usize| (row * picture.width_px + column) * 3;
        &picture.data[at(columns.start)..at(columns.end)]
    });
    Rgb {
        width_px: columns.len(),
        height_px: rows.len(),
        data: kept.copied().collect(),
    }
}

/// A vector's direction; none of nothing.
fn direction(vector: &[f32]) -> Option<Vec<f64>> {
    let own: Vec<f64> = vector.iter().map(|value| f64::from(*value)).collect();
    length_one(&own)
}

fn length_one(vector: &[f64]) -> Option<Vec<f64>> {
    let length = dot(vector, vector).sqrt();
    (length > 0.0 && length.is_finite()).then(|| vector.iter().map(|own| own / length).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_its_pixels() {
        let picture = Rgb {
            width_px: 4,
            height_px: 2,
            data: (0..8).flat_map(|value| [value; 3]).collect(),
        };
        let part = |x0, y0, x1, y1| {
            let own = cut(&picture, Rect { x0, y0, x1, y1 });
            (
                own.width_px,
                own.height_px,
                own.data.chunks(3).map(|rgb| rgb[0]).collect::<Vec<_>>(),
            )
        };
        assert_eq!(part(0.0, 0.0, 1.0, 1.0), (4, 2, (0..8).collect()));
        assert_eq!(part(0.5, 0.5, 1.0, 1.0), (2, 1, vec![6, 7]));
        assert_eq!(part(1.0, 1.0, 1.0, 1.0), (1, 1, vec![7]));
        assert_eq!(part(f32::NAN, 0.0, -3.0, 9.0), (1, 2, vec![0, 4]));
    }
}

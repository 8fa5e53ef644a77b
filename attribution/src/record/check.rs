//! Reading and writing records: versions, bounds, and that every index in them points somewhere.
//! In: JSON, or a record. Out: a record that readers may index freely, or JSON.

use serde::Deserialize;

use super::{
    Extent, MAX_JSON_BYTES, MAX_SOURCES, MAX_TOKENS, MAX_UNITS, RECORD_VERSION, Record, Rect,
    SourceItem, UnitMass,
};
use crate::AttributionError;

impl Record {
    /// Reads a record of any version ever shipped. Checks that every index and range in it is within bounds, so that
    /// readers may index freely.
    pub fn from_json(json: &str) -> Result<Self, AttributionError> {
        if json.len() > MAX_JSON_BYTES {
            return Err(AttributionError::TooMany {
                what: "bytes",
                found: json.len(),
                limit: MAX_JSON_BYTES,
            });
        }
        // The version alone first: a newer record may not parse otherwise, and the reader shall be told why.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let Versioned { version } =
            serde_json::from_str(json).map_err(AttributionError::RecordJson)?;
        let record: Self = match version {
            // Version 2 appended two signals and a competition, version 3 a signal and a reach: what was there reads as before.
            1..=3 => serde_json::from_str(json).map_err(AttributionError::RecordJson)?,
            found => {
                return Err(AttributionError::RecordVersion {
                    found,
                    newest: RECORD_VERSION,
                });
            }
        };
        record.check()?;
        Ok(record)
    }

    /// The record as compact JSON, checked and within [`MAX_JSON_BYTES`].
    pub fn to_json(&self) -> Result<String, AttributionError> {
        self.check()?;
        let json = serde_json::to_string(self).map_err(AttributionError::RecordJson)?;
        if json.len() > MAX_JSON_BYTES {
            return Err(AttributionError::TooMany {
                what: "bytes",
                found: json.len(),
                limit: MAX_JSON_BYTES,
            });
        }
        Ok(json)
    }

    /// Whether every index points somewhere, ranges partition what they should, and the bounds hold.
    pub fn check(&self) -> Result<(), AttributionError> {
        let damaged = |what: &str| Err(AttributionError::RecordDamaged(what.to_owned()));
        check_counts(self.sources.len(), self.units.len(), self.tokens.len())?;
        let units = self.units.len();
        for unit in &self.units {
            let Some(source) = self.sources.get(unit.source as usize) else {
                return damaged("a unit without a source");
            };
            let fits = match (&unit.extent, &source.item) {
                (Extent::Text { start, end }, SourceItem::Text { text }) => {
                    text.get(*start as usize..*end as usize).is_some()
                }
                (Extent::Region { rect_in_source }, SourceItem::Image { .. }) => {
                    finite(rect_in_source)
                }
                (
                    Extent::Time {
                        start_secs,
                        end_secs,
                        ..
                    },
                    SourceItem::Audio { .. } | SourceItem::Video { .. },
                ) => start_secs <= end_secs,
                _ => false,
            };
            if !fits {
                return damaged("a unit that its source does not hold");
            }
        }
        if let Some(own) = &self.child_of
            && own.without.iter().any(|unit| *unit as usize >= units)
        {
            return damaged("a unit left out that there is not");
        }
        let (mut byte, mut token) = (0, 0);
        for chunk in &self.chunks {
            let text = self.response.get(chunk.start as usize..chunk.end as usize);
            if text.is_none()
                || chunk.start != byte
                || chunk.token_start != token
                || chunk.token_end < token
            {
                return damaged("chunks that do not follow each other");
            }
            (byte, token) = (chunk.end, chunk.token_end);
        }
        if !self.chunks.is_empty()
            && (byte as usize != self.response.len() || token as usize != self.tokens.len())
        {
            return damaged("chunks that do not cover the response");
        }
        if self.tokens.iter().any(|t| {
            self.response
                .get(t.start as usize..t.end as usize)
                .is_none()
        }) {
            return damaged("a token outside the response");
        }
        let attributions = self.attributions.len() == self.chunks.len()
            && self.attributions.iter().all(|a| {
                a.cited.iter().all(|c| (c.unit as usize) < units)
                    && a.intervals
                        .iter()
                        .all(|i| (i.source as usize) < self.sources.len())
            });
        if !attributions {
            return damaged("attributions that do not belong to its chunks");
        }
        for trace in &self.signals {
            let masses = trace.tokens.len() == self.tokens.len()
                && (trace.tokens.iter().flatten()).all(|UnitMass(unit, sum, max)| {
                    (*unit as usize) < units && sum.is_finite() && max.is_finite()
                });
            let inside = (trace.inside.is_empty() || trace.inside.len() == self.tokens.len())
                && trace.inside.iter().all(|share| share.is_finite());
            let heat = trace.heat.len() == self.chunks.len()
                && trace.heat.iter().flatten().all(|map| {
                    (map.unit as usize) < units
                        && u64::from(map.grid.rows) * u64::from(map.grid.cols) * 2
                            == map.cells.len() as u64
                        && map.peak.is_finite()
                        && (map.boxes.iter())
                            .all(|own| own.share.is_finite() && finite(&own.rect_in_source))
                });
            if !(masses && heat && inside) {
                return damaged("a signal that does not belong to its tokens");
            }
        }
        Ok(())
    }
}

/// JSON holds numbers that are too large for an f32; read as infinite, they could not be written again.
fn finite(rect: &Rect) -> bool {
    [rect.x0, rect.y0, rect.x1, rect.y1]
        .iter()
        .all(|side| side.is_finite())
}

/// Refuses what no record holds, before it is made.
pub(crate) fn check_counts(
    sources: usize,
    units: usize,
    tokens: usize,
) -> Result<(), AttributionError> {
    let bounds = [
        ("sources", sources, MAX_SOURCES),
        ("units", units, MAX_UNITS),
        ("tokens", tokens, MAX_TOKENS),
    ];
    for (what, found, limit) in bounds {
        if found > limit {
            return Err(AttributionError::TooMany { what, found, limit });
        }
    }
    Ok(())
}

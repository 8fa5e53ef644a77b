//! The small badges behind a sentence: one per cited text unit and picture, one per merged interval.
//! In: what is shown and a chunk. Out: label, spoken name, and the unit it leads to.

use attribution::label;
use attribution::record::{Extent, HeatBox, Modality, Track};

use crate::shown::Shown;

/// One badge.
#[derive(Debug, Clone, PartialEq)]
pub struct Badge {
    /// Colour and glyph.
    pub modality: Modality,
    /// "T3", "Image 2 · upper left", "0:04–0:07".
    pub text: String,
    /// Said before the text by a screen reader: "source: ", "source: Sound 1, ".
    pub spoken_before: String,
    /// The unit it leads to.
    pub unit: u32,
    /// That unit's id.
    pub unit_id: String,
    /// Seconds to play, with the source, where there are any.
    pub play: Option<(u32, f64, f64)>,
}

/// The badges of a chunk: texts and pictures strongest first, then intervals in time order.
pub fn badges(shown: &Shown, chunk: u32) -> Vec<Badge> {
    let Some(attribution) = shown.attribution_of(chunk) else {
        return Vec::new();
    };
    let prompt = &shown.prompt;
    let mut out = Vec::new();
    for citation in &attribution.cited {
        let Some(unit) = prompt.units.get(citation.unit as usize) else {
            continue;
        };
        let name = label::label_of(&prompt.sources, &prompt.units, citation.unit);
        let (modality, text) = match unit.extent {
            Extent::Text { .. } => (Modality::Text, name),
            Extent::Region { .. } => {
                let place = strongest_box(shown, chunk, citation.unit)
                    .map(|b| label::place_name(&b.rect_in_source));
                (
                    Modality::Image,
                    place.map_or(name.clone(), |place| format!("{name} · {place}")),
                )
            }
            Extent::Time { .. } => continue,
        };
        let spoken_before = "source: ".to_owned();
        out.push(Badge {
            modality,
            text,
            spoken_before,
            unit: citation.unit,
            unit_id: unit.id.clone(),
            play: None,
        });
    }
    for interval in &attribution.intervals {
        let Some(source) = prompt.sources.get(interval.source as usize) else {
            continue;
        };
        let cited_here = |unit: &u32| {
            prompt.units.get(*unit as usize).is_some_and(|own| {
                own.source == interval.source
                    && matches!(own.extent, Extent::Time { start_secs, end_secs, .. }
                        if start_secs < interval.end_secs && end_secs > interval.start_secs)
            })
        };
        let Some(unit) = attribution
            .cited
            .iter()
            .map(|c| c.unit)
            .filter(cited_here)
            .min_by(|a, b| {
                // The picture track first: it is the one that can be looked at.
                let key = |unit: &u32| matches!(track(shown, *unit), Some(Track::Sound));
                (key(a), *a).cmp(&(key(b), *b))
            })
        else {
            continue;
        };
        let seconds = label::interval_label(interval.start_secs, interval.end_secs);
        let several = prompt
            .sources
            .iter()
            .filter(|s| s.modality() == source.modality())
            .count()
            > 1;
        let name = label::source_label(source);
        let shown_seconds = seconds.replace('-', "–");
        out.push(Badge {
            modality: source.modality(),
            text: if several {
                format!("{name} · {shown_seconds}")
            } else {
                shown_seconds
            },
            spoken_before: if several {
                "source: ".to_owned()
            } else {
                format!("source: {name}, ")
            },
            unit,
            unit_id: prompt.units[unit as usize].id.clone(),
            play: Some((interval.source, interval.start_secs, interval.end_secs)),
        });
    }
    out
}

fn track(shown: &Shown, unit: u32) -> Option<Track> {
    match shown.prompt.units.get(unit as usize)?.extent {
        Extent::Time { track, .. } => Some(track),
        _ => None,
    }
}

/// The strongest box of a chunk's heat map over one unit.
pub fn strongest_box(shown: &Shown, chunk: u32, unit: u32) -> Option<HeatBox> {
    shown
        .heat_of(chunk)
        .iter()
        .find(|map| map.unit == unit)
        .and_then(|map| map.boxes.first().copied())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use attribution::record::{
        ChunkAttribution, Citation, Grid, HeatMap, Interval, Rect, Source, SourceItem, SourceRole,
        Unit,
    };

    use super::*;
    use crate::shown::Prompt;

    fn sound(number: u32) -> Source {
        let item = SourceItem::Audio {
            media: String::new(),
            name: String::new(),
            duration_secs: 8.0,
            peaks: Vec::new(),
            transcript: None,
        };
        Source {
            role: SourceRole::Content,
            number,
            item,
        }
    }

    fn bin(id: &str, source: u32, start_secs: f64) -> Unit {
        let extent = Extent::Time {
            start_secs,
            end_secs: start_secs + 1.0,
            track: Track::Sound,
        };
        Unit {
            id: id.to_owned(),
            source,
            extent,
            positions: 25,
        }
    }

    fn cited(unit: u32) -> Citation {
        Citation {
            unit,
            score: 0.5,
            mass: 0.5,
            run: 0.5,
        }
    }

    fn shown(
        sources: Vec<Source>,
        units: Vec<Unit>,
        attribution: ChunkAttribution,
        heat: Vec<HeatMap>,
    ) -> Shown {
        Shown {
            prompt: Arc::new(Prompt { sources, units }),
            attributions: vec![attribution],
            heat: vec![heat],
            ..Shown::default()
        }
    }

    #[test]
    fn touching_bins_are_one_badge_that_plays_the_merged_seconds() {
        let interval = Interval {
            source: 0,
            start_secs: 4.0,
            end_secs: 6.0,
            mass: 1.0,
        };
        let attribution = ChunkAttribution {
            cited: vec![cited(1), cited(0)],
            intervals: vec![interval],
        };
        let units = vec![bin("a0", 0, 4.0), bin("a1", 0, 5.0)];
        let one = badges(
            &shown(
                vec![sound(1)],
                units.clone(),
                attribution.clone(),
                Vec::new(),
            ),
            0,
        );
        assert_eq!(one.len(), 1);
        assert_eq!(
            (one[0].text.as_str(), one[0].unit_id.as_str()),
            ("0:04–0:06", "a0")
        );
        assert_eq!(
            (one[0].spoken_before.as_str(), one[0].play),
            ("source: Sound 1, ", Some((0, 4.0, 6.0)))
        );
        let several = badges(
            &shown(vec![sound(1), sound(2)], units, attribution, Vec::new()),
            0,
        );
        assert_eq!(
            several[0].text, "Sound 1 · 0:04–0:06",
            "with two sounds the badge says which"
        );
    }

    #[test]
    fn a_picture_badge_names_the_place_of_its_strongest_box() {
        let grid = Grid { rows: 2, cols: 2 };
        let whole = Rect {
            x0: 0.0,
            y0: 0.0,
            x1: 1.0,
            y1: 1.0,
        };
        let corner = Rect {
            x0: 0.0,
            y0: 0.0,
            x1: 0.4,
            y1: 0.4,
        };
        let item = SourceItem::Image {
            media: String::new(),
            name: String::new(),
            width_px: 56,
            height_px: 56,
            grid,
        };
        let source = Source {
            role: SourceRole::Content,
            number: 2,
            item,
        };
        let unit = Unit {
            id: "i0".to_owned(),
            source: 0,
            extent: Extent::Region {
                rect_in_source: whole,
            },
            positions: 4,
        };
        let boxes = vec![HeatBox {
            rect_in_source: corner,
            share: 0.8,
        }];
        let map = HeatMap {
            unit: 0,
            grid,
            cells: "ff000000".to_owned(),
            peak: 1.0,
            boxes,
        };
        let attribution = ChunkAttribution {
            cited: vec![cited(0)],
            intervals: Vec::new(),
        };
        let with = badges(
            &shown(
                vec![source.clone()],
                vec![unit.clone()],
                attribution.clone(),
                vec![map],
            ),
            0,
        );
        assert_eq!(with[0].text, "Image 2 · upper left");
        let without = badges(&shown(vec![source], vec![unit], attribution, Vec::new()), 0);
        assert_eq!(without[0].text, "Image 2");
    }

    #[test]
    fn damaged_citations_give_no_badge() {
        let interval = Interval {
            source: 9,
            start_secs: 0.0,
            end_secs: 1.0,
            mass: 1.0,
        };
        let attribution = ChunkAttribution {
            cited: vec![cited(7)],
            intervals: vec![interval],
        };
        assert!(badges(&shown(Vec::new(), Vec::new(), attribution, Vec::new()), 0).is_empty());
        assert!(badges(&Shown::default(), 3).is_empty());
    }
}

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
    /// For a screen reader: "source: Sound 1, 0:04 to 0:07".
    pub spoken: String,
    /// The unit it leads to.
    pub unit: u32,
    /// That unit's id.
    pub unit_id: String,
    /// Seconds to play, with the source, where there are any.
    pub play: Option<(u32, f64, f64)>,
}

/// The badges of a chunk: texts and pictures strongest first, then intervals in time order.
pub fn badges(shown: &Shown, chunk: u32) -> Vec<Badge> {
    let Some(attribution) = shown.attribution_of(chunk) else { return Vec::new() };
    let prompt = &shown.prompt;
    let mut out = Vec::new();
    for citation in &attribution.cited {
        let Some(unit) = prompt.units.get(citation.unit as usize) else { continue };
        let name = label::label_of(&prompt.sources, &prompt.units, citation.unit);
        let (modality, text) = match unit.extent {
            Extent::Text { .. } => (Modality::Text, name),
            Extent::Region { .. } => {
                let place = strongest_box(shown, chunk, citation.unit).map(|b| label::place_name(&b.rect_in_source));
                (Modality::Image, place.map_or(name.clone(), |place| format!("{name} · {place}")))
            }
            Extent::Time { .. } => continue,
        };
        let spoken = format!("source: {}", text.replace(" · ", ", "));
        out.push(Badge { modality, text, spoken, unit: citation.unit, unit_id: unit.id.clone(), play: None });
    }
    for interval in &attribution.intervals {
        let Some(source) = prompt.sources.get(interval.source as usize) else { continue };
        let cited_here = |unit: &u32| {
            prompt.units.get(*unit as usize).is_some_and(|own| {
                own.source == interval.source
                    && matches!(own.extent, Extent::Time { start_secs, end_secs, .. }
                        if start_secs < interval.end_secs && end_secs > interval.start_secs)
            })
        };
        let Some(unit) = attribution.cited.iter().map(|c| c.unit).filter(cited_here).min_by(|a, b| {
            // The picture track first: it is the one that can be looked at.
            let key = |unit: &u32| matches!(track(shown, *unit), Some(Track::Sound));
            (key(a), *a).cmp(&(key(b), *b))
        }) else {
            continue;
        };
        let seconds = label::interval_label(interval.start_secs, interval.end_secs);
        let several = prompt.sources.iter().filter(|s| s.modality() == source.modality()).count() > 1;
        let name = label::source_label(source);
        let shown_seconds = seconds.replace('-', "–");
        out.push(Badge {
            modality: source.modality(),
            text: if several { format!("{name} · {shown_seconds}") } else { shown_seconds },
            spoken: format!("source: {name}, {}", seconds.replace('-', " to ")),
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
    shown.heat_of(chunk).iter().find(|map| map.unit == unit).and_then(|map| map.boxes.first().copied())
}

//! Names of units for people: badges, alternative texts, the command line.
//! In: a record and a unit. Out: "T3", "Image 2", "0:04-0:05", "upper left".

use crate::record::{Extent, Record, Rect, Source, SourceRole, Unit};

/// The short name of a unit, as on a badge. Unknown units give "?".
pub fn unit_label(record: &Record, unit: u32) -> String {
    label_of(&record.sources, &record.units, unit)
}

/// [`unit_label`] before there is a record (live).
pub fn label_of(sources: &[Source], units: &[Unit], unit: u32) -> String {
    let Some((own, source)) = units
        .get(unit as usize)
        .and_then(|own| sources.get(own.source as usize).map(|source| (own, source)))
    else {
        return "?".to_owned();
    };
    match &own.extent {
        // Text units are numbered over all texts, as their ids are, from 1.
        Extent::Text { .. } => match own.id.strip_prefix('t').and_then(|n| n.parse::<u32>().ok()) {
            Some(number) => format!("T{}", number + 1),
            None => own.id.clone(),
        },
        Extent::Region { rect_in_source } if whole(rect_in_source) => {
            format!("Image {}", source.number)
        }
        Extent::Region { rect_in_source } => {
            format!("Image {}, {}", source.number, place_name(rect_in_source))
        }
        Extent::Time {
            start_secs,
            end_secs,
            ..
        } => interval_label(*start_secs, *end_secs),
    }
}

/// The name of a source: "Prompt", "Text 1", "Image 2", "Sound 1", "Film 1".
pub fn source_label(source: &Source) -> String {
    use crate::record::Modality;
    if source.role == SourceRole::Prompt {
        return "Prompt".to_owned();
    }
    let noun = match source.modality() {
        Modality::Text => "Text",
        Modality::Image => "Image",
        Modality::Audio => "Sound",
        Modality::Video => "Film",
    };
    format!("{noun} {}", source.number)
}

/// "0:04-0:05"; tenths where an end is not on a whole second.
pub fn interval_label(start_secs: f64, end_secs: f64) -> String {
    let whole = |secs: f64| (secs - secs.round()).abs() < 0.05;
    let tenths = !(whole(start_secs) && whole(end_secs));
    format!("{}-{}", clock(start_secs, tenths), clock(end_secs, tenths))
}

/// "1:02" or "1:02.5"; hours where there are any.
pub fn clock(secs: f64, tenths: bool) -> String {
    let total = if secs.is_finite() {
        (secs.clamp(0.0, 1e9) * 10.0).round() as u64
    } else {
        0
    };
    let total = if tenths { total } else { (total + 5) / 10 * 10 };
    let (hours, minutes, seconds) = (total / 36_000, total / 600 % 60, total / 10 % 60);
    let head = if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    };
    if tenths {
        format!("{head}.{}", total % 10)
    } else {
        head
    }
}

/// Where in a picture the middle of a rectangle lies: "upper left", "center", "right", ...
pub fn place_name(rect: &Rect) -> &'static str {
    let third = |a: f32, b: f32| match (a + b) / 2.0 {
        middle if middle < 0.37 => 0,
        middle if middle > 0.63 => 2,
        _ => 1,
    };
    const NAMES: [[&str; 3]; 3] = [
        ["upper left", "top", "upper right"],
        ["left", "center", "right"],
        ["lower left", "bottom", "lower right"],
    ];
    NAMES[third(rect.y0, rect.y1)][third(rect.x0, rect.x1)]
}

fn whole(rect: &Rect) -> bool {
    rect.x0 <= 0.0 && rect.y0 <= 0.0 && rect.x1 >= 1.0 && rect.y1 >= 1.0
}

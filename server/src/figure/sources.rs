//! The cited sources of one sentence, drawn under each other.
//! In: what is shown, and media. Out: panels in the right-hand column of a figure.

use std::fmt::Write as _;

use app::shown::Shown;
use attribution::label;
use attribution::record::{Extent, Interval, Source, SourceItem, SourceRole};
use base64::Engine as _;

use super::letters::{self, Weight, wrapped};
use super::{INK, Kind, LINE, MARGIN_PX, SOFT, SOURCES_WIDTH, SOURCES_X, colour, text};

/// Most sources of a figure; a card has room for two.
const MOST_SOURCES: usize = 6;

/// Draws the sources; returns where they end.
pub fn draw(
    out: &mut String,
    shown: &Shown,
    chunk: u32,
    media: &dyn Fn(&str) -> Option<Vec<u8>>,
    kind: Kind,
) -> f64 {
    let mut y = MARGIN_PX;
    let Some(own) = shown.attribution_of(chunk) else {
        return y;
    };
    let mut cited: Vec<u32> = Vec::new();
    for citation in &own.cited {
        let source = shown
            .prompt
            .units
            .get(citation.unit as usize)
            .map(|unit| unit.source);
        if let Some(source) = source.filter(|source| !cited.contains(source)) {
            cited.push(source);
        }
    }
    let most = if kind == Kind::Card { 2 } else { MOST_SOURCES };
    cited.truncate(most);
    let alone = cited.len() == 1;
    for index in cited {
        let Some(source) = shown.prompt.sources.get(index as usize) else {
            continue;
        };
        let modality = source.modality();
        y += 20.0;
        text(
            out,
            SOURCES_X,
            y,
            20.0,
            Weight::Bold,
            colour(modality),
            &name(source),
        );
        y += 14.0;
        let room = match (kind, alone) {
            (Kind::Card, true) => 440.0,
            (Kind::Card, false) => 196.0,
            (Kind::Figure, _) => 420.0,
        };
        let intervals: Vec<&Interval> =
            own.intervals.iter().filter(|i| i.source == index).collect();
        y = match &source.item {
            SourceItem::Text { text } => quote(out, shown, chunk, index, text, y, room),
            SourceItem::Image {
                media: hash,
                width_px,
                height_px,
                ..
            } => picture(
                out,
                shown,
                chunk,
                index,
                media(hash),
                (*width_px, *height_px),
                y,
                room,
            ),
            SourceItem::Audio {
                duration_secs,
                peaks,
                ..
            } => timeline(out, peaks, *duration_secs, &intervals, colour(modality), y),
            SourceItem::Video {
                duration_secs,
                peaks,
                thumbnails,
                width_px,
                height_px,
                ..
            } => {
                let middle = intervals
                    .first()
                    .map_or(0.0, |i| (i.start_secs + i.end_secs) / 2.0);
                let at = (middle / duration_secs.max(0.001) * thumbnails.len() as f64) as usize;
                let still = thumbnails.get(at.min(thumbnails.len().saturating_sub(1)));
                let still = still.and_then(|hash| media(hash));
                let y = picture(
                    out,
                    shown,
                    chunk,
                    index,
                    still,
                    (*width_px, *height_px),
                    y,
                    room - 96.0,
                );
                timeline(out, peaks, *duration_secs, &intervals, colour(modality), y)
            }
        };
        y += 22.0;
    }
    y
}

fn name(source: &Source) -> String {
    label::source_label(source)
}

/// The cited sentences of a text.
fn quote(
    out: &mut String,
    shown: &Shown,
    chunk: u32,
    source: u32,
    words: &str,
    y: f64,
    room: f64,
) -> f64 {
    let role = shown
        .prompt
        .sources
        .get(source as usize)
        .map(|own| own.role);
    let colour = if role == Some(SourceRole::Prompt) {
        SOFT
    } else {
        "#2a62a6"
    };
    let cited = shown
        .attribution_of(chunk)
        .into_iter()
        .flat_map(|own| &own.cited);
    let mut units: Vec<u32> = cited.map(|citation| citation.unit).collect();
    units.sort_unstable();
    let top = y;
    let mut y = y;
    for unit in units {
        let Some(own) = shown
            .prompt
            .units
            .get(unit as usize)
            .filter(|own| own.source == source)
        else {
            continue;
        };
        let Extent::Text { start, end } = own.extent else {
            continue;
        };
        let quote = words.get(start as usize..end as usize).unwrap_or_default();
        for line in wrapped(quote, Weight::Regular, 24.0, SOURCES_WIDTH - 24.0, 6) {
            if y + 32.0 > top + room {
                break;
            }
            y += 32.0;
            text(
                out,
                SOURCES_X + 22.0,
                y - 7.0,
                24.0,
                Weight::Regular,
                INK,
                &line,
            );
        }
        y += 6.0;
    }
    let _ = write!(
        out,
        "<rect x=\"{SOURCES_X}\" y=\"{:.1}\" width=\"5\" height=\"{:.1}\" rx=\"2.5\" fill=\"{colour}\"/>",
        top + 3.0,
        (y - top).max(10.0)
    );
    y
}

/// A picture with the boxes of the sentence's heat map.
#[allow(
    clippy::too_many_arguments,
    reason = "one place draws pictures and film stills"
)]
fn picture(
    out: &mut String,
    shown: &Shown,
    chunk: u32,
    source: u32,
    bytes: Option<Vec<u8>>,
    (width, height): (u32, u32),
    y: f64,
    room: f64,
) -> f64 {
    let ratio = f64::from(width.max(1)) / f64::from(height.max(1));
    let wide = SOURCES_WIDTH.min(room * ratio);
    let high = wide / ratio;
    match bytes
        .as_deref()
        .and_then(|bytes| Some((bytes, mime(bytes)?)))
    {
        Some((bytes, mime)) => {
            let data = base64::engine::general_purpose::STANDARD.encode(bytes);
            let _ = write!(
                out,
                "<image x=\"{SOURCES_X}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" preserveAspectRatio=\"none\" href=\"data:{mime};base64,{data}\"/>"
            );
        }
        None => {
            let _ = write!(
                out,
                "<rect x=\"{SOURCES_X}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{LINE}\"/>"
            );
        }
    }
    let own = |unit: u32| {
        shown
            .prompt
            .units
            .get(unit as usize)
            .is_some_and(|own| own.source == source)
    };
    let maps = shown
        .heat_of(chunk)
        .iter()
        .filter(|map| own(map.unit))
        .take(1);
    let modality = shown
        .prompt
        .sources
        .get(source as usize)
        .map(Source::modality);
    let colour = modality.map_or(INK, colour);
    for found in maps.flat_map(|map| &map.boxes) {
        let rect = found.rect_in_source;
        let (x0, y0) = (
            SOURCES_X + wide * f64::from(rect.x0),
            y + high * f64::from(rect.y0),
        );
        let (w, h) = (
            wide * f64::from(rect.x1 - rect.x0),
            high * f64::from(rect.y1 - rect.y0),
        );
        for (stroke, line) in [("#ffffff", 8.0), (colour, 4.0)] {
            let _ = write!(
                out,
                "<rect x=\"{x0:.1}\" y=\"{y0:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"7\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{line}\"/>"
            );
        }
    }
    y + high + 8.0
}

/// What may stand in an SVG; other formats are left out.
fn mime(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// A waveform with the cited seconds, and their times below.
fn timeline(
    out: &mut String,
    peaks: &[u8],
    secs: f64,
    cited: &[&Interval],
    colour: &str,
    y: f64,
) -> f64 {
    let (secs, height) = (secs.max(0.001), 64.0);
    let at = |time: f64| SOURCES_X + (time / secs).clamp(0.0, 1.0) * SOURCES_WIDTH;
    let _ = write!(
        out,
        "<rect x=\"{SOURCES_X}\" y=\"{y:.1}\" width=\"{SOURCES_WIDTH:.1}\" height=\"{height}\" rx=\"7\" fill=\"{colour}\" fill-opacity=\"0.07\"/>"
    );
    for interval in cited {
        let (x0, x1) = (at(interval.start_secs), at(interval.end_secs));
        let _ = write!(
            out,
            "<rect x=\"{x0:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\" fill=\"{colour}\" fill-opacity=\"0.28\"/>",
            (x1 - x0).max(2.0)
        );
    }
    let bars = 120usize.min(peaks.len());
    let mut path = String::new();
    for bar in 0..bars {
        let slice = peaks.get(bar * peaks.len() / bars..(bar + 1) * peaks.len() / bars);
        let peak = slice.unwrap_or_default().iter().copied().max().unwrap_or(0);
        let half = (f64::from(peak) / 255.0 * 29.0).max(1.0);
        let x = SOURCES_X + (bar as f64 + 0.5) / bars as f64 * SOURCES_WIDTH;
        let middle = y + height / 2.0;
        let _ = write!(path, "M{x:.1} {:.1}V{:.1}", middle - half, middle + half);
    }
    let _ = write!(
        out,
        "<path d=\"{path}\" stroke=\"{INK}\" stroke-opacity=\"0.7\" stroke-width=\"1.8\"/>"
    );
    for interval in cited.iter().take(4) {
        let words = label::interval_label(interval.start_secs, interval.end_secs).replace('-', "–");
        let wide = letters::width(&words, Weight::Bold, 18.0);
        let x = at(interval.start_secs).min(SOURCES_X + SOURCES_WIDTH - wide);
        text(
            out,
            x,
            y + height + 22.0,
            18.0,
            Weight::Bold,
            colour,
            &words,
        );
    }
    y + height + 30.0
}

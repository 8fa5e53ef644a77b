//! A trace as a picture: the card of a shared link, the figure of a paper.
//! In: a record, a query that says how it is looked at, and its media. Out: SVG, or a PNG of it.
//!
//! Letters are those of `fonts/`: the same on every machine, whatever is installed there.

mod letters;
mod sources;

use std::sync::Arc;

use app::lens::{Lens, pairs};
use app::shown::{Prompt, Shown};
use attribution::record::{Modality, Record};

use letters::{Weight, png_of, wrapped};

use crate::error::ServerError;

/// Width of every picture.
const WIDTH_PX: f64 = 1200.0;
/// Height of a card.
const CARD_HEIGHT_PX: f64 = 630.0;
const MARGIN_PX: f64 = 64.0;
/// Where the column of sources begins, and how wide it is.
const SOURCES_X: f64 = 744.0;
const SOURCES_WIDTH: f64 = WIDTH_PX - MARGIN_PX - SOURCES_X;
const TEXT_WIDTH: f64 = SOURCES_X - MARGIN_PX - 56.0;

const PAPER: &str = "#faf8f4";
const INK: &str = "#1b1a18";
const SOFT: &str = "#67625a";
const LINE: &str = "#e4dfd5";

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1200 x 630, one sentence.
    Card,
    /// The whole answer, as high as it needs.
    Figure,
}

/// Draws a trace. `media` gives the bytes of a stored file.
pub fn svg(
    record: &Record,
    question: &str,
    query: &str,
    kind: Kind,
    media: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> String {
    let lens = Lens::from_query(record, query);
    let prompt = Arc::new(Prompt {
        sources: record.sources.clone(),
        units: record.units.clone(),
    });
    let shown = Shown::of_record(record, &prompt, &lens);
    let chunk = chosen(&shown, query);
    let mut out = String::new();
    let mut y = MARGIN_PX;
    if !question.trim().is_empty() {
        for line in wrapped(question.trim(), Weight::Regular, 25.0, TEXT_WIDTH, 3) {
            y += 25.0;
            text(&mut out, MARGIN_PX, y, 25.0, Weight::Regular, SOFT, &line);
            y += 9.0;
        }
        y += 26.0;
    }
    let chunks: Vec<u32> = match kind {
        Kind::Card => vec![chunk],
        Kind::Figure => (0..shown.chunks.len() as u32).collect(),
    };
    for own in chunks {
        y = sentence(&mut out, &shown, own, own == chunk, kind, y);
    }
    let right = sources::draw(&mut out, &shown, chunk, media, kind);
    let height = match kind {
        Kind::Card => CARD_HEIGHT_PX,
        Kind::Figure => (y.max(right) + MARGIN_PX).max(240.0),
    };
    let mut head = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH_PX} {height:.0}\" width=\"{WIDTH_PX}\" height=\"{height:.0}\" \
         font-family=\"{}\"><rect width=\"100%\" height=\"100%\" fill=\"{PAPER}\"/>",
        letters::FAMILY
    );
    if kind == Kind::Card {
        mark(&mut head, MARGIN_PX, CARD_HEIGHT_PX - 88.0);
        text(
            &mut head,
            MARGIN_PX + 58.0,
            CARD_HEIGHT_PX - 54.0,
            30.0,
            Weight::Bold,
            INK,
            "OmniTrace",
        );
    }
    head + &out + "</svg>"
}

/// The same as PNG.
pub fn png(svg: &str) -> Result<Vec<u8>, ServerError> {
    png_of(svg).map_err(ServerError::Picture)
}

/// The sentence that the query names, else the first that cites something, else the first.
fn chosen(shown: &Shown, query: &str) -> u32 {
    let named = pairs(query)
        .find(|(key, _)| *key == "s")
        .and_then(|(_, value)| value.parse().ok());
    let cites = || {
        shown
            .attributions
            .iter()
            .position(|own| !own.cited.is_empty())
            .map(|k| k as u32)
    };
    named
        .filter(|k: &u32| (*k as usize) < shown.chunks.len())
        .or_else(cites)
        .unwrap_or(0)
}

/// One sentence with its badges; returns where the next one begins.
fn sentence(out: &mut String, shown: &Shown, chunk: u32, active: bool, kind: Kind, y: f64) -> f64 {
    let body = shown.chunk_text(chunk).1;
    if body.is_empty() {
        return y;
    }
    let (size, most) = match kind {
        Kind::Card if body.chars().count() < 90 => (50.0, 5),
        Kind::Card => (38.0, 7),
        Kind::Figure => (30.0, 40),
    };
    let badges = app::badge::badges(shown, chunk);
    let colour = badges.first().map_or(SOFT, |badge| colour(badge.modality));
    let mut y = y;
    for line in wrapped(body, Weight::Regular, size, TEXT_WIDTH, most) {
        if active {
            let width = letters::width(&line, Weight::Regular, size);
            out.push_str(&format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"5\" fill=\"{colour}\" fill-opacity=\"0.14\"/>",
                MARGIN_PX - 8.0,
                y + size * 0.1,
                width + 16.0,
                size * 1.22
            ));
        }
        y += size;
        text(
            out,
            MARGIN_PX,
            y,
            size,
            Weight::Regular,
            if active { INK } else { SOFT },
            &line,
        );
        y += size * 0.36;
    }
    y += 8.0;
    let mut x = MARGIN_PX;
    for badge in badges.iter().take(6) {
        let label = letters::plain(&badge.text);
        let width = letters::width(&label, Weight::Bold, 19.0) + 26.0;
        if x > MARGIN_PX && x + width > MARGIN_PX + TEXT_WIDTH {
            x = MARGIN_PX;
            y += 40.0;
        }
        let colour = self::colour(badge.modality);
        let (fill, ink) = if active {
            (colour, "#ffffff")
        } else {
            ("none", colour)
        };
        out.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"32\" rx=\"16\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"
        ));
        text(out, x + 13.0, y + 22.0, 19.0, Weight::Bold, ink, &label);
        x += width + 9.0;
    }
    y + if badges.is_empty() { 14.0 } else { 62.0 }
}

fn text(out: &mut String, x: f64, y: f64, size: f64, weight: Weight, fill: &str, words: &str) {
    let weight = match weight {
        Weight::Regular => 400,
        Weight::Bold => 600,
    };
    out.push_str(&format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{fill}\" xml:space=\"preserve\">{}</text>",
        letters::escaped(words)
    ));
}

/// The brand's mark: four threads that meet.
fn mark(out: &mut String, x: f64, y: f64) {
    out.push_str(&format!("<g transform=\"translate({x:.1} {y:.1}) scale(2)\" fill=\"none\" stroke-width=\"1.9\" stroke-linecap=\"round\">"));
    let threads = [
        (Modality::Text, "M3 4.5C10 4.5 10 12 15 12"),
        (Modality::Image, "M3 9.5c5 0 6 2.5 12 2.5"),
        (Modality::Audio, "M3 14.5c5 0 6-2.5 12-2.5"),
        (Modality::Video, "M3 19.5c7 0 7-7.5 12-7.5"),
    ];
    for (modality, path) in threads {
        out.push_str(&format!(
            "<path d=\"{path}\" stroke=\"{}\"/>",
            colour(modality)
        ));
    }
    out.push_str(&format!(
        "<circle cx=\"18\" cy=\"12\" r=\"3.4\" fill=\"{INK}\"/></g>"
    ));
}

/// As in the page's light style.
fn colour(modality: Modality) -> &'static str {
    match modality {
        Modality::Text => "#2a62a6",
        Modality::Image => "#ae4a0f",
        Modality::Audio => "#0a7258",
        Modality::Video => "#86407c",
    }
}

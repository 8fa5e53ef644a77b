//! Charts as SVG text: the same on the page and in a file, readable in light and dark.
//! In: points and bars in 0..=1. Out: an `<svg>` whose colours are `currentColor` and the page's classes.

use std::fmt::Write;

/// Width and height of the drawing, axes and words included.
const SIZE: [f64; 2] = [360.0, 260.0];
/// The plot's left, top, right and bottom edges.
const PLOT: [f64; 4] = [50.0, 12.0, 350.0, 214.0];

/// A line through points.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// For the legend.
    pub name: &'a str,
    /// `[x, y]`, each 0..=1, x ascending.
    pub points: Vec<[f64; 2]>,
    /// A class of the style sheet: `text`, `image`, `audio`, `video` or `soft`.
    pub colour: &'a str,
    /// What is compared with.
    pub dashed: bool,
    /// Steps instead of straight lines between points.
    pub steps: bool,
}

/// A bar and its 95 % interval.
#[derive(Debug, Clone)]
pub struct Bar<'a> {
    /// For the legend.
    pub name: &'a str,
    /// `[mean, low, high]`, each 0..=1.
    pub figure: [f64; 3],
    /// As [`Line::colour`].
    pub colour: &'a str,
}

/// A chart of lines.
pub fn lines(title: &str, x: &str, y: &str, lines: &[Line<'_>]) -> String {
    let mut out = begin(title, y);
    let _ = write!(
        out,
        r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        (PLOT[0] + PLOT[2]) / 2.0,
        PLOT[3] + 30.0,
        escaped(x)
    );
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let _ = write!(
            out,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{share}</text>"#,
            across(share),
            PLOT[3] + 15.0
        );
    }
    for line in lines {
        let mut path = String::new();
        let mut before = None;
        for &[x, y] in &line.points {
            let (at_x, at_y) = (across(x), up(y));
            match before {
                None => drop(write!(path, "M{at_x:.1} {at_y:.1}")),
                Some(_) if line.steps => drop(write!(path, "H{at_x:.1}V{at_y:.1}")),
                Some(_) => drop(write!(path, "L{at_x:.1} {at_y:.1}")),
            }
            before = Some(at_y);
        }
        let dash = if line.dashed {
            r#" stroke-dasharray="4 4""#
        } else {
            ""
        };
        let _ = write!(
            out,
            r#"<path class="line {}" d="{path}" fill="none" stroke="currentColor" stroke-width="2"{dash}/>"#,
            line.colour
        );
    }
    let names = lines.iter().map(|line| (line.name, line.colour));
    end(out, names, PLOT[3] + 44.0)
}

/// A chart of groups of bars.
pub fn bars(title: &str, y: &str, groups: &[(&str, Vec<Bar<'_>>)]) -> String {
    let mut out = begin(title, y);
    let room = (PLOT[2] - PLOT[0]) / groups.len().max(1) as f64;
    for (k, (name, bars)) in groups.iter().enumerate() {
        let left = PLOT[0] + room * k as f64;
        let _ = write!(
            out,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            left + room / 2.0,
            PLOT[3] + 15.0,
            escaped(name)
        );
        let width = (room * 0.76 / bars.len().max(1) as f64).min(30.0);
        let first = left + (room - width * bars.len() as f64) / 2.0;
        for (at, bar) in bars.iter().enumerate() {
            let x = first + width * at as f64;
            let [mean, low, high] = bar.figure.map(|value| value.clamp(0.0, 1.0));
            let _ = write!(
                out,
                r#"<rect class="bar {}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="currentColor"><title>{} {}: {:.2}</title></rect>"#,
                bar.colour,
                x + 1.0,
                up(mean),
                (width - 2.0).max(1.0),
                (PLOT[3] - up(mean)).max(0.0),
                escaped(name),
                escaped(bar.name),
                mean
            );
            let _ = write!(
                out,
                r#"<path class="whisker" d="M{0:.1} {1:.1}V{2:.1}" stroke="currentColor" stroke-width="1.5"/>"#,
                x + width / 2.0,
                up(low),
                up(high)
            );
        }
    }
    let mut names: Vec<(&str, &str)> = Vec::new();
    for bar in groups.iter().flat_map(|(_, bars)| bars) {
        if !names.contains(&(bar.name, bar.colour)) {
            names.push((bar.name, bar.colour));
        }
    }
    let legend = if names.len() > 1 { names } else { Vec::new() };
    end(out, legend.into_iter(), PLOT[3] + 34.0)
}

/// A chart as a file of its own, with colours for light and dark.
pub fn as_file(svg: &str) -> String {
    const STYLE: &str = "<style>svg{color:#1b1a18;background:#fff;font:11px system-ui,sans-serif}\
        .grid{opacity:.15}.text{color:#2a62a6}.image{color:#ae4a0f}.audio{color:#0a7258}.video{color:#86407c}.soft{color:#67625a}\
        text{fill:currentColor}@media(prefers-color-scheme:dark){svg{color:#efebe3;background:#141311}.text{color:#8cbaf0}\
        .image{color:#f4a570}.audio{color:#62d2b1}.video{color:#e0a2d7}.soft{color:#a9a297}}</style>";
    let styled = match svg.find('>') {
        Some(at) => format!("{}{STYLE}{}", &svg[..=at], &svg[at + 1..]),
        None => svg.to_owned(),
    };
    styled + "\n"
}

fn begin(title: &str, y: &str) -> String {
    let name = escaped(title);
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {} {}" role="img" aria-label="{name}"><title>{name}</title>"#,
        SIZE[0],
        SIZE[1] + 16.0,
    );
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let _ = write!(
            out,
            r#"<path class="grid" d="M{:.1} {:.1}H{:.1}" stroke="currentColor"/>"#,
            PLOT[0],
            up(share),
            PLOT[2]
        );
        let _ = write!(
            out,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{share}</text>"#,
            PLOT[0] - 6.0,
            up(share) + 4.0
        );
    }
    let _ = write!(
        out,
        r#"<text class="axis" transform="translate(9 {:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
        (PLOT[1] + PLOT[3]) / 2.0,
        escaped(y)
    );
    out
}

fn end<'a>(mut out: String, names: impl Iterator<Item = (&'a str, &'a str)>, top: f64) -> String {
    let mut x = PLOT[0];
    for (name, colour) in names {
        let _ = write!(
            out,
            r#"<rect class="key {colour}" x="{x:.1}" y="{:.1}" width="10" height="10" fill="currentColor"/><text class="key" x="{:.1}" y="{:.1}">{}</text>"#,
            top,
            x + 14.0,
            top + 9.0,
            escaped(name)
        );
        // Wide letters of a bold face are 7.4 units at the charts' size.
        x += 30.0 + 7.4 * name.chars().count() as f64;
    }
    out + "</svg>"
}

fn across(share: f64) -> f64 {
    PLOT[0] + share.clamp(0.0, 1.0) * (PLOT[2] - PLOT[0])
}

fn up(share: f64) -> f64 {
    PLOT[3] - share.clamp(0.0, 1.0) * (PLOT[3] - PLOT[1])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

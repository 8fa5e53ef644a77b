//! Letters: how wide words are, where lines break, and the picture of an SVG.
//! In: text. Out: lines that fit, or a PNG.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use ttf_parser::Face;

/// The family, with what a reader of the SVG may have instead.
pub const FAMILY: &str = "Newsreader, Charter, Georgia, serif";

static REGULAR: &[u8] = include_bytes!("../../fonts/newsreader-400.ttf");
static BOLD: &[u8] = include_bytes!("../../fonts/newsreader-600.ttf");

static FACES: LazyLock<[Option<Face<'static>>; 2]> =
    LazyLock::new(|| [REGULAR, BOLD].map(|font| Face::parse(font, 0).ok()));

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for font in [REGULAR, BOLD] {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_serif_family("Newsreader");
    Arc::new(fonts)
});

/// Two weights are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// 400.
    Regular,
    /// 600.
    Bold,
}

/// The width of a line in pixels.
pub fn width(line: &str, weight: Weight, size_px: f64) -> f64 {
    let Some(face) = &FACES[weight as usize] else {
        return line.chars().count() as f64 * size_px * 0.5;
    };
    let advance = |c: char| {
        let glyph = face
            .glyph_index(c)
            .and_then(|glyph| face.glyph_hor_advance(glyph));
        f64::from(glyph.unwrap_or(face.units_per_em() / 2))
    };
    line.chars().map(advance).sum::<f64>() / f64::from(face.units_per_em()) * size_px
}

/// Lines no wider than `width_px`, at most so many; what is left out is marked. A word wider than a line is cut.
pub fn wrapped(
    text: &str,
    weight: Weight,
    size_px: f64,
    width_px: f64,
    most: usize,
) -> Vec<String> {
    let fits = |line: &str| width(line, weight, size_px) <= width_px;
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let text = plain(text);
    for word in text.split_whitespace() {
        let longer = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if fits(&longer) {
            line = longer;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        line = word.to_owned();
        while !fits(&line) && line.chars().count() > 1 {
            line.pop();
        }
        if lines.len() >= most {
            break;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while !fits(&format!("{last} …")) && last.pop().is_some() {}
            last.push_str(" …");
        }
    }
    lines
}

/// Without what the font has no letters for.
pub fn plain(text: &str) -> String {
    let known = |c: char| {
        c == ' '
            || FACES[0]
                .as_ref()
                .is_none_or(|face| face.glyph_index(c).is_some())
    };
    let whitespace = |c: char| if c.is_whitespace() { ' ' } else { c };
    text.chars()
        .map(whitespace)
        .map(|c| if known(c) { c } else { '·' })
        .collect()
}

/// For the text of an SVG. Characters that XML forbids are left out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// The picture of an SVG, pixel for pixel.
pub fn png_of(svg: &str) -> Result<Vec<u8>, String> {
    let options = Options {
        fontdb: FONTS.clone(),
        font_family: "serif".to_owned(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size();
    let mut pixels =
        Pixmap::new(size.width(), size.height().min(8_000)).ok_or("an empty picture")?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_what_is_left_out_is_marked() {
        let text = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. Nobody does.";
        let lines = wrapped(text, Weight::Regular, 30.0, 300.0, 3);
        assert_eq!(lines.len(), 3);
        assert!(
            lines
                .iter()
                .all(|line| width(line, Weight::Regular, 30.0) <= 300.0),
            "{lines:?}"
        );
        assert!(
            lines[2].ends_with('…') && lines[0].starts_with("The quick"),
            "{lines:?}"
        );
        assert_eq!(wrapped(text, Weight::Regular, 30.0, 1e6, 3), [text]);
        let cut = wrapped(&"W".repeat(500), Weight::Bold, 30.0, 300.0, 2);
        assert!(width(&cut[0], Weight::Bold, 30.0) <= 300.0);
        assert!(wrapped(" \n", Weight::Bold, 30.0, 300.0, 2).is_empty());
    }

    #[test]
    fn hostile_text_stays_text_and_is_drawn() {
        let words = escaped(&plain("</text><script>&\u{7}\" 漢字"));
        assert!(!words.contains('<') && !words.contains('\u{7}'), "{words}");
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"60\"><text x=\"9\" y=\"40\" font-size=\"30\" font-family=\"{FAMILY}\">{words}</text></svg>"
        );
        let png = png_of(&svg).unwrap_or_default();
        assert_eq!(png.get(1..4), Some(b"PNG".as_slice()));
        let blank =
            png_of("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"60\"/>")
                .unwrap_or_default();
        assert_ne!(
            png, blank,
            "the letters are there without any font of the machine"
        );
    }
}

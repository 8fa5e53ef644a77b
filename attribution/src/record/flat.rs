//! How the tagged enums of a record are read: through one flat struct each, which then says what it is.
//! serde's own way keeps a whole value aside until it has seen the tag, and so compiles a second reader for everything
//! inside: a seventh of the page's wasm.

use serde::Deserialize;

use super::{Extent, Grid, Rect, SourceItem, Track};
use crate::transcript::{Transcript, TranscriptOrigin};

/// A tag that is not known, or a field that its kind must have.
#[derive(Debug)]
pub struct Unfit(&'static str);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a {} of an unknown kind, or without its fields", self.0)
    }
}

/// Takes a field out of its option, or says what it was missing in.
macro_rules! need {
    ($flat:ident, $what:literal, $($field:ident),*) => {
        $(let Some($field) = $flat.$field else { return Err($crate::record::flat::unfit($what)); };)*
    };
}
pub(crate) use need;

/// For the flat readers of other modules.
pub(crate) fn unfit(what: &'static str) -> Unfit {
    Unfit(what)
}

#[derive(Deserialize)]
pub(super) struct FlatExtent {
    kind: String,
    start: Option<u32>,
    end: Option<u32>,
    rect_in_source: Option<Rect>,
    start_secs: Option<f64>,
    end_secs: Option<f64>,
    track: Option<Track>,
}

impl TryFrom<FlatExtent> for Extent {
    type Error = Unfit;

    fn try_from(flat: FlatExtent) -> Result<Self, Unfit> {
        Ok(match flat.kind.as_str() {
            "text" => {
                need!(flat, "unit", start, end);
                Self::Text { start, end }
            }
            "region" => {
                need!(flat, "unit", rect_in_source);
                Self::Region { rect_in_source }
            }
            "time" => {
                need!(flat, "unit", start_secs, end_secs, track);
                Self::Time {
                    start_secs,
                    end_secs,
                    track,
                }
            }
            _ => return Err(Unfit("unit")),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct FlatItem {
    kind: String,
    text: Option<String>,
    media: Option<String>,
    name: Option<String>,
    width_px: Option<u32>,
    height_px: Option<u32>,
    grid: Option<Grid>,
    duration_secs: Option<f64>,
    fps: Option<f64>,
    peaks: Option<Vec<u8>>,
    thumbnails: Option<Vec<String>>,
    transcript: Option<Transcript>,
}

impl TryFrom<FlatItem> for SourceItem {
    type Error = Unfit;

    fn try_from(flat: FlatItem) -> Result<Self, Unfit> {
        let kind = flat.kind.as_str();
        if kind == "text" {
            need!(flat, "source", text);
            return Ok(Self::Text { text });
        }
        need!(flat, "source", media, name);
        match kind {
            "image" => {
                need!(flat, "source", width_px, height_px, grid);
                Ok(Self::Image {
                    media,
                    name,
                    width_px,
                    height_px,
                    grid,
                })
            }
            "audio" => {
                need!(flat, "source", duration_secs, peaks);
                Ok(Self::Audio {
                    media,
                    name,
                    duration_secs,
                    peaks,
                    transcript: flat.transcript,
                })
            }
            "video" => {
                need!(flat, "source", duration_secs, width_px, height_px, fps);
                need!(flat, "source", grid, peaks, thumbnails);
                Ok(Self::Video {
                    media,
                    name,
                    duration_secs,
                    width_px,
                    height_px,
                    fps,
                    grid,
                    peaks,
                    thumbnails,
                })
            }
            _ => Err(Unfit("source")),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct FlatOrigin {
    kind: String,
    model: Option<String>,
}

impl TryFrom<FlatOrigin> for TranscriptOrigin {
    type Error = Unfit;

    fn try_from(flat: FlatOrigin) -> Result<Self, Unfit> {
        Ok(match flat.kind.as_str() {
            "given" => Self::Given,
            "voice" => Self::Voice,
            "recognized" => {
                need!(flat, "transcript", model);
                Self::Recognized { model }
            }
            _ => return Err(Unfit("transcript")),
        })
    }
}

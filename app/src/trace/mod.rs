//! The trace: sources on the left, response on the right, one focus for both.
//! In: a [`crate::data::TraceView`]. Out: live while it is made, then the record, re-curated on demand.

mod chunk;
mod desk;
mod edge;
mod heat;
mod interact;
mod lane;
mod method;
mod painter;
mod peek;
mod player;
mod progress;
mod prove;
mod receipt;
mod response;
mod share;
mod source_image;
mod source_sound;
mod source_text;
mod source_video;
mod sources;
mod stage;
mod threads;
mod unit_mark;
mod view;

#[cfg(feature = "ssr")]
pub use lane::Waveform;
pub use view::{Setting, TraceView};

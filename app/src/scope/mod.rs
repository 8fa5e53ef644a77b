//! The magnifier over a time line: continuous zoom, waveform and spectrogram on a canvas, a film's frames side by side.
//! In: a `[data-scope]` element of a trace. Out: its lanes drawn anew from the server's tiles, at every zoom.
//!
//! A module of its own in the browser: it comes when someone first reaches for a time line. Until then, and without
//! JavaScript, the waveform of the record stands there.

#[cfg(feature = "browser")]
mod board;
#[cfg(feature = "browser")]
mod hand;
#[cfg(feature = "browser")]
mod lanes;
#[cfg(feature = "browser")]
mod map;
mod shape;
#[cfg(feature = "browser")]
mod tiles;
#[cfg(any(test, feature = "browser"))]
mod window;

#[cfg(feature = "browser")]
pub use board::draw_scope;
pub use shape::{HEADER_BYTES, Shape};

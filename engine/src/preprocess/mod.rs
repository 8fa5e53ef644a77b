//! Decoded media -> model input: shared between model families.

pub(crate) mod heard;
pub(crate) mod mel;
pub(crate) mod patches;
pub(crate) mod resample;
pub(crate) mod resize_float;
pub(crate) mod resize_pillow;

/// An 8-bit RGB picture, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels from left to right.
    pub width_px: usize,
    /// Pixels from top to bottom.
    pub height_px: usize,
    /// `height_px * width_px * 3` values.
    pub data: Vec<u8>,
}

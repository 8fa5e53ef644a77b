//! How much one file may cost; checked on the headers before anything is allocated, and again while decoding.

use crate::MediaError;

/// Bounds on one file. The defaults suit a public server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Largest input, in bytes.
    pub max_bytes: u64,
    /// Most pixels of one picture or one film frame.
    pub max_pixels: u64,
    /// Longest sound or film, in seconds.
    pub max_secs: f64,
    /// Most frames of a film.
    pub max_frames: u64,
    /// Most bytes that decoded samples, or the frames of one [`crate::Film::frames`] call, may take together.
    pub max_decoded_bytes: u64,
    /// Longest time that one call may decode film, or a child `ffmpeg` may run, in seconds of wall clock.
    pub max_work_secs: f64,
    /// Whether the machine's `ffmpeg` may be asked; without it, formats that need it are refused as if it were missing.
    pub use_ffmpeg: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_pixels: 40_000_000,
            max_secs: 3_600.0,
            max_frames: 3_600 * 60,
            max_decoded_bytes: 1 << 30,
            max_work_secs: 120.0,
            use_ffmpeg: true,
        }
    }
}

impl Limits {
    pub(crate) fn check_bytes(&self, bytes: &[u8]) -> Result<(), MediaError> {
        if bytes.is_empty() {
            return Err(MediaError::Empty);
        }
        let len = bytes.len() as u64;
        if len > self.max_bytes {
            return Err(MediaError::TooLarge {
                bytes: len,
                limit: self.max_bytes,
            });
        }
        Ok(())
    }

    pub(crate) fn check_pixels(&self, width: u64, height: u64) -> Result<(), MediaError> {
        if width == 0 || height == 0 {
            return Err(MediaError::Empty);
        }
        match width.checked_mul(height) {
            Some(pixels) if pixels <= self.max_pixels => Ok(()),
            _ => Err(MediaError::TooManyPixels {
                width,
                height,
                limit: self.max_pixels,
            }),
        }
    }

    pub(crate) fn check_secs(&self, secs: f64) -> Result<(), MediaError> {
        // Written so that a NaN fails too.
        if secs <= self.max_secs {
            Ok(())
        } else {
            Err(MediaError::TooLong {
                secs,
                limit_secs: self.max_secs,
            })
        }
    }

    pub(crate) fn check_frames(&self, frames: u64) -> Result<(), MediaError> {
        if frames <= self.max_frames {
            Ok(())
        } else {
            Err(MediaError::TooManyFrames {
                frames,
                limit: self.max_frames,
            })
        }
    }

    pub(crate) fn check_memory(&self, bytes: u64) -> Result<(), MediaError> {
        if bytes <= self.max_decoded_bytes {
            Ok(())
        } else {
            Err(MediaError::TooMuchMemory {
                bytes,
                limit: self.max_decoded_bytes,
            })
        }
    }
}

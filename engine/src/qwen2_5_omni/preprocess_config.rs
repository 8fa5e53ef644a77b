//! `preprocessor_config.json`: how media become model input.
//! A checkpoint may set the film's `video_min_pixels`, `video_max_pixels`, `fps` and frame bounds too.

use serde::Deserialize;

/// How media become model input; Qwen's own constants where the file is silent.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct PreprocessConfig {
    pub(crate) image_mean: [f32; 3],
    pub(crate) image_std: [f32; 3],
    pub(crate) min_pixels: u64,
    pub(crate) max_pixels: u64,
    pub(crate) video_min_pixels: u64,
    pub(crate) video_max_pixels: u64,
    /// Bound for all frames of a film together.
    pub(crate) video_total_pixels: f64,
    /// Frames per second at which a film is sampled.
    pub(crate) fps: f64,
    pub(crate) min_frames: u32,
    pub(crate) max_frames: u32,
    pub(crate) feature_size: usize,
    pub(crate) n_fft: usize,
    pub(crate) hop_length: usize,
    pub(crate) sampling_rate: u32,
    /// Longest sound, seconds; what is beyond is cut off.
    pub(crate) chunk_length: u32,
}

impl Default for PreprocessConfig {
    fn default() -> Self {
        Self {
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
            min_pixels: 4 * 28 * 28,
            max_pixels: 16_384 * 28 * 28,
            video_min_pixels: 128 * 28 * 28,
            video_max_pixels: 768 * 28 * 28,
            video_total_pixels: 128_000.0 * 28.0 * 28.0 * 0.9,
            fps: 2.0,
            min_frames: 4,
            max_frames: 768,
            feature_size: 128,
            n_fft: 400,
            hop_length: 160,
            sampling_rate: 16_000,
            chunk_length: 300,
        }
    }
}

impl PreprocessConfig {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.n_fft == 0
            || self.hop_length == 0
            || self.sampling_rate == 0
            || self.chunk_length == 0
        {
            return Err("a size of the audio features is 0".to_owned());
        }
        if self.fps.is_nan() || self.fps <= 0.0 {
            return Err("fps is not above 0".to_owned());
        }
        if self.min_pixels > self.max_pixels {
            return Err("min_pixels is above max_pixels".to_owned());
        }
        Ok(())
    }
}

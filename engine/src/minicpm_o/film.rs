//! Films: when the frames are shown that the model sees, and in what size.
//! In: a film's frames, their rate, its length. Out: times, indices, frames.
//!
//! Reference: `minicpmo-utils` 1.0.7, `get_video_frame_audio_segments`; the package's own bound on pixels.

use attribution::record::Settings;

use super::MiniCpmO;
use crate::preprocess::Rgb;
use crate::preprocess::resize_pillow::resize_pillow;

/// Most frames of a film; a longer one is sampled evenly.
const MAX_FRAMES: usize = 64;
/// Of a longer film, frames are chosen among these many a second.
const FINE_FRAMES_PER_SEC: f64 = 10.0;
/// Durations are sums of rounded parts: what is within this of a whole is the whole.
const ROUNDING: f64 = 1e-6;

impl MiniCpmO {
    /// Which of `frames` at `fps` are seen.
    pub(super) fn sampled_frames(
        &self,
        frames: usize,
        fps: f64,
        settings: &Settings,
    ) -> Vec<usize> {
        if frames == 0 || fps <= 0.0 {
            return Vec::new();
        }
        let index = |secs: &f64| ((secs * fps + ROUNDING) as usize).min(frames - 1);
        let times = frame_times(frames as f64 / fps, settings);
        times.iter().map(index).collect()
    }

    /// A frame, made smaller only where the settings bound its pixels.
    pub(super) fn fitted_frame(&self, frame: &Rgb, frames: usize, settings: &Settings) -> Rgb {
        let share = settings
            .video_total_pixels
            .map(|total| (total / frames.max(1) as u64).max(1));
        let most = [share, settings.video_max_pixels].into_iter().flatten();
        let area = (frame.width_px * frame.height_px) as f64;
        let Some(most) = most.map(|most| most as f64).reduce(f64::min) else {
            return frame.clone();
        };
        if area <= most {
            return frame.clone();
        }
        let scale = (most / area).sqrt();
        let patch = self.preprocess.patch_size;
        let [width, height] = [frame.width_px, frame.height_px]
            .map(|side| ((side as f64 * scale) as usize / patch * patch).max(patch));
        resize_pillow(frame, width, height)
    }
}

/// When the frames of a film are shown that the model sees: one a second; of a film of more than [`MAX_FRAMES`] seconds as
/// many, evenly from a finer grid.
pub(super) fn frame_times(duration_secs: f64, settings: &Settings) -> Vec<f64> {
    let rate = settings
        .video_fps
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .unwrap_or(1.0);
    let count = (duration_secs * rate - ROUNDING).ceil().max(1.0) as usize;
    if count <= MAX_FRAMES {
        return (0..count).map(|index| index as f64 / rate).collect();
    }
    let fine = ((duration_secs / (1.0 / FINE_FRAMES_PER_SEC)) as usize).max(1);
    let step = (fine - 1) as f64 / (MAX_FRAMES - 1) as f64;
    (0..MAX_FRAMES)
        .map(|index| {
            let at = if index + 1 == MAX_FRAMES {
                fine - 1
            } else {
                (index as f64 * step) as usize
            };
            at as f64 / FINE_FRAMES_PER_SEC
        })
        .collect()
}

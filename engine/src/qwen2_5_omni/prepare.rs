//! Decoded media -> pieces of the prompt: sizes, patches and spectra exactly as the released processor makes them.
//! In: pictures, frames and samples. Out: [`Piece`]s, and what the encoders read.
//!
//! Reference: transformers 5.23.0 `Qwen2_5OmniProcessor` and the vision loader of qwen-omni-utils.

use attribution::record::{Grid, Settings, SourceItem};
use attribution::time::TimeBins;

use super::QwenOmni;
use super::audio::token_count;
use super::positions::FilmTiming;
use super::prompt::{FilmSound, Piece};
use crate::EngineError;
use crate::model::{EncoderInput, Sound};
use crate::preprocess::Rgb;
use crate::preprocess::heard::heard;
use crate::preprocess::mel::{Mel, MelShape, log_mel};
use crate::preprocess::patches::{PatchShape, cut_patches, smart_resize};
use crate::preprocess::resize_float::resize_float;
use crate::preprocess::resize_pillow::resize_pillow;

impl QwenOmni {
    /// Which of `frames` at `fps` are seen.
    pub(super) fn sampled_frames(
        &self,
        frames: usize,
        fps: f64,
        settings: &Settings,
    ) -> Vec<usize> {
        let p = &self.preprocess;
        let rate = settings.video_fps.unwrap_or(p.fps);
        let factor = self.config.vision_config.temporal_patch_size;
        if frames == 0 || fps <= 0.0 {
            return Vec::new();
        }
        // DIFFERENCE: the reference refuses films of a single frame; here it is shown twice.
        if frames < factor {
            return vec![0; factor];
        }
        let most = (p.max_frames as usize).min(frames) / factor * factor;
        let wanted = (frames as f64 / fps * rate)
            .max((p.min_frames as usize).next_multiple_of(factor) as f64);
        let count = wanted.min(most as f64).min(frames as f64) as usize / factor * factor;
        sample_evenly(frames, count)
    }

    /// A frame in the size in which it is seen, when `frames` are.
    ///
    /// The bounds are those of the reference's loader: `max_pixels` of a film may lower what its share allows, never raise it.
    pub(super) fn fitted_frame(
        &self,
        frame: &Rgb,
        frames: usize,
        settings: &Settings,
    ) -> Result<Rgb, EngineError> {
        let p = &self.preprocess;
        let time = self.config.vision_config.temporal_patch_size;
        let total = settings
            .video_total_pixels
            .map_or(p.video_total_pixels, |total| total as f64);
        let share = total / frames.max(1) as f64 * time as f64;
        let min_pixels = p.video_min_pixels as f64;
        let max_pixels = (p.video_max_pixels as f64)
            .min(share)
            .max((min_pixels * 1.05).floor());
        let max_pixels = settings
            .video_max_pixels
            .map_or(max_pixels, |most| max_pixels.min(most as f64));
        // DIFFERENCE: the reference does not bound its own minimum by a smaller maximum, and then obeys the minimum.
        let min_pixels = min_pixels.min(max_pixels);
        let (width, height) = self.fitting_size(frame, (min_pixels, max_pixels))?;
        Ok(resize_float(frame, width, height))
    }

    fn patch_shape(&self) -> PatchShape {
        let vision = &self.config.vision_config;
        PatchShape {
            side: vision.patch_size,
            time: vision.temporal_patch_size,
            merge: vision.spatial_merge_size,
            mean: self.preprocess.image_mean,
            std: self.preprocess.image_std,
        }
    }

    /// Side of a merged cell, pixels.
    fn cell_px(&self) -> usize {
        self.config.vision_config.patch_size * self.config.vision_config.spatial_merge_size
    }

    /// `[rows, columns]` of merged cells.
    fn cells(&self, grid: [usize; 3]) -> [usize; 2] {
        let merge = self.config.vision_config.spatial_merge_size;
        [grid[1] / merge, grid[2] / merge]
    }

    pub(super) fn picture(
        &self,
        mut item: SourceItem,
        picture: &Rgb,
        inputs: &mut Vec<EncoderInput>,
    ) -> Result<Piece, EngineError> {
        let limits = (
            self.preprocess.min_pixels as f64,
            self.preprocess.max_pixels as f64,
        );
        let (width, height) = self.fitting_size(picture, limits)?;
        let patches = cut_patches(
            &[resize_pillow(picture, width, height)],
            &self.patch_shape(),
        );
        let cells = self.cells(patches.grid);
        if let SourceItem::Image { grid, .. } = &mut item {
            *grid = Grid {
                rows: cells[0] as u32,
                cols: cells[1] as u32,
            };
        }
        inputs.push(EncoderInput::Patches {
            patches,
            look: None,
        });
        Ok(Piece::Image {
            item,
            input: inputs.len() - 1,
            cells,
        })
    }

    pub(super) fn film(
        &self,
        mut item: SourceItem,
        (frames, duration_secs): (&[Rgb], f64),
        sound: Option<Sound>,
        settings: &Settings,
        inputs: &mut Vec<EncoderInput>,
        warnings: &mut Vec<String>,
    ) -> Result<Piece, EngineError> {
        let patches = cut_patches(frames, &self.patch_shape());
        let cells = self.cells(patches.grid);
        if let SourceItem::Video { grid, .. } = &mut item {
            *grid = Grid {
                rows: cells[0] as u32,
                cols: cells[1] as u32,
            };
        }
        let timing = FilmTiming {
            cells,
            slices: patches.grid[0],
            secs_per_slice: (self.config.vision_config.temporal_patch_size as f64
                / settings.video_fps.unwrap_or(self.preprocess.fps))
                as f32,
            positions_per_sec: self.config.position_id_per_seconds,
            chunk_secs: self.config.seconds_per_chunk,
        };
        if timing.slices == 0 {
            return Err(EngineError::Request("the film has no frame".to_owned()));
        }
        inputs.push(EncoderInput::Patches {
            patches,
            look: None,
        });
        let input = inputs.len() - 1;
        let mut heard = None;
        if let Some(sound) = sound {
            let mel = self.mel(&sound, settings, warnings)?;
            let tokens = token_count(mel.frames);
            if tokens > 0 {
                inputs.push(EncoderInput::Sounds(vec![mel]));
                heard = Some(FilmSound {
                    input: inputs.len() - 1,
                    tokens,
                });
            }
        }
        Ok(Piece::Film {
            item,
            input,
            timing,
            duration_secs,
            sound: heard,
        })
    }

    fn fitting_size(
        &self,
        picture: &Rgb,
        (min, max): (f64, f64),
    ) -> Result<(usize, usize), EngineError> {
        smart_resize(
            picture.width_px,
            picture.height_px,
            self.cell_px(),
            min,
            max,
        )
        .ok_or_else(|| {
            EngineError::Request(format!(
                "a picture of {} x {} pixels is too narrow: its sides may differ at most 200 times",
                picture.width_px, picture.height_px
            ))
        })
    }

    /// The log-mel spectrum of what the model hears of a sound.
    fn mel(
        &self,
        sound: &Sound,
        settings: &Settings,
        warnings: &mut Vec<String>,
    ) -> Result<Mel, EngineError> {
        let p = &self.preprocess;
        let limit_secs = settings
            .audio_max_secs
            .map_or(p.chunk_length as usize, |secs| secs.ceil() as usize);
        let mel = log_mel(
            &heard(sound, p.sampling_rate, Some(limit_secs), warnings)?,
            &MelShape {
                bins: p.feature_size,
                fft: p.n_fft,
                hop: p.hop_length,
                rate: p.sampling_rate,
                window: limit_secs * p.sampling_rate as usize,
            },
        );
        if token_count(mel.frames) == 0 {
            warnings.push("A sound is too short to be heard.".to_owned());
        }
        Ok(mel)
    }

    pub(super) fn sound(
        &self,
        item: SourceItem,
        sound: &Sound,
        bins: TimeBins,
        settings: &Settings,
        inputs: &mut Vec<EncoderInput>,
        warnings: &mut Vec<String>,
    ) -> Result<Piece, EngineError> {
        let mel = self.mel(sound, settings, warnings)?;
        let tokens = token_count(mel.frames);
        inputs.push(EncoderInput::Sounds(vec![mel]));
        Ok(Piece::Audio {
            item,
            input: inputs.len() - 1,
            tokens,
            bins,
        })
    }
}

/// `count` of `0..total`, evenly from first to last, halves rounded to even, in single precision as torch's `linspace`.
fn sample_evenly(total: usize, count: usize) -> Vec<usize> {
    if count < 2 {
        return vec![0; count];
    }
    let last = (total - 1) as f32;
    let step = last / (count - 1) as f32;
    // torch walks the second half back from the end.
    (0..count)
        .map(|i| {
            let at = if i < count / 2 {
                step * i as f32
            } else {
                last - step * (count - 1 - i) as f32
            };
            (at.round_ties_even() as usize).min(total - 1)
        })
        .collect()
}

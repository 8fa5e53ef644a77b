//! Decoded media -> pieces of the prompt: slices, patches and spectra exactly as the released processor makes them.
//! In: pictures, frames and samples. Out: [`Piece`]s, and what the encoders read.
//!
//! Reference: `processing_minicpmo.py` of MiniCPM-o 4.5, and `minicpmo-utils` 1.0.7 for the sound of films.

use attribution::record::{Grid, Settings, SourceItem};
use attribution::time::TimeBins;

use super::MiniCpmO;
use super::audio::token_count;
use super::film::frame_times;
use super::prompt::{Heard, Piece, Shot, View};
use super::slicing::slice_picture;
use crate::EngineError;
use crate::model::{DecodedSource, DecodedTurn, EncoderInput, Look, Sound};
use crate::preprocess::Rgb;
use crate::preprocess::heard::heard;
use crate::preprocess::mel::{Mel, MelShape, log_mel};
use crate::preprocess::patches::{PatchShape, cut_patches};

/// A narrower picture would be stretched into more patches than there are in all slices of any other.
const MAX_PROPORTION: usize = 10_000;
/// Least samples of a film's last piece of sound: silence fills it up.
const MIN_LAST_SAMPLES: usize = 1_600;

/// A conversation, prepared: pieces turn by turn, and what the encoders read.
pub(super) struct Prepared {
    pub(super) turns: Vec<(bool, Vec<Piece>)>,
    pub(super) inputs: Vec<EncoderInput>,
    pub(super) heard: Heard,
    pub(super) warnings: Vec<String>,
}

/// A conversation in preparation.
struct Preparation<'a> {
    model: &'a MiniCpmO,
    settings: &'a Settings,
    inputs: Vec<EncoderInput>,
    /// Everything heard in the current turn, joined.
    samples: Vec<f32>,
    mels: Vec<Mel>,
    warnings: Vec<String>,
}

impl MiniCpmO {
    /// Prepares every source of every turn.
    pub(super) fn prepare(
        &self,
        turns: Vec<DecodedTurn>,
        settings: &Settings,
    ) -> Result<Prepared, EngineError> {
        let mut preparation = Preparation {
            model: self,
            settings,
            inputs: Vec::new(),
            samples: Vec::new(),
            mels: Vec::new(),
            warnings: Vec::new(),
        };
        let turns = turns
            .into_iter()
            .map(|turn| {
                let sources = turn.sources.into_iter();
                let pieces = sources
                    .map(|source| preparation.piece(source))
                    .collect::<Result<_, _>>()?;
                preparation.end_turn();
                Ok((turn.assistant, pieces))
            })
            .collect::<Result<Vec<_>, EngineError>>()?;
        let Preparation {
            mut inputs,
            mels,
            mut warnings,
            ..
        } = preparation;
        let pictures = !inputs.is_empty();
        if pictures && settings.image_grid > 1 {
            warnings.push(
                "This model looks at a picture as a whole: it is one unit, whatever number of regions was asked for."
                    .to_owned(),
            );
        }
        let tokens = mels.iter().map(|mel| self.sound_tokens(mel.frames));
        let heard = Heard {
            input: inputs.len(),
            tokens: tokens.sum(),
            secs_per_token: self.secs_per_sound_token(),
        };
        if !mels.is_empty() {
            inputs.push(EncoderInput::Sounds(mels));
        }
        Ok(Prepared {
            turns,
            inputs,
            heard,
            warnings,
        })
    }

    fn sound_tokens(&self, mel_frames: usize) -> usize {
        token_count(mel_frames, self.config.audio_pool_step)
    }

    /// An encoder frame is two mel frames.
    fn secs_per_sound_token(&self) -> f64 {
        let p = &self.preprocess;
        (2 * self.config.audio_pool_step * p.hop_length) as f64 / f64::from(p.sampling_rate)
    }
}

impl Preparation<'_> {
    fn piece(&mut self, source: DecodedSource) -> Result<Piece, EngineError> {
        match source {
            DecodedSource::Text { role, text } => Ok(Piece::Text { role, text }),
            DecodedSource::Image { mut item, picture } => {
                let (view, seen) = self.view(&picture)?;
                if let SourceItem::Image { grid, .. } = &mut item {
                    *grid = seen;
                }
                Ok(Piece::Image { item, view })
            }
            DecodedSource::Audio { item, sound, bins } => {
                let samples = self.heard(&sound)?;
                let tokens = self.hear(&samples);
                if tokens == 0 {
                    self.warnings
                        .push("A sound is too short to be heard.".to_owned());
                }
                Ok(Piece::Audio { item, tokens, bins })
            }
            DecodedSource::Film {
                item,
                frames,
                duration_secs,
                sound,
            } => self.film(item, &frames, duration_secs, sound),
        }
    }

    fn film(
        &mut self,
        mut item: SourceItem,
        frames: &[Rgb],
        duration_secs: f64,
        sound: Option<Sound>,
    ) -> Result<Piece, EngineError> {
        let mut times = frame_times(duration_secs, self.settings);
        times.truncate(frames.len());
        let samples = sound.map(|sound| self.heard(&sound)).transpose()?;
        let mut shots = Vec::with_capacity(frames.len());
        for (index, (&secs, frame)) in times.iter().zip(frames).enumerate() {
            let (view, _) = self.view(frame)?;
            let end_secs = times.get(index + 1).copied();
            let sound = samples.as_deref().map(|samples| {
                let rate = f64::from(self.model.preprocess.sampling_rate);
                let at = |secs: f64| ((secs * rate) as usize).min(samples.len());
                let mut piece =
                    samples[at(secs)..at(end_secs.unwrap_or(duration_secs)).max(at(secs))].to_vec();
                if end_secs.is_none() && piece.len() < MIN_LAST_SAMPLES {
                    piece.resize(MIN_LAST_SAMPLES, 0.0);
                }
                self.hear(&piece)
            });
            shots.push(Shot { secs, view, sound });
        }
        let Some(first) = shots.first() else {
            return Err(EngineError::Request("the film has no frame".to_owned()));
        };
        if let SourceItem::Video { grid, .. } = &mut item {
            *grid = first.view.looks;
        }
        let ends = times.iter().skip(1).copied().chain([duration_secs]);
        let bins: Vec<(f64, f64)> = times.iter().copied().zip(ends).collect();
        Ok(Piece::Film {
            item,
            bins: TimeBins::from_segments(duration_secs, &bins),
            shots,
        })
    }

    /// A picture's slices as encoder inputs; and the finest grid in which it is seen.
    fn view(&mut self, picture: &Rgb) -> Result<(View, Grid), EngineError> {
        let p = &self.model.preprocess;
        let (width, height) = (picture.width_px, picture.height_px);
        let [short, long] = [width.min(height), width.max(height)];
        if short == 0 || long / short > MAX_PROPORTION {
            return Err(EngineError::Request(format!(
                "a picture of {width} x {height} pixels is too narrow: its sides may differ at most {MAX_PROPORTION} times"
            )));
        }
        let sliced = slice_picture(picture, p);
        let seen = sliced.patch_grid(p.patch_size);
        if seen.rows == 0 || seen.cols == 0 {
            return Err(EngineError::Request(format!(
                "a picture of {} x {} pixels is smaller than a patch",
                picture.width_px, picture.height_px
            )));
        }
        let looks = bounded(seen);
        let shape = PatchShape {
            side: p.patch_size,
            time: 1,
            merge: 1,
            mean: p.norm_mean,
            std: p.norm_std,
        };
        let first = self.inputs.len();
        for (part, rect_in_source) in sliced.parts() {
            let patches = cut_patches(std::slice::from_ref(part), &shape);
            let look = Some(Look {
                rect_in_source,
                grid: looks,
            });
            self.inputs.push(EncoderInput::Patches { patches, look });
        }
        let view = View {
            overview: first,
            slices: (first + 1..self.inputs.len()).collect(),
            slice_grid: sliced.slice_grid,
            looks,
        };
        Ok((view, seen))
    }

    fn heard(&mut self, sound: &Sound) -> Result<Vec<f32>, EngineError> {
        let p = &self.model.preprocess;
        let limit_secs = self
            .settings
            .audio_max_secs
            .map(|secs| secs.ceil() as usize);
        let mut samples = heard(sound, p.sampling_rate, limit_secs, &mut self.warnings)?;
        if let Some(limit_secs) = limit_secs {
            samples.truncate(limit_secs * p.sampling_rate as usize);
        }
        Ok(samples)
    }

    /// Joins what the turn has heard so far; the tokens that it becomes, counted as if it stood alone.
    fn hear(&mut self, samples: &[f32]) -> usize {
        self.samples.extend(samples);
        let frames = samples.len().div_ceil(self.model.preprocess.hop_length);
        self.model.sound_tokens(frames)
    }

    /// Everything that a turn has heard is cut into windows, whatever stood where.
    fn end_turn(&mut self) {
        let p = &self.model.preprocess;
        let shape = MelShape {
            bins: self.model.config.audio_config.num_mel_bins,
            fft: p.n_fft,
            hop: p.hop_length,
            rate: p.sampling_rate,
            window: p.chunk_length * p.sampling_rate as usize,
        };
        let samples = std::mem::take(&mut self.samples);
        let mels = samples
            .chunks(shape.window)
            .map(|piece| log_mel(piece, &shape));
        self.mels.extend(mels);
    }
}

/// The grid, coarser by a whole factor where it has more cells than a heat map keeps.
fn bounded(grid: Grid) -> Grid {
    let coarser = |factor: u32| Grid {
        rows: grid.rows.div_ceil(factor),
        cols: grid.cols.div_ceil(factor),
    };
    let fits = |grid: &Grid| grid.rows * grid.cols <= attribution::heat::MAX_CELLS;
    (1..).map(coarser).find(fits).unwrap_or(grid)
}

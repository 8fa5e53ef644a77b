//! The request's files -> decoded sources, within the request's limits.
//! In: a [`TraceRequest`]. Out: sources as the family reads them, and the pictures made on the way.

use std::collections::BTreeMap;

use attribution::record::{AudioUnits, Grid, SourceItem, SourceRole};
use attribution::time::TimeBins;
use attribution::transcript::Transcript;
use media::{Film, Picture};
use tokenizers::Tokenizer;

use crate::model::{DecodedSource, Family, Sound};
use crate::preprocess::Rgb;
use crate::preprocess::resize_float::resize_float;
use crate::speech::semantic_units;
use crate::{EngineError, Item, MediaItem, Model, TraceOptions, TraceRequest};

/// Most slices of a waveform.
const MAX_PEAKS: usize = 1_000;
/// Most timeline thumbnails, and their height.
const MAX_THUMBNAILS: usize = 16;
const THUMBNAIL_PX: usize = 96;
const THUMBNAIL_QUALITY: u8 = 80;
/// The family fills it in.
const NO_GRID: Grid = Grid { rows: 0, cols: 0 };

/// Decodes one request's items, one at a time.
pub(crate) struct SourceDecoder<'a> {
    family: &'a dyn Family,
    tokenizer: &'a Tokenizer,
    transcripts: &'a BTreeMap<String, Transcript>,
    options: &'a TraceOptions,
    /// Content hash and JPEG bytes.
    pub(crate) derived_media: Vec<(String, Vec<u8>)>,
    /// Partial loss, as sentences.
    pub(crate) warnings: Vec<String>,
}

impl<'a> SourceDecoder<'a> {
    pub(crate) fn new(model: &'a Model, request: &'a TraceRequest) -> Self {
        Self {
            family: model.family.as_ref(),
            tokenizer: &model.tokenizer,
            transcripts: &request.transcripts,
            options: &request.options,
            derived_media: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Item number `number` of the request, from 1.
    pub(crate) fn decode(
        &mut self,
        number: usize,
        item: &Item,
    ) -> Result<DecodedSource, EngineError> {
        let failed = |file: &MediaItem| {
            let name = file.name.clone();
            move |source| EngineError::Media {
                item: number,
                name,
                source,
            }
        };
        match item {
            Item::Text(text) => Ok(DecodedSource::Text {
                role: SourceRole::Content,
                text: text.clone(),
            }),
            Item::Image(file) => self.image(file).map_err(failed(file)),
            Item::Audio(file) => {
                let sound =
                    media::decode_sound(&file.bytes, &self.options.limits).map_err(failed(file))?;
                self.audio(file, sound)
            }
            Item::Video(file) => {
                let film = Film::open(&file.bytes, &self.options.limits).map_err(failed(file))?;
                self.film(number, file, &film)
            }
        }
    }

    fn image(&self, file: &MediaItem) -> Result<DecodedSource, media::MediaError> {
        let picture = media::decode_image_as(
            &file.bytes,
            &self.options.limits,
            self.family.transparency(),
        )?;
        let item = SourceItem::Image {
            media: file.hash.clone(),
            name: file.name.clone(),
            width_px: picture.width,
            height_px: picture.height,
            grid: NO_GRID,
        };
        Ok(DecodedSource::Image {
            item,
            picture: rgb(picture),
        })
    }

    fn audio(
        &mut self,
        file: &MediaItem,
        sound: media::Sound,
    ) -> Result<DecodedSource, EngineError> {
        let (duration_secs, peaks) = (sound.duration_secs(), peaks(&sound.samples));
        let sound = Sound {
            samples: sound.samples,
            rate_hz: sound.rate_hz,
        };
        let settings = &self.options.settings;
        let given = self.transcripts.get(&file.hash);
        let mut semantic = None;
        if given.is_some() || settings.audio_units == AudioUnits::Semantic {
            semantic = semantic_units(&sound, given, self.family, self.tokenizer)?;
            if semantic.is_none() {
                self.warnings.push(format!(
                    "No speech was found in {}: its units are bins of equal length.",
                    file.name
                ));
            }
        }
        let (bins, transcript) = match semantic {
            Some((bins, transcript)) => (bins, Some(transcript)),
            None => (
                TimeBins::uniform(duration_secs, settings.audio_bin_secs),
                None,
            ),
        };
        let item = SourceItem::Audio {
            media: file.hash.clone(),
            name: file.name.clone(),
            duration_secs,
            peaks,
            transcript,
        };
        Ok(DecodedSource::Audio { item, sound, bins })
    }

    fn film(
        &mut self,
        number: usize,
        file: &MediaItem,
        film: &Film<'_>,
    ) -> Result<DecodedSource, EngineError> {
        let failed = |source| EngineError::Media {
            item: number,
            name: file.name.clone(),
            source,
        };
        let info = film.info();
        let indices = self
            .family
            .frame_indices(info.frame_count, info.fps, &self.options.settings);
        let thumbnail_every = indices.len().div_ceil(MAX_THUMBNAILS).max(1);
        let (mut frames, mut thumbnails) = (Vec::with_capacity(indices.len()), Vec::new());
        let (mut done, mut held_bytes) = (0, 0);
        for batch in indices.chunks(frames_at_once(
            &self.options.limits,
            info.width,
            info.height,
        )) {
            for picture in film.frames(batch).map_err(failed)? {
                let picture = rgb(picture);
                let frame =
                    self.family
                        .fit_frame(&picture, indices.len(), &self.options.settings)?;
                held_bytes += frame.data.len() as u64;
                if held_bytes > self.options.limits.max_decoded_bytes {
                    return Err(EngineError::Request(format!(
                        "the frames that the model sees of {} take more than the {} MB that are allowed: ask for smaller ones \
                         (video_max_pixels) or fewer (video_fps)",
                        file.name,
                        self.options.limits.max_decoded_bytes >> 20
                    )));
                }
                frames.push(frame);
                if done % thumbnail_every == 0 {
                    thumbnails.push(self.thumbnail(&picture).map_err(failed)?);
                }
                done += 1;
            }
        }
        let sound = if self.options.settings.use_audio_in_video {
            self.film_sound(file, film)
        } else {
            None
        };
        let item = SourceItem::Video {
            media: file.hash.clone(),
            name: file.name.clone(),
            duration_secs: info.duration_secs,
            width_px: info.width,
            height_px: info.height,
            fps: if info.duration_secs > 0.0 {
                indices.len() as f64 / info.duration_secs
            } else {
                0.0
            },
            grid: NO_GRID,
            peaks: sound
                .as_ref()
                .map(|sound| peaks(&sound.samples))
                .unwrap_or_default(),
            thumbnails,
        };
        Ok(DecodedSource::Film {
            item,
            frames,
            duration_secs: info.duration_secs,
            sound,
        })
    }

    /// A film whose sound cannot be decoded is still seen.
    fn film_sound(&mut self, file: &MediaItem, film: &Film<'_>) -> Option<Sound> {
        match film.sound() {
            Ok(sound) => sound.map(|sound| Sound {
                samples: sound.samples,
                rate_hz: sound.rate_hz,
            }),
            Err(error) => {
                self.warnings.push(format!(
                    "The sound of {} was not heard: {error}.",
                    file.name
                ));
                None
            }
        }
    }

    fn thumbnail(&mut self, picture: &Rgb) -> Result<String, media::MediaError> {
        let height = THUMBNAIL_PX.min(picture.height_px);
        let width = (picture.width_px * height)
            .div_ceil(picture.height_px.max(1))
            .max(1);
        let small = resize_float(picture, width, height);
        let jpeg =
            media::encode::jpeg(width as u32, height as u32, &small.data, THUMBNAIL_QUALITY)?;
        let hash = media::content_hash(&jpeg);
        if self.derived_media.iter().all(|(known, _)| *known != hash) {
            self.derived_media.push((hash.clone(), jpeg));
        }
        Ok(hash)
    }
}

/// How many full-size frames may be in memory together; more are decoded in several passes.
pub(crate) fn frames_at_once(limits: &media::Limits, width: u32, height: u32) -> usize {
    let frame_bytes = u64::from(width) * u64::from(height) * 3;
    (limits.max_decoded_bytes / 2 / frame_bytes.max(1)).max(1) as usize
}

pub(crate) fn rgb(picture: Picture) -> Rgb {
    Rgb {
        width_px: picture.width as usize,
        height_px: picture.height as usize,
        data: picture.rgb,
    }
}

/// Largest amplitude of each of at most [`MAX_PEAKS`] equal slices, 255 being full scale.
fn peaks(samples: &[f32]) -> Vec<u8> {
    let slices = MAX_PEAKS.min(samples.len());
    (0..slices)
        .map(|slice| {
            let range = slice * samples.len() / slices..(slice + 1) * samples.len() / slices;
            let peak = samples[range].iter().fold(0f32, |top, v| top.max(v.abs()));
            (peak.min(1.0) * 255.0).round() as u8
        })
        .collect()
}

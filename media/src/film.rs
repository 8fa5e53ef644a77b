//! Film: H.264 in MP4 decoded here (its B-frames by the machine's `ffmpeg` where there is one), all else by `ffmpeg`.

use std::time::{Duration, Instant};

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use crate::colour::{Colours, Matrix, Planes, to_rgb};
use crate::sps::{AvcConfig, append_annex_b, parse_config};
use crate::{
    Family, Kind, Limits, MediaError, Picture, Sound, decode_sound, fence, ffmpeg, mp4, sniff,
};

/// What a film's index says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilmInfo {
    /// Width of a frame in pixels, as coded: a rotation in the container is not applied.
    pub width: u32,
    /// Height of a frame in pixels.
    pub height: u32,
    /// Frames, in the order they are shown, are numbered `0..frame_count`.
    pub frame_count: usize,
    /// Frames a second on average: `frame_count / duration_secs`.
    pub fps: f64,
    /// Length of the picture track in seconds.
    pub duration_secs: f64,
    /// Whether there is a sound track.
    pub has_sound: bool,
}

/// An opened film. Opening reads the index only; frames and sound are decoded when asked for.
pub struct Film<'a> {
    bytes: &'a [u8],
    kind: Kind,
    limits: Limits,
    info: FilmInfo,
    source: Source,
}

enum Source {
    BuiltIn {
        track: mp4::Track,
        config: AvcConfig,
        colours: Colours,
    },
    Ffmpeg(ffmpeg::Source),
}

impl<'a> Film<'a> {
    /// Reads the index of a film and checks it against `limits`.
    pub fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, MediaError> {
        limits.check_bytes(bytes)?;
        let kind = sniff(bytes);
        if kind.family() != Some(Family::Video) {
            let hint = "use MP4 with H.264 and AAC".into();
            return Err(MediaError::Unsupported {
                what: format!("this {} as a film", kind.name()),
                hint,
            });
        }
        let opened = match kind {
            Kind::Mp4 | Kind::Mov if mp4::is_fragmented(bytes) => {
                Opened::Elsewhere(format!("fragmented {}", kind.name()))
            }
            Kind::Mp4 | Kind::Mov => open_mp4(bytes, kind, limits)?,
            _ => Opened::Elsewhere(kind.name().into()),
        };
        let (info, source) = match opened {
            Opened::Here(info, source) => (info, *source),
            Opened::Elsewhere(format) => open_with_ffmpeg(bytes, kind, format, limits)?,
        };
        Ok(Self {
            bytes,
            kind,
            limits: *limits,
            info,
            source,
        })
    }

    /// What the index says.
    pub fn info(&self) -> FilmInfo {
        self.info
    }

    /// The MIME family of the container.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Decodes in one pass and returns the frames of `indices` (display order; any order, repeats allowed).
    pub fn frames(&self, indices: &[usize]) -> Result<Vec<Picture>, MediaError> {
        let frame_count = self.info.frame_count;
        if let Some(&index) = indices.iter().find(|index| **index >= frame_count) {
            return Err(MediaError::NoSuchFrame { index, frame_count });
        }
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let frame_len = u64::from(self.info.width) * u64::from(self.info.height) * 3;
        self.limits
            .check_memory(frame_len.saturating_mul(indices.len() as u64))?;
        let mut wanted = indices.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let found = match &self.source {
            Source::BuiltIn {
                track,
                config,
                colours,
            } => match self.frames_of_reordered(track, &wanted) {
                Some(found) => found,
                None => fence::guard("film", || self.decode(track, config, *colours, &wanted))?,
            },
            Source::Ffmpeg(source) => self.frames_by(source, &wanted)?,
        };
        indices
            .iter()
            .map(|index| {
                let place = wanted.binary_search(index).ok();
                place
                    .and_then(|place| found.get(place))
                    .cloned()
                    .ok_or_else(|| {
                        MediaError::truncated(format!(
                            "frame {index} of the {frame_count} that the film lists is not there"
                        ))
                    })
            })
            .collect()
    }

    fn frames_by(
        &self,
        source: &ffmpeg::Source,
        wanted: &[usize],
    ) -> Result<Vec<Picture>, MediaError> {
        let FilmInfo { width, height, .. } = self.info;
        let frame_len = u64::from(width) * u64::from(height) * 3;
        let rgb = source.frames(wanted, frame_len, &self.limits)?;
        Ok(rgb
            .chunks_exact(frame_len as usize)
            .map(|rgb| Picture {
                width,
                height,
                rgb: rgb.to_vec(),
            })
            .collect())
    }

    /// Frames of a film with B-frames by `ffmpeg`, where there is one and it finds them all.
    ///
    /// openh264 strays by some levels in B-frames that other frames refer to (x264's pyramids): good enough to see
    /// and to answer by, but `ffmpeg` is exact. Films without B-frames, ours among them, are decoded here exactly.
    fn frames_of_reordered(&self, track: &mp4::Track, wanted: &[usize]) -> Option<Vec<Picture>> {
        if !track.reordered {
            return None;
        }
        let source =
            ffmpeg::Source::new(self.bytes, self.kind, self.kind.name().into(), &self.limits)
                .ok()?;
        self.frames_by(&source, wanted)
            .ok()
            .filter(|found| found.len() == wanted.len())
    }

    /// The sound track in one channel; `None` when the film is silent.
    pub fn sound(&self) -> Result<Option<Sound>, MediaError> {
        if !self.info.has_sound {
            return Ok(None);
        }
        match &self.source {
            Source::Ffmpeg(source) => match source.wav(&self.limits)? {
                Some(wav) => decode_sound(&wav, &self.limits).map(Some),
                None => Ok(None),
            },
            Source::BuiltIn { .. } => decode_sound(self.bytes, &self.limits).map(Some),
        }
    }

    /// Decodes up to the last wanted frame; `wanted` is sorted and distinct.
    fn decode(
        &self,
        track: &mp4::Track,
        config: &AvcConfig,
        colours: Colours,
        wanted: &[usize],
    ) -> Result<Vec<Picture>, MediaError> {
        let broken =
            |error: openh264::Error| MediaError::corrupt(format!("the H.264 stream: {error}"));
        let deadline = Instant::now()
            + Duration::from_secs_f64(self.limits.max_work_secs.clamp(0.0, 86_400.0));
        // Without flushing after each packet frames come out in the order they are shown, B-frames included.
        let options = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let mut decoder =
            Decoder::with_api_config(OpenH264API::from_source(), options).map_err(broken)?;
        let mut collected = Collected {
            shown: 0,
            pictures: Vec::new(),
            wanted,
            info: self.info,
            colours,
        };
        let mut packet = config.annex_b.clone();
        for sample in &track.samples {
            if collected.complete() {
                return Ok(collected.pictures);
            }
            if Instant::now() > deadline {
                return Err(MediaError::TookTooLong {
                    limit_secs: self.limits.max_work_secs,
                });
            }
            let data = self
                .bytes
                .get(sample.offset..sample.offset + sample.len)
                .ok_or_else(|| MediaError::truncated("a frame lies past the end of the file"))?;
            append_annex_b(data, config.length_size, &mut packet)?;
            if let Some(frame) = decoder.decode(&packet).map_err(broken)? {
                collected.add(&frame)?;
            }
            packet.clear();
        }
        for frame in decoder.flush_remaining().map_err(broken)? {
            collected.add(&frame)?;
        }
        Ok(collected.pictures)
    }
}

/// Frames as they come out, in display order.
struct Collected<'a> {
    shown: usize,
    pictures: Vec<Picture>,
    wanted: &'a [usize],
    info: FilmInfo,
    colours: Colours,
}

impl Collected<'_> {
    fn complete(&self) -> bool {
        self.pictures.len() == self.wanted.len()
    }

    fn add(&mut self, frame: &DecodedYUV<'_>) -> Result<(), MediaError> {
        let (width, height) = frame.dimensions();
        if (width, height) != (self.info.width as usize, self.info.height as usize) {
            return Err(MediaError::corrupt("the film changes its size midway"));
        }
        if self.wanted.get(self.pictures.len()) == Some(&self.shown) {
            let (y_stride, uv_stride, _) = frame.strides();
            let planes = Planes {
                width,
                height,
                y: frame.y(),
                u: frame.u(),
                v: frame.v(),
                y_stride,
                uv_stride,
            };
            let rgb = to_rgb(&planes, self.colours)
                .ok_or_else(|| MediaError::corrupt("a frame is incomplete"))?;
            self.pictures.push(Picture {
                width: self.info.width,
                height: self.info.height,
                rgb,
            });
        }
        self.shown += 1;
        Ok(())
    }
}

/// Whether the decoder built in reads a film, or else what it is that ffmpeg must read.
enum Opened {
    Here(FilmInfo, Box<Source>),
    Elsewhere(String),
}

fn open_mp4(bytes: &[u8], kind: Kind, limits: &Limits) -> Result<Opened, MediaError> {
    let track = mp4::read_track(bytes, b"vide", limits)?
        .ok_or_else(|| MediaError::corrupt("the MP4 has no picture track"))?;
    let Some(config) = track
        .avc_config
        .as_deref()
        .filter(|_| matches!(&track.codec, b"avc1" | b"avc3"))
    else {
        let codec = String::from_utf8_lossy(&track.codec);
        let codec = match &*codec {
            "hvc1" | "hev1" => "HEVC (H.265)",
            "av01" => "AV1",
            "vp09" => "VP9",
            other => other,
        };
        return Ok(Opened::Elsewhere(format!("{} with {codec}", kind.name())));
    };
    let config = parse_config(config)?;
    let sps = config.sps;
    limits.check_pixels(sps.width, sps.height)?;
    let matrix = match (sps.matrix, track.colour) {
        (Some(code), _) | (None, Some((code, _))) => Matrix::from_code(code),
        (None, None) => Some(Matrix::Bt601),
    };
    let (1, 8, true, Some(matrix)) = (sps.chroma_format, sps.bit_depth, sps.progressive, matrix)
    else {
        return Ok(Opened::Elsewhere(format!(
            "{} with an H.264 other than 8-bit 4:2:0 frames",
            kind.name()
        )));
    };
    let full_range = sps
        .full_range
        .or(track.colour.map(|(_, full)| full))
        .unwrap_or(false);
    let frame_count = track.samples.len();
    let duration_secs = track.duration_ticks as f64 / f64::from(track.timescale);
    limits.check_secs(duration_secs)?;
    if frame_count == 0 {
        return Err(MediaError::Empty);
    }
    if duration_secs <= 0.0 {
        return Err(MediaError::corrupt("the film lasts no time at all"));
    }
    let sound = mp4::read_track(
        bytes,
        b"soun",
        &Limits {
            max_frames: u64::from(u32::MAX),
            ..*limits
        },
    )?;
    let info = FilmInfo {
        width: sps.width as u32,
        height: sps.height as u32,
        frame_count,
        fps: frame_count as f64 / duration_secs,
        duration_secs,
        has_sound: sound.is_some_and(|track| !track.samples.is_empty()),
    };
    let source = Source::BuiltIn {
        track,
        config,
        colours: Colours { matrix, full_range },
    };
    Ok(Opened::Here(info, Box::new(source)))
}

fn open_with_ffmpeg(
    bytes: &[u8],
    kind: Kind,
    format: String,
    limits: &Limits,
) -> Result<(FilmInfo, Source), MediaError> {
    let source = ffmpeg::Source::new(bytes, kind, format, limits)?;
    let listing = source.list_film(limits)?;
    let has_sound = source.has_sound(limits)?;
    if listing.duration_secs <= 0.0 {
        return Err(MediaError::corrupt("the film lasts no time at all"));
    }
    let info = FilmInfo {
        width: listing.width,
        height: listing.height,
        frame_count: listing.frame_count,
        fps: listing.frame_count as f64 / listing.duration_secs,
        duration_secs: listing.duration_secs,
        has_sound,
    };
    Ok((info, Source::Ffmpeg(source)))
}

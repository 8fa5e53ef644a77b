//! WAV, MP3, FLAC, Ogg Vorbis, AAC and the sound track of MP4 -> mono samples.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use crate::{Family, Kind, Limits, MediaError, fence, ffmpeg, mp4, sniff, wav};

/// More channels than any microphone array: a number beyond it is a lie that would only cost memory.
const MAX_CHANNELS: usize = 64;

/// A sound, in one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples a second, as in the file.
    pub rate_hz: u32,
    /// Amplitudes, full scale being -1..=1 (lossy codecs may pass it a little); the mean of the file's channels.
    pub samples: Vec<f32>,
}

impl Sound {
    /// Length in seconds.
    pub fn duration_secs(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate_hz)
    }
}

/// Decodes a sound file, or the sound of a film.
///
/// WAV, MP3, FLAC, Ogg Vorbis, AAC and MP4 are read here, anything else by the machine's `ffmpeg`.
pub fn decode_sound(bytes: &[u8], limits: &Limits) -> Result<Sound, MediaError> {
    let mut samples = Vec::new();
    let rate_hz = scan_sound(bytes, limits, &mut |at, block| {
        limits.check_memory((at + block.len() as u64) * 4)?;
        samples.truncate(at as usize);
        samples.extend_from_slice(block);
        Ok(())
    })?;
    Ok(Sound { rate_hz, samples })
}

/// Takes the next samples, after being told how many came before. At 0 what came before is void: another decoder begins.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(u64, &[f32]) -> Result<(), MediaError>;

/// Decodes as [`decode_sound`] does, but hands the samples on block by block and keeps none. Returns the samples a second.
pub(crate) fn scan_sound(bytes: &[u8], limits: &Limits, sink: Sink<'_>) -> Result<u32, MediaError> {
    limits.check_bytes(bytes)?;
    let kind = sniff(bytes);
    if matches!(kind.family(), Some(Family::Image) | None) {
        let hint = "use WAV, MP3, FLAC, Ogg, M4A or MP4".into();
        return Err(MediaError::Unsupported {
            what: format!("this {} as a sound", kind.name()),
            hint,
        });
    }
    match built_in(bytes, kind, limits, &mut *sink) {
        Err(MediaError::Unsupported { .. }) => {
            let wav = ffmpeg::sound_as_wav(bytes, kind, limits)?;
            fence::guard("sound", || decode(&wav, Kind::Wav, limits, sink))
        }
        other => other,
    }
}

fn built_in(bytes: &[u8], kind: Kind, limits: &Limits, sink: Sink<'_>) -> Result<u32, MediaError> {
    match kind {
        Kind::Wav | Kind::Mp3 | Kind::Flac | Kind::Ogg | Kind::Aac | Kind::M4a => {
            fence::guard("sound", || decode(bytes, kind, limits, sink))
        }
        Kind::Mp4 | Kind::Mov if !mp4::is_fragmented(bytes) => {
            fence::guard("sound", || decode(bytes, kind, limits, sink))
        }
        _ => Err(MediaError::Unsupported {
            what: kind.name().into(),
            hint: String::new(),
        }),
    }
}

fn decode(bytes: &[u8], kind: Kind, limits: &Limits, sink: Sink<'_>) -> Result<u32, MediaError> {
    let (mut lead_secs, mut declared_secs) = (0.0, f64::INFINITY);
    if matches!(kind, Kind::Mp4 | Kind::Mov | Kind::M4a) {
        // Our own reading of the index comes first: it refuses tables that are larger than the file.
        let track = mp4::read_track(bytes, b"soun", limits_for_blocks(limits).as_ref())?
            .ok_or(MediaError::Empty)?;
        limits.check_secs(track.duration_ticks as f64 / f64::from(track.timescale))?;
        lead_secs = track.skipped_ticks as f64 / f64::from(track.timescale);
        if track.duration_ticks > track.skipped_ticks {
            let ticks = track.duration_ticks - track.skipped_ticks;
            declared_secs = ticks as f64 / f64::from(track.timescale);
        }
    }
    let bytes = if kind == Kind::Wav {
        wav::settle_sizes(bytes)?
    } else {
        Cow::Borrowed(bytes)
    };
    let stream = MediaSourceStream::new(
        Box::new(Cursor::new(&bytes[..])),
        MediaSourceStreamOptions::default(),
    );
    let mut reader = symphonia::default::get_probe()
        .probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(translate)?;
    let track = reader
        .default_track(TrackType::Audio)
        .ok_or(MediaError::Empty)?;
    let track_id = track.id;
    let claimed = track.num_frames;
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio())
        .ok_or_else(|| MediaError::corrupt("the sound track names no codec"))?;
    let channels = params
        .channels
        .as_ref()
        .map_or(1, |channels| channels.count());
    if channels > MAX_CHANNELS {
        return Err(MediaError::corrupt(format!("{channels} channels of sound")));
    }
    if params.sample_rate == Some(0) {
        return Err(MediaError::corrupt("a sample rate of zero"));
    }
    if let (Some(frames), Some(rate)) = (claimed, params.sample_rate) {
        limits.check_secs(frames as f64 / f64::from(rate))?;
    }
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(translate)?;
    let mut cut = Cut {
        lead_secs,
        declared_secs,
        found: 0,
        given: 0,
    };
    let rate_hz = read_all(
        reader.as_mut(),
        decoder,
        track_id,
        kind,
        limits,
        &mut |rate_hz, block| cut.pass(rate_hz, block, sink),
    )?;
    check_complete(kind, claimed, cut.found)?;
    if cut.given == 0 {
        Err(MediaError::Empty)
    } else {
        Ok(rate_hz)
    }
}

/// Lets only the samples through that the container's table calls sound.
struct Cut {
    /// Silence that the encoder put before the sound.
    lead_secs: f64,
    /// Length of the sound. The last AAC block is filled up with silence.
    declared_secs: f64,
    found: u64,
    given: u64,
}

impl Cut {
    fn pass(&mut self, rate_hz: u32, block: &[f32], sink: Sink<'_>) -> Result<(), MediaError> {
        // A float that is too large for an integer becomes its maximum.
        let samples = |secs: f64| (secs * f64::from(rate_hz)).round() as u64;
        let skip = samples(self.lead_secs).saturating_sub(self.found);
        self.found += block.len() as u64;
        let rest = &block[skip.min(block.len() as u64) as usize..];
        let room = samples(self.declared_secs).saturating_sub(self.given);
        let own = &rest[..room.min(rest.len() as u64) as usize];
        self.given += own.len() as u64;
        if own.is_empty() {
            return Ok(());
        }
        // Files of floats may hold anything; one of these would run through the whole model.
        if !own.iter().all(|sample| sample.is_finite()) {
            return Err(MediaError::corrupt("samples that are no numbers"));
        }
        sink(self.given - own.len() as u64, own)
    }
}

/// A sound track has many small blocks: the limit on film frames is not meant for them.
fn limits_for_blocks(limits: &Limits) -> Box<Limits> {
    Box::new(Limits {
        max_frames: limits.max_decoded_bytes / 4,
        ..*limits
    })
}

/// Takes samples a second and the next samples.
type Blocks<'a> = &'a mut dyn FnMut(u32, &[f32]) -> Result<(), MediaError>;

/// Decodes packet by packet; hands on samples a second and samples, and returns the former.
fn read_all(
    reader: &mut dyn FormatReader,
    mut decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    kind: Kind,
    limits: &Limits,
    sink: Blocks<'_>,
) -> Result<u32, MediaError> {
    let (mut rate_hz, mut total) = (0, 0u64);
    let (mut block, mut mono): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    // The released models' loaders hear AAC through a pipe of 16-bit samples, channel by channel.
    let in_16_bits = decoder.codec_params().codec == CODEC_ID_AAC;
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(rate_hz),
            Err(error) => return Err(translate(error)),
        };
        if packet.track_id != track_id {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            // An MP3 cut out of a longer one starts with blocks that refer to what was cut off.
            Err(Error::DecodeError(_)) if kind == Kind::Mp3 => continue,
            Err(error) => return Err(translate(error)),
        };
        let spec = decoded.spec();
        let (rate, channels) = (spec.rate(), spec.channels().count());
        if rate_hz == 0 {
            rate_hz = rate;
        }
        if rate == 0 || rate != rate_hz || channels == 0 || channels > MAX_CHANNELS {
            return Err(MediaError::corrupt(
                "the rate or the channels of the sound change midway",
            ));
        }
        total += decoded.frames() as u64;
        limits.check_secs(total as f64 / f64::from(rate_hz))?;
        decoded.copy_to_vec_interleaved(&mut block);
        if in_16_bits {
            for sample in &mut block {
                let level = (*sample * 32_768.0).round_ties_even();
                *sample = level.clamp(-32_768.0, 32_767.0) / 32_768.0;
            }
        }
        let scale = 1.0 / channels as f32;
        mono.clear();
        mono.extend(
            block
                .chunks_exact(channels)
                .map(|frame| frame.iter().sum::<f32>() * scale),
        );
        sink(rate_hz, &mono)?;
    }
}

/// Formats that say how long they are must not be shorter.
fn check_complete(kind: Kind, claimed: Option<u64>, found: u64) -> Result<(), MediaError> {
    if found == 0 {
        return Err(MediaError::Empty);
    }
    match claimed {
        Some(claimed) if matches!(kind, Kind::Wav | Kind::Flac) && found < claimed => Err(
            MediaError::truncated(format!("{found} of {claimed} samples are there")),
        ),
        _ => Ok(()),
    }
}

fn translate(error: Error) -> MediaError {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            MediaError::truncated("the sound ends too early")
        }
        Error::Unsupported(what) => MediaError::Unsupported {
            what: what.into(),
            hint: String::new(),
        },
        error => MediaError::corrupt(error.to_string()),
    }
}

//! Film: H.264 (openh264) and lossless FLAC sound in an MP4 that browsers play from its first bytes.

use std::num::NonZeroU32;

use flacenc::bitsink::ByteSink;
use flacenc::component::BitRepr;
use flacenc::error::Verify;
use openh264::OpenH264API;
use openh264::encoder::{
    Encoder, EncoderConfig, FrameRate, IntraFramePeriod, QpRange, RateControlMode, VuiConfig,
};
use openh264::formats::YUVSlices;
use shiguredo_mp4::boxes::{
    AudioSampleEntryFields, Avc1Box, AvccBox, DflaBox, FlacBox, FlacMetadataBlock, SampleEntry,
    UnknownBox, VisualSampleEntryFields,
};
use shiguredo_mp4::mux::{
    Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size,
};
use shiguredo_mp4::{BoxSize, BoxType, FixedPointNumber, TrackKind, Uint};

use super::{check_rgb, to_i16};
use crate::MediaError;
use crate::colour::{Matrix, from_rgb};

/// Constant quantiser: near-lossless for drawn pictures, and films stay small because most of a frame does not move.
const QUANTISER: u8 = 16;
/// Samples in one FLAC block: a quarter of a second at 16 kHz.
const FLAC_BLOCK: usize = 4_096;

/// One coded unit on its way into the file.
struct Packet {
    kind: TrackKind,
    keyframe: bool,
    duration: u32,
    start_secs: f64,
    data: Vec<u8>,
}

/// A film of `frames` (each row-major RGB of `width` x `height`, both even) shown at `fps`, with mono `sound`
/// as (samples in -1..=1, rate in Hz) from its beginning; sound is kept to 16 bits without loss.
///
/// Colours are BT.601 below 720 lines and BT.709 from there, limited range, and tagged so in stream and container.
pub fn film(
    frames: &[&[u8]],
    width: u32,
    height: u32,
    fps: u32,
    sound: Option<(&[f32], u32)>,
) -> Result<Vec<u8>, MediaError> {
    if frames.is_empty() {
        return Err(MediaError::bad_input("a film without frames"));
    }
    if !width.is_multiple_of(2) || !height.is_multiple_of(2) || width < 16 || height < 16 {
        return Err(MediaError::bad_input(format!(
            "film needs even sides of at least 16 pixels, not {width} x {height}"
        )));
    }
    let fps_scale =
        NonZeroU32::new(fps).ok_or_else(|| MediaError::bad_input("a frame rate of zero"))?;
    for frame in frames {
        check_rgb(width, height, frame)?;
    }
    let matrix = if height < 720 {
        Matrix::Bt601
    } else {
        Matrix::Bt709
    };
    let (mut packets, video_entry) = encode_frames(frames, width, height, fps, matrix)?;
    let mut audio_entry = None;
    let mut rate = NonZeroU32::MIN;
    if let Some((samples, rate_hz)) = sound.filter(|(samples, _)| !samples.is_empty()) {
        rate = NonZeroU32::new(rate_hz)
            .ok_or_else(|| MediaError::bad_input("a sample rate of zero"))?;
        let (sound_packets, entry) = encode_sound(samples, rate_hz)?;
        packets.extend(sound_packets);
        audio_entry = Some(entry);
    }
    // Stable: at equal times the picture goes first.
    packets.sort_by(|a, b| a.start_secs.total_cmp(&b.start_secs));
    mux(&packets, video_entry, audio_entry, fps_scale, rate)
}

fn encode_frames(
    frames: &[&[u8]],
    width: u32,
    height: u32,
    fps: u32,
    matrix: Matrix,
) -> Result<(Vec<Packet>, SampleEntry), MediaError> {
    let failed = |error: openh264::Error| {
        MediaError::bad_input(format!("openh264 refused the film: {error}"))
    };
    let vui = match matrix {
        Matrix::Bt601 => VuiConfig::bt601(),
        Matrix::Bt709 | Matrix::Bt2020 => VuiConfig::bt709(),
    };
    // Everything that looks at time, load or earlier rate is off, so that the bytes depend on the frames alone.
    let config = EncoderConfig::new()
        .rate_control_mode(RateControlMode::Off)
        .qp(QpRange::new(QUANTISER, QUANTISER))
        .skip_frames(false)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        .background_detection(false)
        .max_frame_rate(FrameRate::from_hz(fps as f32))
        .intra_frame_period(IntraFramePeriod::from_num_frames(fps.saturating_mul(2)))
        .num_threads(1)
        .vui(vui);
    let mut encoder =
        Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
    let (w, h) = (width as usize, height as usize);
    let mut packets = Vec::with_capacity(frames.len());
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    for (index, frame) in frames.iter().enumerate() {
        let yuv = from_rgb(frame, w, h, matrix);
        debug_assert_eq!((yuv.width, yuv.height), (w, h));
        let source = YUVSlices::new((&yuv.y, &yuv.u, &yuv.v), (w, h), (w, w / 2, w / 2));
        let start_secs = index as f64 / f64::from(fps);
        let at = openh264::Timestamp::from_millis((start_secs * 1_000.0).round() as u64);
        let coded = encoder.encode_at(&source, at).map_err(failed)?;
        let mut data = Vec::new();
        let mut keyframe = false;
        for layer in (0..coded.num_layers()).filter_map(|i| coded.layer(i)) {
            for nal in (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i)) {
                let nal = without_start_code(nal);
                match nal.first().map(|byte| byte & 31) {
                    Some(7) => sps = nal.to_vec(),
                    Some(8) => pps = nal.to_vec(),
                    Some(kind) => {
                        keyframe |= kind == 5;
                        data.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                        data.extend_from_slice(nal);
                    }
                    None => {}
                }
            }
        }
        if data.is_empty() {
            return Err(MediaError::bad_input(format!(
                "openh264 dropped frame {index}"
            )));
        }
        packets.push(Packet {
            kind: TrackKind::Video,
            keyframe,
            duration: 1,
            start_secs,
            data,
        });
    }
    let entry = video_entry(width, height, matrix, sps, pps)?;
    Ok((packets, entry))
}

fn without_start_code(nal: &[u8]) -> &[u8] {
    nal.strip_prefix(&[0, 0, 0, 1])
        .or_else(|| nal.strip_prefix(&[0, 0, 1]))
        .unwrap_or(nal)
}

fn video_entry(
    width: u32,
    height: u32,
    matrix: Matrix,
    sps: Vec<u8>,
    pps: Vec<u8>,
) -> Result<SampleEntry, MediaError> {
    let &[_, profile, compatibility, level, ..] = sps.as_slice() else {
        return Err(MediaError::bad_input("openh264 wrote no parameter sets"));
    };
    let side = |value: u32| {
        u16::try_from(value).map_err(|_| MediaError::bad_input("a side above 65,535 pixels"))
    };
    // Profiles above Main repeat the sample format in `avcC`: 4:2:0, 8 bits.
    let high = !matches!(profile, 66 | 77 | 88);
    let (primaries, transfer, coefficients): (u16, u16, u16) = match matrix {
        Matrix::Bt601 => (6, 6, 6),
        Matrix::Bt709 | Matrix::Bt2020 => (1, 1, 1),
    };
    let mut colr = b"nclx".to_vec();
    for code in [primaries, transfer, coefficients] {
        colr.extend_from_slice(&code.to_be_bytes());
    }
    colr.push(0);
    let colr_type = BoxType::Normal(*b"colr");
    Ok(SampleEntry::Avc1(Avc1Box {
        visual: VisualSampleEntryFields {
            data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            width: side(width)?,
            height: side(height)?,
            horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
            vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
            frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
            compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
            depth: VisualSampleEntryFields::DEFAULT_DEPTH,
        },
        avcc_box: AvccBox {
            avc_profile_indication: profile,
            profile_compatibility: compatibility,
            avc_level_indication: level,
            length_size_minus_one: Uint::new(3),
            sps_list: vec![sps],
            pps_list: vec![pps],
            chroma_format: high.then(|| Uint::new(1)),
            bit_depth_luma_minus8: high.then(|| Uint::new(0)),
            bit_depth_chroma_minus8: high.then(|| Uint::new(0)),
            sps_ext_list: Vec::new(),
        },
        unknown_boxes: vec![UnknownBox {
            box_type: colr_type,
            box_size: BoxSize::with_payload_size(colr_type, colr.len() as u64),
            payload: colr,
        }],
    }))
}

fn encode_sound(samples: &[f32], rate_hz: u32) -> Result<(Vec<Packet>, SampleEntry), MediaError> {
    let rate_field = u16::try_from(rate_hz)
        .map_err(|_| MediaError::bad_input("a sample rate above 65,535 Hz"))?;
    let refused =
        |why: String| MediaError::bad_input(format!("the FLAC encoder refused the sound: {why}"));
    let mut config = flacenc::config::Encoder::default();
    config.multithread = false;
    config.block_size = FLAC_BLOCK;
    let config = config
        .into_verified()
        .map_err(|(_, error)| refused(error.to_string()))?;
    let values: Vec<i32> = samples
        .iter()
        .map(|sample| i32::from(to_i16(*sample)))
        .collect();
    let source = flacenc::source::MemSource::from_samples(&values, 1, 16, rate_hz as usize);
    let stream = flacenc::encode_with_fixed_block_size(&config, source, FLAC_BLOCK)
        .map_err(|error| refused(error.to_string()))?;
    let mut packets = Vec::with_capacity(stream.frame_count());
    let mut done = 0usize;
    for index in 0..stream.frame_count() {
        let frame = stream
            .frame(index)
            .ok_or_else(|| refused("a block went missing".into()))?;
        let mut sink = ByteSink::new();
        frame
            .write(&mut sink)
            .map_err(|error| refused(error.to_string()))?;
        let len = FLAC_BLOCK.min(values.len() - done);
        packets.push(Packet {
            kind: TrackKind::Audio,
            keyframe: true,
            duration: len as u32,
            start_secs: done as f64 / f64::from(rate_hz),
            data: sink.as_slice().to_vec(),
        });
        done += len;
    }
    let mut info = ByteSink::new();
    stream
        .stream_info()
        .write(&mut info)
        .map_err(|error| refused(error.to_string()))?;
    let entry = SampleEntry::Flac(FlacBox {
        audio: AudioSampleEntryFields {
            data_reference_index: AudioSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            channelcount: 1,
            samplesize: AudioSampleEntryFields::DEFAULT_SAMPLESIZE,
            samplerate: FixedPointNumber::new(rate_field, 0),
        },
        dfla_box: DflaBox {
            metadata_blocks: vec![FlacMetadataBlock {
                last_metadata_block_flag: Uint::new(1),
                block_type: FlacMetadataBlock::BLOCK_TYPE_STREAMINFO,
                block_data: info.as_slice().to_vec(),
            }],
        },
        unknown_boxes: Vec::new(),
    });
    Ok((packets, entry))
}

fn mux(
    packets: &[Packet],
    video_entry: SampleEntry,
    audio_entry: Option<SampleEntry>,
    fps: NonZeroU32,
    rate: NonZeroU32,
) -> Result<Vec<u8>, MediaError> {
    let failed = |error: shiguredo_mp4::mux::MuxError| {
        MediaError::bad_input(format!("the film does not fit MP4: {error}"))
    };
    // Room for the index in front of the data, so that playing starts with the first bytes.
    let options = Mp4FileMuxerOptions {
        reserved_moov_box_size: estimate_maximum_moov_box_size(&[packets.len(), packets.len()]),
        ..Mp4FileMuxerOptions::default()
    };
    let mut muxer = Mp4FileMuxer::with_options(options).map_err(failed)?;
    let mut out = muxer.initial_boxes_bytes().to_vec();
    let mut entries = [Some(video_entry), audio_entry];
    for packet in packets {
        let (entry, timescale) = match packet.kind {
            TrackKind::Video => (entries[0].take(), fps),
            _ => (entries[1].take(), rate),
        };
        let data_offset = out.len() as u64;
        out.extend_from_slice(&packet.data);
        muxer
            .append_sample(&Sample {
                track_kind: packet.kind,
                sample_entry: entry,
                keyframe: packet.keyframe,
                timescale,
                duration: packet.duration,
                composition_time_offset: None,
                data_offset,
                data_size: packet.data.len(),
            })
            .map_err(failed)?;
    }
    let boxes = muxer.finalize().map_err(failed)?;
    for (offset, bytes) in boxes.offset_and_bytes_pairs() {
        let start = usize::try_from(offset)
            .map_err(|_| MediaError::bad_input("a film above the address space"))?;
        let end = start + bytes.len();
        if out.len() < end {
            out.resize(end, 0);
        }
        out[start..end].copy_from_slice(bytes);
    }
    Ok(out)
}

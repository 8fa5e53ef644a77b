//! The machine's `ffmpeg` as a child: bounded in time and output, and fenced from the network and other files.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::{Kind, Limits, MediaError, child};

/// Threads of the decoder: more would multiply its memory.
const THREADS: u64 = 2;

/// What `ffmpeg` says when an optional map matched nothing.
const NO_STREAM: &str = "does not contain any stream";

/// One stream as `ffmpeg` lists its packets, without decoding them.
pub(crate) struct Listing {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_count: usize,
    pub(crate) duration_secs: f64,
}

/// A file that `ffmpeg` reads. It is written to disk, since MP4 and AVI are read back and forth.
pub(crate) struct Source {
    file: NamedTempFile,
    kind: Kind,
    /// What people call it: the container, and the codec where that is the reason.
    format: String,
}

impl Source {
    pub(crate) fn new(
        bytes: &[u8],
        kind: Kind,
        format: String,
        limits: &Limits,
    ) -> Result<Self, MediaError> {
        if !limits.use_ffmpeg {
            return Err(MediaError::FfmpegMissing { format });
        }
        let failed =
            |error: std::io::Error| said(&format, format!("no room for a temporary file: {error}"));
        let mut file = tempfile::Builder::new()
            .prefix("media-")
            .tempfile()
            .map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.flush().map_err(failed)?;
        Ok(Self { file, kind, format })
    }

    /// Size, frame count and duration of the first picture track.
    pub(crate) fn list_film(&self, limits: &Limits) -> Result<Listing, MediaError> {
        // A line a packet, some 60 bytes; with room for the header.
        let max_output = limits
            .max_frames
            .saturating_add(1)
            .saturating_mul(100)
            .saturating_add(4_096);
        let arguments = ["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "pipe:1"];
        let text = self.run(&arguments, max_output, limits)?;
        parse_listing(&String::from_utf8_lossy(&text), &self.format, limits)
    }

    /// The frames of these sorted, distinct indices, as RGB one after the other.
    pub(crate) fn frames(
        &self,
        indices: &[usize],
        frame_len: u64,
        limits: &Limits,
    ) -> Result<Vec<u8>, MediaError> {
        let terms: Vec<String> = indices
            .iter()
            .map(|index| format!("eq(n\\,{index})"))
            .collect();
        let filter = format!("select={}", terms.join("+"));
        let count = indices.len().to_string();
        let arguments = [
            "-map",
            "0:v:0",
            "-vf",
            &filter,
            "-vsync",
            "0",
            "-frames:v",
            &count,
            "-pix_fmt",
            "rgb24",
            "-f",
            "rawvideo",
            "pipe:1",
        ];
        self.run(
            &arguments,
            frame_len.saturating_mul(indices.len() as u64),
            limits,
        )
    }

    /// The first sound track as a WAV of 32-bit floats in all its channels; `None` when there is none.
    pub(crate) fn wav(&self, limits: &Limits) -> Result<Option<Vec<u8>>, MediaError> {
        let arguments = [
            "-vn",
            "-map",
            "0:a:0?",
            "-c:a",
            "pcm_f32le",
            "-f",
            "wav",
            "pipe:1",
        ];
        match self.run(&arguments, limits.max_decoded_bytes, limits) {
            Ok(wav) => Ok(Some(wav)),
            Err(MediaError::Ffmpeg { why, .. }) if why.contains(NO_STREAM) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a sound track; lists its packets without decoding.
    pub(crate) fn has_sound(&self, limits: &Limits) -> Result<bool, MediaError> {
        let arguments = [
            "-vn",
            "-map",
            "0:a:0?",
            "-c",
            "copy",
            "-frames:a",
            "1",
            "-f",
            "framecrc",
            "pipe:1",
        ];
        match self.run(&arguments, 64 << 10, limits) {
            Ok(text) => Ok(String::from_utf8_lossy(&text)
                .lines()
                .any(|line| !line.starts_with('#'))),
            Err(MediaError::Ffmpeg { why, .. }) if why.contains(NO_STREAM) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn run(
        &self,
        arguments: &[&str],
        max_output: u64,
        limits: &Limits,
    ) -> Result<Vec<u8>, MediaError> {
        let demuxer = self.kind.demuxer().ok_or_else(|| MediaError::Unsupported {
            what: self.kind.name().into(),
            hint: "convert it to MP4 with H.264 and AAC".into(),
        })?;
        let mut command = Command::new("ffmpeg");
        // The demuxer is named, no other may be opened from within it, and protocols are fenced: a playlist dressed as a
        // film must not open other files.
        command
            .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
            .args(["-protocol_whitelist", "file,pipe"])
            .args(["-format_whitelist", demuxer])
            .args(["-threads", &THREADS.to_string(), "-noautorotate"])
            .args(["-f", demuxer, "-i"])
            .arg(self.file.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        child::fence(
            &mut command,
            self.file.path(),
            limits.max_work_secs,
            THREADS,
        );
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => MediaError::FfmpegMissing {
                format: self.format.clone(),
            },
            _ => said(&self.format, format!("it did not start: {error}")),
        })?;
        self.collect(child, max_output, limits)
    }

    fn collect(
        &self,
        mut child: Child,
        max_output: u64,
        limits: &Limits,
    ) -> Result<Vec<u8>, MediaError> {
        let deadline =
            Instant::now() + Duration::from_secs_f64(limits.max_work_secs.clamp(0.0, 86_400.0));
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(said(&self.format, "its output could not be read".into()));
        };
        // One byte more than allowed tells "full" from "too much"; errors beyond 8 KiB are cut.
        let output = read_in_background(stdout, max_output.saturating_add(1));
        let complaint = read_in_background(stderr, 8 << 10);
        let waited = output.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let too_much = waited
            .as_ref()
            .is_ok_and(|bytes| bytes.len() as u64 > max_output);
        if waited.is_err() || too_much {
            // It may have ended by itself meanwhile; either way it is reaped below.
            let _ = child.kill();
        }
        let status = child
            .wait()
            .map_err(|error| said(&self.format, error.to_string()))?;
        let bytes = waited.map_err(|_| MediaError::TookTooLong {
            limit_secs: limits.max_work_secs,
        })?;
        if too_much {
            return Err(MediaError::TooMuchMemory {
                bytes: bytes.len() as u64,
                limit: max_output,
            });
        }
        if !status.success() {
            let complaint = complaint
                .recv_timeout(Duration::from_secs(1))
                .unwrap_or_default();
            let complaint = String::from_utf8_lossy(&complaint);
            let path = self.file.path().to_string_lossy().into_owned();
            let why = complaint
                .lines()
                .next_back()
                .unwrap_or("no reason given")
                .replace(&path, "the file");
            return Err(said(&self.format, why));
        }
        Ok(bytes)
    }
}

/// The sound of `bytes` as a WAV file.
pub(crate) fn sound_as_wav(
    bytes: &[u8],
    kind: Kind,
    limits: &Limits,
) -> Result<Vec<u8>, MediaError> {
    Source::new(bytes, kind, kind.name().into(), limits)?
        .wav(limits)?
        .ok_or(MediaError::Empty)
}

fn said(format: &str, why: String) -> MediaError {
    MediaError::Ffmpeg {
        format: format.into(),
        why,
    }
}

fn read_in_background(
    mut pipe: impl Read + Send + 'static,
    max_len: u64,
) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends the output like any other end; the exit status tells the rest.
        let _ = pipe.by_ref().take(max_len).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// Reads `framecrc`: `#tb 0: 1/15360`, `#dimensions 0: 320x180`, then `stream, dts, pts, duration, size, crc`.
fn parse_listing(text: &str, format: &str, limits: &Limits) -> Result<Listing, MediaError> {
    let bad = || said(format, "its list of frames makes no sense".into());
    let (mut tick_secs, mut size) = (0.0, None);
    let (mut frame_count, mut first, mut end) = (0usize, i64::MAX, i64::MIN);
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: ") {
            let (over, under) = base.trim().split_once('/').ok_or_else(bad)?;
            tick_secs = over.parse::<f64>().map_err(|_| bad())?
                / under.parse::<f64>().map_err(|_| bad())?;
        } else if let Some(dimensions) = line.strip_prefix("#dimensions 0: ") {
            let (width, height) = dimensions.trim().split_once('x').ok_or_else(bad)?;
            size = Some((
                width.parse().map_err(|_| bad())?,
                height.parse().map_err(|_| bad())?,
            ));
        } else if !line.starts_with('#') {
            let mut fields = line.split(',').map(str::trim).skip(2);
            let pts: i64 = fields
                .next()
                .and_then(|field| field.parse().ok())
                .ok_or_else(bad)?;
            let duration: i64 = fields
                .next()
                .and_then(|field| field.parse().ok())
                .ok_or_else(bad)?;
            first = first.min(pts);
            end = end.max(pts.saturating_add(duration));
            frame_count += 1;
        }
    }
    let (width, height): (u32, u32) = size.ok_or_else(bad)?;
    limits.check_pixels(u64::from(width), u64::from(height))?;
    limits.check_frames(frame_count as u64)?;
    if frame_count == 0 {
        return Err(MediaError::Empty);
    }
    let duration_secs = end.saturating_sub(first) as f64 * tick_secs;
    limits.check_secs(duration_secs)?;
    Ok(Listing {
        width,
        height,
        frame_count,
        duration_secs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let text = "#software: Lavf\n#tb 0: 1/1000\n#media_type 0: video\n#codec_id 0: vp9\n#dimensions 0: 64x48\n#sar 0: 0/1\n\
                    0,          0,          0,       40,      800, 0x1\n0,         40,         40,       40,       90, 0x2\n";
        let listing = parse_listing(text, "WebM film", &Limits::default()).expect("a listing");
        assert_eq!(
            (listing.width, listing.height, listing.frame_count),
            (64, 48, 2)
        );
        assert!((listing.duration_secs - 0.08).abs() < 1e-9);
        assert!(parse_listing("0, 0\n", "WebM film", &Limits::default()).is_err());
    }
}

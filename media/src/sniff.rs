//! What a file is, by its first bytes and never by its name; and the MIME type to serve it with.

use crate::mp4;

/// Picture, sound or film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Still pictures (also the first frame of a moving GIF or WebP).
    Image,
    /// Sound alone.
    Audio,
    /// Film, with or without sound.
    Video,
}

/// A container or codec that the first bytes give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// JPEG picture.
    Jpeg,
    /// PNG picture.
    Png,
    /// WebP picture.
    WebP,
    /// GIF picture.
    Gif,
    /// HEIF or AVIF picture: recognised, not read.
    Heif,
    /// BMP picture: recognised, not read.
    Bmp,
    /// TIFF picture: recognised, not read.
    Tiff,
    /// RIFF WAVE sound.
    Wav,
    /// MPEG layer III sound.
    Mp3,
    /// FLAC sound.
    Flac,
    /// Ogg with Vorbis (or FLAC) sound.
    Ogg,
    /// Ogg with Opus sound: read through `ffmpeg`.
    Opus,
    /// Bare AAC sound (ADTS).
    Aac,
    /// MP4 without a picture track.
    M4a,
    /// AIFF sound: read through `ffmpeg`.
    Aiff,
    /// MP4 film.
    Mp4,
    /// QuickTime film.
    Mov,
    /// WebM film: read through `ffmpeg`.
    WebM,
    /// Matroska film: read through `ffmpeg`.
    Matroska,
    /// Ogg with a Theora picture: read through `ffmpeg`.
    Theora,
    /// AVI film: read through `ffmpeg`.
    Avi,
    /// MPEG transport stream: read through `ffmpeg`.
    MpegTs,
    /// MPEG program stream: read through `ffmpeg`.
    MpegPs,
    /// Flash film: read through `ffmpeg`.
    Flv,
    /// Windows Media: read through `ffmpeg`.
    Asf,
    /// None of these.
    Unknown,
}

impl Kind {
    /// Picture, sound or film; `None` when unknown.
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Jpeg
            | Self::Png
            | Self::WebP
            | Self::Gif
            | Self::Heif
            | Self::Bmp
            | Self::Tiff => Some(Family::Image),
            Self::Wav
            | Self::Mp3
            | Self::Flac
            | Self::Ogg
            | Self::Opus
            | Self::Aac
            | Self::M4a
            | Self::Aiff => Some(Family::Audio),
            Self::Mp4
            | Self::Mov
            | Self::WebM
            | Self::Matroska
            | Self::Theora
            | Self::Avi
            | Self::MpegTs
            | Self::MpegPs
            | Self::Flv
            | Self::Asf => Some(Family::Video),
            Self::Unknown => None,
        }
    }

    /// The MIME type to serve such a file with.
    pub fn mime(self) -> &'static str {
        self.row().0
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The demuxer that `ffmpeg` is told to use, so that no file can talk it into another one.
    pub(crate) fn demuxer(self) -> Option<&'static str> {
        self.row().2
    }

    fn row(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Jpeg => ("image/jpeg", "JPEG picture", None),
            Self::Png => ("image/png", "PNG picture", None),
            Self::WebP => ("image/webp", "WebP picture", None),
            Self::Gif => ("image/gif", "GIF picture", None),
            Self::Heif => ("image/heif", "HEIF or AVIF picture", None),
            Self::Bmp => ("image/bmp", "BMP picture", None),
            Self::Tiff => ("image/tiff", "TIFF picture", None),
            Self::Wav => ("audio/wav", "WAV sound", Some("wav")),
            Self::Mp3 => ("audio/mpeg", "MP3 sound", Some("mp3")),
            Self::Flac => ("audio/flac", "FLAC sound", Some("flac")),
            Self::Ogg => ("audio/ogg", "Ogg sound", Some("ogg")),
            Self::Opus => ("audio/ogg", "Ogg Opus sound", Some("ogg")),
            Self::Aac => ("audio/aac", "AAC sound", Some("aac")),
            Self::M4a => ("audio/mp4", "MP4 sound", Some("mov")),
            Self::Aiff => ("audio/aiff", "AIFF sound", Some("aiff")),
            Self::Mp4 => ("video/mp4", "MP4 film", Some("mov")),
            Self::Mov => ("video/quicktime", "QuickTime film", Some("mov")),
            Self::WebM => ("video/webm", "WebM film", Some("matroska")),
            Self::Matroska => ("video/x-matroska", "Matroska film", Some("matroska")),
            Self::Theora => ("video/ogg", "Ogg film", Some("ogg")),
            Self::Avi => ("video/x-msvideo", "AVI film", Some("avi")),
            Self::MpegTs => ("video/mp2t", "MPEG-TS film", Some("mpegts")),
            Self::MpegPs => ("video/mpeg", "MPEG film", Some("mpeg")),
            Self::Flv => ("video/x-flv", "Flash film", Some("flv")),
            Self::Asf => ("video/x-ms-asf", "Windows Media file", Some("asf")),
            Self::Unknown => ("application/octet-stream", "unknown file", None),
        }
    }
}

/// What `bytes` are, by their magic. Reads the head, and for MP4 the track list.
pub fn sniff(bytes: &[u8]) -> Kind {
    let at = |offset: usize, magic: &[u8]| {
        bytes
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    let head = &bytes[..bytes.len().min(256)];
    let contains = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    if at(0, &[0xFF, 0xD8, 0xFF]) {
        Kind::Jpeg
    } else if at(0, b"\x89PNG\r\n\x1a\n") {
        Kind::Png
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Kind::Gif
    } else if at(0, b"RIFF") || at(0, b"RF64") {
        match bytes.get(8..12) {
            Some(b"WEBP") => Kind::WebP,
            Some(b"WAVE") => Kind::Wav,
            Some(b"AVI ") => Kind::Avi,
            _ => Kind::Unknown,
        }
    } else if at(0, b"fLaC") {
        Kind::Flac
    } else if at(0, b"OggS") {
        if contains(b"OpusHead") {
            Kind::Opus
        } else if contains(b"\x80theora") {
            Kind::Theora
        } else {
            Kind::Ogg
        }
    } else if at(4, b"ftyp") {
        match bytes.get(8..12) {
            Some(b"heic" | b"heix" | b"mif1" | b"msf1" | b"avif" | b"avis") => Kind::Heif,
            Some(b"qt  ") => Kind::Mov,
            Some(b"M4A " | b"M4B ") => Kind::M4a,
            _ if mp4::has_only_sound(bytes) => Kind::M4a,
            _ => Kind::Mp4,
        }
    } else if at(4, b"moov") || at(4, b"wide") || at(4, b"mdat") {
        Kind::Mov
    } else if at(0, &[0x1A, 0x45, 0xDF, 0xA3]) {
        if contains(b"webm") {
            Kind::WebM
        } else {
            Kind::Matroska
        }
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Kind::Aiff
    } else if at(0, b"FLV\x01") {
        Kind::Flv
    } else if at(0, &[0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11]) {
        Kind::Asf
    } else if at(0, &[0, 0, 1, 0xBA]) {
        Kind::MpegPs
    } else if at(0, &[0x47]) && at(188, &[0x47]) && at(376, &[0x47]) {
        Kind::MpegTs
    } else if at(0, b"ID3") {
        Kind::Mp3
    } else if at(0, b"BM") && at(6, &[0, 0, 0, 0]) {
        Kind::Bmp
    } else if at(0, b"II*\0") || at(0, b"MM\0*") {
        Kind::Tiff
    } else {
        mpeg_audio(bytes)
    }
}

/// A bare MPEG audio frame: 11 or 12 sync bits, then version and layer.
fn mpeg_audio(bytes: &[u8]) -> Kind {
    let &[0xFF, second, third, ..] = bytes else {
        return Kind::Unknown;
    };
    if second & 0xF6 == 0xF0 {
        return Kind::Aac;
    }
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    let (bitrate, rate) = (third >> 4, third >> 2 & 3);
    if second & 0xE0 == 0xE0 && version != 1 && layer == 1 && bitrate != 0xF && rate != 3 {
        Kind::Mp3
    } else {
        Kind::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_decides() {
        let cases: &[(&[u8], Kind)] = &[
            (b"\xFF\xD8\xFF\xE0", Kind::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Kind::Png),
            (b"GIF89a", Kind::Gif),
            (b"RIFF\0\0\0\0WEBP", Kind::WebP),
            (b"RIFF\0\0\0\0WAVE", Kind::Wav),
            (b"RIFF", Kind::Unknown),
            (b"ID3\x04", Kind::Mp3),
            (b"\xFF\xFB\x90\x00", Kind::Mp3),
            (b"\xFF\xF1\x50\x80", Kind::Aac),
            (b"\0\0\0\x18ftypqt  ", Kind::Mov),
            (b"\0\0\0\x18ftypisom", Kind::Mp4),
            (b"\0\0\0\x18ftypavif", Kind::Heif),
            (b"\x1A\x45\xDF\xA3\x42\x82\x84webm", Kind::WebM),
            (b"", Kind::Unknown),
            (b"<html>", Kind::Unknown),
        ];
        for (bytes, kind) in cases {
            assert_eq!(sniff(bytes), *kind, "{bytes:?}");
        }
    }
}

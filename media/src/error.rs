//! The one error of this crate: every way in which bytes from outside can disappoint.

/// Why bytes could not be decoded (or, in [`crate::encode`], written).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No bytes, or a container without a single sample, frame or pixel.
    #[error("the file is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("the file has {bytes} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Size of the input.
        bytes: u64,
        /// The limit it passed.
        limit: u64,
    },
    /// A picture or film frame with more pixels than allowed.
    #[error("a picture of {width} x {height} pixels is more than the {limit} pixels allowed")]
    TooManyPixels {
        /// Width claimed by the header, in pixels.
        width: u64,
        /// Height claimed by the header, in pixels.
        height: u64,
        /// The limit it passed.
        limit: u64,
    },
    /// Sound or film that lasts longer than allowed.
    #[error("{secs:.1} seconds are more than the {limit_secs:.1} allowed")]
    TooLong {
        /// Duration claimed or reached while decoding.
        secs: f64,
        /// The limit it passed.
        limit_secs: f64,
    },
    /// A film with more frames than allowed.
    #[error("{frames} frames are more than the {limit} allowed")]
    TooManyFrames {
        /// Frames claimed or reached while decoding.
        frames: u64,
        /// The limit it passed.
        limit: u64,
    },
    /// More memory would be needed at once than allowed.
    #[error("decoding needs {bytes} bytes of memory, more than the {limit} allowed")]
    TooMuchMemory {
        /// What the request needs.
        bytes: u64,
        /// The limit it passed.
        limit: u64,
    },
    /// Decoding ran out of its time.
    #[error("decoding took longer than the {limit_secs:.0} seconds allowed")]
    TookTooLong {
        /// The limit it passed.
        limit_secs: f64,
    },
    /// The bytes end before what they promise.
    #[error("the file is cut off: {what}")]
    Truncated {
        /// What is missing.
        what: String,
    },
    /// The bytes contradict their own format.
    #[error("the file is damaged: {what}")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// A format that nothing here reads.
    #[error("{what} cannot be read; {hint}")]
    Unsupported {
        /// The format.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// A format that only `ffmpeg` reads, on a machine without it.
    #[error(
        "{format} needs the program ffmpeg, which is not on this machine: install it (Debian and Ubuntu: \
         `apt install ffmpeg`; macOS: `brew install ffmpeg`) or convert the file to MP4 with H.264 and AAC"
    )]
    FfmpegMissing {
        /// The format that was found.
        format: String,
    },
    /// `ffmpeg` was found and could not read the file either.
    #[error("ffmpeg could not read this {format}: {why}")]
    Ffmpeg {
        /// The format that was found.
        format: String,
        /// The last line it said, or that it ran out of time.
        why: String,
    },
    /// A frame index past the end was asked for.
    #[error("frame {index} was asked for, but the film has {frame_count}")]
    NoSuchFrame {
        /// The index asked for.
        index: usize,
        /// How many frames there are.
        frame_count: usize,
    },
    /// Something given to an encoder does not fit (a buffer of the wrong size, an odd width, a rate of zero).
    #[error("cannot write this: {why}")]
    BadInput {
        /// What does not fit.
        why: String,
    },
}

impl MediaError {
    /// What is said to someone who sent the file from elsewhere: what they can do, and no word of the decoder's, of a path
    /// or of this machine. The whole of it belongs in the log.
    pub fn outward(&self) -> String {
        match self {
            Self::Truncated { .. } => "the file is cut off; send it whole".into(),
            Self::Corrupt { .. } => {
                "the file is damaged, or is not what it says it is; save it anew and send that"
                    .into()
            }
            Self::FfmpegMissing { format } => format!(
                "this server does not read {format}; convert it to MP4 with H.264 and AAC, or a sound to WAV"
            ),
            Self::Ffmpeg { format, .. } => format!(
                "this {format} cannot be read; it may be damaged. MP4 with H.264 and AAC, or WAV, is read everywhere"
            ),
            other => other.to_string(),
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn truncated(what: impl Into<String>) -> Self {
        Self::Truncated { what: what.into() }
    }

    pub(crate) fn bad_input(why: impl Into<String>) -> Self {
        Self::BadInput { why: why.into() }
    }
}

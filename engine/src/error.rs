//! The engine's one error type.

use std::path::PathBuf;

/// Why a model did not load or a trace was not made. `Display` is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of the model is missing or unreadable.
    #[error("cannot read {path}: {reason}")]
    ModelFile {
        /// Which.
        path: PathBuf,
        /// What was expected or went wrong.
        reason: String,
    },
    /// No such family.
    #[error("the model's config names the architecture {found:?}; this program knows {known}")]
    UnknownArchitecture {
        /// From config.json.
        found: String,
        /// Comma-separated.
        known: String,
    },
    /// A media item could not be decoded.
    #[error("item {item} ({name}): {source}")]
    Media {
        /// Index among the request's items, from 1.
        item: usize,
        /// File name.
        name: String,
        /// What.
        #[source]
        source: media::MediaError,
    },
    /// The request cannot be traced as it is.
    #[error("{0}")]
    Request(String),
    /// The step that a generation took with others did not end.
    #[error("the decode step broke off; this is a fault of the program")]
    Lost,
    /// A build for a GPU found none that works.
    #[error(
        "this build runs models on a GPU, and the first one cannot be used ({reason}): see that `nvidia-smi` lists it, or take a \
         build without `cuda`, which runs on the CPU"
    )]
    NoGpu {
        /// In the driver's words.
        reason: String,
    },
    /// Tensor arithmetic failed (shape or device).
    #[error("inference failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

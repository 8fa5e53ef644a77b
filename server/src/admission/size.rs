//! What a job will cost, as far as its request tells. In: a request and its stored files. Out: numbers to estimate by.

use app::data::{ItemView, RequestView};
use engine::Precision;
use serde::{Deserialize, Serialize};

use crate::blobs::Blobs;
use crate::sample::Options;

/// Of how many numbers an estimate is made.
pub const FEATURES: usize = 8;

/// Counts and sizes of a request's parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSize {
    /// Name of the model; empty where nothing is known of the job.
    pub model: String,
    /// In which precision that model is asked for.
    pub dtype: Option<Precision>,
    /// Of everything typed, transcripts apart.
    pub text_bytes: u64,
    /// Pictures, sounds, films.
    pub counts: [u32; 3],
    /// Bytes of pictures, sounds, films.
    pub bytes: [u64; 3],
    /// Upper bound of the answer's tokens.
    pub max_new_tokens: u32,
}

impl JobSize {
    /// The size of a request whose files are stored.
    pub fn of(request: &RequestView, options: &Options, blobs: &Blobs) -> Self {
        let mut size = Self {
            model: request.model.clone(),
            dtype: options.dtype,
            text_bytes: (request.prompt.len() + request.system.len()) as u64,
            max_new_tokens: options.new_tokens(),
            ..Self::default()
        };
        let earlier = request.history.iter().flat_map(|turn| &turn.items);
        for item in earlier.chain(&request.items) {
            let (kind, hash) = match item {
                ItemView::Text { text } => {
                    size.text_bytes += text.len() as u64;
                    continue;
                }
                ItemView::Image { hash, .. } => (0, hash),
                ItemView::Audio { hash, .. } => (1, hash),
                ItemView::Video { hash, .. } => (2, hash),
            };
            size.counts[kind] += 1;
            size.bytes[kind] += blobs.len(hash);
        }
        size
    }

    /// One number for each thing that takes time before the first token: a start, kilobytes of text, and pieces and
    /// megabytes of each kind.
    pub(super) fn features(&self) -> [f64; FEATURES] {
        let megabytes = self.bytes.map(|bytes| bytes as f64 / 1e6);
        let counts = self.counts.map(f64::from);
        [
            1.0,
            self.text_bytes as f64 / 1e3,
            counts[0],
            megabytes[0],
            counts[1],
            megabytes[1],
            counts[2],
            megabytes[2],
        ]
    }

    /// Which kinds of files it has, in three bits: answers to pictures are about as long as answers to pictures.
    pub(super) fn kinds(&self) -> u8 {
        (0..3).fold(0, |bits, k| bits | u8::from(self.counts[k] > 0) << k)
    }
}

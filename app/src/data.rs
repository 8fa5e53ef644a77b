//! What pages are made of, in the page's words; `server` fills it in through [`PageData`].

use std::collections::BTreeMap;

use attribution::record::Record;
use attribution::transcript::Transcript;
use serde::{Deserialize, Serialize};

/// One trace as a page shows it: being made, or finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceView {
    /// The permalink's id.
    pub id: String,
    /// Where it stands.
    pub status: TraceStatus,
    /// What was asked, for display until the record (or the `Sources` event) is there.
    pub request: RequestView,
    /// Present when finished.
    pub record: Option<Record>,
    /// World task name for shipped examples (`visual-qa`, ...), else empty.
    pub task: String,
}

/// Where a trace stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", try_from = "FlatStatus")]
pub enum TraceStatus {
    /// Waiting; 0 is next.
    Queued {
        /// Jobs before it.
        position: u32,
    },
    /// Being made; events at `/api/traces/{id}/events`.
    Running,
    /// The record is there (also after a stop: then `receipt.finish` says so).
    Finished,
    /// Will not be finished.
    Failed {
        /// A sentence that says what to do.
        message: String,
    },
}

/// How a status is read: flat, as in `attribution::record`, for the sake of the wasm's size.
#[derive(Deserialize)]
struct FlatStatus {
    state: String,
    #[serde(default)]
    position: u32,
    #[serde(default)]
    message: String,
}

impl TryFrom<FlatStatus> for TraceStatus {
    type Error = &'static str;

    fn try_from(flat: FlatStatus) -> Result<Self, Self::Error> {
        Ok(match flat.state.as_str() {
            "queued" => Self::Queued {
                position: flat.position,
            },
            "running" => Self::Running,
            "finished" => Self::Finished,
            "failed" => Self::Failed {
                message: flat.message,
            },
            _ => return Err("a state of an unknown name"),
        })
    }
}

/// The question as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestView {
    /// The instruction.
    pub prompt: String,
    /// The items in order.
    pub items: Vec<ItemView>,
    /// Model name.
    pub model: String,
    /// The system message; empty: the model's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// Earlier turns, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TurnView>,
    /// Transcripts that came with sounds, by content hash.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub transcripts: BTreeMap<String, Transcript>,
}

/// An earlier turn of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnView {
    /// Whether the model wrote it.
    pub assistant: bool,
    /// What was said or shown.
    pub items: Vec<ItemView>,
}

/// One item of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", try_from = "FlatItem")]
pub enum ItemView {
    /// Typed text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture at `/media/{hash}`.
    Image {
        /// Content hash.
        hash: String,
        /// File name.
        name: String,
    },
    /// A sound at `/media/{hash}`.
    Audio {
        /// Content hash.
        hash: String,
        /// File name.
        name: String,
    },
    /// A film at `/media/{hash}`.
    Video {
        /// Content hash.
        hash: String,
        /// File name.
        name: String,
    },
}

/// How an item is read; see [`FlatStatus`].
#[derive(Deserialize)]
struct FlatItem {
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    name: String,
}

impl TryFrom<FlatItem> for ItemView {
    type Error = &'static str;

    fn try_from(flat: FlatItem) -> Result<Self, Self::Error> {
        let FlatItem {
            kind,
            text,
            hash,
            name,
        } = flat;
        Ok(match kind.as_str() {
            "text" => Self::Text { text },
            "image" => Self::Image { hash, name },
            "audio" => Self::Audio { hash, name },
            "video" => Self::Video { hash, name },
            _ => return Err("an item of an unknown kind"),
        })
    }
}

/// One card of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GalleryCard {
    /// Trace id.
    pub id: String,
    /// World task name.
    pub task: String,
    /// The question or instruction.
    pub question: String,
    /// Of the answer; empty while it is being made.
    pub first_sentence: String,
    /// Content hash of a picture to show, where there is one.
    pub thumbnail: Option<String>,
    /// Waveform peaks where there is a sound and no picture.
    pub peaks: Vec<u8>,
}

/// A loaded or loadable model (`GET /api/models`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    /// Name to send as `options.model`.
    pub name: String,
    /// One sentence: what it is and what it understands.
    pub about: String,
    /// Whether it is the default.
    pub default: bool,
    /// Whether it is in memory.
    #[serde(default)]
    pub state: ModelState,
}

/// Whether a model is in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ModelState {
    /// It is loaded when it is first asked for.
    #[default]
    Unloaded,
    /// Its files are being downloaded; until they are here it cannot be asked for.
    Fetching,
    /// It is being loaded.
    Loading,
    /// It is in memory.
    Loaded {
        /// `f32`, `bf16` or `f16`.
        dtype: String,
        /// Of its weights.
        bytes: u64,
    },
    /// It could not be loaded; the operator's log says why.
    Failed,
}

/// Limits shown before an upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitsView {
    /// Bytes per file.
    pub max_file_bytes: u64,
    /// Bytes per request.
    pub max_request_bytes: u64,
    /// Items per request.
    pub max_items: u32,
    /// Seconds of sound or film per item.
    pub max_media_secs: f64,
    /// Upper bound of `max_new_tokens`.
    pub max_new_tokens: u32,
    /// Jobs waiting now.
    pub queued: u32,
    /// Expected wait, seconds.
    pub expected_wait_secs: f64,
    /// Workers at hand, where they are processes of their own.
    #[serde(default)]
    pub workers: Option<u32>,
}

/// What an operator promises about keeping, for `/privacy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyView {
    /// Days after which a trace goes; none: it stays.
    pub keep_days: Option<u32>,
    /// Minutes after its end that a trace stays which nobody has shared; none: it stays.
    pub unshared_minutes: Option<u32>,
    /// Bytes that traces and files may take; none: all.
    pub disk_quota_bytes: Option<u64>,
    /// How to reach whoever runs the server.
    pub contact: Option<String>,
}

/// What `/new` shows beside the form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComposeView {
    /// Models to choose from.
    pub models: Vec<ModelView>,
    /// Limits and queue.
    pub limits: LimitsView,
}

/// What the server lends the pages; put into leptos context as `Arc<dyn PageData>` for every server-side render.
#[cfg(feature = "ssr")]
pub trait PageData: Send + Sync + 'static {
    /// A trace by id.
    fn trace(&self, id: &str) -> Option<TraceView>;
    /// The shipped examples, in gallery order.
    fn gallery(&self) -> Vec<GalleryCard>;
    /// Models to choose from.
    fn models(&self) -> Vec<ModelView>;
    /// Limits and queue.
    fn limits(&self) -> LimitsView;
    /// What is kept, and for how long.
    fn policy(&self) -> PolicyView;
    /// A finished trace held against what is true of its sample; none where that is not known.
    fn truth(&self, id: &str) -> Option<crate::beside::TruthView>;
    /// The trace that this one repeats, and those that repeat it.
    fn lineage(&self, id: &str) -> crate::beside::Lineage;
    /// The shipped model's figures; none where the program was built without them.
    #[cfg(feature = "ssr")]
    fn evaluation(&self) -> Option<std::sync::Arc<crate::evaluation::Evaluation>>;
}

/// What the server lent this render; none only where a page is rendered outside a request.
#[cfg(feature = "ssr")]
pub fn lent() -> Option<std::sync::Arc<dyn PageData>> {
    leptos::prelude::use_context()
}

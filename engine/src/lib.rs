//! Sources and a prompt in, trace events and a record out.
//! Knows no async runtime, no socket, and no file system beyond `load` and the files that a [`Sample`] names.
//!
//! [`OmniTracer`] is the way in for other programs; [`pipeline::trace`] is the flow itself.

mod attention;
pub mod bench;
mod clip;
pub mod company;
mod cpu;
mod decoder;
mod detokenize;
mod error;
pub mod faithfulness;
mod follow;
mod generate;
pub mod inspect;
mod layers;
mod load;
mod looks;
mod minicpm_o;
mod model;
pub mod pipeline;
mod precision;
mod preprocess;
mod prompt;
mod qwen2_5_omni;
mod request;
mod signals;
mod sources;
mod speech;
mod tracer;
mod weights;
mod whisper_blocks;

pub use candle_core::Device;
pub use clip::Clip;
pub use company::Company;
pub use error::EngineError;
pub use load::{DeviceMemory, ModelFiles, default_device, device_memory};
pub use model::Model;
pub use precision::Precision;
pub use request::{Item, MediaItem, Outcome, RawScores, TraceOptions, TraceRequest, Turn};
pub use speech::whisper::Transcriber;
pub use tracer::{OmniTracer, OmniTracerBuilder, Sample};
pub use weights::{INDEX_FILE, SINGLE_FILE, shards_of_index};

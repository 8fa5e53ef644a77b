//! Which models a process has, and which of them are in memory.
//! In: what `--model`, `--dtype` and `--model-memory` say. Out: loaded models by name, on demand.

mod ahead;
pub mod memory;
mod pool;
mod spec;

pub use ahead::fetch_ahead;
pub use pool::{ModelPool, ModelStates};
pub use spec::{LoadedModel, ModelError, ModelSpec, TINY, TINY_MODEL, spec, specs};

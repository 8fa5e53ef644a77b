//! Decoding and prefill on the CPU without tensors in between: weights stay as stored, threads never change a result.
//! In: weights, embeddings, rotary tables. Out: logits and signals.

pub(crate) mod aligned;
mod attention;
mod block;
mod cache;
mod decoder;
mod gradients;
mod kernels;
pub(crate) mod lanes;
mod math;
pub(crate) mod matrix;
#[cfg(test)]
mod noise;
pub(crate) mod pool;
mod prefill;
mod rescore;
mod several;
mod step;

pub(crate) use decoder::{CpuDecoder, CpuState, floats};
pub(crate) use prefill::RotaryTables;
pub(crate) use rescore::Rows;
pub(crate) use step::{MOST, Turn};

//! The synthetic world: a seed gives one sample with exactly known sources.

pub mod rng;
pub mod sound;
pub mod speech;
pub mod vocabulary;

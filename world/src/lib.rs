//! The synthetic world: a seed gives one sample with exactly known sources.

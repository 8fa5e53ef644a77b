//! Writes shards of world samples for training.
fn main() {}

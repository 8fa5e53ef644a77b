//! The `omnitrace` binary.
fn main() {}

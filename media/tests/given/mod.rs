//! What several tests begin with: a fixture's bytes, and limits within which nothing broken may ask for much work.

use media::Limits;

pub fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a fixture")
}

/// Small limits, so that a mutation cannot ask for much work even where it is legal.
#[allow(
    dead_code,
    reason = "each test is a crate of its own and takes what it needs"
)]
pub fn strict() -> Limits {
    Limits {
        max_bytes: 4 << 20,
        max_pixels: 1_000_000,
        max_secs: 60.0,
        max_frames: 2_000,
        max_decoded_bytes: 64 << 20,
        max_work_secs: 10.0,
        // What ffmpeg makes of broken files is its own affair, in its own process.
        use_ffmpeg: false,
    }
}

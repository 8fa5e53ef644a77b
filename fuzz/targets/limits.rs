// Small limits: what is legal must not be slow either.
fn limits() -> media::Limits {
    media::Limits {
        max_bytes: 1 << 20,
        max_pixels: 500_000,
        max_secs: 30.0,
        max_frames: 500,
        max_decoded_bytes: 32 << 20,
        max_work_secs: 5.0,
        // Another program's own affair, in its own process.
        use_ffmpeg: false,
    }
}

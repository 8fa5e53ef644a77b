//! Any bytes as a film: an error, or frames that can be asked for.
#![no_main]

include!("limits.rs");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = limits();
    // Overwritten or left out, but never longer.
    assert!(media::without_notes(bytes.to_vec()).len() <= bytes.len());
    if let Ok(film) = media::Film::open(bytes, &limits) {
        let info = film.info();
        assert!(info.frame_count > 0 && info.fps > 0.0);
        assert!(info.duration_secs <= limits.max_secs);
        let last = info.frame_count - 1;
        if let Ok(frames) = film.frames(&[0, last]) {
            assert_eq!(frames.len(), 2);
        }
    }
});

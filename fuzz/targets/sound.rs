//! Any bytes as a sound: an error, or samples within the limits, none of which is not a number.
#![no_main]

include!("limits.rs");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = limits();
    // Overwritten or left out, but never longer.
    assert!(media::without_notes(bytes.to_vec()).len() <= bytes.len());
    if let Ok(sound) = media::decode_sound(bytes, &limits) {
        assert!(sound.rate_hz > 0 && !sound.samples.is_empty());
        assert!(sound.duration_secs() <= limits.max_secs);
        assert!(sound.samples.iter().all(|sample| sample.is_finite()));
    }
});

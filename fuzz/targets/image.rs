//! Any bytes as a picture: an error, or a picture of the size it says.
#![no_main]

include!("limits.rs");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = limits();
    // Overwritten or left out, but never longer.
    assert!(media::without_notes(bytes.to_vec()).len() <= bytes.len());
    let _ = media::image_size(bytes, &limits);
    if let Ok(picture) = media::decode_image(bytes, &limits) {
        let pixels = u64::from(picture.width) * u64::from(picture.height);
        assert!(pixels > 0 && pixels <= limits.max_pixels);
        assert_eq!(picture.rgb.len() as u64, 3 * pixels);
    }
});

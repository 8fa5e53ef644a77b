//! Any text as a transcript (JSON, SRT, VTT): an error, or segments in order.
#![no_main]

use attribution::transcript::Transcript;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(transcript) = Transcript::parse(text) {
        for segment in &transcript.segments {
            assert!(segment.start_secs >= 0.0 && segment.end_secs >= segment.start_secs);
            assert!(segment.end_secs.is_finite());
        }
    }
});

//! Any JSON as a sample of the API: a sentence, or a sample whose options are within their bounds.
#![no_main]

use server::sample::Sample;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str(text) else {
        return;
    };
    match Sample::parse(&value) {
        Ok(sample) => assert!(sample.options.check().is_ok()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

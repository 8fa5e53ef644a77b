//! Any text as a record: an error, or a record that can be re-curated, written and read again as the same.
#![no_main]

use attribution::curation::recurate;
use attribution::record::Record;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(record) = Record::from_json(text) {
        let chunks = recurate(&record, &record.method);
        assert!(chunks.len() <= record.chunks.len());
        let Ok(written) = record.to_json() else {
            return;
        };
        let again = Record::from_json(&written);
        assert!(again.is_ok(), "what was written is not read: {again:?}");
        let rewritten = again.ok().and_then(|record| record.to_json().ok());
        assert_eq!(rewritten.as_deref(), Some(written.as_str()));
    }
});

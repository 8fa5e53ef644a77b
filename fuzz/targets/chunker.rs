//! Any text is cut into chunks that partition it; what is stable stays when more text arrives.
#![no_main]

use attribution::chunk::{partitions, split, split_stable};

libfuzzer_sys::fuzz_target!(|input: (String, String)| {
    let (begin, rest) = input;
    let stable = split_stable(&begin);
    let whole = format!("{begin}{rest}");
    let pieces = split(&whole);
    assert!(partitions(&pieces, whole.len()));
    assert!(
        pieces
            .iter()
            .all(|piece| whole.get(piece.clone()).is_some())
    );
    assert!(
        pieces.starts_with(&stable),
        "{stable:?} was promised, {pieces:?} came"
    );
});

//! A last fence around decoders that others wrote.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::MediaError;

/// Runs `work`; a panic inside becomes [`MediaError::Corrupt`].
///
/// Our own code returns errors. The decoders of other crates index into tables by numbers from the file, and now
/// and then a release of one panics on a file nobody had tried: one visitor's upload must not end the process.
/// Nothing is shared across the fence: the decoder and its buffers are dropped with the panic.
pub(crate) fn guard<T>(
    what: &str,
    work: impl FnOnce() -> Result<T, MediaError>,
) -> Result<T, MediaError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(MediaError::corrupt(format!(
            "the {what} decoder gave up on it"
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let empty: Vec<u8> = Vec::new();
        assert!(matches!(
            guard("test", || Ok(empty[empty.len()])),
            Err(MediaError::Corrupt { .. })
        ));
    }
}

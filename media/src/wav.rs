//! The sizes in a WAV file's header, checked against the bytes there are.

use std::borrow::Cow;

use crate::MediaError;

/// What programs that write to a pipe leave in the size of the `data` chunk, or anything above it.
const STREAMED: u32 = 0x7FFF_F000;

/// `bytes` with a `data` chunk no longer than the file.
///
/// A size that was never filled in (a WAV written to a pipe) is replaced by the true one; any other size beyond the
/// end of the file means that the rest of it is missing.
pub(crate) fn settle_sizes(bytes: &[u8]) -> Result<Cow<'_, [u8]>, MediaError> {
    let mut at = 12usize;
    while let Some(header) = at.checked_add(8).and_then(|end| bytes.get(at..end)) {
        let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let body = at + 8;
        let there = bytes.len() - body;
        if &header[..4] == b"data" {
            if size as usize <= there && size != 0 {
                return Ok(Cow::Borrowed(bytes));
            }
            // RF64 keeps the true size elsewhere and all ones here; its samples are as many as there are bytes.
            if size != 0 && size < STREAMED {
                return Err(MediaError::truncated(format!(
                    "{there} of {size} bytes of sound are there"
                )));
            }
            return with_sizes(bytes, body);
        }
        // Chunks begin at even places.
        at = body
            .saturating_add(size as usize)
            .saturating_add(size as usize & 1);
    }
    Err(MediaError::truncated("the WAV has no samples"))
}

/// A copy whose sizes say what is there, in whole frames.
fn with_sizes(bytes: &[u8], body: usize) -> Result<Cow<'_, [u8]>, MediaError> {
    let too_large = || MediaError::corrupt("a WAV above four gigabytes");
    let align = find_block_align(bytes)
        .filter(|align| *align > 0)
        .unwrap_or(1);
    let there = (bytes.len() - body) / align * align;
    if there == 0 {
        return Err(MediaError::Empty);
    }
    let mut copy = bytes[..body + there].to_vec();
    let data_len = u32::try_from(there).map_err(|_| too_large())?;
    let riff_len = u32::try_from(copy.len() - 8).map_err(|_| too_large())?;
    copy[..4].copy_from_slice(b"RIFF");
    copy[4..8].copy_from_slice(&riff_len.to_le_bytes());
    copy[body - 4..body].copy_from_slice(&data_len.to_le_bytes());
    Ok(Cow::Owned(copy))
}

/// Bytes of one sample in all channels, from the `fmt ` chunk.
fn find_block_align(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(4_096)];
    let at = head.windows(4).position(|window| window == b"fmt ")?;
    let field = head.get(at + 20..at + 22)?;
    Some(usize::from(u16::from_le_bytes([field[0], field[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav_with_size(size: u32) -> Vec<u8> {
        let mut wav = crate::encode::wav(&[0.5; 10], 8_000).expect("a sound");
        wav[40..44].copy_from_slice(&size.to_le_bytes());
        wav
    }

    #[test]
    fn only_an_honest_or_an_unfilled_size_passes() {
        assert!(matches!(
            settle_sizes(&wav_with_size(20)),
            Ok(Cow::Borrowed(_))
        ));
        for unfilled in [0, u32::MAX] {
            assert_eq!(
                settle_sizes(&wav_with_size(unfilled)).expect("settled"),
                wav_with_size(20)
            );
        }
        assert!(matches!(
            settle_sizes(&wav_with_size(22)),
            Err(MediaError::Truncated { .. })
        ));
        assert!(matches!(
            settle_sizes(&wav_with_size(20)[..40]),
            Err(MediaError::Truncated { .. })
        ));
    }
}

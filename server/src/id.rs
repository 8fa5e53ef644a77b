//! Ids of traces: short, typeable, not to be guessed.

use crate::error::ServerError;

/// No 0/o, 1/l/i: an id is read out in a workshop room.
const LETTERS: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// Letters in an id: 12 of 31 are 59 bits.
const LENGTH: usize = 12;

/// A new id.
pub fn fresh() -> Result<String, ServerError> {
    let mut id = String::with_capacity(LENGTH);
    while id.len() < LENGTH {
        let mut byte = [0u8; 1];
        getrandom::fill(&mut byte).map_err(ServerError::Random)?;
        // 248 = 8 * 31: the bytes above would favour the first letters.
        if byte[0] < 248 {
            id.push(char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]));
        }
    }
    Ok(id)
}

/// The id of a content: the same content, the same id.
pub fn of(content: &str) -> String {
    let hash = blake3::hash(content.as_bytes());
    // Each letter from two bytes: the 31 do not divide 65,536, but favour none by more than one in two thousand.
    (hash.as_bytes().chunks_exact(2).take(LENGTH))
        .map(|pair| {
            let value = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
            char::from(LETTERS[value % LETTERS.len()])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_content_has_one_short_id() {
        let id = super::of("t?s=1");
        assert_eq!(id, super::of("t?s=1"));
        assert_ne!(id, super::of("t?s=2"));
        assert!(id.len() == 12 && id.bytes().all(|letter| super::LETTERS.contains(&letter)));
    }
}

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

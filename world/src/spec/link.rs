//! A specification as part of an address, and back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Spec;
use crate::WorldError;

/// No composed sample needs more letters.
const LONGEST: usize = 8_192;

impl Spec {
    /// As letters that an address may hold.
    #[must_use]
    pub fn to_link(&self) -> String {
        // A specification is made of words and numbers: nothing in it can fail to be written.
        let json = serde_json::to_string(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    /// What [`Self::to_link`] wrote; not yet checked.
    ///
    /// # Errors
    /// [`WorldError::Spec`] with a sentence for anything else.
    pub fn from_link(link: &str) -> Result<Self, WorldError> {
        let damaged = || {
            WorldError::Spec(
                "The link does not hold a composed sample. Check that it was copied to its end."
                    .to_owned(),
            )
        };
        if link.len() > LONGEST {
            return Err(damaged());
        }
        let json = URL_SAFE_NO_PAD.decode(link).map_err(|_| damaged())?;
        serde_json::from_slice(&json).map_err(|_| damaged())
    }
}

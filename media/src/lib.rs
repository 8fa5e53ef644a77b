//! Hostile bytes -> decoded image, sound and frames, within limits; and the encoders the world writes its files with.

mod colour;
pub mod encode;
mod error;
mod limits;

pub use error::MediaError;
pub use limits::Limits;

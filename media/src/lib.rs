//! Hostile bytes -> decoded image, sound and frames, and sounds made drawable, within limits; and the encoders the world
//! writes its files with.

mod child;
mod colour;
pub mod encode;
mod error;
mod fence;
mod ffmpeg;
mod film;
mod jpeg;
mod limits;
mod mp4;
mod notes;
mod picture;
mod sniff;
mod sound;
mod sps;
pub mod view;
mod wav;

pub use child::{Fences, fences};
pub use error::MediaError;
pub use film::{Film, FilmInfo};
pub use limits::Limits;
pub use notes::{is_cleaned, without_notes};
pub use picture::{Picture, Transparency, decode_image, decode_image_as, image_size};
pub use sniff::{Family, Kind, sniff};
pub use sound::{Sound, decode_sound};

/// The name of a file by its content: 32 hexadecimal digits (the first 128 bits of BLAKE3).
pub fn content_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..32].to_owned()
}

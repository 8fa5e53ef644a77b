//! Parts of a specification on their own, seen and heard while the rest of it is still being put together.
//! The whole sample shows and plays exactly these.

use super::check::{check_events, check_picture, check_said, check_scene};
use super::{EventSpec, PictureSpec, SaidSpec, SceneSpec};
use crate::WorldError;
use crate::picture;
use crate::sample::{Film, Picture, Scene, Sound};
use crate::track::{self, Span};

/// The picture; `number`: which of the sample's pictures.
///
/// # Errors
/// [`WorldError::Spec`] with a sentence where the picture itself is out of bounds.
pub fn picture(spec: &PictureSpec, seed: u32, number: usize) -> Result<Picture, WorldError> {
    check_picture(spec)?;
    let chosen = spec.in_reading_order();
    Ok(picture::draw_specified(spec, &chosen, seed, number))
}

/// The track of sound events, and start and end of each in seconds.
///
/// # Errors
/// [`WorldError::Spec`] with a sentence where an event is out of bounds.
pub fn events(sounds: &[EventSpec], seed: u32) -> Result<(Sound, Vec<Span>), WorldError> {
    check_events(sounds)?;
    Ok(track::of_specified(sounds, seed))
}

/// The track of spoken sentences, and start and end of each in seconds.
///
/// # Errors
/// [`WorldError::Spec`] with a sentence where a sentence is out of bounds, [`WorldError::Unspeakable`] without words.
pub fn speech(said: &[SaidSpec], seed: u32) -> Result<(Sound, Vec<Span>), WorldError> {
    said.iter().try_for_each(check_said)?;
    let (sound, told) = track::of_said(said, seed)?;
    Ok((sound, told.into_iter().map(|(_, span)| span).collect()))
}

/// The film.
///
/// # Errors
/// [`WorldError::Spec`] with a sentence where a scene is out of bounds.
pub fn film(scenes: &[SceneSpec], seed: u32) -> Result<Film, WorldError> {
    scenes.iter().try_for_each(|own| check_scene(own, 4))?;
    let (cut, sound) = cut(scenes, seed);
    Ok(crate::film::draw_specified(cut, sound, seed))
}

/// The scenes one after another, and their sound.
fn cut(specs: &[SceneSpec], seed: u32) -> (Vec<Scene>, Sound) {
    let cut = super::cut(specs);
    let sound = track::of_scenes(&cut, specs, seed).0;
    (cut, sound)
}

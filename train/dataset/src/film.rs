//! A film as the model sees it: its frames at 2 per second and its sound.

use anyhow::Result;
use world::film::sampled_frames;
use world::sample::{FILM_FPS, Film};

/// The frames the model samples, and which frames of the film they are.
pub(crate) fn seen(film: &Film) -> Result<(Vec<Vec<u8>>, Vec<usize>)> {
    let picked = sampled_frames(film.frames.len(), f64::from(FILM_FPS));
    let frames = picked
        .iter()
        .filter_map(|&k| film.frames.get(k).cloned())
        .collect();
    Ok((frames, picked))
}

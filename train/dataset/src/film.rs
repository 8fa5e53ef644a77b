//! A film as the model sees it: written as MP4, decoded again, sampled at 2 frames per second.

use anyhow::{Result, ensure};
use media::Limits;
use world::film::sampled_frames;
use world::sample::Film;

/// What the model is given of a film.
pub(crate) struct Seen {
    /// The sampled frames, RGB.
    pub frames: Vec<Vec<u8>>,
    /// Which frames of the film they are.
    pub indices: Vec<usize>,
    /// The sound as decoded.
    pub samples: Vec<f32>,
}

/// Through the file and back, so that training sees the codec's losses.
pub(crate) fn seen(film: &Film) -> Result<Seen> {
    let file = world::files::mp4(film)?;
    let opened = media::Film::open(&file, &Limits::default())?;
    let info = opened.info();
    ensure!(
        (info.width, info.height, info.frame_count) == (film.width, film.height, film.frames.len()),
        "the decoded film differs from the drawn one: {info:?}"
    );
    let indices = sampled_frames(info.frame_count, info.fps);
    let frames = opened
        .frames(&indices)?
        .into_iter()
        .map(|picture| picture.rgb)
        .collect();
    let samples = opened
        .sound()?
        .map(|sound| sound.samples)
        .unwrap_or_default();
    Ok(Seen {
        frames,
        indices,
        samples,
    })
}

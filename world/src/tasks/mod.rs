//! The six tasks: each fills a script from random numbers within its split.

pub(crate) mod audio_qa;
pub(crate) mod dialogue;
pub(crate) mod mixed;
pub(crate) mod speech;
pub(crate) mod video_qa;
pub(crate) mod visual_qa;

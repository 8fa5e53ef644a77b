//! Films: one coloured shape at a time moves over the ground; scenes begin at whole seconds.

use crate::picture::{Canvas, Stamp, ground, ink};
use crate::rng::Rng;
use crate::sample::{FILM_FPS, Film, Placed, Scene, Sound};

/// Side of a film's frame.
pub const FRAME_SIDE_PX: u32 = 112;

/// Draws the scenes, one after another without gap, over `sound`.
pub(crate) fn draw(scenes: Vec<Scene>, sound: Sound, rng: &mut Rng) -> Film {
    let ground = ground(rng);
    let shots = scenes.iter().map(|scene| shot(scene, ground, rng));
    let frames = shots.flatten().collect();
    joined(scenes, frames, sound)
}

/// The same for a specification. A scene keeps its shot when scenes change places.
pub(crate) fn draw_specified(scenes: Vec<Scene>, sound: Sound, seed: u32) -> Film {
    let stream = |part: &str| Rng::keyed(u64::from(seed), &format!("composed/film/{part}"));
    let ground = ground(&mut stream("ground"));
    let shots = scenes
        .iter()
        .map(|scene| shot(scene, ground, &mut stream(&scene.look.name())));
    let frames = shots.flatten().collect();
    joined(scenes, frames, sound)
}

fn joined(scenes: Vec<Scene>, frames: Vec<(Vec<u8>, Placed)>, sound: Sound) -> Film {
    let (frames, shown) = frames.into_iter().unzip();
    Film {
        width: FRAME_SIDE_PX,
        height: FRAME_SIDE_PX,
        frames,
        shown,
        scenes,
        sound,
    }
}

/// The frames of one shape on its straight way between two random points.
fn shot(scene: &Scene, ground: [u8; 3], rng: &mut Rng) -> Vec<(Vec<u8>, Placed)> {
    let look = scene.look;
    let count = ((scene.end_secs - scene.start_secs) * f64::from(FILM_FPS)) as usize;
    let ink = ink(look.colour, rng);
    let radius_px = rng.range_f64(24.0, 31.0);
    let (low, high) = (radius_px + 4.0, f64::from(FRAME_SIDE_PX) - radius_px - 4.0);
    let mut point = || (rng.range_f64(low, high), rng.range_f64(low, high));
    let (from, to) = (point(), point());
    (0..count)
        .map(|k| {
            let t = k as f64 / count.saturating_sub(1).max(1) as f64;
            let mut canvas = Canvas::new(FRAME_SIDE_PX, FRAME_SIDE_PX, ground);
            let placed = canvas.draw(Stamp {
                look,
                ink,
                centre_px: (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t),
                radius_px,
            });
            (canvas.into_rgb(), placed)
        })
        .collect()
}

/// The frames a model at 2 frames per second sees, by Qwen's rule: an even number of indices spread evenly over the film.
#[must_use]
pub fn sampled_frames(total: usize, fps: f64) -> Vec<usize> {
    if total == 0 || !fps.is_finite() || fps <= 0.0 {
        return Vec::new();
    }
    let wanted = (total as f64 / fps * 2.0).clamp(2.0, total.max(2) as f64);
    let count = libm::floor(wanted / 2.0) as usize * 2;
    let last = (total - 1) as f64;
    (0..count)
        .map(|k| {
            // Half to even, as numpy and torch round.
            libm::rint(k as f64 * last / (count - 1) as f64) as usize
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::sampled_frames;

    #[test]
    fn two_frames_per_second_stay_within_their_second() {
        for secs in 1..=30_usize {
            let picked = sampled_frames(secs * 8, 8.0);
            assert_eq!(picked.len(), secs * 2);
            for (k, index) in picked.iter().enumerate() {
                assert_eq!(index / 8, k / 2, "frame {k} of {secs} s");
            }
        }
        assert!(sampled_frames(0, 8.0).is_empty());
    }
}

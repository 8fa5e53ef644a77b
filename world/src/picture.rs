//! Draws coloured shapes: plain arithmetic only, so that every platform draws the same pixels.

use crate::attributes::{Colour, Look, Quadrant, Shape};
use crate::rng::Rng;
use crate::sample::{Picture, Placed};
use crate::spec::PictureSpec;

/// Width of the dark frame around every picture. It gives the small vision tower a sense of place.
const FRAME_PX: u32 = 2;
/// Sub-samples per pixel and axis, for smooth edges.
const SUBSAMPLES: u32 = 3;

/// Picture sizes (width, height): multiples of 28, one vision token per 28 x 28 pixels.
pub const SIZES: [(u32, u32); 9] = [
    (112, 112),
    (140, 112),
    (112, 140),
    (168, 112),
    (112, 168),
    (140, 140),
    (168, 140),
    (140, 168),
    (168, 168),
];

/// A canvas with a light ground and a dark frame.
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// A shape to draw: where its middle lies and how far it reaches, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub look: Look,
    pub ink: [u8; 3],
    pub centre_px: (f64, f64),
    pub radius_px: f64,
}

/// A light ground colour.
pub(crate) fn ground(rng: &mut Rng) -> [u8; 3] {
    let base = 228 + rng.below(22);
    [0; 3].map(|_: u8| (base + rng.below(7)) as u8)
}

/// A colour close to the middle of its range.
pub(crate) fn ink(colour: Colour, rng: &mut Rng) -> [u8; 3] {
    colour.rgb().map(|c| {
        let varied = i32::from(c) + rng.below(21) as i32 - 10;
        varied.clamp(0, 255) as u8
    })
}

impl Canvas {
    fn without_frame(width: u32, height: u32, ground: [u8; 3]) -> Self {
        let pixels = width as usize * height as usize;
        let rgb = std::iter::repeat_n(ground, pixels).flatten().collect();
        Self { width, height, rgb }
    }

    pub(crate) fn new(width: u32, height: u32, ground: [u8; 3]) -> Self {
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for y in 0..height {
            for x in 0..width {
                let frame =
                    x < FRAME_PX || y < FRAME_PX || x >= width - FRAME_PX || y >= height - FRAME_PX;
                rgb.extend_from_slice(if frame { &[40, 40, 44] } else { &ground });
            }
        }
        Self { width, height, rgb }
    }

    /// Draws and returns what was drawn and the exact rectangle of the touched pixels.
    pub(crate) fn draw(&mut self, stamp: Stamp) -> Placed {
        let Stamp {
            look,
            ink,
            centre_px: (cx, cy),
            radius_px: r,
        } = stamp;
        let star = star_points();
        let low = |c: f64| libm::floor((c - r).max(0.0)) as u32;
        let high = |c: f64, limit: u32| (libm::ceil((c + r).max(0.0)) as u32).min(limit);
        let (mut x0, mut y0, mut x1, mut y1) = (self.width, self.height, 0, 0);
        for y in low(cy)..high(cy, self.height) {
            for x in low(cx)..high(cx, self.width) {
                let mut inside = 0;
                for sy in 0..SUBSAMPLES {
                    for sx in 0..SUBSAMPLES {
                        let step = 1.0 / f64::from(SUBSAMPLES);
                        let u = (f64::from(x) + (f64::from(sx) + 0.5) * step - cx) / r;
                        let v = (f64::from(y) + (f64::from(sy) + 0.5) * step - cy) / r;
                        inside += u32::from(covers(look.shape, u, v, &star));
                    }
                }
                if inside == 0 {
                    continue;
                }
                (x0, y0) = (x0.min(x), y0.min(y));
                (x1, y1) = (x1.max(x + 1), y1.max(y + 1));
                let at = (y as usize * self.width as usize + x as usize) * 3;
                let all = SUBSAMPLES * SUBSAMPLES;
                if let Some(pixel) = self.rgb.get_mut(at..at + 3) {
                    for (p, i) in pixel.iter_mut().zip(ink) {
                        let mixed = u32::from(*p) * (all - inside) + u32::from(i) * inside;
                        *p = ((mixed + all / 2) / all) as u8;
                    }
                }
            }
        }
        let (w, h) = (f64::from(self.width), f64::from(self.height));
        let fraction = |px: u32, of: f64| libm::round(f64::from(px) / of * 10_000.0) / 10_000.0;
        Placed {
            look,
            rect: [
                fraction(x0.min(x1), w),
                fraction(y0.min(y1), h),
                fraction(x1, w),
                fraction(y1, h),
            ],
        }
    }

    pub(crate) fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }
}

/// The ten corners of a five-pointed star of radius 1.
fn star_points() -> [(f64, f64); 10] {
    let mut points = [(0.0, 0.0); 10];
    for (k, point) in points.iter_mut().enumerate() {
        let radius = if k % 2 == 0 { 1.0 } else { 0.42 };
        let angle = core::f64::consts::PI * (k as f64 / 5.0 - 0.5);
        *point = (radius * libm::cos(angle), radius * libm::sin(angle));
    }
    points
}

/// Whether the shape of radius 1 covers the point; `v` grows downwards.
fn covers(shape: Shape, u: f64, v: f64, star: &[(f64, f64); 10]) -> bool {
    let (au, av) = (u.abs(), v.abs());
    let rr = u * u + v * v;
    match shape {
        Shape::Circle => rr <= 1.0,
        Shape::Square => au <= 0.85 && av <= 0.85,
        Shape::Triangle => v <= 0.8 && v >= -1.0 + au * (1.8 / 0.98),
        Shape::Star => even_odd(star, u, v),
        Shape::Heart => {
            let (x, y) = (u * 1.16, 0.13 - v * 1.15);
            let k = x * x + y * y - 1.0;
            k * k * k - x * x * y * y * y <= 0.0
        }
        Shape::Cross => (au <= 0.32 || av <= 0.32) && au <= 0.95 && av <= 0.95,
        Shape::Ring => (0.34..=1.0).contains(&rr),
        Shape::Diamond => au * 1.4 + av <= 1.0,
    }
}

/// Point in polygon by crossings.
fn even_odd(points: &[(f64, f64); 10], u: f64, v: f64) -> bool {
    let mut inside = false;
    let mut previous = points[9];
    for &point in points {
        let ((xa, ya), (xb, yb)) = (previous, point);
        if (ya > v) != (yb > v) && u < (xb - xa) * (v - ya) / (yb - ya) + xa {
            inside = !inside;
        }
        previous = point;
    }
    inside
}

/// How far the middle of a shape of this radius may lie from the middle of its quarter, in pixels, on either axis.
///
/// Half of the smaller side's quarter is 28 px: this keeps a shape inside its quarter and off the frame.
pub(crate) fn slack_px(radius_px: f64) -> f64 {
    26.0 - radius_px
}

/// The picture of a specification. `chosen`: its looks in reading order; `number`: which of the sample's pictures.
pub(crate) fn draw_specified(
    spec: &PictureSpec,
    chosen: &[(Look, Quadrant)],
    seed: u32,
    number: usize,
) -> Picture {
    // A stream per part: to move one thing changes nothing else.
    let stream = |part: &str| Rng::keyed(u64::from(seed), &format!("composed/{number}/{part}"));
    let (width, height) = (spec.width, spec.height);
    let mut canvas = Canvas::new(width, height, ground(&mut stream("ground")));
    let objects = (chosen.iter())
        .filter_map(|&(look, quadrant)| {
            let own = spec.objects.iter().find(|own| own.quadrant == quadrant)?;
            let (fx, fy) = quadrant.centre();
            let centre_px = (
                fx * f64::from(width) + f64::from(own.dx),
                fy * f64::from(height) + f64::from(own.dy),
            );
            Some(canvas.draw(Stamp {
                look,
                ink: ink(look.colour, &mut stream(&look.name())),
                centre_px,
                radius_px: f64::from(own.radius_px),
            }))
        })
        .collect();
    Picture {
        width,
        height,
        rgb: canvas.into_rgb(),
        objects,
    }
}

/// A shape alone on a ground of its own, RGB, as large as its canvas allows: for buttons that offer it.
#[must_use]
pub fn swatch(look: Look, side_px: u32, ground: [u8; 3]) -> Vec<u8> {
    let mut canvas = Canvas::without_frame(side_px, side_px, ground);
    let half = f64::from(side_px) / 2.0;
    canvas.draw(Stamp {
        look,
        ink: look.colour.rgb(),
        centre_px: (half, half),
        radius_px: half * 0.94,
    });
    canvas.into_rgb()
}

/// A picture of a size drawn from [`SIZES`] (the smallest four times in ten) with each look in its quarter.
pub(crate) fn draw(looks: &[(Look, Quadrant)], rng: &mut Rng) -> Picture {
    let (width, height) = if rng.chance(0.4) {
        SIZES[0]
    } else {
        SIZES[1 + rng.below(SIZES.len() - 1)]
    };
    let mut canvas = Canvas::new(width, height, ground(rng));
    let objects = looks
        .iter()
        .map(|&(look, quadrant)| {
            let radius = rng.range_f64(19.0, 24.0);
            let (fx, fy) = quadrant.centre();
            let slack = slack_px(radius);
            let centre_px = (
                fx * f64::from(width) + rng.range_f64(-slack, slack),
                fy * f64::from(height) + rng.range_f64(-slack, slack),
            );
            canvas.draw(Stamp {
                look,
                ink: ink(look.colour, rng),
                centre_px,
                radius_px: radius,
            })
        })
        .collect();
    Picture {
        width,
        height,
        rgb: canvas.into_rgb(),
        objects,
    }
}

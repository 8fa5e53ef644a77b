//! RGB <-> planar 4:2:0 YCbCr, by the matrix and range that a film declares.

/// The luma weights of a stream (ITU-T H.264, table E-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matrix {
    /// SD film, and what decoders assume when a stream says nothing.
    Bt601,
    /// HD film.
    Bt709,
    /// UHD film (non-constant luminance).
    Bt2020,
}

impl Matrix {
    /// From `matrix_coefficients`; `None` for those that are no YCbCr of ours (identity RGB, YCgCo).
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Bt709),
            // 2 is "unspecified": swscale, and so the reference, takes BT.601. 4, 5, 6 and 7 differ in the third digit at most.
            2 | 4 | 5 | 6 | 7 => Some(Self::Bt601),
            9 | 10 => Some(Self::Bt2020),
            _ => None,
        }
    }

    /// (red, blue) luma weights; green is what remains to 1.
    fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// What a stream's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    pub(crate) matrix: Matrix,
    /// 0..=255 instead of 16..=235.
    pub(crate) full_range: bool,
}

/// A 4:2:0 picture: planes with their strides, as a decoder hands them out.
pub(crate) struct Planes<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) y: &'a [u8],
    pub(crate) u: &'a [u8],
    pub(crate) v: &'a [u8],
    pub(crate) y_stride: usize,
    pub(crate) uv_stride: usize,
}

impl Colours {
    /// Gains of (luma, red from V, blue from U, green from U, green from V) in 1/8192, and the luma of black.
    ///
    /// The five whole numbers a matrix that libswscale starts from, and its rounding: the reference pipeline converts
    /// with it, and so a frame here is the very frame its models were shown.
    fn gains(self) -> ([i32; 5], i32) {
        let (r_v, b_u, g_u, g_v): (i64, i64, i64, i64) = match self.matrix {
            Matrix::Bt601 => (104_597, 132_201, 25_675, 53_279),
            Matrix::Bt709 => (117_489, 138_438, 13_975, 34_925),
            Matrix::Bt2020 => (110_013, 140_363, 12_277, 42_626),
        };
        let (luma, chroma): (i64, fn(i64) -> i64) = if self.full_range {
            (65_536, |gain| gain * 224 / 255)
        } else {
            (65_536 * 255 / 219, |gain| gain)
        };
        let round = |gain: i64| ((gain * 8_192 + (1 << 15)) >> 16) as i32;
        let gains = [luma, chroma(r_v), chroma(b_u), chroma(-g_u), chroma(-g_v)].map(round);
        (gains, if self.full_range { 0 } else { 16 })
    }
}

/// RGB of a decoded picture; each 2 x 2 block shares its chroma.
///
/// `None` when the planes are shorter than their strides claim.
pub(crate) fn to_rgb(planes: &Planes<'_>, colours: Colours) -> Option<Vec<u8>> {
    let ([luma, r_v, b_u, g_u, g_v], black) = colours.gains();
    let clip = |value: i32| value.clamp(0, 255) as u8;
    let mut rgb = Vec::with_capacity(planes.width * planes.height * 3);
    let uv_width = planes.width.div_ceil(2);
    for row in 0..planes.height {
        let y_row = planes.y.get(row * planes.y_stride..)?.get(..planes.width)?;
        let u_row = planes
            .u
            .get(row / 2 * planes.uv_stride..)?
            .get(..uv_width)?;
        let v_row = planes
            .v
            .get(row / 2 * planes.uv_stride..)?
            .get(..uv_width)?;
        for (column, &y) in y_row.iter().enumerate() {
            let y = ((i32::from(y) - black) * 8 * luma) >> 16;
            let u = (i32::from(*u_row.get(column / 2)?) - 128) * 8;
            let v = (i32::from(*v_row.get(column / 2)?) - 128) * 8;
            rgb.extend_from_slice(&[
                clip(y + ((v * r_v) >> 16)),
                clip(y + ((u * g_u) >> 16) + ((v * g_v) >> 16)),
                clip(y + ((u * b_u) >> 16)),
            ]);
        }
    }
    Some(rgb)
}

const BITS: u32 = 16;

fn fixed(value: f64) -> i64 {
    (value * f64::from(1u32 << BITS)).round() as i64
}

/// An owned 4:2:0 picture of even width and height, tightly packed.
pub(crate) struct Yuv {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
}

/// Limited-range YCbCr of an RGB picture; chroma is the mean of each 2 x 2 block. Width and height must be even.
pub(crate) fn from_rgb(rgb: &[u8], width: usize, height: usize, matrix: Matrix) -> Yuv {
    let (kr, kb) = matrix.weights();
    let kg = 1.0 - kr - kb;
    let (wr, wg, wb) = (
        fixed(kr * 219.0 / 255.0),
        fixed(kg * 219.0 / 255.0),
        fixed(kb * 219.0 / 255.0),
    );
    let cb_gain = 224.0 / 255.0 / (2.0 * (1.0 - kb));
    let cr_gain = 224.0 / 255.0 / (2.0 * (1.0 - kr));
    let (ur, ug, ub) = (
        fixed(-kr * cb_gain),
        fixed(-kg * cb_gain),
        fixed((1.0 - kb) * cb_gain),
    );
    let (vr, vg, vb) = (
        fixed((1.0 - kr) * cr_gain),
        fixed(-kg * cr_gain),
        fixed(-kb * cr_gain),
    );
    let half = 1i64 << (BITS - 1);
    let y = rgb
        .chunks_exact(3)
        .map(|p| {
            let sum = wr * i64::from(p[0]) + wg * i64::from(p[1]) + wb * i64::from(p[2]);
            (((sum + half) >> BITS) + 16).clamp(16, 235) as u8
        })
        .collect();
    let mut u = Vec::with_capacity(width * height / 4);
    let mut v = Vec::with_capacity(width * height / 4);
    for row in (0..height).step_by(2) {
        for column in (0..width).step_by(2) {
            let mut sum = [0i64; 3];
            for at in [row * width + column, row * width + column + 1] {
                for pixel in [at, at + width] {
                    for (channel, total) in sum.iter_mut().enumerate() {
                        *total += i64::from(rgb[pixel * 3 + channel]);
                    }
                }
            }
            // Two bits more than one pixel: four were added.
            let chroma = |r: i64, g: i64, b: i64| {
                let total = r * sum[0] + g * sum[1] + b * sum[2];
                (((total + half * 4) >> (BITS + 2)) + 128).clamp(16, 240) as u8
            };
            u.push(chroma(ur, ug, ub));
            v.push(chroma(vr, vg, vb));
        }
    }
    Yuv {
        width,
        height,
        y,
        u,
        v,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_colours_survive_both_matrices() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for colour in [
                [255, 0, 0],
                [0, 255, 0],
                [0, 0, 255],
                [255, 255, 255],
                [0, 0, 0],
                [200, 120, 40],
                [13, 200, 99],
            ] {
                let rgb: Vec<u8> = colour.iter().copied().cycle().take(4 * 4 * 3).collect();
                let yuv = from_rgb(&rgb, 4, 4, matrix);
                let planes = Planes {
                    width: 4,
                    height: 4,
                    y: &yuv.y,
                    u: &yuv.u,
                    v: &yuv.v,
                    y_stride: 4,
                    uv_stride: 2,
                };
                let back = to_rgb(
                    &planes,
                    Colours {
                        matrix,
                        full_range: false,
                    },
                )
                .expect("whole planes");
                for (a, b) in rgb.iter().zip(&back) {
                    assert!(
                        a.abs_diff(*b) <= 3,
                        "{matrix:?} {colour:?} came back as {:?}",
                        &back[..3]
                    );
                }
            }
        }
    }

    #[test]
    fn known_values_of_each_matrix() {
        // Pure red in limited range: Y = 16 + 219 Kr.
        let red: Vec<u8> = [255, 0, 0].iter().copied().cycle().take(12).collect();
        assert_eq!(from_rgb(&red, 2, 2, Matrix::Bt601).y[0], 81);
        assert_eq!(from_rgb(&red, 2, 2, Matrix::Bt709).y[0], 63);
    }

    #[test]
    fn short_planes_are_refused() {
        let planes = Planes {
            width: 4,
            height: 4,
            y: &[0; 15],
            u: &[0; 4],
            v: &[0; 4],
            y_stride: 4,
            uv_stride: 2,
        };
        assert!(
            to_rgb(
                &planes,
                Colours {
                    matrix: Matrix::Bt601,
                    full_range: false
                }
            )
            .is_none()
        );
    }
}

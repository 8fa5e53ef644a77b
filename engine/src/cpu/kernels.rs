//! The inner loops of decoding on the CPU: products with rows and columns of weights.
//! Each result is summed in one fixed order, whichever rows are computed together and by whichever thread.
#![allow(unsafe_code)]
// Indices run over registers and memory alike.
#![allow(clippy::needless_range_loop)]

use super::lanes::{LANES, Simd, for_each_level};

/// A stored number that widens to f32.
pub(crate) trait Weight: Copy + Send + Sync + 'static {
    unsafe fn lanes<S: Simd>(at: *const Self) -> S::V;
    fn widen(self) -> f32;
    /// Two vectors of weights, in the order of `matched`.
    #[inline(always)]
    unsafe fn two<S: Simd>(at: *const Self) -> (S::V, S::V) {
        unsafe { (Self::lanes::<S>(at), Self::lanes::<S>(at.add(LANES))) }
    }
    /// Two vectors of activations in the order of `two`.
    #[inline(always)]
    unsafe fn matched<S: Simd>(a: S::V, b: S::V) -> (S::V, S::V) {
        (a, b)
    }
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn lanes<S: Simd>(at: *const Self) -> S::V {
        unsafe { S::load(at) }
    }
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for half::bf16 {
    #[inline(always)]
    unsafe fn lanes<S: Simd>(at: *const Self) -> S::V {
        unsafe { S::load_bf16(at.cast()) }
    }
    // A whole cache line becomes two vectors by a shift and a mask; the few activations are shuffled to match.
    #[inline(always)]
    unsafe fn two<S: Simd>(at: *const Self) -> (S::V, S::V) {
        unsafe { S::load_bf16_pairs(at.cast()) }
    }
    #[inline(always)]
    unsafe fn matched<S: Simd>(a: S::V, b: S::V) -> (S::V, S::V) {
        unsafe { S::split_pairs(a, b) }
    }
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

impl Weight for half::f16 {
    #[inline(always)]
    unsafe fn lanes<S: Simd>(at: *const Self) -> S::V {
        unsafe { S::load_f16(at.cast()) }
    }
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

/// Weights are asked for at least so many elements ahead, by whole groups of rows: a memory's delay, not more.
const AHEAD: usize = 2048;

/// `out[r] = sum_i w[r * n + i] x[i]` for `rows` rows of `n`.
#[inline(always)]
unsafe fn rows_dot<S: Simd, W: Weight>(
    w: *const W,
    n: usize,
    rows: usize,
    x: *const f32,
    out: *mut f32,
) {
    let mut row = 0;
    unsafe {
        while row + 4 <= rows {
            dot::<S, W, 4>(w.add(row * n), n, x, out.add(row));
            row += 4;
        }
        while row < rows {
            dot::<S, W, 1>(w.add(row * n), n, x, out.add(row));
            row += 1;
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd, W: Weight, const R: usize>(
    w: *const W,
    n: usize,
    x: *const f32,
    out: *mut f32,
) {
    unsafe {
        let mut even = [S::splat(0.0); R];
        let mut odd = [S::splat(0.0); R];
        let ahead = AHEAD.next_multiple_of(4 * n);
        let mut i = 0;
        while i + 2 * LANES <= n {
            let (x0, x1) = W::matched::<S>(S::load(x.add(i)), S::load(x.add(i + LANES)));
            for r in 0..R {
                let at = w.add(r * n + i);
                S::prefetch(at.wrapping_add(ahead).cast());
                if size_of::<W>() == 4 {
                    S::prefetch(at.wrapping_add(ahead + LANES).cast());
                }
                let (w0, w1) = W::two::<S>(at);
                even[r] = S::fma(w0, x0, even[r]);
                odd[r] = S::fma(w1, x1, odd[r]);
            }
            i += 2 * LANES;
        }
        for r in 0..R {
            let mut sum = S::sum(S::add(even[r], odd[r]));
            for j in i..n {
                sum += (*w.add(r * n + j)).widen() * *x.add(j);
            }
            *out.add(r) = sum;
        }
    }
}

for_each_level!(
    /// `out[r] = <w[r], x>` for `rows` rows of `n` f32 weights.
    ///
    /// # Safety
    /// `w` has `rows * n` elements, `x` has `n`, `out` has `rows`.
    rows_dot_f32(w: *const f32, n: usize, rows: usize, x: *const f32, out: *mut f32) = rows_dot::<f32>
);
for_each_level!(
    /// As [`rows_dot_f32`].
    ///
    /// # Safety
    /// As [`rows_dot_f32`].
    rows_dot_bf16(w: *const half::bf16, n: usize, rows: usize, x: *const f32, out: *mut f32) = rows_dot::<half::bf16>
);
for_each_level!(
    /// As [`rows_dot_f32`].
    ///
    /// # Safety
    /// As [`rows_dot_f32`].
    rows_dot_f16(w: *const half::f16, n: usize, rows: usize, x: *const f32, out: *mut f32) = rows_dot::<half::f16>
);

/// `out[c] = sum_r g[r] w[r * n + c]` for `cols` columns from `w` on: rows in order, columns independent.
#[inline(always)]
unsafe fn columns_dot<S: Simd, W: Weight>(
    w: *const W,
    n: usize,
    rows: usize,
    g: *const f32,
    cols: usize,
    out: *mut f32,
) {
    unsafe {
        let mut c = 0;
        while c + 16 * LANES <= cols {
            columns::<S, W, 16>(w.add(c), n, rows, g, out.add(c));
            c += 16 * LANES;
        }
        while c + 4 * LANES <= cols {
            columns::<S, W, 4>(w.add(c), n, rows, g, out.add(c));
            c += 4 * LANES;
        }
        while c + LANES <= cols {
            columns::<S, W, 1>(w.add(c), n, rows, g, out.add(c));
            c += LANES;
        }
        for c in c..cols {
            let mut sum = 0.0;
            for r in 0..rows {
                sum += *g.add(r) * (*w.add(r * n + c)).widen();
            }
            *out.add(c) = sum;
        }
    }
}

#[inline(always)]
unsafe fn columns<S: Simd, W: Weight, const C: usize>(
    w: *const W,
    n: usize,
    rows: usize,
    g: *const f32,
    out: *mut f32,
) {
    unsafe {
        let mut sums = [S::splat(0.0); C];
        for r in 0..rows {
            let factor = S::splat(*g.add(r));
            let at = w.add(r * n);
            for c in 0..C {
                if c % 2 == 0 || size_of::<W>() == 4 {
                    S::prefetch(at.wrapping_add(8 * n + c * LANES).cast());
                }
                sums[c] = S::fma(W::lanes::<S>(at.add(c * LANES)), factor, sums[c]);
            }
        }
        for c in 0..C {
            S::store(out.add(c * LANES), sums[c]);
        }
    }
}

for_each_level!(
    /// `out[c] = sum_r g[r] w[r * n + c]`, `c < cols`, `r < rows`.
    ///
    /// # Safety
    /// `w` has `(rows - 1) * n + cols` elements, `g` has `rows`, `out` has `cols`.
    columns_dot_f32(w: *const f32, n: usize, rows: usize, g: *const f32, cols: usize, out: *mut f32) = columns_dot::<f32>
);
for_each_level!(
    /// As [`columns_dot_f32`].
    ///
    /// # Safety
    /// As [`columns_dot_f32`].
    columns_dot_bf16(w: *const half::bf16, n: usize, rows: usize, g: *const f32, cols: usize, out: *mut f32)
        = columns_dot::<half::bf16>
);
for_each_level!(
    /// As [`columns_dot_f32`].
    ///
    /// # Safety
    /// As [`columns_dot_f32`].
    columns_dot_f16(w: *const half::f16, n: usize, rows: usize, g: *const f32, cols: usize, out: *mut f32)
        = columns_dot::<half::f16>
);

/// `out[i] = w[i]`, widened.
#[inline(always)]
unsafe fn widened<S: Simd, W: Weight>(w: *const W, n: usize, out: *mut f32) {
    unsafe {
        let mut i = 0;
        while i + LANES <= n {
            S::store(out.add(i), W::lanes::<S>(w.add(i)));
            i += LANES;
        }
        for i in i..n {
            *out.add(i) = (*w.add(i)).widen();
        }
    }
}

for_each_level!(
    /// `out[i] = w[i]`.
    ///
    /// # Safety
    /// Both have `n` elements.
    widen_bf16(w: *const half::bf16, n: usize, out: *mut f32) = widened::<half::bf16>
);
for_each_level!(
    /// As [`widen_bf16`].
    ///
    /// # Safety
    /// As [`widen_bf16`].
    widen_f16(w: *const half::f16, n: usize, out: *mut f32) = widened::<half::f16>
);

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::super::noise::{assert_close, noise};
    use super::*;

    #[test]
    fn products_are_right_in_every_format_and_size() {
        for (rows, n) in [(1, 1), (4, 16), (7, 33), (5, 128), (9, 75)] {
            let w: Vec<half::bf16> = noise(rows * n, 3)
                .into_iter()
                .map(half::bf16::from_f32)
                .collect();
            let h: Vec<half::f16> = w.iter().map(|w| half::f16::from_f32(w.to_f32())).collect();
            let f: Vec<f32> = w.iter().map(|w| w.to_f32()).collect();
            let (x, g) = (noise(n, 5), noise(rows, 9));
            let at = |r: usize, c: usize| f64::from(f[r * n + c]);
            let forward: Vec<f64> = (0..rows)
                .map(|r| (0..n).map(|c| at(r, c) * f64::from(x[c])).sum())
                .collect();
            let backward: Vec<f64> = (0..n)
                .map(|c| (0..rows).map(|r| at(r, c) * f64::from(g[r])).sum())
                .collect();
            let (mut out, mut back) = (vec![0f32; rows], vec![0f32; n]);
            // SAFETY: the slices have the sizes that are passed.
            unsafe {
                let (x, g) = (x.as_ptr(), g.as_ptr());
                rows_dot_f32(f.as_ptr(), n, rows, x, out.as_mut_ptr());
                assert_close(&out, &forward, 1e-5);
                rows_dot_bf16(w.as_ptr(), n, rows, x, out.as_mut_ptr());
                assert_close(&out, &forward, 1e-5);
                let wide = out.clone();
                rows_dot::<Plain, half::bf16>(w.as_ptr(), n, rows, x, out.as_mut_ptr());
                assert_close(&out, &forward, 1e-5);
                // Rows alone give the same bits as rows together.
                for (r, together) in wide.iter().enumerate() {
                    rows_dot_bf16(w.as_ptr().add(r * n), n, 1, x, out.as_mut_ptr());
                    assert_eq!(out[0].to_bits(), together.to_bits());
                }
                rows_dot_f16(h.as_ptr(), n, rows, x, out.as_mut_ptr());
                assert_close(&out, &forward, 1e-3);
                columns_dot_f32(f.as_ptr(), n, rows, g, n, back.as_mut_ptr());
                assert_close(&back, &backward, 1e-5);
                columns_dot_bf16(w.as_ptr(), n, rows, g, n, back.as_mut_ptr());
                assert_close(&back, &backward, 1e-5);
                columns_dot::<Plain, half::f16>(h.as_ptr(), n, rows, g, n, back.as_mut_ptr());
                assert_close(&back, &backward, 1e-3);
            }
        }
    }
}

//! Products of weights with the vectors of several generations: a row is read and widened once for all of them.
//! Each product is summed in the order in which one vector alone is summed ([`super::kernels`]): the same bits.
#![allow(unsafe_code)]
// Indices run over registers and memory alike.
#![allow(clippy::needless_range_loop)]

use super::kernels::Weight;
use super::lanes::{LANES, Simd, for_each_level};

/// Values of a vector that stand together where vectors stand side by side.
const TWO: usize = 2 * LANES;
/// Bytes of weights that stay in the first cache while one group of vectors after the other is multiplied with them.
const NEAR_BYTES: usize = 12 << 10;
/// From this length on four vectors fill the first cache.
const LONG: usize = 768;
/// Rows of a transposed product that stay there.
const NEAR_ROWS: usize = 32;

/// Floats that `count` vectors of `n` take side by side: all that they have.
pub(crate) fn packed_len(n: usize, count: usize) -> usize {
    n * count
}

/// Puts vector `which` of `count` beside the others: `[n / 32, count, 32]` in the order in which weights are widened, and
/// what is left over behind it, `[count, n % 32]`.
#[inline(always)]
unsafe fn packed<S: Simd, W: Weight>(
    x: *const f32,
    n: usize,
    which: usize,
    count: usize,
    out: *mut f32,
) {
    unsafe {
        let mut i = 0;
        while i + TWO <= n {
            let (a, b) = W::matched::<S>(S::load(x.add(i)), S::load(x.add(i + LANES)));
            let to = out.add(i * count + which * TWO);
            S::store(to, a);
            S::store(to.add(LANES), b);
            i += TWO;
        }
        let rest = n - i;
        std::ptr::copy_nonoverlapping(x.add(i), out.add(i * count + which * rest), rest);
    }
}

for_each_level!(
    /// Puts vector `which` of `count` in its place among them.
    ///
    /// # Safety
    /// `x` has `n` elements, `out` [`packed_len`]; `which < count`.
    pack_f32(x: *const f32, n: usize, which: usize, count: usize, out: *mut f32) = packed::<f32>
);
for_each_level!(
    /// As [`pack_f32`].
    ///
    /// # Safety
    /// As [`pack_f32`].
    pack_bf16(x: *const f32, n: usize, which: usize, count: usize, out: *mut f32) = packed::<half::bf16>
);

/// `outs[j][r] = sum_i w[r * n + i] x_j[i]` for `rows` rows of `n` and `count` packed vectors.
#[inline(always)]
unsafe fn rows_dot<S: Simd, W: Weight>(
    w: *const W,
    n: usize,
    rows: usize,
    x: *const f32,
    count: usize,
    outs: *const *mut f32,
) {
    let near = (NEAR_BYTES / (n * size_of::<W>()).max(1)).next_multiple_of(4);
    let mut row = 0;
    while row < rows {
        let here = near.min(rows - row);
        let mut first = 0;
        while first < count {
            // Where four vectors leave room for rows in the first cache, they are taken with two rows at once; otherwise two
            // or three vectors with four.
            let size = match (count - first).min(S::VECTORS) {
                4 if n >= LONG => 2,
                size => size,
            };
            // SAFETY: the caller's promise; rows and vectors are within it.
            unsafe {
                let w = w.add(row * n);
                let (x, to) = ((x, first, count), (outs, row));
                match size {
                    4 => group::<S, W, 2, 4>(w, n, here, x, to),
                    3 => group::<S, W, 4, 3>(w, n, here, x, to),
                    2 => group::<S, W, 4, 2>(w, n, here, x, to),
                    _ => group::<S, W, 4, 1>(w, n, here, x, to),
                }
            }
            first += size.clamp(1, 4);
        }
        row += here;
    }
}

/// Vectors `first..first + J` times `rows` rows, `R` at once.
#[inline(always)]
unsafe fn group<S: Simd, W: Weight, const R: usize, const J: usize>(
    w: *const W,
    n: usize,
    rows: usize,
    (x, first, count): (*const f32, usize, usize),
    (outs, row): (*const *mut f32, usize),
) {
    // What comes after these rows is asked for once, while the first group is multiplied.
    let ahead = if first == 0 { rows * n } else { 0 };
    let mut r = 0;
    unsafe {
        while r + R <= rows {
            let to = (outs.add(first), row + r);
            dot::<S, W, R, J>(w.add(r * n), n, (x, first, count), to, ahead);
            r += R;
        }
        while r < rows {
            let to = (outs.add(first), row + r);
            dot::<S, W, 1, J>(w.add(r * n), n, (x, first, count), to, ahead);
            r += 1;
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd, W: Weight, const R: usize, const J: usize>(
    w: *const W,
    n: usize,
    (x, first, count): (*const f32, usize, usize),
    (outs, row): (*const *mut f32, usize),
    ahead: usize,
) {
    unsafe {
        let mut even = [[S::splat(0.0); J]; R];
        let mut odd = [[S::splat(0.0); J]; R];
        let mut i = 0;
        while i + TWO <= n {
            let at = x.add(i * count + first * TWO);
            // Loops, not closures: what a closure holds is compiled without the instructions of this function.
            let mut weights = [(S::splat(0.0), S::splat(0.0)); R];
            for r in 0..R {
                let w = w.add(r * n + i);
                if ahead > 0 {
                    S::prefetch(w.wrapping_add(ahead).cast());
                    if size_of::<W>() == 4 {
                        S::prefetch(w.wrapping_add(ahead + LANES).cast());
                    }
                }
                weights[r] = W::two::<S>(w);
            }
            for j in 0..J {
                let x0 = S::load(at.add(j * TWO));
                for r in 0..R {
                    even[r][j] = S::fma(weights[r].0, x0, even[r][j]);
                }
                let x1 = S::load(at.add(j * TWO + LANES));
                for r in 0..R {
                    odd[r][j] = S::fma(weights[r].1, x1, odd[r][j]);
                }
            }
            i += TWO;
        }
        let rest = n - i;
        for j in 0..J {
            let tail = x.add(i * count + (first + j) * rest);
            for r in 0..R {
                let mut sum = S::sum(S::add(even[r][j], odd[r][j]));
                for k in 0..rest {
                    sum += (*w.add(r * n + i + k)).widen() * *tail.add(k);
                }
                *(*outs.add(j)).add(row + r) = sum;
            }
        }
    }
}

for_each_level!(
    /// `outs[j][r] = <w[r], x_j>` for `rows` rows of `n` f32 weights and `count` vectors, packed.
    ///
    /// # Safety
    /// `w` has `rows * n` elements, `x` [`packed_len`], `outs` is `count` places for `rows` values each.
    rows_dot_several_f32(w: *const f32, n: usize, rows: usize, x: *const f32, count: usize, outs: *const *mut f32)
        = rows_dot::<f32>
);
for_each_level!(
    /// As [`rows_dot_several_f32`].
    ///
    /// # Safety
    /// As [`rows_dot_several_f32`]; packed for bf16.
    rows_dot_several_bf16(w: *const half::bf16, n: usize, rows: usize, x: *const f32, count: usize, outs: *const *mut f32)
        = rows_dot::<half::bf16>
);
for_each_level!(
    /// As [`rows_dot_several_f32`].
    ///
    /// # Safety
    /// As [`rows_dot_several_f32`].
    rows_dot_several_f16(w: *const half::f16, n: usize, rows: usize, x: *const f32, count: usize, outs: *const *mut f32)
        = rows_dot::<half::f16>
);

/// `out[j * step + c] = sum_r g[j * pitch + r] w[r * n + c]` for `cols` columns and `count` vectors.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn columns_dot<S: Simd, W: Weight>(
    w: *const W,
    n: usize,
    rows: usize,
    g: *const f32,
    pitch: usize,
    count: usize,
    cols: usize,
    out: *mut f32,
    step: usize,
) {
    unsafe {
        for j in 0..count {
            std::ptr::write_bytes(out.add(j * step), 0, cols);
        }
        let mut row = 0;
        while row < rows {
            let here = NEAR_ROWS.min(rows - row);
            let mut first = 0;
            while first < count {
                let size = S::VECTORS.min(count - first);
                let (g, out) = (g.add(first * pitch + row), out.add(first * step));
                let w = w.add(row * n);
                match size {
                    4 => stretch::<S, W, 4>(w, n, here, (g, pitch), cols, (out, step)),
                    3 => stretch::<S, W, 3>(w, n, here, (g, pitch), cols, (out, step)),
                    2 => stretch::<S, W, 2>(w, n, here, (g, pitch), cols, (out, step)),
                    _ => stretch::<S, W, 1>(w, n, here, (g, pitch), cols, (out, step)),
                }
                first += size.clamp(1, 4);
            }
            row += here;
        }
    }
}

/// Adds a stretch of rows to the sums in `out`, which keep their order: rows follow one another.
#[inline(always)]
unsafe fn stretch<S: Simd, W: Weight, const J: usize>(
    w: *const W,
    n: usize,
    rows: usize,
    (g, pitch): (*const f32, usize),
    cols: usize,
    (out, step): (*mut f32, usize),
) {
    unsafe {
        let mut c = 0;
        while c + 4 * LANES <= cols {
            columns::<S, W, 4, J>(w.add(c), n, rows, (g, pitch), (out.add(c), step));
            c += 4 * LANES;
        }
        while c + LANES <= cols {
            columns::<S, W, 1, J>(w.add(c), n, rows, (g, pitch), (out.add(c), step));
            c += LANES;
        }
        for c in c..cols {
            for j in 0..J {
                let out = out.add(j * step + c);
                let mut sum = *out;
                for r in 0..rows {
                    sum += *g.add(j * pitch + r) * (*w.add(r * n + c)).widen();
                }
                *out = sum;
            }
        }
    }
}

#[inline(always)]
unsafe fn columns<S: Simd, W: Weight, const C: usize, const J: usize>(
    w: *const W,
    n: usize,
    rows: usize,
    (g, pitch): (*const f32, usize),
    (out, step): (*mut f32, usize),
) {
    unsafe {
        let mut sums = [[S::splat(0.0); C]; J];
        for j in 0..J {
            for c in 0..C {
                sums[j][c] = S::load(out.add(j * step + c * LANES));
            }
        }
        for r in 0..rows {
            let at = w.add(r * n);
            let mut factors = [S::splat(0.0); J];
            for j in 0..J {
                factors[j] = S::splat(*g.add(j * pitch + r));
            }
            for c in 0..C {
                if c % 2 == 0 || size_of::<W>() == 4 {
                    S::prefetch(at.wrapping_add(NEAR_ROWS * n + c * LANES).cast());
                }
                let weights = W::lanes::<S>(at.add(c * LANES));
                for j in 0..J {
                    sums[j][c] = S::fma(weights, factors[j], sums[j][c]);
                }
            }
        }
        for j in 0..J {
            for c in 0..C {
                S::store(out.add(j * step + c * LANES), sums[j][c]);
            }
        }
    }
}

for_each_level!(
    /// `out[j * step + c] = sum_r g[j * pitch + r] w[r * n + c]`, `c < cols`, `r < rows`, `j < count`.
    ///
    /// # Safety
    /// `w` has `(rows - 1) * n + cols` elements, each of the `count` vectors `rows`, each of the results `cols`.
    columns_dot_several_f32(
        w: *const f32, n: usize, rows: usize, g: *const f32, pitch: usize, count: usize, cols: usize, out: *mut f32, step: usize
    ) = columns_dot::<f32>
);
for_each_level!(
    /// As [`columns_dot_several_f32`].
    ///
    /// # Safety
    /// As [`columns_dot_several_f32`].
    columns_dot_several_bf16(
        w: *const half::bf16, n: usize, rows: usize, g: *const f32, pitch: usize, count: usize, cols: usize, out: *mut f32,
        step: usize
    ) = columns_dot::<half::bf16>
);
for_each_level!(
    /// As [`columns_dot_several_f32`].
    ///
    /// # Safety
    /// As [`columns_dot_several_f32`].
    columns_dot_several_f16(
        w: *const half::f16, n: usize, rows: usize, g: *const f32, pitch: usize, count: usize, cols: usize, out: *mut f32,
        step: usize
    ) = columns_dot::<half::f16>
);

#[cfg(test)]
mod tests {
    use super::super::kernels;
    use super::super::noise::noise;
    use super::*;

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    /// Sizes of a case: rows, their length, vectors.
    type Case = (usize, usize, usize);

    /// Products alone and together, by the kernels of one format.
    macro_rules! assert_alike {
        ($case:expr, $weights:expr, $pack:ident, [$one:path, $several:ident], [$column:path, $columns:ident]) => {{
            let (rows, n, count): Case = $case;
            let w = $weights;
            let (x, g) = (noise(count * n, 5), noise(count * rows, 9));
            let (mut together, mut back) = (vec![0f32; count * rows], vec![0f32; count * n]);
            let mut side_by_side = vec![0f32; packed_len(n, count)];
            let (mut alone, mut back_alone) = (vec![0f32; rows], vec![0f32; n]);
            // SAFETY: the slices have the sizes that are passed.
            unsafe {
                for j in 0..count {
                    $pack(
                        x.as_ptr().add(j * n),
                        n,
                        j,
                        count,
                        side_by_side.as_mut_ptr(),
                    );
                }
                let to = together.as_mut_ptr();
                let outs: Vec<*mut f32> = (0..count).map(|j| to.add(j * rows)).collect();
                $several(
                    w.as_ptr(),
                    n,
                    rows,
                    side_by_side.as_ptr(),
                    count,
                    outs.as_ptr(),
                );
                $columns(
                    w.as_ptr(),
                    n,
                    rows,
                    g.as_ptr(),
                    rows,
                    count,
                    n,
                    back.as_mut_ptr(),
                    n,
                );
                for j in 0..count {
                    let (x, g) = (x.as_ptr().add(j * n), g.as_ptr().add(j * rows));
                    $one(w.as_ptr(), n, rows, x, alone.as_mut_ptr());
                    $column(w.as_ptr(), n, rows, g, n, back_alone.as_mut_ptr());
                    let (own, own_back) = (&together[j * rows..][..rows], &back[j * n..][..n]);
                    assert_eq!(bits(&alone), bits(own), "{:?} {j}", $case);
                    assert_eq!(bits(&back_alone), bits(own_back), "{:?} {j}", $case);
                }
            }
        }};
    }

    #[test]
    fn several_vectors_give_the_bits_of_one() {
        for (rows, n) in [(1, 1), (4, 32), (7, 75), (70, 704), (33, 128)] {
            let f = noise(rows * n, 3);
            let w: Vec<half::bf16> = f.iter().copied().map(half::bf16::from_f32).collect();
            let h: Vec<half::f16> = f.iter().copied().map(half::f16::from_f32).collect();
            for count in [1, 2, 3, 4, 5, 9] {
                let case = (rows, n, count);
                assert_alike!(
                    case,
                    &f,
                    pack_f32,
                    [kernels::rows_dot_f32, rows_dot_several_f32],
                    [kernels::columns_dot_f32, columns_dot_several_f32]
                );
                assert_alike!(
                    case,
                    &w,
                    pack_bf16,
                    [kernels::rows_dot_bf16, rows_dot_several_bf16],
                    [kernels::columns_dot_bf16, columns_dot_several_bf16]
                );
                assert_alike!(
                    case,
                    &h,
                    pack_f32,
                    [kernels::rows_dot_f16, rows_dot_several_f16],
                    [kernels::columns_dot_f16, columns_dot_several_f16]
                );
            }
        }
    }
}

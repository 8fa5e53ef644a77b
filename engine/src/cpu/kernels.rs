//! The inner loops of decoding on the CPU: products with rows of weights, attention over a block of keys, softmax parts.
//! Each result is summed in one fixed order, whichever rows are computed together and by whichever thread.
#![allow(unsafe_code)]
// Indices run over registers and memory alike.
#![allow(clippy::needless_range_loop)]

use super::lanes::{LANES, Simd, for_each_level};

/// Positions in one block of a cache.
pub(crate) const BLOCK: usize = 256;

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

/// More queries than these read a block of keys piece by piece.
const MANY: usize = 8;

/// Scores of `heads` queries against one block of keys that stands column by column: `[dim, BLOCK]`.
#[inline(always)]
unsafe fn block_scores<S: Simd>(
    queries: *const f32,
    heads: usize,
    dim: usize,
    columns: *const f32,
    filled: usize,
    out: *mut f32,
) {
    unsafe {
        let end = filled.next_multiple_of(LANES);
        // Many queries go over a stretch that stays in the first cache.
        let stretch = if heads > MANY { 4 * LANES } else { BLOCK };
        let mut k = 0;
        while k < end {
            let here = stretch.min(end - k);
            let columns = columns.add(k);
            let mut head = 0;
            while head < heads {
                let (q, o) = (queries.add(head * dim), out.add(head * BLOCK + k));
                head += match heads - head {
                    4.. if S::VECTORS >= 4 => scores_of::<S, 4, 4>(q, dim, columns, here, o),
                    2.. if heads > MANY => scores_of::<S, 2, 4>(q, dim, columns, here, o),
                    2.. => scores_of::<S, 2, 8>(q, dim, columns, here, o),
                    _ => scores_of::<S, 1, 8>(q, dim, columns, here, o),
                };
            }
            k += here;
        }
    }
}

/// Scores of `H` queries, `C` vectors of columns at once; gives `H`.
#[inline(always)]
unsafe fn scores_of<S: Simd, const H: usize, const C: usize>(
    q: *const f32,
    dim: usize,
    columns: *const f32,
    end: usize,
    out: *mut f32,
) -> usize {
    let mut k = 0;
    // SAFETY: the caller's promise; columns stay below `end`.
    unsafe {
        while k + C * LANES <= end {
            scores::<S, H, C>(q, dim, columns.add(k), out.add(k));
            k += C * LANES;
        }
        while k < end {
            scores::<S, H, 1>(q, dim, columns.add(k), out.add(k));
            k += LANES;
        }
    }
    H
}

#[inline(always)]
unsafe fn scores<S: Simd, const H: usize, const C: usize>(
    q: *const f32,
    dim: usize,
    columns: *const f32,
    out: *mut f32,
) {
    unsafe {
        let mut sums = [[S::splat(0.0); C]; H];
        for d in 0..dim {
            let at = columns.add(d * BLOCK);
            let mut factors = [S::splat(0.0); H];
            for h in 0..H {
                factors[h] = S::splat(*q.add(h * dim + d));
            }
            for c in 0..C {
                // A few columns ahead: a machine does not see by itself that they follow one another.
                S::prefetch(at.wrapping_add(4 * BLOCK + c * LANES).cast());
                let keys = S::load(at.add(c * LANES));
                for h in 0..H {
                    sums[h][c] = S::fma(keys, factors[h], sums[h][c]);
                }
            }
        }
        for h in 0..H {
            for c in 0..C {
                S::store(out.add(h * BLOCK + c * LANES), sums[h][c]);
            }
        }
    }
}

for_each_level!(
    /// `out[h, k] = <q_h, key_k>`, `out` being `[heads, BLOCK]` and `columns` `[dim, BLOCK]`; whole vectors up to `filled`.
    ///
    /// # Safety
    /// The three have these sizes, `filled <= BLOCK`.
    attention_scores(queries: *const f32, heads: usize, dim: usize, columns: *const f32, filled: usize, out: *mut f32)
        = block_scores
);

/// `out[h, d] = sum_k p[h, k] v[d, k]` over one block, `v` column by column.
#[inline(always)]
unsafe fn block_context<S: Simd>(
    p: *const f32,
    heads: usize,
    dim: usize,
    columns: *const f32,
    filled: usize,
    out: *mut f32,
) {
    unsafe {
        let end = filled.next_multiple_of(LANES);
        let mut head = 0;
        while head < heads {
            let (p, o) = (p.add(head * BLOCK), out.add(head * dim));
            head += match heads - head {
                4.. if S::VECTORS >= 4 => context_of::<S, 4>(p, dim, columns, end, o),
                2.. => context_of::<S, 2>(p, dim, columns, end, o),
                _ => context_of::<S, 1>(p, dim, columns, end, o),
            };
        }
    }
}

/// Contexts of `H` heads, four dimensions at once; gives `H`.
#[inline(always)]
unsafe fn context_of<S: Simd, const H: usize>(
    p: *const f32,
    dim: usize,
    columns: *const f32,
    end: usize,
    out: *mut f32,
) -> usize {
    let mut d = 0;
    // SAFETY: the caller's promise; dimensions stay below `dim`.
    unsafe {
        while d + 4 <= dim {
            context::<S, H, 4>(p, columns.add(d * BLOCK), end, out.add(d), dim);
            d += 4;
        }
        while d < dim {
            context::<S, H, 1>(p, columns.add(d * BLOCK), end, out.add(d), dim);
            d += 1;
        }
    }
    H
}

#[inline(always)]
unsafe fn context<S: Simd, const H: usize, const D: usize>(
    p: *const f32,
    v: *const f32,
    end: usize,
    out: *mut f32,
    dim: usize,
) {
    unsafe {
        let mut sums = [[S::splat(0.0); D]; H];
        let mut k = 0;
        while k < end {
            let mut shares = [S::splat(0.0); H];
            for h in 0..H {
                shares[h] = S::load(p.add(h * BLOCK + k));
            }
            for d in 0..D {
                S::prefetch(v.wrapping_add((d + D) * BLOCK + k).cast());
                let values = S::load(v.add(d * BLOCK + k));
                for h in 0..H {
                    sums[h][d] = S::fma(values, shares[h], sums[h][d]);
                }
            }
            k += LANES;
        }
        for h in 0..H {
            for d in 0..D {
                *out.add(h * dim + d) = S::sum(sums[h][d]);
            }
        }
    }
}

for_each_level!(
    /// `out[h, d] = sum over the block of p[h, k] v[d, k]`; `p` `[heads, BLOCK]` is 0 from `filled` to the vector's end.
    ///
    /// # Safety
    /// `columns` is `[dim, BLOCK]`, `out` `[heads, dim]`, `filled <= BLOCK`.
    attention_context(p: *const f32, heads: usize, dim: usize, columns: *const f32, filled: usize, out: *mut f32)
        = block_context
);

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::super::math;
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn assert_close(ours: &[f32], exact: &[f64], bound: f64) {
        for (ours, exact) in ours.iter().zip(exact) {
            assert!((f64::from(*ours) - exact).abs() <= bound, "{ours} {exact}");
        }
    }

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

    #[test]
    fn a_block_of_attention_is_a_softmax() {
        for (heads, dim, filled) in [(1, 4, 1), (2, 6, 17), (3, 64, 250), (7, 16, BLOCK)] {
            let queries = noise(heads * dim, 1);
            let columns = noise(dim * BLOCK, 2);
            let mut scores = vec![7f32; heads * BLOCK];
            let mut context = vec![0f32; heads * dim];
            let mut parts = vec![[0f32; 2]; heads];
            let scale = (dim as f32).powf(-0.5);
            // SAFETY: the sizes are those that are passed.
            unsafe {
                let out = scores.as_mut_ptr();
                attention_scores(queries.as_ptr(), heads, dim, columns.as_ptr(), filled, out);
                for (head, part) in parts.iter_mut().enumerate() {
                    math::soften_block(out.add(head * BLOCK), filled, scale, part);
                }
                attention_context(
                    out,
                    heads,
                    dim,
                    columns.as_ptr(),
                    filled,
                    context.as_mut_ptr(),
                );
            }
            for head in 0..heads {
                let exact: Vec<f64> = (0..filled)
                    .map(|k| {
                        let products = (0..dim).map(|d| {
                            f64::from(queries[head * dim + d]) * f64::from(columns[d * BLOCK + k])
                        });
                        products.sum::<f64>() * f64::from(scale)
                    })
                    .collect();
                let top = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let shares: Vec<f64> = exact.iter().map(|s| (s - top).exp()).collect();
                assert_close(&scores[head * BLOCK..head * BLOCK + filled], &shares, 2e-6);
                let sum: f64 = shares.iter().sum();
                assert!((f64::from(parts[head][1]) / sum - 1.0).abs() < 2e-6);
                for d in 0..dim {
                    let values = (0..filled).map(|k| shares[k] * f64::from(columns[d * BLOCK + k]));
                    let exact: f64 = values.sum();
                    assert!((f64::from(context[head * dim + d]) - exact).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn exponentials_and_gates_are_right_everywhere() {
        let gate: Vec<f32> = (-1000..1000).map(|i| i as f32 / 10.0).collect();
        let up = vec![2f32; gate.len()];
        let mut inner = vec![0f32; gate.len()];
        // SAFETY: lengths are equal.
        unsafe { math::silu_times(gate.as_ptr(), up.as_ptr(), gate.len(), inner.as_mut_ptr()) };
        for (gate, inner) in gate.iter().zip(&inner) {
            let gate = f64::from(*gate);
            let exact = 2.0 * gate / (1.0 + (-gate).exp());
            assert!((f64::from(*inner) - exact).abs() <= 4e-7 * exact.abs() + 1e-30);
        }
    }
}

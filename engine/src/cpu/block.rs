//! The inner loops of attention over one block of keys and values, which stand column by column.
//! Each result is summed in one fixed order, however many queries are taken together.
#![allow(unsafe_code)]
// Indices run over registers and memory alike.
#![allow(clippy::needless_range_loop)]

use super::lanes::{LANES, Simd, for_each_level};

/// Positions in one block of a cache.
pub(crate) const BLOCK: usize = 256;

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
    use super::super::math;
    use super::super::noise::{assert_close, noise};
    use super::*;

    #[test]
    fn a_block_of_attention_is_a_softmax() {
        for (heads, dim, filled) in [
            (1, 4, 1),
            (2, 6, 17),
            (3, 64, 250),
            (7, 16, BLOCK),
            (19, 32, 150),
        ] {
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
}

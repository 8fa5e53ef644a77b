//! Element-wise loops on the CPU: exponentials, gates, norms, rotations, and the taps' sums.
//! In and out: plain slices through pointers; every loop runs in one fixed order.
#![allow(unsafe_code)]

use super::block::BLOCK;
use super::lanes::{LANES, Simd, for_each_level};

/// `e^x` within 2 units in the last place; 0 far below, never infinite.
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // x = n ln 2 + r, |r| <= ln 2 / 2; e^r by a polynomial (Cephes' coefficients).
    unsafe {
        let zero = S::splat(0.0);
        let x = S::max(x, S::splat(-87.3));
        let x = S::sub(zero, S::max(S::sub(zero, x), S::splat(-88.3)));
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        let r = S::fma(n, S::splat(-0.693_359_4), x);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        let mut p = S::splat(1.987_569_1e-4);
        for c in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ] {
            p = S::fma(p, r, S::splat(c));
        }
        let p = S::fma(p, S::mul(r, r), S::add(r, S::splat(1.0)));
        S::mul(p, S::power_of_two(n))
    }
}

/// Scales one head's scores over `filled` keys of a block, turns them into `e^(s - max)` and returns `[max, sum]`.
#[inline(always)]
unsafe fn soften<S: Simd>(scores: *mut f32, filled: usize, scale: f32, out: *mut [f32; 2]) {
    unsafe {
        let end = filled.next_multiple_of(LANES);
        for k in filled..end {
            *scores.add(k) = f32::NEG_INFINITY;
        }
        let factor = S::splat(scale);
        let mut tops = S::splat(f32::NEG_INFINITY);
        let mut k = 0;
        while k < end {
            let s = S::mul(S::load(scores.add(k)), factor);
            S::store(scores.add(k), s);
            tops = S::max(tops, s);
            k += LANES;
        }
        let mut lanes = [0f32; LANES];
        S::store(lanes.as_mut_ptr(), tops);
        let top = lanes.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let shift = S::splat(top);
        let mut sums = S::splat(0.0);
        let mut k = 0;
        while k < end {
            let mut e = exp::<S>(S::sub(S::load(scores.add(k)), shift));
            if k + LANES > filled {
                S::store(lanes.as_mut_ptr(), e);
                lanes[filled - k..].fill(0.0);
                e = S::load(lanes.as_ptr());
            }
            S::store(scores.add(k), e);
            sums = S::add(sums, e);
            k += LANES;
        }
        *out = [top, S::sum(sums)];
    }
}

for_each_level!(
    /// Scores `[filled]` become `e^(scale * s - max)`, zero up to the vector's end; `out` is `[max, sum]`.
    ///
    /// # Safety
    /// `scores` has room for `filled` rounded up to a whole vector, `filled > 0`.
    soften_block(scores: *mut f32, filled: usize, scale: f32, out: *mut [f32; 2]) = soften
);

/// One row of a running softmax: see [`soften_row`].
#[inline(always)]
unsafe fn soften_running<S: Simd>(
    scores: *mut f32,
    seen: usize,
    scale: f32,
    out: *mut f32,
    dim: usize,
    top: *mut f32,
    sum: *mut f32,
) {
    unsafe {
        let mut after = [0f32; LANES];
        let whole = seen.next_multiple_of(LANES);
        let mut part = [0f32; 2];
        let mut tops = S::splat(f32::NEG_INFINITY);
        let mut k = 0;
        while k + LANES <= seen {
            tops = S::max(tops, S::load(scores.add(k)));
            k += LANES;
        }
        S::store(after.as_mut_ptr(), tops);
        part[0] = after.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        for k in k..seen {
            part[0] = part[0].max(*scores.add(k));
        }
        let before = *top;
        let now = before.max(part[0] * scale);
        let (factor, shift) = (S::splat(scale), S::splat(now));
        let mut sums = S::splat(0.0);
        let mut k = 0;
        while k < whole {
            let mut e = exp::<S>(S::sub(S::mul(S::load(scores.add(k)), factor), shift));
            if k + LANES > seen {
                S::store(after.as_mut_ptr(), e);
                after[seen - k..].fill(0.0);
                e = S::load(after.as_ptr());
            }
            S::store(scores.add(k), e);
            sums = S::add(sums, e);
            k += LANES;
        }
        part[1] = S::sum(sums);
        if before < now {
            let fade = if before == f32::NEG_INFINITY {
                0.0
            } else {
                (before - now).exp()
            };
            let mut d = 0;
            while d + LANES <= dim {
                S::store(out.add(d), S::mul(S::load(out.add(d)), S::splat(fade)));
                d += LANES;
            }
            for d in d..dim {
                *out.add(d) *= fade;
            }
            *sum *= fade;
            *top = now;
        }
        *sum += part[1];
    }
}

for_each_level!(
    /// Takes one more stretch of scores into a running softmax: `scores[..seen]` become `e^(scale * s - top)`, zero up to
    /// the vector's end; `out` (`dim` values summed so far) and `sum` fade to the new `top`.
    ///
    /// # Safety
    /// `scores` has room for `seen` rounded up to a whole vector, `seen > 0`.
    soften_row(scores: *mut f32, seen: usize, scale: f32, out: *mut f32, dim: usize, top: *mut f32, sum: *mut f32)
        = soften_running
);

/// `sum[k] += share sum_h f[h] p[h, k]`
#[inline(always)]
unsafe fn add_heads<S: Simd>(
    p: *const f32,
    factors: *const f32,
    heads: usize,
    count: usize,
    share: f32,
    sum: *mut f32,
    last: *mut f32,
) {
    unsafe {
        let (weight, share) = (share, S::splat(share));
        let mut k = 0;
        while k + LANES <= count {
            let mut total = S::splat(0.0);
            for h in 0..heads {
                total = S::fma(
                    S::load(p.add(h * BLOCK + k)),
                    S::splat(*factors.add(h)),
                    total,
                );
            }
            let total = S::mul(total, share);
            S::store(sum.add(k), S::add(S::load(sum.add(k)), total));
            if !last.is_null() {
                S::store(last.add(k), total);
            }
            k += LANES;
        }
        for k in k..count {
            let mut total = 0.0;
            for h in 0..heads {
                total += *p.add(h * BLOCK + k) * *factors.add(h);
            }
            total *= weight;
            *sum.add(k) += total;
            if !last.is_null() {
                *last.add(k) = total;
            }
        }
    }
}

for_each_level!(
    /// `sum[k] += t[k]` and, unless it is null, `last[k] = t[k]`, with `t[k] = share * sum_h factors[h] p[h, k]`, `p` being
    /// `[heads, BLOCK]`.
    ///
    /// # Safety
    /// `sum` and `last` have `count <= BLOCK` elements.
    tap_block(p: *const f32, factors: *const f32, heads: usize, count: usize, share: f32, sum: *mut f32, last: *mut f32)
        = add_heads
);

/// `out[k] = max(0, share sum_h f[h] p[h, k] d[h, k])`; `d` jumps after every `group` heads.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn weigh<S: Simd>(
    p: *const f32,
    slopes: *const f32,
    jump: usize,
    group: usize,
    factors: *const f32,
    heads: usize,
    count: usize,
    share: f32,
    out: *mut f32,
) {
    unsafe {
        let mut lanes = [0f32; LANES];
        let mut k = 0;
        while k < count {
            let mut total = S::splat(0.0);
            for first in (0..heads).step_by(group) {
                let slopes = slopes.add(first / group * jump + k);
                for own in 0..group {
                    let h = first + own;
                    let slope = S::load(slopes.add(own * BLOCK));
                    let product = S::mul(S::load(p.add(h * BLOCK + k)), slope);
                    total = S::fma(product, S::splat(*factors.add(h)), total);
                }
            }
            let total = S::max(S::mul(total, S::splat(share)), S::splat(0.0));
            let take = LANES.min(count - k);
            if take == LANES {
                S::store(out.add(k), total);
            } else {
                S::store(lanes.as_mut_ptr(), total);
                std::ptr::copy_nonoverlapping(lanes.as_ptr(), out.add(k), take);
            }
            k += LANES;
        }
    }
}

for_each_level!(
    /// `out[k] = max(0, share * sum_h factors[h] p[h, k] slopes[h, k])`; `p` is `[heads, BLOCK]`, the slopes of each `group` of
    /// heads stand together, `jump` values after those of the group before.
    ///
    /// # Safety
    /// All heads are there, `out` has `count <= BLOCK` elements, `group > 0`.
    weigh_block(
        p: *const f32, slopes: *const f32, jump: usize, group: usize, factors: *const f32, heads: usize, count: usize, share: f32,
        out: *mut f32
    ) = weigh
);

/// `inner[i] = gate[i] / (1 + e^-gate[i]) * up[i]`
#[inline(always)]
unsafe fn gated<S: Simd>(gate: *const f32, up: *const f32, n: usize, inner: *mut f32) {
    unsafe {
        let one = S::splat(1.0);
        let mut lanes = [[0f32; LANES]; 2];
        let mut i = 0;
        while i < n {
            let take = LANES.min(n - i);
            let (mut g, mut u) = (gate.add(i), up.add(i));
            if take < LANES {
                std::ptr::copy_nonoverlapping(g, lanes[0].as_mut_ptr(), take);
                std::ptr::copy_nonoverlapping(u, lanes[1].as_mut_ptr(), take);
                (g, u) = (lanes[0].as_ptr(), lanes[1].as_ptr());
            }
            let (g, u) = (S::load(g), S::load(u));
            let below = S::add(one, exp::<S>(S::sub(S::splat(0.0), g)));
            let out = S::mul(S::div(g, below), u);
            if take < LANES {
                S::store(lanes[0].as_mut_ptr(), out);
                std::ptr::copy_nonoverlapping(lanes[0].as_ptr(), inner.add(i), take);
            } else {
                S::store(inner.add(i), out);
            }
            i += LANES;
        }
    }
}

for_each_level!(
    /// `inner = silu(gate) * up`; `inner` may be `gate`.
    ///
    /// # Safety
    /// All have `n` elements.
    silu_times(gate: *const f32, up: *const f32, n: usize, inner: *mut f32) = gated
);

/// With `s = 1 / (1 + e^-gate)`: `up' = inner' gate s`, and `gate' = inner' up s (1 + gate (1 - s))` in the place of `inner'`.
#[inline(always)]
unsafe fn gated_backward<S: Simd>(
    gate: *const f32,
    up: *const f32,
    n: usize,
    at_inner: *mut f32,
    at_up: *mut f32,
) {
    unsafe {
        let one = S::splat(1.0);
        let mut i = 0;
        while i + LANES <= n {
            let (g, u, inner) = (
                S::load(gate.add(i)),
                S::load(up.add(i)),
                S::load(at_inner.add(i)),
            );
            let s = S::div(one, S::add(one, exp::<S>(S::sub(S::splat(0.0), g))));
            let slope = S::mul(s, S::fma(g, S::sub(one, s), one));
            S::store(at_up.add(i), S::mul(inner, S::mul(g, s)));
            S::store(at_inner.add(i), S::mul(S::mul(inner, u), slope));
            i += LANES;
        }
        for i in i..n {
            let (g, u, inner) = (*gate.add(i), *up.add(i), *at_inner.add(i));
            let s = 1.0 / (1.0 + (-g).exp());
            *at_up.add(i) = inner * g * s;
            *at_inner.add(i) = inner * u * s * (1.0 + g * (1.0 - s));
        }
    }
}

for_each_level!(
    /// Gradient at `silu(gate) * up` -> those at `gate` (in its place) and at `up`.
    ///
    /// # Safety
    /// All have `n` elements.
    silu_times_backward(gate: *const f32, up: *const f32, n: usize, at_inner: *mut f32, at_up: *mut f32)
        = gated_backward
);

/// Root-mean-square norm of one row.
#[inline(always)]
unsafe fn normed<S: Simd>(x: *const f32, weight: *const f32, n: usize, eps: f32, out: *mut f32) {
    unsafe {
        let mut sums = S::splat(0.0);
        let mut i = 0;
        while i + LANES <= n {
            let v = S::load(x.add(i));
            sums = S::fma(v, v, sums);
            i += LANES;
        }
        let mut sum = S::sum(sums);
        for i in i..n {
            sum += *x.add(i) * *x.add(i);
        }
        let inverse = 1.0 / (sum / n as f32 + eps).sqrt();
        let factor = S::splat(inverse);
        let mut i = 0;
        while i + LANES <= n {
            let v = S::mul(S::load(x.add(i)), factor);
            S::store(out.add(i), S::mul(v, S::load(weight.add(i))));
            i += LANES;
        }
        for i in i..n {
            *out.add(i) = *x.add(i) * inverse * *weight.add(i);
        }
    }
}

for_each_level!(
    /// `out = x / sqrt(mean(x^2) + eps) * weight`
    ///
    /// # Safety
    /// All have `n` elements.
    rms_norm(x: *const f32, weight: *const f32, n: usize, eps: f32, out: *mut f32) = normed
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_and_gates_are_right_everywhere() {
        let gate: Vec<f32> = (-1000..1000).map(|i| i as f32 / 10.0).collect();
        let up = vec![2f32; gate.len()];
        let mut inner = vec![0f32; gate.len()];
        // SAFETY: lengths are equal.
        unsafe { silu_times(gate.as_ptr(), up.as_ptr(), gate.len(), inner.as_mut_ptr()) };
        for (gate, inner) in gate.iter().zip(&inner) {
            let gate = f64::from(*gate);
            let exact = 2.0 * gate / (1.0 + (-gate).exp());
            assert!((f64::from(*inner) - exact).abs() <= 4e-7 * exact.abs() + 1e-30);
        }
    }
}

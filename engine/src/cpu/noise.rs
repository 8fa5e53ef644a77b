//! What tests of loops are made of: numbers without a pattern, the same in every run.

/// `count` numbers from -1 to 1.
pub(super) fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Panics where one of ours is further than `bound` from the exact one.
pub(super) fn assert_close(ours: &[f32], exact: &[f64], bound: f64) {
    for (ours, exact) in ours.iter().zip(exact) {
        assert!((f64::from(*ours) - exact).abs() <= bound, "{ours} {exact}");
    }
}

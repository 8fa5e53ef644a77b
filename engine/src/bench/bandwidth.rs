//! How fast this machine reads memory with all threads that compute: what decoding is measured against.
#![allow(unsafe_code)]

use std::time::Instant;

use crate::cpu::aligned::Floats;
use crate::cpu::lanes::{LANES, Simd, for_each_level};
use crate::cpu::pool::{self, Shares};

/// Far more than any cache: 512 MiB.
const FLOATS: usize = 128 << 20;
/// Bytes that one piece reads, as many as a piece of a product.
const PIECE: usize = (32 << 10) / 4;

/// How far ahead lines are asked for, in elements: faster than the machine alone is.
const AHEAD: usize = 1024;

/// A buffer that is read from end to end, again and again.
#[derive(Debug)]
pub struct Bandwidth {
    buffer: Floats,
    sums: Vec<f32>,
}

#[inline(always)]
unsafe fn summed<S: Simd>(at: *const f32, count: usize, out: *mut f32) {
    unsafe {
        let mut sums = [S::splat(0.0); 8];
        let mut i = 0;
        while i + 8 * LANES <= count {
            for (lane, sum) in sums.iter_mut().enumerate() {
                S::prefetch(at.wrapping_add(i + lane * LANES + AHEAD).cast());
                *sum = S::add(*sum, S::load(at.add(i + lane * LANES)));
            }
            i += 8 * LANES;
        }
        *out = sums.into_iter().map(|sum| S::sum(sum)).sum();
    }
}

for_each_level!(
    /// Sums `count` values, a whole number of eight vectors.
    ///
    /// # Safety
    /// `at` has `count` elements.
    sum_floats(at: *const f32, count: usize, out: *mut f32) = summed
);

impl Bandwidth {
    /// Takes the memory and touches it.
    pub fn new() -> Self {
        let mut buffer = Floats::zeros(FLOATS);
        let shares = Shares::new(&mut buffer);
        pool::run(FLOATS / PIECE, |piece| {
            // SAFETY: pieces cover disjoint stretches.
            unsafe { std::slice::from_raw_parts_mut(shares.at(piece * PIECE), PIECE) }.fill(1.0);
        });
        Self {
            buffer,
            sums: vec![0.0; FLOATS / PIECE],
        }
    }

    /// Bytes a second of one reading of everything, by all threads.
    pub fn measure(&mut self) -> f64 {
        let begin = Instant::now();
        let sums = Shares::new(&mut self.sums);
        pool::run(FLOATS / PIECE, |piece| {
            // SAFETY: each piece reads its stretch and writes its sum.
            unsafe {
                sum_floats(
                    self.buffer.as_ptr().add(piece * PIECE),
                    PIECE,
                    sums.at(piece),
                )
            };
        });
        let secs = begin.elapsed().as_secs_f64();
        std::hint::black_box(&self.sums);
        (FLOATS * 4) as f64 / secs
    }
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self::new()
    }
}

//! The world's random numbers: seeded, the same on every platform, no operating-system randomness.

/// xoshiro256** seeded through splitmix64.
///
/// Floats come from integer bits and `libm`, so that a seed gives the same sample natively and in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

/// One step of splitmix64: turns any `u64`, however regular, into a well-mixed one.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a.
fn label_hash(label: &str) -> u64 {
    label.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

impl Rng {
    /// A generator for `seed`; every `u64` is a good seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut s = seed;
        Self {
            state: [
                splitmix(&mut s),
                splitmix(&mut s),
                splitmix(&mut s),
                splitmix(&mut s),
            ],
        }
    }

    /// A generator for `seed` within the stream named `key`. Two pairs of seed and key start alike only if the keys' hashes do.
    #[must_use]
    pub fn keyed(seed: u64, key: &str) -> Self {
        let (mut s, mut k) = (seed, label_hash(key));
        Self {
            state: [
                splitmix(&mut s),
                splitmix(&mut s),
                splitmix(&mut k),
                splitmix(&mut k),
            ],
        }
        .warmed()
    }

    /// Steps past the first outputs, in which a regular seed and a fixed key have not yet mixed.
    fn warmed(mut self) -> Self {
        for _ in 0..16 {
            self.next_u64();
        }
        self
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let out = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= t;
        *s3 = s3.rotate_left(45);
        out
    }

    /// A whole number in `0..n`; 0 for `n == 0`.
    pub fn below(&mut self, n: usize) -> usize {
        // The high half of a 128-bit product: a bias of n / 2^64, far below anything a sample could show.
        let wide = u128::from(self.next_u64()) * (n as u128);
        (wide >> 64) as usize
    }

    /// A whole number in `low..=high`; `low` where the range is empty.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Uniform in `0.0..1.0` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in `low..high`.
    pub fn range_f64(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A standard normal number (Box-Muller, one of the pair).
    pub fn normal(&mut self) -> f64 {
        // 1 - unit() lies in (0, 1]: the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(2.0 * core::f64::consts::PI * self.unit())
    }

    /// An independent generator for one purpose; advances `self` by one draw, so that two forks differ even with one label.
    pub fn fork(&mut self, label: &str) -> Self {
        Self::new(self.next_u64() ^ label_hash(label))
    }

    /// One of `items` by reference; `None` only for an empty slice.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Puts `items` into random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn same_seed_same_stream_and_known_first_values() {
        let mut a = Rng::new(0);
        let mut b = Rng::new(0);
        let first: Vec<u64> = (0..4).map(|_| a.next_u64()).collect();
        assert_eq!(first, (0..4).map(|_| b.next_u64()).collect::<Vec<_>>());
        // The published first outputs of xoshiro256** seeded by splitmix64(0).
        assert_eq!(first[0], 0x99EC_5F36_CB75_F2B4);
        assert_ne!(
            first,
            (0..4).map(|_| Rng::new(1).next_u64()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn forks_differ_by_label_and_by_turn() {
        let mut a = Rng::new(7);
        let mut b = Rng::new(7);
        assert_ne!(a.fork("x"), b.fork("y"));
        assert_ne!(a.fork("x"), a.fork("x"));
    }

    #[test]
    fn below_covers_its_range_and_normal_has_unit_variance() {
        let mut rng = Rng::new(3);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[rng.below(7)] += 1;
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        let xs: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = xs.iter().sum::<f64>() / 20_000.0;
        let var = xs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (var - 1.0).abs() < 0.05,
            "{mean} {var}"
        );
    }
}

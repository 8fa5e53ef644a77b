//! Sixteen f32 lanes on whatever the machine has: AVX-512, AVX2 or plain Rust.
//! Every form adds in the same order, so AVX2 and AVX-512 give the same bits; plain Rust rounds products by itself.
#![allow(unsafe_code)]

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// An instruction set as a type. Its functions may be called only where the machine has it.
pub(crate) trait Simd: Copy {
    /// Sixteen f32.
    type V: Copy;
    /// Vectors, 4 at most, whose products with several rows at once the registers hold.
    const VECTORS: usize;
    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(at: *const f32) -> Self::V;
    /// Widens sixteen bf16.
    unsafe fn load_bf16(at: *const u16) -> Self::V;
    /// Widens sixteen f16.
    unsafe fn load_f16(at: *const u16) -> Self::V;
    /// Thirty-two bf16: those at even places, and those at odd ones.
    unsafe fn load_bf16_pairs(at: *const u16) -> (Self::V, Self::V);
    /// Two vectors' lanes at even places, and at odd ones.
    unsafe fn split_pairs(a: Self::V, b: Self::V) -> (Self::V, Self::V);
    unsafe fn store(at: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn round(a: Self::V) -> Self::V;
    /// `2^n` for whole n from -126 to 127.
    unsafe fn power_of_two(n: Self::V) -> Self::V;
    /// Of all lanes, halves folded onto halves.
    unsafe fn sum(a: Self::V) -> f32;
    /// Asks for a cache line that is read once: it shall not push others out.
    unsafe fn prefetch(at: *const u8);
}

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The best level of this machine. `OMNITRACE_SIMD` (`plain`, `avx2`) asks for less, to compare.
pub(crate) fn level() -> Level {
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let asked = std::env::var("OMNITRACE_SIMD").unwrap_or_default();
    let has512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    let has2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    match asked.as_str() {
        "plain" => Level::Plain,
        "avx2" if has2 => Level::Avx2,
        _ if has512 && has2 => Level::Avx512,
        _ if has2 => Level::Avx2,
        _ => Level::Plain,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Plain
}

/// Defines `pub(crate) unsafe fn name(args)` that runs `body::<S>(args)` compiled for the machine's level.
macro_rules! for_each_level {
    ($(#[$meta:meta])* $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident $(::<$($g:ty),*>)?) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub(crate) unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
                unsafe fn wide($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: the caller's promise; the level is checked below.
                    unsafe { $body::<$crate::cpu::lanes::Avx512 $($(, $g)*)?>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                unsafe fn narrow($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: as above.
                    unsafe { $body::<$crate::cpu::lanes::Avx2 $($(, $g)*)?>($($arg),*) }
                }
                match $crate::cpu::lanes::level() {
                    // SAFETY: the machine has these instructions.
                    $crate::cpu::lanes::Level::Avx512 => return unsafe { wide($($arg),*) },
                    // SAFETY: likewise.
                    $crate::cpu::lanes::Level::Avx2 => return unsafe { narrow($($arg),*) },
                    $crate::cpu::lanes::Level::Plain => {}
                }
            }
            // SAFETY: plain Rust runs everywhere; pointers are the caller's promise.
            unsafe { $body::<$crate::cpu::lanes::Plain $($(, $g)*)?>($($arg),*) }
        }
    };
}
pub(crate) use for_each_level;

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Plain {
    type V = [f32; LANES];
    const VECTORS: usize = 1;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self::V {
        unsafe { at.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_bf16(at: *const u16) -> Self::V {
        let raw = unsafe { at.cast::<[u16; LANES]>().read_unaligned() };
        raw.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
    #[inline(always)]
    unsafe fn load_f16(at: *const u16) -> Self::V {
        let raw = unsafe { at.cast::<[u16; LANES]>().read_unaligned() };
        raw.map(|bits| half::f16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16_pairs(at: *const u16) -> (Self::V, Self::V) {
        let raw = unsafe { at.cast::<[[u16; 2]; LANES]>().read_unaligned() };
        let widen = |bits: u16| f32::from_bits(u32::from(bits) << 16);
        (
            raw.map(|pair| widen(pair[0])),
            raw.map(|pair| widen(pair[1])),
        )
    }
    #[inline(always)]
    unsafe fn split_pairs(a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let at = |i: usize| if i < LANES { a[i] } else { b[i - LANES] };
        (
            std::array::from_fn(|i| at(2 * i)),
            std::array::from_fn(|i| at(2 * i + 1)),
        )
    }
    #[inline(always)]
    unsafe fn store(at: *mut f32, v: Self::V) {
        unsafe { at.cast::<[f32; LANES]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        a.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn power_of_two(n: Self::V) -> Self::V {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn sum(a: Self::V) -> f32 {
        let eight: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
        let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// AVX-512.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    /// AVX2 with FMA, two registers a vector.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    #[inline(always)]
    unsafe fn sum8(v: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    impl Simd for Avx512 {
        type V = __m512;
        const VECTORS: usize = 4;
        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(at) }
        }
        #[inline(always)]
        unsafe fn load_bf16(at: *const u16) -> __m512 {
            unsafe {
                let raw = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(raw))
            }
        }
        #[inline(always)]
        unsafe fn load_f16(at: *const u16) -> __m512 {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
        }
        #[inline(always)]
        unsafe fn load_bf16_pairs(at: *const u16) -> (__m512, __m512) {
            unsafe {
                let raw = _mm512_loadu_si512(at.cast());
                (
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(raw)),
                    _mm512_castsi512_ps(_mm512_and_si512(raw, _mm512_set1_epi32(!0xffff))),
                )
            }
        }
        #[inline(always)]
        unsafe fn split_pairs(a: __m512, b: __m512) -> (__m512, __m512) {
            unsafe {
                let even =
                    _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
                let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
                (
                    _mm512_permutex2var_ps(a, even, b),
                    _mm512_permutex2var_ps(a, odd, b),
                )
            }
        }
        #[inline(always)]
        unsafe fn store(at: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(at, v) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn div(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn round(a: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<0>(a) }
        }
        #[inline(always)]
        unsafe fn power_of_two(n: __m512) -> __m512 {
            unsafe {
                let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
                _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
            }
        }
        #[inline(always)]
        unsafe fn sum(a: __m512) -> f32 {
            unsafe {
                sum8(_mm256_add_ps(
                    _mm512_castps512_ps256(a),
                    _mm512_extractf32x8_ps::<1>(a),
                ))
            }
        }
        #[inline(always)]
        unsafe fn prefetch(at: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_NTA>(at.cast()) }
        }
    }

    type Pair = (__m256, __m256);

    #[inline(always)]
    fn both(a: Pair, b: Pair, f: impl Fn(__m256, __m256) -> __m256) -> Pair {
        (f(a.0, b.0), f(a.1, b.1))
    }

    impl Simd for Avx2 {
        type V = Pair;
        const VECTORS: usize = 1;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Pair {
            unsafe { (_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(at: *const f32) -> Pair {
            unsafe { (_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))) }
        }
        #[inline(always)]
        unsafe fn load_bf16(at: *const u16) -> Pair {
            unsafe {
                let widen = |at: *const u16| {
                    let raw = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(raw))
                };
                (widen(at), widen(at.add(8)))
            }
        }
        #[inline(always)]
        unsafe fn load_f16(at: *const u16) -> Pair {
            unsafe {
                let widen = |at: *const u16| _mm256_cvtph_ps(_mm_loadu_si128(at.cast()));
                (widen(at), widen(at.add(8)))
            }
        }
        #[inline(always)]
        unsafe fn load_bf16_pairs(at: *const u16) -> (Pair, Pair) {
            unsafe {
                let mask = _mm256_set1_epi32(!0xffff);
                let (low, high) = (
                    _mm256_loadu_si256(at.cast()),
                    _mm256_loadu_si256(at.add(16).cast()),
                );
                let even = |raw| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(raw));
                let odd = |raw| _mm256_castsi256_ps(_mm256_and_si256(raw, mask));
                ((even(low), even(high)), (odd(low), odd(high)))
            }
        }
        #[inline(always)]
        unsafe fn split_pairs(a: Pair, b: Pair) -> (Pair, Pair) {
            unsafe {
                // Within halves first, then the halves' quarters into order.
                let order = |v: __m256| {
                    _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(v)))
                };
                let even = |v: Pair| order(_mm256_shuffle_ps::<0b10_00_10_00>(v.0, v.1));
                let odd = |v: Pair| order(_mm256_shuffle_ps::<0b11_01_11_01>(v.0, v.1));
                ((even(a), even(b)), (odd(a), odd(b)))
            }
        }
        #[inline(always)]
        unsafe fn store(at: *mut f32, v: Pair) {
            unsafe {
                _mm256_storeu_ps(at, v.0);
                _mm256_storeu_ps(at.add(8), v.1);
            }
        }
        #[inline(always)]
        unsafe fn add(a: Pair, b: Pair) -> Pair {
            both(a, b, |a, b| unsafe { _mm256_add_ps(a, b) })
        }
        #[inline(always)]
        unsafe fn sub(a: Pair, b: Pair) -> Pair {
            both(a, b, |a, b| unsafe { _mm256_sub_ps(a, b) })
        }
        #[inline(always)]
        unsafe fn mul(a: Pair, b: Pair) -> Pair {
            both(a, b, |a, b| unsafe { _mm256_mul_ps(a, b) })
        }
        #[inline(always)]
        unsafe fn div(a: Pair, b: Pair) -> Pair {
            both(a, b, |a, b| unsafe { _mm256_div_ps(a, b) })
        }
        #[inline(always)]
        unsafe fn max(a: Pair, b: Pair) -> Pair {
            both(a, b, |a, b| unsafe { _mm256_max_ps(a, b) })
        }
        #[inline(always)]
        unsafe fn fma(a: Pair, b: Pair, c: Pair) -> Pair {
            unsafe {
                (
                    _mm256_fmadd_ps(a.0, b.0, c.0),
                    _mm256_fmadd_ps(a.1, b.1, c.1),
                )
            }
        }
        #[inline(always)]
        unsafe fn round(a: Pair) -> Pair {
            unsafe { (_mm256_round_ps::<8>(a.0), _mm256_round_ps::<8>(a.1)) }
        }
        #[inline(always)]
        unsafe fn power_of_two(n: Pair) -> Pair {
            unsafe {
                let power = |n: __m256| {
                    let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
                };
                (power(n.0), power(n.1))
            }
        }
        #[inline(always)]
        unsafe fn sum(a: Pair) -> f32 {
            unsafe { sum8(_mm256_add_ps(a.0, a.1)) }
        }
        #[inline(always)]
        unsafe fn prefetch(at: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_NTA>(at.cast()) }
        }
    }
}

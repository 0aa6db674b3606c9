//! eˣ and the functions made of it.
//!
//! All write x = n·ln 2 + r with integer n and |r| ≤ ln 2 / 2, so eˣ = 2ⁿ·eʳ, where eʳ
//! is a polynomial and 2ⁿ is made of bits.

use super::horner;
use crate::simd::Simd;

/// 1.5·2²³: a float of this size has no fraction bits, so adding it rounds to the
/// nearest integer (to even) and leaves that integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// ln 2 = LN2_HI + LN2_LO. LN2_HI has 16 significant bits, so n·LN2_HI is exact.
pub(super) const LN2_HI: f32 = 0.693_145_75;
pub(super) const LN2_LO: f32 = 1.428_606_8e-6;

/// 2⁻⁶⁴
const TINY: f32 = 5.421_011e-20;

/// Splits sign·x = n·ln 2 + sign·r, |r| ≤ ln 2 / 2 (sign is 1 or −1).
///
/// Returns an integer whose nine low bits are n + bias, and r. For |x| ≤ 105 and
/// |n + bias| ≤ 500. NaN gives r = NaN and any integer.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F, sign: f32, bias: f32) -> (S::I, S::F) {
    let round = s.splat(ROUND + bias);
    let t = s.fma(x, s.splat(sign * std::f32::consts::LOG2_E), round);
    let n = s.sub(t, round);
    let r = s.fma(n, s.splat(-sign * LN2_HI), x);
    let r = s.fma(n, s.splat(-sign * LN2_LO), r);
    (s.bits(t), r)
}

/// The float with the nine low bits of `e` as sign and exponent: 2^(e − 127) for
/// 0 < e < 255. Multiply by it rather than add to an exponent: that keeps NaNs.
#[inline(always)]
fn power_of_two<S: Simd>(s: S, e: S::I) -> S::F {
    s.from_bits(s.shl::<23>(e))
}

/// eʳ on |r| ≤ ln 2 / 2: degree 6, relative error 3.1e-9.
#[inline(always)]
fn exp_reduced<S: Simd>(s: S, r: S::F) -> S::F {
    let c = [
        1.0,
        1.0,
        0.499_999_94,
        0.166_665_21,
        0.041_668_26,
        0.008_368_67,
        0.001_382_131_4,
    ];
    horner(s, r, c)
}

/// eʳ − 1 on |r| ≤ ln 2 / 2: degree 6, relative error 1.4e-8.
#[inline(always)]
fn expm1_reduced<S: Simd>(s: S, r: S::F) -> S::F {
    let c = [
        0.499_999_97,
        0.166_665_46,
        0.041_667_44,
        0.008_366_259,
        0.001_387_022_1,
    ];
    // r + r²·p(r): only the last operation rounds r itself.
    s.fma(s.mul(r, r), horner(s, r, c), r)
}

/// `min(max(x, lo), hi)`, NaN stays.
#[inline(always)]
fn clamp<S: Simd>(s: S, x: S::F, lo: f32, hi: f32) -> S::F {
    s.min(s.splat(hi), s.max(s.splat(lo), x))
}

/// eˣ. Largest error 0.90 ULP.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond these the result is 0 and ∞.
    let x = clamp(s, x, -104.0, 89.0);
    // 2ⁿ in two factors, as n is in −150 ..= 128: h = ⌊n/2⌋ and n − h. The first
    // product is exact, the second rounds once, also to a subnormal or to infinity.
    let (n, r) = reduce(s, x, 1.0, 2.0 * 127.0);
    let h = s.shr::<1>(n);
    let p = s.mul(exp_reduced(s, r), power_of_two(s, h));
    s.mul(p, power_of_two(s, s.sub_i(n, h)))
}

/// eˣ for −80 ≤ x ≤ 80, with the error of [`exp`].
#[inline(always)]
pub(super) fn exp_moderate<S: Simd>(s: S, x: S::F) -> S::F {
    let (n, r) = reduce(s, x, 1.0, 127.0);
    s.mul(exp_reduced(s, r), power_of_two(s, n))
}

/// eˣ − 1. Largest error 1.53 ULP.
#[inline(always)]
pub(crate) fn expm1<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond these the result is −1 and ∞.
    let z = clamp(s, x, -30.0, 89.0);
    // Half the result, 2ⁿ⁻¹·(eʳ − 1) + (2ⁿ⁻¹ − ½), for 2¹²⁸ is no f32.
    let (n, r) = reduce(s, z, 1.0, 126.0);
    let scale = power_of_two(s, n);
    let half = s.fma(expm1_reduced(s, r), scale, s.sub(scale, s.splat(0.5)));
    let y = s.add(half, half);
    // Keeps −0 and the last bit of subnormals.
    s.select(s.lt(s.abs(x), s.splat(TINY)), x, y)
}

/// tanh x = t / (t + 2) with t = e²ˣ − 1; odd to the bit. Largest error 2.57 ULP.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // From 9.1 on the result is 1.
    let a = s.min(s.splat(10.0), s.abs(x));
    let (n, r) = reduce(s, s.add(a, a), 1.0, 127.0);
    let scale = power_of_two(s, n);
    let t = s.fma(expm1_reduced(s, r), scale, s.sub(scale, s.splat(1.0)));
    let y = s.div(t, s.add(t, s.splat(2.0)));
    let sign = s.and_i(s.bits(x), s.splat_i(i32::MIN));
    s.from_bits(s.or_i(s.bits(y), sign))
}

/// 1 / (1 + e⁻ˣ). Largest error 3.44 ULP.
///
/// The hot function of training: 13 operations and one division. No case
/// distinction: 1 + e⁻ˣ loses nothing for either sign of x, and computing
/// 2⁻⁶⁴ / (2⁻⁶⁴ + 2⁻⁶⁴·e⁻ˣ) instead keeps e⁻ˣ from overflowing where the result is
/// subnormal.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    // e⁻ʳ on |r| ≤ ln 2 / 2: degree 5, relative error 9.2e-8. Degree 6 would cost 10 %
    // and take 0.8 ULP off.
    let c = [
        1.0,
        -0.999_999_7,
        0.499_991_5,
        -0.166_676_48,
        0.041_897_856,
        -0.008_289_731,
    ];
    // Beyond these the result is 0 and 1.
    let x = clamp(s, x, -105.0, 20.0);
    let (n, r) = reduce(s, x, -1.0, 127.0 - 64.0);
    let tiny = s.splat(TINY);
    s.div(tiny, s.fma(horner(s, r, c), power_of_two(s, n), tiny))
}

//! The error function.

use super::exp::exp_moderate;
use super::horner;
use crate::simd::Simd;

/// The error function; odd to the bit. Largest error 1.10 ULP.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    const SPLIT: f32 = 0.9;
    // x + x·p(x²) on |x| ≤ 0.9: six terms, relative error 1.4e-8.
    let near = [
        0.128_379_17,
        -0.376_125_54,
        0.112_823_55,
        -0.026_784_904,
        0.005_019_284,
        -0.000_612_287_2,
    ];
    // ln erfc x on 0.9 ≤ x ≤ 4: degree 6; erf = 1 − exp of it has relative error 1.7e-9.
    let far = [
        -0.000_166_456_1,
        -1.127_797_2,
        -0.636_976,
        -0.104_113_82,
        0.022_315_312,
        -0.003_065_522_5,
        0.000_198_223_56,
    ];
    let a = s.abs(x);
    let small = s.fma(x, horner(s, s.mul(x, x), near), x);
    // From 3.92 on the result is 1.
    let tail = exp_moderate(s, horner(s, s.min(s.splat(4.0), a), far));
    let sign = s.and_i(s.bits(x), s.splat_i(i32::MIN));
    let large = s.or_i(s.bits(s.sub(s.splat(1.0), tail)), sign);
    s.select(s.lt(a, s.splat(SPLIT)), small, s.from_bits(large))
}

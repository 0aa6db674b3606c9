//! Logarithms.
//!
//! x = 2ᵏ·(1 + f) with −1/3 ≤ f < 1/3, so ln x = k·ln 2 + ln(1 + f).

use super::exp::exp;
use super::horner;
use crate::simd::Simd;

/// ln 2 = LN2 + LN2_LO, to 48 bits.
const LN2: f32 = std::f32::consts::LN_2;
const LN2_LO: f32 = -1.904_654_2e-9;

/// The bits of 2/3, where the mantissa's interval starts.
const TWO_THIRDS: i32 = 0x3f2a_aaab;

/// k + 128 of the x whose bits these are (positive, normal), by integer arithmetic.
#[inline(always)]
fn exponent<S: Simd>(s: S, bits: S::I) -> S::I {
    s.shr::<23>(s.add_i(bits, s.splat_i((128 << 23) - TWO_THIRDS)))
}

/// f = x / 2ᵏ − 1, exactly; `j` is k + 128.
#[inline(always)]
fn fraction<S: Simd>(s: S, bits: S::I, j: S::I) -> S::F {
    let m = s.sub_i(bits, s.sub_i(s.shl::<23>(j), s.splat_i(128 << 23)));
    s.sub(s.from_bits(m), s.splat(1.0))
}

/// k·ln 2 + ln(1 + f). ln(1 + f) on |f| ≤ 1/3: degree 10, relative error 4.7e-9.
#[inline(always)]
fn combine<S: Simd>(s: S, k: S::F, f: S::F) -> S::F {
    let c = [
        -0.5,
        0.333_332_15,
        -0.249_998_03,
        0.200_104_46,
        -0.166_802_45,
        0.140_053_33,
        -0.121_873_48,
        0.139_866_64,
        -0.128_794_24,
    ];
    let p = s.fma(horner(s, f, c), s.mul(f, f), f);
    s.fma(k, s.splat(LN2), s.fma(k, s.splat(LN2_LO), p))
}

/// The natural logarithm. Largest error 0.94 ULP.
#[inline(always)]
pub(crate) fn ln<S: Simd>(s: S, x: S::F) -> S::F {
    let subnormal = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.mul(x, s.splat(8_388_608.0)); // 2²³
    let bits = s.bits(s.select(subnormal, scaled, x));
    let j = exponent(s, bits);
    let bias = s.select(subnormal, s.splat(-128.0 - 23.0), s.splat(-128.0));
    let k = s.add(s.to_f32(j), bias);
    let y = combine(s, k, fraction(s, bits, j));
    // Infinity and NaN are their own logarithms.
    let y = s.select(s.lt(x, s.splat(f32::INFINITY)), y, x);
    let y = s.select(s.lt(x, s.zero()), s.splat(f32::NAN), y);
    s.select(s.eq(x, s.zero()), s.splat(f32::NEG_INFINITY), y)
}

/// ln(1 + x). Largest error 1.55 ULP.
#[inline(always)]
pub(crate) fn log1p<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let u = s.add(one, x);
    let bits = s.bits(u);
    let j = exponent(s, bits);
    let k = s.add(s.to_f32(j), s.splat(-128.0));
    // f = (1 + x)/2ᵏ − 1 = x/2ᵏ + (2⁻ᵏ − 1): rounded once, though u was rounded.
    // Where x is large that rounding does not matter, and 2⁻ᵏ might be no f32.
    let scale = s.from_bits(s.shl::<23>(s.sub_i(s.splat_i(127 + 128), j)));
    let f = s.select(
        s.lt(u, s.splat(1_073_741_824.0)), // 2³⁰
        s.fma(x, scale, s.sub(scale, one)),
        fraction(s, bits, j),
    );
    let y = combine(s, k, f);
    // Keeps −0.
    let y = s.select(s.eq(x, s.zero()), x, y);
    // Infinity and NaN stay.
    let y = s.select(s.lt(x, s.splat(f32::INFINITY)), y, x);
    let y = s.select(s.lt(x, s.splat(-1.0)), s.splat(f32::NAN), y);
    s.select(s.eq(u, s.zero()), s.splat(f32::NEG_INFINITY), y)
}

/// ln(1 + eˣ) = max(x, 0) + ln(1 + e), e = exp(−|x|). Largest error 1.99 ULP.
#[inline(always)]
pub(crate) fn softplus<S: Simd>(s: S, x: S::F) -> S::F {
    let e = exp(s, s.neg(s.abs(x)));
    // log1p(e) for 0 ≤ e ≤ 1: 1 + e = 2ᵏ(1 + f) with k = 0 or 1.
    let small = s.lt(e, s.splat(1.0 / 3.0));
    let half = s.splat(0.5);
    let f = s.select(small, e, s.fma(e, half, s.neg(half)));
    let k = s.select(small, s.zero(), s.splat(1.0));
    s.add(s.max(s.zero(), x), combine(s, k, f))
}

//! Elementary functions: one written sequence of operations each, so the same bits
//! on every instruction set.
//!
//! | function | largest error (ULP) | at x = |
//! |---|---|---|
//! | exp | 0.90 | −5.848642 |
//! | expm1 | 1.53 | 0.39592195 |
//! | ln | 0.94 | 0.63565737 |
//! | log1p | 1.55 | 0.33456597 |
//! | tanh | 2.57 | 0.062023256 |
//! | sigmoid | 3.44 | −16.765856 |
//! | erf | 1.10 | 0.9240516 |
//! | softplus | 1.99 | −1.0744387 |
//!
//! Measured over all 2³² inputs against an `f64` oracle (the ignored test
//! `every_input`) and rounded up. One ULP is the distance of neighbouring `f32`s in the
//! binade of the exact value, 2⁻¹⁴⁹ where that is subnormal: a correctly rounded result
//! has at most 0.5. NaN gives NaN. Overflow gives infinity, underflow is gradual.
//! The functions with f(0) = 0 keep the sign of zero.
//!
//! # Where the coefficients come from
//!
//! Each polynomial minimizes the largest relative error of the function on its
//! interval (for the tail of erf: the error relative to erf). The fit is a linear
//! program over 401 Chebyshev points with residuals computed to 160 bits. Then the
//! coefficients are rounded to `f32` one after the other, lowest degree first: the
//! nearest five `f32`s are tried for each, the later coefficients fitted anew, and
//! the best three branches kept. Interval, degree and the error of the rounded
//! polynomial (as if evaluated exactly) stand at each.

mod erf;
mod exp;
mod log;
#[cfg(test)]
mod tests;

pub(crate) use erf::erf;
pub(crate) use exp::{exp, expm1, sigmoid, tanh};
pub(crate) use log::{ln, log1p, softplus};

use crate::Isa;
use crate::simd::{Kernel, LANES, Simd};

/// A function for [`map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// eˣ
    Exp,
    /// eˣ − 1, accurate near 0.
    Expm1,
    /// The natural logarithm.
    Ln,
    /// ln(1 + x), accurate near 0.
    Log1p,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// The error function.
    Erf,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 7] = [
        Self::Exp,
        Self::Expm1,
        Self::Ln,
        Self::Log1p,
        Self::Tanh,
        Self::Sigmoid,
        Self::Erf,
    ];
}

/// y ← f(x), element by element.
///
/// # Panics
/// If the lengths differ.
pub fn map(isa: Isa, f: Function, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "map: x and y differ in length");
    isa.dispatch(Map { f, x, y });
}

struct Map<'a> {
    f: Function,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { f, x, y } = self;
        // A closure that is not inlined is compiled without the token's target features:
        // each of its operations would be a call.
        macro_rules! each {
            ($f:ident) => {
                each(
                    s,
                    x,
                    y,
                    #[inline(always)]
                    |v| $f(s, v),
                )
            };
        }
        match f {
            Function::Exp => each!(exp),
            Function::Expm1 => each!(expm1),
            Function::Ln => each!(ln),
            Function::Log1p => each!(log1p),
            Function::Tanh => each!(tanh),
            Function::Sigmoid => each!(sigmoid),
            Function::Erf => each!(erf),
        }
    }
}

#[inline(always)]
fn each<S: Simd>(s: S, x: &[f32], y: &mut [f32], f: impl Fn(S::F) -> S::F) {
    let (x_lines, x_tail) = x.as_chunks::<LANES>();
    let (y_lines, y_tail) = y.as_chunks_mut::<LANES>();
    for (x, y) in x_lines.iter().zip(y_lines) {
        // SAFETY: `x` and `y` are 16 floats.
        unsafe { s.store(y.as_mut_ptr(), f(s.load(x.as_ptr()))) };
    }
    let n = x_tail.len().min(y_tail.len());
    if n > 0 {
        // SAFETY: `x_tail` and `y_tail` hold at least n floats, n < 16.
        unsafe { s.store_first(n, y_tail.as_mut_ptr(), f(s.load_first(n, x_tail.as_ptr()))) };
    }
}

/// c₀ + c₁x + c₂x² + … by Horner's rule, one fma for each degree.
#[inline(always)]
fn horner<S: Simd, const N: usize>(s: S, x: S::F, c: [f32; N]) -> S::F {
    let mut p = s.splat(c[N - 1]);
    for &c in c[..N - 1].iter().rev() {
        p = s.fma(p, x, s.splat(c));
    }
    p
}

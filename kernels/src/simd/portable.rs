//! Portable token: arrays of 16, no intrinsics, the same bits as the others.

use super::{Kernel, LANES, Sealed, Simd, tree_sum};

/// Needs no instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Sealed for Portable {}

/// a·b + c rounded once.
///
/// Uses the hardware's instruction where the compilation target has it. Elsewhere
/// `f32::mul_add` would call a library function, so the sum is formed in `f64`
/// (the product is exact there) and rounded *to odd*, after which the rounding to
/// `f32` is correct: Boldo and Melquiond, "Emulation of a FMA and correctly rounded
/// sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        return a.mul_add(b, c);
    }
    let p = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    let s = p + c;
    // TwoSum: s + err = p + c exactly (NaN where s is not finite).
    let bb = s - p;
    let err = (p - (s - bb)) + (c - bb);
    let bits = s.to_bits();
    // Not so for NaN.
    let inexact = err.abs() > 0.0;
    let odd = if inexact && bits & 1 == 0 {
        // Step s one unit towards the exact sum: that neighbour is odd.
        if (err > 0.0) == (s > 0.0) {
            bits + 1
        } else {
            bits - 1
        }
    } else {
        bits
    };
    f64::from_bits(odd) as f32
}

#[inline(always)]
fn map<A: Copy, B>(a: [A; LANES], f: impl Fn(A) -> B) -> [B; LANES] {
    std::array::from_fn(
        #[inline(always)]
        |i| f(a[i]),
    )
}

#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; LANES], b: [B; LANES], f: impl Fn(A, B) -> C) -> [C; LANES] {
    std::array::from_fn(
        #[inline(always)]
        |i| f(a[i], b[i]),
    )
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type M = [bool; LANES];

    const REGISTERS: usize = 8;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::F {
        // SAFETY: valid for 16 reads by this function's contract; an array of f32
        // needs no more alignment than f32.
        unsafe { p.cast::<[f32; LANES]>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::F) {
        // SAFETY: valid for 16 writes by this function's contract; an array of f32
        // needs no more alignment than f32.
        unsafe { p.cast::<[f32; LANES]>().write(v) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        map(a, f32::sqrt)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(
            #[inline(always)]
            |i| fma(a[i], b[i], c[i]),
        )
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a < b)
    }

    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        zip(a, b, |a, b| a == b)
    }

    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(
            #[inline(always)]
            |i| if m[i] { a[i] } else { b[i] },
        )
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        [x; LANES]
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn sub_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, i32::wrapping_sub)
    }

    #[inline(always)]
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a & b)
    }

    #[inline(always)]
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a | b)
    }

    #[inline(always)]
    fn xor_i(self, a: Self::I, b: Self::I) -> Self::I {
        zip(a, b, |a, b| a ^ b)
    }

    #[inline(always)]
    fn shl<const N: i32>(self, a: Self::I) -> Self::I {
        map(a, |a| a << N)
    }

    #[inline(always)]
    fn shr<const N: i32>(self, a: Self::I) -> Self::I {
        map(a, |a| ((a as u32) >> N) as i32)
    }

    #[inline(always)]
    fn to_f32(self, a: Self::I) -> Self::F {
        map(a, |a| a as f32)
    }

    #[inline(always)]
    fn bits(self, a: Self::F) -> Self::I {
        map(a, |a| a.to_bits() as i32)
    }

    #[inline(always)]
    fn from_bits(self, a: Self::I) -> Self::F {
        map(a, |a| f32::from_bits(a as u32))
    }

    #[inline(always)]
    fn sum_each(self, v: [Self::F; LANES]) -> Self::F {
        map(v, tree_sum)
    }
}

//! NEON token: a virtual register is four `float32x4_t`.

use super::{Kernel, LANES, Sealed, Simd};
use std::arch::aarch64::*;

/// Proof that the CPU has NEON.
#[derive(Clone, Copy, Debug)]
pub struct Neon {
    _private: (),
}

impl Neon {
    /// The token, if this CPU has the feature.
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self { _private: () })
    }
}

impl Sealed for Neon {}

/// 16 × `f32`: lanes 0–3, 4–7, 8–11, 12–15.
#[derive(Clone, Copy)]
pub(crate) struct F(float32x4_t, float32x4_t, float32x4_t, float32x4_t);
/// 16 × `i32`, or 16 truth values: all bits of a lane or none.
#[derive(Clone, Copy)]
pub(crate) struct I(uint32x4_t, uint32x4_t, uint32x4_t, uint32x4_t);

/// 16 × `i32` for the one instruction that tells them from `u32`.
struct Signed(int32x4_t, int32x4_t, int32x4_t, int32x4_t);

/// # Safety
/// - The CPU must have the enabled feature: `token` proves it.
#[target_feature(enable = "neon")]
unsafe fn shim<K: Kernel>(token: Neon, kernel: K) -> K::Output {
    kernel.run(token)
}

/// A register operation: the intrinsic's only requirement is the instruction set.
macro_rules! op {
    ($e:expr) => {{
        // SAFETY: the token at hand exists only where the CPU has the intrinsic's
        // features, and the intrinsic touches registers only.
        unsafe { $e }
    }};
}

/// `each!(F: f(a, b))` is the register `F` whose parts are `f` of the parts of a and b.
macro_rules! each {
    ($register:ident: $f:ident($($a:expr),+)) => {
        op!($register($f($($a.0),+), $f($($a.1),+), $f($($a.2),+), $f($($a.3),+)))
    };
}

impl Neon {
    /// Shifts left by `n` bits, right by a negative `n`. A constant becomes an immediate.
    #[inline(always)]
    fn shift(self, a: I, n: i32) -> I {
        let n = op!(vdupq_n_s32(n));
        let n = (n, n, n, n);
        each!(I: vshlq_u32(a, n))
    }
}

impl Simd for Neon {
    type F = F;
    type I = I;
    type M = I;

    const REGISTERS: usize = 8;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves the feature.
        unsafe { shim(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        let x = op!(vdupq_n_f32(x));
        F(x, x, x, x)
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> F {
        // SAFETY: valid for 16 reads by this function's contract; `self` proves the ISA.
        unsafe {
            F(
                vld1q_f32(p),
                vld1q_f32(p.add(4)),
                vld1q_f32(p.add(8)),
                vld1q_f32(p.add(12)),
            )
        }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: F) {
        // SAFETY: valid for 16 writes by this function's contract; `self` proves the ISA.
        unsafe {
            vst1q_f32(p, v.0);
            vst1q_f32(p.add(4), v.1);
            vst1q_f32(p.add(8), v.2);
            vst1q_f32(p.add(12), v.3);
        }
    }

    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        each!(F: vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        each!(F: vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        each!(F: vmulq_f32(a, b))
    }

    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        each!(F: vdivq_f32(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        each!(F: vsqrtq_f32(a))
    }

    // The instruction's addend comes first.
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        each!(F: vfmaq_f32(c, a, b))
    }

    // Not FMAX: it makes NaN of a NaN on either side, and +0 of the two zeros.
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        self.select(self.lt(b, a), a, b)
    }

    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        self.select(self.lt(a, b), a, b)
    }

    #[inline(always)]
    fn lt(self, a: F, b: F) -> I {
        each!(I: vcltq_f32(a, b))
    }

    #[inline(always)]
    fn eq(self, a: F, b: F) -> I {
        each!(I: vceqq_f32(a, b))
    }

    #[inline(always)]
    fn select(self, m: I, a: F, b: F) -> F {
        each!(F: vbslq_f32(m, a, b))
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> I {
        let x = op!(vdupq_n_u32(x as u32));
        I(x, x, x, x)
    }

    #[inline(always)]
    fn add_i(self, a: I, b: I) -> I {
        each!(I: vaddq_u32(a, b))
    }

    #[inline(always)]
    fn sub_i(self, a: I, b: I) -> I {
        each!(I: vsubq_u32(a, b))
    }

    #[inline(always)]
    fn and_i(self, a: I, b: I) -> I {
        each!(I: vandq_u32(a, b))
    }

    #[inline(always)]
    fn or_i(self, a: I, b: I) -> I {
        each!(I: vorrq_u32(a, b))
    }

    #[inline(always)]
    fn xor_i(self, a: I, b: I) -> I {
        each!(I: veorq_u32(a, b))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, a: I) -> I {
        self.shift(a, N)
    }

    #[inline(always)]
    fn shr<const N: i32>(self, a: I) -> I {
        self.shift(a, -N)
    }

    #[inline(always)]
    fn to_f32(self, a: I) -> F {
        let a = each!(Signed: vreinterpretq_s32_u32(a));
        each!(F: vcvtq_f32_s32(a))
    }

    #[inline(always)]
    fn bits(self, a: F) -> I {
        each!(I: vreinterpretq_u32_f32(a))
    }

    #[inline(always)]
    fn from_bits(self, a: I) -> F {
        each!(F: vreinterpretq_f32_u32(a))
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        let mut all = 0;
        for (i, bytes) in bytes.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: 16 bytes of each; `self` proves the ISA.
            let (low, high) = unsafe {
                let v = vld1q_u8(bytes.as_ptr());
                let bits = vandq_u8(vtstq_u8(v, v), vld1q_u8(BITS.as_ptr()));
                let halves = (vget_low_u8(bits), vget_high_u8(bits));
                (vaddv_u8(halves.0), vaddv_u8(halves.1))
            };
            all |= u32::from(u16::from_le_bytes([low, high])) << (16 * i);
        }
        all
    }

    #[inline(always)]
    fn sum_each(self, v: [F; LANES]) -> F {
        /// Lanes 8 apart, then lanes 4 apart, of one row.
        #[inline(always)]
        fn by8_by4(a: F) -> float32x4_t {
            op!(vaddq_f32(vaddq_f32(a.0, a.2), vaddq_f32(a.1, a.3)))
        }
        /// Lanes 2 apart, of two rows: a half for each.
        #[inline(always)]
        fn by2(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            op!({
                let (a, b) = (vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b));
                vaddq_f32(
                    vreinterpretq_f32_f64(vzip1q_f64(a, b)),
                    vreinterpretq_f32_f64(vzip2q_f64(a, b)),
                )
            })
        }
        /// Rows r … r + 3: the pairwise sum adds lanes 1 apart and leaves them in order.
        #[inline(always)]
        fn four(v: &[F; LANES], r: usize) -> float32x4_t {
            let lo = by2(by8_by4(v[r]), by8_by4(v[r + 1]));
            let hi = by2(by8_by4(v[r + 2]), by8_by4(v[r + 3]));
            op!(vpaddq_f32(lo, hi))
        }
        F(four(&v, 0), four(&v, 4), four(&v, 8), four(&v, 12))
    }
}

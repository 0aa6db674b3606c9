//! AVX-512 token: a virtual register is one `zmm`.

use super::{Kernel, LANES, Sealed, Simd, TURNED};
use std::arch::x86_64::*;
use std::sync::OnceLock;

/// Proof that the CPU has AVX-512 F, VL, BW, DQ, AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx512 {
    full_width: bool,
}

impl Avx512 {
    /// The token, if this CPU (and the operating system) has the features.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma"))
        .then(|| Self {
            full_width: full_width(),
        })
    }
}

/// Whether the units are as wide as the registers: all that have AVX-512 but AMD's family 19h
/// (Zen 4), where they are half as wide.
fn full_width() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // Leaves 0 and 1 exist on every x86-64. (AMD APM volume 3, E.3.1 and E.3.2.)
        let vendor = __cpuid(0);
        let amd = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes)
            == *b"AuthenticAMD".as_chunks().0;
        let signature = __cpuid(1).eax;
        let family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF);
        !(amd && family == 0x19)
    })
}

impl Sealed for Avx512 {}

/// # Safety
/// - The CPU must have the enabled features: `token` proves it.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn shim<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
    kernel.run(token)
}

/// # Safety
/// - As [`shim`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn apart<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
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

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;

    const REGISTERS: usize = 32;
    const DOTS: usize = 4;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves the features.
        unsafe { shim(self, kernel) }
    }

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves the features.
        unsafe { apart(self, kernel) }
    }

    #[inline(always)]
    fn full_width(self) -> bool {
        self.full_width
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        op!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::F {
        // SAFETY: valid for 16 reads by this function's contract; `self` proves the ISA.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::F) {
        // SAFETY: valid for 16 writes by this function's contract; `self` proves the ISA.
        unsafe { _mm512_storeu_ps(p, v) }
    }

    #[inline(always)]
    unsafe fn load_first(self, n: usize, p: *const f32) -> Self::F {
        debug_assert!(n <= LANES);
        let mask = ((1u32 << n) - 1) as __mmask16;
        // SAFETY: only the `n` lanes of the mask are read, valid by this function's
        // contract; masked lanes do not fault. `self` proves the ISA.
        unsafe { _mm512_maskz_loadu_ps(mask, p) }
    }

    #[inline(always)]
    unsafe fn store_first(self, n: usize, p: *mut f32, v: Self::F) {
        debug_assert!(n <= LANES);
        let mask = ((1u32 << n) - 1) as __mmask16;
        // SAFETY: only the `n` lanes of the mask are written, valid by this function's
        // contract; masked lanes do not fault. `self` proves the ISA.
        unsafe { _mm512_mask_storeu_ps(p, mask, v) }
    }

    #[inline(always)]
    unsafe fn load_turned(self, n: usize, p: *const f32, stride: usize) -> [Self::F; TURNED] {
        debug_assert!(0 < n && n <= LANES);
        let mut v = [self.zero(); 4];
        for (q, v) in v.iter_mut().enumerate() {
            // SAFETY: 4 floats may be read at each address < n (contract); `self` proves
            // the ISA.
            *v = unsafe {
                let quarter = |lane: usize| p.add((4 * lane + q).min(n - 1) * stride);
                let v = _mm512_castps128_ps512(_mm_loadu_ps(quarter(0)));
                let v = _mm512_insertf32x4::<1>(v, _mm_loadu_ps(quarter(1)));
                let v = _mm512_insertf32x4::<2>(v, _mm_loadu_ps(quarter(2)));
                _mm512_insertf32x4::<3>(v, _mm_loadu_ps(quarter(3)))
            };
        }
        // 4 × 4 in each quarter.
        op!({
            let (a, b) = (
                _mm512_unpacklo_ps(v[0], v[1]),
                _mm512_unpacklo_ps(v[2], v[3]),
            );
            let (c, d) = (
                _mm512_unpackhi_ps(v[0], v[1]),
                _mm512_unpackhi_ps(v[2], v[3]),
            );
            [
                _mm512_shuffle_ps::<0x44>(a, b),
                _mm512_shuffle_ps::<0xEE>(a, b),
                _mm512_shuffle_ps::<0x44>(c, d),
                _mm512_shuffle_ps::<0xEE>(c, d),
            ]
        })
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        // SAFETY: 32 bytes; `self` proves the ISA.
        unsafe {
            let v = _mm256_loadu_si256(bytes.as_ptr().cast());
            _mm256_test_epi8_mask(v, v)
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, p: *const T) {
        op!(_mm_prefetch::<_MM_HINT_T0>(p.cast()));
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        op!(_mm512_sqrt_ps(a))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        op!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        op!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }

    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        op!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b))
    }

    #[inline(always)]
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_mask_blend_ps(m, b, a))
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> Self::I {
        op!(_mm512_set1_epi32(x))
    }

    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub_i(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_sub_epi32(a, b))
    }

    #[inline(always)]
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_and_epi32(a, b))
    }

    #[inline(always)]
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_or_epi32(a, b))
    }

    #[inline(always)]
    fn xor_i(self, a: Self::I, b: Self::I) -> Self::I {
        op!(_mm512_xor_epi32(a, b))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, a: Self::I) -> Self::I {
        op!(_mm512_sllv_epi32(a, _mm512_set1_epi32(N)))
    }

    #[inline(always)]
    fn shr<const N: i32>(self, a: Self::I) -> Self::I {
        op!(_mm512_srlv_epi32(a, _mm512_set1_epi32(N)))
    }

    #[inline(always)]
    fn to_f32(self, a: Self::I) -> Self::F {
        op!(_mm512_cvtepi32_ps(a))
    }

    #[inline(always)]
    fn bits(self, a: Self::F) -> Self::I {
        op!(_mm512_castps_si512(a))
    }

    #[inline(always)]
    fn from_bits(self, a: Self::I) -> Self::F {
        op!(_mm512_castsi512_ps(a))
    }

    // Each stage folds two registers into one, halving the partial sums of a row
    // and doubling the rows in a register: 8 + 4 + 2 + 1 additions for 16 sums.
    #[inline(always)]
    fn sum_each(self, v: [Self::F; LANES]) -> Self::F {
        /// Lanes 8 apart: `[a₀a₁a₂a₃] [b₀b₁b₂b₃] → [a₀+a₂, a₁+a₃, b₀+b₂, b₁+b₃]` (quarters).
        #[inline(always)]
        fn by8(s: Avx512, a: __m512, b: __m512) -> __m512 {
            op!(s.add(
                _mm512_shuffle_f32x4::<0x44>(a, b),
                _mm512_shuffle_f32x4::<0xEE>(a, b)
            ))
        }
        /// Lanes 4 apart: two rows in each of `x`, `y` become four quarters.
        #[inline(always)]
        fn by4(s: Avx512, x: __m512, y: __m512) -> __m512 {
            op!(s.add(
                _mm512_shuffle_f32x4::<0x88>(x, y),
                _mm512_shuffle_f32x4::<0xDD>(x, y)
            ))
        }
        /// Lanes 2 apart, within quarters.
        #[inline(always)]
        fn by2(s: Avx512, x: __m512, y: __m512) -> __m512 {
            op!(s.add(
                _mm512_shuffle_ps::<0x44>(x, y),
                _mm512_shuffle_ps::<0xEE>(x, y)
            ))
        }
        /// Lanes 1 apart, within quarters.
        #[inline(always)]
        fn by1(s: Avx512, x: __m512, y: __m512) -> __m512 {
            op!(s.add(
                _mm512_shuffle_ps::<0x88>(x, y),
                _mm512_shuffle_ps::<0xDD>(x, y)
            ))
        }
        /// Rows r, r + 4, r + 8 and r + 12, a quarter for each: so that the last stage
        /// leaves the rows in order.
        #[inline(always)]
        fn rows(s: Avx512, v: &[__m512; LANES], r: usize) -> __m512 {
            by4(s, by8(s, v[r], v[r + 4]), by8(s, v[r + 8], v[r + 12]))
        }
        let lo = by2(self, rows(self, &v, 0), rows(self, &v, 1));
        let hi = by2(self, rows(self, &v, 2), rows(self, &v, 3));
        by1(self, lo, hi)
    }
}

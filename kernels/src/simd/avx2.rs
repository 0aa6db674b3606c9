//! AVX2 + FMA token: a virtual register is two `ymm`, lanes 0–7 and 8–15.

use super::{Kernel, LANES, Sealed, Simd, TURNED};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2 {
    _private: (),
}

impl Avx2 {
    /// The token, if this CPU (and the operating system) has the features.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
            .then_some(Self { _private: () })
    }
}

impl Sealed for Avx2 {}

/// A register operation: the intrinsic's only requirement is the instruction set.
macro_rules! op {
    ($e:expr) => {{
        // SAFETY: the token at hand exists only where the CPU has the intrinsic's
        // features, and the intrinsic touches registers only.
        unsafe { $e }
    }};
}

/// Lanes 4 apart of two rows, a half for each.
#[inline(always)]
fn by4(_: Avx2, a: __m256, b: __m256) -> __m256 {
    op!(_mm256_add_ps(
        _mm256_permute2f128_ps::<0x20>(a, b),
        _mm256_permute2f128_ps::<0x31>(a, b),
    ))
}

/// Lanes 2 apart, within halves.
#[inline(always)]
fn by2(_: Avx2, x: __m256, y: __m256) -> __m256 {
    op!(_mm256_add_ps(
        _mm256_shuffle_ps::<0x44>(x, y),
        _mm256_shuffle_ps::<0xEE>(x, y)
    ))
}

/// Lanes 1 apart, within halves.
#[inline(always)]
fn by1(_: Avx2, x: __m256, y: __m256) -> __m256 {
    op!(_mm256_add_ps(
        _mm256_shuffle_ps::<0x88>(x, y),
        _mm256_shuffle_ps::<0xDD>(x, y)
    ))
}

/// 16 × `f32`: lanes 0–7, lanes 8–15.
#[derive(Clone, Copy)]
pub(crate) struct F(__m256, __m256);
/// 16 × `i32`.
#[derive(Clone, Copy)]
pub(crate) struct I(__m256i, __m256i);

/// # Safety
/// - The CPU must have the enabled features: `token` proves it.
#[target_feature(enable = "avx2,fma")]
unsafe fn shim<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
    kernel.run(token)
}

/// The masks of `maskload`/`maskstore`: 8 − n lanes off after n on, read at 8 − n.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

impl Avx2 {
    /// The first `n` (≤ 8) lanes on.
    #[inline(always)]
    fn mask(self, n: usize) -> __m256i {
        debug_assert!(n <= 8);
        // SAFETY: elements 8 − n … 15 − n lie inside MASKS for n ≤ 8; `min` makes sure.
        unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n.min(8)).cast()) }
    }

    /// The sums of four rows whose lanes 8 apart were added.
    #[inline(always)]
    fn sum_four(self, v: [__m256; 4]) -> __m128 {
        // Rows 0 and 1 in the first half, 2 and 3 in the second.
        let x = by2(self, by4(self, v[0], v[2]), by4(self, v[1], v[3]));
        let x = by1(self, x, x);
        op!(_mm_movelh_ps(
            _mm256_castps256_ps128(x),
            _mm256_extractf128_ps::<1>(x)
        ))
    }

    /// Eight of the lanes of [`Simd::dots`], from lane `first` (0 or 8) on.
    ///
    /// # Safety
    /// - Every pointer must be valid for reads of `n` `f32`, n a multiple of 16; `first` ≤ 8.
    #[inline(always)]
    unsafe fn half_dots<const C: usize>(
        self,
        first: usize,
        n: usize,
        rows: &[*const f32; 4],
        others: &[*const f32; C],
    ) -> [[__m256; C]; 4] {
        let zero = op!(_mm256_setzero_ps());
        let mut acc = [[zero; C]; 4];
        for j in (0..n).step_by(LANES) {
            // SAFETY: j + first + 8 ≤ n floats of each row; `self` proves the ISA.
            unsafe {
                let mut d = [zero; C];
                for (d, other) in d.iter_mut().zip(others) {
                    *d = _mm256_loadu_ps(other.add(j + first));
                }
                for (acc, row) in acc.iter_mut().zip(rows) {
                    let w = _mm256_loadu_ps(row.add(j + first));
                    for (acc, &d) in acc.iter_mut().zip(&d) {
                        *acc = _mm256_fmadd_ps(d, w, *acc);
                    }
                }
            }
        }
        acc
    }
}

impl Simd for Avx2 {
    type F = F;
    type I = I;
    type M = F;

    const REGISTERS: usize = 8;
    const DOTS: usize = 3;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves the features.
        unsafe { shim(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        op!(F(_mm256_set1_ps(x), _mm256_set1_ps(x)))
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> F {
        // SAFETY: valid for 16 reads by this function's contract; `self` proves the ISA.
        unsafe { F(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: F) {
        // SAFETY: valid for 16 writes by this function's contract; `self` proves the ISA.
        unsafe {
            _mm256_storeu_ps(p, v.0);
            _mm256_storeu_ps(p.add(8), v.1);
        }
    }

    #[inline(always)]
    unsafe fn load_first(self, n: usize, p: *const f32) -> F {
        debug_assert!(n <= LANES);
        let (lo, hi) = (self.mask(n.min(8)), self.mask(n.saturating_sub(8)));
        // SAFETY: only the lanes of the masks are read, the first `n`, valid by this
        // function's contract; the other lanes do not fault. The second address is
        // formed without a claim that it lies inside the allocation.
        unsafe {
            F(
                _mm256_maskload_ps(p, lo),
                _mm256_maskload_ps(p.wrapping_add(8), hi),
            )
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, n: usize, p: *mut f32, v: F) {
        debug_assert!(n <= LANES);
        // Stores of 8, 4, 2 and 1: masked ones are slow on the CPUs of AMD.
        // SAFETY: the parts lie one behind the other, inside the first `n` ≤ 16 floats,
        // valid for writes by this function's contract; `self` proves the ISA.
        unsafe {
            if n == LANES {
                return self.store(p, v);
            }
            let (mut p, mut rest) = (p, v.0);
            if n & 8 != 0 {
                _mm256_storeu_ps(p, rest);
                (p, rest) = (p.add(8), v.1);
            }
            let mut rest = (
                _mm256_castps256_ps128(rest),
                _mm256_extractf128_ps::<1>(rest),
            );
            if n & 4 != 0 {
                _mm_storeu_ps(p, rest.0);
                (p, rest.0) = (p.add(4), rest.1);
            }
            if n & 2 != 0 {
                _mm_storel_epi64(p.cast(), _mm_castps_si128(rest.0));
                (p, rest.0) = (p.add(2), _mm_movehl_ps(rest.0, rest.0));
            }
            if n & 1 != 0 {
                _mm_store_ss(p, rest.0);
            }
        }
    }

    #[inline(always)]
    unsafe fn load_turned(self, n: usize, p: *const f32, stride: usize) -> [F; TURNED] {
        debug_assert!(0 < n && n <= LANES);
        let zero = op!(_mm256_setzero_ps());
        let mut halves = [[zero; TURNED]; 2];
        for (half, lines) in halves.iter_mut().enumerate() {
            let mut v = [zero; 4];
            for (q, v) in v.iter_mut().enumerate() {
                let lane = 8 * half + q;
                // SAFETY: 4 floats may be read at each address < n (contract); `self`
                // proves the ISA.
                *v = unsafe {
                    let low = _mm_loadu_ps(p.add(lane.min(n - 1) * stride));
                    let high = _mm_loadu_ps(p.add((lane + 4).min(n - 1) * stride));
                    _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
                };
            }
            // 4 × 4 in each quarter.
            *lines = op!({
                let (a, b) = (
                    _mm256_unpacklo_ps(v[0], v[1]),
                    _mm256_unpacklo_ps(v[2], v[3]),
                );
                let (c, d) = (
                    _mm256_unpackhi_ps(v[0], v[1]),
                    _mm256_unpackhi_ps(v[2], v[3]),
                );
                [
                    _mm256_shuffle_ps::<0x44>(a, b),
                    _mm256_shuffle_ps::<0xEE>(a, b),
                    _mm256_shuffle_ps::<0x44>(c, d),
                    _mm256_shuffle_ps::<0xEE>(c, d),
                ]
            });
        }
        let [low, high] = halves;
        [
            F(low[0], high[0]),
            F(low[1], high[1]),
            F(low[2], high[2]),
            F(low[3], high[3]),
        ]
    }

    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        // SAFETY: 32 bytes; `self` proves the ISA.
        let zeros = unsafe {
            let v = _mm256_loadu_si256(bytes.as_ptr().cast());
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_setzero_si256()))
        };
        !zeros.cast_unsigned()
    }

    #[inline(always)]
    fn prefetch<T>(self, p: *const T) {
        op!(_mm_prefetch::<_MM_HINT_T0>(p.cast()));
    }

    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        op!(F(_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        op!(F(_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        op!(F(_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        op!(F(_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn sqrt(self, a: F) -> F {
        op!(F(_mm256_sqrt_ps(a.0), _mm256_sqrt_ps(a.1)))
    }

    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        op!(F(_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        op!(F(_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        op!(F(
            _mm256_fmadd_ps(a.0, b.0, c.0),
            _mm256_fmadd_ps(a.1, b.1, c.1)
        ))
    }

    #[inline(always)]
    fn lt(self, a: F, b: F) -> F {
        op!(F(
            _mm256_cmp_ps::<_CMP_LT_OQ>(a.0, b.0),
            _mm256_cmp_ps::<_CMP_LT_OQ>(a.1, b.1)
        ))
    }

    #[inline(always)]
    fn eq(self, a: F, b: F) -> F {
        op!(F(
            _mm256_cmp_ps::<_CMP_EQ_OQ>(a.0, b.0),
            _mm256_cmp_ps::<_CMP_EQ_OQ>(a.1, b.1)
        ))
    }

    #[inline(always)]
    fn select(self, m: F, a: F, b: F) -> F {
        op!(F(
            _mm256_blendv_ps(b.0, a.0, m.0),
            _mm256_blendv_ps(b.1, a.1, m.1)
        ))
    }

    #[inline(always)]
    fn splat_i(self, x: i32) -> I {
        op!(I(_mm256_set1_epi32(x), _mm256_set1_epi32(x)))
    }

    #[inline(always)]
    fn add_i(self, a: I, b: I) -> I {
        op!(I(_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1)))
    }

    #[inline(always)]
    fn sub_i(self, a: I, b: I) -> I {
        op!(I(_mm256_sub_epi32(a.0, b.0), _mm256_sub_epi32(a.1, b.1)))
    }

    #[inline(always)]
    fn and_i(self, a: I, b: I) -> I {
        op!(I(_mm256_and_si256(a.0, b.0), _mm256_and_si256(a.1, b.1)))
    }

    #[inline(always)]
    fn or_i(self, a: I, b: I) -> I {
        op!(I(_mm256_or_si256(a.0, b.0), _mm256_or_si256(a.1, b.1)))
    }

    #[inline(always)]
    fn xor_i(self, a: I, b: I) -> I {
        op!(I(_mm256_xor_si256(a.0, b.0), _mm256_xor_si256(a.1, b.1)))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, a: I) -> I {
        op!(I(_mm256_slli_epi32::<N>(a.0), _mm256_slli_epi32::<N>(a.1)))
    }

    #[inline(always)]
    fn shr<const N: i32>(self, a: I) -> I {
        op!(I(_mm256_srli_epi32::<N>(a.0), _mm256_srli_epi32::<N>(a.1)))
    }

    #[inline(always)]
    fn to_f32(self, a: I) -> F {
        op!(F(_mm256_cvtepi32_ps(a.0), _mm256_cvtepi32_ps(a.1)))
    }

    #[inline(always)]
    fn bits(self, a: F) -> I {
        op!(I(_mm256_castps_si256(a.0), _mm256_castps_si256(a.1)))
    }

    #[inline(always)]
    fn from_bits(self, a: I) -> F {
        op!(F(_mm256_castsi256_ps(a.0), _mm256_castsi256_ps(a.1)))
    }

    #[inline(always)]
    unsafe fn dots<const R: usize, const C: usize>(
        self,
        n: usize,
        rows: [*const f32; R],
        others: [*const f32; C],
        to: [*mut f32; C],
    ) {
        const { assert!(R.is_multiple_of(4)) };
        for (q, rows) in rows.as_chunks().0.iter().enumerate() {
            // One half of the lanes after the other: so the sums of 4 rows with 3 others fit
            // into the registers, and the tree adds the halves first.
            // SAFETY: n floats of each row (contract).
            let (low, high) = unsafe {
                (
                    self.half_dots(0, n, rows, &others),
                    self.half_dots(8, n, rows, &others),
                )
            };
            for (c, to) in to.into_iter().enumerate() {
                let mut by8 = [op!(_mm256_setzero_ps()); 4];
                for (r, by8) in by8.iter_mut().enumerate() {
                    *by8 = op!(_mm256_add_ps(low[r][c], high[r][c]));
                }
                // SAFETY: 4 of the R writes (contract); `self` proves the ISA.
                unsafe { _mm_storeu_ps(to.add(4 * q), self.sum_four(by8)) };
            }
        }
    }

    #[inline(always)]
    fn sum_each(self, v: [F; LANES]) -> F {
        /// Lanes 8 apart of one row, then lanes 4 apart of two rows, a half for each.
        #[inline(always)]
        fn by8_by4(s: Avx2, a: F, b: F) -> __m256 {
            op!(by4(s, _mm256_add_ps(a.0, a.1), _mm256_add_ps(b.0, b.1)))
        }
        /// The sums of rows r … r + 7. Each `by8_by4` has rows four apart, a half for
        /// each, so that the last stage leaves the rows in order.
        #[inline(always)]
        fn eight(s: Avx2, v: &[F; LANES], r: usize) -> __m256 {
            let lo = by2(
                s,
                by8_by4(s, v[r], v[r + 4]),
                by8_by4(s, v[r + 1], v[r + 5]),
            );
            let hi = by2(
                s,
                by8_by4(s, v[r + 2], v[r + 6]),
                by8_by4(s, v[r + 3], v[r + 7]),
            );
            by1(s, lo, hi)
        }
        F(eight(self, &v, 0), eight(self, &v, 8))
    }
}

//! The one abstraction over instruction sets: a virtual register of 16 `f32`.
//!
//! Every instruction set shows the same register width. AVX-512 holds it in one
//! hardware register, AVX2 in two, NEON in four, portable code in an array. So a
//! kernel is written once, a row padded to 16 floats is a whole number of
//! registers everywhere, and a reduction has the same 16 partial sums and the same
//! tree everywhere, which is what makes the results equal to the last bit.
//!
//! The operations are those that IEEE 754 defines to the bit: + − × ÷ √ fma,
//! comparison, selection, integer arithmetic. Estimates (`rcp`, `rsqrt`) and
//! library functions are left out on purpose.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;
#[cfg(test)]
mod tests;

/// Number of `f32` in a virtual register, and the multiple to which rows are padded.
pub const LANES: usize = 16;

/// Floats that [`Simd::load_turned`] takes from each address: a quarter of a register.
pub(crate) const TURNED: usize = 4;

/// An operation that can run on any instruction set.
///
/// `run` must be `#[inline(always)]`: it is inlined into a shim compiled with the
/// token's target features. Without that the code is correct and slow.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

mod sealed {
    pub trait Sealed {}
}
pub(crate) use sealed::Sealed;

/// Proof that the CPU has an instruction set, and its operations on 16 lanes.
///
/// A value exists only after detection (or needs none, as the portable one), so
/// the methods are safe but for the memory accesses.
#[allow(
    clippy::wrong_self_convention,
    reason = "the token comes first everywhere"
)]
pub(crate) trait Simd: Sealed + Copy + Send + Sync + 'static {
    /// 16 × `f32`.
    type F: Copy;
    /// 16 × `i32`.
    type I: Copy;
    /// 16 truth values.
    type M: Copy;

    /// How many virtual registers the hardware has; the tile functions choose by it.
    const REGISTERS: usize;

    /// The most rows of which [`Simd::dots`] has registers for the sums.
    const DOTS: usize = 2;

    /// Runs `kernel` in code compiled for this instruction set.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;

    /// The same in a function that is not made part of its caller: for a kernel of many
    /// instances, next to which the caller would have no registers left.
    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        self.run(kernel)
    }

    /// Whether the core takes a virtual register whole, and two at a time: two loads and two
    /// FMAs a cycle. Then an FMA that has to load more than one operand waits for its loads.
    #[inline(always)]
    fn full_width(self) -> bool {
        false
    }

    fn splat(self, x: f32) -> Self::F;

    /// Loads 16 floats.
    ///
    /// # Safety
    /// - `p` must be valid for reads of 16 `f32`. No alignment is needed beyond `f32`'s.
    unsafe fn load(self, p: *const f32) -> Self::F;

    /// Stores 16 floats.
    ///
    /// # Safety
    /// - `p` must be valid for writes of 16 `f32`. No alignment is needed beyond `f32`'s.
    unsafe fn store(self, p: *mut f32, v: Self::F);

    /// Loads the first `n` floats (`n ≤ 16`) and zeros for the others.
    ///
    /// # Safety
    /// - `p` must be valid for reads of `n` `f32`; nothing beyond is touched.
    #[inline(always)]
    unsafe fn load_first(self, n: usize, p: *const f32) -> Self::F {
        debug_assert!(n <= LANES);
        let mut line = [0.0f32; LANES];
        // SAFETY: `p` is valid for `n` reads (contract) and `line` for n ≤ 16 writes;
        // they do not overlap, for `line` is a fresh local.
        unsafe {
            std::ptr::copy_nonoverlapping(p, line.as_mut_ptr(), n);
            self.load(line.as_ptr())
        }
    }

    /// Stores the first `n` lanes (`n ≤ 16`).
    ///
    /// # Safety
    /// - `p` must be valid for writes of `n` `f32`; nothing beyond is touched.
    #[inline(always)]
    unsafe fn store_first(self, n: usize, p: *mut f32, v: Self::F) {
        debug_assert!(n <= LANES);
        let mut line = [0.0f32; LANES];
        // SAFETY: `line` is valid for 16 writes, `p` for `n` ≤ 16 (contract); they do
        // not overlap, for `line` is a fresh local.
        unsafe {
            self.store(line.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(line.as_ptr(), p, n);
        }
    }

    /// Loads 4 floats from each of `n` addresses (1 ≤ `n` ≤ 16), `stride` apart, and turns
    /// them: lane j of register i is float i at address j, or at the last one for j ≥ `n`.
    ///
    /// # Safety
    /// - `p + j·stride` must be valid for reads of 4 `f32` for each j < `n`; 1 ≤ `n`.
    #[inline(always)]
    unsafe fn load_turned(self, n: usize, p: *const f32, stride: usize) -> [Self::F; TURNED] {
        debug_assert!(0 < n && n <= LANES);
        let mut lines = [[0.0; LANES]; TURNED];
        for j in 0..LANES {
            for (i, line) in lines.iter_mut().enumerate() {
                // SAFETY: float i < 4 at an address < n (contract).
                line[j] = unsafe { *p.add(j.min(n - 1) * stride + i) };
            }
        }
        lines.map(|line| self.from_array(line))
    }

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// √a, correctly rounded; NaN where a < 0, −0 of −0.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// a·b + c, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `if a > b { a } else { b }`: b where either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `if a < b { a } else { b }`: b where either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;

    /// a < b, false where either is NaN.
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// a = b, false where either is NaN; −0 = +0.
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    /// Lane by lane `if m { a } else { b }`.
    fn select(self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    fn splat_i(self, x: i32) -> Self::I;
    /// Wrapping sum.
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping difference.
    fn sub_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// Logical shift left by `N` bits.
    fn shl<const N: i32>(self, a: Self::I) -> Self::I;
    /// Logical shift right by `N` bits.
    fn shr<const N: i32>(self, a: Self::I) -> Self::I;
    /// The integers as floats, rounded to nearest even.
    fn to_f32(self, a: Self::I) -> Self::F;
    /// The same bits, read as integers.
    fn bits(self, a: Self::F) -> Self::I;
    /// The same bits, read as floats.
    fn from_bits(self, a: Self::I) -> Self::F;

    /// The 16 sums of 16 registers: lane r of the result is the sum of `v[r]`.
    ///
    /// Always by the tree of [`tree_sum`], so each sum has the same bits as that.
    fn sum_each(self, v: [Self::F; LANES]) -> Self::F;

    /// The sums of the products of `R` rows with `C` ≤ [`Simd::DOTS`] others, of `n` floats each
    /// (a multiple of 16): those with others\[c\] are stored at to\[c\]. R is a multiple of 4,
    /// R·C at most 16; where there are fewer than 32 registers, 4 rows at a time are best.
    ///
    /// Each has 16 partial sums, lane i one chain of FMAs over elements i, i + 16, … from 0,
    /// and the tree of [`tree_sum`].
    ///
    /// # Safety
    /// - `rows` and `others` must be valid for reads of `n` `f32`, `to` for writes of `R`.
    #[inline(always)]
    unsafe fn dots<const R: usize, const C: usize>(
        self,
        n: usize,
        rows: [*const f32; R],
        others: [*const f32; C],
        to: [*mut f32; C],
    ) {
        const { assert!(R.is_multiple_of(4) && R * C <= LANES) };
        let mut sums = [self.zero(); LANES];
        // SAFETY: passed on.
        unsafe {
            if Self::REGISTERS >= 32 {
                partial_sums::<Self, R, C>(self, n, &rows, &others, &mut sums, R);
            } else {
                // Two rows at a time, for their sums to stay in registers.
                for (r, rows) in (0..R).step_by(2).zip(rows.as_chunks().0) {
                    partial_sums::<Self, 2, C>(self, n, rows, &others, &mut sums[r..], R);
                }
            }
        }
        let sums = self.to_array(self.sum_each(sums));
        for (to, sums) in to.into_iter().zip(sums.chunks_exact(R)) {
            // SAFETY: R writes (contract); `sums` is a local.
            unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), to, R) };
        }
    }

    /// A bit for each byte: whether it is not 0.
    #[inline(always)]
    fn nonzero(self, bytes: &[u8; 32]) -> u32 {
        let bits = bytes.iter().enumerate();
        bits.fold(0, |all, (i, &byte)| all | u32::from(byte != 0) << i)
    }

    /// Asks for the cache line at `p`; any address will do, nothing is accessed.
    #[inline(always)]
    fn prefetch<T>(self, _p: *const T) {}

    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        self.from_bits(self.and_i(self.bits(a), self.splat_i(0x7fff_ffff)))
    }

    #[inline(always)]
    fn neg(self, a: Self::F) -> Self::F {
        self.from_bits(self.xor_i(self.bits(a), self.splat_i(i32::MIN)))
    }

    #[inline(always)]
    fn to_array(self, a: Self::F) -> [f32; LANES] {
        let mut line = [0.0f32; LANES];
        // SAFETY: `line` is valid for 16 writes.
        unsafe { self.store(line.as_mut_ptr(), a) };
        line
    }

    #[inline(always)]
    fn from_array(self, a: [f32; LANES]) -> Self::F {
        // SAFETY: `a` is valid for 16 reads.
        unsafe { self.load(a.as_ptr()) }
    }

    /// The sum of the 16 lanes by [`tree_sum`].
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        tree_sum(self.to_array(a))
    }
}

/// Those of [`Simd::dots`] for `R` of its rows: of row r with others\[c\] to sums\[pitch·c + r\].
///
/// # Safety
/// - `rows` and `others` must be valid for reads of `n` `f32`.
#[inline(always)]
unsafe fn partial_sums<S: Simd, const R: usize, const C: usize>(
    s: S,
    n: usize,
    rows: &[*const f32; R],
    others: &[*const f32; C],
    sums: &mut [S::F],
    pitch: usize,
) {
    let mut acc = [[s.zero(); C]; R];
    for j in (0..n).step_by(LANES) {
        let mut d = [s.zero(); C];
        for (d, other) in d.iter_mut().zip(others) {
            // SAFETY: j + 16 ≤ n floats of each row (contract).
            *d = unsafe { s.load(other.add(j)) };
        }
        for (acc, row) in acc.iter_mut().zip(rows) {
            // SAFETY: as above.
            let w = unsafe { s.load(row.add(j)) };
            for (acc, &d) in acc.iter_mut().zip(&d) {
                *acc = s.fma(d, w, *acc);
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        for (c, acc) in acc.into_iter().enumerate() {
            sums[pitch * c + r] = acc;
        }
    }
}

/// The one order in which 16 partial sums are added: lanes 8 apart, then 4, 2 and 1.
#[inline(always)]
pub(crate) fn tree_sum(mut a: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            a[i] += a[i + half];
        }
        half /= 2;
    }
    a[0]
}

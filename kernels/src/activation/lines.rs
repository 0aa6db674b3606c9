//! The loops over lines of 16 floats.

use super::Activation;
use crate::math;
use crate::simd::{LANES, Simd};

// λ and α of Klambauer et al. 2017, the derivative's λα rounded once.
const SELU_LAMBDA: f32 = 1.050_701;
const SELU_LAMBDA_ALPHA: f32 = 1.758_099_3;

const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// 1/√(2π)
const PDF_SCALE: f32 = 0.398_942_3;

/// `$self.each(…)` with a closure that is always inlined. One that is not is compiled
/// without the token's target features: each of its operations would be a call.
macro_rules! each {
    ($self:ident, $s:ident, |$($v:ident),+| $f:expr) => {
        $self.each::<S, TAIL>(
            $s,
            #[inline(always)]
            |$($v),+| $f,
        )
    };
}

/// y ← f(z), `rows` rows of `cols` floats.
///
/// `z` may be `y`, with the same stride; then the identity does nothing at all.
///
/// # Safety
/// - `cols` must be a multiple of 16.
/// - For each r < `rows`: `z + r·z_stride` must be valid for reads and
///   `y + r·y_stride` for writes of `cols` floats.
/// - A row of `y` may overlap `z` only as the same row of it, address for address,
///   and no other row of `y`.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "two matrices as pointers and strides"
)]
pub(crate) unsafe fn apply_lines<S: Simd>(
    s: S,
    f: Activation,
    z: *const f32,
    z_stride: usize,
    y: *mut f32,
    y_stride: usize,
    rows: usize,
    cols: usize,
) {
    debug_assert_eq!(cols % LANES, 0);
    let apply = Apply {
        f,
        z,
        z_stride,
        y,
        y_stride,
        rows,
        cols,
    };
    // SAFETY: the same contract.
    unsafe { apply.all::<S, false>(s) }
}

/// delta ← delta · f′, `rows` rows of `cols` floats; f′ from `z` if
/// [`Activation::needs_pre_activation`], else from `y`. The other may dangle.
///
/// # Safety
/// - `cols` must be a multiple of 16.
/// - For each r < `rows`: `z + r·z_stride` or `y + r·y_stride`, whichever is used, must
///   be valid for reads and `delta + r·d_stride` for reads and writes of `cols` floats.
/// - No row of `delta` may overlap another, or what is read.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "three matrices as pointers and strides"
)]
pub(crate) unsafe fn backprop_lines<S: Simd>(
    s: S,
    f: Activation,
    z: *const f32,
    z_stride: usize,
    y: *const f32,
    y_stride: usize,
    delta: *mut f32,
    d_stride: usize,
    rows: usize,
    cols: usize,
) {
    debug_assert_eq!(cols % LANES, 0);
    let backprop = Backprop {
        f,
        z,
        z_stride,
        y,
        y_stride,
        delta,
        d_stride,
        rows,
        cols,
    };
    // SAFETY: the same contract.
    unsafe { backprop.all::<S, false>(s) }
}

/// The arguments of [`apply_lines`].
pub(super) struct Apply {
    pub(super) f: Activation,
    pub(super) z: *const f32,
    pub(super) z_stride: usize,
    pub(super) y: *mut f32,
    pub(super) y_stride: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Apply {
    /// Whole lines first, then the columns that are left.
    ///
    /// # Safety
    /// - As [`apply_lines`], with any `cols`, and all pointers valid.
    #[inline(always)]
    pub(super) unsafe fn any_cols<S: Simd>(&self, s: S) {
        let full = self.cols / LANES * LANES;
        // SAFETY: the same contract for columns 0 .. full and full .. cols; where there
        // are such columns and a row, their start lies inside.
        unsafe {
            apply_lines(
                s,
                self.f,
                self.z,
                self.z_stride,
                self.y,
                self.y_stride,
                self.rows,
                full,
            );
            if full < self.cols && self.rows > 0 {
                let tail = Self {
                    z: self.z.add(full),
                    y: self.y.add(full),
                    cols: self.cols - full,
                    ..*self
                };
                tail.all::<S, true>(s);
            }
        }
    }

    /// # Safety
    /// - As [`apply_lines`], but `cols` is below 16 if `TAIL`.
    #[inline(always)]
    unsafe fn all<S: Simd, const TAIL: bool>(&self, s: S) {
        let in_place = std::ptr::eq(self.z, self.y) && self.z_stride == self.y_stride;
        if self.f == Activation::Identity && in_place {
            return;
        }
        // Instead of −∞ where a factor that tends to 0 is exactly 0.
        let lowest = s.splat(f32::MIN);
        // SAFETY: this function's contract is that of `each`.
        unsafe {
            match self.f {
                Activation::Identity => each!(self, s, |z| z),
                Activation::Sigmoid => each!(self, s, |z| math::sigmoid(s, z)),
                Activation::Tanh => each!(self, s, |z| math::tanh(s, z)),
                Activation::Relu => each!(self, s, |z| s.max(s.zero(), z)),
                Activation::LeakyRelu { slope } => {
                    each!(self, s, |z| s.select(
                        positive(s, z),
                        z,
                        s.mul(z, s.splat(slope))
                    ))
                }
                Activation::Elu { alpha } => each!(self, s, |z| {
                    let left = s.mul(s.splat(alpha), math::expm1(s, z));
                    s.select(positive(s, z), z, left)
                }),
                Activation::Selu => each!(self, s, |z| {
                    let left = s.mul(s.splat(SELU_LAMBDA_ALPHA), math::expm1(s, z));
                    s.select(positive(s, z), s.mul(z, s.splat(SELU_LAMBDA)), left)
                }),
                Activation::Gelu => each!(self, s, |z| {
                    let z = s.max(lowest, z);
                    s.mul(z, normal_cdf(s, z))
                }),
                Activation::Softplus => each!(self, s, |z| math::softplus(s, z)),
                Activation::Swish => each!(self, s, |z| {
                    let z = s.max(lowest, z);
                    s.mul(z, math::sigmoid(s, z))
                }),
            }
        }
    }

    /// # Safety
    /// - As [`Self::all`].
    #[inline(always)]
    unsafe fn each<S: Simd, const TAIL: bool>(&self, s: S, f: impl Fn(S::F) -> S::F) {
        for r in 0..self.rows {
            // SAFETY: row r < rows lies inside (contract), and in it columns c .. c + 16,
            // as cols is a multiple of 16, or all that there are; a lane is read before
            // the same address is written.
            unsafe {
                let z = self.z.add(r * self.z_stride);
                let y = self.y.add(r * self.y_stride);
                if TAIL {
                    s.store_first(self.cols, y, f(s.load_first(self.cols, z)));
                    continue;
                }
                for c in (0..self.cols).step_by(LANES) {
                    s.store(y.add(c), f(s.load(z.add(c))));
                }
            }
        }
    }
}

/// The arguments of [`backprop_lines`].
pub(super) struct Backprop {
    pub(super) f: Activation,
    pub(super) z: *const f32,
    pub(super) z_stride: usize,
    pub(super) y: *const f32,
    pub(super) y_stride: usize,
    pub(super) delta: *mut f32,
    pub(super) d_stride: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Backprop {
    /// Whole lines first, then the columns that are left.
    ///
    /// # Safety
    /// - As [`backprop_lines`], with any `cols`, and all pointers valid.
    #[inline(always)]
    pub(super) unsafe fn any_cols<S: Simd>(&self, s: S) {
        let full = self.cols / LANES * LANES;
        // SAFETY: the same contract for columns 0 .. full and full .. cols; where there
        // are such columns and a row, their start lies inside.
        unsafe {
            backprop_lines(
                s,
                self.f,
                self.z,
                self.z_stride,
                self.y,
                self.y_stride,
                self.delta,
                self.d_stride,
                self.rows,
                full,
            );
            if full < self.cols && self.rows > 0 {
                let tail = Self {
                    z: self.z.add(full),
                    y: self.y.add(full),
                    delta: self.delta.add(full),
                    cols: self.cols - full,
                    ..*self
                };
                tail.all::<S, true>(s);
            }
        }
    }

    /// # Safety
    /// - As [`backprop_lines`], but `cols` is below 16 if `TAIL`.
    #[inline(always)]
    unsafe fn all<S: Simd, const TAIL: bool>(&self, s: S) {
        let one = s.splat(1.0);
        // SAFETY: this function's contract is that of `each`.
        unsafe {
            match self.f {
                Activation::Identity => {}
                Activation::Sigmoid => {
                    each!(self, s, |y, d| s.mul(d, s.mul(y, s.sub(one, y))))
                }
                Activation::Tanh => {
                    each!(self, s, |y, d| s.mul(d, s.fma(s.neg(y), y, one)))
                }
                Activation::Relu => {
                    each!(self, s, |y, d| s.select(positive(s, y), d, s.zero()))
                }
                Activation::LeakyRelu { slope } => each!(self, s, |y, d| {
                    s.select(positive(s, y), d, s.mul(d, s.splat(slope)))
                }),
                Activation::Elu { alpha } => each!(self, s, |y, d| {
                    s.select(positive(s, y), d, s.mul(d, s.add(y, s.splat(alpha))))
                }),
                Activation::Selu => each!(self, s, |y, d| {
                    let left = s.add(y, s.splat(SELU_LAMBDA_ALPHA));
                    s.mul(d, s.select(positive(s, y), s.splat(SELU_LAMBDA), left))
                }),
                Activation::Gelu => each!(self, s, |z, d| {
                    let z = finite(s, z);
                    let e = math::exp(s, s.mul(s.mul(z, s.splat(-0.5)), z));
                    let pdf = s.mul(s.splat(PDF_SCALE), e);
                    s.mul(d, s.fma(z, pdf, normal_cdf(s, z)))
                }),
                Activation::Softplus => {
                    each!(self, s, |y, d| s.mul(d, s.neg(math::expm1(s, s.neg(y)))))
                }
                Activation::Swish => each!(self, s, |z, d| {
                    let z = finite(s, z);
                    let sigma = math::sigmoid(s, z);
                    s.mul(d, s.mul(sigma, s.fma(z, s.sub(one, sigma), one)))
                }),
            }
        }
    }

    /// # Safety
    /// - As [`Self::all`].
    #[inline(always)]
    unsafe fn each<S: Simd, const TAIL: bool>(&self, s: S, f: impl Fn(S::F, S::F) -> S::F) {
        let (source, stride) = if self.f.needs_pre_activation() {
            (self.z, self.z_stride)
        } else {
            (self.y, self.y_stride)
        };
        for r in 0..self.rows {
            // SAFETY: row r < rows lies inside (contract), and in it columns c .. c + 16,
            // as cols is a multiple of 16, or all that there are.
            unsafe {
                let a = source.add(r * stride);
                let d = self.delta.add(r * self.d_stride);
                if TAIL {
                    let n = self.cols;
                    s.store_first(n, d, f(s.load_first(n, a), s.load_first(n, d)));
                    continue;
                }
                for c in (0..self.cols).step_by(LANES) {
                    s.store(d.add(c), f(s.load(a.add(c)), s.load(d.add(c))));
                }
            }
        }
    }
}

#[inline(always)]
fn positive<S: Simd>(s: S, x: S::F) -> S::M {
    s.lt(s.zero(), x)
}

/// z, infinities replaced by the largest floats: where another factor is exactly 0, the
/// product must be too. NaN stays.
#[inline(always)]
fn finite<S: Simd>(s: S, z: S::F) -> S::F {
    s.min(s.splat(f32::MAX), s.max(s.splat(f32::MIN), z))
}

/// Φ(z) = (1 + erf(z/√2)) / 2. Absolute error about 1e-7: in the left tail the relative
/// error grows as Φ falls, and below −5.5 the result is 0.
#[inline(always)]
fn normal_cdf<S: Simd>(s: S, z: S::F) -> S::F {
    let half = s.splat(0.5);
    s.fma(half, math::erf(s, s.mul(z, s.splat(SQRT_HALF))), half)
}

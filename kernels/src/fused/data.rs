//! `dX = δ·Wᵀ`: sums along the rows of W, sixteen rows at a time.

use super::{Place, TOGETHER};
use crate::parts::even_parts;
use crate::simd::Simd;
use crate::{LANES, MatMut, MatRef};
use std::ops::Range;

/// `dx = δ·Wᵀ`, zero from column `k` on.
///
/// # Safety
/// - The shapes are those of [`backward`].
#[inline(always)]
pub(super) unsafe fn data<S: Simd>(
    s: S,
    k: usize,
    delta: MatRef<'_>,
    weights: Place,
    dx: &mut MatMut<'_>,
) {
    for (first, samples) in even_parts(delta.rows(), TOGETHER) {
        for row in (0..k).step_by(LANES) {
            let (rows, samples) = (LANES.min(k - row), first..first + samples);
            // SAFETY: `row` + `rows` ≤ k, and there are these samples.
            unsafe { data_of_rows(s, row, rows, samples, delta, weights, dx) };
        }
    }
}

/// `dx[:, row..row + 16] = δ·W[row..row + 16, :]ᵀ` for `samples`, zero from column `row + rows`
/// on.
///
/// # Safety
/// - `row + rows ≤ k`, 1 ≤ `rows` ≤ 16; `samples` are rows of δ; the shapes are those of
///   [`backward`].
#[inline(always)]
pub(super) unsafe fn data_of_rows<S: Simd>(
    s: S,
    row: usize,
    rows: usize,
    samples: Range<usize>,
    delta: MatRef<'_>,
    weights: Place,
    dx: &mut MatMut<'_>,
) {
    // Rows past the last are read as the last; what they give is dropped at the end.
    // SAFETY: row + r.min(rows − 1) < k, a row of W.
    let w: [*const f32; LANES] = std::array::from_fn(|r| unsafe {
        let r = row + r.min(rows - 1);
        weights.ptr.add(r * weights.stride).cast_const()
    });
    let (dx, dx_stride) = (dx.as_mut_ptr(), dx.row_stride());
    let mut first = samples.start;
    while first < samples.end {
        let count = dots::<S>(samples.end - first);
        // SAFETY: `count` samples from there on; dx has 16 columns from `row` on (its width is
        // k rounded up).
        unsafe {
            let place = Samples {
                n: delta.cols(),
                delta: delta.as_ptr().add(first * delta.row_stride()),
                delta_stride: delta.row_stride(),
                dx: dx.add(first * dx_stride + row),
                dx_stride,
            };
            match count {
                1 if S::REGISTERS >= 32 => place.run::<S, 16, 1>(s, &w, rows),
                2 if S::REGISTERS >= 32 => place.run::<S, 8, 2>(s, &w, rows),
                1 => place.run::<S, 4, 1>(s, &w, rows),
                2 => place.run::<S, 4, 2>(s, &w, rows),
                3 if S::DOTS >= 3 => place.run::<S, 4, 3>(s, &w, rows),
                4 if S::DOTS >= 4 => place.run::<S, 4, 4>(s, &w, rows),
                _ => unreachable!("{count} samples"),
            }
        }
        first += count;
    }
}

/// Of so many samples that are left, those whose sums are to be made together: sixteen sums take
/// no longer to add up than twelve, so with room for them as many as there are registers for (and
/// more rows for those that are left); else about as many each time.
#[inline(always)]
fn dots<S: Simd>(left: usize) -> usize {
    match S::REGISTERS >= 32 {
        true => left.min(S::DOTS),
        false => left.div_ceil(left.div_ceil(S::DOTS)),
    }
}

/// A few rows of δ, and 16 columns of the same rows of dX.
#[derive(Clone, Copy)]
struct Samples {
    n: usize,
    delta: *const f32,
    delta_stride: usize,
    dx: *mut f32,
    dx_stride: usize,
}

impl Samples {
    /// The sums of the products of `C` rows of δ with 16 rows of W; zeros instead of those
    /// from the row `rows` on.
    ///
    /// # Safety
    /// - `delta` is valid for reads of `C` rows of `n` floats, n a multiple of 16, `dx` for
    ///   writes of `C` rows of 16; `w` are valid for reads of `n`; `rows` ≤ 16.
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize, const C: usize>(
        self,
        s: S,
        w: &[*const f32; LANES],
        rows: usize,
    ) {
        let (mut delta, mut dx) = ([self.delta; C], [self.dx; C]);
        for (c, (delta, dx)) in delta.iter_mut().zip(&mut dx).enumerate() {
            *delta = delta.wrapping_add(c * self.delta_stride);
            *dx = dx.wrapping_add(c * self.dx_stride);
        }
        // `R` rows at a time; those past the last give something only beside others.
        for (r, w) in (0..rows).step_by(R).zip(w.as_chunks::<R>().0) {
            let to = dx.map(
                #[inline(always)]
                |dx| dx.wrapping_add(r),
            );
            // SAFETY: n floats of each row of W and δ; columns r to r + R ≤ 16 of dX.
            unsafe { s.dots(self.n, *w, delta, to) };
        }
        for dx in dx {
            for i in rows..LANES {
                // SAFETY: column i < 16 of dX.
                unsafe { *dx.add(i) = 0.0 };
            }
        }
    }
}

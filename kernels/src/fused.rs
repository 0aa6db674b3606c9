//! The backward pass of a fully connected layer in one pass over its weights.
//!
//! Sixteen rows of W at a time: while they are in the first-level cache they give
//! `dx = δ·Wᵀ` and then take their update, so no gradient matrix is ever stored. (With large
//! batches W is gone through twice, for other things then fill the caches.)
//!
//! `dx` is a reduction along the contiguous axis: 16 partial sums, each one chain of
//! FMAs in ascending registers, added by one fixed tree. An updated weight is one chain
//! of FMAs in ascending samples that starts from the old weight.

mod data;
mod update;

use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};
use data::{data, data_of_rows};
use update::RankUpdate;

/// Where the outer products `Σ_b x[b, :]ᵀ·scaled[b, :]` are added.
pub enum Update<'a> {
    /// To the weights themselves (plain SGD); `dx` comes from the old ones.
    Weights(MatMut<'a>),
    /// To another matrix of the same shape (a momentum buffer, a gradient).
    Into {
        /// W, only read.
        weights: MatRef<'a>,
        /// What is added to.
        target: MatMut<'a>,
    },
}

/// `dx ← δ·Wᵀ`, then `target ← target + xᵀ·scaled`.
///
/// Shapes: W and target \[k, n\], `x` \[batch, k\], `delta` and `scaled` \[batch, n\], `dx`
/// \[batch, k rounded up to 16\]; n a multiple of 16, contiguous columns. The columns of
/// `dx` from k on are set to 0. Without `dx` only the update is done. With `scaled` =
/// −(lr/batch)·δ the update is the step of plain SGD.
///
/// # Panics
/// If the shapes do not fit together.
pub fn backward(
    isa: Isa,
    x: MatRef<'_>,
    delta: MatRef<'_>,
    scaled: MatRef<'_>,
    update: Update<'_>,
    dx: Option<MatMut<'_>>,
) {
    let (weights, target, k, n) = match update {
        Update::Weights(mut w) => {
            assert!(w.col_stride() == 1);
            let place = Place {
                ptr: w.as_mut_ptr(),
                stride: w.row_stride(),
            };
            (place, place, w.rows(), w.cols())
        }
        Update::Into {
            weights,
            mut target,
        } => {
            assert!(weights.rows() == target.rows() && weights.cols() == target.cols());
            assert!(weights.col_stride() == 1 && target.col_stride() == 1);
            let from = Place {
                ptr: weights.as_ptr().cast_mut(),
                stride: weights.row_stride(),
            };
            let to = Place {
                ptr: target.as_mut_ptr(),
                stride: target.row_stride(),
            };
            (from, to, target.rows(), target.cols())
        }
    };
    let batch = x.rows();
    assert!(x.cols() == k && n.is_multiple_of(LANES));
    assert!(delta.rows() == batch && scaled.rows() == batch);
    assert!(delta.cols() == n && scaled.cols() == n);
    assert!(x.col_stride() == 1 && delta.col_stride() == 1 && scaled.col_stride() == 1);
    if let Some(dx) = &dx {
        assert!(dx.rows() == batch && dx.cols() == crate::padded(k) && dx.col_stride() == 1);
    }
    if batch == 0 || k == 0 {
        return;
    }
    isa.dispatch(Backward {
        delta,
        weights,
        update: RankUpdate { x, scaled, target },
        dx,
    });
}

/// `dx ← δ·Wᵀ`, the first half of [`backward`], bit for bit: W is read where it lies.
///
/// Shapes: `w` \[k, n\], `delta` \[batch, n\], `dx` \[batch, k rounded up to 16\]; n a
/// multiple of 16, contiguous columns. The columns of `dx` from k on are set to 0.
///
/// # Panics
/// If the shapes do not fit together.
pub fn backward_data(isa: Isa, delta: MatRef<'_>, w: MatRef<'_>, dx: MatMut<'_>) {
    let (batch, k, n) = (delta.rows(), w.rows(), w.cols());
    assert!(delta.cols() == n && n.is_multiple_of(LANES));
    assert!(delta.col_stride() == 1 && w.col_stride() == 1 && dx.col_stride() == 1);
    assert!(dx.rows() == batch && dx.cols() == crate::padded(k));
    if batch == 0 || k == 0 {
        return;
    }
    isa.dispatch(BackwardData { delta, w, dx });
}

struct BackwardData<'a> {
    delta: MatRef<'a>,
    w: MatRef<'a>,
    dx: MatMut<'a>,
}

impl Kernel for BackwardData<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let weights = Place {
            ptr: self.w.as_ptr().cast_mut(),
            stride: self.w.row_stride(),
        };
        // SAFETY: all shapes were asserted.
        unsafe { data(s, self.w.rows(), self.delta, weights, &mut self.dx) };
    }
}

/// A matrix that may be the same as another: W, read through `weights` and written
/// through `target`.
#[derive(Clone, Copy)]
struct Place {
    ptr: *mut f32,
    stride: usize,
}

struct Backward<'a> {
    delta: MatRef<'a>,
    weights: Place,
    update: RankUpdate<'a>,
    dx: Option<MatMut<'a>>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (batch, k) = (self.update.x.rows(), self.update.x.cols());
        if batch > TOGETHER {
            // SAFETY: all shapes were asserted in `backward`.
            unsafe {
                if let Some(dx) = &mut self.dx {
                    data(s, k, self.delta, self.weights, dx);
                }
                self.update.by_panels(s);
            }
            return;
        }
        for row in (0..k).step_by(LANES) {
            let rows = LANES.min(k - row);
            // SAFETY: `row` + `rows` ≤ k, and all shapes were asserted in `backward`.
            unsafe {
                if let Some(dx) = &mut self.dx {
                    data_of_rows(s, row, rows, 0..batch, self.delta, self.weights, dx);
                }
                self.update.rows(s, row, rows);
            }
        }
    }
}

/// Samples up to which sixteen rows of W give dX and take their update while they are in the
/// first-level cache. Of a larger batch it is δ and `scaled` that would not stay in a cache:
/// W is gone through for so many samples at a time, then updated.
const TOGETHER: usize = 64;

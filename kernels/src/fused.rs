//! The backward pass of a fully connected layer in one pass over its weights.
//!
//! Sixteen rows of W at a time: while they are in the first-level cache they give
//! `dx = δ·Wᵀ` and then take their update, so no gradient matrix is ever stored. (With large
//! batches W is gone through twice, for other things then fill the caches.)
//!
//! `dx` is a reduction along the contiguous axis: 16 partial sums, each one chain of
//! FMAs in ascending registers, added by one fixed tree. An updated weight is one chain
//! of FMAs in ascending samples that starts from the old weight.

use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};
use std::ops::Range;

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
        k,
        n,
        x,
        delta,
        scaled,
        weights,
        target,
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
    k: usize,
    n: usize,
    x: MatRef<'a>,
    delta: MatRef<'a>,
    scaled: MatRef<'a>,
    weights: Place,
    target: Place,
    dx: Option<MatMut<'a>>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let batch = self.x.rows();
        if batch > TOGETHER {
            // SAFETY: all shapes were asserted in `backward`.
            unsafe {
                if let Some(dx) = &mut self.dx {
                    data(s, self.k, self.delta, self.weights, dx);
                }
                // A panel of `scaled` at a time, for all rows of W.
                for (first, samples) in even_parts(batch, PANEL) {
                    let mut part = Backward {
                        x: self.x.row_range(first, first + samples),
                        scaled: self.scaled.row_range(first, first + samples),
                        dx: None,
                        ..self
                    };
                    part.update(s, 0, self.k);
                }
            }
            return;
        }
        for row in (0..self.k).step_by(LANES) {
            let rows = LANES.min(self.k - row);
            // SAFETY: `row` + `rows` ≤ k, and all shapes were asserted in `backward`.
            unsafe {
                if let Some(dx) = &mut self.dx {
                    data_of_rows(s, row, rows, 0..batch, self.delta, self.weights, dx);
                }
                self.update(s, row, rows);
            }
        }
    }
}

impl Backward<'_> {
    /// `target[row..row + rows, :] += x[:, row..row + rows]ᵀ·scaled`.
    ///
    /// # Safety
    /// - `row + rows ≤ k`; the shapes are those of [`backward`].
    #[inline(always)]
    unsafe fn update<S: Simd>(&mut self, s: S, row: usize, rows: usize) {
        // SAFETY: passed on.
        unsafe {
            match s.full_width() && self.x.rows() >= MANY {
                true => self.update_by::<S, true>(s, row, rows),
                false => self.update_by::<S, false>(s, row, rows),
            }
        }
    }

    /// [`Backward::update`] in large or small tiles.
    ///
    /// # Safety
    /// - As there.
    #[inline(always)]
    unsafe fn update_by<S: Simd, const LARGE: bool>(&mut self, s: S, row: usize, rows: usize) {
        let (tallest, widest) = tile::<S, LARGE>();
        for (first, registers) in even_parts(self.n / LANES, widest) {
            let mut r = 0;
            while r < rows {
                let height = tallest.min(rows - r);
                let tile = OuterProducts {
                    batch: self.x.rows(),
                    // SAFETY: column row + r < k of x.
                    x: unsafe { self.x.as_ptr().add(row + r) },
                    x_stride: self.x.row_stride(),
                    // SAFETY: column first·16 < n of scaled.
                    scaled: unsafe { self.scaled.as_ptr().add(first * LANES) },
                    scaled_stride: self.scaled.row_stride(),
                    // SAFETY: row row + r < k and column first·16 < n of target.
                    target: unsafe {
                        self.target
                            .ptr
                            .add((row + r) * self.target.stride + first * LANES)
                    },
                    target_stride: self.target.stride,
                };
                // SAFETY: `height` rows and 16·`registers` columns from there on lie
                // inside all three.
                unsafe { tile.run_sized::<S, LARGE>(s, height, registers) };
                r += height;
            }
        }
    }
}

/// The rows and registers of a tile of the update, at most.
///
/// Not all the registers there are: a small batch leaves a tile soon, and the next one's loads and
/// products have to run beside this one's stores. With more than about ten in a row the queue of
/// stores is full, and they cannot (Zen 4). But where two FMAs start in a cycle, a tile that takes
/// many samples needs more sums than wait for one another, and fewer loads for each.
#[inline(always)]
const fn tile<S: Simd, const LARGE: bool>() -> (usize, usize) {
    match S::REGISTERS >= 32 {
        true if LARGE => (8, 3),
        true => (4, 2),
        false => (2, 2),
    }
}

/// Samples from which on the stores of a larger tile do not matter.
const MANY: usize = 32;

/// Samples that update W together, at most: so many rows of a panel of `scaled` stay in the
/// first-level cache while all rows of W take them.
const PANEL: usize = 128;

/// Samples up to which sixteen rows of W give dX and take their update while they are in the
/// first-level cache. Of a larger batch it is δ and `scaled` that would not stay in a cache:
/// W is gone through for so many samples at a time, then updated.
const TOGETHER: usize = 64;

/// `dx = δ·Wᵀ`, zero from column `k` on.
///
/// # Safety
/// - The shapes are those of [`backward`].
#[inline(always)]
unsafe fn data<S: Simd>(s: S, k: usize, delta: MatRef<'_>, weights: Place, dx: &mut MatMut<'_>) {
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
unsafe fn data_of_rows<S: Simd>(
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

/// A block of R rows × C registers of `target += xᵀ·scaled`.
#[derive(Clone, Copy)]
struct OuterProducts {
    batch: usize,
    x: *const f32,
    x_stride: usize,
    scaled: *const f32,
    scaled_stride: usize,
    target: *mut f32,
    target_stride: usize,
}

impl OuterProducts {
    /// # Safety
    /// - `x` is valid for reads of `batch` rows of `rows` floats, `scaled` of `batch`
    ///   rows of 16·`registers`, `target` for reads and writes of `rows` such rows.
    /// - `rows` and `registers` from 1 to those of [`tile`].
    #[inline(always)]
    unsafe fn run_sized<S: Simd, const LARGE: bool>(self, s: S, rows: usize, registers: usize) {
        macro_rules! sizes {
            ($($r:literal)* ; $c:tt) => {
                match rows {
                    $($r => sizes!(@ $r $c),)*
                    _ => unreachable!("{rows} rows"),
                }
            };
            (@ $r:literal ($($c:literal)*)) => {
                match registers {
                    // SAFETY: passed on.
                    $($c => unsafe { self.run::<S, $r, $c>(s) },)*
                    _ => unreachable!("{registers} registers"),
                }
            };
        }
        if S::REGISTERS >= 32 && LARGE {
            sizes!(1 2 3 4 5 6 7 8; (1 2 3))
        } else if S::REGISTERS >= 32 {
            sizes!(1 2 3 4; (1 2))
        } else {
            sizes!(1 2; (1 2))
        }
    }

    /// # Safety
    /// As [`OuterProducts::run_sized`] with rows = `R` and registers = `C`.
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize, const C: usize>(self, s: S) {
        let mut acc = [[s.zero(); C]; R];
        for (i, row) in acc.iter_mut().enumerate() {
            for (j, acc) in row.iter_mut().enumerate() {
                // SAFETY: register j < C of row i < R of target.
                *acc = unsafe { s.load(self.target.add(i * self.target_stride + j * LANES)) };
            }
        }
        let (mut x, mut scaled) = (self.x, self.scaled);
        for _ in 0..self.batch {
            let mut d = [s.zero(); C];
            for (j, d) in d.iter_mut().enumerate() {
                // SAFETY: register j < C of a row of scaled.
                *d = unsafe { s.load(scaled.add(j * LANES)) };
            }
            for (i, row) in acc.iter_mut().enumerate() {
                // SAFETY: element i < R of a row of x.
                let a = s.splat(unsafe { *x.add(i) });
                for (acc, &d) in row.iter_mut().zip(&d) {
                    *acc = s.fma(a, d, *acc);
                }
            }
            x = x.wrapping_add(self.x_stride);
            scaled = scaled.wrapping_add(self.scaled_stride);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, &acc) in row.iter().enumerate() {
                // SAFETY: register j < C of row i < R of target.
                unsafe { s.store(self.target.add(i * self.target_stride + j * LANES), acc) };
            }
        }
    }
}

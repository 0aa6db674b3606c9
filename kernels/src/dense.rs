//! The fused forward pass of a fully connected layer: `y = f(x·W + b)`.
//!
//! The rows of W are padded to whole registers, so the loops need no masks and W is
//! read where it lies, without packing: a batch is too small to pay for it.
//!
//! Each output is one chain of FMAs in ascending k that starts from its bias; which may be cut,
//! for one to go on where another has stopped.

use crate::activation::{self, Activation};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};

/// `y ← f(x·W + b)`, and the pre-activations `z = x·W + b` where the caller keeps them.
/// Each output is one chain of FMAs in ascending k that starts from its bias.
///
/// Shapes: `x` \[batch, k\], `w` \[k, n\], `bias` \[n\], `z` and `y` \[batch, n\], all with
/// contiguous columns; n is a multiple of 16 ([`crate::padded`]).
///
/// # Panics
/// If the shapes do not fit together.
pub fn forward(
    isa: Isa,
    x: MatRef<'_>,
    w: MatRef<'_>,
    bias: &[f32],
    activation: Activation,
    z: Option<MatMut<'_>>,
    y: MatMut<'_>,
) {
    assert!(bias.len() == y.cols());
    let start = MatRef::with_strides(bias, y.rows(), y.cols(), 0, 1);
    forward_from(isa, x, w, start, activation, z, y);
}

/// [`forward`] from `start` instead of the bias: of a chain that has been made up to there by
/// [`forward`] without activation, the rest.
///
/// Shapes: as there; `start` \[batch, n\].
///
/// # Panics
/// If the shapes do not fit together.
pub fn forward_from(
    isa: Isa,
    x: MatRef<'_>,
    w: MatRef<'_>,
    start: MatRef<'_>,
    activation: Activation,
    z: Option<MatMut<'_>>,
    y: MatMut<'_>,
) {
    assert!(x.rows() == y.rows() && x.cols() == w.rows());
    assert!(w.cols() == y.cols());
    assert!(start.rows() == y.rows() && start.cols() == y.cols() && start.col_stride() == 1);
    assert!(
        y.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(x.col_stride() == 1 && w.col_stride() == 1 && y.col_stride() == 1);
    if let Some(z) = &z {
        assert!(z.rows() == y.rows() && z.cols() == y.cols() && z.col_stride() == 1);
    }
    if y.rows() == 0 || y.cols() == 0 {
        return;
    }
    isa.dispatch(Forward {
        x,
        w,
        start,
        activation,
        z,
        y,
    });
}

struct Forward<'a> {
    x: MatRef<'a>,
    w: MatRef<'a>,
    start: MatRef<'a>,
    activation: Activation,
    z: Option<MatMut<'a>>,
    y: MatMut<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (batch, k, n) = (self.x.rows(), self.x.cols(), self.y.cols());
        let (y, ys) = (self.y.as_mut_ptr(), self.y.row_stride());
        let (z, zs) = match &mut self.z {
            Some(z) => (z.as_mut_ptr(), z.row_stride()),
            None => (y, ys),
        };
        let wide = if S::REGISTERS >= 32 { 2 } else { 1 };
        let tallest = if S::REGISTERS >= 32 { 12 } else { 6 };
        let mut column = 0;
        while column < n {
            let registers = wide.min((n - column) / LANES);
            for (row, rows) in even_parts(batch, tallest) {
                let tile = Tile {
                    k,
                    // SAFETY: row < batch, so the address is inside `x` (k may be 0:
                    // then it is not read).
                    x: unsafe { self.x.as_ptr().add(row * self.x.row_stride()) },
                    x_stride: self.x.row_stride(),
                    // SAFETY: column < n, the columns of `w`.
                    w: unsafe { self.w.as_ptr().add(column) },
                    w_stride: self.w.row_stride(),
                    // SAFETY: row < batch and column < n, the shape of `start`.
                    start: unsafe {
                        let row = row * self.start.row_stride();
                        self.start.as_ptr().add(row + column)
                    },
                    start_stride: self.start.row_stride(),
                    // SAFETY: row < batch and column < n, the shape of `z` (or `y`).
                    z: unsafe { z.add(row * zs + column) },
                    z_stride: zs,
                };
                // SAFETY: rows row … row + rows − 1 and 16·registers columns from
                // `column` on lie inside x, w, start and z (asserted in `forward_from`).
                unsafe { tile.run_sized(s, rows, registers) };
                // SAFETY: the same part of z and y, which are valid for it and either
                // the same or disjoint; the columns are whole registers.
                unsafe {
                    activation::apply_lines(
                        s,
                        self.activation,
                        z.add(row * zs + column),
                        zs,
                        y.add(row * ys + column),
                        ys,
                        rows,
                        registers * LANES,
                    );
                }
            }
            column += registers * LANES;
        }
    }
}

/// Rows of W asked for ahead of the one at hand: the hardware does not follow a narrow panel of
/// long rows soon enough.
const AHEAD: usize = 8;

/// A block of MR rows × NR registers of `z = start + x·W`.
#[derive(Clone, Copy)]
struct Tile {
    k: usize,
    x: *const f32,
    x_stride: usize,
    w: *const f32,
    w_stride: usize,
    start: *const f32,
    start_stride: usize,
    z: *mut f32,
    z_stride: usize,
}

impl Tile {
    /// # Safety
    /// - `x` is valid for reads of `rows` rows of `k` floats, `w` of `k` rows and
    ///   `start` of `rows` of 16·`registers`, `z` for writes of `rows` such rows.
    /// - 1 ≤ `rows` ≤ 12, 1 ≤ `registers` ≤ 2.
    #[inline(always)]
    unsafe fn run_sized<S: Simd>(self, s: S, rows: usize, registers: usize) {
        macro_rules! sizes {
            ($($mr:literal)*) => {
                match (rows, registers) {
                    // SAFETY: passed on.
                    $(($mr, 1) => unsafe { self.run::<S, $mr, 1>(s) },)*
                    // SAFETY: passed on.
                    $(($mr, _) if S::REGISTERS >= 32 => unsafe { self.run::<S, $mr, 2>(s) },)*
                    _ => unreachable!("tile of {rows} rows × {registers} registers"),
                }
            };
        }
        if S::REGISTERS >= 32 {
            sizes!(1 2 3 4 5 6 7 8 9 10 11 12)
        } else {
            sizes!(1 2 3 4 5 6)
        }
    }

    /// # Safety
    /// As [`Tile::run_sized`] with rows = `MR` and registers = `NR`.
    #[inline(always)]
    unsafe fn run<S: Simd, const MR: usize, const NR: usize>(self, s: S) {
        let mut acc = [[s.zero(); NR]; MR];
        let mut start = self.start;
        for row in &mut acc {
            for (j, acc) in row.iter_mut().enumerate() {
                // SAFETY: register j < NR of a row of start.
                *acc = unsafe { s.load(start.add(j * LANES)) };
            }
            start = start.wrapping_add(self.start_stride);
        }
        let (mut x, mut w) = (self.x, self.w);
        for _ in 0..self.k {
            let mut b = [s.zero(); NR];
            for (j, b) in b.iter_mut().enumerate() {
                // SAFETY: register j < NR of row p < k of w.
                *b = unsafe { s.load(w.add(j * LANES)) };
            }
            for j in 0..NR {
                s.prefetch(w.wrapping_add(AHEAD * self.w_stride + j * LANES));
            }
            for (i, row) in acc.iter_mut().enumerate() {
                // SAFETY: element p < k of row i < MR of x.
                let a = s.splat(unsafe { *x.add(i * self.x_stride) });
                for (acc, &b) in row.iter_mut().zip(&b) {
                    *acc = s.fma(a, b, *acc);
                }
            }
            x = x.wrapping_add(1);
            w = w.wrapping_add(self.w_stride);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, &acc) in row.iter().enumerate() {
                // SAFETY: register j < NR of row i < MR of z.
                unsafe { s.store(self.z.add(i * self.z_stride + j * LANES), acc) };
            }
        }
    }
}

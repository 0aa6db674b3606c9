//! The rank-k update `target += xᵀ·scaled`, in tiles of the target.

use super::Place;
use crate::parts::even_parts;
use crate::simd::Simd;
use crate::{LANES, MatRef};

/// The samples of an update, and what they are added to.
#[derive(Clone, Copy)]
pub(super) struct RankUpdate<'a> {
    /// \[batch, k\].
    pub x: MatRef<'a>,
    /// \[batch, n\], n a multiple of 16.
    pub scaled: MatRef<'a>,
    /// \[k, n\].
    pub target: Place,
}

impl RankUpdate<'_> {
    /// [`RankUpdate::rows`] of all rows, a panel of `scaled` after the other.
    ///
    /// # Safety
    /// - `target` is valid for reads and writes of its shape.
    #[inline(always)]
    pub(super) unsafe fn by_panels<S: Simd>(self, s: S) {
        for (first, samples) in even_parts(self.x.rows(), PANEL) {
            let part = Self {
                x: self.x.row_range(first, first + samples),
                scaled: self.scaled.row_range(first, first + samples),
                ..self
            };
            // SAFETY: passed on; all rows.
            unsafe { part.rows(s, 0, self.x.cols()) };
        }
    }

    /// `target[row..row + rows, :] += x[:, row..row + rows]ᵀ·scaled`.
    ///
    /// # Safety
    /// - `row + rows ≤ k`; `target` is valid for reads and writes of its shape.
    #[inline(always)]
    pub(super) unsafe fn rows<S: Simd>(self, s: S, row: usize, rows: usize) {
        // SAFETY: passed on.
        unsafe {
            match s.full_width() && self.x.rows() >= MANY {
                true => self.rows_by::<S, true>(s, row, rows),
                false => self.rows_by::<S, false>(s, row, rows),
            }
        }
    }

    /// [`RankUpdate::rows`] in large or small tiles.
    ///
    /// # Safety
    /// - As there.
    #[inline(always)]
    unsafe fn rows_by<S: Simd, const LARGE: bool>(self, s: S, row: usize, rows: usize) {
        let (tallest, widest) = tile::<S, LARGE>();
        for (first, registers) in even_parts(self.scaled.cols() / LANES, widest) {
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

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
    /// [`RankUpdate::rows`] of all rows, for a large batch: so many samples at a time that a panel of
    /// their `scaled` stays in the first-level cache while all rows of W take it.
    ///
    /// # Safety
    /// - `target` is valid for reads and writes of its shape.
    #[inline(always)]
    pub(super) unsafe fn by_panels<S: Simd>(self, s: S) {
        // SAFETY: passed on.
        unsafe {
            match S::REGISTERS < 32 || s.full_width() {
                true => self.by_panels_of::<S, true>(s),
                false => self.by_panels_of::<S, false>(s),
            }
        }
    }

    /// [`RankUpdate::by_panels`] in large or small tiles.
    ///
    /// # Safety
    /// - As there.
    #[inline(always)]
    unsafe fn by_panels_of<S: Simd, const LARGE: bool>(self, s: S) {
        let (_, widest) = tile::<S, LARGE>();
        let (k, registers) = (self.x.cols(), self.scaled.cols() / LANES);
        let parts = even_parts(self.x.rows(), SAMPLES).map(|(first, samples)| Self {
            x: self.x.row_range(first, first + samples),
            scaled: self.scaled.row_range(first, first + samples),
            ..self
        });
        if registers <= widest {
            for part in parts {
                // SAFETY: all rows.
                unsafe { part.rows_by::<S, LARGE>(s, 0, k) };
            }
            return;
        }
        let mut room = Panel([0.0; _]);
        for part in parts {
            for (first, registers) in even_parts(registers, widest) {
                let first = first * LANES;
                let panel = RankUpdate {
                    x: part.x,
                    scaled: room.pack(part.scaled.col_range(first, first + registers * LANES)),
                    target: Place {
                        ptr: part.target.ptr.wrapping_add(first),
                        ..part.target
                    },
                };
                // SAFETY: all rows, of some of the columns.
                unsafe { panel.rows_by::<S, LARGE>(s, 0, k) };
            }
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
/// stores is full, and they cannot (Zen 4). But where two FMAs start in a cycle, a large tile, that
/// takes many samples, needs more sums than wait for one another, and fewer loads for each.
#[inline(always)]
const fn tile<S: Simd, const LARGE: bool>() -> (usize, usize) {
    match S::REGISTERS >= 32 {
        true if LARGE => (8, 3),
        true => (4, 2),
        false if LARGE => (2, 3),
        false => (2, 2),
    }
}

/// Samples from which on the stores of a larger tile do not matter.
const MANY: usize = 32;

/// Samples of a panel, at most.
const SAMPLES: usize = 128;

/// Registers of a panel, at most: those of a tile.
const WIDEST: usize = 3;

/// Some columns of `scaled`, row after row. Where they lie they are a line or two of each row, which
/// with rows of 256 or 384 floats meet in a few sets of the first-level cache, and are on as many
/// pages as there are rows.
#[repr(align(64))]
struct Panel([f32; SAMPLES * WIDEST * LANES]);

impl Panel {
    /// Takes the elements of `from`, which are as many as there is room for at most.
    #[inline(always)]
    fn pack(&mut self, from: MatRef<'_>) -> MatRef<'_> {
        let (rows, cols) = (from.rows(), from.cols());
        let to = &mut self.0[..rows * cols];
        for (r, to) in to.chunks_exact_mut(cols).enumerate() {
            to.copy_from_slice(from.row(r));
        }
        MatRef::new(to, rows, cols)
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
        } else if LARGE {
            sizes!(1 2; (1 2 3))
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
            // The fewer of the two wait in registers: there are none to spare.
            if R < C {
                let mut a = [s.zero(); R];
                for (i, a) in a.iter_mut().enumerate() {
                    // SAFETY: element i < R of a row of x.
                    *a = s.splat(unsafe { *x.add(i) });
                }
                for j in 0..C {
                    // SAFETY: register j < C of a row of scaled.
                    let d = unsafe { s.load(scaled.add(j * LANES)) };
                    for (row, &a) in acc.iter_mut().zip(&a) {
                        row[j] = s.fma(a, d, row[j]);
                    }
                }
            } else {
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

//! The microkernel: a tile of C stays in registers while a panel of A and one of B
//! pass by.

use crate::LANES;
use crate::simd::Simd;

/// Rows and registers of the largest tile: as many accumulators as leave room for a row
/// of B and an element of A.
#[inline(always)]
pub(super) const fn tile_shape<S: Simd>() -> (usize, usize) {
    if S::REGISTERS >= 32 { (14, 2) } else { (6, 1) }
}

/// Elements of the largest tile of any instruction set.
pub(super) const MAX_TILE: usize = 14 * 2 * LANES;

/// What the accumulators hold at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// 0; C is not read.
    Zero,
    /// C
    FromC,
    /// This times C.
    Scaled(f32),
}

impl Start {
    pub(super) fn with_beta(beta: f32) -> Self {
        if beta == 0.0 {
            Self::Zero
        } else if beta == 1.0 {
            Self::FromC
        } else {
            Self::Scaled(beta)
        }
    }
}

/// MR rows × NR registers of C, and what goes into them.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) depth: usize,
    pub(super) a: *const f32,
    pub(super) b: *const f32,
    /// Floats from one line of B to the next.
    pub(super) b_stride: usize,
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    /// How many columns of the tile exist in C; the others are computed and dropped.
    pub(super) columns: usize,
    pub(super) start: Start,
}

impl Tile {
    /// # Safety
    /// - `a` is valid for reads of `depth`·`rows` floats, `b` of `depth` lines of
    ///   16·`registers` floats, `b_stride` apart.
    /// - `c` is valid for reads and writes of `rows` rows of `columns` floats.
    /// - 1 ≤ `rows`, 1 ≤ `registers`, within [`tile_shape`]; 16·(`registers` − 1) <
    ///   `columns` ≤ 16·`registers`.
    #[inline(always)]
    pub(super) unsafe fn run_sized<S: Simd>(self, s: S, rows: usize, registers: usize) {
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
            sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
        } else {
            sizes!(1 2 3 4 5 6)
        }
    }

    /// `C ← start + a·b`, the rank-1 updates in ascending order.
    ///
    /// # Safety
    /// As [`Tile::run_sized`] with rows = `MR` and registers = `NR`.
    #[inline(always)]
    unsafe fn run<S: Simd, const MR: usize, const NR: usize>(self, s: S) {
        // SAFETY: passed on.
        let mut acc: [[S::F; NR]; MR] = unsafe { self.first(s) };
        let (mut a, mut b) = (self.a, self.b);
        for _ in 0..self.depth {
            let mut line = [s.zero(); NR];
            for (j, line) in line.iter_mut().enumerate() {
                // SAFETY: register j < NR of a line of the panel of B.
                *line = unsafe { s.load(b.add(j * LANES)) };
            }
            for (i, row) in acc.iter_mut().enumerate() {
                // SAFETY: element i < MR of a line of the panel of A.
                let a = s.splat(unsafe { *a.add(i) });
                for (acc, &b) in row.iter_mut().zip(&line) {
                    *acc = s.fma(a, b, *acc);
                }
            }
            a = a.wrapping_add(MR);
            b = b.wrapping_add(self.b_stride);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, &acc) in row.iter().enumerate() {
                let c = self.c.wrapping_add(i * self.c_stride + j * LANES);
                let here = (self.columns - j * LANES).min(LANES);
                // SAFETY: columns 16·j … 16·j + here of row i < MR of C.
                unsafe {
                    if here == LANES {
                        s.store(c, acc);
                    } else {
                        s.store_first(here, c, acc);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`Tile::run`].
    #[inline(always)]
    unsafe fn first<S: Simd, const MR: usize, const NR: usize>(&self, s: S) -> [[S::F; NR]; MR] {
        let mut acc = [[s.zero(); NR]; MR];
        if self.start == Start::Zero {
            return acc;
        }
        for (i, row) in acc.iter_mut().enumerate() {
            for (j, acc) in row.iter_mut().enumerate() {
                let c = self
                    .c
                    .wrapping_add(i * self.c_stride + j * LANES)
                    .cast_const();
                let here = (self.columns - j * LANES).min(LANES);
                // SAFETY: columns 16·j … 16·j + here of row i < MR of C.
                *acc = unsafe {
                    if here == LANES {
                        s.load(c)
                    } else {
                        s.load_first(here, c)
                    }
                };
                if let Start::Scaled(beta) = self.start {
                    *acc = s.mul(s.splat(beta), *acc);
                }
            }
        }
        acc
    }
}

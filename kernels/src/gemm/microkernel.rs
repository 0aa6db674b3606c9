//! The microkernel: a tile of C stays in registers while a few rows of A and a panel of B
//! pass by.

use super::lines::{Ahead, Far, InOrder, Lines, Rows, Source, prefetch};
use super::shape::reads_parts;
use crate::LANES;
use crate::simd::{Kernel, Simd};

/// What the accumulators hold at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// 0; C is not read.
    Zero,
    /// This times C, which is C itself for 1.
    Scaled(f32),
}

impl Start {
    /// C
    pub(super) const FROM_C: Self = Self::Scaled(1.0);

    pub(super) fn with_beta(beta: f32) -> Self {
        match beta == 0.0 {
            true => Self::Zero,
            false => Self::Scaled(beta),
        }
    }
}

/// Tiles of C, one below the other, and what goes into them.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// How many.
    pub(super) tiles: usize,
    /// The range of k.
    pub(super) depth: usize,
    /// Registers side by side.
    pub(super) registers: usize,
    /// Columns that exist; the other lanes of the last register are computed and dropped.
    pub(super) columns: usize,
    pub(super) a: *const f32,
    /// Floats from one row of A to the next.
    pub(super) a_row: usize,
    /// Floats from one k to the next.
    pub(super) a_col: usize,
    /// Floats from the rows of one tile to those of the next.
    pub(super) a_tile: usize,
    pub(super) b: *const f32,
    /// Floats from one line of B to the next.
    pub(super) b_row: usize,
    /// Floats from what one register has of a line to what the next one has.
    pub(super) b_panel: usize,
    pub(super) c: *mut f32,
    /// Floats from one row of C to the next.
    pub(super) c_row: usize,
    /// Floats from the rows of one tile of C to those of the next.
    pub(super) c_tile: usize,
    pub(super) start: Start,
    /// Whether each tile of C is asked for while the one above it is computed.
    pub(super) prefetch: bool,
    /// Whether tiles of two registers ask for lines of B in advance.
    pub(super) ahead: bool,
}

/// What the accumulators of a tile hold at first, known when it is compiled: chosen at run
/// time they would pass through memory.
trait First: Copy {
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR` and `registers` = `NR`.
    unsafe fn of<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
    ) -> [[S::F; NR]; MR];
}

#[derive(Clone, Copy)]
struct Zeros;

impl First for Zeros {
    #[inline(always)]
    unsafe fn of<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        _: &Tile,
    ) -> [[S::F; NR]; MR] {
        [[s.zero(); NR]; MR]
    }
}

/// So many times C.
#[derive(Clone, Copy)]
struct OfC(f32);

impl First for OfC {
    #[inline(always)]
    unsafe fn of<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
    ) -> [[S::F; NR]; MR] {
        // SAFETY: passed on.
        unsafe { tile.scaled(s, self.0) }
    }
}

/// A call of [`Tile::run`], whose contract holds.
struct Call {
    tile: Tile,
    rows: usize,
    from: Source,
}

impl Kernel for Call {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { tile, rows, from } = self;
        // SAFETY: only `Tile::run` makes this, with what its caller has promised.
        unsafe {
            match from {
                Source::There => tile.in_order(s, rows),
                Source::Rows(from) => tile.packing(s, rows, from),
            }
        }
    }
}

/// Runs the instance of [`Tile::fixed`] for a height: there is one for each size and for each
/// of the two starts.
macro_rules! sizes {
    ($tile:ident, $s:ident, $rows:ident, $lines:expr, $nr:literal: $($mr:literal)*) => {
        match ($rows, $tile.start) {
            $(
                ($mr, Start::Zero) => $tile.fixed::<_, _, $mr, $nr>($s, $lines, Zeros),
                ($mr, Start::Scaled(beta)) => $tile.fixed::<_, _, $mr, $nr>($s, $lines, OfC(beta)),
            )*
            _ => unreachable!("a tile of {} rows", $rows),
        }
    };
}

#[allow(
    clippy::needless_range_loop,
    reason = "an accumulator has the numbers of its row and register, as its address does"
)]
impl Tile {
    /// `C ← start + a·b`, each tile `rows` high.
    ///
    /// # Safety
    /// - `rows` and `registers` are at least 1 and at most those of a [`Shape`](super::shape::Shape) for this
    ///   instruction set; 16·(`registers` − 1) < `columns` ≤ 16·`registers`.
    /// - For each tile t < `tiles`, row i < `rows` and k < `depth` the address
    ///   `a + t·a_tile + i·a_row + k·a_col` is valid for reads of a float.
    /// - For each register j `b + j·b_panel` is valid for reads of `depth` lines, `b_row`
    ///   apart, of 16 floats; for the last one of as many as there are columns, if the
    ///   instruction set [`reads_parts`].
    /// - For each tile t `c + t·c_tile` is valid for reads and writes of `rows` rows, `c_row`
    ///   apart, of `columns` floats.
    ///
    /// If B is not packed yet (`from`), `b` need not hold it; but
    /// - there is one tile, and `b_row` = 16; the lines at `b` are valid for writes as well,
    ///   of 16 floats each;
    /// - [`Source::Rows`]: two registers, and they are valid for reads of `depth` rows of
    ///   `columns` floats, of 32 unless the instruction set [`reads_parts`].
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(self, s: S, rows: usize, from: Source) {
        let tile = self;
        s.call(Call { tile, rows, from });
    }

    /// # Safety
    /// As [`Tile::run`], of packed panels or B itself.
    #[inline(always)]
    unsafe fn in_order<S: Simd>(&self, s: S, rows: usize) {
        match (self.registers, S::REGISTERS >= 32) {
            // SAFETY: passed on, as in the other branches.
            (1, true) => unsafe {
                sizes!(self, s, rows, InOrder, 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
            },
            // SAFETY: as above; they are packed.
            (2, true) if self.prefetch && self.packed(rows) => unsafe {
                sizes!(self, s, rows, Far, 2: 1 2 3 4 5 6 7 8 9 10 11 12)
            },
            // SAFETY: as above.
            (2, true) if self.ahead => unsafe {
                sizes!(self, s, rows, Ahead, 2: 1 2 3 4 5 6 7 8 9 10 11 12)
            },
            // SAFETY: as above.
            (2, true) => unsafe { sizes!(self, s, rows, InOrder, 2: 1 2 3 4 5 6 7 8 9 10 11 12) },
            // SAFETY: as above.
            (3, true) => unsafe { sizes!(self, s, rows, InOrder, 3: 1 2 3 4 5 6) },
            // SAFETY: as above; they are packed.
            (4, true) if self.prefetch && self.packed(rows) => unsafe {
                sizes!(self, s, rows, Far, 4: 1 2 3 4 5 6)
            },
            // SAFETY: as above.
            (4, true) => unsafe { sizes!(self, s, rows, InOrder, 4: 1 2 3 4 5 6) },
            // SAFETY: as above.
            (1, false) => unsafe { sizes!(self, s, rows, InOrder, 1: 1 2 3 4 5 6) },
            // For the tests, on CPUs without the other ones.
            // SAFETY: as above.
            (2, false) if cfg!(test) => unsafe { sizes!(self, s, rows, InOrder, 2: 1 2 3 4 5 6) },
            // SAFETY: as above.
            (3, false) if cfg!(test) => unsafe { sizes!(self, s, rows, InOrder, 3: 1 2 3 4 5 6) },
            // SAFETY: as above.
            (4, false) if cfg!(test) => unsafe { sizes!(self, s, rows, InOrder, 4: 1 2 3 4 5 6) },
            _ => unreachable!("a tile of {} registers", self.registers),
        }
    }

    /// Whether A lies as packed panels of this height do, and B in lines one after the other.
    #[inline(always)]
    pub(super) fn packed(&self, rows: usize) -> bool {
        self.a_row == 1 && self.a_col == rows && self.b_row == LANES
    }

    /// # Safety
    /// As [`Tile::run`] from rows.
    #[inline(always)]
    unsafe fn packing<S: Simd>(&self, s: S, rows: usize, from: Rows) {
        match S::REGISTERS >= 32 {
            // SAFETY: passed on.
            true => unsafe { sizes!(self, s, rows, from, 2: 1 2 3 4 5 6 7 8 9 10 11 12) },
            // SAFETY: passed on.
            false if cfg!(test) => unsafe { sizes!(self, s, rows, from, 2: 1 2 3 4 5 6) },
            false => unreachable!("a tile of two registers"),
        }
    }

    /// The tiles one after the other.
    ///
    /// # Safety
    /// As [`Tile::run`] with `rows` = `MR` and `registers` = `NR`.
    #[inline(always)]
    unsafe fn fixed<S: Simd, L: Lines, const MR: usize, const NR: usize>(
        &self,
        s: S,
        lines: L,
        first: impl First,
    ) {
        let mut tile = *self;
        for _ in 0..self.tiles {
            if self.prefetch && !L::ASK_FOR_C {
                let below = tile.c.wrapping_add(tile.c_tile);
                for i in 0..MR {
                    prefetch::<S, NR>(s, below.wrapping_add(i * tile.c_row));
                }
            }
            // SAFETY: passed on, for the first of the tiles that are left.
            unsafe {
                let acc = first.of::<S, MR, NR>(s, &tile);
                let acc = lines.updates(s, &tile, acc);
                tile.store(s, acc);
            }
            tile.a = tile.a.wrapping_add(tile.a_tile);
            tile.c = tile.c.wrapping_add(tile.c_tile);
        }
    }

    /// The accumulators after `acc` and all k from `from` on.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR` and `registers` = `NR`; `from` ≤ `depth`.
    #[inline(always)]
    pub(super) unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        &self,
        s: S,
        from: usize,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        for k in from..self.depth {
            // SAFETY: k < depth (contract).
            unsafe {
                let line = self.line(s, self.b.add(k * self.b_row), self.b_panel);
                acc = self.update(s, k, line, acc);
            }
        }
        acc
    }

    /// The line of B at `b`, with `panel` floats from what one register has of it to what the
    /// next one has.
    ///
    /// # Safety
    /// `b` is valid for reads of it: 16 floats for each register, for the last one as many as
    /// there are columns, if the instruction set [`reads_parts`].
    #[inline(always)]
    pub(super) unsafe fn line<S: Simd, const NR: usize>(
        &self,
        s: S,
        b: *const f32,
        panel: usize,
    ) -> [S::F; NR] {
        let mut line = [s.zero(); NR];
        for j in 0..NR {
            // SAFETY: passed on; the last register has the columns beyond 16·(NR − 1).
            line[j] = unsafe {
                let b = b.add(j * panel);
                match j == NR - 1 && reads_parts::<S>() {
                    true => s.load_first(self.columns - j * LANES, b),
                    false => s.load(b),
                }
            };
        }
        line
    }

    /// One rank-1 update, of `line` of B and the elements of A for this `k`.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR` and `registers` = `NR`; `k` < `depth`.
    #[inline(always)]
    pub(super) unsafe fn update<S: Simd, const MR: usize, const NR: usize>(
        &self,
        s: S,
        k: usize,
        line: [S::F; NR],
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        for i in 0..MR {
            // SAFETY: row i < MR, k < depth.
            let a = s.splat(unsafe { *self.a.add(i * self.a_row + k * self.a_col) });
            for j in 0..NR {
                acc[i][j] = s.fma(a, line[j], acc[i][j]);
            }
        }
        acc
    }

    /// `beta` times the tile of C.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR` and `registers` = `NR`.
    #[inline(always)]
    unsafe fn scaled<S: Simd, const MR: usize, const NR: usize>(
        &self,
        s: S,
        beta: f32,
    ) -> [[S::F; NR]; MR] {
        let beta = s.splat(beta);
        let mut acc = [[s.zero(); NR]; MR];
        for i in 0..MR {
            for j in 0..NR {
                // SAFETY: `columns` floats of row i < MR of C, of which register j has 16, the
                // last one the rest.
                let c = unsafe {
                    let c = self.c.add(i * self.c_row + j * LANES);
                    match j == NR - 1 {
                        true => s.load_first(self.columns - j * LANES, c),
                        false => s.load(c),
                    }
                };
                acc[i][j] = s.mul(beta, c);
            }
        }
        acc
    }

    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR` and `registers` = `NR`.
    #[inline(always)]
    unsafe fn store<S: Simd, const MR: usize, const NR: usize>(&self, s: S, acc: [[S::F; NR]; MR]) {
        for i in 0..MR {
            for j in 0..NR {
                // SAFETY: `columns` floats of row i < MR of C, of which register j has 16, the
                // last one the rest.
                unsafe {
                    let c = self.c.add(i * self.c_row + j * LANES);
                    match j < NR - 1 || NR == 1 && self.columns == LANES {
                        true => s.store(c, acc[i][j]),
                        false => s.store_first(self.columns - j * LANES, c, acc[i][j]),
                    }
                }
            }
        }
    }
}

//! The microkernel of narrow tiles: a tile of C stays in registers while a few rows of A and a
//! panel of B pass by.

use crate::LANES;
use crate::gemm::microkernel::Start;
use crate::gemm::shape::{Shape, reads_parts};
use crate::simd::{Simd, TURNED};

/// Rows of the largest tile, which is one register wide ([`Shape::of`] says why).
#[inline(always)]
pub(super) const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTERS >= 32 {
        Shape::NARROW_ROWS
    } else {
        Shape::FEW_ROWS
    }
}

/// Whether there are registers to turn lines of B beside the products.
#[inline(always)]
pub(super) const fn turns<S: Simd>() -> bool {
    S::REGISTERS >= 32
}

/// Tiles of C, one below the other, and what goes into them.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// How many.
    pub(super) tiles: usize,
    /// The range of k.
    pub(super) depth: usize,
    /// Columns that exist; the other lanes are computed and dropped.
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
    pub(super) c: *mut f32,
    /// Floats from one row of C to the next.
    pub(super) c_row: usize,
    pub(super) start: Start,
}

/// A panel of B whose columns are contiguous: where it is not packed yet, to be turned and
/// packed on the way.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) ptr: *const f32,
    /// Floats from one column to the next.
    pub(super) stride: usize,
}

/// Where the lines of B come from.
trait Lines: Copy {
    /// The accumulators after all of k.
    ///
    /// # Safety
    /// As [`Tile::run`], or [`Tile::run_turning`], with `rows` = `MR`.
    unsafe fn updates<S: Simd, const MR: usize>(
        self,
        s: S,
        tile: &Tile,
        acc: [S::F; MR],
    ) -> [S::F; MR];
}

/// From the packed panel, or from B itself.
#[derive(Clone, Copy)]
struct InOrder;

impl Lines for InOrder {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize>(
        self,
        s: S,
        tile: &Tile,
        acc: [S::F; MR],
    ) -> [S::F; MR] {
        // SAFETY: passed on.
        unsafe { tile.updates(s, 0, acc) }
    }
}

impl Lines for Columns {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize>(
        self,
        s: S,
        tile: &Tile,
        mut acc: [S::F; MR],
    ) -> [S::F; MR] {
        let whole = tile.depth / TURNED * TURNED;
        for first in (0..whole).step_by(TURNED) {
            // SAFETY: k from first to first + TURNED ≤ depth (contract).
            unsafe {
                let lines = self.pack(s, tile, first);
                for (p, line) in lines.into_iter().enumerate() {
                    acc = tile.update(s, first + p, line, acc);
                }
            }
        }
        if whole < tile.depth {
            // SAFETY: the last TURNED of k, some of which are packed a second time; then
            // all lines are packed.
            unsafe {
                self.pack(s, tile, tile.depth - TURNED);
                acc = tile.updates(s, whole, acc);
            }
        }
        acc
    }
}

impl Columns {
    /// Turns and packs `TURNED` of k.
    ///
    /// # Safety
    /// As [`Tile::run_turning`]; `first` + `TURNED` ≤ `tile.depth`.
    #[inline(always)]
    unsafe fn pack<S: Simd>(self, s: S, tile: &Tile, first: usize) -> [S::F; TURNED] {
        // SAFETY: these k exist in all 16 columns, and as lines of the packed panel.
        unsafe {
            let lines = s.load_turned(LANES, self.ptr.add(first), self.stride);
            let packed = tile.b.cast_mut().add(first * LANES);
            for (p, &line) in lines.iter().enumerate() {
                s.store(packed.add(p * LANES), line);
            }
            lines
        }
    }
}

impl Tile {
    /// `C ← start + a·b`, each tile `rows` high.
    ///
    /// # Safety
    /// - 1 ≤ `rows` ≤ [`tile_rows`], 1 ≤ `columns` ≤ 16.
    /// - For each tile t < `tiles`, row i < `rows` and k < `depth` the address
    ///   `a + t·a_tile + i·a_row + k·a_col` is valid for reads of a float.
    /// - `b` is valid for reads of `depth` lines, `b_row` apart, of `columns` floats, or
    ///   of 16 unless the instruction set [`reads_parts`].
    /// - `c` is valid for reads and writes of `tiles`·`rows` rows, `c_row` apart, of
    ///   `columns` floats.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, s: S, rows: usize) {
        // SAFETY: passed on.
        unsafe { self.with_rows(s, rows, InOrder) }
    }

    /// The same for one tile, with a panel of B that comes from `from` and is packed to `b`.
    ///
    /// # Safety
    /// - As [`Tile::run`], with one tile, 16 `columns`, a `depth` of at least `TURNED`,
    ///   `b_row` = 16, and `b` valid for writes as well.
    /// - `from` is valid for reads of 16 columns of `depth` floats.
    #[inline(always)]
    pub(super) unsafe fn run_turning<S: Simd>(&self, s: S, rows: usize, from: Columns) {
        // SAFETY: passed on.
        unsafe { self.with_rows(s, rows, from) }
    }

    /// # Safety
    /// As [`Tile::run`] or [`Tile::run_turning`].
    #[inline(always)]
    unsafe fn with_rows<S: Simd>(&self, s: S, rows: usize, lines: impl Lines) {
        // One instance for each height and for each of the two starts: a start that is chosen
        // at run time would have the accumulators pass through memory.
        macro_rules! sizes {
            ($($mr:literal)*) => {
                match (rows, self.start) {
                    $(
                        // SAFETY: passed on.
                        ($mr, Start::Zero) => unsafe {
                            self.fixed::<S, $mr>(s, lines, |_| [s.zero(); $mr])
                        },
                        // SAFETY: passed on.
                        ($mr, Start::Scaled(beta)) => unsafe {
                            self.fixed::<S, $mr>(s, lines, |tile| tile.scaled(s, beta))
                        },
                    )*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        if S::REGISTERS >= 32 {
            sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
        } else {
            sizes!(1 2 3 4 5 6)
        }
    }

    /// The tiles one after the other; `first` gives what the accumulators of one hold at
    /// first.
    ///
    /// # Safety
    /// As [`Tile::run`] or [`Tile::run_turning`] with `rows` = `MR`.
    #[inline(always)]
    unsafe fn fixed<S: Simd, const MR: usize>(
        &self,
        s: S,
        lines: impl Lines,
        first: impl Fn(&Self) -> [S::F; MR],
    ) {
        let mut tile = *self;
        for _ in 0..self.tiles {
            // SAFETY: passed on, for the first of the tiles that are left.
            unsafe {
                let acc = first(&tile);
                let acc = lines.updates(s, &tile, acc);
                tile.store(s, acc);
            }
            tile.a = tile.a.wrapping_add(tile.a_tile);
            tile.c = tile.c.wrapping_add(MR * tile.c_row);
        }
    }

    /// The accumulators after `acc` and all k from `from` on.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR`; `from` ≤ `depth`.
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize>(
        &self,
        s: S,
        from: usize,
        mut acc: [S::F; MR],
    ) -> [S::F; MR] {
        for k in from..self.depth {
            // SAFETY: k < depth (contract).
            unsafe {
                let b = self.b.add(k * self.b_row);
                let line = match reads_parts::<S>() {
                    true => s.load_first(self.columns, b),
                    false => s.load(b),
                };
                acc = self.update(s, k, line, acc);
            }
        }
        acc
    }

    /// One rank-1 update, of `line` of B and the elements of A for this `k`.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR`; `k` < `depth`.
    #[inline(always)]
    unsafe fn update<S: Simd, const MR: usize>(
        &self,
        s: S,
        k: usize,
        line: S::F,
        mut acc: [S::F; MR],
    ) -> [S::F; MR] {
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: row i < MR, k < depth.
            let a = s.splat(unsafe { *self.a.add(i * self.a_row + k * self.a_col) });
            *acc = s.fma(a, line, *acc);
        }
        acc
    }

    /// `beta` times the tile of C.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR`.
    #[inline(always)]
    unsafe fn scaled<S: Simd, const MR: usize>(&self, s: S, beta: f32) -> [S::F; MR] {
        let beta = s.splat(beta);
        let mut acc = [s.zero(); MR];
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: `columns` floats of row i < MR of C.
            let c = unsafe { s.load_first(self.columns, self.c.add(i * self.c_row)) };
            *acc = s.mul(beta, c);
        }
        acc
    }

    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR`.
    #[inline(always)]
    unsafe fn store<S: Simd, const MR: usize>(&self, s: S, acc: [S::F; MR]) {
        for (i, acc) in acc.into_iter().enumerate() {
            // SAFETY: `columns` floats of row i < MR of C.
            unsafe {
                let c = self.c.add(i * self.c_row);
                match self.columns == LANES {
                    true => s.store(c, acc),
                    false => s.store_first(self.columns, c, acc),
                }
            }
        }
    }
}

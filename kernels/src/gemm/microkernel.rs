//! The microkernel: a tile of C stays in registers while a few rows of A and a panel of B
//! pass by.

use crate::LANES;
use crate::simd::{Simd, TURNED};

/// How large tiles are: mr rows × nr columns, which are registers of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// mr of tiles of one or two registers; those of three and four have half as many rows.
    pub(super) rows: usize,
    /// nr ÷ 16, at most.
    pub(super) registers: usize,
}

impl Shape {
    /// The shape for a core.
    ///
    /// - Registers that are taken in halves (Zen 4 with AVX-512): 14 × 1. 12 to 16 rows are
    ///   equally fast, 8 or 18 slower. Tiles of two or three registers would need fewer
    ///   loads, but loads are not what limits it. A narrow panel of B stays in the
    ///   first-level cache, wastes fewer lanes at the edge, and a tile has few stores at its
    ///   end, which pass beside the products of the next one.
    /// - Registers that are taken whole ([`Simd::full_width`]): 6 × 4, 6 × 3, 12 × 2 and
    ///   12 × 1. There each FMA of a tile 14 × 1 waits for the load of its element of A.
    ///   Wider tiles share these loads; and stores to one row that lie beside each other cost
    ///   less than stores to several rows, above all where they cross cache lines.
    /// - AVX2 and others have room for 6 × 1.
    #[inline(always)]
    pub(super) fn of<S: Simd>(s: S) -> Self {
        let (rows, registers) = match (S::REGISTERS >= 32, s.full_width()) {
            (true, true) => (12, 4),
            (true, false) => (14, 1),
            (false, _) => (6, 1),
        };
        Self { rows, registers }
    }

    /// Whether tiles may have more than one register.
    #[inline(always)]
    pub(super) fn wide(self) -> bool {
        self.registers > 1
    }

    /// nr
    #[inline(always)]
    pub(super) const fn columns(self) -> usize {
        self.registers * LANES
    }

    /// The tiles of `registers` that a strip of `rows` has, as (first row, rows).
    #[inline(always)]
    pub(super) fn cut(rows: usize, registers: usize) -> [(usize, usize); 2] {
        let upper = if registers > 2 {
            rows.div_ceil(2)
        } else {
            rows
        };
        [(0, upper), (upper, rows - upper)]
    }
}

/// Rows and columns of the largest tiles of any instruction set.
pub(super) const MAX_ROWS: usize = 14;
pub(super) const MAX_COLUMNS: usize = 4 * LANES;

/// Whether the first lanes of a line of B are read as fast as all of them.
#[inline(always)]
pub(super) const fn reads_parts<S: Simd>() -> bool {
    S::REGISTERS >= 32
}

/// Whether there are registers to turn lines of B beside the products.
#[inline(always)]
pub(super) const fn turns<S: Simd>() -> bool {
    S::REGISTERS >= 32
}

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
    /// As [`Tile::run`], or [`Tile::run_turning`], with `rows` = `MR` and `registers` = `NR`.
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR];
}

/// From the packed panel, or from B itself.
#[derive(Clone, Copy)]
struct InOrder;

impl Lines for InOrder {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        // SAFETY: passed on.
        unsafe { tile.updates(s, 0, acc) }
    }
}

impl Lines for Columns {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        const { assert!(NR == 1) };
        let whole = tile.depth / TURNED * TURNED;
        for first in (0..whole).step_by(TURNED) {
            // SAFETY: k from first to first + TURNED ≤ depth (contract).
            unsafe {
                let lines = self.pack(s, tile, first);
                for (p, line) in lines.into_iter().enumerate() {
                    acc = tile.update(s, first + p, [line; NR], acc);
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

#[allow(
    clippy::needless_range_loop,
    reason = "an accumulator has the numbers of its row and register, as its address does"
)]
impl Tile {
    /// `C ← start + a·b`, each tile `rows` high.
    ///
    /// # Safety
    /// - `rows` and `registers` are at least 1 and at most those of a [`Shape`] for this
    ///   instruction set; 16·(`registers` − 1) < `columns` ≤ 16·`registers`.
    /// - For each tile t < `tiles`, row i < `rows` and k < `depth` the address
    ///   `a + t·a_tile + i·a_row + k·a_col` is valid for reads of a float.
    /// - For each register j `b + j·b_panel` is valid for reads of `depth` lines, `b_row`
    ///   apart, of 16 floats; for the last one of as many as there are columns, if the
    ///   instruction set [`reads_parts`].
    /// - For each tile t `c + t·c_tile` is valid for reads and writes of `rows` rows, `c_row`
    ///   apart, of `columns` floats.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, s: S, rows: usize) {
        // One instance for each size and for each of the two starts.
        macro_rules! sizes {
            ($nr:literal: $($mr:literal)*) => {
                match (rows, self.start) {
                    $(
                        // SAFETY: passed on.
                        ($mr, Start::Zero) => unsafe {
                            self.fixed::<S, $mr, $nr>(s, InOrder, Zeros)
                        },
                        // SAFETY: passed on.
                        ($mr, Start::Scaled(beta)) => unsafe {
                            self.fixed::<S, $mr, $nr>(s, InOrder, OfC(beta))
                        },
                    )*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        match (self.registers, S::REGISTERS >= 32) {
            (1, true) => sizes!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            (2, true) => sizes!(2: 1 2 3 4 5 6 7 8 9 10 11 12),
            (3, true) => sizes!(3: 1 2 3 4 5 6),
            (4, true) => sizes!(4: 1 2 3 4 5 6),
            (1, false) => sizes!(1: 1 2 3 4 5 6),
            // For the tests, on CPUs without the other ones.
            (2, false) if cfg!(test) => sizes!(2: 1 2 3 4 5 6),
            (3, false) if cfg!(test) => sizes!(3: 1 2 3),
            (4, false) if cfg!(test) => sizes!(4: 1 2 3),
            _ => unreachable!("a tile of {} registers", self.registers),
        }
    }

    /// The same for one tile, with a panel of B that comes from `from` and is packed to `b`.
    ///
    /// # Safety
    /// - As [`Tile::run`], with one tile of one register, 16 `columns`, a `depth` of at
    ///   least `TURNED`, `b_row` = 16, and `b` valid for writes as well.
    /// - `from` is valid for reads of 16 columns of `depth` floats.
    /// - The instruction set [`turns`].
    #[inline(always)]
    pub(super) unsafe fn run_turning<S: Simd>(&self, s: S, rows: usize, from: Columns) {
        macro_rules! sizes {
            ($($mr:literal)*) => {
                match (rows, self.start) {
                    $(
                        // SAFETY: passed on.
                        ($mr, Start::Zero) => unsafe {
                            self.fixed::<S, $mr, 1>(s, from, Zeros)
                        },
                        // SAFETY: passed on.
                        ($mr, Start::Scaled(beta)) => unsafe {
                            self.fixed::<S, $mr, 1>(s, from, OfC(beta))
                        },
                    )*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    }

    /// The tiles one after the other.
    ///
    /// # Safety
    /// As [`Tile::run`] or [`Tile::run_turning`] with `rows` = `MR` and `registers` = `NR`.
    #[inline(always)]
    unsafe fn fixed<S: Simd, const MR: usize, const NR: usize>(
        &self,
        s: S,
        lines: impl Lines,
        first: impl First,
    ) {
        let mut tile = *self;
        for _ in 0..self.tiles {
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
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        &self,
        s: S,
        from: usize,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        for k in from..self.depth {
            // SAFETY: k < depth (contract).
            unsafe {
                let mut line = [s.zero(); NR];
                for j in 0..NR {
                    let b = self.b.add(j * self.b_panel + k * self.b_row);
                    line[j] = match j == NR - 1 && reads_parts::<S>() {
                        true => s.load_first(self.columns - j * LANES, b),
                        false => s.load(b),
                    };
                }
                acc = self.update(s, k, line, acc);
            }
        }
        acc
    }

    /// One rank-1 update, of `line` of B and the elements of A for this `k`.
    ///
    /// # Safety
    /// As [`Tile::run`] for one tile with `rows` = `MR` and `registers` = `NR`; `k` < `depth`.
    #[inline(always)]
    unsafe fn update<S: Simd, const MR: usize, const NR: usize>(
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

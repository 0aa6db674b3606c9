//! How large tiles are, and what a core can do besides.

use crate::LANES;
use crate::simd::Simd;

/// How large tiles are: mr rows × nr columns, which are registers of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// mr
    pub(super) rows: usize,
    /// nr ÷ 16, at most.
    pub(super) registers: usize,
}

impl Shape {
    /// Rows of the tiles of one register, on cores with 32 registers.
    pub(super) const NARROW_ROWS: usize = 14;

    /// Rows of the tiles of one register, on cores with fewer.
    pub(super) const FEW_ROWS: usize = 6;

    /// The most rows of tiles of two registers.
    pub(super) const TWO_ROWS: usize = 12;

    /// The most rows of tiles of three and four registers.
    pub(super) const LOW_ROWS: usize = 6;

    /// The shape for a core.
    ///
    /// - Registers that are taken in halves (Zen 4 with AVX-512): 14 × 1, but for few rows
    ///   (`blocking::for_rows`). 12 to 16 rows are equally fast, 8 or 18 slower. Tiles of two or
    ///   three registers would need fewer loads, but loads are not what limits it. A narrow panel
    ///   of B stays in the first-level cache, wastes fewer lanes at the edge, and a tile has few
    ///   stores at its end, which pass beside the products of the next one.
    /// - Registers that are taken whole ([`Simd::full_width`]): 6 × 4, 6 × 3, 12 × 2 and
    ///   12 × 1 (`blocking::cut`). There each FMA of a tile 14 × 1 waits for the load of its
    ///   element of A. Wider tiles share these loads; and stores to one row that lie beside
    ///   each other cost less than stores to several rows, above all where they cross cache
    ///   lines.
    /// - AVX2 and others have room for 6 × 1.
    #[inline(always)]
    pub(super) fn of<S: Simd>(s: S) -> Self {
        let (rows, registers) = match (S::REGISTERS >= 32, s.full_width()) {
            (true, true) => (Self::TWO_ROWS, 4),
            (true, false) => (Self::NARROW_ROWS, 1),
            (false, _) => (Self::FEW_ROWS, 1),
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
}

/// Rows and columns of the largest tiles of any shape. Those of one register have 14 rows on
/// all that reads parts.
pub(super) const MAX_ROWS: usize = Shape::NARROW_ROWS;
pub(super) const MAX_COLUMNS: usize = 4 * LANES;

/// Whether the first lanes of a line of B are read as fast as all of them.
#[inline(always)]
pub(super) const fn reads_parts<S: Simd>() -> bool {
    S::REGISTERS >= 32
}

//! Products of wide tiles that need nothing packed and are a single block: all loops but 2 and
//! 1 fall away. Small products are often over before the general way has decided anything.

use super::Blocking;
use super::blocking::{
    is_near_panel, prefetches_b, prefetches_c, reads_a_in_place, reads_b_in_place,
};
use super::lines::Source;
use super::microkernel::Tile;
use super::product::Product;
use super::shape::{MAX_ROWS, Shape, reads_parts};
use crate::LANES;
use crate::parts::even_runs;
use crate::simd::Simd;

impl Product<'_> {
    /// Whether [`Product::run_directly`] may be called.
    #[inline(always)]
    pub(super) fn is_direct<S: Simd>(&self) -> bool {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let Blocking { mc, kc, nc } = self.blocking;
        reads_parts::<S>()
            && (m.saturating_mul(k) <= mc.saturating_mul(kc) && k <= kc && n <= nc)
            && self.alpha_a == 1.0
            && self.alpha_b == 1.0
            && self.c.col_stride() == 1
            && !prefetches_c(self.shape, m, n, k)
            && reads_b_in_place(self.shape, m, self.b, k)
            && reads_a_in_place(self.shape, self.a, k)
    }

    /// # Panics
    /// Unless [`Product::is_direct`].
    #[inline(always)]
    pub(super) fn run_directly<S: Simd>(mut self, s: S) {
        assert!(reads_parts::<S>() && self.b.col_stride() == 1 && self.c.col_stride() == 1);
        let (depth, n) = (self.a.cols(), self.b.cols());
        let (a_row, a_col) = (self.a.row_stride(), self.a.col_stride());
        let (b_row, c_row) = (self.b.row_stride(), self.c.row_stride());
        let (a, b, c) = (self.a.as_ptr(), self.b.as_ptr(), self.c.as_mut_ptr());
        let ahead = prefetches_b(self.shape, depth, n);
        let (most, registers) = if n <= LANES {
            (MAX_ROWS, 1)
        } else if n > 2 * LANES
            && (self.shape.rows <= Shape::LOW_ROWS || is_near_panel(self.shape, depth, n))
        {
            (Shape::LOW_ROWS, self.shape.registers)
        } else {
            (self.shape.rows, 2)
        };
        let strips = even_runs(self.a.rows(), most);
        for column in (0..n).step_by(registers * LANES) {
            let columns = (n - column).min(registers * LANES);
            for (first, rows, tiles) in strips {
                if tiles == 0 {
                    continue;
                }
                let tile = Tile {
                    tiles,
                    depth,
                    registers: columns.div_ceil(LANES),
                    columns,
                    a: a.wrapping_add(first * a_row),
                    a_row,
                    a_col,
                    a_tile: rows * a_row,
                    b: b.wrapping_add(column),
                    b_row,
                    b_panel: LANES,
                    c: c.wrapping_add(first * c_row + column),
                    c_row,
                    c_tile: rows * c_row,
                    start: self.start,
                    prefetch: false,
                    ahead,
                };
                // SAFETY: the strips are the rows of A and C, of at most as many rows as tiles
                // of so many registers have; `columns` are some of those of B and C,
                // whose rows are contiguous; C is borrowed exclusively. The instruction set
                // reads parts of lines, and has tiles of this shape.
                unsafe { tile.run(s, rows, Source::There) };
            }
        }
    }
}

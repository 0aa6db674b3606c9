//! The macrokernel: loops 2 and 1, over the tiles of a block of C.

use super::microkernel::{Columns, Tile, tile_rows, turns};
use crate::gemm::elements::Elements;
use crate::gemm::microkernel::Start;
use crate::gemm::shape::MAX_ROWS;
use crate::parts::even_runs;
use crate::simd::Simd;
use crate::{LANES, MatRef};

/// A block of C, and the parts of A and B that go into it.
pub(super) struct Block<'a> {
    /// The rows of A.
    pub(super) a: MatRef<'a>,
    /// The same in panels as high as `even_parts(rows, mr)`, if A is not to be read where
    /// it lies.
    pub(super) packed_a: Option<&'a [f32]>,
    /// The columns of B.
    pub(super) b: MatRef<'a>,
    /// The columns of B up to here are read where they lie.
    pub(super) in_place: usize,
    /// The columns of B up to here are packed by the first tiles that need them.
    pub(super) turning: usize,
    /// B in panels of 16 columns, of which those from `in_place` and `turning` on are there.
    pub(super) packed_b: &'a mut [f32],
    pub(super) c: *mut f32,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
    /// Whether each tile of C is asked for while the one above it is computed.
    pub(super) prefetch: bool,
    pub(super) start: Start,
}

impl Block<'_> {
    /// # Safety
    /// - `c` is valid for reads and writes of a.rows() × b.cols() elements at these strides,
    ///   no two of which share an address.
    /// - `in_place` > 0 only if rows of B are contiguous; it is at most b.cols(), and a
    ///   multiple of 16 unless the instruction set `reads_parts`.
    /// - `turning` > 0 only if columns of B are contiguous and have at least `TURNED`
    ///   elements; it is at most b.cols(), and a multiple of 16. It is 0 unless the
    ///   instruction set `turns`.
    /// - `packed_a` and `packed_b` hold what is said of them, or places for it.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&mut self, s: S) {
        let strips = even_runs(self.a.rows(), tile_rows::<S>());
        // Loop 2: 16 columns, a panel of B that stays in the first-level cache.
        for column in (0..self.b.cols()).step_by(LANES) {
            // Loop 1: up to mr rows, all about as many.
            for (first, rows, tiles) in strips {
                let mut done = 0;
                while done < tiles {
                    let row = first + done * rows;
                    let turning = turns::<S>() && row == 0 && column < self.turning;
                    let together = match turning || self.prefetch || !self.contiguous() {
                        true => 1,
                        false => tiles - done,
                    };
                    // SAFETY: passed on; the tiles lie inside the block.
                    unsafe { self.tiles(s, row, rows, together, column, turning) };
                    done += together;
                }
            }
        }
    }

    /// Whether rows of C are contiguous.
    #[inline(always)]
    fn contiguous(&self) -> bool {
        self.col_stride == 1 || self.b.cols() == 1
    }

    /// `tiles` tiles of `rows` rows, the first at `row` and `column`. Only one if the panel of
    /// B has to be turned for it, or C is not contiguous.
    ///
    /// # Safety
    /// As [`Block::run`]; the tiles are some of those that it goes through.
    #[inline(always)]
    unsafe fn tiles<S: Simd>(
        &mut self,
        s: S,
        row: usize,
        rows: usize,
        tiles: usize,
        column: usize,
        turning: bool,
    ) {
        let depth = self.b.rows();
        let columns = LANES.min(self.b.cols() - column);
        let (a, a_row, a_col, a_tile) = match self.packed_a {
            Some(packed) => (packed[row * depth..].as_ptr(), 1, rows, rows * depth),
            None => {
                let (stride, a_col) = (self.a.row_stride(), self.a.col_stride());
                let a = self.a.as_ptr().wrapping_add(row * stride);
                (a, stride, a_col, rows * stride)
            }
        };
        let (b, b_row) = match column < self.in_place {
            true => (self.b.as_ptr().wrapping_add(column), self.b.row_stride()),
            false => {
                let panel = &mut self.packed_b[column * depth..];
                (panel.as_mut_ptr().cast_const(), LANES)
            }
        };
        let c = Elements {
            ptr: self
                .c
                .wrapping_add(row * self.row_stride + column * self.col_stride),
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        };
        let mut tile = Tile {
            tiles,
            depth,
            columns,
            a,
            a_row,
            a_col,
            a_tile,
            b,
            b_row,
            c: c.ptr,
            c_row: self.row_stride,
            start: self.start,
        };
        let mut scratch;
        if !self.contiguous() {
            scratch = [[0.0; LANES]; MAX_ROWS];
            // SAFETY: this part of C is valid (contract).
            unsafe { c.gather(rows, columns, self.start, &mut scratch) };
            (tile.c, tile.c_row) = (scratch.as_mut_ptr().cast(), LANES);
        } else if self.prefetch {
            prefetch(s, c, rows);
        }
        // SAFETY: A and its packed panels have these rows; `b` begins a panel of `depth`
        // lines, in B or packed, or to be packed from columns of B (contract); C or the
        // scratch tile is valid for `rows` rows of `columns`.
        unsafe {
            if turning {
                let stride = self.b.col_stride();
                let ptr = self.b.as_ptr().add(column * stride);
                tile.run_turning(s, rows, Columns { ptr, stride });
            } else {
                tile.run(s, rows);
            }
            if !self.contiguous() {
                c.scatter(rows, columns, tile.c, tile.c_row);
            }
        }
    }
}

/// Asks for the `rows` rows of C below these `rows`, a register wide. A row may lie in two cache
/// lines.
#[inline(always)]
fn prefetch<S: Simd>(s: S, c: Elements, rows: usize) {
    for r in rows..2 * rows {
        let row = c.ptr.wrapping_add(r * c.row_stride);
        s.prefetch(row);
        s.prefetch(row.wrapping_add(LANES - 1));
    }
}

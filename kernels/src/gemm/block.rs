//! The macrokernel: loops 2 and 1, over the tiles of a block of C.

use super::elements::Elements;
use super::lines::{Rows, Source};
use super::microkernel::{Start, Tile};
use super::pack::pack_b;
use super::shape::{MAX_COLUMNS, MAX_ROWS, Shape, reads_parts};
use crate::parts::even_runs;
use crate::simd::Simd;
use crate::{LANES, MatRef};

/// A block of C, and the parts of A and B that go into it.
pub(super) struct Block<'a> {
    pub(super) shape: Shape,
    /// The rows of A.
    pub(super) a: MatRef<'a>,
    /// The same in panels as high as `even_parts(rows, mr)`, if A is not to be read where
    /// it lies.
    pub(super) packed_a: Option<&'a [f32]>,
    /// The columns of B.
    pub(super) b: MatRef<'a>,
    /// The columns of B up to here are read where they lie.
    pub(super) in_place: usize,
    /// If the columns of B from `in_place` on are yet to be packed: times this, before the
    /// first tile that needs them.
    pub(super) to_pack: Option<f32>,
    /// Whether no other block needs them: all are packed to one place then, which stays in the
    /// first-level cache.
    pub(super) alone: bool,
    /// Whether that tile does it itself, if it has two registers.
    pub(super) beside: bool,
    /// Whether what is read in place is asked for in advance.
    pub(super) ahead: bool,
    /// B in panels of 16 columns, of which those that are not mentioned above are there.
    pub(super) packed_b: &'a mut [f32],
    pub(super) c: *mut f32,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
    /// Whether each tile of C is asked for while the one above it is computed.
    pub(super) prefetch: bool,
    pub(super) start: Start,
}

/// Tiles of a block: `count` of `height` × `registers`, one below the other, the first at `row` and
/// `column`.
#[derive(Clone, Copy)]
struct Run {
    row: usize,
    height: usize,
    column: usize,
    registers: usize,
    count: usize,
    /// Whether the tile packs its panels of B.
    packing: bool,
}

impl Block<'_> {
    /// # Safety
    /// - `c` is valid for reads and writes of a.rows() × b.cols() elements at these strides,
    ///   no two of which share an address.
    /// - `in_place` > 0 only if rows of B are contiguous; it is at most b.cols(), and a
    ///   multiple of 16 unless the instruction set `reads_parts`.
    /// - `beside` only if rows of B are contiguous.
    /// - `packed_a` and `packed_b` hold what is said of them, or places for it.
    /// - The instruction set has tiles of this `shape`.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&mut self, s: S) {
        let strips = even_runs(self.a.rows(), self.shape.rows);
        // Loop 2: up to nr columns, panels of B that stay in the first-level cache.
        let mut column = 0;
        while column < self.b.cols() {
            let registers = self.registers(column);
            let beside = self.beside
                && column >= self.in_place
                && registers == 2
                && (reads_parts::<S>() || column + 2 * LANES <= self.b.cols());
            if !beside && column >= self.in_place {
                self.pack(s, column, column + registers * LANES);
            }
            // Loop 1: strips of up to mr rows, all about as high.
            for (first, height, strips) in strips {
                let mut done = 0;
                while done < strips {
                    let strip = first + done * height;
                    let packing = beside && strip == 0;
                    let count = match packing || !self.contiguous() {
                        true => 1,
                        false => strips - done,
                    };
                    let run = Run {
                        row: strip,
                        height,
                        column,
                        registers,
                        count,
                        packing,
                    };
                    // SAFETY: passed on; the tiles lie inside the block.
                    unsafe { self.tiles(s, run) };
                    done += count;
                }
            }
            column += registers * LANES;
        }
    }

    /// Packs the columns of B from `from` on, a multiple of 16 or the end of those in place,
    /// up to `to`, if they are yet to be packed.
    #[inline(always)]
    fn pack<S: Simd>(&mut self, s: S, from: usize, to: usize) {
        let Some(scale) = self.to_pack else {
            return;
        };
        let b = self.b.col_range(from, to.min(self.b.cols()));
        let place = self.place(from);
        pack_b(s, scale, b, &mut self.packed_b[place..]);
    }

    /// Where the panels that begin with `column` are packed.
    #[inline(always)]
    fn place(&self, column: usize) -> usize {
        match self.alone {
            true => 0,
            false => column * self.b.rows(),
        }
    }

    /// Whether rows of C are contiguous.
    #[inline(always)]
    fn contiguous(&self) -> bool {
        self.col_stride == 1 || self.b.cols() == 1
    }

    /// Where the columns of B end that come the same way as `column`.
    #[inline(always)]
    fn end(&self, column: usize) -> usize {
        let ends = [self.in_place, self.b.cols()];
        let end = ends.into_iter().find(|&end| column < end);
        end.unwrap_or(column)
    }

    /// The registers of the tiles at `column`: all about as many, for low tiles of one register
    /// wait for loads.
    #[inline(always)]
    fn registers(&self, column: usize) -> usize {
        let columns = self.end(column) - column;
        let left = columns.div_ceil(LANES);
        // Often one tile: no divisions for that.
        match left <= self.shape.registers {
            true => left,
            false => left.div_ceil(left.div_ceil(self.shape.registers)),
        }
    }

    /// Only one tile if it packs its panels of B, or C is not contiguous.
    ///
    /// # Safety
    /// As [`Block::run`]; the tiles are some of those that it goes through.
    #[inline(always)]
    unsafe fn tiles<S: Simd>(&mut self, s: S, run: Run) {
        let Run {
            row,
            height,
            column,
            registers,
            ..
        } = run;
        let depth = self.b.rows();
        let columns = (registers * LANES).min(self.b.cols() - column);
        let (a, a_row, a_col, a_tile) = match self.packed_a {
            Some(packed) => {
                let a = packed[row * depth..].as_ptr();
                (a, 1, height, height * depth)
            }
            None => {
                let (stride, a_col) = (self.a.row_stride(), self.a.col_stride());
                let a = self.a.as_ptr().wrapping_add(row * stride);
                (a, stride, a_col, height * stride)
            }
        };
        let (b, b_row, b_panel) = match column < self.in_place {
            true => {
                let b = self.b.as_ptr().wrapping_add(column);
                (b, self.b.row_stride(), LANES)
            }
            false => {
                let place = self.place(column);
                let panel = &mut self.packed_b[place..];
                (panel.as_mut_ptr().cast_const(), LANES, LANES * depth)
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
            tiles: run.count,
            depth,
            registers,
            columns,
            a,
            a_row,
            a_col,
            a_tile,
            b,
            b_row,
            b_panel,
            c: c.ptr,
            c_row: self.row_stride,
            c_tile: height * self.row_stride,
            start: self.start,
            prefetch: self.prefetch && self.contiguous(),
            ahead: self.ahead && column < self.in_place,
        };
        let mut scratch;
        if !self.contiguous() {
            scratch = [[0.0; MAX_COLUMNS]; MAX_ROWS];
            // SAFETY: this part of C is valid (contract).
            unsafe { c.gather(height, columns, self.start, &mut scratch) };
            (tile.c, tile.c_row) = (scratch.as_mut_ptr().cast(), MAX_COLUMNS);
        }
        // SAFETY: A and its packed panels have these rows; `b` begins panels of `depth`
        // lines, in B or packed, or to be packed from rows of B (contract), all of them in
        // the same way (`end`); C or the scratch tile is valid for `height` rows of `columns`.
        unsafe {
            let from = match run.packing {
                true => Source::Rows(Rows {
                    ptr: self.b.as_ptr().add(column),
                    stride: self.b.row_stride(),
                }),
                false => Source::There,
            };
            tile.run(s, height, from);
            if !self.contiguous() {
                c.scatter(height, columns, tile.c, tile.c_row);
            }
        }
    }
}

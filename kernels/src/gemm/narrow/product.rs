//! Loops 5 to 3: cut the matrices into blocks, and pack what is not read in place.

use super::block::Block;
use super::microkernel::{reads_parts, tile_rows, turns};
use crate::gemm::Blocking;
use crate::gemm::blocking::{prefetches_c, reads_a_in_place, reads_b_in_place};
use crate::gemm::microkernel::Start;
use crate::gemm::pack::pack_panel;
use crate::gemm::product::{depths, pieces};
use crate::gemm::shape::Shape;
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd, TURNED};
use crate::{LANES, MatMut, MatRef, padded};

/// The shapes fit together, C is not empty, and the buffers hold what `blocking` asks for.
pub(crate) struct Product<'a> {
    pub(crate) blocking: Blocking,
    pub(crate) packed_a: &'a mut [f32],
    pub(crate) packed_b: &'a mut [f32],
    pub(crate) a: MatRef<'a>,
    pub(crate) b: MatRef<'a>,
    pub(crate) c: MatMut<'a>,
    /// One of these is α, the other 1.
    pub(crate) alpha_a: f32,
    pub(crate) alpha_b: f32,
    pub(crate) start: Start,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let Blocking { mc, kc, nc } = self.blocking;
        let shape = Shape {
            rows: tile_rows::<S>(),
            registers: 1,
        };
        let longest = kc.min(k);
        let direct_a = self.alpha_a == 1.0 && reads_a_in_place(shape, self.a, longest);
        let direct_b = self.alpha_b == 1.0 && reads_b_in_place(shape, m, self.b, longest);
        let turning = turns::<S>() && self.alpha_b == 1.0 && !direct_b && self.b.row_stride() == 1;
        let prefetch = prefetches_c(m, n, longest);
        let (row_stride, col_stride) = (self.c.row_stride(), self.c.col_stride());

        // Loop 5: nc columns of B and C.
        for (j, columns) in pieces(n, nc) {
            let whole = columns / LANES * LANES;
            // Loop 4: kc of k. Without any k it runs once, for β.
            for (p, depth) in depths(k, kc) {
                let start = if p == 0 { self.start } else { Start::FROM_C };
                let b = self.b.row_range(p, p + depth).col_range(j, j + columns);
                let packed_b = &mut self.packed_b[..depth * padded(columns)];
                let in_place = match (direct_b, reads_parts::<S>()) {
                    (true, true) => columns,
                    (true, false) => whole,
                    (false, _) => 0,
                };
                let turned = if turning && depth >= TURNED { whole } else { 0 };
                for first in (in_place.max(turned)..columns).step_by(LANES) {
                    let panel = b.col_range(first, columns.min(first + LANES)).transposed();
                    let packed = &mut packed_b[first * depth..][..LANES * depth];
                    pack_panel(s, self.alpha_b, panel, LANES, packed);
                }
                // Loop 3: mc rows of A and C.
                for (i, rows) in even_parts(m, mc) {
                    let a = self.a.row_range(i, i + rows).col_range(p, p + depth);
                    if !direct_a {
                        for (first, height) in even_parts(rows, tile_rows::<S>()) {
                            let panel = a.row_range(first, first + height);
                            let packed = &mut self.packed_a[first * depth..][..height * depth];
                            pack_panel(s, self.alpha_a, panel, height, packed);
                        }
                    }
                    let mut block = Block {
                        a,
                        packed_a: (!direct_a).then_some(&*self.packed_a),
                        b,
                        in_place,
                        turning: if i == 0 { turned } else { 0 },
                        packed_b,
                        c: self
                            .c
                            .as_mut_ptr()
                            .wrapping_add(i * row_stride + j * col_stride),
                        row_stride,
                        col_stride,
                        prefetch,
                        start,
                    };
                    // SAFETY: rows i … i + rows and columns j … j + columns lie inside
                    // C, which is borrowed exclusively. What is read in place is
                    // contiguous as it has to be; the other panels were packed above,
                    // with the same cuts, or by the first block of rows.
                    unsafe { block.run(s) };
                }
            }
        }
    }
}

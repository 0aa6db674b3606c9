//! Loops 5 to 3: cut the matrices into blocks, and pack what is not read in place.

use super::block::Block;
use super::microkernel::{tile_rows, turns};
use crate::gemm::Blocking;
use crate::gemm::blocking::{
    depth_of_few, is_on_many_pages, prefetches_c, reads_a_in_place, reads_b_in_place,
};
use crate::gemm::microkernel::Start;
use crate::gemm::pack::{pack_a, pack_b};
use crate::gemm::product::{Product, depths, pieces, readable};
use crate::gemm::shape::Shape;
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd, TURNED};
use crate::{LANES, padded};

/// A product in narrow tiles, whatever its `shape`.
pub(crate) struct Narrow<'a>(pub(crate) Product<'a>);

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(mut product) = self;
        let (m, k, n) = (product.a.rows(), product.a.cols(), product.b.cols());
        let Blocking { mc, kc, nc } = product.blocking;
        let shape = Shape {
            rows: tile_rows::<S>(),
            registers: 1,
        };
        let kc = depth_of_few(shape, kc, m, product.b);
        let longest = depths(k, kc).next().map_or(0, |(_, depth)| depth);
        let direct_a = product.alpha_a == 1.0
            && reads_a_in_place(shape, product.a, longest)
            && !is_on_many_pages(shape, product.a, longest, n);
        let direct_b = product.alpha_b == 1.0 && reads_b_in_place(shape, m, product.b, longest);
        let turning =
            turns::<S>() && product.alpha_b == 1.0 && !direct_b && product.b.row_stride() == 1;
        // Whole strips. (No division for small products, which would feel it.)
        let mc = match m > mc {
            true => mc.max(product.blocking.rows(longest) / shape.rows * shape.rows),
            false => mc,
        };
        let prefetch = prefetches_c(shape, m, n, longest);
        let (row_stride, col_stride) = (product.c.row_stride(), product.c.col_stride());

        // Loop 5: nc columns of B and C.
        for (j, columns) in pieces(n, nc) {
            let whole = columns / LANES * LANES;
            // Loop 4: kc of k. Without any k it runs once, for β.
            for (p, depth) in depths(k, kc) {
                let start = if p == 0 { product.start } else { Start::FROM_C };
                let b = product.b.row_range(p, p + depth).col_range(j, j + columns);
                let packed_b = &mut product.packed_b[..depth * padded(columns)];
                let in_place = if direct_b { readable::<S>(columns) } else { 0 };
                let turned = if turning && depth >= TURNED { whole } else { 0 };
                let to_pack = in_place.max(turned);
                // Small products, which pack nothing, would feel the call.
                if to_pack < columns {
                    let rest = b.col_range(to_pack, columns);
                    pack_b(s, product.alpha_b, rest, &mut packed_b[to_pack * depth..]);
                }
                // Loop 3: mc rows of A and C.
                for (i, rows) in even_parts(m, mc) {
                    let a = product.a.row_range(i, i + rows).col_range(p, p + depth);
                    if !direct_a {
                        pack_a(s, product.alpha_a, a, shape.rows, product.packed_a);
                    }
                    let mut block = Block {
                        a,
                        packed_a: (!direct_a).then_some(&*product.packed_a),
                        b,
                        in_place,
                        turning: if i == 0 { turned } else { 0 },
                        packed_b,
                        c: product
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

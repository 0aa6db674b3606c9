//! Loops 5 to 3: cut the matrices into blocks, and pack what is not read in place.

use super::Blocking;
use super::block::Block;
use super::blocking::{
    cut, is_far, packs_b_beside, prefetches_b, prefetches_c, reads_a_in_place, reads_b_in_place,
};
use super::microkernel::Start;
use super::pack::pack_a;
use super::shape::{Shape, reads_parts};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{LANES, MatMut, MatRef, padded};

/// The shapes fit together, C is not empty, and the buffers hold what `blocking` asks for.
pub(super) struct Product<'a> {
    pub(super) shape: Shape,
    pub(super) blocking: Blocking,
    pub(super) packed_a: &'a mut [f32],
    pub(super) packed_b: &'a mut [f32],
    pub(super) a: MatRef<'a>,
    pub(super) b: MatRef<'a>,
    pub(super) c: MatMut<'a>,
    /// One of these is α, the other 1.
    pub(super) alpha_a: f32,
    pub(super) alpha_b: f32,
    pub(super) start: Start,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        if self.is_direct::<S>() {
            return self.run_directly(s);
        }
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let Blocking { kc, nc, .. } = self.blocking;
        let longest = self.blocking.depth(m, self.b);
        let direct_b = self.alpha_b == 1.0 && reads_b_in_place(self.shape, m, self.b, longest);
        let beside = self.alpha_b == 1.0 && packs_b_beside(m, self.b, longest);
        let unaligned = direct_b || beside;
        let kc = if unaligned { longest } else { kc };
        let far = !unaligned && is_far(self.shape, (m, k, n));
        let direct_a =
            !far && self.alpha_a == 1.0 && reads_a_in_place(self.shape, self.a, kc.min(k));
        let (shape, kc) = cut(self.shape, (unaligned, far), kc, (m, k, n));
        let mc = self.blocking.rows(kc.min(k));
        let prefetch = prefetches_c(self.shape, m, n, kc.min(k));
        let (row_stride, col_stride) = (self.c.row_stride(), self.c.col_stride());

        // Loop 5: nc columns of B and C.
        for (j, columns) in pieces(n, nc) {
            // Loop 4: kc of k. Without any k it runs once, for β.
            for (p, depth) in depths(k, kc) {
                let start = if p == 0 { self.start } else { Start::FROM_C };
                let b = self.b.row_range(p, p + depth).col_range(j, j + columns);
                let packed_b = &mut self.packed_b[..depth * padded(columns)];
                let in_place = if direct_b { readable::<S>(columns) } else { 0 };
                // Loop 3: mc rows of A and C.
                for (i, rows) in even_parts(m, mc) {
                    let a = self.a.row_range(i, i + rows).col_range(p, p + depth);
                    if !direct_a {
                        pack_a(s, self.alpha_a, a, shape.rows, self.packed_a);
                    }
                    let mut block = Block {
                        shape,
                        a,
                        packed_a: (!direct_a).then_some(&*self.packed_a),
                        b,
                        in_place,
                        to_pack: (i == 0).then_some(self.alpha_b),
                        alone: rows == m,
                        beside: beside && i == 0,
                        ahead: prefetches_b(self.shape, depth, columns),
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
                    // contiguous as it has to be; the other panels are packed by the
                    // first block of rows, to a place for each if it is not the only one.
                    unsafe { block.run(s) };
                }
            }
        }
    }
}

/// Of so many columns of B, those that may be read where they lie: all, or whole registers.
#[inline(always)]
pub(super) fn readable<S: Simd>(columns: usize) -> usize {
    match reads_parts::<S>() {
        true => columns,
        false => columns / LANES * LANES,
    }
}

/// The pieces of k: (start, length), at least one.
#[inline(always)]
pub(super) fn depths(k: usize, kc: usize) -> impl Iterator<Item = (usize, usize)> {
    let empty = (k == 0).then_some((0, 0));
    empty.into_iter().chain(even_parts(k, kc))
}

/// Pieces of `most` columns: (start, length).
#[inline(always)]
pub(super) fn pieces(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let length = most.min(n - start);
        start += length;
        (length > 0).then_some((start - length, length))
    })
}

//! Asking for what another core has written.

use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatRef};

/// Asks for all of `matrix`, in which columns are contiguous.
///
/// Where another core has written it, a line takes as long to come as hundreds of multiply-adds.
/// All asked for at once come one upon the other; read by a product as it goes, they make it
/// wait every few steps.
///
/// # Panics
/// If columns are not contiguous.
pub fn fetch(isa: Isa, matrix: MatRef<'_>) {
    assert!(matrix.col_stride() == 1);
    isa.dispatch(Fetch { matrix });
}

struct Fetch<'a> {
    matrix: MatRef<'a>,
}

impl Kernel for Fetch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Column after column of lines: a product begins with the first of every row.
        let (rows, cols) = (self.matrix.rows(), self.matrix.cols());
        for first in (0..cols).step_by(LANES) {
            for r in 0..rows {
                s.prefetch(self.matrix.row(r)[first..].as_ptr());
            }
        }
    }
}

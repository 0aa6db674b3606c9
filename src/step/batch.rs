//! The dense path over byte inputs, which falls back to the sparse form.

use fanin_kernels::sparse::{self, BatchRows, SparseBytes};
use fanin_kernels::{Activation, Isa, MatMut, MatRef, activation, dense};

/// The dense path over byte inputs: every byte is multiplied.
///
/// What it must equal is the path that skips zero bytes. It does while z is finite; a
/// z that is not may come from 0·∞, so then the zeros are skipped after all. That costs
/// only runs that are about to diverge.
#[allow(clippy::too_many_arguments)]
pub(super) fn forward_bytes(
    isa: Isa,
    x: MatRef<'_>,
    w: MatRef<'_>,
    bias: &[f32],
    activation: Activation,
    z: Option<MatMut<'_>>,
    y: MatMut<'_>,
    byte_values: &[f32; 256],
    skipping: impl FnOnce() -> (SparseBytes, Vec<u32>),
) {
    let Some(mut z) = z else {
        return dense::forward(isa, x, w, bias, activation, None, y);
    };
    dense::forward(isa, x, w, bias, Activation::Identity, None, z.reborrow());
    let finite = (0..z.rows()).all(|r| z.row_mut(r).iter().all(|v| v.is_finite()));
    // Beyond 65,536 columns there is no sparse path to agree with.
    if finite || x.cols() > 1 << 16 {
        activation::forward(isa, activation, z.as_ref(), y);
    } else {
        let (inputs, batch) = skipping();
        let mut rows = BatchRows::default();
        rows.gather(&inputs, &batch);
        sparse::forward(isa, &rows, byte_values, w, bias, activation, Some(z), y);
    }
}

//! The input layer forward, in tiles of W that stay in the first-level cache.
//!
//! A tile is a panel of columns × a band of rows (pixels). Every sample of the batch goes
//! through it before the next one: what is left of its sum waits in z. So a row of W comes
//! from the second-level cache once for all samples that light it. The chain of a sample
//! goes on where it stopped, in ascending pixels: the cut changes no bit.

use super::{SparseBytes, widest_panel};
use crate::activation::{self, Activation};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};

/// `y ← f(x·W + b)` for the rows `batch` of `inputs`, a byte v standing for `scale[v]`.
///
/// Shapes: `w` \[inputs.cols(), n\], `bias` \[n\], `z` (the pre-activations, where the
/// caller keeps them) and `y` \[batch.len(), n\]; contiguous columns, n a multiple of 16.
/// `scale[0]` must be 0.
///
/// # Panics
/// If the shapes do not fit together, or a row does not exist.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    isa: Isa,
    inputs: &SparseBytes,
    batch: &[u32],
    scale: &[f32; 256],
    w: MatRef<'_>,
    bias: &[f32],
    activation: Activation,
    z: Option<MatMut<'_>>,
    y: MatMut<'_>,
) {
    assert!(scale[0] == 0.0);
    assert!(batch.len() == y.rows() && inputs.cols() == w.rows());
    assert!(w.cols() == y.cols() && bias.len() == y.cols());
    assert!(
        y.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(w.col_stride() == 1 && y.col_stride() == 1);
    if let Some(z) = &z {
        assert!(z.rows() == y.rows() && z.cols() == y.cols() && z.col_stride() == 1);
    }
    isa.dispatch(Forward {
        inputs,
        batch,
        scale,
        w,
        bias,
        activation,
        z,
        y,
    });
}

struct Forward<'a> {
    inputs: &'a SparseBytes,
    batch: &'a [u32],
    scale: &'a [f32; 256],
    w: MatRef<'a>,
    bias: &'a [f32],
    activation: Activation,
    z: Option<MatMut<'a>>,
    y: MatMut<'a>,
}

/// Registers in a tile: 48 KiB. More than the first-level cache may have, for of the rows in
/// a band about half are lit by any sample of a batch. (Measured with MNIST: best from 640 to
/// 900 where it has 32 KiB; where it has 48, there is little between 1024 and 1280.)
const TILE: usize = 768;

/// The fewest samples that are worth bands: below, too few share a row of W.
const SHARED: usize = 4;

/// Samples that go through a tile together; their positions are on the stack.
const GROUP: usize = 128;

/// The number of rows of W in a tile of `registers` columns of registers.
fn band_rows(samples: usize, registers: usize) -> usize {
    if samples < SHARED {
        // Columns are u16: all rows.
        1 << 16
    } else {
        TILE / registers
    }
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (y, ys) = (self.y.as_mut_ptr(), self.y.row_stride());
        let (z, zs) = match &mut self.z {
            Some(z) => (z.as_mut_ptr(), z.row_stride()),
            None => (y, ys),
        };
        for (g, group) in self.batch.chunks(GROUP).enumerate() {
            for (first, registers) in even_parts(self.y.cols() / LANES, widest_panel(S::REGISTERS))
            {
                let column = first * LANES;
                let mut positions = [0; GROUP];
                for (position, &row) in positions.iter_mut().zip(group) {
                    *position = self.inputs.offsets[row as usize];
                }
                let rest = Rest {
                    inputs: self.inputs,
                    group,
                    positions: &mut positions,
                };
                let rows = band_rows(group.len(), registers);
                // SAFETY: `column` + 16·registers ≤ n, the columns of w, bias, z and y;
                // the group's samples are rows g·GROUP + i of z and y; columns <
                // inputs.cols() = rows of w (invariant of SparseBytes, asserted in
                // `forward`).
                unsafe {
                    let z = z.add(g * GROUP * zs + column);
                    let y = y.add(g * GROUP * ys + column);
                    let w = self.w.as_ptr().add(column);
                    let bias = self.bias.as_ptr().add(column);
                    let ws = self.w.row_stride();
                    with_panel!(
                        registers,
                        S,
                        forward_panel(s, rest, rows, self.scale, w, ws, bias, z, zs)
                    );
                    activation::apply_lines(
                        s,
                        self.activation,
                        z,
                        zs,
                        y,
                        ys,
                        group.len(),
                        registers * LANES,
                    );
                }
            }
        }
    }
}

/// What is still to be added up: of each sample of `group` the stored bytes from
/// `positions` on.
struct Rest<'a> {
    inputs: &'a SparseBytes,
    group: &'a [u32],
    positions: &'a mut [usize; GROUP],
}

/// A group of samples × P registers: `z = Σ x·W[column] + b` in ascending columns, in
/// bands of `band` rows of W.
///
/// # Safety
/// - `w` is valid for reads of 16·P floats at `column·w_stride` for each column of the
///   inputs, `bias` for reads and `z` at `i·z_stride` for reads and writes of 16·P
///   floats, for each sample i of the group.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn forward_panel<S: Simd, const P: usize>(
    s: S,
    rest: Rest<'_>,
    band: usize,
    scale: &[f32; 256],
    w: *const f32,
    w_stride: usize,
    bias: *const f32,
    z: *mut f32,
    z_stride: usize,
) {
    let inputs = rest.inputs;
    let mut start = 0;
    while start < inputs.cols {
        let end = start + band;
        for (i, (position, &row)) in rest.positions.iter_mut().zip(rest.group).enumerate() {
            let stored = *position..inputs.offsets[row as usize + 1];
            let (columns, values) = (&inputs.columns[stored.clone()], &inputs.values[stored]);
            let lit = columns.first().is_some_and(|&c| usize::from(c) < end);
            if start > 0 && !lit {
                continue;
            }
            // SAFETY: row i of z (contract).
            let z = unsafe { z.add(i * z_stride) };
            let from = if start == 0 { bias } else { z.cast_const() };
            let mut acc = [s.zero(); P];
            for (j, acc) in acc.iter_mut().enumerate() {
                // SAFETY: register j < P of the bias, or of a row of z.
                *acc = unsafe { s.load(from.add(j * LANES)) };
            }
            let mut added = 0;
            for (&column, &value) in columns.iter().zip(values) {
                if usize::from(column) >= end {
                    break;
                }
                added += 1;
                let x = s.splat(scale[usize::from(value)]);
                for (j, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: register j < P of a row of w (contract).
                    let w = unsafe { s.load(w.add(usize::from(column) * w_stride + j * LANES)) };
                    *acc = s.fma(x, w, *acc);
                }
            }
            *position += added;
            for (j, &acc) in acc.iter().enumerate() {
                // SAFETY: register j < P of a row of z.
                unsafe { s.store(z.add(j * LANES), acc) };
            }
        }
        start = end;
    }
}

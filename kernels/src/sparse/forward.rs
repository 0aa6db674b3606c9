//! The input layer forward, in tiles of W that stay in the first-level cache.
//!
//! A tile is a panel of columns × a band of rows (pixels). A group of samples goes through it
//! before the next one: what is left of a sample's sum waits in z. So a row of W comes from
//! the second-level cache once for all samples that light it. The chain of a sample goes on
//! where it stopped, in ascending pixels: the cut changes no bit.

use super::batch_rows::Visit;
use super::{BatchRows, parts, widest_panel};
use crate::activation::{self, Activation};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};
use std::ops::Range;

/// `y ← f(x·W + b)` for the rows of `inputs`, a byte v standing for `scale[v]`.
///
/// Shapes: `w` \[inputs.cols(), n\], `bias` \[n\], `z` (the pre-activations, where the
/// caller keeps them) and `y` \[inputs.batch(), n\]; contiguous columns, n a multiple of 16.
/// `scale[0]` must be 0.
///
/// # Panics
/// If the shapes do not fit together.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    isa: Isa,
    inputs: &BatchRows,
    scale: &[f32; 256],
    w: MatRef<'_>,
    bias: &[f32],
    activation: Activation,
    z: Option<MatMut<'_>>,
    y: MatMut<'_>,
) {
    check(inputs.batch(), scale, &w, bias, &y);
    if let Some(z) = &z {
        assert!(z.rows() == y.rows() && z.cols() == y.cols() && z.col_stride() == 1);
    }
    // Without a batch `inputs` may hold anything.
    if y.rows() == 0 {
        return;
    }
    assert!(inputs.cols() == w.rows());
    isa.dispatch(Forward {
        inputs,
        scale,
        w,
        bias,
        activation,
        z,
        y,
    });
}

/// What every forward pass of `batch` sparse samples asks for.
///
/// # Panics
/// If the shapes do not fit together.
pub(super) fn check(
    batch: usize,
    scale: &[f32; 256],
    w: &MatRef<'_>,
    bias: &[f32],
    y: &MatMut<'_>,
) {
    assert!(scale[0] == 0.0);
    assert!(batch == y.rows());
    assert!(w.cols() == y.cols() && bias.len() == y.cols());
    assert!(
        y.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(w.col_stride() == 1 && y.col_stride() == 1);
}

struct Forward<'a> {
    inputs: &'a BatchRows,
    scale: &'a [f32; 256],
    w: MatRef<'a>,
    bias: &'a [f32],
    activation: Activation,
    z: Option<MatMut<'a>>,
    y: MatMut<'a>,
}

/// Registers of W in a tile: 48 KiB, or 72 where the first-level cache has 48 instead of 32, as
/// that of every core with units so wide but the first. More than it has, for of the rows in a
/// band about half are lit by any sample of a batch.
#[inline(always)]
pub(super) fn tile<S: Simd>(s: S) -> usize {
    if s.full_width() { 1152 } else { 768 }
}

/// Entries between those that are read and those that are asked for: where a batch is not in
/// the cache, a stream of so few bytes from visit to visit is not fetched ahead by itself.
const AHEAD: usize = 256;

/// The narrowest panel that keeps the multiply-adds busy: as many as wait for one another.
pub(super) const NARROWEST: usize = 4;

/// The most registers in a panel for bands of `rows` rows of W, in tiles of `tile` registers.
fn panel(tile: usize, rows: usize, widest: usize, all: usize) -> usize {
    match rows < all {
        true => (tile / rows.max(1)).clamp(NARROWEST, widest),
        // One band: no tile stays.
        false => widest,
    }
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (batch, n) = (self.y.rows(), self.y.cols());
        let (y, ys) = (self.y.as_mut_ptr(), self.y.row_stride());
        let (z, zs) = match &mut self.z {
            Some(z) => (z.as_mut_ptr(), z.row_stride()),
            None => (y, ys),
        };
        let widest = panel(
            tile(s),
            self.inputs.band(),
            widest_panel(S::REGISTERS),
            self.inputs.cols(),
        );
        let f = self.activation;
        let mut activated = 0;
        for (first_band, visits, entries) in self.inputs.blocks() {
            if let (true, Some(visit)) = (first_band, visits.first()) {
                // A group begins: the one before it is done.
                let done = visit.sample as usize;
                // SAFETY: rows of z and y, which are the same or disjoint; whole registers.
                unsafe { activate(s, f, [z, y], [zs, ys], activated..done, n) };
                activated = done;
            }
            for (first, registers) in even_parts(n / LANES, widest) {
                let place = Panel::new(self.w, self.bias, z, zs, first);
                // SAFETY: 16·(first + registers) ≤ n, the columns of w, bias and z; samples
                // < inputs.batch() = rows of z, columns < inputs.cols() = rows of w (BatchRows,
                // asserted in `forward`).
                unsafe {
                    with_panel!(
                        registers,
                        S,
                        forward_panel(s, place, visits, entries, first_band, self.scale)
                    );
                }
            }
        }
        // SAFETY: as above.
        unsafe { activate(s, f, [z, y], [zs, ys], activated..batch, n) };
    }
}

/// `y ← f(z)` for some `rows`.
///
/// # Safety
/// - As [`activation::apply_lines`], from the first of the rows on.
#[inline(always)]
pub(super) unsafe fn activate<S: Simd>(
    s: S,
    f: Activation,
    [z, y]: [*mut f32; 2],
    [z_stride, y_stride]: [usize; 2],
    rows: Range<usize>,
    cols: usize,
) {
    // SAFETY: passed on.
    unsafe {
        let (z, y) = (z.add(rows.start * z_stride), y.add(rows.start * y_stride));
        activation::apply_lines(s, f, z, z_stride, y, y_stride, rows.len(), cols);
    }
}

/// A panel of columns of W, of the bias and of z.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub w: *const f32,
    pub w_stride: usize,
    bias: *const f32,
    z: *mut f32,
    z_stride: usize,
}

impl Panel {
    /// From register `first` of each row on.
    #[inline(always)]
    pub(super) fn new(
        w: MatRef<'_>,
        bias: &[f32],
        z: *mut f32,
        z_stride: usize,
        first: usize,
    ) -> Self {
        let column = first * LANES;
        Self {
            w: w.as_ptr().wrapping_add(column),
            w_stride: w.row_stride(),
            bias: bias.as_ptr().wrapping_add(column),
            z: z.wrapping_add(column),
            z_stride,
        }
    }

    /// The sums of a sample, which begin with the bias in the first band.
    ///
    /// # Safety
    /// - `bias` is valid for reads, and `z` at `sample·z_stride`, of 16·P floats.
    #[inline(always)]
    pub(super) unsafe fn sums<S: Simd, const P: usize>(
        self,
        s: S,
        sample: u32,
        first_band: bool,
    ) -> [S::F; P] {
        let from = match first_band {
            true => self.bias,
            false => self.row(sample).cast_const(),
        };
        let mut sums = [s.zero(); P];
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: register j < P of the bias, or of a row of z.
            *sum = unsafe { s.load(from.add(j * LANES)) };
        }
        sums
    }

    /// Leaves the sums of a sample in z.
    ///
    /// # Safety
    /// - `z` at `sample·z_stride` is valid for writes of 16·P floats.
    #[inline(always)]
    pub(super) unsafe fn leave<S: Simd, const P: usize>(self, s: S, sample: u32, sums: &[S::F; P]) {
        let z = self.row(sample);
        for (j, &sum) in sums.iter().enumerate() {
            // SAFETY: register j < P of a row of z.
            unsafe { s.store(z.add(j * LANES), sum) };
        }
    }

    #[inline(always)]
    fn row(self, sample: u32) -> *mut f32 {
        self.z.wrapping_add(sample as usize * self.z_stride)
    }
}

/// The entries of a visit, and those of the visits after it; asks for some of the latter.
///
/// # Panics
/// If there are fewer than `visit`.
#[inline(always)]
pub(super) fn next<S: Simd>(s: S, entries: &[u32], visit: u32) -> (&[u32], &[u32]) {
    let (own, after) = entries.split_at(visit as usize);
    for line in [AHEAD, AHEAD + 16] {
        s.prefetch(own.as_ptr().wrapping_add(line));
    }
    (own, after)
}

/// Each of the `visits` adds its part of `entries` to its sample's sums, which begin with the
/// bias in the first band: `z = Σ x·W[column] + b` in ascending columns.
///
/// # Safety
/// - `w` is valid for reads of 16·P floats at `column·w_stride` for each entry's column, `bias`
///   for reads and `z` at `sample·z_stride` for reads and writes of 16·P floats, for each
///   visit's sample.
#[inline(always)]
unsafe fn forward_panel<S: Simd, const P: usize>(
    s: S,
    place: Panel,
    visits: &[Visit],
    mut entries: &[u32],
    first_band: bool,
    scale: &[f32; 256],
) {
    for visit in visits {
        let own;
        (own, entries) = next(s, entries, visit.entries);
        // SAFETY: the bias, or the row of a visit's sample (contract).
        let mut acc: [_; P] = unsafe { place.sums(s, visit.sample, first_band) };
        for &entry in own {
            let (column, byte) = parts(entry);
            let x = s.splat(scale[usize::from(byte)]);
            for (j, acc) in acc.iter_mut().enumerate() {
                // SAFETY: register j < P of a row of w (contract).
                let w = unsafe { s.load(place.w.add(column * place.w_stride + j * LANES)) };
                *acc = s.fma(x, w, *acc);
            }
        }
        // SAFETY: the row of a visit's sample (contract).
        unsafe { place.leave(s, visit.sample, &acc) };
    }
}

//! The input layer on sparse bytes: forward and weight update that skip zero pixels.
//!
//! A zero input contributes nothing: `fma(0, w, acc)` is `acc` for every finite w (but
//! for the sign of a zero, which nothing downstream depends on and which is not part
//! of a network's identity). So the results are those of the dense path.

use crate::activation::{self, Activation};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};
use std::collections::TryReserveError;

/// Rows of bytes (images) of which only the non-zero ones are stored.
///
/// Invariants: `offsets` ascends from 0 to `columns.len()` = `values.len()`; within a
/// row `columns` ascend and are < `cols`.
#[derive(Clone, Debug, Default)]
pub struct SparseBytes {
    cols: usize,
    offsets: Vec<usize>,
    columns: Vec<u16>,
    values: Vec<u8>,
}

impl SparseBytes {
    /// The non-zero bytes of a row-major matrix with `cols` columns.
    ///
    /// `None` if `cols` is 0 or above 65,536, or `dense` is not a whole number of rows.
    pub fn from_dense(dense: &[u8], cols: usize) -> Option<Self> {
        if cols == 0 || cols > 1 << 16 || !dense.len().is_multiple_of(cols) {
            return None;
        }
        let stored = dense.iter().filter(|&&v| v != 0).count();
        let mut rows = Self {
            cols,
            offsets: Vec::with_capacity(dense.len() / cols + 1),
            columns: Vec::with_capacity(stored),
            values: Vec::with_capacity(stored),
        };
        rows.offsets.push(0);
        for row in dense.chunks_exact(cols) {
            for (column, &value) in (0..=u16::MAX).zip(row) {
                if value != 0 {
                    rows.columns.push(column);
                    rows.values.push(value);
                }
            }
            rows.offsets.push(rows.columns.len());
        }
        Some(rows)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of columns, zeros included.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The columns (ascending) and values of the non-zero bytes of row `r`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, r: usize) -> (&[u16], &[u8]) {
        let range = self.offsets[r]..self.offsets[r + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The share of bytes that are not zero, 0 to 1.
    pub fn density(&self) -> f64 {
        let all = self.rows() as f64 * self.cols as f64;
        self.values.len() as f64 / all.max(1.0)
    }
}

/// Asks for the rows `batch` of `inputs`, so that they are in the cache when the next
/// step needs them: at random places of a large array, they are in none.
pub fn prefetch(isa: Isa, inputs: &SparseBytes, batch: &[u32]) {
    isa.dispatch(Prefetch { inputs, batch });
}

struct Prefetch<'a> {
    inputs: &'a SparseBytes,
    batch: &'a [u32],
}

impl Kernel for Prefetch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        const LINE: usize = 64;
        for &row in self.batch {
            let row = row as usize;
            let Some(&[start, end]) = self.inputs.offsets.get(row..row + 2) else {
                continue;
            };
            let columns = &self.inputs.columns[start..end];
            for line in columns.chunks(LINE / size_of::<u16>()) {
                s.prefetch(line.as_ptr());
            }
            for line in self.inputs.values[start..end].chunks(LINE) {
                s.prefetch(line.as_ptr());
            }
        }
    }
}

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

/// The widest panel of registers that stays in the register file with room to work.
const fn widest_panel(registers: usize) -> usize {
    if registers >= 32 { 28 } else { 6 }
}

/// Calls a function with the number of registers of a panel as its const parameter.
macro_rules! with_panel {
    ($registers:expr, $S:ident, $function:ident $args:tt) => {
        if $S::REGISTERS >= 32 {
            with_panel!(@match $registers, $S, $function, $args, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28)
        } else {
            with_panel!(@match $registers, $S, $function, $args, 1 2 3 4 5 6)
        }
    };
    (@match $registers:expr, $S:ident, $function:ident, $args:tt, $($p:literal)*) => {
        match $registers {
            $($p => $function::<$S, $p> $args,)*
            other => unreachable!("panel of {other} registers"),
        }
    };
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
        // Panel by panel, so that the part of W at work stays in the cache.
        for (first, registers) in even_parts(self.y.cols() / LANES, widest_panel(S::REGISTERS)) {
            let column = first * LANES;
            for (i, &row) in self.batch.iter().enumerate() {
                let (columns, values) = self.inputs.row(row as usize);
                // SAFETY: `column` + 16·registers ≤ n, the columns of w, bias, z and y;
                // i < batch rows of z; columns < inputs.cols() = rows of w (invariant
                // of SparseBytes, asserted in `forward`).
                unsafe {
                    let z = z.add(i * zs + column);
                    let w = self.w.as_ptr().add(column);
                    let bias = self.bias.as_ptr().add(column);
                    let ws = self.w.row_stride();
                    with_panel!(
                        registers,
                        S,
                        forward_panel(s, columns, values, self.scale, w, ws, bias, z)
                    );
                    activation::apply_lines(
                        s,
                        self.activation,
                        z,
                        zs,
                        y.add(i * ys + column),
                        ys,
                        1,
                        registers * LANES,
                    );
                }
            }
        }
    }
}

/// One sample × P registers: `z = Σ x·W[column] + b` in ascending columns.
///
/// # Safety
/// - `w` is valid for reads of 16·P floats at `column·w_stride` for each of `columns`,
///   `bias` for reads and `z` for writes of 16·P floats.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn forward_panel<S: Simd, const P: usize>(
    s: S,
    columns: &[u16],
    values: &[u8],
    scale: &[f32; 256],
    w: *const f32,
    w_stride: usize,
    bias: *const f32,
    z: *mut f32,
) {
    let mut acc = [s.zero(); P];
    for (j, acc) in acc.iter_mut().enumerate() {
        // SAFETY: register j < P of the bias.
        *acc = unsafe { s.load(bias.add(j * LANES)) };
    }
    for (&column, &value) in columns.iter().zip(values) {
        let x = s.splat(scale[usize::from(value)]);
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: register j < P of a row of w (contract).
            let w = unsafe { s.load(w.add(usize::from(column) * w_stride + j * LANES)) };
            *acc = s.fma(x, w, *acc);
        }
    }
    for (j, &acc) in acc.iter().enumerate() {
        // SAFETY: register j < P of z.
        unsafe { s.store(z.add(j * LANES), acc) };
    }
}

/// The non-zero bytes of a batch by column: which samples light a pixel, and how much.
///
/// The transpose of a few rows of [`SparseBytes`], kept between batches so that no
/// memory is allocated once it has grown to the largest batch seen.
#[derive(Clone, Debug, Default)]
pub struct BatchColumns {
    /// `starts[c]..starts[c + 1]` are the entries of column c.
    starts: Vec<u32>,
    /// Sample (position in the batch) and input; samples ascend within a column.
    entries: Vec<(u32, f32)>,
    /// Samples in the batch; every entry's sample is smaller.
    batch: usize,
}

impl BatchColumns {
    /// Room for batches of `batch` rows of `inputs`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn with_capacity(inputs: &SparseBytes, batch: usize) -> Result<Self, TryReserveError> {
        let fullest = inputs.offsets.windows(2).map(|w| w[1] - w[0]).max();
        let mut columns = Self::default();
        columns.starts.try_reserve_exact(inputs.cols() + 2)?;
        let entries = batch.saturating_mul(fullest.unwrap_or(0));
        columns.entries.try_reserve_exact(entries)?;
        Ok(columns)
    }

    /// Takes the rows `batch` of `inputs`, a byte v standing for `scale[v]`.
    ///
    /// # Panics
    /// If a row does not exist.
    pub fn gather(&mut self, inputs: &SparseBytes, batch: &[u32], scale: &[f32; 256]) {
        // Counting sort. Counts are kept two places up, so that after the running sum
        // `starts[c + 1]` is where column c begins, and after filling where it ends.
        self.batch = batch.len();
        self.starts.clear();
        self.starts.resize(inputs.cols() + 2, 0);
        let mut total = 0;
        for &row in batch {
            let (columns, _) = inputs.row(row as usize);
            total += columns.len();
            for &column in columns {
                self.starts[usize::from(column) + 2] += 1;
            }
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        self.entries.clear();
        self.entries.resize(total, (0, 0.0));
        for (sample, &row) in (0u32..).zip(batch) {
            let (columns, values) = inputs.row(row as usize);
            for (&column, &value) in columns.iter().zip(values) {
                let at = &mut self.starts[usize::from(column) + 1];
                self.entries[*at as usize] = (sample, scale[usize::from(value)]);
                *at += 1;
            }
        }
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.starts.len().saturating_sub(2)
    }

    /// The entries of column `c`.
    #[inline(always)]
    fn column(&self, c: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[c] as usize..self.starts[c + 1] as usize]
    }
}

/// Adds `Σ_b x[b, c]·scaled[b, :]` to row c of `target` for every column c that is lit.
///
/// With `scaled` = −(lr/batch)·δ and `target` = W this is the step of plain SGD.
/// Shapes: `scaled` \[batch, n\], `target` \[cols, n\]; n a multiple of 16. Each element
/// is one chain of FMAs in ascending b that starts from `target`.
///
/// # Panics
/// If the shapes do not fit together.
pub fn accumulate(isa: Isa, inputs: &BatchColumns, scaled: MatRef<'_>, target: MatMut<'_>) {
    assert!(scaled.rows() == inputs.batch && scaled.cols() == target.cols());
    assert!(target.rows() == inputs.cols());
    assert!(
        target.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(scaled.col_stride() == 1 && target.col_stride() == 1);
    isa.dispatch(Accumulate {
        inputs,
        scaled,
        target,
    });
}

struct Accumulate<'a> {
    inputs: &'a BatchColumns,
    scaled: MatRef<'a>,
    target: MatMut<'a>,
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for (first, registers) in even_parts(self.target.cols() / LANES, widest_panel(S::REGISTERS))
        {
            for c in 0..self.inputs.cols() {
                let entries = self.inputs.column(c);
                if entries.is_empty() {
                    continue;
                }
                // SAFETY: first·16 + 16·registers ≤ n, the columns of both; c < rows of
                // target; every entry's sample is < inputs.batch = rows of scaled.
                unsafe {
                    let row = self.target.row_stride() * c + first * LANES;
                    let target = self.target.as_mut_ptr().add(row);
                    let scaled = self.scaled.as_ptr().add(first * LANES);
                    let stride = self.scaled.row_stride();
                    with_panel!(
                        registers,
                        S,
                        accumulate_panel(s, entries, scaled, stride, target)
                    );
                }
            }
        }
    }
}

/// # Safety
/// - `scaled` is valid for reads of 16·P floats at `sample·stride` for each entry,
///   `target` for reads and writes of 16·P floats.
#[inline(always)]
unsafe fn accumulate_panel<S: Simd, const P: usize>(
    s: S,
    entries: &[(u32, f32)],
    scaled: *const f32,
    stride: usize,
    target: *mut f32,
) {
    let mut acc = [s.zero(); P];
    for (j, acc) in acc.iter_mut().enumerate() {
        // SAFETY: register j < P of the target row.
        *acc = unsafe { s.load(target.add(j * LANES)) };
    }
    for &(sample, x) in entries {
        let x = s.splat(x);
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: register j < P of row `sample` of scaled (contract).
            let d = unsafe { s.load(scaled.add(sample as usize * stride + j * LANES)) };
            *acc = s.fma(x, d, *acc);
        }
    }
    for (j, &acc) in acc.iter().enumerate() {
        // SAFETY: register j < P of the target row.
        unsafe { s.store(target.add(j * LANES), acc) };
    }
}

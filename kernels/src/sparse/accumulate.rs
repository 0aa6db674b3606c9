//! The update of the input layer: only rows of W that the batch lights.

use super::{SparseBytes, widest_panel};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};
use std::collections::TryReserveError;

/// The non-zero bytes of a batch by column: which samples light a pixel, and how much.
///
/// The transpose of a few rows of [`SparseBytes`], kept between batches so that no
/// memory is allocated once it has grown to the largest batch seen.
#[derive(Clone, Debug, Default)]
pub struct BatchColumns {
    /// `starts[c]..ends[c]` are the entries of column c.
    starts: Vec<u32>,
    /// Empty while a batch is gathered, so that a panic in between leaves no entries.
    ends: Vec<u32>,
    /// Sample (position in the batch) and input; samples ascend within a column.
    entries: Vec<(u32, f32)>,
    /// Samples in the batch; the sample of every entry of a column is smaller.
    batch: usize,
    /// Entries from the start of a column to the next one's, if that is the same for all.
    room: Option<usize>,
}

/// Entries up to which every column has room for the whole batch, so that nothing needs to
/// be counted: more would not stay in the first-level caches.
const ROOMY: usize = 1 << 14;

impl BatchColumns {
    /// Room for batches of `batch` rows of `inputs`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn with_capacity(inputs: &SparseBytes, batch: usize) -> Result<Self, TryReserveError> {
        let mut columns = Self::default();
        columns.starts.try_reserve_exact(inputs.cols())?;
        columns.ends.try_reserve_exact(inputs.cols())?;
        let entries = match roomy(inputs.cols(), batch) {
            true => batch * inputs.cols(),
            false => batch.saturating_mul(inputs.fullest()),
        };
        columns.entries.try_reserve_exact(entries)?;
        Ok(columns)
    }

    /// Takes the rows `batch` of `inputs`, a byte v standing for `scale[v]`.
    ///
    /// # Panics
    /// If a row does not exist; then no batch is held until the next call.
    pub fn gather(&mut self, inputs: &SparseBytes, batch: &[u32], scale: &[f32; 256]) {
        self.ends.clear();
        let cols = inputs.cols();
        let room = match roomy(cols, batch.len()) {
            true => self.leave_room(cols, batch.len()),
            false => self.count(inputs, batch),
        };
        self.entries.resize(room, (0, 0.0));
        let mut ends = std::mem::take(&mut self.ends);
        ends.extend_from_slice(&self.starts);
        for (sample, &row) in (0u32..).zip(batch) {
            for (column, value) in inputs.row(row as usize) {
                let end = &mut ends[column];
                self.entries[*end as usize] = (sample, scale[usize::from(value)]);
                *end += 1;
            }
        }
        self.ends = ends;
        self.batch = batch.len();
    }

    /// Starts so far apart that any batch fits; how many entries there may be.
    fn leave_room(&mut self, cols: usize, batch: usize) -> usize {
        if self.starts.len() != cols || self.room != Some(batch) {
            self.room = Some(batch);
            self.starts.clear();
            self.starts.extend((0..cols).map(|c| (c * batch) as u32));
        }
        cols * batch
    }

    /// Starts without gaps; how many entries there are.
    fn count(&mut self, inputs: &SparseBytes, batch: &[u32]) -> usize {
        self.room = None;
        self.starts.clear();
        self.starts.resize(inputs.cols(), 0);
        for &row in batch {
            for (column, _) in inputs.row(row as usize) {
                self.starts[column] += 1;
            }
        }
        let mut sum = 0;
        for start in &mut self.starts {
            let count = *start;
            *start = sum;
            sum += count;
        }
        sum as usize
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.starts.len()
    }

    /// The entries of column `c`.
    #[inline(always)]
    fn column(&self, c: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[c] as usize..self.ends[c] as usize]
    }
}

/// Whether every one of `cols` columns has room for a batch.
fn roomy(cols: usize, batch: usize) -> bool {
    cols.checked_mul(batch).is_some_and(|n| n <= ROOMY)
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
        let registers = self.target.cols() / LANES;
        let panels = even_parts(registers, widest_panel(S::REGISTERS));
        if registers <= widest_panel(S::REGISTERS) && registers > 0 {
            // SAFETY: one panel is all columns of both matrices.
            unsafe { with_panel!(registers, S, accumulate_rows(s, &mut self)) };
            return;
        }
        for c in 0..self.inputs.cols() {
            // All panels of a row, one after the other: how many entries it has is hard to
            // predict, but not the second time.
            for (first, registers) in panels.clone() {
                // SAFETY: first·16 + 16·registers ≤ n, the columns of both; c < rows of
                // target.
                unsafe { with_panel!(registers, S, accumulate_row(s, &mut self, c, first)) };
            }
        }
    }
}

/// All rows, where P registers are all their columns.
///
/// # Safety
/// - Both matrices have 16·P columns.
#[inline(always)]
unsafe fn accumulate_rows<S: Simd, const P: usize>(s: S, of: &mut Accumulate<'_>) {
    for c in 0..of.inputs.cols() {
        // SAFETY: c < rows of target; 16·P columns (contract).
        unsafe { accumulate_row::<S, P>(s, of, c, 0) };
    }
}

/// Row `c`, P registers of it from register `first` on.
///
/// # Safety
/// - `c` < rows of the target; both matrices have 16·(`first` + P) columns.
#[inline(always)]
unsafe fn accumulate_row<S: Simd, const P: usize>(
    s: S,
    of: &mut Accumulate<'_>,
    c: usize,
    first: usize,
) {
    let entries = of.inputs.column(c);
    // What waits for the first entry of a list waits at every row.
    if let Some(&ahead) = of.inputs.starts.get(c + 4) {
        s.prefetch(of.inputs.entries.as_ptr().wrapping_add(ahead as usize));
    }
    if entries.is_empty() {
        return;
    }
    let stride = of.scaled.row_stride();
    // SAFETY: the columns are there (contract); every entry's sample is < inputs.batch, the
    // rows of scaled.
    unsafe {
        let row = of.target.row_stride() * c + first * LANES;
        let target = of.target.as_mut_ptr().add(row);
        let scaled = of.scaled.as_ptr().add(first * LANES);
        accumulate_panel::<S, P>(s, entries, scaled, stride, target);
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

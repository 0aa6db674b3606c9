//! The pixels of a batch, in the order in which an update goes through W.

use super::SparseBytes;
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

    /// Samples in the batch; the sample of every entry is smaller.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// The address of the first entry of column `c`, to ask for it; `None` behind the last one.
    #[inline(always)]
    pub(super) fn first_entry(&self, c: usize) -> Option<*const (u32, f32)> {
        let start = *self.starts.get(c)?;
        Some(self.entries.as_ptr().wrapping_add(start as usize))
    }

    /// The entries of column `c`.
    #[inline(always)]
    pub(super) fn column(&self, c: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[c] as usize..self.ends[c] as usize]
    }
}

/// Whether every one of `cols` columns has room for a batch.
fn roomy(cols: usize, batch: usize) -> bool {
    cols.checked_mul(batch).is_some_and(|n| n <= ROOMY)
}

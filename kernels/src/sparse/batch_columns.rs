//! The pixels of a batch, in the order in which an update goes through W.

use super::SparseBytes;
use std::collections::TryReserveError;

/// The most samples of which an update takes what they light, before it goes on to the next
/// ones: a few registers of so many rows of δ stay in the first-level cache.
const GROUP: usize = 128;

/// Entries up to which every column has room for the whole batch, so that nothing needs to
/// be counted: more would not stay in the first-level caches.
const ROOMY: usize = 1 << 14;

/// The non-zero bytes of a batch by column: which samples light a pixel, and how much. In groups
/// of samples, if there are many.
///
/// The transpose of a few rows of [`SparseBytes`], kept between batches so that no
/// memory is allocated once it has grown to the largest batch seen.
#[derive(Clone, Debug, Default)]
pub struct BatchColumns {
    cols: usize,
    /// `starts[g·cols + c]..ends[g·cols + c]` are the entries of column c in group g.
    starts: Vec<u32>,
    /// Empty while a batch is gathered, so that a panic in between leaves no entries.
    ends: Vec<u32>,
    /// Sample (position in the batch) and input; samples ascend within a column.
    entries: Vec<(u32, f32)>,
    /// Samples in the batch; the sample of every entry of a column is smaller.
    batch: usize,
    /// Samples in a group, but for the last; at least 1.
    group: usize,
    /// Entries from the start of a column to the next one's, if that is the same for all.
    room: Option<usize>,
}

impl BatchColumns {
    /// Room for batches of `batch` rows of `inputs`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn with_capacity(inputs: &SparseBytes, batch: usize) -> Result<Self, TryReserveError> {
        let mut columns = Self::default();
        let groups = batch.div_ceil(group(batch));
        let bounds = inputs.cols().saturating_mul(groups);
        columns.starts.try_reserve_exact(bounds)?;
        columns.ends.try_reserve_exact(bounds)?;
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
        (self.cols, self.group) = (inputs.cols(), group(batch.len()));
        let room = match roomy(self.cols, batch.len()) {
            true => self.leave_room(batch.len()),
            false => self.count(inputs, batch),
        };
        self.entries.resize(room, (0, 0.0));
        let mut ends = std::mem::take(&mut self.ends);
        ends.extend_from_slice(&self.starts);
        let groups = ends.chunks_exact_mut(self.cols.max(1));
        let mut samples = 0u32..;
        for (group, ends) in batch.chunks(self.group).zip(groups) {
            for (&row, sample) in group.iter().zip(&mut samples) {
                for (column, value) in inputs.row(row as usize) {
                    let end = &mut ends[column];
                    self.entries[*end as usize] = (sample, scale[usize::from(value)]);
                    *end += 1;
                }
            }
        }
        self.ends = ends;
        self.batch = batch.len();
    }

    /// Starts so far apart that any batch fits; how many entries there may be.
    fn leave_room(&mut self, batch: usize) -> usize {
        let cols = self.cols;
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
        let bounds = self.cols * batch.len().div_ceil(self.group);
        self.starts.resize(bounds, 0);
        let groups = self.starts.chunks_exact_mut(self.cols.max(1));
        for (group, starts) in batch.chunks(self.group).zip(groups) {
            for &row in group {
                for (column, _) in inputs.row(row as usize) {
                    starts[column] += 1;
                }
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
        self.cols
    }

    /// Samples in the batch; the sample of every entry is smaller.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// Groups of samples, and how many a group has at most.
    pub(super) fn groups(&self) -> (usize, usize) {
        (self.batch.div_ceil(self.group.max(1)), self.group)
    }

    /// The address of the first entry of column `c` in group `g`, to ask for it; `None` behind
    /// the last one.
    #[inline(always)]
    pub(super) fn first_entry(&self, g: usize, c: usize) -> Option<*const (u32, f32)> {
        let start = *self.starts.get(g * self.cols + c)?;
        Some(self.entries.as_ptr().wrapping_add(start as usize))
    }

    /// The entries of column `c` in group `g`.
    #[inline(always)]
    pub(super) fn column(&self, g: usize, c: usize) -> &[(u32, f32)] {
        let at = g * self.cols + c;
        &self.entries[self.starts[at] as usize..self.ends[at] as usize]
    }
}

/// Samples in a group of a batch of so many: groups are as even as can be.
fn group(batch: usize) -> usize {
    batch.div_ceil(batch.div_ceil(GROUP).max(1)).max(1)
}

/// Whether every one of `cols` columns has room for a batch, which is one group then.
fn roomy(cols: usize, batch: usize) -> bool {
    batch <= GROUP && cols.checked_mul(batch).is_some_and(|n| n <= ROOMY)
}

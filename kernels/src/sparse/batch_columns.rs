//! The pixels of a batch, in the order in which an update goes through W.

use super::SparseBytes;
use std::collections::TryReserveError;

/// The most samples of which an update takes what they light, before it goes on to the next
/// ones: a few registers of so many rows of δ stay in the first-level cache, and a word has a bit
/// for each.
const GROUP: usize = u64::BITS as usize;

/// Columns (rows of W) that take the rows of δ together.
pub(super) const ROWS: usize = 2;

/// The bytes of a batch by column: which samples light a pixel, and how much. In groups of samples,
/// if there are many; two columns at a time, for pixels side by side are lit by much the same
/// samples.
///
/// The transpose of a few rows of [`SparseBytes`], kept between batches so that no
/// memory is allocated once it has grown to the largest batch seen.
#[derive(Clone, Debug)]
pub struct BatchColumns {
    cols: usize,
    /// Samples in the batch; 0 while one is gathered, so that a panic in between leaves none.
    batch: usize,
    /// Samples in a group, but for the last; 1 to [`GROUP`].
    group: usize,
    /// `lit[(g·pairs + p)·ROWS + r]` has a bit for each sample of group g that lights column r of
    /// pair p.
    lit: Vec<u64>,
    /// `bytes[((g·pairs + p)·2ˢ + i)·ROWS + r]` is that of sample i of group g in column r of pair
    /// p, where s is [`shift`] of the group.
    bytes: Vec<u8>,
    /// What each byte stands for.
    values: [f32; 256],
}

impl Default for BatchColumns {
    fn default() -> Self {
        Self {
            cols: 0,
            batch: 0,
            group: 1,
            lit: Vec::new(),
            bytes: Vec::new(),
            values: [0.0; 256],
        }
    }
}

/// What a group of samples has in a pair of columns.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    /// A bit for each sample that lights the column; bits from the number of samples on are 0.
    pub lit: [u64; ROWS],
    /// The bytes of each sample of the group (of as many as `lit` has bits set for at least).
    pub bytes: &'a [[u8; ROWS]],
    /// What each byte stands for.
    pub values: &'a [f32; 256],
}

impl BatchColumns {
    /// Room for batches of `batch` rows of `inputs`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn with_capacity(inputs: &SparseBytes, batch: usize) -> Result<Self, TryReserveError> {
        let mut columns = Self::default();
        let (groups, group) = groups(batch);
        let lit = groups.saturating_mul(inputs.cols().next_multiple_of(ROWS));
        columns.lit.try_reserve_exact(lit)?;
        let bytes = lit.saturating_mul(1 << shift(group));
        columns.bytes.try_reserve_exact(bytes)?;
        Ok(columns)
    }

    /// Takes the rows `batch` of `inputs`, a byte v standing for `scale[v]`.
    ///
    /// # Panics
    /// If a row does not exist; then no batch is held until the next call.
    pub fn gather(&mut self, inputs: &SparseBytes, batch: &[u32], scale: &[f32; 256]) {
        self.batch = 0;
        self.cols = inputs.cols();
        self.values = *scale;
        // Of pixels that are not lit.
        self.values[0] = 0.0;
        let (groups, group) = groups(batch.len());
        self.group = group;
        let shift = shift(group);
        let cols = self.cols.next_multiple_of(ROWS);
        self.lit.clear();
        self.lit.resize(groups * cols, 0);
        self.bytes.clear();
        self.bytes.resize((groups * cols) << shift, 0);
        let lit = self.lit.chunks_exact_mut(cols.max(1));
        let bytes = self.bytes.chunks_exact_mut((cols << shift).max(1));
        for ((rows, lit), bytes) in batch.chunks(group).zip(lit).zip(bytes) {
            for (i, &row) in rows.iter().enumerate() {
                let (bytes, bit) = (&mut bytes[i * ROWS..], 1 << i);
                // By the iterator itself, which has a loop for each band.
                inputs.row(row as usize).for_each(|(column, byte)| {
                    bytes[((column / ROWS * ROWS) << shift) + column % ROWS] = byte;
                    // A word for each column: one for a pair would wait for the column before.
                    lit[column] |= bit;
                });
            }
        }
        self.batch = batch.len();
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Samples in the batch.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// How many groups of samples there are.
    pub(super) fn groups(&self) -> usize {
        self.batch.div_ceil(self.group)
    }

    /// Samples in a group, but for the last, which may have fewer: sample i of group g is
    /// sample g·group + i of the batch.
    pub(super) fn group(&self) -> usize {
        self.group
    }

    /// The pairs of columns in group `g`; of an odd number the last has one that nobody lights.
    #[inline(always)]
    pub(super) fn pairs(&self, g: usize) -> impl Iterator<Item = Pair<'_>> {
        let cols = self.cols.next_multiple_of(ROWS);
        let range = g * cols..(g + 1) * cols;
        let shift = shift(self.group);
        let bytes = &self.bytes[range.start << shift..range.end << shift];
        let bytes = bytes.as_chunks::<ROWS>().0.chunks_exact(1 << shift);
        let values = &self.values;
        let pairs = self.lit[range].as_chunks::<ROWS>().0.iter().zip(bytes);
        pairs.map(move |(&lit, bytes)| Pair { lit, bytes, values })
    }
}

/// A pair of columns has room for 2ˢ samples, a group of so many at least.
fn shift(group: usize) -> u32 {
    group.next_power_of_two().trailing_zeros()
}

/// How many groups a batch is, and how many samples a group has: groups are as even as can be.
fn groups(batch: usize) -> (usize, usize) {
    let groups = batch.div_ceil(GROUP);
    (groups, batch.div_ceil(groups.max(1)).max(1))
}

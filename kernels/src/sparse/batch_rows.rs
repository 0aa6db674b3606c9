//! The rows of a batch, in the order in which a forward pass reads them.

use super::SparseBytes;
use std::collections::TryReserveError;

/// Samples that go through a band of W together: their sums stay in the second-level cache.
const GROUP: usize = 128;

/// The fewest samples that are worth bands: below, too few share a row of W.
const SHARED: usize = 4;

/// Entries are copied so many at a time.
const CHUNK: usize = 16;

/// The entries of a batch, band after band, in a band sample after sample.
///
/// In one stream, for a forward pass waits for the first entries of each of the short lists
/// that a sample has in a band: which are found in the first-level cache if they follow upon
/// those read before.
///
/// Kept between batches, so that no memory is allocated once it has grown to the largest
/// batch seen.
#[derive(Clone, Debug, Default)]
pub struct BatchRows {
    /// 256·column + byte; followed by some that mean nothing.
    entries: Vec<u32>,
    visits: Vec<Visit>,
    blocks: Vec<Block>,
    /// Columns of the inputs; every entry's column is smaller.
    cols: usize,
    /// Columns in a band.
    band: usize,
    /// Samples in the batch; the sample of every visit is smaller.
    batch: usize,
}

/// The entries of a sample in a band.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    /// Position in the batch.
    pub sample: u32,
    /// How many follow upon those of the visit before.
    pub entries: u32,
}

/// A group of samples in a band.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Whether it is the group's first band.
    first: bool,
    /// Where its visits end, and their entries.
    visits: usize,
    entries: usize,
}

impl BatchRows {
    /// Room for batches of `batch` rows of `inputs`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn with_capacity(inputs: &SparseBytes, batch: usize) -> Result<Self, TryReserveError> {
        let mut rows = Self::default();
        let entries = batch.saturating_mul(inputs.fullest());
        rows.entries
            .try_reserve_exact(entries.saturating_add(CHUNK))?;
        rows.reserve_visits(inputs, batch)?;
        Ok(rows)
    }

    /// Room for the visits of a batch.
    fn reserve_visits(
        &mut self,
        inputs: &SparseBytes,
        batch: usize,
    ) -> Result<(), TryReserveError> {
        let bands = inputs.bands();
        self.visits.try_reserve_exact(batch.saturating_mul(bands))?;
        let groups = batch.div_ceil(GROUP);
        self.blocks.try_reserve_exact(groups.saturating_mul(bands))
    }

    /// Takes the rows `batch` of `inputs`.
    ///
    /// # Panics
    /// If a row does not exist, or there are 2³² or more; then no batch is held until the next
    /// call.
    pub fn gather(&mut self, inputs: &SparseBytes, batch: &[u32]) {
        assert!(
            u32::try_from(batch.len()).is_ok(),
            "a batch of {}",
            batch.len()
        );
        self.blocks.clear();
        self.visits.clear();
        self.batch = 0;
        let stored = stored(inputs, batch);
        if self.entries.len() < stored + CHUNK {
            self.entries.resize(stored + CHUNK, 0);
        }
        // Bands of the inputs that are taken as one.
        let joined = if batch.len() < SHARED {
            inputs.bands()
        } else {
            1
        };
        let mut end = 0;
        for (g, group) in batch.chunks(GROUP).enumerate() {
            for band in (0..inputs.bands()).step_by(joined.max(1)) {
                for (sample, &row) in (g * GROUP..).zip(group) {
                    let before = end;
                    for band in band..band + joined {
                        let at = row as usize * inputs.bands() + band;
                        let (from, to) = (inputs.bounds[at], inputs.bounds[at + 1]);
                        let list = &inputs.entries[from..];
                        let first = (band * inputs.band) as u32;
                        copy(&mut self.entries[end..], list, to - from, first);
                        end += to - from;
                    }
                    // The first visit begins the sums: it takes place in any case.
                    if end == before && band > 0 {
                        continue;
                    }
                    self.visits.push(Visit {
                        sample: sample as u32,
                        entries: (end - before) as u32,
                    });
                }
                self.blocks.push(Block {
                    first: band == 0,
                    visits: self.visits.len(),
                    entries: end,
                });
            }
        }
        (self.cols, self.band) = (inputs.cols(), inputs.band.saturating_mul(joined));
        self.batch = batch.len();
    }

    /// Columns of the inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Columns in a band.
    pub(super) fn band(&self) -> usize {
        self.band
    }

    /// Samples in the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The visits of each group in each band, and their entries; and whether the band is the
    /// group's first.
    #[inline(always)]
    pub(super) fn blocks(&self) -> impl Iterator<Item = (bool, &[Visit], &[u32])> {
        let mut start = (0, 0);
        self.blocks.iter().map(move |block| {
            let visits = &self.visits[start.0..block.visits];
            let entries = &self.entries[start.1..block.entries];
            start = (block.visits, block.entries);
            (block.first, visits, entries)
        })
    }
}

/// How many entries the rows `batch` have.
///
/// # Panics
/// If a row does not exist.
pub(super) fn stored(inputs: &SparseBytes, batch: &[u32]) -> usize {
    batch.iter().map(|&r| inputs.range(r as usize).len()).sum()
}

/// Copies the first `n` of `from`, entries of a band that begins at column `first`, and perhaps
/// some more behind them: by whole chunks, where there are, for the lists are short.
#[inline(always)]
fn copy(to: &mut [u32], from: &[u16], n: usize, first: u32) {
    let entry = |entry: u16| (first << 8).wrapping_add(entry.into());
    let whole = n.div_ceil(CHUNK) * CHUNK;
    if from.len() < whole {
        for (to, &from) in to[..n].iter_mut().zip(&from[..n]) {
            *to = entry(from);
        }
        return;
    }
    let (to, from) = (&mut to[..whole], &from[..whole]);
    let (to, from) = (to.as_chunks_mut::<CHUNK>().0, from.as_chunks::<CHUNK>().0);
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.map(entry);
    }
}

//! The pixels of a batch, in the order in which an update goes through W.

use super::SparseBytes;
use crate::Isa;
use crate::simd::{Kernel, Simd};
use std::collections::TryReserveError;

/// The most samples of which an update takes what they light, before it goes on to the next
/// ones: a few registers of so many rows of δ stay in the first-level cache, and a word has a bit
/// for each.
const GROUP: usize = u64::BITS as usize;

/// Columns (rows of W) that take the rows of δ together.
pub(super) const ROWS: usize = 2;

/// The bytes of a batch by column: what each sample has in it. In groups of samples, if there are
/// many; two columns at a time, for pixels side by side are lit by much the same samples.
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
    /// `bytes[((g·cols + c) << s) + i]` is that of sample i of group g in column c, where s is
    /// [`shift`] of the group and cols a multiple of [`ROWS`]. Where there is no such sample
    /// or column it is 0.
    bytes: Vec<u8>,
    /// `lit[g·pairs + p]` has a bit for each sample of group g that lights one of the columns of
    /// pair p.
    lit: Vec<u64>,
    /// What each byte stands for.
    values: [f32; 256],
}

impl Default for BatchColumns {
    fn default() -> Self {
        Self {
            cols: 0,
            batch: 0,
            group: 1,
            bytes: Vec::new(),
            lit: Vec::new(),
            values: [0.0; 256],
        }
    }
}

/// What a group of samples has in a pair of columns.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    /// A bit for each sample that lights one of them.
    pub lit: u64,
    /// The bytes of both columns: as many as there is room for, at most 64, which is at least as
    /// many as there are samples in the group; the others are 0.
    pub bytes: [&'a [u8]; ROWS],
    /// What each byte stands for.
    pub values: &'a [f32; 256],
}

impl Pair<'_> {
    /// A bit for each sample that lights one column of the two.
    #[inline(always)]
    pub fn lit_in(&self, column: usize) -> u64 {
        let bytes = self.bytes[column].iter().enumerate();
        bytes.fold(0, |lit, (i, &byte)| lit | u64::from(byte != 0) << i)
    }
}

impl BatchColumns {
    /// Room for batches of `batch` rows of `inputs`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn with_capacity(inputs: &SparseBytes, batch: usize) -> Result<Self, TryReserveError> {
        let mut columns = Self::default();
        let (groups, group) = groups(batch);
        let cols = inputs.cols().next_multiple_of(ROWS);
        let all = groups.saturating_mul(cols);
        let bytes = all.saturating_mul(1 << shift(group));
        columns.bytes.try_reserve_exact(bytes)?;
        columns.lit.try_reserve_exact(all / ROWS)?;
        Ok(columns)
    }

    /// Takes the rows `batch` of `inputs`, a byte v standing for `scale[v]`.
    ///
    /// # Panics
    /// If a row does not exist; then no batch is held until the next call.
    pub fn gather(&mut self, isa: Isa, inputs: &SparseBytes, batch: &[u32], scale: &[f32; 256]) {
        self.batch = 0;
        self.cols = inputs.cols();
        self.values = *scale;
        // Of pixels that are not lit.
        self.values[0] = 0.0;
        let (groups, group) = groups(batch.len());
        self.group = group;
        let shift = shift(group);
        let cols = self.cols.next_multiple_of(ROWS);
        self.bytes.clear();
        self.bytes.resize((groups * cols) << shift, 0);
        let bytes = self.bytes.chunks_exact_mut((cols << shift).max(1));
        for (rows, bytes) in batch.chunks(group).zip(bytes) {
            for (i, &row) in rows.iter().enumerate() {
                let bytes = &mut bytes[i..];
                // By the iterator itself, which has a loop for each band.
                inputs.row(row as usize).for_each(|(column, byte)| {
                    bytes[column << shift] = byte;
                });
            }
        }
        self.lit.clear();
        self.lit.resize(groups * cols / ROWS, 0);
        isa.dispatch(FindLit {
            bytes: &self.bytes,
            shift,
            lit: &mut self.lit,
        });
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
        let (values, shift) = (&self.values, shift(self.group));
        let cols = self.cols.next_multiple_of(ROWS);
        let range = g * cols..(g + 1) * cols;
        let lit = &self.lit[range.start / ROWS..range.end / ROWS];
        let pairs =
            self.bytes[range.start << shift..range.end << shift].chunks_exact(ROWS << shift);
        lit.iter().zip(pairs).map(move |(&lit, pair)| {
            let (first, second) = pair.split_at(1 << shift);
            let bytes = [first, second];
            Pair { lit, bytes, values }
        })
    }
}

/// Finds which samples light pairs of columns, in bytes that were just written.
struct FindLit<'a> {
    bytes: &'a [u8],
    /// A column has 2ˢ bytes.
    shift: u32,
    /// For each pair.
    lit: &'a mut [u64],
}

impl Kernel for FindLit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.shift {
            0 => self.narrow::<S, 1>(s),
            1 => self.narrow::<S, 2>(s),
            2 => self.narrow::<S, 4>(s),
            3 => self.narrow::<S, 8>(s),
            4 => self.narrow::<S, 16>(s),
            _ => self.wide(s),
        }
    }
}

/// Bytes that are looked at together.
const BYTES: usize = 32;

impl FindLit<'_> {
    /// For columns of `COLUMN` bytes, at most 16: one pair at once, or several.
    #[inline(always)]
    fn narrow<S: Simd, const COLUMN: usize>(self, s: S) {
        let (whole, rest) = self.bytes.as_chunks();
        let mut pairs = self.lit.chunks_exact_mut(BYTES / ROWS / COLUMN);
        for (lit, bytes) in pairs.by_ref().zip(whole) {
            columns_lit::<COLUMN>(s.nonzero(bytes), lit);
        }
        let mut last = [0; BYTES];
        last[..rest.len()].copy_from_slice(rest);
        columns_lit::<COLUMN>(s.nonzero(&last), pairs.into_remainder());
    }

    /// For columns of 32 or 64 bytes.
    #[inline(always)]
    fn wide<S: Simd>(self, s: S) {
        let pairs = self.bytes.chunks_exact(ROWS << self.shift);
        for (lit, pair) in self.lit.iter_mut().zip(pairs) {
            for column in pair.chunks_exact(1 << self.shift) {
                for (i, bytes) in column.as_chunks().0.iter().enumerate() {
                    *lit |= u64::from(s.nonzero(bytes)) << (BYTES * i);
                }
            }
        }
    }
}

/// Of a bit for each byte, those of columns of `COLUMN`, a pair after the other.
#[inline(always)]
fn columns_lit<const COLUMN: usize>(bits: u32, lit: &mut [u64]) {
    let mut bits = u64::from(bits);
    for lit in lit {
        *lit = (bits | bits >> COLUMN) & ((1 << COLUMN) - 1);
        bits >>= ROWS * COLUMN;
    }
}

/// A column has room for 2ˢ samples, a group of so many at least.
fn shift(group: usize) -> u32 {
    group.next_power_of_two().trailing_zeros()
}

/// How many groups a batch is, and how many samples a group has: groups are as even as can be.
fn groups(batch: usize) -> (usize, usize) {
    let groups = batch.div_ceil(GROUP);
    (groups, batch.div_ceil(groups.max(1)).max(1))
}

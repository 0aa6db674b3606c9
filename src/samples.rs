//! Training or test samples, in the form the engine reads.

use crate::evaluate::BLOCK;
use fanin_kernels::sparse::{self, BatchRows, SamplePairs, SparseBytes};
use fanin_kernels::{AlignedBuffer, Isa, padded};
use std::collections::TryReserveError;
use std::sync::OnceLock;

mod images;

/// Samples and what they should give.
///
/// Inputs are bytes (images: a byte v stands for v/255) or `f32`; targets are classes or
/// `f32` vectors.
#[derive(Clone, Debug)]
pub struct Samples {
    pub(crate) inputs: Inputs,
    pub(crate) targets: TargetValues,
    len: usize,
    /// [`Samples::in_blocks`], once somebody has asked for them.
    blocks: OnceLock<Vec<SamplePairs>>,
}

/// How byte inputs are read by the first layer. The result is the same to the last bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputPath {
    /// Sparse where at most 60 % of the bytes are not zero.
    #[default]
    Auto,
    /// Zero bytes are skipped.
    Sparse,
    /// Every byte is multiplied.
    Dense,
}

impl std::str::FromStr for InputPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "sparse" => Ok(Self::Sparse),
            "dense" => Ok(Self::Dense),
            _ => Err(format!(
                "unknown input path '{text}': expected auto, sparse or dense"
            )),
        }
    }
}

impl std::fmt::Display for InputPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Sparse => "sparse",
            Self::Dense => "dense",
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Inputs {
    Sparse(SparseBytes),
    Bytes(Vec<u8>, usize),
    Values(Vec<f32>, usize),
}

#[derive(Clone, Debug)]
pub(crate) enum TargetValues {
    Classes(Vec<u8>),
    Values(Vec<f32>, usize),
}

/// Why samples cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplesError {
    /// The inputs are not `len` rows of `cols`.
    #[error("inputs: {found} elements are not {rows} rows of {cols}")]
    Inputs {
        /// Rows, as many as there are targets.
        rows: usize,
        /// Columns asked for.
        cols: usize,
        /// Elements given.
        found: usize,
    },
    /// The targets are not whole rows.
    #[error("targets: {found} elements are not rows of {cols}")]
    Targets {
        /// Columns asked for.
        cols: usize,
        /// Elements given.
        found: usize,
    },
    /// More than the sparse form or a `u32` index can count.
    #[error("{what}: {found} is above the limit of {limit}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The memory cannot be had.
    #[error("not enough memory: {0}")]
    Memory(#[from] TryReserveError),
}

impl Samples {
    /// `f32` inputs, row-major \[classes.len(), cols\], with a class for each row.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn from_values(
        values: Vec<f32>,
        cols: usize,
        classes: Vec<u8>,
    ) -> Result<Self, SamplesError> {
        let len = classes.len();
        check_rows(len, cols, values.len())?;
        Ok(Self {
            inputs: Inputs::Values(values, cols),
            targets: TargetValues::Classes(classes),
            len,
            blocks: OnceLock::new(),
        })
    }

    /// `f32` inputs \[n, cols\] and `f32` targets \[n, target_cols\], row-major: regression.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn regression(
        values: Vec<f32>,
        cols: usize,
        targets: Vec<f32>,
        target_cols: usize,
    ) -> Result<Self, SamplesError> {
        if target_cols == 0 || !targets.len().is_multiple_of(target_cols) {
            return Err(SamplesError::Targets {
                cols: target_cols,
                found: targets.len(),
            });
        }
        let len = targets.len() / target_cols;
        check_rows(len, cols, values.len())?;
        Ok(Self {
            inputs: Inputs::Values(values, cols),
            targets: TargetValues::Values(targets, target_cols),
            len,
            blocks: OnceLock::new(),
        })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of inputs of a sample.
    pub fn cols(&self) -> usize {
        match &self.inputs {
            Inputs::Sparse(rows) => rows.cols(),
            Inputs::Bytes(_, cols) | Inputs::Values(_, cols) => *cols,
        }
    }

    /// Outputs that the targets ask for: the width of a target vector, or 1 + the
    /// largest class.
    pub fn outputs(&self) -> usize {
        match &self.targets {
            TargetValues::Classes(classes) => {
                classes.iter().max().map_or(0, |&c| usize::from(c) + 1)
            }
            TargetValues::Values(_, cols) => *cols,
        }
    }

    /// Whether the targets are classes, so that an accuracy can be told.
    pub fn has_classes(&self) -> bool {
        matches!(self.targets, TargetValues::Classes(_))
    }

    /// Asks for samples that steps will need soon: of the `coming` ones, the first `size`
    /// in the next step, as many more in the one after it.
    pub(crate) fn prefetch(&self, isa: Isa, coming: &[u32], size: usize) {
        if let Inputs::Sparse(rows) = &self.inputs {
            let (next, later) = coming.split_at(size.min(coming.len()));
            let later = &later[..size.min(later.len())];
            sparse::prefetch(isa, rows, next, later);
        }
    }

    /// The inputs of the samples `ids` as numbers, \[ids.len(), padded(cols)\], the padding
    /// being 0.
    ///
    /// # Errors
    /// If the memory cannot be had.
    ///
    /// # Panics
    /// If a sample does not exist.
    pub(crate) fn dense_rows(&self, ids: &[u32]) -> Result<AlignedBuffer, TryReserveError> {
        let width = padded(self.cols());
        let mut rows = AlignedBuffer::zeroed(ids.len().saturating_mul(width))?;
        self.copy_rows(ids, &byte_values(), &mut rows);
        Ok(rows)
    }

    /// [`Samples::dense_rows`] into memory that is there; its padding is not touched. A byte
    /// v is `values[v]`.
    pub(crate) fn copy_rows(&self, ids: &[u32], values: &[f32; 256], to: &mut [f32]) {
        match &self.inputs {
            Inputs::Sparse(rows) => gather_sparse(to, rows, ids, values),
            Inputs::Bytes(bytes, cols) => {
                gather_rows(to, bytes, *cols, ids, |v| values[usize::from(v)]);
            }
            Inputs::Values(all, cols) => gather_rows(to, all, *cols, ids, |v| v),
        }
    }

    /// All samples in blocks of [`BLOCK`], in a block in pairs of similar ones, where zeros are
    /// skipped; else none. Made once, for every evaluation goes through the same.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub(crate) fn in_blocks(&self) -> Result<&[SamplePairs], TryReserveError> {
        if let Some(blocks) = self.blocks.get() {
            return Ok(blocks);
        }
        let mut blocks = Vec::new();
        if let Inputs::Sparse(rows) = &self.inputs {
            let n = u32::try_from(self.len).unwrap_or(u32::MAX);
            let ids: Vec<u32> = (0..n).collect();
            blocks.try_reserve_exact(self.len.div_ceil(BLOCK))?;
            for ids in ids.chunks(BLOCK) {
                blocks.push(SamplePairs::of(rows, ids)?);
            }
        }
        Ok(self.blocks.get_or_init(|| blocks))
    }

    /// The samples `ids` as rows of which zeros are skipped, whatever they would be multiplied
    /// with; `None` of f32 inputs, and of more columns than there is a sparse form for.
    ///
    /// # Panics
    /// If a sample does not exist.
    pub(crate) fn without_zeros(&self, ids: &[u32]) -> Option<BatchRows> {
        let mut rows = BatchRows::default();
        match &self.inputs {
            Inputs::Sparse(inputs) => rows.gather(inputs, ids),
            Inputs::Bytes(bytes, cols) if *cols <= SparseBytes::MOST_COLUMNS => {
                let (inputs, all) = sparse_batch(bytes, *cols, ids);
                rows.gather(&inputs, &all);
            }
            Inputs::Bytes(..) | Inputs::Values(..) => return None,
        }
        Some(rows)
    }

    /// Bytes of memory that the samples take, but for a few.
    pub fn memory(&self) -> usize {
        let inputs = match &self.inputs {
            Inputs::Sparse(rows) => rows.memory(),
            Inputs::Bytes(bytes, _) => bytes.len(),
            Inputs::Values(values, _) => size_of_val(&values[..]),
        };
        let targets = match &self.targets {
            TargetValues::Classes(classes) => classes.len(),
            TargetValues::Values(values, _) => size_of_val(&values[..]),
        };
        let blocks = self.blocks.get().into_iter().flatten();
        inputs + targets + blocks.map(SamplePairs::memory).sum::<usize>()
    }

    /// Whether zero inputs are skipped.
    pub fn is_sparse(&self) -> bool {
        matches!(self.inputs, Inputs::Sparse(_))
    }
}

fn check_rows(rows: usize, cols: usize, found: usize) -> Result<(), SamplesError> {
    const LIMIT: usize = u32::MAX as usize;
    if cols == 0 || rows.checked_mul(cols) != Some(found) {
        return Err(SamplesError::Inputs { rows, cols, found });
    }
    if rows > LIMIT {
        return Err(SamplesError::TooMany {
            what: "samples",
            found: rows,
            limit: LIMIT,
        });
    }
    Ok(())
}

/// Copies the rows `batch` of `all` \[n, cols\] into `to` \[batch, padded(cols)\].
fn gather_rows<T: Copy>(
    to: &mut [f32],
    all: &[T],
    cols: usize,
    batch: &[u32],
    value: impl Fn(T) -> f32,
) {
    for (to, &row) in to.chunks_exact_mut(padded(cols)).zip(batch) {
        let from = &all[row as usize * cols..][..cols];
        for (to, &v) in to.iter_mut().zip(from) {
            *to = value(v);
        }
    }
}

/// Writes the rows `batch` of `all` into `to` \[batch, padded(cols)\], a byte v as
/// `values[v]`; the padding stays.
fn gather_sparse(to: &mut [f32], all: &SparseBytes, batch: &[u32], values: &[f32; 256]) {
    let cols = all.cols();
    for (to, &row) in to.chunks_exact_mut(padded(cols)).zip(batch) {
        to[..cols].fill(0.0);
        for (column, v) in all.row(row as usize) {
            to[column] = values[usize::from(v)];
        }
    }
}

/// What each byte stands for: v/255.
pub(crate) fn byte_values() -> [f32; 256] {
    std::array::from_fn(|v| v as f32 / 255.0)
}

/// The rows `batch` of `bytes` in sparse form, and their numbers there.
pub(crate) fn sparse_batch(bytes: &[u8], cols: usize, batch: &[u32]) -> (SparseBytes, Vec<u32>) {
    let rows = batch
        .iter()
        .flat_map(|&row| &bytes[row as usize * cols..][..cols]);
    let rows: Vec<u8> = rows.copied().collect();
    let sparse = SparseBytes::from_dense(&rows, cols).unwrap_or_default();
    (sparse, (0u32..).take(batch.len()).collect())
}

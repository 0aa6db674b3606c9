//! Samples of images: bytes with a class each.

use super::{InputPath, Inputs, Samples, SamplesError, TargetValues, check_rows};
use crate::data::{Dataset, Folder, Split, idx};
use crate::{Error, pool};
use fanin_kernels::sparse::SparseBytes;
use std::collections::TryReserveError;
use std::ops::Range;
use std::sync::OnceLock;

/// Up to which share of bytes that are not zero it pays to skip those that are.
const SPARSE_DENSITY: f64 = 0.6;

impl Samples {
    /// Byte inputs, row-major \[classes.len(), cols\], a byte v standing for v/255.
    ///
    /// # Errors
    /// If the lengths do not fit, `path` is sparse and there are more than 65,536
    /// columns, or there is no memory.
    pub fn from_bytes(
        bytes: &[u8],
        cols: usize,
        classes: &[u8],
        path: InputPath,
    ) -> Result<Self, SamplesError> {
        check_rows(classes.len(), cols, bytes.len())?;
        let mut rows = Rows::new(cols, path)?;
        rows.push(bytes)?;
        rows.finish(classes.to_vec())
    }

    /// The samples `range` of a split of a data set.
    ///
    /// # Errors
    /// As [`Samples::from_bytes`].
    ///
    /// # Panics
    /// If the range does not lie inside.
    pub fn from_split(
        split: &Split,
        range: Range<usize>,
        path: InputPath,
    ) -> Result<Self, SamplesError> {
        let pixels = split.pixels();
        let bytes = &split.images()[range.start * pixels..range.end * pixels];
        Self::from_bytes(bytes, pixels, &split.labels()[range], path)
    }

    /// The samples of a data set: those to train on, without the first `hold_out`, and those to
    /// test on, with what evaluations need of them. Made side by side.
    ///
    /// # Errors
    /// As [`Samples::from_bytes`].
    pub fn from_dataset(
        dataset: &Dataset,
        hold_out: usize,
        path: InputPath,
    ) -> Result<(Self, Self), SamplesError> {
        let (train, test) = (&dataset.train, &dataset.test);
        let (train, test) = pool::join(
            || Self::from_split(train, hold_out.min(train.len())..train.len(), path),
            || Self::from_split(test, 0..test.len(), path).map(ready),
        );
        Ok((train?, test?))
    }

    /// The samples of a data set by its name, `mnist` or `fashion-mnist`, or of a folder: to train
    /// on, without the first `hold_out` (none, if that is more than there are), and to test on.
    ///
    /// What [`Samples::from_dataset`] makes of [`Dataset::open`], in less time and memory: no
    /// image is kept but in the form that samples have.
    ///
    /// # Errors
    /// As both.
    pub fn open(spec: &str, hold_out: usize, path: InputPath) -> Result<(Self, Self), Error> {
        let folder = Folder::open(spec)?;
        let cols = folder.pixels();
        let (mut train, mut test) = (Rows::new(cols, path)?, Rows::new(cols, path)?);
        let (train, test, _) = folder.read(
            |files| {
                let mut held_out = hold_out.saturating_mul(cols);
                let (mut classes, sha256) = files.read_rows(|rows| {
                    let (out, rows) = rows.split_at(held_out.min(rows.len()));
                    held_out -= out.len();
                    train.push(rows)
                })?;
                classes.drain(..hold_out.min(classes.len()));
                Ok::<_, Error>((train.finish(classes)?, sha256))
            },
            |files| {
                let (classes, sha256) = files.read_rows(|rows| test.push(rows))?;
                Ok((ready(test.finish(classes)?), sha256))
            },
        )?;
        Ok((train, test))
    }
}

/// With what evaluations need of them.
fn ready(samples: Samples) -> Samples {
    // Where there is no memory for it, whoever evaluates says so.
    let _ = samples.in_blocks();
    samples
}

/// Rows of bytes on their way to samples.
struct Rows {
    path: InputPath,
    cols: usize,
    /// Where they all go, unless it is `None`.
    sparse: Option<SparseBytes>,
    dense: Vec<u8>,
}

// Rows that can be sparse come whole from a file.
const _: () = assert!(SparseBytes::MOST_COLUMNS <= idx::PIECE);

impl Rows {
    /// Of `cols` bytes.
    fn new(cols: usize, path: InputPath) -> Result<Self, SamplesError> {
        let sparse = match path {
            InputPath::Dense => None,
            InputPath::Auto | InputPath::Sparse => SparseBytes::empty(cols),
        };
        if path == InputPath::Sparse && sparse.is_none() {
            return Err(SamplesError::TooMany {
                what: "columns of a sparse input",
                found: cols,
                limit: SparseBytes::MOST_COLUMNS,
            });
        }
        Ok(Self {
            path,
            cols,
            sparse,
            dense: Vec::new(),
        })
    }

    /// Adds rows: whole ones, where they can be sparse.
    fn push(&mut self, rows: &[u8]) -> Result<(), TryReserveError> {
        if let Some(sparse) = &mut self.sparse {
            return sparse.push(rows);
        }
        self.dense.try_reserve(rows.len())?;
        self.dense.extend_from_slice(rows);
        Ok(())
    }

    /// The samples, of as many `classes` as there are rows.
    fn finish(mut self, classes: Vec<u8>) -> Result<Samples, SamplesError> {
        let few = |rows: &SparseBytes| !classes.is_empty() && rows.density() <= SPARSE_DENSITY;
        let inputs = match self.sparse {
            Some(mut rows) if self.path == InputPath::Sparse || few(&rows) => {
                rows.shrink();
                Inputs::Sparse(rows)
            }
            Some(rows) => Inputs::Bytes(rows.to_dense()?, self.cols),
            None => {
                self.dense.shrink_to_fit();
                Inputs::Bytes(self.dense, self.cols)
            }
        };
        Ok(Samples {
            inputs,
            len: classes.len(),
            targets: TargetValues::Classes(classes),
            blocks: OnceLock::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanin_kernels::padded;

    #[test]
    fn a_data_set_is_held_out_from_and_ready_to_be_evaluated() {
        let split = |n: u8| {
            let images = (0..n).flat_map(|i| [i, 0, 0, i + 1]).collect();
            let labels = (0..n).map(|i| i % 10).collect();
            Split::new(2, 2, images, labels).unwrap()
        };
        let data = Dataset::from_splits("small", split(30), split(20)).unwrap();
        for (path, hold_out, left) in [
            (InputPath::Sparse, 4, 26),
            (InputPath::Dense, 0, 30),
            (InputPath::Auto, 29, 1),
            // More than there are.
            (InputPath::Auto, usize::MAX, 0),
        ] {
            let (train, test) = Samples::from_dataset(&data, hold_out, path).unwrap();
            assert_eq!((train.len(), test.len()), (left, 20));
            for (samples, first) in [(&train, 30 - left), (&test, 0)] {
                let ids: Vec<u32> = (0..).take(samples.len()).collect();
                let rows = samples.dense_rows(&ids).unwrap();
                for (i, row) in rows.chunks(padded(4)).enumerate() {
                    let byte = (first + i) as f32;
                    let expected = [byte / 255.0, 0.0, 0.0, (byte + 1.0) / 255.0];
                    assert_eq!(row[..4], expected, "{path}, {hold_out}");
                }
            }
            assert!(test.blocks.get().is_some());
        }
    }
}

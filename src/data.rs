//! Data sets: MNIST and whatever has its shape.
//!
//! [`Dataset::open`] takes `mnist`, `fashion-mnist` or a folder. Pixels and labels stay bytes, as they
//! are in the files; a byte p stands for p / 255. Files are IDX, gzipped or not ([`idx`]); those of
//! the data sets known by name are checked by SHA-256, so a result's data are exactly known.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

mod check;
mod error;
mod files;
mod folder;
pub mod idx;
mod known;
mod locate;

pub use check::{CheckReport, FileFacts, FileReport, check, check_spec};
pub use error::{DataError, Looked};
pub use files::DataFile;
pub use locate::{DATA_ENV, locate};

pub(crate) use folder::Folder;
use folder::SplitFiles;
use idx::Kind;

/// The number of classes: labels are 0 to 9.
pub const CLASSES: usize = 10;

/// Images and their labels; at least one of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    rows: usize,
    cols: usize,
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Split {
    /// Puts together `labels.len()` images of `rows` × `cols` pixels, one after the other, each row-major,
    /// one byte (0 to 255) a pixel.
    ///
    /// # Errors
    ///
    /// [`DataError::Pixels`] if the lengths do not fit or there is nothing, [`DataError::Label`] if
    /// a label is not below [`CLASSES`].
    pub fn new(
        rows: usize,
        cols: usize,
        images: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Split, DataError> {
        let expected = rows
            .checked_mul(cols)
            .and_then(|pixels| pixels.checked_mul(labels.len()));
        if images.is_empty() || expected != Some(images.len()) {
            return Err(DataError::Pixels {
                found: images.len(),
                labels: labels.len(),
                rows,
                cols,
            });
        }
        match labels
            .iter()
            .position(|&label| usize::from(label) >= CLASSES)
        {
            Some(index) => Err(DataError::Label {
                index,
                found: labels[index],
            }),
            None => Ok(Split {
                rows,
                cols,
                images,
                labels,
            }),
        }
    }

    /// How many images; at least 1.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows of an image; at least 1.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of an image; at least 1.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Pixels of an image, the inputs of a network: `rows() * cols()`.
    pub fn pixels(&self) -> usize {
        self.rows * self.cols
    }

    /// All pixels: `len() * pixels()` bytes, image after image.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// The pixels of image `i`: `pixels()` bytes, row-major.
    ///
    /// # Panics
    ///
    /// If `i` is not below `len()`.
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.len(), "image {i} of {}", self.len());
        &self.images[i * self.pixels()..][..self.pixels()]
    }

    /// All labels, each below [`CLASSES`].
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// SHA-256 of the two IDX files that hold this.
    fn sha256(&self) -> [String; 2] {
        // A dimension beyond 32 bits has no IDX file; the digest need only differ then.
        let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
        let digest = |kind: Kind, dims: &[usize], bytes: &[u8]| {
            let mut hasher = Sha256::new_with_prefix(kind.magic().to_be_bytes());
            dims.iter().for_each(|&dim| hasher.update(word(dim)));
            format!("{:x}", hasher.chain_update(bytes).finalize())
        };
        [
            digest(
                Kind::Images,
                &[self.len(), self.rows, self.cols],
                &self.images,
            ),
            digest(Kind::Labels, &[self.len()], &self.labels),
        ]
    }
}

/// A training and a test split of images of one shape.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Dataset {
    /// `mnist` or `fashion-mnist` if the bytes are theirs, else the folder's name or the name given.
    pub name: String,
    /// The folder it was read from; empty if it was made in memory.
    pub source: PathBuf,
    /// What to train on.
    pub train: Split,
    /// What to measure accuracy on.
    pub test: Split,
    /// SHA-256 of the raw IDX files in lower-case hex, in the order of [`DataFile::ALL`]: it says which data
    /// these are, however they were stored.
    pub sha256: [String; 4],
}

impl Dataset {
    /// Opens `mnist` or `fashion-mnist`, looked for by [`locate`], or a folder (write `./mnist` for
    /// a folder of that name).
    ///
    /// # Errors
    ///
    /// Those of [`Dataset::from_dir`]; [`DataError::NotFound`]; and for the two known by name
    /// [`DataError::Hash`] if a file has other bytes than the known ones.
    pub fn open(spec: &str) -> Result<Dataset, DataError> {
        Folder::open(spec).and_then(Dataset::read)
    }

    /// Reads the four files in `dir`, each gzipped or not whatever its name, called as MNIST's:
    /// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    /// `t10k-labels-idx1-ubyte`, each with or without `.gz` (tried second), or with a dot
    /// before `idx` (third, fourth).
    ///
    /// # Errors
    ///
    /// See [`DataError`]: a missing or special file, wrong content, or files that do not fit together.
    pub fn from_dir(dir: &Path) -> Result<Dataset, DataError> {
        Folder::at(dir, None).and_then(Dataset::read)
    }

    fn read(folder: Folder) -> Result<Dataset, DataError> {
        let (train, test, facts) = folder.read(SplitFiles::read, SplitFiles::read)?;
        Ok(Dataset {
            name: facts.name,
            source: facts.dir,
            train,
            test,
            sha256: facts.sha256,
        })
    }

    /// Puts together a data set in memory.
    ///
    /// # Errors
    ///
    /// [`DataError::ShapeMismatch`] if the images of the two splits differ in shape.
    pub fn from_splits(
        name: impl Into<String>,
        train: Split,
        test: Split,
    ) -> Result<Dataset, DataError> {
        let name = name.into();
        let shapes = [&train, &test].map(|split| (split.rows, split.cols));
        if shapes[0] != shapes[1] {
            return Err(DataError::ShapeMismatch {
                what: name,
                train: shapes[0],
                test: shapes[1],
            });
        }
        let [[train_images, train_labels], [test_images, test_labels]] =
            [train.sha256(), test.sha256()];
        let sha256 = [train_images, train_labels, test_images, test_labels];
        Ok(Dataset {
            name,
            source: PathBuf::new(),
            train,
            test,
            sha256,
        })
    }
}

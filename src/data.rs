//! Data sets: MNIST and whatever has its shape.
//!
//! [`Dataset::open`] takes `mnist`, `fashion-mnist` or a folder. Pixels and labels stay bytes, as they
//! are in the files; a byte p stands for p / 255. Files are IDX, gzipped or not ([`idx`]); those of
//! the data sets known by name are checked by SHA-256, so a result's data are exactly known.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

mod check;
mod error;
mod files;
pub mod idx;
mod known;
mod locate;

pub use check::{CheckReport, FileFacts, FileReport, check, check_spec};
pub use error::{DataError, Looked};
pub use files::DataFile;
pub use locate::{DATA_ENV, locate};

use files::Opened;
use idx::{Header, Idx, Kind};
use known::Known;

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
        match known::by_name(spec) {
            Some(known) => read_dir(&locate::locate_known(known)?, Some(known)),
            None => Dataset::from_dir(Path::new(spec)),
        }
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
        read_dir(dir, None)
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

/// Reads a folder: all headers and what they say of each other first, so that files which do not fit
/// together cost nothing; then the content.
fn read_dir(dir: &Path, demanded: Option<&'static Known>) -> Result<Dataset, DataError> {
    folder(dir)?;
    let paths = DataFile::ALL.map(|file| file.find(dir));
    let [Some(a), Some(b), Some(c), Some(d)] = paths else {
        return Err(DataError::Missing {
            dir: dir.into(),
            missing: files::missing(dir),
        });
    };
    let [a, b, c, d] = [
        Opened::open(a, Kind::Images)?,
        Opened::open(b, Kind::Labels)?,
        Opened::open(c, Kind::Images)?,
        Opened::open(d, Kind::Labels)?,
    ];
    let headers = [&a, &b, &c, &d].map(|opened| Some(*opened.reader.header()));
    if let Some(problem) = cross_check(dir, &headers).into_iter().next() {
        return Err(problem);
    }
    let paths = [&a, &b, &c, &d].map(|opened| opened.path.clone());
    // The training images are most of the work; the other three fit beside them.
    let (train_images, others) = thread::scope(|scope| {
        let others =
            scope.spawn(move || -> Result<_, DataError> { Ok([b.read()?, c.read()?, d.read()?]) });
        let train_images = a.read();
        (train_images, others.join())
    });
    let (train_images, others) = (
        train_images?,
        others.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    );
    let [train_labels, test_images, test_labels] = others?;

    let sha256 = [&train_images, &train_labels, &test_images, &test_labels]
        .map(|idx| idx.sha256().to_owned());
    if let Some(known) = demanded {
        for ((file, path), sha256) in DataFile::ALL.into_iter().zip(&paths).zip(&sha256) {
            demand_known(known, file, path, sha256)?;
        }
    }
    Ok(Dataset {
        name: known::by_hashes(&sha256)
            .map_or_else(|| folder_name(dir), |known| known.name.to_owned()),
        source: dir.into(),
        train: split(train_images, train_labels)?,
        test: split(test_images, test_labels)?,
        sha256,
    })
}

fn split(images: Idx, labels: Idx) -> Result<Split, DataError> {
    let (rows, cols) = (images.header().rows(), images.header().cols());
    Split::new(rows, cols, images.into_data(), labels.into_data())
}

/// What does not fit between the files whose headers are known.
fn cross_check(dir: &Path, headers: &[Option<Header>; 4]) -> Vec<DataError> {
    let mut problems = Vec::new();
    let [train_images, train_labels, test_images, test_labels] = headers;
    let pairs = [
        ("train", train_images, train_labels),
        ("t10k", test_images, test_labels),
    ];
    for (set, images, labels) in pairs {
        if let (Some(images), Some(labels)) = (images, labels)
            && images.count() != labels.count()
        {
            problems.push(DataError::CountMismatch {
                what: format!("{}: {set}", dir.display()),
                images: images.count(),
                labels: labels.count(),
            });
        }
    }
    if let (Some(train), Some(test)) = (train_images, test_images) {
        let [train, test] = [train, test].map(|header| (header.rows(), header.cols()));
        if train != test {
            problems.push(DataError::ShapeMismatch {
                what: dir.display().to_string(),
                train,
                test,
            });
        }
    }
    problems
}

/// Demands the known bytes of a data set known by name.
fn demand_known(known: &Known, file: DataFile, path: &Path, found: &str) -> Result<(), DataError> {
    let expected = known.sha256_of(file);
    if found == expected {
        return Ok(());
    }
    Err(DataError::Hash {
        path: path.into(),
        name: known.name,
        file: file.name(),
        found: found.to_owned(),
        expected,
        known_as: known::by_hash(found)
            .map(|(known, file)| format!("{}'s {}", known.name, file.name())),
    })
}

/// Makes sure that `dir` is a folder.
fn folder(dir: &Path) -> Result<(), DataError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(DataError::Io {
            path: dir.into(),
            source,
        }),
        Ok(_) | Err(_) => Err(DataError::NotAFolder { path: dir.into() }),
    }
}

/// The folder's own name, also if the path ends in `.` or `..`.
fn folder_name(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.into());
    full.file_name().map_or_else(
        || full.display().to_string(),
        |name| name.display().to_string(),
    )
}

//! Reading a folder: all headers and what they say of each other first, so that files which do not
//! fit together cost nothing; then the content, the two splits side by side.

use std::collections::TryReserveError;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::files::{self, DataFile, Opened};
use super::idx::{Header, Kind};
use super::known::{self, Known};
use super::{Split, locate};
use crate::pool;

/// A folder whose four files are there, with headers that fit together.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Whose bytes they must be.
    demanded: Option<&'static Known>,
    train: SplitFiles,
    test: SplitFiles,
}

/// Images and their labels, of which only the headers have been read.
#[derive(Debug)]
pub(crate) struct SplitFiles {
    images: Opened,
    labels: Opened,
}

/// What is known of a folder that has been read.
#[derive(Debug)]
pub(crate) struct FolderFacts {
    pub name: String,
    pub dir: PathBuf,
    /// In the order of [`DataFile::ALL`].
    pub sha256: [String; 4],
}

/// What was made of a split, and the SHA-256 of its two files.
pub(crate) type ReadSplit<T> = (T, [String; 2]);

impl Folder {
    /// What [`Dataset::open`](super::Dataset::open) reads.
    pub fn open(spec: &str) -> Result<Folder, DataError> {
        match known::by_name(spec) {
            Some(known) => Folder::at(&locate::locate_known(known)?, Some(known)),
            None => Folder::at(Path::new(spec), None),
        }
    }

    /// The folder `dir`, which must hold the bytes that are `demanded`.
    pub(super) fn at(dir: &Path, demanded: Option<&'static Known>) -> Result<Folder, DataError> {
        check_folder(dir)?;
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
        Ok(Folder {
            dir: dir.into(),
            demanded,
            train: SplitFiles {
                images: a,
                labels: b,
            },
            test: SplitFiles {
                images: c,
                labels: d,
            },
        })
    }

    /// Reads the two splits side by side, and says what they make of the whole.
    ///
    /// # Errors
    ///
    /// Those of `train` and `test`; [`DataError::Hash`] if bytes are not those demanded.
    pub fn read<A, B: Send, E: From<DataError> + Send>(
        self,
        train: impl FnOnce(SplitFiles) -> Result<ReadSplit<A>, E>,
        test: impl FnOnce(SplitFiles) -> Result<ReadSplit<B>, E> + Send,
    ) -> Result<(A, B, FolderFacts), E> {
        let paths = [&self.train, &self.test]
            .map(|split| [&split.images, &split.labels].map(|opened| opened.path.clone()));
        let (train, test) = pool::join(|| train(self.train), || test(self.test));
        let ((train, [a, b]), (test, [c, d])) = (train?, test?);
        let sha256 = [a, b, c, d];
        if let Some(known) = self.demanded {
            let files = DataFile::ALL.into_iter().zip(paths.as_flattened());
            for ((file, path), sha256) in files.zip(&sha256) {
                demand_known(known, file, path, sha256)?;
            }
        }
        let name = known::by_hashes(&sha256)
            .map_or_else(|| folder_name(&self.dir), |known| known.name.to_owned());
        let facts = FolderFacts {
            name,
            dir: self.dir,
            sha256,
        };
        Ok((train, test, facts))
    }

    /// How many training images there are.
    pub fn training_images(&self) -> usize {
        self.train.images.reader.header().count()
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        let header = self.train.images.reader.header();
        header.rows() * header.cols()
    }
}

impl SplitFiles {
    /// Reads both files.
    pub fn read(self) -> Result<ReadSplit<Split>, DataError> {
        let (images, labels) = (self.images.read()?, self.labels.read()?);
        let sha256 = [&images, &labels].map(|idx| idx.sha256().to_owned());
        let (rows, cols) = (images.header().rows(), images.header().cols());
        let split = Split::new(rows, cols, images.into_data(), labels.into_data())?;
        Ok((split, sha256))
    }

    /// Hands the images to `take`, as [`Reader::read_rows`](super::idx::Reader::read_rows)
    /// does, and reads the labels.
    pub fn read_rows(
        self,
        take: impl FnMut(&[u8]) -> Result<(), TryReserveError>,
    ) -> Result<ReadSplit<Vec<u8>>, DataError> {
        let images = self.images.read_rows(take)?;
        let labels = self.labels.read()?;
        let sha256 = [images.sha256, labels.sha256().to_owned()];
        Ok((labels.into_data(), sha256))
    }
}

/// What does not fit between the files whose headers are known.
pub(super) fn cross_check(dir: &Path, headers: &[Option<Header>; 4]) -> Vec<DataError> {
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
pub(super) fn demand_known(
    known: &Known,
    file: DataFile,
    path: &Path,
    found: &str,
) -> Result<(), DataError> {
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
pub(super) fn check_folder(dir: &Path) -> Result<(), DataError> {
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

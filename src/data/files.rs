//! The four files of a data set in a folder: which names they go by, and opening them safely.

use std::collections::TryReserveError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::idx::{Idx, Kind, Origin, Reader};

/// One of the four files of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataFile {
    /// Training images.
    TrainImages,
    /// Training labels.
    TrainLabels,
    /// Test images.
    TestImages,
    /// Test labels.
    TestLabels,
}

impl DataFile {
    /// All four, in the order used wherever four things stand for them.
    pub const ALL: [DataFile; 4] = [
        DataFile::TrainImages,
        DataFile::TrainLabels,
        DataFile::TestImages,
        DataFile::TestLabels,
    ];

    /// The standard name, without `.gz`.
    pub const fn name(self) -> &'static str {
        self.names()[0]
    }

    /// What it holds.
    pub const fn kind(self) -> Kind {
        match self {
            DataFile::TrainImages | DataFile::TestImages => Kind::Images,
            DataFile::TrainLabels | DataFile::TestLabels => Kind::Labels,
        }
    }

    /// The names it is looked for under, in order. The dotted ones come from unpacking on some systems.
    const fn names(self) -> [&'static str; 4] {
        macro_rules! names {
            ($set:literal, $idx:literal) => {
                [
                    concat!($set, "-", $idx),
                    concat!($set, "-", $idx, ".gz"),
                    concat!($set, ".", $idx),
                    concat!($set, ".", $idx, ".gz"),
                ]
            };
        }
        match self {
            DataFile::TrainImages => names!("train-images", "idx3-ubyte"),
            DataFile::TrainLabels => names!("train-labels", "idx1-ubyte"),
            DataFile::TestImages => names!("t10k-images", "idx3-ubyte"),
            DataFile::TestLabels => names!("t10k-labels", "idx1-ubyte"),
        }
    }

    /// Finds it in `dir`: the first name that is a regular file (or a link to one); if none is,
    /// the first that exists, for the error it will give; if none does, `None`.
    pub(super) fn find(self, dir: &Path) -> Option<PathBuf> {
        let mut other = None;
        for path in self.names().map(|name| dir.join(name)) {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => return Some(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Unpackers leave folders with the name of a file beside the file.
                Ok(_) | Err(_) => other = other.or(Some(path)),
            }
        }
        other
    }
}

/// The standard names of the files that `dir` lacks.
pub(super) fn missing(dir: &Path) -> Vec<&'static str> {
    DataFile::ALL
        .into_iter()
        .filter(|file| file.find(dir).is_none())
        .map(DataFile::name)
        .collect()
}

/// A file that has been opened and its header read.
#[derive(Debug)]
pub(super) struct Opened {
    pub path: PathBuf,
    /// Size on disk.
    pub disk_bytes: u64,
    pub reader: Reader<fs::File>,
}

impl Opened {
    pub fn open(path: PathBuf, kind: Kind) -> Result<Opened, DataError> {
        let (stream, disk_bytes) = open_regular(&path)?;
        match Reader::new(kind, stream) {
            Ok(reader) => Ok(Opened {
                path,
                disk_bytes,
                reader,
            }),
            Err(error) => Err(DataError::Idx { path, error }),
        }
    }

    pub fn read(self) -> Result<Idx, DataError> {
        let path = self.path;
        self.reader
            .read()
            .map_err(|error| DataError::Idx { path, error })
    }

    pub fn read_rows(
        self,
        take: impl FnMut(&[u8]) -> Result<(), TryReserveError>,
    ) -> Result<Origin, DataError> {
        let path = self.path;
        self.reader
            .read_rows(take)
            .map_err(|error| DataError::Idx { path, error })
    }
}

/// Opens a regular file. Opening a FIFO would wait for a writer, so what it is gets checked before;
/// and once more after, since it may have been replaced in between.
fn open_regular(path: &Path) -> Result<(fs::File, u64), DataError> {
    let check = |metadata: io::Result<fs::Metadata>| match metadata {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(metadata) => Err(DataError::NotAFile {
            path: path.into(),
            found: describe(metadata.file_type()),
        }),
        Err(source) => Err(DataError::Io {
            path: path.into(),
            source,
        }),
    };
    check(fs::metadata(path))?;
    let file = fs::File::open(path).map_err(|source| DataError::Io {
        path: path.into(),
        source,
    })?;
    let bytes = check(file.metadata())?;
    Ok((file, bytes))
}

fn describe(file_type: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a FIFO";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    if file_type.is_dir() {
        "a directory"
    } else {
        "a special file"
    }
}

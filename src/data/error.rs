//! What can be wrong with a data set, from one byte to a missing folder.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::idx::{Kind, MAX_FILE_BYTES};

/// What is wrong with the bytes of one IDX file. Offsets count raw bytes: those after decompression.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// Reading failed.
    #[error("byte {offset}: {source}")]
    Io {
        /// Raw bytes read so far.
        offset: u64,
        /// The operating system's or the reader's error.
        source: io::Error,
    },
    /// There is not one byte.
    #[error("empty, expected IDX {0}")]
    Empty(Kind),
    /// The data ends early.
    #[error("byte {found}: the data ends here, expected {expected} bytes")]
    Truncated {
        /// Bytes needed, as far as known: the header's, then the whole file's.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The data goes on after the last element.
    #[error("byte {expected}: more data follows, the header says {expected} bytes in all")]
    Trailing {
        /// Bytes by the header.
        expected: u64,
    },
    /// The first two bytes are not zero: no IDX file.
    #[error(
        "byte 0: magic number {:#010x}, expected {:#010x} (IDX {kind})",
        u32::from_be_bytes(*found), kind.magic()
    )]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
        /// What was to be read.
        kind: Kind,
    },
    /// The elements are no unsigned bytes.
    #[error("byte 2: element type {code:#04x} ({}), expected 0x08 (u8)", element_type(*code))]
    ElementType {
        /// The code found.
        code: u8,
    },
    /// The wrong number of dimensions; also what swapped image and label files look like.
    #[error("byte 3: {}{found} dimension(s), expected {} (IDX {kind})", looks_like(*found), kind.rank())]
    Rank {
        /// Dimensions by the header.
        found: u8,
        /// What was to be read.
        kind: Kind,
    },
    /// A dimension is zero.
    #[error("byte {offset}: the dimension \"{axis}\" is 0, expected at least 1")]
    ZeroDimension {
        /// Where the dimension stands in the header.
        offset: u64,
        /// Its name.
        axis: &'static str,
    },
    /// The dimensions need more bytes than we accept, or than a `u64` counts.
    #[error("byte 4: dimensions {dims}, expected at most {MAX_FILE_BYTES} bytes in all")]
    TooLarge {
        /// The dimensions, `count×rows×cols`.
        dims: String,
    },
    /// A label that is no class.
    #[error("byte {offset}: label {index} is {found}, expected 0 to {max}", max = super::CLASSES - 1)]
    Label {
        /// Where it stands.
        offset: u64,
        /// Which label, from 0.
        index: usize,
        /// Its value.
        found: u8,
    },
    /// The gzip stream is damaged, cut, or inflates to far less than its size.
    #[error("gzip, after {offset} bytes of data: {reason}")]
    Gzip {
        /// Raw bytes got out of it; the damage is somewhere after them.
        offset: u64,
        /// The decoder's words.
        reason: String,
    },
    /// Something follows the gzip stream: a second member, padding, garbage.
    #[error(
        "gzip: more bytes follow the first member, expected one member and the end of the file"
    )]
    GzipTrailing,
    /// The memory could not be had.
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
}

/// Names an IDX element type.
fn element_type(code: u8) -> &'static str {
    match code {
        0x08 => "u8",
        0x09 => "i8",
        0x0B => "i16",
        0x0C => "i32",
        0x0D => "f32",
        0x0E => "f64",
        _ => "unknown",
    }
}

/// A rank often tells which file was taken for another.
fn looks_like(rank: u8) -> &'static str {
    match rank {
        1 => "this looks like labels: ",
        3 => "this looks like images: ",
        _ => "",
    }
}

/// Why a data set cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file's content is wrong.
    #[error("{}: {error}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: IdxError,
    },
    /// A file or folder cannot be looked at or opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A directory, FIFO, socket or device where a file should be.
    #[error("{}: {found}, expected a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The path given for a data set is no folder.
    #[error("{}: no such folder; expected mnist, fashion-mnist or a folder of IDX files", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder does not have all four files.
    #[error("{}: no {}; each may be gzipped or not", dir.display(), missing.join(", no "))]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// Standard names of the files it lacks.
        missing: Vec<&'static str>,
    },
    /// A data set known by name is in none of the places.
    #[error("{name}: not found\n{}{hint}", Looks(looked))]
    NotFound {
        /// The data set.
        name: &'static str,
        /// Where we looked, in order.
        looked: Vec<Looked>,
        /// How to get it.
        hint: &'static str,
    },
    /// A file of a data set known by name has other bytes.
    #[error(
        "{}: not {name}'s {file}: SHA-256 of the raw bytes is {found}{}, expected {expected}",
        path.display(), known_as.as_ref().map(|k| format!(" ({k})")).unwrap_or_default()
    )]
    Hash {
        /// The file.
        path: PathBuf,
        /// The data set asked for.
        name: &'static str,
        /// The standard name of the file.
        file: &'static str,
        /// The digest found, in hex.
        found: String,
        /// The digest expected, in hex.
        expected: &'static str,
        /// Which known file has the digest found, if any has.
        known_as: Option<String>,
    },
    /// Images and labels differ in number.
    #[error("{what}: {images} images and {labels} labels, expected as many labels as images")]
    CountMismatch {
        /// The files or the split.
        what: String,
        /// How many images.
        images: usize,
        /// How many labels.
        labels: usize,
    },
    /// Train and test images differ in shape.
    #[error(
        "{what}: train images are {}×{} but test images {}×{}, expected one shape",
        train.0, train.1, test.0, test.1
    )]
    ShapeMismatch {
        /// The folder or data set.
        what: String,
        /// Rows and columns of a train image.
        train: (usize, usize),
        /// Rows and columns of a test image.
        test: (usize, usize),
    },
    /// Pixels given in memory do not make up whole images.
    #[error(
        "{found} bytes of pixels and {labels} labels, expected {labels}×{rows}×{cols} bytes, none of these 0"
    )]
    Pixels {
        /// Bytes given.
        found: usize,
        /// Labels given.
        labels: usize,
        /// Rows given.
        rows: usize,
        /// Columns given.
        cols: usize,
    },
    /// A label given in memory is no class.
    #[error("label {index} is {found}, expected 0 to {max}", max = super::CLASSES - 1)]
    Label {
        /// Which label, from 0.
        index: usize,
        /// Its value.
        found: u8,
    },
}

/// One place looked at for a data set, and why it was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The folder.
    pub dir: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

/// One line for each place.
struct Looks<'a>(&'a [Looked]);

impl fmt::Display for Looks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Looked { dir, why } in self.0 {
            writeln!(f, "  looked in {}: {why}", dir.display())?;
        }
        Ok(())
    }
}

//! What can be wrong with a store.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A folder or file that cannot be used.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as "read the folder".
        doing: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// Something with the name of a segment that is no regular file.
    #[error("{path} has the name of a segment but is not a file", path = .0.display())]
    NotAFile(PathBuf),
    /// Another process writes this segment.
    #[error("{path} is being written by another process", path = .0.display())]
    Locked(PathBuf),
    /// A record could not be written or synced, for instance as the disk is full. The writer
    /// takes no more; what was synced before stays.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Failed {
        /// "write to" or "sync".
        doing: &'static str,
        /// The segment.
        path: PathBuf,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// A record that does not fit the format.
    #[error("the record of run {run:?} cannot be stored: {reason}")]
    Record {
        /// The id of the run.
        run: String,
        /// What is wrong.
        reason: String,
    },
    /// A segment changed between [`Store::index`](super::Store::index) and
    /// [`Index::visit`](super::Index::visit), which nothing but damage does.
    #[error("{0}: the record that was read here is not here any more")]
    Changed(Location),
    /// Runs with more than one result.
    #[error("{}", conflicts(.0))]
    Conflicts(Vec<Conflict>),
    /// The thread that writes cannot be had.
    #[error("cannot start the thread that writes records: {0}")]
    Thread(Arc<io::Error>),
    /// Memory cannot be had.
    #[error("not enough memory for records: {0}")]
    Memory(#[from] std::collections::TryReserveError),
}

impl StoreError {
    /// For `map_err`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment.
    pub path: PathBuf,
    /// Its line, counted from 1.
    pub line: u64,
    /// Bytes before that line.
    pub offset: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, offset } = self;
        write!(f, "{}: line {line} (byte {offset})", path.display())
    }
}

/// Two records of one run with different results: one of them is corrupt, or comes from a
/// program that breaks the numerics contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The id of the run.
    pub run: String,
    /// The record that is taken.
    pub first: Location,
    /// The one that differs.
    pub second: Location,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, first, second } = self;
        write!(
            f,
            "run {run} has different results in {first} and in {second}"
        )
    }
}

/// The first few of them, one on a line.
fn conflicts(all: &[Conflict]) -> String {
    const SHOWN: usize = 5;
    let shown = all.iter().take(SHOWN).map(Conflict::to_string);
    let mut lines: Vec<String> = shown.collect();
    if all.len() > SHOWN {
        lines.push(format!("and {} more", all.len() - SHOWN));
    }
    lines.join("\n")
}

//! Where the records of a sweep are kept: a folder of append-only JSON Lines.
//!
//! # Format
//!
//! A store is a folder with *segments*, files named `segment-HOST-PID-RANDOM.jsonl`, each
//! written by one process at a time. Other files in the folder are left alone. A line is
//! one [`Record`]:
//!
//! ```text
//! {"run":"9f86…","status":"ok","host":"node7","version":"0.1.0","time":"2026-01-31T12:00:00Z",…,"crc32":"0a1b2c3d"}
//! ```
//!
//! `crc32` is always last: CRC-32 (of ISO-HDLC, as in gzip) over all bytes of the line
//! before `,"crc32":`, in eight lower-case hexadecimal digits. It finds every single flipped
//! bit, and every burst of damage up to 32 bits long. Lines are [`MAX_LINE`] bytes at most.
//! The order of lines and segments means nothing.
//!
//! # Writing
//!
//! [`Store::writer`] locks a segment. What is appended is written and synced to the disk
//! within two seconds, by a thread that does this about once a second; [`Writer::sync`] does
//! it at once. What has been synced survives `kill -9` and a power failure.
//!
//! A process that goes on with a store takes over a segment of its own host that no other
//! process has locked, and starts a new one where there is none: a sweep that is stopped
//! and resumed a thousand times does not leave a thousand segments. Those of other hosts
//! are never taken over, since not every network file system locks between machines. On a
//! file system that has no locks at all every process starts a new segment.
//!
//! # Reading
//!
//! [`Store::index`] needs no lock and disturbs no writer. It finds
//!
//! - a [`Torn`] tail, the last line of a segment if it is incomplete or its checksum
//!   is wrong: a record that was being written when the process was killed, or that is being
//!   written now. It is skipped, and cut off when the segment is next taken over;
//! - [`Damage`], lines before the last one that are no records: skipped as well, so that
//!   their runs are missing and will be run again;
//! - the same run more than once: fine if the records agree (see [`Record::agrees`]), a
//!   [`Conflict`] otherwise. A record with the status [`FAILED`] is no result, and a
//!   [`PRUNED`] one its beginning: one of the same run that says more takes its place.

mod error;
mod index;
mod merge;
mod record;
mod scan;
mod segment;
pub(super) mod sink;
mod time;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{Conflict, Location, StoreError};
pub use index::Index;
pub use merge::{Merged, merge};
pub use record::{FAILED, MAX_LINE, NOT_RESULTS, PRUNED, Record};
pub use scan::{Damage, Line, Torn};
pub use writer::Writer;

use std::path::{Path, PathBuf};

/// A folder with the records of a sweep.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in `folder`, which is created if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Io`] if that cannot be done.
    pub fn create(folder: &Path) -> Result<Self, StoreError> {
        let missing = !folder.is_dir();
        std::fs::create_dir_all(folder).map_err(StoreError::io("create the folder", folder))?;
        if missing {
            // A relative path of one component has the parent "".
            let parent = folder.parent().filter(|p| !p.as_os_str().is_empty());
            segment::sync_folder(parent.unwrap_or(Path::new(".")))?;
        }
        Self::open(folder)
    }

    /// The store in `folder`, which is only read until a [`Self::writer`] is made.
    ///
    /// # Errors
    /// [`StoreError::Io`] if there is no such folder or it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::read_dir(folder).map_err(StoreError::io("read the folder", folder))?;
        let folder = folder.to_owned();
        Ok(Self { folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The segments, sorted by name.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the folder cannot be read, [`StoreError::NotAFile`] if
    /// something else has the name of a segment.
    pub fn segments(&self) -> Result<Vec<PathBuf>, StoreError> {
        segment::list(&self.folder)
    }

    /// Reads all segments. Takes memory for the ids and statuses of the runs and for one
    /// line, not for the records.
    ///
    /// # Errors
    /// As [`Self::segments`]; [`StoreError::Io`] if a segment cannot be read. Torn tails,
    /// damage and conflicts are not errors here, see [`Index`].
    pub fn index(&self) -> Result<Index, StoreError> {
        Index::of(&[self])
    }

    /// Locks a segment, one that is there or a new one, and starts the thread that writes it.
    ///
    /// # Errors
    /// [`StoreError::Io`] if no segment can be created (as in a read-only folder);
    /// [`StoreError::Thread`].
    pub fn writer(&self) -> Result<Writer, StoreError> {
        let opened = segment::take_over_or_create(&self.folder)?;
        Writer::start(opened)
    }
}

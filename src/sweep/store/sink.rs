//! Where a writer writes to: a file, or what a test puts in its place.

use std::fs::File;
use std::io::{self, Write};

/// Bytes that can be made durable.
pub(in crate::sweep) trait Sink: Write + Send {
    /// Returns when all that was written would survive a power failure.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        // With the size, without the times.
        self.sync_data()
    }
}

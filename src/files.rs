//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that is written first: beside `path`, so that a rename suffices.
fn partial_file(path: &Path) -> PathBuf {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

/// Whether [`write_whole`] will be able to write to `path`, as far as can be told.
///
/// # Errors
/// If no file can be created there, or `path` is a folder.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::other("is a folder"));
    }
    let partial = partial_file(path);
    File::create(&partial)?;
    std::fs::remove_file(&partial)
}

/// Writes `bytes` to a file beside `path`, which then takes its place.
///
/// # Errors
/// If that cannot be done; then what was at `path` is still there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = partial_file(path);
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().inspect_err(|_| {
        // Nothing can be done about a file that cannot even be removed.
        let _ = std::fs::remove_file(&partial);
    })
}

//! Files that are written whole or not at all.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
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
    write_whole_with(path, |file| file.write_all(bytes))
}

/// [`write_whole`] of what `write` writes.
///
/// # Errors
/// As [`write_whole`], and those of `write`.
pub(crate) fn write_whole_with<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    write_through(&partial_file(path), path, write)
}

/// [`write_whole`] where other processes may write the same file at the same time: one of
/// them is the last, and nobody ever sees half a file.
///
/// # Errors
/// As [`write_whole`].
pub(crate) fn write_whole_among_others(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let pid = std::process::id();
    // The hasher's keys are random.
    let random = RandomState::new().hash_one(pid) as u32;
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{pid}-{random:08x}"));
    write_through(&partial_file(Path::new(&own)), path, |file| {
        file.write_all(bytes)
    })
}

fn write_through<E: From<io::Error>>(
    partial: &Path,
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<(), E> {
    let written = || {
        let mut file = File::create(partial)?;
        write(&mut file)?;
        file.sync_all()?;
        Ok(std::fs::rename(partial, path)?)
    };
    written().inspect_err(|_| {
        // Nothing can be done about a file that cannot even be removed.
        let _ = std::fs::remove_file(partial);
    })
}

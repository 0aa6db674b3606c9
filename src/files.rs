//! Files that are written whole or not at all.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that is written first: beside `path`, so that a rename suffices.
fn partial_file(path: &Path) -> PathBuf {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

/// What is at a path.
#[derive(Debug, PartialEq)]
enum Target {
    /// A file or nothing; the path with its symbolic links followed.
    File(PathBuf),
    /// A pipe or a device, as a terminal: it is written into. Or an open file of a process,
    /// as `/dev/stdout`: it is appended to.
    Stream,
}

/// What would be written to. Nothing but regular files is ever replaced.
fn target(path: &Path) -> io::Result<Target> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(Target::File(followed(path)?));
        }
        Err(e) => return Err(e),
    };
    if found.is_dir() {
        return Err(io::Error::other("is a folder"));
    }
    if is_stream_type(found) || found.is_file() && is_open_file(path) {
        return Ok(Target::Stream);
    }
    match found.is_file() {
        true => Ok(Target::File(followed(path)?)),
        false => Err(io::Error::other("is no file, pipe or terminal")),
    }
}

#[cfg(unix)]
fn is_stream_type(found: std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.is_fifo() || found.is_char_device()
}

#[cfg(not(unix))]
fn is_stream_type(_found: std::fs::FileType) -> bool {
    false
}

/// Whether it is a name of a file that a process has open, which a shell may have opened to
/// append to it.
fn is_open_file(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new(""));
    ["/dev/stdout", "/dev/stderr"]
        .map(Path::new)
        .contains(&path)
        || folder == Path::new("/dev/fd")
        || path.starts_with("/proc") && folder.ends_with("fd")
}

/// The path that symbolic links lead to, whether there is something or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let to = std::fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("is a link with more than 40 behind it"))
}

/// Whether [`write_whole`] would write into what is at `path`, instead of replacing it.
pub(crate) fn is_stream(path: &Path) -> bool {
    matches!(target(path), Ok(Target::Stream))
}

/// Whether [`write_whole`] will be able to write to `path`, as far as can be told.
///
/// # Errors
/// If no file can be created there, or `path` is a folder, a socket or a disk.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    match target(path)? {
        // To open a pipe is to wait for its reader.
        Target::Stream => Ok(()),
        Target::File(path) => {
            let partial = partial_file(&path);
            File::create(&partial)?;
            std::fs::remove_file(&partial)
        }
    }
}

/// Writes `bytes` to a file beside `path`, which then takes its place. Where `path` is a
/// symbolic link it stays, and the file that it leads to is replaced. Pipes, terminals and
/// such are written into.
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
    match target(path)? {
        Target::File(path) => write_through(&partial_file(&path), &path, write),
        Target::Stream => write(&mut OpenOptions::new().append(true).open(path)?),
    }
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{FileType, read_to_string, symlink_metadata};
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use tempfile::TempDir;

    fn file_type(path: &Path) -> FileType {
        symlink_metadata(path).unwrap().file_type()
    }

    fn write(path: &Path) -> io::Result<()> {
        check_writable(path)?;
        write_whole(path, b"new")
    }

    #[test]
    fn links_stay_and_their_targets_are_written() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("deep")).unwrap();
        std::fs::write(at("deep/file"), "old").unwrap();
        symlink("deep/file", at("link")).unwrap();
        symlink(at("link"), at("second")).unwrap();
        symlink("deep/none", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (link, file) in [("second", "deep/file"), ("dangling", "deep/none")] {
            write(&at(link)).unwrap();
            assert!(file_type(&at(link)).is_symlink(), "{link}");
            assert_eq!(read_to_string(at(file)).unwrap(), "new");
        }
        assert!(file_type(&at("link")).is_symlink());
        write(&at("loop")).unwrap_err();
        let names = |path: &Path| std::fs::read_dir(path).unwrap().count();
        assert_eq!((names(folder.path()), names(&at("deep"))), (5, 2));
    }

    #[test]
    fn devices_and_open_files_are_streams() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        assert_eq!(target(&path).unwrap(), Target::File(path));
        assert!(is_stream(Path::new("/dev/null")));
        let open = std::os::fd::AsRawFd::as_raw_fd(&file);
        let open = PathBuf::from(format!("/dev/fd/{open}"));
        if open.exists() {
            assert!(is_stream(&open));
        }
    }

    #[test]
    fn pipes_are_written_into_and_other_files_refused() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let error = write(&at("socket")).unwrap_err();
        assert!(error.to_string().contains("is no file"), "{error}");
        assert!(file_type(&at("socket")).is_socket());
        write(folder.path()).unwrap_err();
        std::thread::scope(|scope| {
            let mut cat = Command::new("cat");
            let cat = scope.spawn(move || cat.arg(at("pipe")).output().unwrap());
            write(&folder.path().join("pipe")).unwrap();
            assert!(file_type(&folder.path().join("pipe")).is_fifo());
            assert_eq!(cat.join().unwrap().stdout, b"new");
        });
    }
}

//! The files of a store: their names, and who writes them.

use super::error::StoreError;
use super::record::host;
use super::scan::{self, Torn};
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A segment that this process may write, at its end.
#[derive(Debug)]
pub(super) struct Opened {
    pub path: PathBuf,
    pub file: File,
    /// What was cut off.
    pub cut: Option<Torn>,
    /// Segments of this host that other processes were seen to write.
    pub busy: usize,
}

/// The segments in `folder`, sorted.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = |e| StoreError::io("read the folder", folder)(e);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        // All names that this program gives are ASCII.
        let named = |name: &str| name.starts_with("segment-") && name.ends_with(".jsonl");
        if !name.to_str().is_some_and(named) {
            continue;
        }
        let path = entry.path();
        // Reading a pipe would hang.
        if !std::fs::metadata(&path)
            .map_err(StoreError::io("read", &path))?
            .is_file()
        {
            return Err(StoreError::NotAFile(path));
        }
        paths.push(path);
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Whether `name` is that of a segment of this `host`: one host's name may begin with
/// another's and a hyphen.
fn is_of(name: &str, host: &str) -> bool {
    let rest = name
        .strip_prefix("segment-")
        .and_then(|rest| rest.strip_prefix(host))
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(".jsonl"));
    let Some((pid, random)) = rest.and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex(random) && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())
}

/// How an attempt to lock ended.
#[derive(Debug, PartialEq)]
enum Lock {
    Mine,
    /// Another process has it.
    Taken,
    /// This file system has no locks.
    None,
}

/// Whether the error of an attempt to lock says that there are no locks here.
fn has_no_locks(error: &std::io::Error) -> bool {
    // NFS without a lock server says that it is out of locks.
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOLCK) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

fn lock(path: &Path, result: Result<(), TryLockError>) -> Result<Lock, StoreError> {
    match result {
        Ok(()) => Ok(Lock::Mine),
        Err(TryLockError::WouldBlock) => Ok(Lock::Taken),
        Err(TryLockError::Error(e)) if has_no_locks(&e) => Ok(Lock::None),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", path)(e)),
    }
}

/// A segment of this host that nobody writes, or a new one.
pub(super) fn take_over_or_create(folder: &Path) -> Result<Opened, StoreError> {
    let host = host();
    let mut busy = 0;
    for path in list(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| is_of(name, &host)) {
            continue;
        }
        match take_over(&path) {
            Ok(opened) => return Ok(Opened { busy, ..opened }),
            Err(StoreError::Locked(_)) => busy += 1,
            // Another user's; or there are no locks.
            Err(StoreError::Io { source, .. })
                if matches!(
                    source.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::Unsupported
                ) => {}
            Err(error) => return Err(error),
        }
    }
    let opened = create(folder)?;
    Ok(Opened { busy, ..opened })
}

/// A new segment in `folder`.
pub(super) fn create(folder: &Path) -> Result<Opened, StoreError> {
    let (host, pid) = (host(), std::process::id());
    loop {
        // The hasher's keys are random.
        let random = RandomState::new().hash_one(pid) as u32;
        let path = folder.join(format!("segment-{host}-{pid}-{random:08x}.jsonl"));
        let mut options = OpenOptions::new();
        let file = match options.read(true).append(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(StoreError::io("create", &path)(e)),
        };
        // Without locks a new file is still this process's own.
        if lock(&path, file.try_lock())? == Lock::Taken {
            // Another process was quick to take it over.
            continue;
        }
        sync_folder(folder)?;
        return Ok(Opened {
            path,
            file,
            cut: None,
            busy: 0,
        });
    }
}

/// Locks the segment `path` and cuts off a torn tail.
pub(super) fn take_over(path: &Path) -> Result<Opened, StoreError> {
    let mut options = OpenOptions::new();
    let open = options.read(true).append(true).open(path);
    let file = open.map_err(StoreError::io("write to", path))?;
    match lock(path, file.try_lock())? {
        Lock::Mine => {}
        Lock::Taken => return Err(StoreError::Locked(path.to_owned())),
        Lock::None => return Err(StoreError::io("lock", path)(ErrorKind::Unsupported.into())),
    }
    let unsound = scan::scan(path, &file, &mut |_| Ok(()))?;
    if let Some(torn) = &unsound.torn {
        let cut = || {
            file.set_len(torn.at.offset)?;
            file.sync_all()
        };
        cut().map_err(StoreError::io("cut off the torn record in", path))?;
    }
    Ok(Opened {
        path: path.to_owned(),
        file,
        cut: unsound.torn,
        busy: 0,
    })
}

/// Makes the names of new files in a folder as durable as the files.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let sync = || File::open(folder)?.sync_all();
    match sync() {
        // Some network file systems sync names by themselves and refuse to be asked.
        Err(e) if e.kind() == ErrorKind::InvalidInput || e.kind() == ErrorKind::Unsupported => {
            Ok(())
        }
        result => result.map_err(StoreError::io("sync the folder", folder)),
    }
}

/// Elsewhere folders cannot be opened.
#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn a_segment_belongs_to_one_host() {
        assert!(is_of("segment-node-12-0a1b2c3d.jsonl", "node"));
        assert!(is_of("segment-node-1-12-0a1b2c3d.jsonl", "node-1"));
        assert!(!is_of("segment-node-1-12-0a1b2c3d.jsonl", "node"));
        assert!(!is_of("segment-node-12-0a1b2c3d.jsonl", "nod"));
        assert!(!is_of("segment-node-x-0a1b2c3d.jsonl", "node"));
        assert!(!is_of("segment-node-12-.jsonl", "node"));
        assert!(!is_of("segment-node.jsonl", "node"));
    }

    #[test]
    fn a_file_system_without_locks_is_no_error() {
        let path = Path::new("segment");
        let no_locks = Error::from(ErrorKind::Unsupported);
        let found = lock(path, Err(TryLockError::Error(no_locks)));
        assert_eq!(found.unwrap(), Lock::None);
        #[cfg(unix)]
        {
            // As NFS without a lock server says.
            let no_locks = Error::from_raw_os_error(libc::ENOLCK);
            let found = lock(path, Err(TryLockError::Error(no_locks)));
            assert_eq!(found.unwrap(), Lock::None);
        }
        let found = lock(path, Err(TryLockError::WouldBlock));
        assert_eq!(found.unwrap(), Lock::Taken);
        let broken = Error::from(ErrorKind::InvalidData);
        assert!(lock(path, Err(TryLockError::Error(broken))).is_err());
    }
}

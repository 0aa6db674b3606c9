//! Batches, locks, and disks that fail.

use super::*;
use crate::sweep::store::sink::Sink;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// A disk in memory.
#[derive(Clone, Default)]
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    /// Bytes that fit.
    room: Option<usize>,
    /// Syncs that succeed.
    syncs: Option<usize>,
    /// Is told of every sync.
    told: Option<mpsc::Sender<usize>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap();
        let room = self.room.map_or(usize::MAX, |room| room - written.len());
        let taken = bytes.len().min(room).min(1000);
        written.extend_from_slice(&bytes[..taken]);
        match taken {
            0 if !bytes.is_empty() => Err(ErrorKind::StorageFull.into()),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Disk {
    fn sync(&mut self) -> io::Result<()> {
        match &mut self.syncs {
            Some(0) => return Err(io::Error::other("the disk is gone")),
            Some(syncs) => *syncs -= 1,
            None => {}
        }
        if let Some(told) = &self.told {
            let length = self.written.lock().unwrap().len();
            told.send(length).unwrap();
        }
        Ok(())
    }
}

const LONG: Duration = Duration::from_secs(3600);

fn writer(disk: &Disk, interval: Duration) -> Writer {
    Writer::with_sink("the/segment".into(), Box::new(disk.clone()), interval).unwrap()
}

#[test]
fn an_idle_writer_syncs_by_itself() {
    let (told, syncs) = mpsc::channel();
    let disk = Disk {
        told: Some(told),
        ..Disk::default()
    };
    let writer = writer(&disk, Duration::from_millis(1));
    for n in 1..=3 {
        writer.append(&record(n)).unwrap();
        let records: Vec<Record> = (1..=n).map(record).collect();
        assert_eq!(syncs.recv().unwrap(), segment(&records).len());
    }
}

#[test]
fn a_batch_waits_for_its_time_or_its_size() {
    let (told, syncs) = mpsc::channel();
    let disk = Disk {
        told: Some(told),
        ..Disk::default()
    };
    let writer = writer(&disk, LONG);
    for n in 0..100 {
        writer.append(&record(n)).unwrap();
    }
    assert_eq!((writer.synced(), syncs.try_recv().ok()), (0, None));
    writer.sync().unwrap();
    assert_eq!(writer.synced(), 100);
    assert!(syncs.try_iter().count() <= 2);
    // Nothing to do.
    writer.sync().unwrap();
    assert_eq!(syncs.try_iter().count(), 0);
    let mut large = record(1);
    large.body.insert("x".into(), "x".repeat(1 << 20).into());
    for _ in 0..20 {
        writer.append(&large).unwrap();
    }
    assert!(syncs.iter().take(2).count() == 2);
    writer.close().unwrap();
    let written = disk.written.lock().unwrap();
    let mut expected: Vec<Record> = (0..100).map(record).collect();
    expected.extend(vec![large; 20]);
    assert!(*written == segment(&expected));
}

#[test]
fn dropping_writes_what_is_left() {
    let disk = Disk::default();
    let writer = writer(&disk, LONG);
    writer.append(&record(1)).unwrap();
    drop(writer);
    assert_eq!(*disk.written.lock().unwrap(), segment(&[record(1)]));
}

#[test]
fn threads_share_a_writer() {
    let (_folder, store) = store();
    let writer = store.writer().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let writer = &writer;
            scope.spawn(move || {
                for n in 0..100 {
                    writer.append(&record(thread * 100 + n)).unwrap();
                    if n % 32 == thread {
                        writer.sync().unwrap();
                    }
                }
            });
        }
    });
    writer.close().unwrap();
    let expected: Vec<Record> = (0..400).map(record).collect();
    assert_eq!(sound(&store), expected);
}

/// The failure is reported by everything from now on, and nothing more is written.
fn stays_failed(writer: Writer, disk: &Disk, kind: ErrorKind, says: &str) {
    let before = disk.written.lock().unwrap().clone();
    for result in [
        writer.check(),
        writer.append(&record(9)),
        writer.sync(),
        writer.append(&record(9)),
        writer.close(),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(&error, StoreError::Failed { source, .. } if source.kind() == kind));
        let message = error.to_string();
        assert!(
            message.contains("the/segment") && message.contains(says),
            "{message}"
        );
    }
    assert_eq!(*disk.written.lock().unwrap(), before);
}

#[test]
fn a_full_disk_keeps_what_was_synced() {
    let first = segment(&[record(1)]);
    for room in first.len()..2 * first.len() {
        let disk = Disk {
            room: Some(room),
            ..Disk::default()
        };
        let writer = writer(&disk, LONG);
        writer.append(&record(1)).unwrap();
        writer.sync().unwrap();
        writer.append(&record(2)).unwrap();
        assert!(writer.sync().is_err());
        assert_eq!(writer.synced(), 1);
        stays_failed(writer, &disk, ErrorKind::StorageFull, "cannot write to");
        assert_eq!(disk.written.lock().unwrap()[..first.len()], first);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_trusted() {
    let disk = Disk {
        syncs: Some(2),
        ..Disk::default()
    };
    let writer = writer(&disk, LONG);
    for n in 1..=2 {
        writer.append(&record(n)).unwrap();
        writer.sync().unwrap();
    }
    writer.append(&record(3)).unwrap();
    assert!(writer.sync().is_err());
    assert_eq!(writer.synced(), 2);
    stays_failed(writer, &disk, ErrorKind::Other, "cannot sync");
}

/// A writer that is full lets go of those who wait for room.
#[test]
fn a_failure_ends_the_wait_for_room() {
    let disk = Disk {
        room: Some(0),
        ..Disk::default()
    };
    let writer = writer(&disk, LONG);
    let mut large = record(1);
    large.body.insert("x".into(), "x".repeat(1 << 20).into());
    let failed = (0..100).find_map(|_| writer.append(&large).err());
    assert!(matches!(failed, Some(StoreError::Failed { .. })));
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_that_is_full_is_reported() {
    let full = Path::new("/dev/full");
    let file = File::options().append(true).open(full).unwrap();
    let writer = Writer::with_sink(full.into(), Box::new(file), LONG).unwrap();
    writer.append(&record(1)).unwrap();
    let message = writer.close().unwrap_err().to_string();
    assert!(
        message.starts_with("cannot write to /dev/full: No space left"),
        "{message}"
    );
}

#[test]
fn a_segment_has_one_writer() {
    let (_folder, store) = store();
    let first = store.writer().unwrap();
    let error = Writer::open(first.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked(path) if path == first.path()));
    assert!(error.to_string().contains("another process"));
    let second = store.writer().unwrap();
    assert_ne!(first.path(), second.path());
    first.append(&record(1)).unwrap();
    second.append(&record(2)).unwrap();
    let path = first.path().to_owned();
    first.close().unwrap();
    // The first is free, the second is not.
    let third = store.writer().unwrap();
    assert_eq!(third.path(), path);
    third.append(&record(3)).unwrap();
    drop((second, third));
    assert_eq!(store.segments().unwrap().len(), 2);
    assert_eq!(sound(&store).len(), 3);
}

#[test]
fn the_segment_of_another_host_is_not_touched() {
    let (folder, store) = store();
    let path = folder.path().join("segment-another.host-1-00000000.jsonl");
    let bytes = [segment(&[record(1)]), b"{".to_vec()].concat();
    std::fs::write(&path, &bytes).unwrap();
    let writer = store.writer().unwrap();
    assert_ne!(writer.path(), path);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(store.index().unwrap().torn().len(), 1);
}

#[test]
fn reading_needs_no_lock() {
    let (_folder, store) = store();
    let writer = store.writer().unwrap();
    writer.append(&record(1)).unwrap();
    writer.sync().unwrap();
    assert_eq!(sound(&store).len(), 1);
    writer.append(&record(2)).unwrap();
    writer.close().unwrap();
}

/// Where permissions do not bind (root), /proc stands for a read-only file system.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_written_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = filled(&[&[record(1)]]);
    let segment = &store.segments().unwrap()[0];
    let permit = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    permit(segment, 0o444);
    permit(folder.path(), 0o555);
    let bound = File::create(folder.path().join("x")).is_err();
    let refused = match bound {
        true => store.clone(),
        false => Store::open(Path::new("/proc/self")).unwrap(),
    };
    let error = refused.writer().unwrap_err();
    assert!(error.to_string().starts_with("cannot create "), "{error}");
    assert_eq!(sound(&store).len(), 1);
    permit(folder.path(), 0o755);
}

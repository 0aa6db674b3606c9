//! Writes a segment, in batches that are synced.

use super::error::StoreError;
use super::record::Record;
use super::scan::Torn;
use super::segment::{self, Opened};
use super::sink::Sink;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// From the first record of a batch until it is written and synced: half of the two seconds
/// that are promised, the rest is for the disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// Bytes that are not waited with.
const FULL: usize = 4 << 20;

/// Appends records to a segment, which is locked for as long as this lives (or until it
/// fails). Threads may share
/// it: [`Self::append`] does not wait for the disk unless that is slower than the runs.
///
/// Dropping it writes and syncs what was appended, [`Self::close`] also tells whether that
/// could be done.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    cut: Option<Torn>,
    busy: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something for the thread to do.
    work: Condvar,
    /// The thread has done something.
    done: Condvar,
    /// There is a failure.
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that are not written yet.
    pending: Vec<u8>,
    /// Since when there are any.
    since: Option<Instant>,
    /// Records ever appended.
    appended: u64,
    /// Those of them that are on the disk.
    synced: u64,
    /// Someone waits for what is pending.
    hurry: bool,
    closing: bool,
    /// The first failure is the last: after it nothing is known of what is on the disk.
    failure: Option<StoreError>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the thread work, then looks again.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let state = self.done.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), StoreError> {
        self.failure.clone().map_or(Ok(()), Err)
    }
}

impl Writer {
    /// Writes the segment `path`, which must be there, after cutting off a torn tail.
    /// [`Store::writer`](super::Store::writer) chooses one.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process writes it; [`StoreError::Io`];
    /// [`StoreError::Thread`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::start(segment::take_over(path)?)
    }

    pub(super) fn start(opened: Opened) -> Result<Self, StoreError> {
        let Opened {
            path,
            file,
            cut,
            busy,
        } = opened;
        let mut writer = Self::with_sink(path, Box::new(file), INTERVAL)?;
        (writer.cut, writer.busy) = (cut, busy);
        Ok(writer)
    }

    pub(in crate::sweep) fn with_sink(
        path: PathBuf,
        sink: Box<dyn Sink>,
        interval: Duration,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        let flusher = Flusher {
            shared: Arc::clone(&shared),
            path: path.clone(),
            sink,
            interval,
        };
        let thread = std::thread::Builder::new()
            .name("records".into())
            .spawn(move || flusher.run())
            .map_err(|e| StoreError::Thread(Arc::new(e)))?;
        Ok(Self {
            shared,
            thread: Some(thread),
            path,
            cut: None,
            busy: 0,
        })
    }

    /// The segment.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was cut off the segment as it was taken over.
    pub fn cut(&self) -> Option<&Torn> {
        self.cut.as_ref()
    }

    /// How many segments of this host other processes were seen to write when this one was
    /// chosen.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// Adds a record, which is on the disk within two seconds.
    ///
    /// # Errors
    /// [`StoreError::Record`] if it cannot be stored, which is no harm to others;
    /// [`StoreError::Failed`] if an earlier one could not be written or synced: from then on
    /// always; [`StoreError::Memory`].
    pub fn append(&self, record: &Record) -> Result<(), StoreError> {
        self.append_line(&record.encode()?)
    }

    /// Adds a line that is known to be sound, with its newline.
    pub(super) fn append_line(&self, line: &[u8]) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        state.check()?;
        while !state.pending.is_empty() && state.pending.len() + line.len() > 2 * FULL {
            state.hurry = true;
            self.shared.work.notify_one();
            state = self.shared.wait(state);
            state.check()?;
        }
        state.pending.try_reserve(line.len())?;
        state.pending.extend_from_slice(line);
        state.appended += 1;
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.shared.work.notify_one();
        } else if state.pending.len() >= FULL {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Returns when all that was appended is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Failed`], from then on always.
    pub fn sync(&self) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        let target = state.appended;
        while state.synced < target {
            state.check()?;
            state.hurry = true;
            self.shared.work.notify_one();
            state = self.shared.wait(state);
        }
        state.check()
    }

    /// Whether all is well so far: for a program that has nothing to append for a while.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.shared.lock().check()
    }

    /// Whether [`Self::check`] would be an error; costs next to nothing.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// How many of the appended records are on the disk.
    pub fn synced(&self) -> u64 {
        self.shared.lock().synced
    }

    /// Writes and syncs what was appended and unlocks the segment.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn close(mut self) -> Result<(), StoreError> {
        self.finish();
        self.check()
    }

    fn finish(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic: its failures are in the state.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The thread that writes.
struct Flusher {
    shared: Arc<Shared>,
    path: PathBuf,
    sink: Box<dyn Sink>,
    interval: Duration,
}

impl Flusher {
    fn run(mut self) {
        let mut batch = Vec::new();
        while let Some(records) = self.next(&mut batch) {
            let result = self.write(&batch);
            batch.clear();
            let mut state = self.shared.lock();
            match result {
                Ok(()) => state.synced = records,
                Err(error) => {
                    state.failure = Some(error);
                    self.shared.failed.store(true, Ordering::Relaxed);
                }
            }
            let failed = state.failure.is_some();
            self.shared.done.notify_all();
            if failed {
                return;
            }
        }
    }

    /// Waits until it is time to write; swaps what there is with the empty `batch`, and
    /// returns the number of records appended so far. `None` at the end.
    fn next(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.shared.lock();
        loop {
            let Some(since) = state.since else {
                if state.closing {
                    return None;
                }
                let woken = self.shared.work.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.interval.saturating_sub(since.elapsed());
            if left.is_zero() || state.hurry || state.closing || state.pending.len() >= FULL {
                break;
            }
            let woken = self.shared.work.wait_timeout(state, left);
            (state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.pending, batch);
        state.since = None;
        state.hurry = false;
        // There is room again.
        self.shared.done.notify_all();
        Some(state.appended)
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), StoreError> {
        let failed = |doing| {
            let path = self.path.clone();
            move |e: io::Error| StoreError::Failed {
                doing,
                path,
                source: Arc::new(e),
            }
        };
        let (write, sync) = (failed("write to"), failed("sync"));
        self.sink.write_all(batch).map_err(write)?;
        self.sink.sync().map_err(sync)
    }
}

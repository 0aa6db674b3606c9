//! SIGINT and SIGTERM: the first asks to finish, a second ends the process at once. Where
//! there is nothing to finish yet, the first does.
//!
//! `timeout` and schedulers signal a process and its group, so it gets the same signal twice:
//! what comes at the same moment is not a second one.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Knows whether a signal has come.
pub(super) struct Signals {
    /// 0, or the exit status of the signal that came: 128 + its number.
    status: Arc<AtomicUsize>,
}

impl Signals {
    /// From now on signals are noted instead of ending the process.
    pub(super) fn watch() -> std::io::Result<Self> {
        let status = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let code = 128 + signal;
            flag::register_conditional_shutdown(signal, code, Arc::clone(&again))?;
            let code = usize::try_from(code).unwrap_or(130);
            flag::register_usize(signal, Arc::clone(&status), code)?;
        }
        let signals = Self {
            status: Arc::clone(&status),
        };
        // Ends with the process, or soon after the first signal.
        let watch = move || {
            while signals.status().is_none() {
                std::thread::park_timeout(PAUSE);
            }
            std::thread::sleep(SAME);
            again.store(true, Ordering::Relaxed);
        };
        let thread = std::thread::Builder::new().name("signals".into());
        thread.spawn(watch)?;
        Ok(Self { status })
    }

    /// The exit status to end with, if a signal has come.
    pub(super) fn status(&self) -> Option<u8> {
        match self.status.load(Ordering::Relaxed) {
            0 => None,
            status => Some(u8::try_from(status).unwrap_or(u8::MAX)),
        }
    }
}

/// Between two looks at whether a signal has come.
const PAUSE: Duration = Duration::from_millis(50);

/// Signals this close together are one.
const SAME: Duration = Duration::from_millis(200);

/// Until this is dropped the first signal ends the process.
pub(super) struct AtOnce {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// For what takes long and leaves nothing behind: from now on a signal ends the process
    /// with its status, after `tell`.
    pub(super) fn end_at_once(
        &self,
        tell: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<AtOnce> {
        let over = Arc::new(AtomicBool::new(false));
        let signals = Self {
            status: Arc::clone(&self.status),
        };
        let ended = Arc::clone(&over);
        let watch = move || {
            while !ended.load(Ordering::Relaxed) {
                if let Some(status) = signals.status() {
                    tell();
                    std::process::exit(status.into());
                }
                std::thread::park_timeout(PAUSE);
            }
        };
        let thread = std::thread::Builder::new().name("signals".into());
        let thread = Some(thread.spawn(watch)?);
        Ok(AtOnce { over, thread })
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does not panic.
            let _ = thread.join();
        }
    }
}

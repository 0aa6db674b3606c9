//! SIGINT and SIGTERM: the first asks to finish, a second ends the process at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Knows whether a signal has come.
pub(super) struct Signals {
    /// 0, or the exit status of the signal that came: 128 + its number.
    status: Arc<AtomicUsize>,
}

impl Signals {
    /// From now on signals are noted instead of ending the process.
    pub(super) fn watch() -> std::io::Result<Self> {
        let status = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let code = 128 + signal;
            // First in order: it acts when the flag is up already, set by the others.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&seen))?;
            flag::register(signal, Arc::clone(&seen))?;
            let code = usize::try_from(code).unwrap_or(130);
            flag::register_usize(signal, Arc::clone(&status), code)?;
        }
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

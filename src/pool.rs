//! Runs on all cores: a queue of jobs, and what looks after each run.

use crate::train::{Evaluation, Observer, PretrainProgress};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Is told how the work goes on, from several threads.
pub trait Monitor: Sync {
    /// So much more of the work has been done.
    fn advance(&self, work: u64);

    /// Whether to stop: runs are broken off, and left out. Asked after every step.
    fn stopped(&self) -> bool;
}

/// Does the `jobs` in their order, on `threads` threads (at least one; fewer if they cannot
/// be had), until all are taken or `go_on` says no.
pub(crate) fn for_each<T: Sync>(
    threads: usize,
    jobs: &[T],
    go_on: impl Fn() -> bool + Sync,
    work: impl Fn(&T) + Sync,
) {
    let next = AtomicUsize::new(0);
    let take = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed))
            && go_on()
        {
            work(job);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            // With fewer threads than asked for it takes longer, that is all.
            let thread = std::thread::Builder::new();
            if thread.spawn_scoped(scope, take).is_err() {
                break;
            }
        }
        take();
    });
}

/// Tells a monitor of the steps of a run, some at a time, and ends the run when that says so.
pub(crate) struct Watch<'a> {
    monitor: &'a dyn Monitor,
    /// Work of a step.
    unit: u64,
    /// Work that is not told yet.
    left: u64,
}

/// Steps that are told together.
const STRIDE: u64 = 100;

impl<'a> Watch<'a> {
    /// Of `work` in all, `unit` is that of a step.
    pub fn new(monitor: &'a dyn Monitor, unit: u64, work: u64) -> Self {
        let left = work;
        Self {
            monitor,
            unit,
            left,
        }
    }

    /// Tells the rest: a run that ended early leaves work undone.
    pub fn finish(&mut self) {
        self.tell(self.left);
    }

    fn tell(&mut self, work: u64) {
        let work = work.min(self.left);
        self.left -= work;
        self.monitor.advance(work);
    }

    fn flow(&self) -> ControlFlow<()> {
        match self.monitor.stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Observer for Watch<'_> {
    fn evaluated(&mut self, _evaluation: Evaluation) -> ControlFlow<()> {
        self.flow()
    }

    fn stepped(&mut self, step: u64, _loss: f32) -> ControlFlow<()> {
        if step.is_multiple_of(STRIDE) {
            self.tell(STRIDE.saturating_mul(self.unit));
        }
        self.flow()
    }

    fn pretrained(&mut self, _progress: PretrainProgress) -> ControlFlow<()> {
        self.flow()
    }
}

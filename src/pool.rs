//! Runs on all cores: a queue of jobs, and what looks after each run.

use crate::train::{Evaluation, Observer, PretrainProgress};
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

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

/// Does `a`, and `b` beside it on a thread of its own; after it, where no thread can be had.
///
/// # Panics
/// If one of them does.
pub(crate) fn join<A, B: Send>(a: impl FnOnce() -> A, b: impl FnOnce() -> B + Send) -> (A, B) {
    // A thread that cannot be had does not give back what it was to do.
    let b = Mutex::new(Some(b));
    let take = || {
        let b = b.lock().unwrap_or_else(PoisonError::into_inner).take();
        b.map(|b| b())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, take);
        let a = a();
        let b = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => take(),
        };
        match b {
            Some(b) => (a, b),
            None => unreachable!("done twice"),
        }
    })
}

/// Gives `work` the `items`, which are made on a thread of their own, a few ahead; or as they are
/// asked for, where no thread can be had. Those that are not taken may not be made.
///
/// # Panics
/// If one of them does.
pub(crate) fn ahead<T: Send, R>(
    items: impl Iterator<Item = T> + Send,
    work: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
) -> R {
    const FEW: usize = 8;
    let items = Mutex::new(items);
    let lock = || items.lock().unwrap_or_else(PoisonError::into_inner);
    let (send, received) = sync_channel(FEW);
    std::thread::scope(|scope| {
        let make = move || {
            for item in &mut *lock() {
                // Nobody takes it any more.
                if send.send(item).is_err() {
                    break;
                }
            }
        };
        match std::thread::Builder::new().spawn_scoped(scope, make) {
            Ok(_) => work(&mut received.into_iter()),
            Err(_) => work(&mut *lock()),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::{ahead, join};
    use std::sync::mpsc::channel;

    #[test]
    fn join_does_both_at_once() {
        let ((to_a, from_b), (to_b, from_a)) = (channel(), channel());
        // Each waits for the other.
        let a = || to_b.send(1).map(|()| from_b.recv().unwrap() + 10);
        let b = move || to_a.send(2).map(|()| from_a.recv().unwrap() + 20);
        assert_eq!(join(a, b), (Ok(12), Ok(21)));
    }

    #[test]
    #[should_panic(expected = "of b")]
    fn join_hands_on_a_panic() {
        join(|| (), || panic!("of b"));
    }

    #[test]
    fn ahead_makes_all_in_order() {
        let found: Vec<u32> = ahead(0..1000, |items| items.collect());
        assert!(found.into_iter().eq(0..1000));
    }

    #[test]
    fn ahead_makes_no_more_than_somebody_takes_and_a_few() {
        let mut made = 0;
        let items = std::iter::repeat_with(|| made += 1);
        ahead(items, |items| items.take(5).for_each(drop));
        assert!((5..20).contains(&made), "{made} made");
    }

    #[test]
    #[should_panic]
    fn ahead_does_not_take_a_panic_for_the_end() {
        let items = (0..3).map(|i| assert!(i < 2));
        ahead(items, |items| items.for_each(drop));
    }
}

//! A small team of threads that shares the work of one training step.
//!
//! A step has a dozen parallel phases of a few microseconds. Waking a sleeping thread
//! costs more than that, so the members spin between phases (and give up their time
//! slice after a while, and sleep after a longer one).

use crate::MatMut;
use crate::parts::part_start;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};

/// The most threads a team can have.
pub const MAX_THREADS: usize = 256;

/// How often to look for work before yielding the processor, and before sleeping.
const SPINS: u32 = 4_000;
const YIELDS: u32 = 2_000;

/// A job as the members see it: a call of the closure with the member's number.
///
/// The pointee lives on the stack of a caller of [`Team::run_beside`], which does not return before
/// every member is done with it.
#[derive(Clone, Copy)]
struct Job {
    data: *const (),
    /// # Safety
    /// - `data` must be the pointer this was made with, its closure alive.
    call: unsafe fn(*const (), usize),
}

struct Shared {
    /// Incremented to start a job; members wait for it to change.
    epoch: AtomicUsize,
    /// Members still at work on the job.
    pending: AtomicUsize,
    /// Written by the leader before it changes `epoch`, read by members after.
    job: UnsafeCell<Option<Job>>,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
    sleeping: Vec<AtomicBool>,
}

// SAFETY: `job` is the only part that is not Sync. The leader writes it only while
// `pending` is 0, that is while no member reads it, and publishes it by the release
// store of `epoch`; members read it after an acquire load of that epoch and before
// their release decrement of `pending`. The closure behind it is `Sync` (`Team::run_beside`).
unsafe impl Sync for Shared {}
// SAFETY: a Job is a pointer to a `Sync` closure and a function: usable on any thread.
unsafe impl Send for Shared {}

/// Threads that run a closure together; the thread that calls is one of them.
pub struct Team {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<()>>,
    wakers: Vec<Thread>,
}

impl Team {
    /// A team of `threads`, the caller included.
    ///
    /// # Errors
    /// If the system refuses to start a thread.
    ///
    /// # Panics
    /// If `threads` is 0 or above [`MAX_THREADS`].
    pub fn new(threads: usize) -> std::io::Result<Self> {
        assert!((1..=MAX_THREADS).contains(&threads), "a team of {threads}");
        let mut team = Self {
            shared: Arc::new(Shared::new(threads)),
            members: Vec::with_capacity(threads - 1),
            wakers: Vec::with_capacity(threads - 1),
        };
        for member in 1..threads {
            let shared = Arc::clone(&team.shared);
            let handle = std::thread::Builder::new()
                .name(format!("fanin-{member}"))
                .spawn(move || shared.serve(member))?;
            team.wakers.push(handle.thread().clone());
            team.members.push(handle);
        }
        Ok(team)
    }

    /// A team of the caller alone.
    pub fn alone() -> Self {
        Self {
            shared: Arc::new(Shared::new(1)),
            members: Vec::new(),
            wakers: Vec::new(),
        }
    }

    /// How many threads it has, the caller included.
    #[inline]
    pub fn threads(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `f(member)` for each member 0 … threads − 1, each on its own thread, and
    /// returns when all have returned.
    ///
    /// # Panics
    /// With the payload of a member that panicked, after all have returned.
    pub fn run<F: Fn(usize) + Sync>(&mut self, f: F) {
        self.run_beside(&f, || f(0));
    }

    /// Calls `f(member, its own)` for each member but the caller on its own thread, while the caller
    /// calls `own`; returns what that has returned when all have. `owned` has one for each member,
    /// the caller's first, which is left alone.
    ///
    /// # Panics
    /// If `owned` does not have one for each member; with the payload of a member that panicked,
    /// after all have returned.
    pub fn beside<T: Send, R>(
        &mut self,
        owned: &mut [T],
        f: impl Fn(usize, &mut T) + Sync,
        own: impl FnOnce() -> R,
    ) -> R {
        assert!(owned.len() == self.threads(), "one for each member");
        let owned = Each(owned.as_mut_ptr());
        let owned = &owned;
        let others = |member: usize| {
            // SAFETY: member < threads = the length of `owned`, which this function has borrowed
            // mutably until all members are done; no two members have the same number.
            f(member, unsafe { owned.of(member) });
        };
        self.run_beside(&others, own)
    }

    /// Calls `f(member)` for each member but the caller, while the caller calls `own`.
    fn run_beside<F: Fn(usize) + Sync, R>(&mut self, f: &F, own: impl FnOnce() -> R) -> R {
        if self.members.is_empty() {
            return own();
        }
        /// # Safety
        /// - `data` must come from a `&F` that is alive.
        unsafe fn call<F: Fn(usize) + Sync>(data: *const (), member: usize) {
            // SAFETY: by the contract of this function.
            let f = unsafe { &*data.cast::<F>() };
            f(member);
        }
        let shared = &*self.shared;
        let job = Job {
            data: std::ptr::from_ref(f).cast(),
            call: call::<F>,
        };
        // SAFETY: `pending` is 0 (see the end of this function; `&mut self` excludes a
        // second caller), so no member reads the job now.
        unsafe { *shared.job.get() = Some(job) };
        shared.pending.store(self.members.len(), Ordering::Relaxed);
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        for (waker, sleeping) in self.wakers.iter().zip(&shared.sleeping) {
            if sleeping.load(Ordering::SeqCst) {
                waker.unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(own));
        // Nobody may leave this function, not even by a panic, before the members are
        // done with `f`.
        let mut patience = Patience::default();
        while shared.pending.load(Ordering::Acquire) != 0 {
            patience.spin_or_yield();
        }
        let theirs = shared.take_panic();
        match (own, theirs) {
            (Ok(result), None) => result,
            (Err(payload), _) | (_, Some(payload)) => resume_unwind(payload),
        }
    }

    /// Splits matrices by columns over the team, and calls `f(member, columns, parts)`
    /// on each member's thread with the same range of columns of every matrix.
    ///
    /// The ranges cover 0 … `cols`, are multiples of `granule` (but for the last) and
    /// as even as can be; a matrix with fewer columns gives what it has of the range.
    /// A member whose range is empty is not called.
    ///
    /// # Panics
    /// If `granule` is 0; with the payload of a member that panicked.
    pub fn split_cols<const N: usize, F>(
        &mut self,
        cols: usize,
        granule: usize,
        matrices: [MatMut<'_>; N],
        f: F,
    ) where
        F: Fn(usize, Range<usize>, [MatMut<'_>; N]) + Sync,
    {
        // A Vec of what has no size allocates nothing.
        let mut nothing = vec![(); self.threads()];
        self.split_cols_with(
            cols,
            granule,
            matrices,
            &mut nothing,
            |member, range, parts, ()| f(member, range, parts),
        );
    }

    /// [`Team::split_cols`], and `f` gets what the member owns besides: `owned` has one for
    /// each member.
    ///
    /// Where there is one granule only, the caller does it alone and nobody is woken.
    ///
    /// # Panics
    /// As there, and if `owned` does not have one for each member.
    pub fn split_cols_with<const N: usize, T: Send, F>(
        &mut self,
        cols: usize,
        granule: usize,
        matrices: [MatMut<'_>; N],
        owned: &mut [T],
        f: F,
    ) where
        F: Fn(usize, Range<usize>, [MatMut<'_>; N], &mut T) + Sync,
    {
        let threads = self.threads();
        assert!(owned.len() == threads, "one for each member");
        let granules = cols.div_ceil(granule);
        if threads == 1 || granules <= 1 {
            if cols > 0 {
                f(0, 0..cols, matrices, &mut owned[0]);
            }
            return;
        }
        let matrices = &matrices;
        let owned = Each(owned.as_mut_ptr());
        let owned = &owned;
        self.run(|member| {
            let range = member_range(cols, granule, threads, member);
            if range.is_empty() {
                return;
            }
            let parts = std::array::from_fn(|i| {
                let m = &matrices[i];
                let clipped = range.start.min(m.cols())..range.end.min(m.cols());
                // SAFETY: the members' ranges are disjoint (`member_range`); this member
                // takes each matrix once; `matrices` is not used besides.
                unsafe { m.alias_cols(clipped) }
            });
            // SAFETY: member < threads = the length of `owned`, which this function has
            // borrowed mutably until all members are done; no two members have the same
            // number.
            f(member, range, parts, unsafe { owned.of(member) });
        });
    }
}

/// The columns of a member where `cols` are split in multiples of `granule` over `threads`:
/// disjoint, together all. Member 0, the caller, has the last ones, member 1 those before them.
///
/// # Panics
/// If `granule` or `threads` is 0.
pub fn member_range(cols: usize, granule: usize, threads: usize, member: usize) -> Range<usize> {
    let granules = cols.div_ceil(granule);
    let boundary =
        |member: usize| cols.min((granules - part_start(granules, threads, member)) * granule);
    boundary(member + 1)..boundary(member)
}

/// Something for each member, by its number.
struct Each<T>(*mut T);

impl<T> Each<T> {
    /// The one of `member`.
    ///
    /// # Safety
    /// - There is one, it is alive as long as the reference, and nobody else has it.
    #[allow(clippy::mut_from_ref, reason = "members have one each")]
    unsafe fn of(&self, member: usize) -> &mut T {
        // SAFETY: by the contract of this function.
        unsafe { &mut *self.0.add(member) }
    }
}

// SAFETY: a member only makes a reference to the one with its own number
// (`Team::split_cols_with`), so each T is used by one thread at a time: T: Send is enough.
unsafe impl<T: Send> Sync for Each<T> {}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        for waker in &self.wakers {
            waker.unpark();
        }
        for member in self.members.drain(..) {
            // A member catches the panics of its jobs; there is nothing to report.
            let _ = member.join();
        }
    }
}

impl Shared {
    fn new(threads: usize) -> Self {
        Self {
            epoch: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            sleeping: (1..threads).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// The life of a member: wait for a job, do it, say so.
    fn serve(&self, member: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait(member, seen);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            // SAFETY: the epoch has changed, so the leader has written the job and will
            // not write again before this member has decremented `pending`.
            if let Some(job) = unsafe { *self.job.get() } {
                // SAFETY: the leader keeps the closure alive until `pending` is 0.
                let call = || unsafe { (job.call)(job.data, member) };
                if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
                    self.put_panic(payload);
                }
            }
            self.pending.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until the epoch is not `seen`, and returns it.
    fn wait(&self, member: usize, seen: usize) -> usize {
        let mut patience = Patience::default();
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch != seen {
                return epoch;
            }
            if patience.spin_or_yield() {
                continue;
            }
            // Announce the sleep, then look once more: the leader first changes the
            // epoch, then looks who sleeps. Sequentially consistent, so one sees the
            // other.
            let sleeping = &self.sleeping[member - 1];
            sleeping.store(true, Ordering::SeqCst);
            if self.epoch.load(Ordering::SeqCst) == seen {
                std::thread::park();
            }
            sleeping.store(false, Ordering::SeqCst);
        }
    }

    fn put_panic(&self, payload: Box<dyn std::any::Any + Send>) {
        let mut slot = self.panic.lock().unwrap_or_else(|e| e.into_inner());
        slot.get_or_insert(payload);
    }

    fn take_panic(&self) -> Option<Box<dyn std::any::Any + Send>> {
        let mut slot = self.panic.lock().unwrap_or_else(|e| e.into_inner());
        slot.take()
    }
}

/// Counts how long one has waited.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    /// Spins at first, then yields; false when it is time to sleep.
    #[inline]
    fn spin_or_yield(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        if self.0 <= SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
        self.0 <= SPINS + YIELDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_runs_every_job_once() {
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads).unwrap();
            assert_eq!(team.threads(), threads);
            let counts: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
            for job in 0..200 {
                team.run(|member| {
                    let before = counts[member].fetch_add(1, Ordering::Relaxed);
                    assert_eq!(before, job);
                });
            }
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 200));
        }
    }

    #[test]
    fn columns_are_split_without_gaps_or_overlaps() {
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads).unwrap();
            for (cols, granule) in [(0, 16), (5, 16), (16, 16), (70, 16), (128, 16), (7, 1)] {
                let mut wide = vec![0.0; 2 * cols];
                let mut narrow = vec![0.0; cols.saturating_sub(3)];
                let matrices = [
                    MatMut::new(&mut wide, 2, cols),
                    MatMut::new(&mut narrow, 1, cols.saturating_sub(3)),
                ];
                team.split_cols(cols, granule, matrices, |_, range, [mut a, mut b]| {
                    assert!(range.start % granule == 0);
                    for (i, c) in range.enumerate() {
                        let old = a.as_ref().get(1, i);
                        a.set(1, i, old + c as f32);
                        if i < b.cols() {
                            b.set(0, i, c as f32);
                        }
                    }
                });
                for c in 0..cols {
                    assert_eq!((wide[c], wide[cols + c]), (0.0, c as f32));
                    assert!(narrow.get(c).is_none_or(|&v| v == c as f32));
                }
            }
        }
    }

    #[test]
    fn every_member_has_its_own() {
        for threads in [1, 2, 3, 8] {
            let mut team = Team::new(threads).unwrap();
            let mut seen = vec![Vec::new(); threads];
            for cols in [0, 1, 16, 17, 70, 128] {
                seen.iter_mut().for_each(Vec::clear);
                team.split_cols_with(cols, 16, [], &mut seen, |member, range, [], seen| {
                    seen.push((member, range));
                });
                let mut next = 0;
                for (member, seen) in seen.iter().enumerate().rev() {
                    assert!(seen.len() <= 1);
                    for (by, range) in seen {
                        assert!(*by == member && range.start == next);
                        next = range.end;
                    }
                }
                assert_eq!(next, cols);
            }
        }
    }

    #[test]
    fn the_caller_does_its_own_beside_the_others() {
        let caller = std::thread::current().id();
        for threads in [1, 2, 3] {
            let mut team = Team::new(threads).unwrap();
            let mut seen = vec![None; threads];
            let mut here = None;
            let note = |member, seen: &mut Option<_>| {
                assert!(
                    seen.replace((member, std::thread::current().id()))
                        .is_none()
                );
            };
            let result = team.beside(&mut seen, note, || {
                here = Some(std::thread::current().id());
                7
            });
            assert!(result == 7 && here == Some(caller) && seen[0].is_none());
            for (m, seen) in seen.iter().enumerate().skip(1) {
                assert!(seen.is_some_and(|(member, by)| member == m && by != caller));
            }
        }
        assert_eq!(Team::alone().beside(&mut [()], |_, ()| panic!(), || 7), 7);
    }

    #[test]
    fn one_granule_is_done_by_the_caller() {
        let mut team = Team::new(3).unwrap();
        let caller = std::thread::current().id();
        team.split_cols(16, 16, [], |member, range, []| {
            assert!(member == 0 && range == (0..16));
            assert!(std::thread::current().id() == caller);
        });
    }

    #[test]
    fn members_wake_from_sleep() {
        let mut team = Team::new(2).unwrap();
        let calls = AtomicUsize::new(0);
        for _ in 0..3 {
            while !team.shared.sleeping[0].load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            team.run(|_| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(calls.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_panic_in_a_member_reaches_the_caller_and_the_team_lives_on() {
        let mut team = Team::new(3).unwrap();
        for guilty in [0, 2] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.run(|member| assert!(member != guilty, "member {member}"));
            }));
            assert!(result.is_err());
            team.run(|_| {});
        }
    }
}

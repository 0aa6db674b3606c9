//! The FMA peak: what everything is compared with.

use super::Monitor;
use super::timing::{Rate, Spread, repetitions, rounds, seconds};
use crate::{Error, Isa};
use fanin_kernels::peak;
use fanin_kernels::team::{MAX_THREADS, Team};
use serde::Serialize;
use std::hint::black_box;
use std::time::Duration;

/// Seconds of a run of FMAs: short, for that is more often undisturbed.
const RUN: f64 = 0.3e-3;

/// The FMA peak of the core that calls it, measured again and again between other things.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick {
    isa: Isa,
    /// Rounds of [`peak::fma_chains`] in a run.
    length: u64,
    best: f64,
}

impl Yardstick {
    /// For `isa`; takes a few milliseconds.
    pub fn new(isa: Isa) -> Self {
        let length = repetitions(RUN, |n| {
            black_box(peak::fma_chains(isa, n));
        });
        let mut yardstick = Self {
            isa,
            length,
            best: 0.0,
        };
        yardstick.measure();
        yardstick
    }

    /// Measures, in about a millisecond.
    pub fn measure(&mut self) {
        for _ in 0..3 {
            let mut flops = 0.0;
            let time = seconds(|| flops = black_box(peak::fma_chains(self.isa, self.length)).0);
            self.best = self.best.max(flops / time);
        }
    }

    /// The most that was measured, in flop/s.
    pub fn best(&self) -> f64 {
        self.best
    }
}

/// A line of the table: the FMA peak of an instruction set.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FmaPeak {
    /// The instruction set.
    pub isa: &'static str,
    /// Threads at work together.
    pub threads: usize,
    /// GFLOP/s of all threads.
    pub gflops: Rate,
}

/// Instruction sets whose peak is measured: those with vectors, and the one in use.
pub(super) fn instruction_sets(used: Isa) -> impl Iterator<Item = Isa> {
    Isa::available().filter(move |isa| isa.name() != "portable" || used.name() == "portable")
}

/// One core on each instruction set, then all cores on the best of them.
pub(super) fn measure(
    used: Isa,
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<Vec<FmaPeak>, Error> {
    let mut lines = Vec::new();
    let mut line = |isa: Isa, threads: usize| -> Result<(), Error> {
        if let Some(gflops) = fma(isa, threads, time, monitor)? {
            lines.push(FmaPeak {
                isa: isa.name(),
                threads,
                gflops,
            });
            monitor.line();
        }
        Ok(())
    };
    for isa in instruction_sets(used) {
        line(isa, 1)?;
    }
    line(Isa::best(), cores())?;
    Ok(lines)
}

/// Cores that this process may use, at most as many as a team can have.
pub(super) fn cores() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |n| n.get().min(MAX_THREADS))
}

fn fma(
    isa: Isa,
    threads: usize,
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<Option<Rate>, Error> {
    let mut team = Team::new(threads).map_err(Error::Threads)?;
    // Long enough that waking the threads is nothing beside it.
    let target = if threads == 1 { RUN } else { 10.0 * RUN };
    let length = repetitions(target, |n| {
        black_box(peak::fma_chains(isa, n));
    });
    let (flops, _) = peak::fma_chains(isa, length);
    let times = rounds(time, monitor, || {
        Some(seconds(|| {
            team.run(|_| {
                black_box(peak::fma_chains(isa, length));
            });
        }))
    });
    let work = flops * threads as f64;
    Ok(Spread::of(&times).map(|times| Rate::new(work, times)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_a_yardstick_only_rises() {
        let mut yardstick = Yardstick::new(Isa::best());
        let mut before = yardstick.best();
        assert!((1e7..1e13).contains(&before), "{before}");
        for _ in 0..5 {
            yardstick.measure();
            assert!(yardstick.best() >= before);
            before = yardstick.best();
        }
    }
}

//! The measured FMA peak of one core: the yardstick of every speed we report.

use fanin_kernels::{Isa, peak};
use std::time::{Duration, Instant};

/// Floating-point operations per second of one core on `isa`, the best of many short
/// runs, in about 15 ms.
///
/// The best, because a shared machine can only make it slower.
pub fn fma_peak(isa: Isa) -> f64 {
    let mut rounds = 256;
    let mut best = 0.0f64;
    let started = Instant::now();
    // Portable code may take long for a round: the time is what ends this.
    while started.elapsed() < Duration::from_millis(15) {
        let run = Instant::now();
        let (flops, sum) = peak::fma_chains(isa, rounds);
        let seconds = run.elapsed().as_secs_f64();
        std::hint::black_box(sum);
        best = best.max(flops / seconds.max(1e-9));
        if seconds < 0.5e-3 {
            rounds *= 2;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_a_plausible_number() {
        let peak = fma_peak(Isa::best());
        assert!((1e7..1e13).contains(&peak), "{peak}");
    }
}

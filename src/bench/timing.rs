//! Rounds of equal work, their times, and what is said of these.

use super::Monitor;
use crate::stats;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Rounds of a line, whatever they take: a median needs a few.
const LEAST_ROUNDS: usize = 3;
/// Rounds of a line at most: their times are kept.
const MOST_ROUNDS: usize = 100_000;

/// Times of rounds of the same work, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many rounds.
    pub rounds: usize,
    /// The fastest.
    pub min: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// Interquartile range as a share of the median: half of the rounds lie within it.
    pub spread: f64,
}

impl Spread {
    /// Of these times, which are > 0; `None` if there are none.
    #[must_use]
    pub fn of(times: &[f64]) -> Option<Self> {
        let at = |p| stats::quantile(times, p);
        let (min, median) = (at(0.0)?, at(0.5)?);
        Some(Self {
            rounds: times.len(),
            min,
            median,
            spread: (at(0.75)? - at(0.25)?) / median,
        })
    }
}

/// Work a second, in units of 10⁹.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// How many rounds.
    pub rounds: usize,
    /// In the fastest round.
    pub best: f64,
    /// In the median time.
    pub median: f64,
    /// [`Spread::spread`] of the times.
    pub spread: f64,
}

impl Rate {
    /// Of rounds of `work` each.
    #[must_use]
    pub fn new(work: f64, times: Spread) -> Self {
        Self {
            rounds: times.rounds,
            best: work / times.min / 1e9,
            median: work / times.median / 1e9,
            spread: times.spread,
        }
    }
}

/// Times of rounds, in seconds, until `time` is over (and there are three), `monitor` ends
/// it, or `round` has no time to give.
pub(super) fn rounds(
    time: Duration,
    monitor: &dyn Monitor,
    mut round: impl FnMut() -> Option<f64>,
) -> Vec<f64> {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST_ROUNDS || (started.elapsed() < time && times.len() < MOST_ROUNDS) {
        if monitor.stopped() {
            break;
        }
        match round() {
            Some(seconds) => times.push(seconds),
            None => break,
        }
    }
    times
}

/// Seconds that `work` takes; not 0, which some clocks might say.
pub(super) fn seconds(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64().max(1e-9)
}

/// How often to repeat something so that it takes about `length` seconds, or once if it
/// takes longer. `repeat` is called with rising numbers, which warms things up.
pub(super) fn repetitions(length: f64, mut repeat: impl FnMut(u64)) -> u64 {
    let mut n = 1;
    // Three times in a row, for the core may have been somebody else's: what is measured in runs
    // that are much too short is the clock.
    while n < 1 << 40 && !(0..3).all(|_| seconds(|| repeat(n)) > 0.6 * length) {
        n *= 2;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_what_one_computes_by_hand() {
        // Sorted 1 2 3 4 8: quartiles at places 1, 2 and 3.
        let spread = Spread::of(&[3.0, 8.0, 1.0, 4.0, 2.0]).unwrap();
        let expected = Spread {
            rounds: 5,
            min: 1.0,
            median: 3.0,
            spread: 2.0 / 3.0,
        };
        assert_eq!(spread, expected);
        // Places 0.75, 1.5 and 2.25 of 2 4 6 10: 3.5, 5 and 7.
        let spread = Spread::of(&[10.0, 6.0, 4.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median), (2.0, 5.0));
        assert!((spread.spread - 0.7).abs() < 1e-15);
        let one = Spread::of(&[0.5]).unwrap();
        assert_eq!((one.min, one.median, one.spread), (0.5, 0.5, 0.0));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn rates_are_work_over_time() {
        let times = Spread {
            rounds: 7,
            min: 0.5,
            median: 2.0,
            spread: 0.25,
        };
        let expected = Rate {
            rounds: 7,
            best: 6.0,
            median: 1.5,
            spread: 0.25,
        };
        assert_eq!(Rate::new(3e9, times), expected);
    }

    #[test]
    fn rounds_end_with_the_time_with_the_work_and_when_told() {
        struct Stopped;
        impl Monitor for Stopped {
            fn stopped(&self) -> bool {
                true
            }
        }
        assert_eq!(rounds(Duration::ZERO, &(), || Some(1.0)), [1.0; 3]);
        assert!(rounds(Duration::MAX, &Stopped, || Some(1.0)).is_empty());
        let mut left = [2.0, 1.0].into_iter();
        assert_eq!(rounds(Duration::MAX, &(), || left.next()), [2.0, 1.0]);
        assert_eq!(rounds(Duration::MAX, &(), || Some(1.0)).len(), MOST_ROUNDS);
    }

    #[test]
    fn repetitions_are_powers_of_two_until_it_takes_long() {
        let wait = || {
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(1) {}
        };
        let mut seen = Vec::new();
        let n = repetitions(1e-4, |n| {
            if n == 8 {
                wait();
            }
            seen.push(n);
        });
        seen.dedup();
        assert!(n <= 8 && seen == [1, 2, 4, 8][..seen.len()]);
        assert_eq!(repetitions(0.0, |_| ()), 1);
        // Of one disturbance nothing is seen.
        let mut calls = 0;
        let n = repetitions(1e-3, |n| {
            calls += 1;
            if calls == 1 || n >= 4 {
                wait();
            }
        });
        assert!(n >= 2 || calls >= 3, "{n} after {calls} calls");
    }
}

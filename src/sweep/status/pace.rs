//! How fast runs end.

use serde::Serialize;
use std::collections::BTreeMap;

/// A pace over the last minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Runs that ended, per minute.
    pub runs_per_minute: f64,
    /// Over so many seconds up to now.
    pub over_seconds: u64,
    /// Their estimated [cost](crate::sweep::cost()), flop per second; 0 if nothing is planned.
    pub cost_per_second: f64,
}

/// The shortest time that is looked back, s.
const WINDOW: u64 = 600;

/// Of longer runs so many must fit into that time.
const RUNS: f64 = 3.0;

/// Records by the second they were made in.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seconds: BTreeMap<u64, Second>,
    runs: u64,
    total: f64,
}

#[derive(Debug)]
struct Second {
    runs: u64,
    cost: f64,
    /// When the first of these runs began.
    began: u64,
}

impl Pace {
    /// A run of `cost` that took `seconds` and ended at `time`.
    pub fn add(&mut self, time: u64, seconds: f64, cost: f64) {
        let seconds = seconds.max(0.0);
        // Saturates.
        let began = time.saturating_sub(seconds.ceil() as u64);
        let second = self.seconds.entry(time).or_insert(Second {
            runs: 0,
            cost: 0.0,
            began,
        });
        second.runs += 1;
        second.cost += cost;
        second.began = second.began.min(began);
        self.runs += 1;
        self.total += seconds;
    }

    /// `None` if nothing has ended for a while: then nothing can be told of what goes on.
    ///
    /// Looks back ten minutes, or three mean runs where these are longer, but not further
    /// than to the begin of the first run that ended in this time.
    pub fn rate(&self, now: u64) -> Option<Rate> {
        let mean = self.total / self.runs.max(1) as f64;
        let window = ((RUNS * mean).ceil() as u64).max(WINDOW);
        // Clocks of other computers may be ahead.
        let recent = self.seconds.range(now.saturating_sub(window)..);
        let (mut runs, mut cost, mut began) = (0, 0.0, now);
        for (_, second) in recent {
            runs += second.runs;
            cost += second.cost;
            began = began.min(second.began);
        }
        let over_seconds = (now - began.max(now.saturating_sub(window))).max(1);
        (runs > 0).then(|| Rate {
            runs_per_minute: 60.0 * runs as f64 / over_seconds as f64,
            over_seconds,
            cost_per_second: cost / over_seconds as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn a_young_sweep_counts_from_its_first_run() {
        let mut pace = Pace::default();
        assert_eq!(pace.rate(NOW), None);
        for i in 0..10 {
            pace.add(NOW - 10 * i, 10.0, 5.0);
        }
        let rate = pace.rate(NOW).unwrap();
        assert_eq!((rate.runs_per_minute, rate.over_seconds), (6.0, 100));
        assert_eq!(rate.cost_per_second, 0.5);
        // As time goes by without records it goes down, then it is not known.
        assert_eq!(pace.rate(NOW + 100).unwrap().runs_per_minute, 3.0);
        assert_eq!(pace.rate(NOW + 601), None);
    }

    #[test]
    fn only_the_last_minutes_count() {
        let mut pace = Pace::default();
        for i in 0..7200 {
            pace.add(NOW - i, 1.0, 1.0);
        }
        // Slower before.
        pace.add(NOW - 100_000, 1.0, 1e9);
        let rate = pace.rate(NOW).unwrap();
        assert_eq!(rate.over_seconds, 600);
        assert!((rate.runs_per_minute - 60.0).abs() < 0.2, "{rate:?}");
        assert!((rate.cost_per_second - 1.0).abs() < 0.01, "{rate:?}");
    }

    #[test]
    fn long_runs_are_looked_back_for() {
        let mut pace = Pace::default();
        pace.add(NOW - 5_000, 3600.0, 1.0);
        pace.add(NOW - 1_400, 3600.0, 1.0);
        let rate = pace.rate(NOW).unwrap();
        assert_eq!(rate.over_seconds, 8_600);
    }

    #[test]
    fn clocks_and_times_may_be_wrong() {
        let mut pace = Pace::default();
        pace.add(NOW + 50, 1.0, 1.0);
        assert_eq!(pace.rate(NOW).unwrap().over_seconds, 1);
        pace.add(5, 1e300, 1.0);
        pace.add(u64::MAX, f64::NAN, 1.0);
        assert!(pace.rate(NOW).is_some());
        assert!(pace.rate(0).is_some());
    }
}

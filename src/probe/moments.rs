//! Summaries of many numbers: moments and histograms, summed in f64.

use serde::Serialize;

/// Mean, standard deviation and second moment of the values of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moments {
    /// The mean.
    pub mean: f64,
    /// The standard deviation √(mean of (x − mean)²).
    pub standard_deviation: f64,
    /// The mean of x².
    pub second_moment: f64,
}

impl Moments {
    /// Of the rows' values; zeros for no values. In two passes, for the variance of
    /// numbers that are nearly equal.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone) -> Self {
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for &x in rows.clone().flatten() {
            let x = f64::from(x);
            n += 1.0;
            sum += x;
            squares += x * x;
        }
        let n = f64::max(n, 1.0);
        let mean = sum / n;
        let deviations = rows.flatten().map(|&x| (f64::from(x) - mean).powi(2));
        Self {
            mean,
            standard_deviation: (deviations.sum::<f64>() / n).sqrt(),
            second_moment: squares / n,
        }
    }
}

/// Number of bins of a [`Histogram`].
pub const BINS: usize = 30;

/// How many values fall into each of 30 equal bins on \[−1, 1\].
///
/// A bin has its lower edge and not its upper one, the last has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// Counts of the bins.
    pub bins: [u64; BINS],
    /// Values below −1.
    pub below: u64,
    /// Values above 1.
    pub above: u64,
    /// Values that are NaN.
    pub nan: u64,
}

impl Histogram {
    /// Of the rows' values.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut histogram = Self {
            bins: [0; BINS],
            below: 0,
            above: 0,
            nan: 0,
        };
        for &x in rows.flatten() {
            let slot = match x {
                x if x.is_nan() => &mut histogram.nan,
                x if x < -1.0 => &mut histogram.below,
                x if x > 1.0 => &mut histogram.above,
                x => {
                    let place = (f64::from(x) + 1.0) / 2.0 * BINS as f64;
                    &mut histogram.bins[(place as usize).min(BINS - 1)]
                }
            };
            *slot += 1;
        }
        histogram
    }

    /// Number of values.
    pub fn total(&self) -> u64 {
        self.bins.iter().sum::<u64>() + self.below + self.above + self.nan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_by_hand() {
        let rows: [&[f32]; 2] = [&[1.0, 2.0], &[6.0]];
        let m = Moments::of(rows.iter().copied());
        assert_eq!(m.mean, 3.0);
        assert_eq!(m.second_moment, 41.0 / 3.0);
        assert!((m.standard_deviation - (14.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let none = Moments::of(std::iter::empty());
        assert_eq!((none.mean, none.standard_deviation), (0.0, 0.0));
    }

    #[test]
    fn every_value_is_counted_once_and_edges_have_their_bin() {
        let values = [
            -1.5,
            -1.0,
            -0.999,
            0.0,
            0.999,
            1.0,
            1.000_000_1,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ];
        let h = Histogram::of([&values[..]].into_iter());
        assert_eq!((h.below, h.above, h.nan), (2, 2, 1));
        assert_eq!((h.bins[0], h.bins[15], h.bins[29]), (2, 1, 2));
        assert_eq!(h.total(), 10);
    }
}

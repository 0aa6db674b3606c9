//! Statistics over seeds: a few to a few hundred values of one experiment.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What the values of one experiment over seeds have in common.
///
/// Values that are not numbers (NaN) are left out of everything and counted in `nan`.
/// The result does not depend on the order of the values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Values that are numbers, infinite ones included; at least 1.
    pub n: usize,
    /// Values that are not.
    pub nan: usize,
    /// Arithmetic mean. Infinite or NaN if a value is infinite.
    pub mean: f64,
    /// Standard deviation of the sample: √(Σ(x − mean)² ÷ (n − 1)). `None` for fewer
    /// than two values, and if one is infinite.
    pub sd: Option<f64>,
    /// 95 % confidence interval of the mean, low and high: mean ± t·sd/√n with the
    /// 0.975 quantile t of Student's distribution with n − 1 degrees of freedom. It
    /// takes the values for independent and about normal. `None` where `sd` is.
    pub ci95: Option<(f64, f64)>,
    /// The middle value, or the mean of the two in the middle.
    pub median: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Summary {
    /// Summarizes; `None` if there is no value that is a number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let n = sorted.len();
        let finite = min.is_finite() && max.is_finite();
        let mean = match finite {
            // From the least value on: exact if all are equal, and without overflow of
            // the sum.
            true => {
                let shifted = sorted.iter().map(|x| x / n as f64 - min / n as f64);
                (min + shifted.sum::<f64>()).clamp(min, max)
            }
            false => sorted.iter().sum(),
        };
        let squares = sorted.iter().map(|x| (x - mean) * (x - mean));
        let sd = (finite && n > 1).then(|| (squares.sum::<f64>() / (n - 1) as f64).sqrt());
        let ci95 = sd.and_then(|sd| {
            let half = t_quantile_975(n - 1)? * sd / (n as f64).sqrt();
            Some((mean - half, mean + half))
        });
        Some(Self {
            n,
            nan: values.len() - n,
            mean,
            sd,
            ci95,
            median: quantile_of_sorted(&sorted, 0.5),
            min,
            max,
        })
    }
}

/// The values that are numbers, least first.
fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The 0.975 quantile of N(0, 1).
const Z: f64 = 1.959_963_984_540_054;

/// The 0.975 quantile of Student's t distribution; `None` for 0 degrees of freedom.
fn t_quantile_975(freedom: usize) -> Option<f64> {
    if freedom < 1_000 {
        let t = StudentsT::new(0.0, 1.0, freedom as f64).ok()?;
        return Some(t.inverse_cdf(0.975));
    }
    // statrs loses digits here (four are left at 10⁶), and the expansion about the normal
    // quantile has all: Abramowitz and Stegun, 26.7.5.
    let (z, z2, n) = (Z, Z * Z, freedom as f64);
    let first = (z2 + 1.0) * z / 4.0;
    let second = ((5.0 * z2 + 16.0) * z2 + 3.0) * z / 96.0;
    let third = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) * z / 384.0;
    Some(z + (first + (second + third / n) / n) / n)
}

/// The middle value, or the mean of the two in the middle; NaNs are left out. `None` if
/// nothing remains.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The quantile at `p` in 0..=1, linear between values: type 7 of Hyndman and Fan,
/// "Sample quantiles in statistical packages", 1996, the default of R and NumPy.
///
/// NaNs are left out. `None` if nothing remains or `p` is outside.
#[must_use]
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let sorted = sorted(values);
    let usable = !sorted.is_empty() && (0.0..=1.0).contains(&p);
    usable.then(|| quantile_of_sorted(&sorted, p))
}

/// `sorted` must not be empty, and `p` in 0..=1.
fn quantile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * p;
    let below = place.floor() as usize;
    let (low, share) = (sorted[below], place - place.floor());
    let high = sorted[(below + 1).min(sorted.len() - 1)];
    // Between equal infinities there is nothing to interpolate, nor towards the far side.
    if share == 0.0 || low == high {
        return low;
    }
    low * (1.0 - share) + high * share
}

/// 95 % confidence interval of a share of which `k` of `n` were seen, within 0..=1:
/// Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
///
/// `None` if `n` is 0 or less than `k`.
#[must_use]
pub fn wilson(k: usize, n: usize) -> Option<(f64, f64)> {
    if n == 0 || k > n {
        return None;
    }
    let (k, n) = (k as f64, n as f64);
    let centre = k + Z * Z / 2.0;
    let half = Z * (k * (n - k) / n + Z * Z / 4.0).sqrt();
    let (low, high) = ((centre - half) / (n + Z * Z), (centre + half) / (n + Z * Z));
    // Exactly 0 and 1 at the ends, where rounding might miss them.
    let low = if k == 0.0 { 0.0 } else { low };
    let high = if k == n { 1.0 } else { high };
    Some((low, high))
}

#[cfg(test)]
mod tests;

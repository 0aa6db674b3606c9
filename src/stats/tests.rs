//! Against SciPy, published tables and closed forms.

use super::*;

fn near(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{found}, expected {expected}");
}

/// Accuracies of seven seeds.
const VALUES: [f64; 7] = [0.9312, 0.9287, 0.9341, 0.9190, 0.9305, 0.9277, 0.9333];

/// Expected: NumPy's mean, std(ddof=1) and median, scipy.stats.t.interval of SciPy.
#[test]
fn a_summary_is_what_scipy_says() {
    let s = Summary::of(&VALUES).unwrap();
    assert_eq!((s.n, s.nan), (7, 0));
    near(s.mean, 0.929_214_285_714_285_8, 1e-15);
    near(s.sd.unwrap(), 0.005_050_553_953_587_193, 1e-15);
    let (low, high) = s.ci95.unwrap();
    near(low, 0.924_543_302_363_659_8, 1e-12);
    near(high, 0.933_885_269_064_911_8, 1e-12);
    assert_eq!((s.median, s.min, s.max), (0.9305, 0.9190, 0.9341));
}

#[test]
fn order_does_not_matter_and_equal_values_are_exact() {
    let mut turned = VALUES;
    turned.rotate_left(3);
    turned.swap(0, 5);
    assert_eq!(Summary::of(&turned), Summary::of(&VALUES));
    let equal = Summary::of(&[0.1; 3]).unwrap();
    assert_eq!((equal.mean, equal.sd), (0.1, Some(0.0)));
    assert_eq!(equal.ci95, Some((0.1, 0.1)));
}

#[test]
fn few_missing_and_infinite_values() {
    assert_eq!(Summary::of(&[]), None);
    assert_eq!(Summary::of(&[f64::NAN]), None);
    let one = Summary::of(&[f64::NAN, 3.0]).unwrap();
    assert_eq!((one.n, one.nan, one.mean), (1, 1, 3.0));
    assert_eq!((one.sd, one.ci95), (None, None));
    let infinite = Summary::of(&[1.0, f64::INFINITY, 2.0]).unwrap();
    assert_eq!((infinite.mean, infinite.median), (f64::INFINITY, 2.0));
    assert_eq!((infinite.sd, infinite.ci95), (None, None));
    let huge = Summary::of(&[1.7e308, 1.7e308, 1.6e308]).unwrap();
    near(huge.mean / 1e308, 5.0 / 3.0, 1e-12);
}

/// Table of NIST/SEMATECH, e-Handbook of Statistical Methods, 1.3.6.7.2, column 0.975.
#[test]
fn t_quantiles_are_those_of_the_published_table() {
    for (freedom, expected) in [
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (6, 2.447),
        (7, 2.365),
        (8, 2.306),
        (9, 2.262),
        (10, 2.228),
        (14, 2.145),
        (19, 2.093),
        (29, 2.045),
        (30, 2.042),
        (60, 2.000),
        (99, 1.984),
        (100, 1.984),
    ] {
        near(t_quantile_975(freedom).unwrap(), expected, 0.000_5);
    }
    assert_eq!(t_quantile_975(0), None);
}

/// Closed forms for 1, 2 and 4 degrees of freedom; SciPy's stats.t.ppf(0.975, df).
#[test]
fn t_quantiles_are_exact_to_ten_digits() {
    let p: f64 = 0.975;
    let alpha = 4.0 * p * (1.0 - p);
    let four = 2.0 * ((alpha.sqrt().acos() / 3.0).cos() / alpha.sqrt() - 1.0).sqrt();
    for (freedom, expected) in [
        (1, (std::f64::consts::PI * (p - 0.5)).tan()),
        (2, (2.0 * p - 1.0) * (2.0 / alpha).sqrt()),
        (4, four),
        (3, 3.182_446_305_283_707_8),
        (9, 2.262_157_162_798_205),
        (19, 2.093_024_054_408_308_7),
        (99, 1.984_216_951_586_417_4),
        (999, 1.962_341_461_133_448_9),
        (1000, 1.962_339_080_826_408_3),
        (1_000_000, 1.959_966_356_814_107),
    ] {
        near(t_quantile_975(freedom).unwrap(), expected, 2e-9);
    }
}

/// Expected: numpy.quantile.
#[test]
fn quantiles_are_those_of_numpy() {
    for (p, expected) in [(0.1, 0.924_22), (0.25, 0.9282), (0.9, 0.933_62)] {
        near(quantile(&VALUES, p).unwrap(), expected, 1e-15);
    }
    assert_eq!(quantile(&VALUES, 0.0), Some(0.9190));
    assert_eq!(quantile(&VALUES, 1.0), Some(0.9341));
    assert_eq!(median(&[4.0, f64::NAN, 1.0, 2.0, 3.0]), Some(2.5));
    for p in [-0.1, 1.1, f64::NAN] {
        assert_eq!(quantile(&VALUES, p), None);
    }
    assert_eq!(median(&[]), None);
    let infinity = f64::INFINITY;
    assert_eq!(median(&[infinity, infinity]), Some(infinity));
    assert_eq!(quantile(&[1.0, infinity], 0.0), Some(1.0));
}

/// Expected: scipy.stats.binomtest(k, n).proportion_ci(0.95, "wilson").
#[test]
fn shares_have_the_intervals_of_scipy() {
    for (k, n, low, high) in [
        (0, 10, 0.0, 0.277_532_799_862_889_26),
        (3, 10, 0.107_791_267_406_301_02, 0.603_221_852_538_854_6),
        (9, 10, 0.595_849_973_204_761_5, 0.982_123_786_904_927_1),
        (10, 10, 0.722_467_200_137_111, 1.0),
        (1, 1, 0.206_549_314_377_237_45, 1.0),
        (57, 100, 0.472_153_895_492_123_05, 0.662_667_014_758_898_8),
    ] {
        let found = wilson(k, n).unwrap();
        near(found.0, low, 1e-14);
        near(found.1, high, 1e-14);
    }
    assert_eq!(wilson(0, 10).unwrap().0, 0.0);
    assert_eq!(wilson(10, 10).unwrap().1, 1.0);
    assert_eq!((wilson(0, 0), wilson(2, 1)), (None, None));
}

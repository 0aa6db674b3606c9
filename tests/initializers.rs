//! The initializers against PyTorch, Keras and JAX.
//!
//! `initializers/definitions.txt` says what the initializers of these libraries draw:
//! which law, with which standard deviation or limit, for five shapes of a layer; which
//! gain goes with which activation. `initializers/definitions.py`, which wrote it down, took
//! the numbers out of the libraries' own code, and says what a line means. Here fanin's
//! initializer of the name given there must draw the same, from any seed:
//!
//! - no weight is beyond the limit (but for its rounding to f32), and one of 200,000 or more
//!   comes as close as 99.99 % of the limit of a uniform law, 99.9 % of that of a truncated
//!   one: chances of e⁻²⁰ and e⁻⁴⁵ to be wrong;
//! - mean, standard deviation and kurtosis are off by at most 5 standard errors;
//! - the Kolmogorov-Smirnov distance to the law is less than what one in 10⁶ samples has;
//! - the weights are those of N(0, 1), U(−1, 1) or N(0, 1) cut at ±2 from the same seed
//!   times the standard deviation or limit, to 10⁻⁶ of it.
//!
//! The last finds an error in a scale that sampling cannot; the others show that what is
//! scaled has the right law. All of it is fixed by the seeds: it passes always or never.

use fanin::init::{Initializer, gain};
use fanin::random::{Purpose, Stream};
use fanin_kernels::MatMut;
use fanin_kernels::reference::erf;
use std::collections::HashSet;
use std::f64::consts::{PI, SQRT_2};
use std::str::FromStr;

/// Weights to judge a law by, at least.
const DRAWS: usize = 200_000;

/// The lines of the definitions that begin with `kind`, in words, without it.
fn lines(kind: &str) -> Vec<Vec<&'static str>> {
    let lines: Vec<Vec<&str>> = include_str!("initializers/definitions.txt")
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let of_kind = lines.iter().filter(|words| words[0] == kind);
    of_kind.map(|words| words[1..].to_vec()).collect()
}

fn parse<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

/// W [fan_in, fan_out], row-major.
fn matrix(name: &str, seed: u64, fan_in: usize, fan_out: usize) -> Vec<f64> {
    let mut w = vec![0f32; fan_in * fan_out];
    let mut stream = Stream::new(seed, Purpose::Weights, 0);
    parse::<Initializer>(name)
        .fill_matrix(&mut stream, MatMut::new(&mut w, fan_in, fan_out))
        .expect("memory for a small matrix");
    w.into_iter().map(f64::from).collect()
}

/// The weights of as many matrices as it takes, one of each seed.
fn draw(name: &str, fan_in: usize, fan_out: usize) -> Vec<f64> {
    let seeds = DRAWS.div_ceil(fan_in * fan_out) as u64;
    (0..seeds)
        .flat_map(|seed| matrix(name, seed, fan_in, fan_out))
        .collect()
}

/// φ of N(0, 1).
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * PI).sqrt()
}

/// Φ of N(0, 1).
fn normal_cdf(x: f64) -> f64 {
    (1.0 + erf(x / SQRT_2)) / 2.0
}

/// A law with a scale of 1, symmetric about 0.
#[derive(Clone, Copy, PartialEq)]
enum Law {
    /// N(0, 1).
    Normal,
    /// U(−1, 1).
    Uniform,
    /// N(0, 1), no more than this from 0.
    Truncated(f64),
}

impl Law {
    /// P(X ≤ x).
    fn cdf(self, x: f64) -> f64 {
        match self {
            Self::Normal => normal_cdf(x),
            Self::Uniform => ((x + 1.0) / 2.0).clamp(0.0, 1.0),
            Self::Truncated(cut) => {
                let x = x.clamp(-cut, cut);
                (normal_cdf(x) - normal_cdf(-cut)) / (normal_cdf(cut) - normal_cdf(-cut))
            }
        }
    }

    /// E[X²], E[X⁴], E[X⁶], E[X⁸].
    fn moments(self) -> [f64; 4] {
        match self {
            Self::Normal => [1.0, 3.0, 15.0, 105.0],
            Self::Uniform => [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0],
            Self::Truncated(cut) => {
                // By parts: E[X^k] = (k − 1)·E[X^(k − 2)] − 2·cut^(k − 1)·φ(cut)/mass.
                let edge = 2.0 * density(cut) / (2.0 * normal_cdf(cut) - 1.0);
                let mut last = 1.0;
                [1, 3, 5, 7].map(|k| {
                    last = f64::from(k) * last - cut.powi(k) * edge;
                    last
                })
            }
        }
    }

    /// The initializer that draws this law, and the nearest to its limit that is to be.
    fn standard(self) -> (&'static str, f64) {
        match self {
            Self::Normal => ("normal", 0.0),
            Self::Uniform => ("uniform", 0.9999),
            Self::Truncated(_) => ("truncated_normal", 0.999),
        }
    }
}

/// The Kolmogorov-Smirnov distance of `sample` to `cdf` is less than 1 in 10⁶ samples have:
/// √(ln(2/10⁻⁶)/2) / √n.
fn follows(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64, what: &str) {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let distance = sample.iter().enumerate().fold(0f64, |distance, (i, &x)| {
        let p = cdf(x);
        distance.max(p - i as f64 / n).max((i + 1) as f64 / n - p)
    });
    let critical = (2e6f64.ln() / 2.0).sqrt() / n.sqrt();
    assert!(distance < critical, "{what}: {distance} ≥ {critical}");
}

/// Weights over their scale have the mean, deviation, kurtosis and distribution of `law`.
fn has_law(weights: Vec<f64>, law: Law, what: &str) {
    let n = weights.len() as f64;
    let moment = |p| weights.iter().map(|x: &f64| x.powi(p)).sum::<f64>() / n;
    let (mean, second, fourth) = (moment(1), moment(2), moment(4));
    let [m2, m4, m6, m8] = law.moments();
    let error = 5.0 * (m2 / n).sqrt();
    assert!(mean.abs() < error, "{what}: mean {mean}, error {error}");
    // The deviation to its standard error, by the delta method.
    let error = 5.0 * ((m4 / (m2 * m2) - 1.0) / (4.0 * n)).sqrt();
    let ratio = (second / m2).sqrt();
    assert!((ratio - 1.0).abs() < error, "{what}: deviation × {ratio}");
    // So the kurtosis, for standardized moments a, b, c: (c − 4ab + 4a³ − a²)/n.
    let (a, b, c) = (m4 / m2.powi(2), m6 / m2.powi(3), m8 / m2.powi(4));
    let error = 5.0 * ((c - 4.0 * a * b + 4.0 * a.powi(3) - a * a) / n).sqrt();
    let kurtosis = fourth / (second * second);
    assert!(
        (kurtosis - a).abs() < error,
        "{what}: kurtosis {kurtosis}, not {a}"
    );
    follows(weights, |x| law.cdf(x), what);
}

#[test]
fn moments_of_the_laws() {
    // The yardstick: −1.2 and 0 are the excess kurtoses of the uniform and the normal law;
    // scipy.stats.truncnorm(-2, 2) has the standard deviation 0.8796256610342398 and the
    // excess kurtosis −0.6344632828703509.
    let excess = |law: Law| {
        let [m2, m4, ..] = law.moments();
        (m2.sqrt(), m4 / (m2 * m2) - 3.0)
    };
    let close = |a: f64, b: f64, error| assert!((a - b).abs() < error, "{a}, not {b}");
    close(excess(Law::Normal).1, 0.0, 1e-12);
    close(excess(Law::Uniform).1, -1.2, 1e-12);
    close(
        excess(Law::Truncated(2.0)).0,
        0.879_625_661_034_239_8,
        1e-12,
    );
    close(
        excess(Law::Truncated(2.0)).1,
        -0.634_463_282_870_350_9,
        1e-9,
    );
}

#[test]
fn every_weight_by_itself_has_the_law_of_the_libraries() {
    let (mut sampled, mut libraries) = (HashSet::new(), HashSet::new());
    for words in lines("law") {
        let [library, call, name, fan_in, fan_out, kind, scale, limit] = words[..] else {
            panic!("{words:?}");
        };
        let what = format!("{name} {fan_in}×{fan_out} as {call} of {library}");
        let (fan_in, fan_out) = (parse(fan_in), parse(fan_out));
        let (scale, limit): (f64, f64) = (parse(scale), parse(limit));
        let law = match kind {
            "normal" => Law::Normal,
            "uniform" => Law::Uniform,
            _ => Law::Truncated(limit / scale),
        };
        let (standard, reach) = law.standard();
        // Of the same seed, what the standard initializer draws, scaled.
        let one = matrix(name, 0, fan_in, fan_out);
        for (&w, x) in one.iter().zip(matrix(standard, 0, fan_in, fan_out)) {
            let error = (w - x * scale).abs();
            assert!(
                error <= 1e-6 * (x * scale).abs(),
                "{what}: {w}, {x} × {scale}"
            );
        }
        // The libraries agree to less than that: one sample for all.
        libraries.insert(library);
        if !sampled.insert((name, fan_in, fan_out)) {
            continue;
        }
        let mut weights = draw(name, fan_in, fan_out);
        let largest = weights.iter().fold(0f64, |m, x| m.max(x.abs()));
        let rounding = f64::from(f32::EPSILON);
        assert!(
            largest <= limit * (1.0 + rounding),
            "{what}: {largest} > {limit}"
        );
        assert!(
            reach == 0.0 || largest >= reach * limit,
            "{what}: {largest}, nowhere near {limit}"
        );
        weights.iter_mut().for_each(|w| *w /= scale);
        has_law(weights, law, &what);
    }
    assert_eq!(libraries, HashSet::from(["torch", "keras", "jax"]));
    assert!(sampled.len() >= 90, "{}", sampled.len());
}

#[test]
fn gains_are_those_of_pytorch() {
    let lines = lines("gain");
    assert_eq!(lines.len(), 8);
    for words in lines {
        let expected: f64 = parse(words[3]);
        let activation = parse(words[2]);
        assert_eq!(gain(activation), expected as f32, "{words:?}");
    }
}

#[test]
fn identities_are_those_of_the_libraries() {
    for words in lines("identity") {
        let (fan_in, fan_out): (usize, usize) = (parse(words[3]), parse(words[4]));
        let gain: f64 = parse(words[5]);
        let w = matrix(words[2], 0, fan_in, fan_out);
        for (i, &x) in w.iter().enumerate() {
            let diagonal = i / fan_out == i % fan_out;
            assert_eq!(x, if diagonal { gain } else { 0.0 }, "{words:?}: {i}");
        }
    }
}

#[test]
fn orthogonal_matrices_are_as_long_as_the_libraries() {
    for words in lines("orthogonal") {
        let (fan_in, fan_out): (usize, usize) = (parse(words[3]), parse(words[4]));
        let gain: f64 = parse(words[5]);
        let w = matrix(words[2], 0, fan_in, fan_out);
        // The vectors: columns if W is tall, else rows.
        let (vectors, length) = (fan_in.min(fan_out), fan_in.max(fan_out));
        let vectors: Vec<Vec<f64>> = if fan_in >= fan_out {
            let column = |c: usize| w.iter().skip(c).step_by(fan_out).copied().collect();
            (0..vectors).map(column).collect()
        } else {
            w.chunks_exact(length).map(<[f64]>::to_vec).collect()
        };
        for (i, a) in vectors.iter().enumerate() {
            for (j, b) in vectors[..=i].iter().enumerate() {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                let expected = if i == j { gain * gain } else { 0.0 };
                assert!((dot - expected).abs() < 1e-5, "{words:?}: {i}·{j} = {dot}");
            }
        }
    }
}

#[test]
fn orthogonal_matrices_have_the_haar_measure() {
    // Q [7, 5] and [5, 7] of the Haar measure: an entry is a coordinate of a point that is
    // uniform on the sphere in 7 dimensions, with a density ∝ (1 − x²)²; so is one of Q·v
    // (or Qᵀ·v), for any unit vector v.
    let cdf = |x: f64| 0.5 + 15.0 / 16.0 * (x - 2.0 * x.powi(3) / 3.0 + x.powi(5) / 5.0);
    let seeds = 0..4000;
    for (fan_in, fan_out) in [(7, 5), (5, 7)] {
        let draws: Vec<Vec<f64>> = seeds
            .clone()
            .map(|seed| matrix("orthogonal", seed, fan_in, fan_out))
            .collect();
        for i in 0..35 {
            let entry = draws.iter().map(|w| w[i]).collect();
            follows(entry, cdf, &format!("{fan_in}×{fan_out}: entry {i}"));
        }
        for i in 0..7 {
            // v = (1, 2, 3, 4, 5)/√55.
            let along = |w: &Vec<f64>| {
                let at = |j: usize| {
                    if fan_in == 7 {
                        w[i * 5 + j]
                    } else {
                        w[j * 7 + i]
                    }
                };
                (0..5).map(|j| (j + 1) as f64 * at(j)).sum::<f64>() / 55f64.sqrt()
            };
            let what = format!("{fan_in}×{fan_out}: coordinate {i} of Q·v");
            follows(draws.iter().map(along).collect(), cdf, &what);
        }
    }
    // Traces of a square one of five: E[tr Q] = 0, E[(tr Q)²] = 1, E[tr Q²] = 1 (Diaconis
    // and Evans, "Linear functionals of eigenvalues of random matrices", 2001); their
    // variances are 1 and twice 2, taken as 3.
    let n = seeds.end as f64;
    let mut sums = [0.0; 3];
    for seed in seeds {
        let q = matrix("orthogonal", seed, 5, 5);
        let trace: f64 = (0..5).map(|i| q[6 * i]).sum();
        let square: f64 = (0..25).map(|i| q[i] * q[i % 5 * 5 + i / 5]).sum();
        for (sum, x) in sums.iter_mut().zip([trace, trace * trace, square]) {
            *sum += x / n;
        }
    }
    let [trace, trace_squared, square] = sums;
    assert!(trace.abs() < 5.0 / n.sqrt(), "tr Q: {trace}");
    assert!(
        (trace_squared - 1.0).abs() < 5.0 * (3.0 / n).sqrt(),
        "(tr Q)²: {trace_squared}"
    );
    assert!(
        (square - 1.0).abs() < 5.0 * (3.0 / n).sqrt(),
        "tr Q²: {square}"
    );
}

#[test]
fn sparse_matrices_are_those_of_pytorch() {
    let lines = lines("sparse");
    assert!(lines.len() >= 25, "{}", lines.len());
    for words in lines {
        let (fan_in, fan_out): (usize, usize) = (parse(words[3]), parse(words[4]));
        let k: usize = parse(words[5]);
        let outgoing = words[2].starts_with("sparse_out:");
        let (units, others) = if outgoing {
            (fan_in, fan_out)
        } else {
            (fan_out, fan_in)
        };
        let (mut weights, mut chosen, mut seeds) = (vec![], vec![0; others], 0);
        while weights.len() < 20_000 {
            let w = matrix(words[2], seeds, fan_in, fan_out);
            seeds += 1;
            for unit in 0..units {
                let at = |other: usize| {
                    if outgoing {
                        w[unit * fan_out + other]
                    } else {
                        w[other * fan_out + unit]
                    }
                };
                let connected: Vec<usize> = (0..others).filter(|&i| at(i) != 0.0).collect();
                assert_eq!(connected.len(), k, "{words:?}: unit {unit}");
                for i in connected {
                    chosen[i] += 1;
                    weights.push(at(i) / 0.01);
                }
            }
        }
        // Any other unit is chosen as often: χ²/ν is 1, with the deviation √(2/ν).
        let drawn = seeds as f64 * units as f64;
        let (p, free) = (k as f64 / others as f64, (others - 1) as f64);
        let variance = drawn * p * (1.0 - p) * others as f64 / free;
        let square: f64 = chosen
            .iter()
            .map(|&c| (f64::from(c) - drawn * p).powi(2))
            .sum();
        let ratio = square / variance / free;
        assert!(
            (ratio - 1.0).abs() < 5.0 * (2.0 / free).sqrt(),
            "{words:?}: χ²/ν {ratio}"
        );
        has_law(weights, Law::Normal, &format!("{words:?}"));
    }
}

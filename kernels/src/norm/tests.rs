use super::*;

/// In the gaps between rows: a number that would be seen in every result.
const POISON: f32 = 1e30;

const ROWS: [usize; 6] = [1, 2, 3, 10, 33, 200];
const COLS: [usize; 5] = [16, 32, 48, 80, 400];

/// A row-major matrix whose rows lie `GAP` floats further apart than they are wide.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

const GAP: usize = 5;

impl Matrix {
    fn new(rows: usize, cols: usize, f: impl Fn(usize, usize) -> f32) -> Self {
        let stride = cols + GAP;
        let data = (0..rows * stride).map(|i| match i % stride {
            c if c < cols => f(i / stride, c),
            _ => POISON,
        });
        Self {
            rows,
            cols,
            data: data.collect(),
        }
    }

    fn view(&self) -> MatRef<'_> {
        MatRef::with_strides(&self.data, self.rows, self.cols, self.cols + GAP, 1)
    }

    fn view_mut(&mut self) -> MatMut<'_> {
        MatMut::with_strides(&mut self.data, self.rows, self.cols, self.cols + GAP, 1)
    }

    fn at(&self, r: usize, c: usize) -> f32 {
        self.view().get(r, c)
    }

    fn column(&self, c: usize) -> Vec<f32> {
        (0..self.rows).map(|r| self.at(r, c)).collect()
    }
}

/// Uniform in (−1, 1), by SplitMix64 of the place.
fn noise(seed: usize, r: usize, c: usize) -> f32 {
    let mut z = (seed * 1_000_003 + r * 1_009 + c + 1) as u64;
    z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn vector(seed: usize, cols: usize) -> Vec<f32> {
    (0..cols).map(|c| noise(seed, 0, c)).collect()
}

/// Columns of different means and spreads.
fn batch(rows: usize, cols: usize) -> Matrix {
    Matrix::new(rows, cols, |r, c| {
        noise(1, r, c) * (1.0 + (c % 7) as f32) + (c % 5) as f32 - 2.0
    })
}

/// As [`batch`], with values in some columns where arithmetic ends.
fn wild(rows: usize, cols: usize) -> Matrix {
    Matrix::new(rows, cols, |r, c| match c % 11 {
        1 if r == rows / 2 => f32::NAN,
        2 if r == rows / 2 => f32::INFINITY,
        3 => f32::NEG_INFINITY,
        4 => noise(1, r, c) * f32::MAX,
        5 => 0.1,
        6 => noise(1, r, c) * 1e-40,
        7 => -0.0,
        _ => noise(1, r, c),
    })
}

/// Equal bits; any NaN is any other.
fn assert_bits(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(),
            "{what} [{i}]: {got:e}, expected {expected:e}"
        );
    }
}

/// One column of everything in this module, by the order of operations it documents.
struct Column {
    mean: f32,
    variance: f32,
    inverse: f32,
    x_hat: Vec<f32>,
    u: Vec<f32>,
    dgamma: f32,
    dbeta: f32,
    delta: Vec<f32>,
}

const EPSILON: f32 = 1e-3;

fn column(x: &[f32], du: &[f32], gamma: f32, beta: f32) -> Column {
    let n = x.len() as f32;
    let mean = x.iter().fold(0.0, |sum, x| sum + x) / n;
    let squares = x.iter().fold(0.0f32, |sum, x| {
        let d = x - mean;
        d.mul_add(d, sum)
    });
    let variance = squares / n;
    let inverse = 1.0 / (variance + EPSILON).sqrt();
    let x_hat: Vec<f32> = x.iter().map(|x| (x - mean) * inverse).collect();
    let u = x_hat.iter().map(|x| gamma.mul_add(*x, beta)).collect();
    let dbeta = du.iter().fold(0.0, |sum, d| sum + d);
    let dgamma = du
        .iter()
        .zip(&x_hat)
        .fold(0.0, |sum, (d, x)| d.mul_add(*x, sum));
    let delta = du.iter().zip(&x_hat).map(|(d, x)| {
        let inner = (-x).mul_add(dgamma / n, d - dbeta / n);
        (gamma * inverse) * inner
    });
    let delta = delta.collect();
    Column {
        mean,
        variance,
        inverse,
        x_hat,
        u,
        dgamma,
        dbeta,
        delta,
    }
}

/// What the kernels make of a batch, a gradient, γ and β.
struct Outcome {
    mean: Vec<f32>,
    variance: Vec<f32>,
    inverse: Vec<f32>,
    x_hat: Matrix,
    u: Matrix,
    in_place: Matrix,
    dgamma: Vec<f32>,
    dbeta: Vec<f32>,
    delta: Matrix,
}

fn run(isa: Isa, x: &Matrix, du: &Matrix, gamma: &[f32], beta: &[f32]) -> Outcome {
    // What must be overwritten is not a number before.
    let empty = || vec![f32::NAN; x.cols];
    let mut o = Outcome {
        mean: empty(),
        variance: empty(),
        inverse: empty(),
        x_hat: x.clone(),
        u: Matrix::new(x.rows, x.cols, |_, _| f32::NAN),
        in_place: x.clone(),
        dgamma: empty(),
        dbeta: empty(),
        delta: du.clone(),
    };
    statistics(isa, x.view(), &mut o.mean, &mut o.variance);
    inverse_deviation(isa, &o.variance, EPSILON, &mut o.inverse);
    let (x_hat, u) = (o.x_hat.view_mut(), o.u.view_mut());
    normalize(isa, x_hat, &o.mean, &o.inverse, gamma, beta, u);
    let x = o.in_place.view_mut();
    normalize_in_place(isa, x, &o.mean, &o.inverse, gamma, beta);
    let (dgamma, dbeta) = (&mut o.dgamma, &mut o.dbeta);
    let delta = o.delta.view_mut();
    backward(isa, o.x_hat.view(), gamma, &o.inverse, delta, dgamma, dbeta);
    o
}

#[test]
fn bits_are_those_of_scalar_chains() {
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        for x in [batch(rows, cols), wild(rows, cols)] {
            let du = Matrix::new(rows, cols, |r, c| noise(2, r, c));
            let (gamma, beta) = (vector(3, cols), vector(4, cols));
            let expected: Vec<Column> = (0..cols)
                .map(|c| column(&x.column(c), &du.column(c), gamma[c], beta[c]))
                .collect();
            let vector = |f: fn(&Column) -> f32| expected.iter().map(f).collect::<Vec<f32>>();
            // With the gaps, which must be as they were.
            let matrix =
                |f: fn(&Column) -> &[f32]| Matrix::new(rows, cols, |r, c| f(&expected[c])[r]).data;
            for isa in Isa::available() {
                let got = run(isa, &x, &du, &gamma, &beta);
                let check = |what: &str, got: &[f32], expected: Vec<f32>| {
                    let what = format!("{isa:?} {rows}×{cols} {what}");
                    assert_bits(&what, got, &expected);
                };
                check("mean", &got.mean, vector(|c| c.mean));
                check("variance", &got.variance, vector(|c| c.variance));
                check("inverse", &got.inverse, vector(|c| c.inverse));
                check("x_hat", &got.x_hat.data, matrix(|c| &c.x_hat));
                check("u", &got.u.data, matrix(|c| &c.u));
                check("in place", &got.in_place.data, matrix(|c| &c.u));
                check("dgamma", &got.dgamma, vector(|c| c.dgamma));
                check("dbeta", &got.dbeta, vector(|c| c.dbeta));
                check("delta", &got.delta.data, matrix(|c| &c.delta));
            }
        }
    }
}

/// Of the roundings of a sum of n terms, each of relative size 2⁻²⁴, some to spare.
fn tolerance(rows: usize) -> f64 {
    (rows + 8) as f64 * f64::from(f32::EPSILON)
}

#[test]
fn values_are_those_of_the_formulas() {
    let widen = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let (n, eps) = (rows as f64, tolerance(rows));
        let mean_of = |v: &mut dyn Iterator<Item = f64>| v.sum::<f64>() / n;
        let x = batch(rows, cols);
        let du = Matrix::new(rows, cols, |r, c| noise(2, r, c));
        let (gamma, beta) = (vector(3, cols), vector(4, cols));
        let got = run(Isa::best(), &x, &du, &gamma, &beta);
        for c in 0..cols {
            let near = |what: &str, got: f32, expected: f64, scale: f64| {
                assert!(
                    (f64::from(got) - expected).abs() <= eps * scale,
                    "{rows}×{cols} {what}, column {c}: {got:e}, expected {expected:e}"
                );
            };
            let x = widen(x.column(c));
            let (g, b) = (f64::from(gamma[c]), f64::from(beta[c]));
            let mean = mean_of(&mut x.iter().copied());
            let size = mean_of(&mut x.iter().map(|x| x.abs()));
            near("mean", got.mean[c], mean, size);
            let variance = mean_of(&mut x.iter().map(|x| (x - mean) * (x - mean)));
            near("variance", got.variance[c], variance, variance + eps * size);
            let inverse = 1.0 / (variance + f64::from(EPSILON)).sqrt();
            near("inverse", got.inverse[c], inverse, 2.0 * inverse);
            for (r, x) in x.iter().enumerate() {
                let x_hat = (x - mean) * inverse;
                // The error of the mean, and that of the inverse.
                let scale = inverse * (size + x.abs()) + 3.0 * x_hat.abs();
                near("x_hat", got.x_hat.at(r, c), x_hat, scale);
                let scale = g.abs() * scale + b.abs();
                near("u", got.u.at(r, c), g.mul_add(x_hat, b), scale);
            }

            // From the x̂ and 1/√… that the kernel is given.
            let (d, x_hat) = (widen(du.column(c)), widen(got.x_hat.column(c)));
            let inverse = f64::from(got.inverse[c]);
            let products = || d.iter().zip(&x_hat).map(|(d, x)| d * x);
            let dbeta = mean_of(&mut d.iter().copied());
            let dgamma = mean_of(&mut products());
            let (size_beta, size_gamma) = (
                mean_of(&mut d.iter().map(|d| d.abs())),
                mean_of(&mut products().map(f64::abs)),
            );
            near("dbeta", got.dbeta[c], n * dbeta, n * size_beta);
            near("dgamma", got.dgamma[c], n * dgamma, n * size_gamma);
            for (r, (d, x)) in d.iter().zip(&x_hat).enumerate() {
                let expected = g * inverse * (d - dbeta - x * dgamma);
                let terms = d.abs() + size_beta + x.abs() * size_gamma;
                let scale = (g * inverse).abs() * terms;
                near("delta", got.delta.at(r, c), expected, scale);
            }
        }
    }
}

/// Σ du·u of one column in f64, from the definition.
fn weighted_sum(x: &[f64], du: &[f32], gamma: f64, beta: f64) -> f64 {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let deviation = (variance + f64::from(EPSILON)).sqrt();
    x.iter()
        .zip(du)
        .map(|(x, &du)| f64::from(du) * (gamma * (x - mean) / deviation + beta))
        .sum()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let h = 1e-3;
    // Fourth order: (8(f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h.
    let slope =
        |f: &dyn Fn(f64) -> f64| (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h);
    for rows in [1, 3, 10] {
        let x = batch(rows, 16);
        let du = Matrix::new(rows, 16, |r, c| noise(2, r, c));
        let (gamma, beta) = (vector(3, 16), vector(4, 16));
        for isa in Isa::available() {
            let got = run(isa, &x, &du, &gamma, &beta);
            for c in 0..16 {
                let (d, g, b) = (du.column(c), gamma[c].into(), beta[c].into());
                let x: Vec<f64> = x.column(c).into_iter().map(f64::from).collect();
                let near = |what: &str, got: f32, expected: f64| {
                    let error = (f64::from(got) - expected).abs();
                    assert!(
                        error <= 1e-5 * expected.abs().max(1.0),
                        "{isa:?} {rows} rows, {what} of {c}: {got:e}, expected {expected:e}"
                    );
                };
                let of_gamma = slope(&|h| weighted_sum(&x, &d, g + h, b));
                near("dgamma", got.dgamma[c], of_gamma);
                let of_beta = slope(&|h| weighted_sum(&x, &d, g, b + h));
                near("dbeta", got.dbeta[c], of_beta);
                for r in 0..rows {
                    let of_x = slope(&|h| {
                        let mut x = x.clone();
                        x[r] += h;
                        weighted_sum(&x, &d, g, b)
                    });
                    near("delta", got.delta.at(r, c), of_x);
                }
            }
        }
    }
}

#[test]
fn running_statistics_move_towards_the_unbiased_ones() {
    for cols in COLS {
        let (mean, old_mean, old_variance) = (vector(1, cols), vector(2, cols), vector(3, cols));
        let mut variance: Vec<f32> = vector(4, cols).iter().map(|v| v.abs()).collect();
        variance[3] = f32::NAN;
        variance[5] = f32::INFINITY;
        for (samples, momentum) in [(1, 0.1f32), (2, 0.1), (10, 1.0), (10_000, 0.0), (33, 0.3)] {
            let toward = |running: f32, batch: f32| momentum.mul_add(batch - running, running);
            let factor = if samples == 1 {
                1.0
            } else {
                samples as f32 / (samples - 1) as f32
            };
            let pairs = old_mean.iter().zip(&mean);
            let expected_mean: Vec<f32> = pairs.map(|(r, b)| toward(*r, *b)).collect();
            let pairs = old_variance.iter().zip(&variance);
            let expected_variance: Vec<f32> = pairs.map(|(r, b)| toward(*r, *b * factor)).collect();
            for isa in Isa::available() {
                let (mut m, mut v) = (old_mean.clone(), old_variance.clone());
                update_running(isa, momentum, samples, &mean, &variance, &mut m, &mut v);
                let what = format!("{isa:?} {cols} columns, {samples} samples");
                assert_bits(&what, &m, &expected_mean);
                assert_bits(&what, &v, &expected_variance);
            }
        }
    }
}

#[test]
fn nothing_is_done_without_rows_or_columns() {
    for isa in Isa::available() {
        let ones = vec![1.0; 16];
        let (mut a, mut b) = (vec![7.0; 16], vec![7.0; 16]);
        let empty = MatRef::new(&[], 0, 16);
        statistics(isa, empty, &mut a, &mut b);
        let none = || MatMut::with_strides(&mut [], 0, 16, 16, 1);
        normalize(isa, none(), &ones, &ones, &ones, &ones, none());
        normalize_in_place(isa, none(), &ones, &ones, &ones, &ones);
        backward(isa, empty, &ones, &ones, none(), &mut a, &mut b);
        update_running(isa, 0.5, 0, &ones, &ones, &mut a, &mut b);
        assert_eq!([&a[..], &b], [&[7.0; 16][..]; 2]);

        statistics(isa, MatRef::new(&[], 3, 0), &mut [], &mut []);
        inverse_deviation(isa, &[], 1e-3, &mut []);
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let isa = Isa::best();
    let refused = |f: &(dyn Fn() + std::panic::RefUnwindSafe)| {
        assert!(std::panic::catch_unwind(f).is_err());
    };
    let data = [1.0; 64];
    refused(&|| {
        let x = MatRef::new(&data, 2, 16);
        statistics(isa, x, &mut [0.0; 32], &mut [0.0; 16]);
    });
    refused(&|| {
        let x = MatRef::new(&data, 3, 8);
        statistics(isa, x, &mut [0.0; 8], &mut [0.0; 8]);
    });
    refused(&|| {
        let x = MatRef::with_strides(&data, 2, 16, 32, 2);
        statistics(isa, x, &mut [0.0; 16], &mut [0.0; 16]);
    });
    refused(&|| {
        // More rows than an f32 counts, all of them one.
        let x = MatRef::with_strides(&data, 1 << 24, 16, 0, 1);
        statistics(isa, x, &mut [0.0; 16], &mut [0.0; 16]);
    });
    refused(&|| inverse_deviation(isa, &[1.0; 16], 1e-3, &mut [0.0; 32]));
    refused(&|| inverse_deviation(isa, &[1.0; 8], 1e-3, &mut [0.0; 8]));
    refused(&|| {
        let v = [1.0; 16];
        let (mut x, mut u) = ([1.0; 32], [1.0; 32]);
        let (x, u) = (MatMut::new(&mut x, 2, 16), MatMut::new(&mut u, 1, 16));
        normalize(isa, x, &v, &v, &v, &v, u);
    });
    refused(&|| {
        let v = [1.0; 16];
        let mut x = [1.0; 32];
        normalize_in_place(isa, MatMut::new(&mut x, 2, 16), &v, &v, &v[..15], &v);
    });
    refused(&|| {
        let (v, mut g, mut b, mut d) = ([1.0; 16], [1.0; 16], [1.0; 16], [1.0; 48]);
        let x = MatRef::new(&data, 2, 16);
        backward(isa, x, &v, &v, MatMut::new(&mut d, 3, 16), &mut g, &mut b);
    });
    refused(&|| {
        let (v, mut a, mut b) = ([1.0; 16], [1.0; 16], [1.0; 8]);
        update_running(isa, 0.1, 2, &v, &v, &mut a, &mut b);
    });
}

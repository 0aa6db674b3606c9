//! The `f64` oracle that the tests compare with: plain loops, straight from the formulas.
//!
//! Slow and simple on purpose; nothing here is used in training. Matrices are
//! row-major without gaps unless they are [`MatRef`]s.

use crate::{Activation, Loss, MatRef};
use std::f64::consts::{PI, SQRT_2};

mod mlp;
pub use mlp::{Layer, LayerGradient, Mlp, Norm, Placement};

/// The error function, to about 1e-15.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 2.5 {
        // erf x = 2/√π · exp(−x²) · Σ 2ᵏ x²ᵏ⁺¹ / (2k+1)!!; all terms have one sign.
        let (mut term, mut sum, mut k) = (x, 0.0, 0.0);
        while sum + term != sum {
            sum += term;
            k += 1.0;
            term *= 2.0 * x * x / (2.0 * k + 1.0);
        }
        2.0 / PI.sqrt() * (-x * x).exp() * sum
    } else if x.abs() < 6.0 {
        (1.0 - erfc(x.abs())).copysign(x)
    } else if x.is_nan() {
        x
    } else {
        1f64.copysign(x)
    }
}

/// 1 − erf x, with small relative error for large x.
pub fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        return 1.0 - erf(x);
    }
    // exp(−x²)/√π / (x + ½/(x + 1/(x + (3/2)/(x + …)))), Laplace's continued fraction.
    let tail = (1..=120)
        .rev()
        .fold(0.0, |tail, k| 0.5 * f64::from(k) / (x + tail));
    (-x * x).exp() / PI.sqrt() / (x + tail)
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

fn normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

const SELU_LAMBDA: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// f(z).
pub fn activate(f: Activation, z: f64) -> f64 {
    match f {
        Activation::Identity => z,
        Activation::Sigmoid => sigmoid(z),
        Activation::Tanh => z.tanh(),
        Activation::Relu => z.max(0.0),
        Activation::LeakyRelu { slope } if z <= 0.0 => f64::from(slope) * z,
        Activation::LeakyRelu { .. } => z,
        Activation::Elu { alpha } if z <= 0.0 => f64::from(alpha) * z.exp_m1(),
        Activation::Elu { .. } => z,
        Activation::Selu if z <= 0.0 => SELU_LAMBDA * SELU_ALPHA * z.exp_m1(),
        Activation::Selu => SELU_LAMBDA * z,
        Activation::Gelu => z * normal_cdf(z),
        Activation::Softplus => z.max(0.0) + (-z.abs()).exp().ln_1p(),
        Activation::Swish => z * sigmoid(z),
    }
}

/// f′(z).
pub fn derivative(f: Activation, z: f64) -> f64 {
    match f {
        Activation::Identity => 1.0,
        Activation::Sigmoid => sigmoid(z) * sigmoid(-z),
        Activation::Tanh => z.cosh().powi(-2),
        Activation::Relu => f64::from(z > 0.0),
        Activation::LeakyRelu { slope } if z <= 0.0 => f64::from(slope),
        Activation::LeakyRelu { .. } => 1.0,
        Activation::Elu { alpha } if z <= 0.0 => f64::from(alpha) * z.exp(),
        Activation::Elu { .. } => 1.0,
        Activation::Selu if z <= 0.0 => SELU_LAMBDA * SELU_ALPHA * z.exp(),
        Activation::Selu => SELU_LAMBDA,
        Activation::Gelu => normal_cdf(z) + z * normal_pdf(z),
        Activation::Softplus => sigmoid(z),
        Activation::Swish => sigmoid(z) * (1.0 + z * sigmoid(-z)),
    }
}

/// Loss and gradient of one sample with outputs `y` and targets `t`.
///
/// # Panics
/// If the lengths differ.
pub fn loss_and_gradient(loss: Loss, y: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    assert_eq!(y.len(), t.len());
    let pairs = || y.iter().zip(t);
    match loss {
        Loss::Mse => (
            pairs().map(|(y, t)| 0.5 * (y - t) * (y - t)).sum(),
            pairs().map(|(y, t)| y - t).collect(),
        ),
        Loss::CrossEntropy => {
            let max = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = max + y.iter().map(|y| (y - max).exp()).sum::<f64>().ln();
            (
                pairs().map(|(y, t)| t * (log_sum - y)).sum(),
                pairs().map(|(y, t)| (y - log_sum).exp() - t).collect(),
            )
        }
    }
}

/// alpha·A·B + beta·C, row-major.
///
/// # Panics
/// If the shapes do not match.
pub fn gemm(alpha: f64, a: MatRef, b: MatRef, beta: f64, c: MatRef) -> Vec<f64> {
    assert_eq!(
        (a.rows(), a.cols(), b.cols()),
        (c.rows(), b.rows(), c.cols())
    );
    let mut out = Vec::with_capacity(c.rows() * c.cols());
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let mut sum = 0.0;
            for k in 0..a.cols() {
                sum += f64::from(a.get(i, k)) * f64::from(b.get(k, j));
            }
            // As in BLAS: C is not read where beta = 0, it may hold NaN.
            let old = if beta == 0.0 {
                0.0
            } else {
                beta * f64::from(c.get(i, j))
            };
            out.push(alpha * sum + old);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_at_known_points() {
        // Abramowitz and Stegun, table 7.1; erfc from table 7.2 and its asymptotics.
        let near = [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_9),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ];
        for (x, want) in near {
            assert!((erf(x) - want).abs() < 2e-15, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        for (x, want) in [
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_035e-12),
        ] {
            assert!(
                (erfc(x) / want - 1.0).abs() < 1e-13,
                "erfc({x}) = {}",
                erfc(x)
            );
        }
        // Where the series meets the continued fraction.
        assert!((erf(2.499_999_999) - erf(2.500_000_001)).abs() < 5e-12);
        assert_eq!(erf(f64::INFINITY), 1.0);
        assert!(erf(f64::NAN).is_nan());
    }

    #[test]
    fn gemm_of_transposed_and_padded_operands() {
        let a = [1.0, 2.0, 3.0, f32::NAN, 4.0, 5.0, 6.0, f32::NAN];
        let b = [7.0, 8.0, 9.0];
        let a = MatRef::with_strides(&a, 2, 3, 4, 1);
        let b = MatRef::new(&b, 3, 1);
        let c = [1.0, f32::NAN];
        let c1 = MatRef::with_strides(&c[..1], 2, 1, 0, 1);
        assert_eq!(gemm(2.0, a, b, 3.0, c1), [103.0, 247.0]);
        let nan = MatRef::with_strides(&c[1..], 2, 1, 0, 1);
        assert_eq!(gemm(1.0, a, b, 0.0, nan), [50.0, 122.0]);
        let t = gemm(1.0, b.transposed(), a.transposed(), 0.0, nan.transposed());
        assert_eq!(t, [50.0, 122.0]);
    }
}

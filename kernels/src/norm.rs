//! Batch normalization: the statistics of a batch, the forward and the backward pass.
//!
//! A column is a unit, a row a sample: `u = γ·x̂ + β` with `x̂ = (x − mean)/√(variance + ε)`,
//! mean and variance over the rows. Matrices have contiguous columns, a multiple of 16 of
//! them; vectors have one element for each column.
//!
//! A sum over the samples is one chain in ascending rows that starts from 0, so the bits
//! of a column depend on nothing but that column: not on the instruction set, on how many
//! columns are done at once, or on a cut of the columns among threads.
//!
//! Columns of padding, where x, δ, γ and β are 0, stay 0.
//!
//! Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by
//! Reducing Internal Covariate Shift", 2015, algorithm 1 and section 3.

use crate::{Isa, LANES, MatMut, MatRef};
use columns::{Backward, InverseDeviation, Normalize, Panels, Statistics, UpdateRunning};

mod columns;
#[cfg(test)]
mod tests;

/// Batches have fewer samples than this: up to here counts are exact as `f32`.
pub const MAX_SAMPLES: usize = 1 << 24;

/// The number of samples as the kernels divide by it: exact.
fn exact(samples: usize) -> f32 {
    assert!(
        samples < MAX_SAMPLES,
        "{samples} samples: more than an f32 can count"
    );
    samples as f32
}

fn assert_lines(x: &MatRef<'_>, vectors: &[usize]) {
    assert!(
        x.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(x.col_stride() == 1);
    assert!(vectors.iter().all(|&len| len == x.cols()));
}

fn assert_same_shape(x: &MatRef<'_>, y: &MatRef<'_>) {
    assert!(x.rows() == y.rows() && x.cols() == y.cols());
    assert!(x.col_stride() == 1 && y.col_stride() == 1);
}

fn assert_vectors(cols: usize, vectors: &[usize]) {
    assert!(cols.is_multiple_of(LANES), "whole registers");
    assert!(vectors.iter().all(|&len| len == cols));
}

/// The mean and the biased variance of each column of a batch, in two passes.
///
/// With n rows, for each column:
///
/// - `mean ← (Σ x)/n`
/// - `variance ← (Σ fma(d, d, ·))/n` with `d = x − mean`
///
/// Shapes: `x` \[n, cols\], `mean` and `variance` \[cols\]. Without rows nothing is done.
///
/// # Panics
/// If the shapes do not fit together, the columns are not contiguous or no multiple of
/// 16, or n ≥ 2²⁴.
pub fn statistics(isa: Isa, x: MatRef<'_>, mean: &mut [f32], variance: &mut [f32]) {
    assert_lines(&x, &[mean.len(), variance.len()]);
    let n = exact(x.rows());
    if x.rows() == 0 {
        return;
    }
    isa.dispatch(Panels {
        cols: x.cols(),
        work: Statistics {
            n,
            x,
            mean,
            variance,
        },
    });
}

/// `inverse ← 1/√(variance + epsilon)`, with `epsilon` > 0: a sum, a root, a quotient.
///
/// # Panics
/// Unless both have one length, a multiple of 16.
pub fn inverse_deviation(isa: Isa, variance: &[f32], epsilon: f32, inverse: &mut [f32]) {
    assert_vectors(variance.len(), &[inverse.len()]);
    isa.dispatch(Panels {
        cols: variance.len(),
        work: InverseDeviation {
            variance,
            epsilon,
            inverse,
        },
    });
}

/// `x ← (x − mean)·inverse`, which is x̂, and `u ← fma(gamma, x̂, beta)`.
///
/// Shapes: `x` and `u` \[rows, cols\], the others \[cols\].
///
/// # Panics
/// If the shapes do not fit together, or the columns are not contiguous or no multiple of
/// 16.
pub fn normalize(
    isa: Isa,
    x: MatMut<'_>,
    mean: &[f32],
    inverse: &[f32],
    gamma: &[f32],
    beta: &[f32],
    u: MatMut<'_>,
) {
    assert_same_shape(&x.as_ref(), &u.as_ref());
    normalize_both(isa, x, mean, inverse, gamma, beta, Some(u));
}

/// `x ← fma(gamma, (x − mean)·inverse, beta)`: what [`normalize`] gives as u, to the bit.
///
/// Shapes: `x` \[rows, cols\], the others \[cols\].
///
/// # Panics
/// If the shapes do not fit together, or the columns are not contiguous or no multiple of
/// 16.
pub fn normalize_in_place(
    isa: Isa,
    x: MatMut<'_>,
    mean: &[f32],
    inverse: &[f32],
    gamma: &[f32],
    beta: &[f32],
) {
    normalize_both(isa, x, mean, inverse, gamma, beta, None);
}

fn normalize_both(
    isa: Isa,
    x: MatMut<'_>,
    mean: &[f32],
    inverse: &[f32],
    gamma: &[f32],
    beta: &[f32],
    u: Option<MatMut<'_>>,
) {
    let vectors = [mean.len(), inverse.len(), gamma.len(), beta.len()];
    assert_lines(&x.as_ref(), &vectors);
    isa.dispatch(Panels {
        cols: x.cols(),
        work: Normalize {
            x,
            mean,
            inverse,
            gamma,
            beta,
            u,
        },
    });
}

/// From `delta` = dL/du to dL/dx in place, and the gradients of γ and β.
///
/// With n rows, for each column:
///
/// - `dbeta ← Σ du`
/// - `dgamma ← Σ fma(du, x̂, ·)`
/// - `delta ← (gamma·inverse)·fma(−x̂, dgamma/n, du − dbeta/n)`
///
/// Shapes: `x_hat` (as [`normalize`] leaves it) and `delta` \[n, cols\], the others
/// \[cols\]; `inverse` is that of the same batch. L may be a sum or a mean over the
/// samples: all is linear in `delta`. Without rows nothing is done.
///
/// # Panics
/// If the shapes do not fit together, the columns are not contiguous or no multiple of
/// 16, or n ≥ 2²⁴.
pub fn backward(
    isa: Isa,
    x_hat: MatRef<'_>,
    gamma: &[f32],
    inverse: &[f32],
    delta: MatMut<'_>,
    dgamma: &mut [f32],
    dbeta: &mut [f32],
) {
    let vectors = [gamma.len(), inverse.len(), dgamma.len(), dbeta.len()];
    assert_lines(&x_hat, &vectors);
    assert_same_shape(&x_hat, &delta.as_ref());
    let n = exact(x_hat.rows());
    if x_hat.rows() == 0 {
        return;
    }
    isa.dispatch(Panels {
        cols: x_hat.cols(),
        work: Backward {
            n,
            x_hat,
            gamma,
            inverse,
            delta,
            dgamma,
            dbeta,
        },
    });
}

/// Moves running statistics towards those of a batch of `samples`:
/// `running ← fma(momentum, batch − running, running)`.
///
/// The running variance takes the unbiased one, `variance·(n/(n − 1))` with the quotient
/// rounded first; of one sample the variance as it is. For no samples nothing is done.
/// `momentum` is 0 to 1.
///
/// # Panics
/// Unless all have one length, a multiple of 16, and `samples` < 2²⁴.
pub fn update_running(
    isa: Isa,
    momentum: f32,
    samples: usize,
    mean: &[f32],
    variance: &[f32],
    running_mean: &mut [f32],
    running_variance: &mut [f32],
) {
    let others = [variance.len(), running_mean.len(), running_variance.len()];
    assert_vectors(mean.len(), &others);
    let n = exact(samples);
    if samples == 0 {
        return;
    }
    isa.dispatch(Panels {
        cols: mean.len(),
        work: UpdateRunning {
            momentum,
            unbias: if samples > 1 { n / (n - 1.0) } else { 1.0 },
            mean,
            variance,
            running_mean,
            running_variance,
        },
    });
}

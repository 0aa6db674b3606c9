//! Layer-sequential unit variance: Mishkin and Matas, "All you need is a good init", 2016.

use crate::network::{LayerMut, Network};
use fanin_kernels::{Activation, AlignedBuffer, Isa, MatMut, MatRef, dense, padded};
use std::collections::TryReserveError;

#[cfg(test)]
mod tests;

/// The most samples that are looked at.
pub(crate) const LSUV_SAMPLES: usize = 256;

/// Layer by layer, divides W by the standard deviation of `z = x·W` over the samples and
/// the units, until |Var z − 1| < `tolerance` or `iterations` divisions are done; then
/// `y = f(z + b)` are the inputs of the next layer. Returns the variance reached in each
/// layer.
///
/// z is without the biases: in the paper they are 0, and the variance between units that
/// they would add cannot be scaled away by W. A W whose standard deviation is not a
/// normal `f32`, or by which it would overflow, stays as it is.
///
/// `inputs` \[samples, inputs of the network\], contiguous columns. The sums are in f64, in
/// the order of rows and columns, so the bits do not depend on the instruction set.
///
/// # Errors
/// If there is no memory for three activations of the widest layer.
pub(crate) fn lsuv(
    isa: Isa,
    network: &mut Network,
    inputs: MatRef<'_>,
    tolerance: f32,
    iterations: u32,
) -> Result<Vec<f64>, TryReserveError> {
    let n = inputs.rows();
    let widest = network.layers().iter().map(|l| l.width).max().unwrap_or(0);
    let room = || AlignedBuffer::zeroed(n.saturating_mul(widest));
    let (mut x, mut y, mut z) = (room()?, room()?, room()?);
    let no_bias = AlignedBuffer::zeroed(widest)?;
    let mut variances = Vec::with_capacity(network.layers().len());
    for l in 0..network.layers().len() {
        let layer = network.layers()[l];
        let x_l = match l {
            0 => inputs,
            _ => MatRef::with_strides(&x, n, layer.fan_in, padded(layer.fan_in), 1),
        };
        let LayerMut { mut w, b, .. } = network.layer_mut(l);
        let mut variance_of = |w: MatRef<'_>| {
            let mut z = MatMut::new(&mut z, n, layer.width);
            let none = &no_bias[..layer.width];
            dense::forward(isa, x_l, w, none, Activation::Identity, None, z.reborrow());
            variance(z.as_ref().col_range(0, layer.fan_out))
        };
        let mut reached = variance_of(w.as_ref());
        for _ in 0..iterations {
            let done = (reached - 1.0).abs() < f64::from(tolerance);
            if done || !divide(&mut w, reached.sqrt() as f32) {
                break;
            }
            let before = (reached - 1.0).abs();
            reached = variance_of(w.as_ref());
            // One division suffices but for rounding: what comes no closer has arrived.
            if (reached - 1.0).abs() >= before {
                break;
            }
        }
        variances.push(reached);
        let y_l = MatMut::new(&mut y, n, layer.width);
        dense::forward(isa, x_l, w.as_ref(), b, layer.activation, None, y_l);
        std::mem::swap(&mut x, &mut y);
    }
    Ok(variances)
}

/// About the mean, over all elements; 0 if there are none.
fn variance(z: MatRef<'_>) -> f64 {
    let count = (z.rows() as f64 * z.cols() as f64).max(1.0);
    let sum = |term: &dyn Fn(f64) -> f64| {
        let rows = (0..z.rows()).flat_map(|r| z.row(r));
        rows.fold(0.0, |sum, &v| sum + term(f64::from(v)))
    };
    let mean = sum(&|v| v) / count;
    sum(&|v| (v - mean) * (v - mean)) / count
}

/// `w ← w/by`; false if nothing is changed, because `by` is 1, not a normal number, or so
/// small that a weight would overflow.
fn divide(w: &mut MatMut<'_>, by: f32) -> bool {
    let largest = (0..w.rows())
        .flat_map(|r| w.as_ref().row(r))
        .fold(0f32, |m, v| m.max(v.abs()));
    if by == 1.0 || !by.is_normal() || !(largest / by).is_finite() {
        return false;
    }
    for r in 0..w.rows() {
        for v in w.row_mut(r) {
            *v /= by;
        }
    }
    true
}

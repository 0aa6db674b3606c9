//! Batch normalization in a step.

use super::apply::Apply;
use super::{Batch, Workspace, matrix};
use crate::batch_norm::Placement;
use crate::network::Layer;
use fanin_kernels::{AlignedBuffer, Isa, MatMut, MatRef, norm, optimizer};
use std::collections::TryReserveError;
use std::ops::Range;

/// What a layer's normalization keeps from the forward pass for the backward pass; all
/// empty where the layer has none. `width` is that of the units that are normalized.
#[derive(Default)]
pub(super) struct NormSpace {
    /// (x − mean)/√(variance + ε), \[batch, width\].
    x_hat: AlignedBuffer,
    /// BN(x), \[batch, width\], where it is the input of the layer.
    pub normalized: AlignedBuffer,
    /// dL/dBN(x) of the first layer, \[batch, width\], where its inputs are normalized.
    pub input_delta: AlignedBuffer,
    /// Of the batch, \[width\].
    mean: AlignedBuffer,
    variance: AlignedBuffer,
    inverse: AlignedBuffer,
    /// dL/dγ and dL/dβ, summed over the batch, \[width\].
    dgamma: AlignedBuffer,
    dbeta: AlignedBuffer,
}

impl NormSpace {
    /// Memory for layer `l` and batches of `batch`.
    pub fn new(layer: &Layer, l: usize, batch: usize) -> Result<Self, TryReserveError> {
        let width = layer.norm_width();
        let vector = || AlignedBuffer::zeroed(width);
        let matrix_if = |needed: bool| {
            let rows = if needed { batch } else { 0 };
            AlignedBuffer::zeroed(rows.saturating_mul(width))
        };
        let input = layer.norm == Some(Placement::Input);
        Ok(Self {
            x_hat: matrix_if(true)?,
            normalized: matrix_if(input)?,
            input_delta: matrix_if(input && l == 0)?,
            mean: vector()?,
            variance: vector()?,
            inverse: vector()?,
            dgamma: vector()?,
            dbeta: vector()?,
        })
    }

    /// x̂, mean, variance and 1/√(variance + ε), to be written; and BN(x), where it is
    /// the input. Without columns where the layer has no normalization.
    pub fn forward_parts(&mut self, batch: usize) -> ([MatMut<'_>; 4], &mut [f32]) {
        let width = self.mean.len();
        let parts = [
            matrix(&mut self.x_hat, batch, width),
            matrix(&mut self.mean, 1, width),
            matrix(&mut self.variance, 1, width),
            matrix(&mut self.inverse, 1, width),
        ];
        (parts, &mut self.normalized)
    }

    /// What the backward pass writes: dγ, dβ, and dL/dBN(x) where the network's inputs
    /// are normalized; and what the forward pass left.
    pub fn backward_parts(&mut self, batch: usize) -> ([MatMut<'_>; 3], Saved<'_>) {
        let width = self.mean.len();
        let saved = Saved {
            x_hat: MatRef::new(&self.x_hat, batch, width),
            inverse: &self.inverse,
            normalized: &self.normalized,
        };
        let inputs = self.input_delta.len() / width.max(1);
        let parts = [
            matrix(&mut self.dgamma, 1, width),
            matrix(&mut self.dbeta, 1, width),
            matrix(&mut self.input_delta, inputs, width),
        ];
        (parts, saved)
    }
}

/// What the way back needs of the forward pass.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a> {
    pub x_hat: MatRef<'a>,
    pub inverse: &'a [f32],
    /// BN(x), where it is the input of the layer.
    pub normalized: &'a [f32],
}

impl Saved<'_> {
    /// Only the columns `range`.
    pub fn cols(self, range: &Range<usize>) -> Self {
        Self {
            x_hat: self.x_hat.col_range(range.start, range.end),
            inverse: &self.inverse[range.clone()],
            ..self
        }
    }
}

/// Columns of a layer's normalization in the forward pass.
pub(super) struct Normalized<'a> {
    /// x on entry, x̂ on return.
    pub x_hat: MatMut<'a>,
    pub mean: MatMut<'a>,
    pub variance: MatMut<'a>,
    pub inverse: MatMut<'a>,
}

impl Normalized<'_> {
    /// `u` = γ·x̂ + β, with the statistics of the batch.
    pub fn normalize(
        &mut self,
        isa: Isa,
        epsilon: f32,
        gamma: &[f32],
        beta: &[f32],
        u: MatMut<'_>,
    ) {
        let (mean, variance) = (self.mean.row_mut(0), self.variance.row_mut(0));
        let inverse = self.inverse.row_mut(0);
        norm::statistics(isa, self.x_hat.as_ref(), mean, variance);
        norm::inverse_deviation(isa, variance, epsilon, inverse);
        norm::normalize(isa, self.x_hat.reborrow(), mean, inverse, gamma, beta, u);
    }
}

/// Columns of a layer's normalization in the backward pass.
pub(super) struct NormParts<'a> {
    pub saved: Saved<'a>,
    pub gamma: MatMut<'a>,
    pub beta: MatMut<'a>,
    pub gamma_velocity: MatMut<'a>,
    pub beta_velocity: MatMut<'a>,
    pub dgamma: MatMut<'a>,
    pub dbeta: MatMut<'a>,
}

impl<'a> NormParts<'a> {
    /// From what the forward pass saved; and γ, β, their velocities, dγ and dβ.
    pub fn new(saved: Saved<'a>, matrices: [MatMut<'a>; 6]) -> Self {
        let [gamma, beta, gamma_velocity, beta_velocity, dgamma, dbeta] = matrices;
        Self {
            saved,
            gamma,
            beta,
            gamma_velocity,
            beta_velocity,
            dgamma,
            dbeta,
        }
    }

    /// From dL/du to dL/dx in `delta`, and the update of γ and β.
    pub fn backward(self, isa: Isa, apply: Apply, delta: MatMut<'_>) {
        let Self {
            saved: Saved { x_hat, inverse, .. },
            mut gamma,
            beta,
            gamma_velocity,
            beta_velocity,
            mut dgamma,
            mut dbeta,
        } = self;
        let batch = x_hat.rows();
        let (dg, db) = (dgamma.row_mut(0), dbeta.row_mut(0));
        norm::backward(isa, x_hat, gamma.row_mut(0), inverse, delta, dg, db);
        let updates = [
            (dgamma, gamma, gamma_velocity),
            (dbeta, beta, beta_velocity),
        ];
        for (gradient, parameter, velocity) in updates {
            update_vector(isa, apply, batch, gradient.as_ref(), parameter, velocity);
        }
    }
}

/// The update of a vector of parameters from its gradient, summed over the batch.
fn update_vector(
    isa: Isa,
    apply: Apply,
    batch: usize,
    gradient: MatRef<'_>,
    parameter: MatMut<'_>,
    mut velocity: MatMut<'_>,
) {
    let mean = 1.0 / batch as f32;
    match apply {
        Apply::Sgd { rate } => optimizer::axpy(isa, rate, gradient, parameter),
        Apply::Momentum { momentum, lr } => {
            optimizer::scale_in_place(isa, momentum, velocity.reborrow());
            optimizer::axpy(isa, mean, gradient, velocity.reborrow());
            optimizer::axpy(isa, -lr, velocity.as_ref(), parameter);
        }
        Apply::Gradient => optimizer::axpy(isa, mean, gradient, velocity),
        Apply::Nothing => {}
    }
}

impl Workspace {
    /// Moves the running statistics towards those of the batch; not where only the
    /// gradient is asked for.
    pub(super) fn remember_statistics(&mut self, batch: &mut Batch<'_>, apply: Apply) {
        let Some(settings) = batch.network.batch_norm() else {
            return;
        };
        if matches!(apply, Apply::Gradient) {
            return;
        }
        for (l, space) in self.layers.iter().enumerate() {
            let to = batch.network.layer_mut(l).norm;
            norm::update_running(
                batch.isa,
                settings.momentum,
                self.batch,
                &space.norm.mean,
                &space.norm.variance,
                to.running_mean,
                to.running_variance,
            );
        }
    }
}

//! The forward and the backward pass of a probe.

use super::Batch;
use crate::Error;
use crate::batch_norm::Placement;
use crate::network::Network;
use fanin_kernels::{Activation, AlignedBuffer, Gemm, Isa, activation, dense, norm, padded};

/// What the way back needs to know of the way through a layer.
///
/// γ is 1 and β is 0 in an untrained network, so BN(x) is also the x̂ that the kernels
/// speak of.
pub(super) struct Kept {
    /// Outputs of the layer before.
    pub x: Batch,
    /// BN(x), where the layer normalizes its inputs.
    normalized: Option<Batch>,
    /// What f is applied to: x·W + b, or BN of it.
    z: Batch,
    /// 1/√(variance + ε) of each unit that is normalized; empty if none is.
    inverse: AlignedBuffer,
}

/// A batch's ways through an untrained network.
pub(super) struct Passes<'a> {
    isa: Isa,
    network: &'a Network,
    gemm: Gemm,
}

impl<'a> Passes<'a> {
    /// Through `network`, whose γ are 1 and β 0.
    pub fn new(isa: Isa, network: &'a Network) -> Result<Self, Error> {
        let gemm = Gemm::new(isa)?;
        Ok(Self { isa, network, gemm })
    }

    /// Sends `x` through layer `l`: what is kept of it, and y.
    pub fn forward(&self, l: usize, x: Batch) -> Result<(Kept, Batch), Error> {
        let layer = &self.network.layers()[l];
        let mut z = Batch::new(x.rows, layer.width)?;
        let mut y = Batch::new(x.rows, layer.width)?;
        let mut inverse = AlignedBuffer::zeroed(layer.norm_width())?;
        let mut normalized = None;
        if layer.norm == Some(Placement::Input) {
            // The padding has to be 0, and is not where f(0) is not.
            let mut copy = Batch::new(x.rows, padded(layer.fan_in))?;
            let mut values = x.rows(layer.fan_in).flatten();
            copy.fill(layer.fan_in, || *values.next().unwrap_or(&0.0));
            self.normalize(l, &mut copy, &mut inverse)?;
            normalized = Some(copy);
        }
        let inputs = normalized.as_ref().unwrap_or(&x).view(layer.fan_in);
        let (w, b) = (self.network.weights(l), self.network.biases(l));
        let (isa, f) = (self.isa, layer.activation);
        if layer.norm == Some(Placement::PreActivation) {
            dense::forward(isa, inputs, w, b, Activation::Identity, None, z.view_mut());
            self.normalize(l, &mut z, &mut inverse)?;
            activation::forward(isa, f, z.view(layer.width), y.view_mut());
        } else {
            dense::forward(isa, inputs, w, b, f, Some(z.view_mut()), y.view_mut());
        }
        let kept = Kept {
            x,
            normalized,
            z,
            inverse,
        };
        Ok((kept, y))
    }

    /// BN(x) in the place of `x`, with the statistics of the batch.
    fn normalize(&self, l: usize, x: &mut Batch, inverse: &mut [f32]) -> Result<(), Error> {
        let parameters = self.network.norm_padded(l);
        let epsilon = self.network.batch_norm().map_or(0.0, |norm| norm.epsilon);
        let mut mean = AlignedBuffer::zeroed(x.width)?;
        let mut variance = AlignedBuffer::zeroed(x.width)?;
        norm::statistics(self.isa, x.view(x.width), &mut mean, &mut variance);
        norm::inverse_deviation(self.isa, &variance, epsilon, inverse);
        let (gamma, beta) = (parameters.gamma, parameters.beta);
        norm::normalize_in_place(self.isa, x.view_mut(), &mean, inverse, gamma, beta);
        Ok(())
    }

    /// From dL/dBN(x) to dL/dx in `gradient`; `normalized` is BN(x).
    fn normalize_backward(
        &self,
        l: usize,
        normalized: &Batch,
        inverse: &[f32],
        gradient: &mut Batch,
    ) -> Result<(), Error> {
        let width = normalized.width;
        // The gradients of γ and β are not looked at.
        let mut dgamma = AlignedBuffer::zeroed(width)?;
        let mut dbeta = AlignedBuffer::zeroed(width)?;
        let (x_hat, delta) = (normalized.view(width), gradient.view_mut());
        let gamma = self.network.norm_padded(l).gamma;
        norm::backward(
            self.isa,
            x_hat,
            gamma,
            inverse,
            delta,
            &mut dgamma,
            &mut dbeta,
        );
        Ok(())
    }

    /// From dL/dy to dL/d(x·W + b) in `gradient`.
    pub fn delta(
        &self,
        l: usize,
        kept: &Kept,
        y: &Batch,
        gradient: &mut Batch,
    ) -> Result<(), Error> {
        let layer = &self.network.layers()[l];
        let (z, y) = (kept.z.view(layer.width), y.view(layer.width));
        activation::backward(self.isa, layer.activation, z, y, gradient.view_mut());
        match layer.norm {
            Some(Placement::PreActivation) => {
                self.normalize_backward(l, &kept.z, &kept.inverse, gradient)
            }
            Some(Placement::Input) | None => Ok(()),
        }
    }

    /// dL/dW \[fan_in, fan_out\], the mean over the samples, from [`Passes::delta`].
    pub fn weight_gradient(
        &mut self,
        l: usize,
        kept: &Kept,
        delta: &Batch,
    ) -> Result<Batch, Error> {
        let layer = &self.network.layers()[l];
        let mut dw = Batch::new(layer.fan_in, layer.fan_out)?;
        let mean = 1.0 / (delta.rows as f32).max(1.0);
        let inputs = kept.normalized.as_ref().unwrap_or(&kept.x);
        let x_t = inputs.view(layer.fan_in).transposed();
        let delta = delta.view(layer.fan_out);
        self.gemm.run(mean, x_t, delta, 0.0, dw.view_mut());
        Ok(dw)
    }

    /// dL/dx from [`Passes::delta`].
    pub fn input_gradient(&mut self, l: usize, kept: &Kept, delta: &Batch) -> Result<Batch, Error> {
        let layer = &self.network.layers()[l];
        let mut dx = Batch::new(delta.rows, padded(layer.fan_in))?;
        let w = self.network.weights(l).col_range(0, layer.fan_out);
        let to = dx.view_mut().split_at_col(layer.fan_in).0;
        let delta = delta.view(layer.fan_out);
        self.gemm.run(1.0, delta, w.transposed(), 0.0, to);
        if let Some(normalized) = &kept.normalized {
            self.normalize_backward(l, normalized, &kept.inverse, &mut dx)?;
        }
        Ok(dx)
    }
}

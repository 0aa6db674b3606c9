//! The batch-normalization parameters of a layer.

use super::{Layer, Network};
use crate::batch_norm::Placement;

/// The batch normalization of a layer, one number for each unit that is normalized:
/// fan_out of them before the activation, fan_in at the input of the layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm<'a> {
    /// What a normalized number is multiplied by; trained.
    pub gamma: &'a [f32],
    /// What is added to it; trained.
    pub beta: &'a [f32],
    /// Means that training has gathered.
    pub running_mean: &'a [f32],
    /// Variances that training has gathered.
    pub running_variance: &'a [f32],
}

impl<'a> Norm<'a> {
    /// The four by the names they have in files, in the order of the hash.
    pub fn named(&self) -> [(&'static str, &'a [f32]); 4] {
        [
            ("gamma", self.gamma),
            ("beta", self.beta),
            ("running_mean", self.running_mean),
            ("running_variance", self.running_variance),
        ]
    }
}

/// [`Norm`] to change, with the padding.
pub(crate) struct NormMut<'a> {
    pub gamma: &'a mut [f32],
    pub beta: &'a mut [f32],
    pub running_mean: &'a mut [f32],
    pub running_variance: &'a mut [f32],
}

/// Cuts the numbers of a layer's normalization into four.
pub(super) fn cut(numbers: &mut [f32]) -> NormMut<'_> {
    let quarter = numbers.len() / 4;
    let (gamma, rest) = numbers.split_at_mut(quarter);
    let (beta, rest) = rest.split_at_mut(quarter);
    let (running_mean, running_variance) = rest.split_at_mut(quarter);
    NormMut {
        gamma,
        beta,
        running_mean,
        running_variance,
    }
}

impl Layer {
    /// How many units batch normalization has here; 0 without.
    pub fn norm_units(&self) -> usize {
        match self.norm {
            None => 0,
            Some(Placement::PreActivation) => self.fan_out,
            Some(Placement::Input) => self.fan_in,
        }
    }
}

impl Network {
    /// The batch normalization of layer `l`, padded to whole registers; empty without.
    pub(crate) fn norm_padded(&self, l: usize) -> Norm<'_> {
        let layer = &self.layers[l];
        let numbers = &self.parameters[layer.norm_offset()..layer.end()];
        let quarter = layer.norm_width();
        Norm {
            gamma: &numbers[..quarter],
            beta: &numbers[quarter..2 * quarter],
            running_mean: &numbers[2 * quarter..3 * quarter],
            running_variance: &numbers[3 * quarter..],
        }
    }

    /// The batch normalization of layer `l`, if it has one.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn norm(&self, l: usize) -> Option<Norm<'_>> {
        self.layers[l].norm?;
        let units = self.layers[l].norm_units();
        let padded = self.norm_padded(l);
        Some(Norm {
            gamma: &padded.gamma[..units],
            beta: &padded.beta[..units],
            running_mean: &padded.running_mean[..units],
            running_variance: &padded.running_variance[..units],
        })
    }

    /// γ and running variance 1, β and running mean 0: how batch normalization starts.
    pub(super) fn reset_norms(&mut self) {
        for l in 0..self.layers.len() {
            let units = self.layers[l].norm_units();
            let norm = self.layer_mut(l).norm;
            norm.gamma[..units].fill(1.0);
            norm.beta.fill(0.0);
            norm.running_mean.fill(0.0);
            norm.running_variance[..units].fill(1.0);
        }
    }

    /// Sets the batch normalization of layer `l`.
    ///
    /// # Errors
    /// If a length is not that of the layer, a running variance is not a number ≥ 0, or
    /// there is no such layer.
    pub fn set_norm(&mut self, l: usize, norm: Norm<'_>) -> Result<(), super::NetworkError> {
        let layer = *self.layer(l)?;
        let units = layer.norm_units();
        for (what, values) in norm.named() {
            layer.check_length(l, what, units, values.len())?;
        }
        let wrong = norm
            .running_variance
            .iter()
            .find(|v| v.is_nan() || **v < 0.0);
        if let Some(&found) = wrong {
            return Err(super::NetworkError::Variance { layer: l, found });
        }
        let to = self.layer_mut(l).norm;
        to.gamma[..units].copy_from_slice(norm.gamma);
        to.beta[..units].copy_from_slice(norm.beta);
        to.running_mean[..units].copy_from_slice(norm.running_mean);
        to.running_variance[..units].copy_from_slice(norm.running_variance);
        Ok(())
    }
}

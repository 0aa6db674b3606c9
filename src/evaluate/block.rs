//! A block of samples, layer by layer.

use super::BLOCK;
use crate::batch_norm::Placement;
use crate::network::{Layer, Network, Norm};
use crate::samples::Samples;
use fanin_kernels::sparse::SamplePairs;
use fanin_kernels::{
    Activation, AlignedBuffer, Isa, MatMut, MatRef, activation, dense, norm, padded, sparse,
};
use std::ops::Range;

/// What the blocks of an evaluation share.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub isa: Isa,
    pub network: &'a Network,
    pub samples: &'a Samples,
    /// The samples in blocks of [`BLOCK`], where the first layer reads them sparse.
    pub blocks: &'a [SamplePairs],
    /// Whether the first layer's W is finite. Where it is not, 0·∞ is not 0, and zeros have to
    /// be skipped one by one.
    pub finite: bool,
    pub values: &'a [f32; 256],
    /// 1/√(running variance + ε) of each layer.
    pub inverse: &'a [AlignedBuffer],
}

/// Means and 1/√(variance + ε) to normalize with, \[norm width of the layer\].
#[derive(Clone, Copy)]
pub(super) struct Statistics<'a> {
    pub mean: &'a [f32],
    pub inverse: &'a [f32],
}

/// Where a layer's inputs come from.
pub(super) enum Source<'a> {
    /// Rows as wide as the padded inputs; normalized in place where the layer does that.
    Rows(MatMut<'a>),
    /// The samples `range`, a block of [`BLOCK`] or the rest, with room for a dense copy.
    Samples(Range<usize>, &'a mut [f32]),
}

impl Pass<'_> {
    /// The outputs for the samples `range`, normalized with the running statistics;
    /// `input` is room for dense inputs, `y` and `x` for activations.
    pub fn forward<'b>(
        &self,
        range: Range<usize>,
        input: &mut [f32],
        mut y: &'b mut [f32],
        mut x: &'b mut [f32],
    ) -> MatRef<'b> {
        let size = range.len();
        for (l, layer) in self.network.layers().iter().enumerate() {
            let statistics = Statistics {
                mean: self.network.norm_padded(l).running_mean,
                inverse: &self.inverse[l],
            };
            let from = match l {
                0 => Source::Samples(range.clone(), input),
                _ => Source::Rows(MatMut::new(x, size, padded(layer.fan_in))),
            };
            let mut out = MatMut::new(y, size, layer.width);
            self.linear(l, from, statistics, out.reborrow());
            self.finish(l, statistics, out);
            std::mem::swap(&mut x, &mut y);
        }
        let outputs = self.network.outputs();
        MatRef::with_strides(x, size, outputs, padded(outputs), 1)
    }

    /// `x·W + b` of layer `l`, of BN(x) where the layer has that; with the activation
    /// where nothing stands between the two.
    pub fn linear(&self, l: usize, from: Source<'_>, statistics: Statistics<'_>, out: MatMut<'_>) {
        let layer = &self.network.layers()[l];
        let (w, bias) = (self.network.weights(l), self.network.biases(l));
        let f = match layer.norm {
            Some(Placement::PreActivation) => Activation::Identity,
            _ => layer.activation,
        };
        let (isa, values) = (self.isa, self.values);
        let of_input = layer.norm == Some(Placement::Input);
        let x = match from {
            Source::Rows(x) => x,
            Source::Samples(range, input) => {
                let pairs = self.blocks.get(range.start / BLOCK);
                if let (Some(pairs), true) = (pairs, self.finite) {
                    return sparse::forward_pairs(isa, pairs, values, w, bias, f, out);
                }
                let mut all = [0u32; BLOCK];
                for (id, i) in all.iter_mut().zip(range.clone()) {
                    *id = u32::try_from(i).unwrap_or(u32::MAX);
                }
                let ids = &all[..range.len()];
                if !self.finite
                    && !of_input
                    && let Some(rows) = self.samples.without_zeros(ids)
                {
                    return sparse::forward(isa, &rows, values, w, bias, f, None, out);
                }
                self.samples.copy_rows(ids, values, input);
                MatMut::new(input, range.len(), padded(layer.fan_in))
            }
        };
        let mut x = x;
        if of_input {
            self.normalize(layer, self.network.norm_padded(l), statistics, x.reborrow());
        }
        let x = x.as_ref().col_range(0, layer.fan_in);
        dense::forward(isa, x, w, bias, f, None, out);
    }

    /// What [`Pass::linear`] has left out: normalization and activation.
    pub fn finish(&self, l: usize, statistics: Statistics<'_>, mut out: MatMut<'_>) {
        let layer = &self.network.layers()[l];
        if layer.norm == Some(Placement::PreActivation) {
            let norm = self.network.norm_padded(l);
            self.normalize(layer, norm, statistics, out.reborrow());
            activation::forward_in_place(self.isa, layer.activation, out);
        }
    }

    fn normalize(&self, layer: &Layer, of: Norm<'_>, with: Statistics<'_>, x: MatMut<'_>) {
        let width = layer.norm_width();
        let Statistics { mean, inverse } = with;
        let x = x.split_at_col(width).0;
        norm::normalize_in_place(self.isa, x, mean, inverse, of.gamma, of.beta);
    }
}

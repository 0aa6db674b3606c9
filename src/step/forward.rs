//! The forward pass of a step.

use super::batch::forward_bytes;
use super::norm::Normalized;
use super::{Batch, Workspace, granule, matrix, rows};
use crate::batch_norm::Placement;
use crate::samples::{Inputs, sparse_batch};
use fanin_kernels::{Activation, AlignedBuffer, LANES, activation, dense, fetch, padded, sparse};

impl Workspace {
    pub(super) fn forward(&mut self, batch: &mut Batch<'_>, l: usize) {
        let layer = batch.network.layers()[l];
        if layer.norm == Some(Placement::Input) {
            self.normalize_input(batch, l);
        }
        let chained = self.members.chains(l);
        // Each member keeps what it makes of the first layer.
        let keeps = l == 0 && self.members.chains(1);
        if chained && !self.members.finish_chain_begun() {
            self.begin_chain(batch);
        }
        let (isa, ids, coming, samples) = (batch.isa, batch.ids, batch.coming, batch.samples);
        let network = &*batch.network;
        let (before, after) = self.layers.split_at_mut(l);
        let space = &mut after[0];
        let (w, bias) = (network.weights(l), network.biases(l));
        let keep_z = !space.z.is_empty();
        let z = matrix(&mut space.z, self.batch * usize::from(keep_z), layer.width);
        let y = matrix(&mut space.y, self.batch, layer.width);
        let normalizes = layer.norm == Some(Placement::PreActivation);
        let gamma_beta = network.norm_padded(l);
        let epsilon = network.batch_norm().map_or(0.0, |norm| norm.epsilon);
        // Where the normalization is before the activation, the product goes to `x_hat`.
        let linear = match normalizes {
            true => Activation::Identity,
            false => layer.activation,
        };
        let (input, values, size) = (&self.input, &self.byte_values, self.batch);
        let (norm, normalized) = space.norm.forward_parts(size);
        // The inputs, where they are dense rows.
        let x = match (&layer.norm, before.last(), &samples.inputs) {
            (Some(Placement::Input), ..) => Some(rows(normalized, size, layer.fan_in)),
            (_, Some(previous), _) => Some(rows(&previous.y, size, layer.fan_in)),
            (_, None, Inputs::Values(..)) => Some(rows(input, size, layer.fan_in)),
            (_, None, Inputs::Sparse(_) | Inputs::Bytes(..)) => None,
        };
        let [x_hat, mean, variance, inverse] = norm;
        let matrices = [z, y, x_hat, mean, variance, inverse];
        let team = &mut *batch.team;
        // Member 0 goes on with a chain by itself.
        let granule = match chained {
            true => usize::MAX,
            false => granule(&layer, size),
        };
        let held = self.members.hold(l);
        let several = self.members.each.len() > 1;
        let gathers = l == 0 && several;
        let members = &mut self.members.each;
        let sums = match (chained, members.last_mut()) {
            (true, Some(last)) => std::mem::take(&mut last.sums),
            _ => AlignedBuffer::default(),
        };
        let start = (!sums.is_empty()).then(|| rows(&sums, size, layer.width));
        team.split_cols_with(
            layer.width,
            granule,
            matrices,
            members,
            |_, cols, matrices, own| {
                let [z, mut y, mut x_hat, mean, variance, inverse] = matrices;
                if let (true, None, Inputs::Sparse(inputs)) = (gathers, x, &samples.inputs) {
                    samples.prefetch(isa, coming, size);
                    own.gather(isa, inputs, ids, values);
                }
                if let (true, Some(x)) = (several && l > 0, start.or(x)) {
                    fetch(isa, x);
                }
                let mut z = keep_z.then_some(z);
                let mut space = std::mem::take(&mut own.space);
                let mut x = x;
                if keeps {
                    let [own_y, own_z] = space.outputs();
                    (y, z) = (own_y, keep_z.then_some(own_z));
                } else if chained {
                    x = Some(space.y());
                }
                let w = match held && !chained {
                    true => own.columns_of(l, &layer, cols.clone()),
                    false => w.col_range(cols.start, cols.end),
                };
                let bias = &bias[cols.clone()];
                let to = match normalizes {
                    true => x_hat.reborrow(),
                    false => y.reborrow(),
                };
                let keep = z.as_mut().map(|z| z.reborrow());
                match (x, &samples.inputs) {
                    (Some(x), _) if let Some(start) = start => {
                        let [w, _] = own.rows_of_chain(layer.width);
                        let x = x.col_range(0, w.rows());
                        dense::forward_from(isa, x, w.as_ref(), start, linear, keep, to);
                    }
                    (Some(x), _) => dense::forward(isa, x, w, bias, linear, keep, to),
                    (None, Inputs::Sparse(_)) => {
                        sparse::forward(isa, &own.rows, values, w, bias, linear, keep, to);
                    }
                    (None, Inputs::Bytes(bytes, _)) => {
                        let x = rows(input, size, layer.fan_in);
                        let skipping = || sparse_batch(bytes, layer.fan_in, ids);
                        forward_bytes(isa, x, w, bias, linear, keep, to, values, skipping);
                    }
                    (None, Inputs::Values(..)) => {}
                }
                if normalizes {
                    let gamma = &gamma_beta.gamma[cols.clone()];
                    let beta = &gamma_beta.beta[cols];
                    let mut to = Normalized {
                        x_hat,
                        mean,
                        variance,
                        inverse,
                    };
                    match z {
                        Some(mut z) => {
                            to.normalize(isa, epsilon, gamma, beta, z.reborrow());
                            activation::forward(isa, layer.activation, z.as_ref(), y);
                        }
                        None => {
                            to.normalize(isa, epsilon, gamma, beta, y.reborrow());
                            activation::forward_in_place(isa, layer.activation, y);
                        }
                    }
                }
                own.space = space;
            },
        );
        if chained && let Some(last) = self.members.each.last_mut() {
            last.sums = sums;
        }
    }

    /// The beginning of the chain that layer 1 is, where it has not been made in the step before.
    fn begin_chain(&mut self, batch: &mut Batch<'_>) {
        let (isa, network) = (batch.isa, &*batch.network);
        let first = network.layers()[0];
        let bias = network.biases(1);
        let members = &mut self.members.each;
        let team = &mut *batch.team;
        team.split_cols_with(first.width, LANES, [], members, |member, _, [], own| {
            if member > 0 {
                let space = std::mem::take(&mut own.space);
                own.begin_chain(isa, space.y(), bias);
                own.space = space;
            }
        });
    }

    /// BN(x) of layer `l`, and what the way back needs of it.
    fn normalize_input(&mut self, batch: &mut Batch<'_>, l: usize) {
        let (isa, network, size) = (batch.isa, &*batch.network, self.batch);
        let layer = network.layers()[l];
        let (before, after) = self.layers.split_at_mut(l);
        let space = &mut after[0].norm;
        let x = match before.last() {
            Some(previous) => &previous.y,
            None => &self.input,
        };
        let width = padded(layer.fan_in);
        let x = rows(x, size, layer.fan_in);
        let epsilon = network.batch_norm().map_or(0.0, |norm| norm.epsilon);
        let norm = network.norm_padded(l);
        let ([x_hat, mean, variance, inverse], normalized) = space.forward_parts(size);
        let matrices = [
            x_hat,
            mean,
            variance,
            inverse,
            matrix(normalized, size, width),
        ];
        let team = &mut *batch.team;
        let granule = granule(&layer, size);
        team.split_cols(width, granule, matrices, |_, cols, matrices| {
            let [mut x_hat, mean, variance, inverse, u] = matrices;
            // The padding stays 0, whatever x has there.
            let x = x.col_range(cols.start, cols.end.min(layer.fan_in));
            for r in 0..size {
                x_hat.row_mut(r)[..x.cols()].copy_from_slice(x.row(r));
            }
            let (gamma, beta) = (&norm.gamma[cols.clone()], &norm.beta[cols]);
            let mut to = Normalized {
                x_hat,
                mean,
                variance,
                inverse,
            };
            to.normalize(isa, epsilon, gamma, beta, u);
        });
    }
}

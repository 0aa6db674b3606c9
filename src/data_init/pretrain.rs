//! Greedy layer-wise pre-training: [`Pretraining`] says what it is.

use super::autoencoder::{Autoencoder, Encoded, Encoder, forward};
use crate::config::TrainConfig;
use crate::init::Pretraining;
use crate::network::{LayerMut, Network};
use crate::random::{Purpose, Stream};
use crate::samples::{Inputs, Samples, byte_values};
use crate::step::rows;
use crate::train::{Observer, Order};
use fanin_kernels::sparse::{BatchColumns, BatchRows};
use fanin_kernels::team::Team;
use fanin_kernels::{Activation, AlignedBuffer, Isa, LANES, MatMut, MatRef, padded};
use std::collections::TryReserveError;

#[cfg(test)]
mod tests;

/// How far pre-training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PretrainProgress {
    /// The layer at hand, from 0.
    pub layer: usize,
    /// How many are pre-trained.
    pub layers: usize,
    /// Steps done in this layer, from 1.
    pub step: u32,
    /// Steps of this layer.
    pub steps: u32,
    /// The batch's mean of ½‖x̂ − x‖² before the step. Not finite: the layer has diverged
    /// and has its start back; this is its last step.
    pub loss: f32,
}

/// Pre-trains all layers but the last, until done or `observer` breaks it off.
///
/// # Errors
/// If memory does not suffice.
pub(super) fn pretrain(
    config: &TrainConfig,
    settings: Pretraining,
    isa: Isa,
    team: &mut Team,
    network: &mut Network,
    samples: &Samples,
    observer: &mut dyn Observer,
) -> Result<(), TryReserveError> {
    let layers = network.layers().len().saturating_sub(1);
    for l in 0..layers {
        let number = l as u64;
        let layer = network.layers()[l];
        let mut batches = Batches::new(network, samples, l, config, settings.noise)?;
        let decoder = decoder_activation(network, samples, l);
        let untied = (!settings.tied).then_some(settings.std);
        let stream = (config.seed, number);
        let mut autoencoder = Autoencoder::new(layer, decoder, config.batch, untied, stream)?;
        let start = Start::of(network, l)?;
        let steps = settings.steps.get(l);
        let lr = match settings.lr {
            Some(lr) => lr.get(l),
            None => Pretraining::default_lr(layer.activation),
        };
        let mut broken = false;
        for step in 1..=steps {
            batches.next(isa, team, network, samples);
            let LayerMut { w, b, .. } = network.layer_mut(l);
            let (encoded, x) = batches.views(samples, layer.fan_in);
            let mut loss = autoencoder.step(isa, team, Encoder { w, b }, encoded, x, lr);
            if (step == steps || !loss.is_finite()) && !start.keep_finite(network, l, loss) {
                loss = f32::NAN;
            }
            let progress = PretrainProgress {
                layer: l,
                layers,
                step,
                steps,
                loss,
            };
            broken = observer.pretrained(progress).is_break();
            if broken || !loss.is_finite() {
                break;
            }
        }
        if broken {
            start.keep_finite(network, l, 0.0);
            break;
        }
    }
    Ok(())
}

/// The g for the inputs of layer `l`.
fn decoder_activation(network: &Network, samples: &Samples, l: usize) -> Activation {
    let before = match l.checked_sub(1) {
        Some(before) => network.layers()[before].activation,
        None if matches!(samples.inputs, Inputs::Values(..)) => Activation::Identity,
        None => Activation::Sigmoid,
    };
    match before {
        Activation::Sigmoid | Activation::Tanh => before,
        Activation::Relu | Activation::Softplus => Activation::Softplus,
        _ => Activation::Identity,
    }
}

/// The parameters that a layer starts with.
struct Start(AlignedBuffer);

impl Start {
    fn of(network: &Network, l: usize) -> Result<Self, TryReserveError> {
        let (weights, biases) = (network.weights(l), network.biases(l));
        let mut start = AlignedBuffer::zeroed((weights.rows() + 1) * biases.len())?;
        let rows = (0..weights.rows()).map(|r| weights.row(r));
        for (to, from) in start
            .chunks_exact_mut(biases.len())
            .zip(rows.chain(std::iter::once(biases)))
        {
            to.copy_from_slice(from);
        }
        Ok(Self(start))
    }

    /// Puts them back if `loss` or a parameter is not finite, and then returns false.
    fn keep_finite(&self, network: &mut Network, l: usize, loss: f32) -> bool {
        let (weights, biases) = (network.weights(l), network.biases(l));
        let finite = |row: &[f32]| row.iter().fold(true, |all, v| all & v.is_finite());
        let mut rows = (0..weights.rows()).map(|r| weights.row(r));
        if loss.is_finite() && finite(biases) && rows.all(finite) {
            return true;
        }
        let LayerMut { mut w, b, .. } = network.layer_mut(l);
        let mut rows = self.0.chunks_exact(b.len());
        for (r, row) in rows.by_ref().take(w.rows()).enumerate() {
            w.row_mut(r).copy_from_slice(row);
        }
        for row in rows {
            b.copy_from_slice(row);
        }
        false
    }
}

/// The inputs of a layer, batch by batch.
struct Batches {
    l: usize,
    order: Order,
    ids: Vec<u32>,
    /// Inputs of the layers 0 … l, \[batch, padded(fan_in)\]; the last is x. Those of layer
    /// 0 are left out where they are read sparse and not reconstructed.
    levels: Vec<AlignedBuffer>,
    /// x̃ likewise; empty without noise.
    noisy: AlignedBuffer,
    noise: f64,
    stream: Stream,
    rows: BatchRows,
    columns: BatchColumns,
    byte_values: [f32; 256],
}

impl Batches {
    fn new(
        network: &Network,
        samples: &Samples,
        l: usize,
        config: &TrainConfig,
        noise: f32,
    ) -> Result<Self, TryReserveError> {
        let batch = config.batch;
        let room = |fan_in: usize| AlignedBuffer::zeroed(batch.saturating_mul(padded(fan_in)));
        let layers = &network.layers()[..=l];
        let mut ids = Vec::new();
        ids.try_reserve_exact(batch)?;
        ids.resize(batch, 0);
        let noisy = if noise > 0.0 { layers[l].fan_in } else { 0 };
        let (mut sparse_rows, mut columns) = (BatchRows::default(), BatchColumns::default());
        if let Inputs::Sparse(rows) = &samples.inputs {
            sparse_rows = BatchRows::with_capacity(rows, batch)?;
            if l == 0 {
                columns = BatchColumns::with_capacity(rows, batch)?;
            }
        }
        let n = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        let number = u32::try_from(l).unwrap_or(u32::MAX);
        Ok(Self {
            l,
            order: Order::pretraining(config.seed, number, n),
            ids,
            levels: layers
                .iter()
                .map(|layer| room(layer.fan_in))
                .collect::<Result<_, _>>()?,
            noisy: room(noisy)?,
            noise: f64::from(noise),
            stream: Stream::new(config.seed, Purpose::MaskingNoise, l as u64),
            rows: sparse_rows,
            columns,
            byte_values: byte_values(),
        })
    }

    /// Brings the next batch to the layer.
    fn next(&mut self, isa: Isa, team: &mut Team, network: &Network, samples: &Samples) {
        self.order.fill(&mut self.ids);
        let size = self.ids.len();
        samples.prefetch(isa, self.order.peek(size.saturating_mul(2)), size);
        if let Inputs::Sparse(rows) = &samples.inputs {
            self.rows.gather(rows, &self.ids);
        }
        if self.l == 0 || !samples.is_sparse() {
            samples.copy_rows(&self.ids, &self.byte_values, &mut self.levels[0]);
        }
        for k in 0..self.l {
            let layer = network.layers()[k];
            let (before, after) = self.levels.split_at_mut(k + 1);
            let encoded = match &samples.inputs {
                Inputs::Sparse(_) if k == 0 => Encoded::Sparse {
                    rows: &self.rows,
                    values: &self.byte_values,
                    columns: &self.columns,
                },
                _ => Encoded::Dense(rows(&before[k], self.ids.len(), layer.fan_in)),
            };
            let y = MatMut::new(&mut after[0], self.ids.len(), layer.width);
            let (w, b) = (network.weights(k), network.biases(k));
            team.split_cols(layer.width, LANES, [y], |_, cols, [y]| {
                let w = w.col_range(cols.start, cols.end);
                forward(isa, encoded, w, &b[cols], layer.activation, None, y);
            });
        }
        if !self.noisy.is_empty() {
            let fan_in = network.layers()[self.l].fan_in;
            let width = padded(fan_in);
            let clean = self.levels[self.l].chunks_exact(width);
            for (noisy, clean) in self.noisy.chunks_exact_mut(width).zip(clean) {
                for (noisy, &clean) in noisy.iter_mut().zip(&clean[..fan_in]) {
                    let masked = self.stream.uniform() < self.noise;
                    *noisy = if masked { 0.0 } else { clean };
                }
            }
        } else if let (0, Inputs::Sparse(rows)) = (self.l, &samples.inputs) {
            self.columns.gather(isa, rows, &self.ids, &self.byte_values);
        }
    }

    /// x̃ and x, \[batch, fan_in\].
    fn views<'a>(&'a self, samples: &'a Samples, fan_in: usize) -> (Encoded<'a>, MatRef<'a>) {
        let batch = self.ids.len();
        let clean = rows(&self.levels[self.l], batch, fan_in);
        let encoded = match &samples.inputs {
            _ if !self.noisy.is_empty() => Encoded::Dense(rows(&self.noisy, batch, fan_in)),
            Inputs::Sparse(_) if self.l == 0 => Encoded::Sparse {
                rows: &self.rows,
                values: &self.byte_values,
                columns: &self.columns,
            },
            _ => Encoded::Dense(clean),
        };
        (encoded, clean)
    }
}

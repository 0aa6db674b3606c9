//! One training step: forward, loss, backward and update. Nothing is allocated here.
//!
//! Every phase splits outputs over the team, never sums, so the bits do not depend on
//! the number of threads.

mod apply;
mod batch;

use crate::network::Network;
use crate::samples::{Inputs, Samples, TargetValues, byte_values};
use apply::{Apply, DeltaParts, finish_delta, update_sparse, update_weights};
pub(crate) use batch::gather_rows;
use batch::{forward_bytes, sparse_batch};
use fanin_kernels::sparse::BatchColumns;
use fanin_kernels::team::Team;
use fanin_kernels::{
    AlignedBuffer, Isa, LANES, Loss, MatMut, MatRef, Targets, dense, loss, padded, sparse,
};
use std::collections::TryReserveError;

/// What a step does with the gradient g (the mean over the batch).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `W ← W − lr·g`.
    Sgd,
    /// `V ← momentum·V + g`, `W ← W − lr·V`: Polyak's heavy ball as PyTorch writes it.
    Momentum(f32),
}

/// The memory of a step, planned once for a network and a batch size.
pub struct Workspace {
    batch: usize,
    /// Inputs of a dense batch, \[batch, padded(inputs)\]; empty for sparse inputs.
    input: AlignedBuffer,
    columns: BatchColumns,
    layers: Vec<LayerSpace>,
    /// The velocity of every parameter (momentum), or its gradient.
    velocity: Option<Network>,
    targets: BatchTargets,
    byte_values: [f32; 256],
}

/// Everything is \[batch, width of the layer\].
struct LayerSpace {
    y: AlignedBuffer,
    /// Pre-activations, where they are needed; else empty.
    z: AlignedBuffer,
    delta: AlignedBuffer,
    /// −(lr/batch)·delta for SGD, delta/batch for momentum.
    scaled: AlignedBuffer,
}

/// The targets of the batch, gathered.
#[derive(Default)]
struct BatchTargets {
    classes: Vec<u8>,
    values: Vec<f32>,
}

impl Workspace {
    /// Memory for steps of `batch` samples of the kind of `samples`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(
        network: &Network,
        samples: &Samples,
        batch: usize,
        rule: Rule,
    ) -> Result<Self, TryReserveError> {
        let zeroed = |width: usize| AlignedBuffer::zeroed(batch.saturating_mul(width));
        let layers = network
            .layers()
            .iter()
            .enumerate()
            .map(|(layer_number, layer)| {
                let first_bytes = layer_number == 0 && matches!(samples.inputs, Inputs::Bytes(..));
                let keep_z = layer.activation.needs_pre_activation() || first_bytes;
                Ok::<_, TryReserveError>(LayerSpace {
                    y: zeroed(layer.width)?,
                    z: zeroed(if keep_z { layer.width } else { 0 })?,
                    delta: zeroed(layer.width)?,
                    scaled: zeroed(layer.width)?,
                })
            });
        let sparse = samples.is_sparse();
        let mut targets = BatchTargets::default();
        match &samples.targets {
            TargetValues::Classes(_) => targets.classes.try_reserve_exact(batch)?,
            TargetValues::Values(_, cols) => {
                targets
                    .values
                    .try_reserve_exact(batch.saturating_mul(*cols))?;
            }
        }
        let mut space = Self {
            batch,
            input: zeroed(if sparse { 0 } else { padded(network.inputs()) })?,
            columns: BatchColumns::default(),
            layers: layers.collect::<Result<_, _>>()?,
            velocity: None,
            targets,
            byte_values: byte_values(),
        };
        if let Inputs::Sparse(rows) = &samples.inputs {
            space.columns = BatchColumns::with_capacity(rows, batch)?;
        }
        if rule != Rule::Sgd {
            space.need_velocity(network);
        }
        Ok(space)
    }

    fn need_velocity(&mut self, network: &Network) {
        self.velocity.get_or_insert_with(|| {
            let mut velocity = network.clone();
            velocity.clear();
            velocity
        });
    }

    /// One step on the samples `batch` (their numbers); returns the mean loss before it.
    ///
    /// Where the loss is not finite, nothing is updated.
    ///
    /// # Panics
    /// If the network or the samples are not those of [`Workspace::new`], or a sample
    /// does not exist.
    #[allow(clippy::too_many_arguments)]
    pub fn step(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &mut Network,
        samples: &Samples,
        batch: &[u32],
        loss: Loss,
        rule: Rule,
        lr: f32,
    ) -> f32 {
        let apply = match rule {
            Rule::Sgd => Apply::Sgd {
                rate: -(lr / self.batch as f32),
            },
            Rule::Momentum(momentum) => Apply::Momentum { momentum, lr },
        };
        self.run(isa, team, network, samples, batch, loss, apply)
    }

    /// The mean loss of the samples `batch` and its gradient, in the shape of a network.
    ///
    /// # Panics
    /// As [`Workspace::step`].
    pub fn gradient(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &mut Network,
        samples: &Samples,
        batch: &[u32],
        loss: Loss,
    ) -> (f32, Network) {
        let momentum = self.velocity.take();
        self.need_velocity(network);
        let loss = self.run(isa, team, network, samples, batch, loss, Apply::Gradient);
        let gradient = std::mem::replace(&mut self.velocity, momentum);
        (loss, gradient.unwrap_or_else(|| network.clone()))
    }

    #[allow(clippy::too_many_arguments)]
    fn run(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &mut Network,
        samples: &Samples,
        batch: &[u32],
        loss: Loss,
        apply: Apply,
    ) -> f32 {
        assert!(batch.len() == self.batch && network.layers().len() == self.layers.len());
        self.gather(samples, batch);
        for l in 0..self.layers.len() {
            self.forward(isa, team, network, samples, batch, l);
        }
        let mean = self.loss(isa, network, loss) / self.batch as f32;
        if !mean.is_finite() {
            return mean;
        }
        self.finish_output_delta(isa, network, apply);
        for l in (0..self.layers.len()).rev() {
            if l > 0 {
                self.backward(isa, team, network, l, apply);
            } else {
                self.update_inputs(isa, team, network, samples, batch, apply);
            }
        }
        mean
    }

    /// Brings the batch's inputs and targets together.
    fn gather(&mut self, samples: &Samples, batch: &[u32]) {
        match &samples.inputs {
            Inputs::Sparse(rows) => self.columns.gather(rows, batch, &self.byte_values),
            Inputs::Bytes(bytes, cols) => {
                let values = &self.byte_values;
                gather_rows(&mut self.input, bytes, *cols, batch, |v| {
                    values[usize::from(v)]
                });
            }
            Inputs::Values(all, cols) => gather_rows(&mut self.input, all, *cols, batch, |v| v),
        }
        match &samples.targets {
            TargetValues::Classes(classes) => {
                self.targets.classes.clear();
                let batch = batch.iter().map(|&i| classes[i as usize]);
                self.targets.classes.extend(batch);
            }
            TargetValues::Values(values, cols) => {
                self.targets.values.clear();
                for &i in batch {
                    let row = &values[i as usize * cols..][..*cols];
                    self.targets.values.extend_from_slice(row);
                }
            }
        }
    }

    fn forward(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &Network,
        samples: &Samples,
        batch: &[u32],
        l: usize,
    ) {
        let layer = network.layers()[l];
        let (before, after) = self.layers.split_at_mut(l);
        let space = &mut after[0];
        let (w, bias) = (network.weights(l), network.biases(l));
        let keep_z = !space.z.is_empty();
        let z = matrix(&mut space.z, self.batch * usize::from(keep_z), layer.width);
        let y = matrix(&mut space.y, self.batch, layer.width);
        let (input, values) = (&self.input, &self.byte_values);
        team.split_cols(layer.width, LANES, [z, y], |_, cols, [z, y]| {
            let (w, bias) = (w.col_range(cols.start, cols.end), &bias[cols]);
            let z = keep_z.then_some(z);
            match (before.last(), &samples.inputs) {
                (Some(previous), _) => {
                    let x = rows(&previous.y, self.batch, layer.fan_in);
                    dense::forward(isa, x, w, bias, layer.activation, z, y);
                }
                (None, Inputs::Sparse(inputs)) => {
                    let activation = layer.activation;
                    sparse::forward(isa, inputs, batch, values, w, bias, activation, z, y);
                }
                (None, Inputs::Bytes(bytes, _)) => {
                    let x = rows(input, self.batch, layer.fan_in);
                    let skipping = || sparse_batch(bytes, layer.fan_in, batch);
                    forward_bytes(isa, x, w, bias, layer.activation, z, y, values, skipping);
                }
                (None, Inputs::Values(..)) => {
                    let x = rows(input, self.batch, layer.fan_in);
                    dense::forward(isa, x, w, bias, layer.activation, z, y);
                }
            }
        });
    }

    /// The loss summed over the batch, and dL/dy of each sample into the last delta.
    fn loss(&mut self, isa: Isa, network: &Network, loss: Loss) -> f32 {
        let (Some(space), Some(layer)) = (self.layers.last_mut(), network.layers().last()) else {
            return 0.0;
        };
        let y = rows(&space.y, self.batch, layer.fan_out);
        let targets = if self.targets.values.is_empty() {
            Targets::Classes(&self.targets.classes)
        } else {
            Targets::Values(MatRef::new(&self.targets.values, self.batch, layer.fan_out))
        };
        let grad = matrix(&mut space.delta, self.batch, layer.width);
        loss::loss_and_gradient(isa, loss, y, targets, grad)
    }

    /// The last layer's delta, from dL/dy.
    fn finish_output_delta(&mut self, isa: Isa, network: &mut Network, apply: Apply) {
        let last = self.layers.len() - 1;
        let layer = network.layers()[last];
        let space = &mut self.layers[last];
        let (_, bias) = network.layer_mut(last);
        let velocity = self.velocity.as_mut().map(|v| v.layer_mut(last).1);
        let scaled = matrix(&mut space.scaled, self.batch, layer.width);
        let parts = DeltaParts {
            activation: layer.activation,
            batch: self.batch,
            z: rows_or_none(&space.z, self.batch, layer.width),
            y: rows(&space.y, self.batch, layer.width),
            delta: matrix(&mut space.delta, self.batch, layer.width),
            scaled,
            bias: matrix(bias, 1, layer.width),
            velocity: velocity.map_or(empty(layer.width), |v| matrix(v, 1, layer.width)),
        };
        finish_delta(isa, apply, parts);
    }

    /// Layer l > 0: the delta of the layer before, and the update of W and of that
    /// layer's biases.
    fn backward(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &mut Network,
        l: usize,
        apply: Apply,
    ) {
        let (layer, previous) = (network.layers()[l], network.layers()[l - 1]);
        let (before, after) = self.layers.split_at_mut(l);
        let (from, space) = (&mut before[l - 1], &after[0]);
        let [(w, _), (_, bias)] = network.two_layers_mut(l, l - 1);
        let (vw, vbias) = match &mut self.velocity {
            Some(velocity) => {
                let [(vw, _), (_, vbias)] = velocity.two_layers_mut(l, l - 1);
                (vw, matrix(vbias, 1, previous.width))
            }
            None => (empty(layer.width), empty(previous.width)),
        };
        let delta = rows(&space.delta, self.batch, layer.width);
        let scaled = rows(&space.scaled, self.batch, layer.width);
        let (y, z) = (&from.y, &from.z);
        // By rows of W, which are columns of everything of the layer before.
        let matrices = [
            w.transposed(),
            vw.transposed(),
            matrix(&mut from.delta, self.batch, previous.width),
            matrix(&mut from.scaled, self.batch, previous.width),
            matrix(bias, 1, previous.width),
            vbias,
        ];
        let batch = self.batch;
        team.split_cols(previous.width, LANES, matrices, |_, range, parts| {
            let [w, vw, mut dx, from_scaled, bias, vbias] = parts;
            let y = rows(y, batch, previous.width).col_range(range.start, range.end);
            let x = y.col_range(0, w.cols());
            let (w, vw) = (w.transposed(), vw.transposed());
            let dx_part = Some(dx.reborrow());
            update_weights(isa, apply, x, delta, scaled, w, vw, dx_part);
            let z =
                rows_or_none(z, batch, previous.width).map(|z| z.col_range(range.start, range.end));
            let parts = DeltaParts {
                activation: previous.activation,
                batch,
                z,
                y,
                delta: dx,
                scaled: from_scaled,
                bias,
                velocity: vbias,
            };
            finish_delta(isa, apply, parts);
        });
    }

    /// Layer 0: the update of W only.
    fn update_inputs(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &mut Network,
        samples: &Samples,
        batch: &[u32],
        apply: Apply,
    ) {
        let layer = network.layers()[0];
        let (w, _) = network.layer_mut(0);
        let vw = match &mut self.velocity {
            Some(velocity) => velocity.layer_mut(0).0,
            None => empty(layer.width),
        };
        let space = &self.layers[0];
        let delta = rows(&space.delta, self.batch, layer.width);
        let scaled = rows(&space.scaled, self.batch, layer.width);
        let rebuilt;
        let columns = match &samples.inputs {
            Inputs::Sparse(_) => Some(&self.columns),
            // 0·∞ is not 0: fall back to skipping, which is what defines the result.
            Inputs::Bytes(bytes, cols) if !space.scaled.iter().all(|v| v.is_finite()) => {
                let (inputs, all) = sparse_batch(bytes, *cols, batch);
                let mut columns = BatchColumns::default();
                columns.gather(&inputs, &all, &self.byte_values);
                rebuilt = columns;
                Some(&rebuilt)
            }
            _ => None,
        };
        let input = &self.input;
        let size = self.batch;
        team.split_cols(layer.width, LANES, [w, vw], |_, cols, [w, vw]| {
            let delta = delta.col_range(cols.start, cols.end);
            let scaled = scaled.col_range(cols.start, cols.end);
            match columns {
                Some(columns) => update_sparse(isa, apply, columns, scaled, w, vw),
                None => {
                    let x = rows(input, size, layer.fan_in);
                    update_weights(isa, apply, x, delta, scaled, w, vw, None);
                }
            }
        });
    }
}

/// A row-major matrix over a whole buffer.
fn matrix(buffer: &mut [f32], rows: usize, cols: usize) -> MatMut<'_> {
    MatMut::new(buffer, rows, cols)
}

/// The first `cols` columns of a buffer of `batch` rows that are padded to whole registers.
fn rows(buffer: &[f32], batch: usize, cols: usize) -> MatRef<'_> {
    MatRef::with_strides(buffer, batch, cols, padded(cols), 1)
}

fn rows_or_none(buffer: &[f32], batch: usize, cols: usize) -> Option<MatRef<'_>> {
    (!buffer.is_empty()).then(|| rows(buffer, batch, cols))
}

/// A matrix without rows, where a phase has none to pass.
fn empty<'a>(cols: usize) -> MatMut<'a> {
    MatMut::new(&mut [], 0, cols)
}

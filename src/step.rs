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

/// What a step works on.
pub struct Batch<'a> {
    /// Instruction set.
    pub isa: Isa,
    /// Threads.
    pub team: &'a mut Team,
    /// The network in training.
    pub network: &'a mut Network,
    /// The training samples.
    pub samples: &'a Samples,
    /// Numbers of the samples of this step, as many as the workspace is made for.
    pub ids: &'a [u32],
    /// What is minimized.
    pub loss: Loss,
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
            space.velocity = Some(network.zeros_like()?);
        }
        Ok(space)
    }

    /// One step; returns the mean loss before it.
    ///
    /// Where the loss is not finite, nothing is updated.
    ///
    /// # Panics
    /// If the network or the samples are not those of [`Workspace::new`], or a sample
    /// does not exist.
    pub fn step(&mut self, mut batch: Batch<'_>, rule: Rule, lr: f32) -> f32 {
        let apply = match rule {
            Rule::Sgd => Apply::Sgd {
                rate: -(lr / self.batch as f32),
            },
            Rule::Momentum(momentum) => Apply::Momentum { momentum, lr },
        };
        self.run(&mut batch, apply)
    }

    /// The mean loss and its gradient, in the shape of a network.
    ///
    /// # Errors
    /// If the memory for the gradient cannot be had.
    ///
    /// # Panics
    /// As [`Workspace::step`].
    pub fn gradient(&mut self, mut batch: Batch<'_>) -> Result<(f32, Network), TryReserveError> {
        // The gradient is a velocity without a past.
        let gradient = batch.network.zeros_like()?;
        let velocity = self.velocity.replace(gradient);
        let loss = self.run(&mut batch, Apply::Gradient);
        let gradient = std::mem::replace(&mut self.velocity, velocity);
        match gradient {
            Some(gradient) => Ok((loss, gradient)),
            None => Ok((loss, batch.network.zeros_like()?)),
        }
    }

    fn run(&mut self, batch: &mut Batch<'_>, apply: Apply) -> f32 {
        let layers = self.layers.len();
        assert!(batch.ids.len() == self.batch && batch.network.layers().len() == layers);
        self.gather(batch.samples, batch.ids);
        for l in 0..layers {
            self.forward(batch, l);
        }
        let mean = self.loss(batch) / self.batch as f32;
        if !mean.is_finite() {
            return mean;
        }
        self.finish_output_delta(batch, apply);
        for l in (1..layers).rev() {
            self.backward(batch, l, apply);
        }
        self.update_inputs(batch, apply);
        mean
    }

    /// Brings the batch's inputs and targets together.
    fn gather(&mut self, samples: &Samples, ids: &[u32]) {
        match &samples.inputs {
            Inputs::Sparse(rows) => self.columns.gather(rows, ids, &self.byte_values),
            Inputs::Bytes(bytes, cols) => {
                let values = &self.byte_values;
                gather_rows(&mut self.input, bytes, *cols, ids, |v| {
                    values[usize::from(v)]
                });
            }
            Inputs::Values(all, cols) => gather_rows(&mut self.input, all, *cols, ids, |v| v),
        }
        match &samples.targets {
            TargetValues::Classes(classes) => {
                self.targets.classes.clear();
                let classes = ids.iter().map(|&i| classes[i as usize]);
                self.targets.classes.extend(classes);
            }
            TargetValues::Values(values, cols) => {
                self.targets.values.clear();
                for &i in ids {
                    let row = &values[i as usize * cols..][..*cols];
                    self.targets.values.extend_from_slice(row);
                }
            }
        }
    }

    fn forward(&mut self, batch: &mut Batch<'_>, l: usize) {
        let (isa, ids, samples) = (batch.isa, batch.ids, batch.samples);
        let network = &*batch.network;
        let layer = network.layers()[l];
        let (before, after) = self.layers.split_at_mut(l);
        let space = &mut after[0];
        let (w, bias) = (network.weights(l), network.biases(l));
        let keep_z = !space.z.is_empty();
        let z = matrix(&mut space.z, self.batch * usize::from(keep_z), layer.width);
        let y = matrix(&mut space.y, self.batch, layer.width);
        let (input, values) = (&self.input, &self.byte_values);
        let team = &mut *batch.team;
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
                    sparse::forward(isa, inputs, ids, values, w, bias, activation, z, y);
                }
                (None, Inputs::Bytes(bytes, _)) => {
                    let x = rows(input, self.batch, layer.fan_in);
                    let skipping = || sparse_batch(bytes, layer.fan_in, ids);
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
    fn loss(&mut self, batch: &Batch<'_>) -> f32 {
        let layers = batch.network.layers();
        let (Some(space), Some(layer)) = (self.layers.last_mut(), layers.last()) else {
            return 0.0;
        };
        let y = rows(&space.y, self.batch, layer.fan_out);
        let targets = if self.targets.values.is_empty() {
            Targets::Classes(&self.targets.classes)
        } else {
            Targets::Values(MatRef::new(&self.targets.values, self.batch, layer.fan_out))
        };
        let grad = matrix(&mut space.delta, self.batch, layer.width);
        loss::loss_and_gradient(batch.isa, batch.loss, y, targets, grad)
    }

    /// The last layer's delta, from dL/dy.
    fn finish_output_delta(&mut self, batch: &mut Batch<'_>, apply: Apply) {
        let (isa, network) = (batch.isa, &mut *batch.network);
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
    fn backward(&mut self, batch: &mut Batch<'_>, l: usize, apply: Apply) {
        let (isa, network) = (batch.isa, &mut *batch.network);
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
        let size = self.batch;
        let team = &mut *batch.team;
        team.split_cols(previous.width, LANES, matrices, |_, range, parts| {
            let [w, vw, mut dx, from_scaled, bias, vbias] = parts;
            let y = rows(y, size, previous.width).col_range(range.start, range.end);
            let x = y.col_range(0, w.cols());
            let (w, vw) = (w.transposed(), vw.transposed());
            let dx_part = Some(dx.reborrow());
            update_weights(isa, apply, x, delta, scaled, w, vw, dx_part);
            let z =
                rows_or_none(z, size, previous.width).map(|z| z.col_range(range.start, range.end));
            let parts = DeltaParts {
                activation: previous.activation,
                batch: size,
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
    fn update_inputs(&mut self, batch: &mut Batch<'_>, apply: Apply) {
        let (isa, network) = (batch.isa, &mut *batch.network);
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
        let columns = match &batch.samples.inputs {
            Inputs::Sparse(_) => Some(&self.columns),
            // 0·∞ is not 0: fall back to skipping, which is what defines the result.
            Inputs::Bytes(bytes, cols) if !space.scaled.iter().all(|v| v.is_finite()) => {
                let (inputs, all) = sparse_batch(bytes, *cols, batch.ids);
                let mut columns = BatchColumns::default();
                columns.gather(&inputs, &all, &self.byte_values);
                rebuilt = columns;
                Some(&rebuilt)
            }
            _ => None,
        };
        let input = &self.input;
        let size = self.batch;
        let team = &mut *batch.team;
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

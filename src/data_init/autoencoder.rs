//! One autoencoder, `h = f(x̃·W + b)`, `x̂ = g(h·W′ + c)`, and its training step.

use crate::network::Layer;
use crate::random::{Purpose, Stream};
use fanin_kernels::fused::{self, Update};
use fanin_kernels::sparse::{self, BatchColumns, BatchRows};
use fanin_kernels::team::Team;
use fanin_kernels::{
    Activation, AlignedBuffer, Isa, LANES, Loss, MatMut, MatRef, Targets, activation, dense, loss,
    optimizer, padded,
};
use std::collections::TryReserveError;

#[cfg(test)]
mod tests;

/// What is encoded: a batch x̃ \[batch, fan_in\].
#[derive(Clone, Copy)]
pub(super) enum Encoded<'a> {
    /// Rows of sparse bytes.
    Sparse {
        rows: &'a BatchRows,
        /// What each byte stands for.
        values: &'a [f32; 256],
        /// The same rows, transposed.
        columns: &'a BatchColumns,
    },
    Dense(MatRef<'a>),
}

/// The parameters to be trained of the layer itself: W \[fan_in, width\] and b \[width\].
pub(super) struct Encoder<'a> {
    pub w: MatMut<'a>,
    pub b: &'a mut [f32],
}

/// The decoder, and the memory of a step.
pub(super) struct Autoencoder {
    layer: Layer,
    /// g.
    decoder: Activation,
    batch: usize,
    /// W′ \[fan_out, padded(fan_in)\]; `None`: Wᵀ.
    weights: Option<AlignedBuffer>,
    /// c \[padded(fan_in)\].
    biases: AlignedBuffer,
    hidden: Side,
    output: Side,
    no_bias: AlignedBuffer,
}

/// What goes forward and back at one side of W′, all \[batch, width\].
struct Side {
    width: usize,
    z: AlignedBuffer,
    y: AlignedBuffer,
    delta: AlignedBuffer,
    scaled: AlignedBuffer,
}

impl Side {
    fn new(batch: usize, units: usize, keep_z: bool) -> Result<Self, TryReserveError> {
        let width = padded(units);
        let room = |width: usize| AlignedBuffer::zeroed(batch.saturating_mul(width));
        Ok(Self {
            width,
            z: room(if keep_z { width } else { 0 })?,
            y: room(width)?,
            delta: room(width)?,
            scaled: room(width)?,
        })
    }
}

impl Autoencoder {
    /// For batches of `batch` inputs of `layer`. An untied decoder starts from
    /// N(0, `untied_std`²), layer `l`'s own stream of `seed`; c from 0.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub(super) fn new(
        layer: Layer,
        decoder: Activation,
        batch: usize,
        untied_std: Option<f32>,
        (seed, l): (u64, u64),
    ) -> Result<Self, TryReserveError> {
        let width = padded(layer.fan_in);
        let weights = untied_std.map(|std| {
            let mut weights = AlignedBuffer::zeroed(layer.fan_out.saturating_mul(width))?;
            let mut stream = Stream::new(seed, Purpose::DecoderWeights, l);
            for row in weights.chunks_exact_mut(width) {
                row[..layer.fan_in].fill_with(|| (f64::from(std) * stream.normal()) as f32);
            }
            Ok::<_, TryReserveError>(weights)
        });
        Ok(Self {
            layer,
            decoder,
            batch,
            weights: weights.transpose()?,
            biases: AlignedBuffer::zeroed(width)?,
            hidden: Side::new(
                batch,
                layer.fan_out,
                layer.activation.needs_pre_activation(),
            )?,
            output: Side::new(batch, layer.fan_in, false)?,
            no_bias: AlignedBuffer::zeroed(layer.width)?,
        })
    }

    /// One step of SGD towards `x` \[batch, fan_in\]; returns the mean of ½‖x̂ − x‖² before
    /// it. Where that is not finite, nothing is updated.
    pub(super) fn step(
        &mut self,
        isa: Isa,
        team: &mut Team,
        encoder: Encoder<'_>,
        encoded: Encoded<'_>,
        x: MatRef<'_>,
        lr: f32,
    ) -> f32 {
        let Encoder { w, b } = encoder;
        self.encode(isa, team, w.as_ref(), b, encoded);
        self.decode(isa, team, w.as_ref());
        let batch = self.batch;
        let output = &mut self.output;
        let grad = MatMut::new(&mut output.delta, batch, output.width);
        let found = MatRef::with_strides(&output.y, batch, x.cols(), output.width, 1);
        let sum = loss::loss_and_gradient(isa, Loss::Mse, found, Targets::Values(x), grad);
        let mean = sum / batch as f32;
        if mean.is_finite() {
            let rate = -(lr / batch as f32);
            self.finish_output(isa, team, rate);
            self.backward(isa, team, w.as_ref());
            self.update(isa, team, w, b, encoded, rate);
        }
        mean
    }

    fn encode(
        &mut self,
        isa: Isa,
        team: &mut Team,
        w: MatRef<'_>,
        bias: &[f32],
        encoded: Encoded<'_>,
    ) {
        let Side { width, z, y, .. } = &mut self.hidden;
        let (batch, width) = (self.batch, *width);
        let keep_z = !z.is_empty();
        let matrices = [
            MatMut::new(z, batch * usize::from(keep_z), width),
            MatMut::new(y, batch, width),
        ];
        let f = self.layer.activation;
        team.split_cols(width, LANES, matrices, |_, cols, [z, y]| {
            let w = w.col_range(cols.start, cols.end);
            let (bias, z) = (&bias[cols], keep_z.then_some(z));
            forward(isa, encoded, w, bias, f, z, y);
        });
        // Padding holds f(0), but here it is multiplied.
        for row in y.chunks_exact_mut(width) {
            row[self.layer.fan_out..].fill(0.0);
        }
    }

    fn decode(&mut self, isa: Isa, team: &mut Team, w: MatRef<'_>) {
        let (batch, layer, g) = (self.batch, self.layer, self.decoder);
        let h = MatRef::new(&self.hidden.y, batch, self.hidden.width);
        let (weights, c) = (self.weights.as_deref(), &self.biases[..]);
        let width = self.output.width;
        let y = MatMut::new(&mut self.output.y, batch, width);
        team.split_cols(width, LANES, [y], |_, cols, [mut y]| match weights {
            Some(weights) => {
                let weights = MatRef::new(weights, layer.fan_out, width);
                let weights = weights.col_range(cols.start, cols.end);
                let h = h.col_range(0, layer.fan_out);
                dense::forward(isa, h, weights, &c[cols], g, None, y);
            }
            None => {
                let w = w.row_range(cols.start, cols.end.min(layer.fan_in));
                fused::backward_data(isa, h, w, y.reborrow());
                let every_row = MatRef::with_strides(&c[cols], batch, y.cols(), 0, 1);
                optimizer::axpy(isa, 1.0, every_row, y.reborrow());
                activation::forward_in_place(isa, g, y);
            }
        });
    }

    /// From dL/dx̂ to the δ of the output, and the update of c.
    fn finish_output(&mut self, isa: Isa, team: &mut Team, rate: f32) {
        let (batch, g) = (self.batch, self.decoder);
        let Side {
            width,
            y,
            delta,
            scaled,
            ..
        } = &mut self.output;
        let y = MatRef::new(y, batch, *width);
        let matrices = [
            MatMut::new(delta, batch, *width),
            MatMut::new(scaled, batch, *width),
            MatMut::new(&mut self.biases, 1, *width),
        ];
        team.split_cols(*width, LANES, matrices, |_, cols, parts| {
            finish(isa, g, None, y.col_range(cols.start, cols.end), rate, parts);
        });
    }

    /// dL/dh, and the update of an untied W′.
    fn backward(&mut self, isa: Isa, team: &mut Team, w: MatRef<'_>) {
        let (batch, layer) = (self.batch, self.layer);
        let output = &self.output;
        let delta = MatRef::new(&output.delta, batch, output.width);
        let scaled = MatRef::new(&output.scaled, batch, output.width);
        let width = self.hidden.width;
        let dh = MatMut::new(&mut self.hidden.delta, batch, width);
        match &mut self.weights {
            Some(weights) => {
                let h = MatRef::new(&self.hidden.y, batch, width);
                // By rows of W′, which are the columns of h.
                let weights = MatMut::new(weights, layer.fan_out, output.width).transposed();
                team.split_cols(width, LANES, [weights, dh], |_, cols, [weights, dh]| {
                    let h = h.col_range(cols.start, cols.start + weights.cols());
                    let update = Update::Weights(weights.transposed());
                    fused::backward(isa, h, delta, scaled, update, Some(dh));
                });
            }
            None => {
                let (delta, none) = (delta.col_range(0, layer.fan_in), &self.no_bias);
                team.split_cols(width, LANES, [dh], |_, cols, [dh]| {
                    let (w, none) = (w.col_range(cols.start, cols.end), &none[cols]);
                    dense::forward(isa, delta, w, none, Activation::Identity, None, dh);
                });
            }
        }
    }

    /// The update of W and b; a tied W takes the decoder's part first.
    fn update(
        &mut self,
        isa: Isa,
        team: &mut Team,
        w: MatMut<'_>,
        b: &mut [f32],
        encoded: Encoded<'_>,
        rate: f32,
    ) {
        let (batch, layer) = (self.batch, self.layer);
        let tied = self.weights.is_none();
        let output = &self.output;
        let output = MatRef::new(&output.scaled, batch, output.width).col_range(0, layer.fan_in);
        let Side {
            width,
            z,
            y,
            delta,
            scaled,
        } = &mut self.hidden;
        let h = MatRef::new(y, batch, *width);
        let z = (!z.is_empty()).then(|| MatRef::new(z, batch, *width));
        let matrices = [
            MatMut::new(delta, batch, *width),
            MatMut::new(scaled, batch, *width),
            MatMut::new(b, 1, *width),
            w,
        ];
        team.split_cols(*width, LANES, matrices, |_, cols, parts| {
            let [mut delta, mut scaled, b, mut w] = parts;
            let (h, z) = (
                h.col_range(cols.start, cols.end),
                z.map(|z| z.col_range(cols.start, cols.end)),
            );
            let finished = [delta.reborrow(), scaled.reborrow(), b];
            finish(isa, layer.activation, z, h, rate, finished);
            if tied {
                let update = Update::Weights(w.reborrow());
                fused::backward(isa, output, h, h, update, None);
            }
            let (delta, scaled) = (delta.as_ref(), scaled.as_ref());
            match encoded {
                Encoded::Sparse { columns, .. } => sparse::accumulate(isa, columns, scaled, w),
                Encoded::Dense(x) => {
                    fused::backward(isa, x, delta, scaled, Update::Weights(w), None);
                }
            }
        });
    }
}

/// `y = f(x̃·W + b)` for some of the columns of W.
pub(super) fn forward(
    isa: Isa,
    encoded: Encoded<'_>,
    w: MatRef<'_>,
    bias: &[f32],
    f: Activation,
    z: Option<MatMut<'_>>,
    y: MatMut<'_>,
) {
    match encoded {
        Encoded::Sparse { rows, values, .. } => {
            sparse::forward(isa, rows, values, w, bias, f, z, y);
        }
        Encoded::Dense(x) => dense::forward(isa, x, w, bias, f, z, y),
    }
}

/// From dL/dy to δ = dL/dz, its scaled copy, and the update of the biases.
fn finish(
    isa: Isa,
    f: Activation,
    z: Option<MatRef<'_>>,
    y: MatRef<'_>,
    rate: f32,
    [mut delta, mut scaled, bias]: [MatMut<'_>; 3],
) {
    activation::backward(isa, f, z.unwrap_or(y), y, delta.reborrow());
    optimizer::scale(isa, rate, delta.as_ref(), scaled.reborrow());
    optimizer::add_rows(isa, scaled.as_ref(), bias);
}

//! A multi-layer perceptron: shapes, and views over one flat arena of parameters.

mod identity;
mod norm;
#[cfg(test)]
mod tests;

pub use norm::Norm;
pub(crate) use norm::NormMut;

use crate::batch_norm::{BatchNorm, Placement};
use crate::init::Initializer;
use crate::random::{Purpose, Stream};
use fanin_kernels::{Activation, AlignedBuffer, MatMut, MatRef, padded};
use std::collections::TryReserveError;

/// The most parameters a network may have: 2³¹, that is 8 GiB.
pub const MAX_PARAMETERS: u64 = 1 << 31;

/// Why a network cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// A network has an input and an output at least.
    #[error("a network needs at least two layer sizes (input and output), got {0}")]
    TooFewSizes(usize),
    /// A layer has no units.
    #[error("layer size {position} is 0: every layer needs at least one unit")]
    EmptyLayer {
        /// Position in the list of sizes, from 0.
        position: usize,
    },
    /// More than [`MAX_PARAMETERS`], or more than there is memory for.
    #[error("a network of {0} parameters does not fit into memory (limit {MAX_PARAMETERS})")]
    TooLarge(u64),
    /// A layer that the network does not have.
    #[error("there is no layer {layer}: the network has {layers}, counted from 0")]
    NoLayer {
        /// What was asked for.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// A running variance that is none.
    #[error("layer {layer}: running variance {found}: expected a number ≥ 0")]
    Variance {
        /// Layer, from 0.
        layer: usize,
        /// What was given.
        found: f32,
    },
    /// The given parameters do not have the shapes of the network.
    #[error("layer {layer}: expected {expected} {what}, found {found}")]
    Shape {
        /// Layer, from 0.
        layer: usize,
        /// `weights`, `biases`, or a part of the batch normalization.
        what: &'static str,
        /// How many the network has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
}

/// One fully connected layer: where its parameters are, and its activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Inputs.
    pub fan_in: usize,
    /// Outputs.
    pub fan_out: usize,
    /// What is applied to `x·W + b`.
    pub activation: Activation,
    /// Where its batch normalization stands, if it has one.
    pub norm: Option<Placement>,
    /// Outputs, rounded up to whole registers: the row stride of W.
    pub(crate) width: usize,
    /// Where W starts in the arena; b follows it, then the batch normalization.
    offset: usize,
}

impl Layer {
    fn bias_offset(&self) -> usize {
        self.offset + self.fan_in * self.width
    }

    fn norm_offset(&self) -> usize {
        self.bias_offset() + self.width
    }

    /// [`Layer::norm_units`], rounded up to whole registers.
    pub(crate) fn norm_width(&self) -> usize {
        padded(self.norm_units())
    }

    fn end(&self) -> usize {
        self.norm_offset() + 4 * self.norm_width()
    }

    fn check_length(
        &self,
        layer: usize,
        what: &'static str,
        expected: usize,
        found: usize,
    ) -> Result<(), NetworkError> {
        let error = NetworkError::Shape {
            layer,
            what,
            expected,
            found,
        };
        (found == expected).then_some(()).ok_or(error)
    }
}

/// The parameters of a multi-layer perceptron.
///
/// Layer l computes `f(x·W + b)` with W \[fan_in, fan_out\], or with batch normalization
/// `f(BN(x·W + b))` or `f(BN(x)·W + b)`. The rows of W are padded with zeros to whole
/// registers, which only [`Network::weights`] shows.
#[derive(Clone)]
pub struct Network {
    layers: Vec<Layer>,
    batch_norm: Option<BatchNorm>,
    parameters: AlignedBuffer,
}

/// The parameters of one layer, to change; the padding of W and b must stay 0.
pub(crate) struct LayerMut<'a> {
    pub w: MatMut<'a>,
    pub b: &'a mut [f32],
    pub norm: NormMut<'a>,
}

/// What is held against [`MAX_PARAMETERS`]: the parameters of a network of these `sizes`,
/// with some for padding, and for batch normalization of all layers where there is any.
pub(crate) fn count_parameters(sizes: &[usize], batch_norm: bool) -> u128 {
    // In u128 and saturating, for the sizes may be anything.
    let norms = if batch_norm { 4 } else { 0 };
    let parameters = |pair: &[usize]| {
        let (rows, cols) = (pair[0] as u128 + 16, pair[1] as u128 + 15);
        (rows - 15)
            .saturating_mul(cols)
            .saturating_add(norms * rows.max(cols))
    };
    let all = sizes.windows(2);
    all.fold(0u128, |sum, pair| sum.saturating_add(parameters(pair)))
}

impl Network {
    /// A network with all parameters 0, without batch normalization.
    ///
    /// `sizes`: units of the input, of each hidden layer, of the output. `hidden` is the
    /// activation of the hidden layers, `output` that of the last.
    ///
    /// # Errors
    /// If there are fewer than two sizes, one is 0, or memory does not suffice.
    pub fn zeros(
        sizes: &[usize],
        hidden: Activation,
        output: Activation,
    ) -> Result<Self, NetworkError> {
        Self::with_batch_norm(sizes, hidden, output, None)
    }

    /// [`Network::zeros`] with batch normalization: γ and the running variance are 1.
    ///
    /// # Errors
    /// As there.
    pub fn with_batch_norm(
        sizes: &[usize],
        hidden: Activation,
        output: Activation,
        batch_norm: Option<BatchNorm>,
    ) -> Result<Self, NetworkError> {
        if sizes.len() < 2 {
            return Err(NetworkError::TooFewSizes(sizes.len()));
        }
        if let Some(position) = sizes.iter().position(|&n| n == 0) {
            return Err(NetworkError::EmptyLayer { position });
        }
        let total = count_parameters(sizes, batch_norm.is_some());
        let too_large = || NetworkError::TooLarge(u64::try_from(total).unwrap_or(u64::MAX));
        if total > u128::from(MAX_PARAMETERS) {
            return Err(too_large());
        }
        let mut layers = Vec::with_capacity(sizes.len() - 1);
        let mut offset = 0;
        for (l, pair) in sizes.windows(2).enumerate() {
            let last = l + 2 == sizes.len();
            let layer = Layer {
                fan_in: pair[0],
                fan_out: pair[1],
                activation: if last { output } else { hidden },
                norm: batch_norm
                    .filter(|norm| norm.has(l, sizes.len() - 1))
                    .map(|norm| norm.placement),
                width: padded(pair[1]),
                offset,
            };
            offset = layer.end();
            layers.push(layer);
        }
        let parameters = AlignedBuffer::zeroed(offset).map_err(|_| too_large())?;
        let mut network = Self {
            layers,
            batch_norm,
            parameters,
        };
        network.reset_norms();
        Ok(network)
    }

    /// Draws every parameter anew; each layer from streams of its own. Batch normalization
    /// starts afresh.
    ///
    /// # Errors
    /// If there is no memory for what [`Initializer::fill_matrix`] needs, one layer at a
    /// time; some layers are drawn by then.
    pub fn initialize(
        &mut self,
        weights: Initializer,
        biases: Initializer,
        seed: u64,
    ) -> Result<(), TryReserveError> {
        for (l, layer) in self.layers.iter().enumerate() {
            let (fan_in, fan_out) = (layer.fan_in, layer.fan_out);
            let mut stream = Stream::new(seed, Purpose::Weights, l as u64);
            let arena = &mut self.parameters[layer.offset..layer.norm_offset()];
            let (w, b) = arena.split_at_mut(fan_in * layer.width);
            let w = MatMut::with_strides(w, fan_in, fan_out, layer.width, 1);
            weights.fill_matrix(&mut stream, w)?;
            let mut stream = Stream::new(seed, Purpose::Biases, l as u64);
            biases.fill(&mut stream, fan_in, fan_out, &mut b[..fan_out]);
        }
        self.reset_norms();
        Ok(())
    }

    /// The layers, input side first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Its batch normalization, if it has one.
    pub fn batch_norm(&self) -> Option<BatchNorm> {
        self.batch_norm
    }

    fn layer(&self, l: usize) -> Result<&Layer, NetworkError> {
        let layers = self.layers.len();
        let error = NetworkError::NoLayer { layer: l, layers };
        self.layers.get(l).ok_or(error)
    }

    /// Units of the input.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |l| l.fan_in)
    }

    /// Units of the output.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |l| l.fan_out)
    }

    /// Units of the input, of each hidden layer, and of the output.
    pub fn sizes(&self) -> Vec<usize> {
        let outputs = self.layers.iter().map(|l| l.fan_out);
        std::iter::once(self.inputs()).chain(outputs).collect()
    }

    /// W of layer `l`, \[fan_in, fan_out rounded up to 16\], the padding being 0.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn weights(&self, l: usize) -> MatRef<'_> {
        let layer = &self.layers[l];
        let w = &self.parameters[layer.offset..layer.bias_offset()];
        MatRef::new(w, layer.fan_in, layer.width)
    }

    /// b of layer `l`, \[fan_out rounded up to 16\], the padding being 0.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn biases(&self, l: usize) -> &[f32] {
        let layer = &self.layers[l];
        &self.parameters[layer.bias_offset()..layer.norm_offset()]
    }

    /// The parameters of layer `l`.
    pub(crate) fn layer_mut(&mut self, l: usize) -> LayerMut<'_> {
        let layer = self.layers[l];
        views(&mut self.parameters[layer.offset..layer.end()], layer)
    }

    /// [`Network::layer_mut`] of layer `l` and of the one before it.
    pub(crate) fn layer_and_previous_mut(&mut self, l: usize) -> [LayerMut<'_>; 2] {
        let (previous, layer) = (self.layers[l - 1], self.layers[l]);
        let arena = &mut self.parameters[previous.offset..layer.end()];
        let (head, tail) = arena.split_at_mut(layer.offset - previous.offset);
        [views(tail, layer), views(head, previous)]
    }

    /// A network of the same shape with all parameters 0.
    pub(crate) fn zeros_like(&self) -> Result<Self, TryReserveError> {
        Ok(Self {
            layers: self.layers.clone(),
            batch_norm: self.batch_norm,
            parameters: AlignedBuffer::zeroed(self.parameters.len())?,
        })
    }

    /// Sets the parameters of layer `l`: `weights` row-major \[fan_in, fan_out\], `biases`
    /// \[fan_out\].
    ///
    /// # Errors
    /// If a length is not that of the layer, or there is no such layer.
    pub fn set_layer(
        &mut self,
        l: usize,
        weights: &[f32],
        biases: &[f32],
    ) -> Result<(), NetworkError> {
        let layer = *self.layer(l)?;
        layer.check_length(l, "weights", layer.fan_in * layer.fan_out, weights.len())?;
        layer.check_length(l, "biases", layer.fan_out, biases.len())?;
        let LayerMut { mut w, b, .. } = self.layer_mut(l);
        for (r, values) in weights.chunks_exact(layer.fan_out).enumerate() {
            w.row_mut(r)[..layer.fan_out].copy_from_slice(values);
        }
        b[..layer.fan_out].copy_from_slice(biases);
        Ok(())
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        let trained = |l: &Layer| (l.fan_in + 1) * l.fan_out + 2 * l.norm_units();
        self.layers.iter().map(trained).sum()
    }

    /// Whether every parameter is finite.
    pub fn is_finite(&self) -> bool {
        // Within a chunk without an early exit, so that it vectorizes.
        self.parameters
            .chunks(4096)
            .all(|chunk| chunk.iter().fold(true, |all, x| all & x.is_finite()))
    }
}

/// The views of `layer` over its part of an arena.
fn views(arena: &mut [f32], layer: Layer) -> LayerMut<'_> {
    let (w, rest) = arena.split_at_mut(layer.fan_in * layer.width);
    let (b, norm) = rest.split_at_mut(layer.width);
    LayerMut {
        w: MatMut::new(w, layer.fan_in, layer.width),
        b,
        norm: norm::cut(norm),
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

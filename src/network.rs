//! A multi-layer perceptron: shapes, and views over one flat arena of parameters.

use crate::init::Initializer;
use crate::random::{Purpose, Stream};
use fanin_kernels::{Activation, AlignedBuffer, MatMut, MatRef, padded};
use sha2::{Digest, Sha256};
use std::collections::TryReserveError;

/// The most parameters a network may have: 2³¹, that is 8 GiB.
pub const MAX_PARAMETERS: u64 = 1 << 31;

/// Why a network cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The given parameters do not have the shapes of the network.
    #[error("layer {layer}: expected {expected} {what}, found {found}")]
    Shape {
        /// Layer, from 0.
        layer: usize,
        /// `weights` or `biases`.
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
    /// Outputs, rounded up to whole registers: the row stride of W.
    pub(crate) width: usize,
    /// Where W starts in the arena; b follows it.
    offset: usize,
}

impl Layer {
    fn bias_offset(&self) -> usize {
        self.offset + self.fan_in * self.width
    }

    fn end(&self) -> usize {
        self.bias_offset() + self.width
    }
}

/// The parameters of a multi-layer perceptron.
///
/// Layer l computes `f(x·W + b)` with W \[fan_in, fan_out\]. The rows of W are padded
/// with zeros to whole registers, which only [`Network::weights`] shows.
#[derive(Clone)]
pub struct Network {
    layers: Vec<Layer>,
    parameters: AlignedBuffer,
}

impl Network {
    /// A network with all parameters 0.
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
        if sizes.len() < 2 {
            return Err(NetworkError::TooFewSizes(sizes.len()));
        }
        if let Some(position) = sizes.iter().position(|&n| n == 0) {
            return Err(NetworkError::EmptyLayer { position });
        }
        // In u128 and saturating, for the sizes may be anything.
        let parameters =
            |pair: &[usize]| (pair[0] as u128 + 1).saturating_mul(pair[1] as u128 + 15);
        let total = sizes
            .windows(2)
            .fold(0u128, |sum, pair| sum.saturating_add(parameters(pair)));
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
                width: padded(pair[1]),
                offset,
            };
            offset = layer.end();
            layers.push(layer);
        }
        let parameters = AlignedBuffer::zeroed(offset).map_err(|_| too_large())?;
        Ok(Self { layers, parameters })
    }

    /// Draws every parameter anew; each layer from streams of its own.
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
            let arena = &mut self.parameters[layer.offset..layer.end()];
            let (w, b) = arena.split_at_mut(fan_in * layer.width);
            let w = MatMut::with_strides(w, fan_in, fan_out, layer.width, 1);
            weights.fill_matrix(&mut stream, w)?;
            let mut stream = Stream::new(seed, Purpose::Biases, l as u64);
            biases.fill(&mut stream, fan_in, fan_out, &mut b[..fan_out]);
        }
        Ok(())
    }

    /// The layers, input side first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
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
        &self.parameters[layer.bias_offset()..layer.end()]
    }

    /// W and b of layer `l`, to change; the padding must stay 0.
    pub(crate) fn layer_mut(&mut self, l: usize) -> (MatMut<'_>, &mut [f32]) {
        let layer = self.layers[l];
        let arena = &mut self.parameters[layer.offset..layer.end()];
        let (w, b) = arena.split_at_mut(layer.fan_in * layer.width);
        (MatMut::new(w, layer.fan_in, layer.width), b)
    }

    /// [`Network::layer_mut`] of two layers, `a` after `b`.
    pub(crate) fn two_layers_mut(&mut self, a: usize, b: usize) -> [(MatMut<'_>, &mut [f32]); 2] {
        let (first, second) = (self.layers[b], self.layers[a]);
        let (head, tail) = self.parameters.split_at_mut(second.offset);
        let views = |arena, layer: Layer| {
            let arena: &mut [f32] = arena;
            let (w, b) = arena.split_at_mut(layer.fan_in * layer.width);
            (MatMut::new(w, layer.fan_in, layer.width), b)
        };
        [
            views(&mut tail[..second.end() - second.offset], second),
            views(&mut head[first.offset..first.end()], first),
        ]
    }

    /// A network of the same shape with all parameters 0.
    pub(crate) fn zeros_like(&self) -> Result<Self, TryReserveError> {
        Ok(Self {
            layers: self.layers.clone(),
            parameters: AlignedBuffer::zeroed(self.parameters.len())?,
        })
    }

    /// W of layer `l` without padding, row-major \[fan_in, fan_out\].
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn dense_weights(&self, l: usize) -> Vec<f32> {
        let w = self.weights(l);
        let fan_out = self.layers[l].fan_out;
        (0..w.rows())
            .flat_map(|r| &w.row(r)[..fan_out])
            .map(|&v| canonical(v))
            .collect()
    }

    /// b of layer `l` without padding, \[fan_out\].
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn dense_biases(&self, l: usize) -> Vec<f32> {
        let b = &self.biases(l)[..self.layers[l].fan_out];
        b.iter().map(|&v| canonical(v)).collect()
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
        let Some(&layer) = self.layers.get(l) else {
            return Err(NetworkError::NoLayer {
                layer: l,
                layers: self.layers.len(),
            });
        };
        let check = |what, expected: usize, found: usize| {
            let error = NetworkError::Shape {
                layer: l,
                what,
                expected,
                found,
            };
            if found == expected {
                Ok(())
            } else {
                Err(error)
            }
        };
        check("weights", layer.fan_in * layer.fan_out, weights.len())?;
        check("biases", layer.fan_out, biases.len())?;
        let (mut w, b) = self.layer_mut(l);
        for (r, values) in weights.chunks_exact(layer.fan_out).enumerate() {
            w.row_mut(r)[..layer.fan_out].copy_from_slice(values);
        }
        b[..layer.fan_out].copy_from_slice(biases);
        Ok(())
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        self.layers.iter().map(|l| (l.fan_in + 1) * l.fan_out).sum()
    }

    /// Whether every parameter is finite.
    pub fn is_finite(&self) -> bool {
        // Within a chunk without an early exit, so that it vectorizes.
        self.parameters
            .chunks(4096)
            .all(|chunk| chunk.iter().fold(true, |all, x| all & x.is_finite()))
    }

    /// SHA-256 over the parameters in layer order (W row-major without padding, then b),
    /// little-endian f32, as lowercase hex: the identity of a trained network.
    ///
    /// Every NaN is taken as the quiet NaN 0x7FC00000 and −0 as +0, for these depend on
    /// the instruction set and on which zero inputs were skipped, and mean nothing.
    pub fn weights_sha256(&self) -> String {
        let mut hash = Sha256::new();
        for l in 0..self.layers.len() {
            for values in [self.dense_weights(l), self.dense_biases(l)] {
                for chunk in values.chunks(1024) {
                    let mut bytes = [0u8; 4096];
                    for (to, v) in bytes.chunks_exact_mut(4).zip(chunk) {
                        to.copy_from_slice(&v.to_le_bytes());
                    }
                    hash.update(&bytes[..chunk.len() * 4]);
                }
            }
        }
        format!("{:x}", hash.finalize())
    }
}

/// One representative of all NaNs, and of both zeros.
fn canonical(v: f32) -> f32 {
    if v.is_nan() {
        f32::from_bits(0x7FC0_0000)
    } else if v == 0.0 {
        0.0
    } else {
        v
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(sizes: &[usize]) -> Result<Network, NetworkError> {
        Network::zeros(sizes, Activation::Sigmoid, Activation::Identity)
    }

    #[test]
    fn impossible_shapes_are_errors() {
        assert_eq!(net(&[]).unwrap_err(), NetworkError::TooFewSizes(0));
        assert_eq!(net(&[3]).unwrap_err(), NetworkError::TooFewSizes(1));
        let empty = NetworkError::EmptyLayer { position: 1 };
        assert_eq!(net(&[3, 0, 2]).unwrap_err(), empty);
        for sizes in [[usize::MAX, usize::MAX], [1 << 40, 10], [1 << 16, 1 << 16]] {
            assert!(matches!(net(&sizes), Err(NetworkError::TooLarge(_))));
        }
    }

    #[test]
    fn the_identity_ignores_padding_and_kinds_of_zero_and_nan() {
        let mut a = net(&[3, 2]).unwrap();
        // Reference value: sha256 of 8 little-endian f32 computed with Python's hashlib.
        let w = [1.0, -2.0, 0.5, 0.0, 3.0, 4.0];
        a.set_layer(0, &w, &[0.25, -1.0]).unwrap();
        assert_eq!(
            a.weights_sha256(),
            "406bc0e39a46110a925c3c48854650f6e5422f19a2ccdeb82e8e4d7a7b1e961c"
        );
        let mut b = a.clone();
        b.set_layer(0, &[1.0, -2.0, 0.5, -0.0, 3.0, 4.0], &[0.25, -1.0])
            .unwrap();
        assert_eq!(a.weights_sha256(), b.weights_sha256());
        let nan = |bits| [f32::from_bits(bits), 0.0, 0.0, 0.0, 0.0, 0.0];
        a.set_layer(0, &nan(0x7FC0_0000), &[0.0; 2]).unwrap();
        b.set_layer(0, &nan(0xFFC0_1234), &[0.0; 2]).unwrap();
        assert_eq!(a.weights_sha256(), b.weights_sha256());
        assert!(!a.is_finite());
    }

    #[test]
    fn one_layers_numbers_do_not_depend_on_anothers() {
        let mut a = net(&[5, 4, 3]).unwrap();
        let mut b = net(&[9, 4, 3]).unwrap();
        for n in [&mut a, &mut b] {
            n.initialize(Initializer::LECUN_NORMAL, Initializer::Normal(1.0), 7)
                .unwrap();
        }
        assert_eq!(a.dense_weights(1), b.dense_weights(1));
        assert_eq!(a.dense_biases(0), b.dense_biases(0));
        assert!(
            a.weights(0).row(2)[4..].iter().all(|&v| v == 0.0),
            "padding"
        );
        let wrong = a.set_layer(1, &[0.0; 11], &[0.0; 3]).unwrap_err();
        assert_eq!(wrong.to_string(), "layer 1: expected 12 weights, found 11");
        assert!(matches!(
            a.set_layer(2, &[], &[]),
            Err(NetworkError::NoLayer {
                layer: 2,
                layers: 2
            })
        ));
    }
}

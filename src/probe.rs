//! How activations and gradients spread through an untrained network.
//!
//! A batch goes forward through the freshly initialized network; then independent
//! N(0, 1) numbers, as dL/dy of the last layer, go back. What is measured at each layer
//! is what the derivations of initializers are about: the variance of the outputs
//! (forward) and of the gradients (backward). See Glorot and Bengio, "Understanding the
//! difficulty of training deep feedforward neural networks", 2010, section 4.

mod mean_field;
mod moments;
mod passes;

pub use mean_field::{DepthScales, Variances};
pub use moments::{BINS, Histogram, Moments};

use crate::Error;
use crate::batch_norm::BatchNorm;
use crate::config::{ConfigError, check_initializers};
use crate::data::Split;
use crate::data_init::{LSUV_SAMPLES, lsuv};
use crate::init::Initializer;
use crate::network::Network;
use crate::random::{Purpose, Stream};
use fanin_kernels::norm::MAX_SAMPLES;
use fanin_kernels::{Activation, AlignedBuffer, Isa, MatMut, MatRef, padded};
use passes::Passes;
use serde::Serialize;

/// A network to look at. The default is that of the article's figures: 2,000 samples of
/// 800 inputs from N(0, 1), widths 800, 750, …, 350, tanh, no biases.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeConfig {
    /// Units of the input, of each hidden layer, and of the output.
    pub layers: Vec<usize>,
    /// How the weights start.
    pub init: Initializer,
    /// How the biases start.
    pub bias_init: Initializer,
    /// Activation of every layer.
    pub activation: Activation,
    /// Batch normalization, with the statistics of the batch itself, γ = 1 and β = 0; its
    /// `momentum` and `eval` do not matter.
    pub batch_norm: Option<BatchNorm>,
    /// Samples in the batch; with batch normalization fewer than 2²⁴.
    pub samples: usize,
    /// Decides the parameters, the Gaussian inputs and the gradient at the output.
    pub seed: u64,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            layers: (350..=800).rev().step_by(50).collect(),
            init: Initializer::LECUN_NORMAL,
            bias_init: Initializer::Zeros,
            activation: Activation::Tanh,
            batch_norm: None,
            samples: 2_000,
            seed: 1,
        }
    }
}

/// What is measured at a layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerProbe {
    /// Outputs of the layer.
    pub width: usize,
    /// Of the outputs y = f(x·W + b), or, with batch normalization, f(BN(x·W + b)) or
    /// f(BN(x)·W + b).
    pub outputs: Moments,
    /// Of the outputs.
    pub histogram: Histogram,
    /// Of dL/dz for each sample, L being a sum over the samples; z = x·W + b, before any
    /// normalization (or with BN(x) in the place of x).
    pub gradients: Moments,
    /// Of dL/dW, the mean over the samples.
    pub weight_gradients: Moments,
    /// What the theory of wide networks says; `None` with batch normalization, which it
    /// leaves out.
    pub predicted: Option<Predicted>,
}

/// Standard deviations that mean-field theory predicts for a layer, from the variances
/// of the parameters that were drawn and the second moment of the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Predicted {
    /// Of the outputs, over samples and units.
    pub outputs: f64,
    /// Of dL/dz.
    pub gradients: f64,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Of the inputs.
    pub inputs: Moments,
    /// By layer, input side first.
    pub layers: Vec<LayerProbe>,
    /// fan_in·Var(w) and Var(b), the means over the layers.
    pub variances: Variances,
    /// Where ever more layers with these variances would lead; `None` with batch
    /// normalization, which the theory leaves out.
    pub depth: Option<DepthScales>,
}

/// Where the inputs of a probe come from.
#[derive(Clone, Copy, Debug)]
pub enum ProbeData<'a> {
    /// Independent N(0, 1) numbers.
    Gaussian,
    /// The first images of a split, pixels ÷ 255.
    Images(&'a Split),
}

/// Sends a batch through the network that `config` describes, and gradients back.
///
/// The instruction set is the one `FANIN_ISA` asks for; the result does not depend on it.
///
/// # Errors
/// If the network cannot be built, does not fit the images or there are fewer than
/// `samples`, or memory does not suffice.
pub fn probe(config: &ProbeConfig, data: ProbeData<'_>) -> Result<Probe, Error> {
    let isa = Isa::from_env()?;
    let f = config.activation;
    check_batch_norm(config)?;
    check_initializers(config.init, config.bias_init)?;
    if let Initializer::Pretrained(_) = config.init {
        return Err(ConfigError::ProbePretrained(config.init.to_string()).into());
    }
    let mut network = Network::with_batch_norm(&config.layers, f, f, config.batch_norm)?;
    network.initialize(config.init, config.bias_init, config.seed)?;
    let n = config.samples;
    let mut batch = Batch::inputs(config, data, network.inputs())?;
    let inputs = Moments::of(batch.rows(network.inputs()));
    if let Initializer::Lsuv {
        tolerance,
        iterations,
    } = config.init
    {
        let x = batch
            .view(network.inputs())
            .row_range(0, n.min(LSUV_SAMPLES));
        lsuv(isa, &mut network, x, tolerance, iterations)?;
    }

    let mut passes = Passes::new(isa, &network)?;
    let mut passed = Vec::with_capacity(network.layers().len());
    for l in 0..network.layers().len() {
        let (kept, y) = passes.forward(l, batch)?;
        passed.push(kept);
        batch = y;
    }

    let mut layers = Vec::with_capacity(passed.len());
    let mut stream = Stream::new(config.seed, Purpose::OutputGradient, 0);
    let mut gradient = Batch::new(n, padded(network.outputs()))?;
    gradient.fill(network.outputs(), || stream.normal() as f32);
    let mut y = batch;
    for (l, layer) in network.layers().iter().enumerate().rev() {
        let Some(kept) = passed.pop() else { break };
        passes.delta(l, &kept, &y, &mut gradient)?;
        let dw = passes.weight_gradient(l, &kept, &gradient)?;
        layers.push(LayerProbe {
            width: layer.fan_out,
            outputs: Moments::of(y.rows(layer.fan_out)),
            histogram: Histogram::of(y.rows(layer.fan_out)),
            gradients: Moments::of(gradient.rows(layer.fan_out)),
            weight_gradients: Moments::of(dw.rows(layer.fan_out)),
            predicted: None,
        });
        if l > 0 {
            gradient = passes.input_gradient(l, &kept, &gradient)?;
        }
        y = kept.x;
    }
    layers.reverse();
    let variances = variances(&network);
    let mean = |value: fn(&Variances) -> f64| {
        variances.iter().map(value).sum::<f64>() / (variances.len() as f64).max(1.0)
    };
    let mean = Variances {
        weights: mean(|v| v.weights),
        biases: mean(|v| v.biases),
    };
    let predictable = config.batch_norm.is_none();
    if predictable {
        predict(&network, &variances, inputs.second_moment, &mut layers);
    }
    Ok(Probe {
        inputs,
        layers,
        variances: mean,
        depth: predictable.then(|| DepthScales::of(f, mean)),
    })
}

/// Of each layer.
fn variances(network: &Network) -> Vec<Variances> {
    (0..network.layers().len())
        .map(|l| {
            let second = |v: Vec<f32>| Moments::of([&v[..]].into_iter()).second_moment;
            Variances {
                weights: network.layers()[l].fan_in as f64 * second(network.dense_weights(l)),
                biases: second(network.dense_biases(l)),
            }
        })
        .collect()
}

/// Fills in what is predicted, from the second moment of the `inputs`.
fn predict(network: &Network, variances: &[Variances], inputs: f64, layers: &mut [LayerProbe]) {
    let mut second = inputs;
    let mut slopes = Vec::with_capacity(layers.len());
    let mut predicted = Vec::with_capacity(layers.len());
    for (layer, v) in network.layers().iter().zip(variances) {
        let q = v.weights * second + v.biases;
        let (mean, next) = mean_field::outputs(layer.activation, q);
        predicted.push((next - mean * mean).max(0.0).sqrt());
        slopes.push(mean_field::slope(layer.activation, q));
        second = next;
    }
    let mut gradient = 1.0;
    for (l, layer) in layers.iter_mut().enumerate().rev() {
        gradient *= slopes[l];
        layer.predicted = Some(Predicted {
            outputs: predicted[l],
            gradients: gradient.sqrt(),
        });
        let shape = &network.layers()[l];
        gradient *= variances[l].weights * shape.fan_out as f64 / shape.fan_in as f64;
    }
}

/// A row-major matrix of its own.
struct Batch {
    data: AlignedBuffer,
    rows: usize,
    width: usize,
}

impl Batch {
    fn new(rows: usize, width: usize) -> Result<Self, Error> {
        let data = AlignedBuffer::zeroed(rows.saturating_mul(width))?;
        Ok(Self { data, rows, width })
    }

    fn inputs(config: &ProbeConfig, data: ProbeData<'_>, cols: usize) -> Result<Self, Error> {
        if let ProbeData::Images(split) = data {
            check_images(config, split, cols)?;
        }
        let mut batch = Self::new(config.samples, padded(cols))?;
        match data {
            ProbeData::Gaussian => {
                let mut stream = Stream::new(config.seed, Purpose::Inputs, 0);
                batch.fill(cols, || stream.normal() as f32);
            }
            ProbeData::Images(split) => {
                let mut bytes = split.images().iter();
                batch.fill(cols, || f32::from(*bytes.next().unwrap_or(&0)) / 255.0);
            }
        }
        Ok(batch)
    }

    /// Sets the first `cols` columns, row by row; the padding stays 0.
    fn fill(&mut self, cols: usize, mut value: impl FnMut() -> f32) {
        for row in self.data.chunks_exact_mut(self.width) {
            row[..cols].fill_with(&mut value);
        }
    }

    fn view(&self, cols: usize) -> MatRef<'_> {
        MatRef::with_strides(&self.data, self.rows, cols, self.width, 1)
    }

    fn view_mut(&mut self) -> MatMut<'_> {
        MatMut::new(&mut self.data, self.rows, self.width)
    }

    /// The rows without padding.
    fn rows(&self, cols: usize) -> impl Iterator<Item = &[f32]> + Clone {
        self.data
            .chunks_exact(self.width)
            .map(move |row| &row[..cols])
    }
}

fn check_batch_norm(config: &ProbeConfig) -> Result<(), ConfigError> {
    let Some(norm) = config.batch_norm else {
        return Ok(());
    };
    norm.check()?;
    if config.samples == 1 {
        return Err(ConfigError::NormOne);
    }
    match config.samples < MAX_SAMPLES {
        true => Ok(()),
        false => Err(ConfigError::NormSamples(config.samples)),
    }
}

fn check_images(config: &ProbeConfig, split: &Split, cols: usize) -> Result<(), Error> {
    let error = if split.pixels() != cols {
        ConfigError::Inputs {
            layer: cols,
            set: "training",
            samples: split.pixels(),
        }
    } else if config.samples > split.len() {
        ConfigError::Batch {
            batch: config.samples,
            samples: split.len(),
        }
    } else {
        return Ok(());
    };
    Err(error.into())
}

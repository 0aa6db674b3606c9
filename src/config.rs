//! What a training run is made of.

mod layer_range;

pub use layer_range::{LayerRange, LayerRangeError};

use crate::batch_norm::{BatchNorm, NormEval, NormLayers};
use crate::init::Initializer;
use crate::samples::InputPath;
use fanin_kernels::norm::MAX_SAMPLES;
use fanin_kernels::team::MAX_THREADS;
use fanin_kernels::{Activation, Loss};
use serde::{Serialize, Serializer};

/// A training run. The default is the article's: every field has its value.
///
/// Everything but `threads` and `input_path` decides the result; these two never do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainConfig {
    /// Units of the input, of each hidden layer, and of the output.
    pub layers: Vec<usize>,
    /// How the weights start.
    #[serde(serialize_with = "as_text")]
    pub init: Initializer,
    /// How the biases start.
    #[serde(serialize_with = "as_text")]
    pub bias_init: Initializer,
    /// Activation of the hidden layers.
    #[serde(serialize_with = "as_text")]
    pub activation: Activation,
    /// Activation of the output layer.
    #[serde(serialize_with = "as_text")]
    pub output_activation: Activation,
    /// Batch normalization; none by default.
    #[serde(flatten, serialize_with = "as_columns")]
    pub batch_norm: Option<BatchNorm>,
    /// Layers whose W, b, γ and β stay as they start; not all of them.
    pub frozen: Option<LayerRange>,
    /// What is minimized, as the mean over the batch.
    #[serde(serialize_with = "as_text")]
    pub loss: Loss,
    /// Learning rate, finite.
    pub lr: f32,
    /// Heavy-ball momentum, 0 ≤ momentum < 1; 0 is plain SGD.
    pub momentum: f32,
    /// Samples in a step, 1 … the number of training samples.
    pub batch: usize,
    /// Steps to train.
    pub steps: u64,
    /// Steps between two evaluations; 0: only before the first step and after the last.
    pub eval_every: u64,
    /// Decides the initial parameters and the order of the samples.
    pub seed: u64,
    /// Threads, 1 … 256.
    #[serde(skip)]
    pub threads: usize,
    /// How byte inputs are read.
    #[serde(skip)]
    pub input_path: InputPath,
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(v: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(v)
}

/// Flat, and the same keys with and without batch normalization: columns of a table.
fn as_columns<S: Serializer>(norm: &Option<BatchNorm>, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Columns {
        batch_norm: String,
        bn_layers: Option<NormLayers>,
        bn_epsilon: Option<f32>,
        bn_momentum: Option<f32>,
        bn_eval: Option<NormEval>,
    }
    let columns = Columns {
        batch_norm: norm.map_or("off".into(), |norm| norm.placement.to_string()),
        bn_layers: norm.map(|norm| norm.layers),
        bn_epsilon: norm.map(|norm| norm.epsilon),
        bn_momentum: norm.map(|norm| norm.momentum),
        bn_eval: norm.map(|norm| norm.eval),
    };
    columns.serialize(s)
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            layers: vec![784, 390, 156, 62, 25, 10],
            init: Initializer::LECUN_NORMAL,
            bias_init: Initializer::Normal(1.0),
            activation: Activation::Sigmoid,
            output_activation: Activation::Sigmoid,
            batch_norm: None,
            frozen: None,
            loss: Loss::Mse,
            lr: 3.0,
            momentum: 0.0,
            batch: 10,
            steps: 20_000,
            eval_every: 1_000,
            seed: 1,
            threads: 1,
            input_path: InputPath::Auto,
        }
    }
}

/// A value that a run cannot have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// `lr` is not finite.
    #[error("learning rate {0}: expected a finite number")]
    LearningRate(f32),
    /// `momentum` is outside of [0, 1).
    #[error("momentum {0}: expected a number from 0 up to, but not including, 1")]
    Momentum(f32),
    /// ε of the batch normalization is not finite or not > 0.
    #[error("batch normalization's epsilon {0}: expected a finite number > 0")]
    Epsilon(f32),
    /// The momentum of the running statistics is outside of [0, 1].
    #[error("batch normalization's momentum {0}: expected a number from 0 to 1")]
    NormMomentum(f32),
    /// A batch of one, which normalization makes 0.
    #[error("batch normalization of batches of 1: expected 2 samples or more")]
    NormOne,
    /// Too many samples are to be normalized together.
    #[error("batch normalization of {0} samples at once: expected fewer than {MAX_SAMPLES}")]
    NormSamples(usize),
    /// More layers are frozen than there are, or all of them.
    #[error("layers {frozen} are frozen: the network has {layers}, and one must be trained")]
    Frozen {
        /// What was asked for.
        frozen: LayerRange,
        /// Layers of the network.
        layers: usize,
    },
    /// `threads` is 0 or too large.
    #[error("{0} threads: expected 1 to {MAX_THREADS}")]
    Threads(usize),
    /// `batch` is 0 or larger than the training set.
    #[error("a batch of {batch}: expected 1 to {samples}, the number of training samples")]
    Batch {
        /// What was asked for.
        batch: usize,
        /// Training samples.
        samples: usize,
    },
    /// The input layer does not fit the samples.
    #[error("the network has {layer} inputs, the {set} samples have {samples}")]
    Inputs {
        /// First of the layer sizes.
        layer: usize,
        /// `training` or `test`.
        set: &'static str,
        /// Inputs of a sample.
        samples: usize,
    },
    /// The output layer does not fit the targets.
    #[error("the network has {layer} outputs, the {set} targets need {needed}")]
    Outputs {
        /// Last of the layer sizes.
        layer: usize,
        /// `training` or `test`.
        set: &'static str,
        /// A target vector's width, or 1 + the largest class.
        needed: usize,
    },
    /// A setting of `init` is out of its range.
    #[error("weights '{init}': {expected}")]
    Init {
        /// The initializer.
        init: String,
        /// What the setting should be.
        expected: &'static str,
    },
    /// `bias_init` is made for weights.
    #[error("biases '{0}': it starts weights from data, and cannot start biases")]
    BiasInit(String),
    /// A probe would have to train.
    #[error("a probe looks at networks before any training: it cannot start from '{0}'")]
    ProbePretrained(String),
    /// Training and test targets are of different kinds.
    #[error("the training and the test targets must be of one kind: classes or vectors")]
    Kinds,
}

impl TrainConfig {
    /// Checks the values that do not depend on the samples.
    ///
    /// # Errors
    /// The first value that a run cannot have.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.lr.is_finite() {
            return Err(ConfigError::LearningRate(self.lr));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(ConfigError::Momentum(self.momentum));
        }
        if let Some(norm) = self.batch_norm {
            norm.check()?;
        }
        let layers = self.layers.len().saturating_sub(1);
        if let Some(frozen) = self.frozen
            && (frozen.last() > layers || frozen.indices() == (0..layers))
        {
            return Err(ConfigError::Frozen { frozen, layers });
        }
        if !(1..=MAX_THREADS).contains(&self.threads) {
            return Err(ConfigError::Threads(self.threads));
        }
        check_initializers(self.init, self.bias_init)
    }

    /// Floating-point operations of one step as dense arithmetic counts them: two for
    /// each multiply-add of the forward pass, of dW, and of dX (not of the input layer).
    pub fn dense_flops_per_step(&self) -> f64 {
        let products: Vec<f64> = self
            .layers
            .windows(2)
            .map(|p| p[0] as f64 * p[1] as f64)
            .collect();
        let all: f64 = products.iter().sum();
        let first = products.first().copied().unwrap_or(0.0);
        2.0 * self.batch as f64 * (3.0 * all - first)
    }

    /// Floating-point operations to evaluate `samples` samples, counted likewise.
    pub fn dense_flops_of_evaluation(&self, samples: usize) -> f64 {
        let all: f64 = self
            .layers
            .windows(2)
            .map(|p| p[0] as f64 * p[1] as f64)
            .sum();
        2.0 * samples as f64 * all
    }
}

/// Checks what an [`Initializer`] may hold but no text can say.
pub(crate) fn check_initializers(
    init: Initializer,
    biases: Initializer,
) -> Result<(), ConfigError> {
    if let Err(expected) = init.check_settings() {
        let init = init.to_string();
        return Err(ConfigError::Init { init, expected });
    }
    match biases.needs_data() {
        true => Err(ConfigError::BiasInit(biases.to_string())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_articles_dense_step() {
        assert_eq!(TrainConfig::default().dense_flops_per_step(), 16_569_120.0);
        let evaluation = TrainConfig::default().dense_flops_of_evaluation(10_000);
        assert_eq!(evaluation, 7_561_440_000.0);
    }
}

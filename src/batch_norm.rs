//! Batch normalization: what is normalized, and how.
//!
//! Over the samples of a batch, each unit's numbers x become
//! `γ·(x − mean)/√(variance + ε) + β`, the variance being the biased one; γ starts as 1,
//! β as 0, and both are trained.
//!
//! Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by
//! Reducing Internal Covariate Shift", 2015.

use crate::config::ConfigError;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Batch normalization of a network. The default is the article's, but for `eval`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BatchNorm {
    /// Where it stands in a layer.
    pub placement: Placement,
    /// Which layers have it.
    pub layers: NormLayers,
    /// ε, finite and > 0.
    pub epsilon: f32,
    /// How far a step moves the running statistics, 0 to 1:
    /// `running ← running + momentum·(batch − running)`, as PyTorch has it (Keras calls
    /// `1 − momentum` so). The running variance takes the unbiased one of the batch (the
    /// biased one, that is 0, of a batch of one).
    pub momentum: f32,
    /// What an evaluation normalizes with.
    pub eval: NormEval,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self {
            eval: NormEval::Running,
            ..Self::ARTICLE
        }
    }
}

/// Where batch normalization stands in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// `pre_activation`: f(BN(x·W + b)), as its authors have it.
    PreActivation,
    /// `input`: f(BN(x)·W + b).
    Input,
}

/// Which layers have batch normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NormLayers {
    /// `all`: every layer, the article's way.
    All,
    /// `hidden`: what belongs to the hidden layers: neither the pre-activations of the
    /// output layer nor the inputs of the network.
    Hidden,
}

/// What an evaluation normalizes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NormEval {
    /// `running`: means and variances that training has gathered.
    Running,
    /// `batch`: those of the whole set that is evaluated.
    Batch,
}

/// A name that is none of those expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} '{found}': expected {expected}")]
pub struct NormNameError {
    what: &'static str,
    found: String,
    expected: &'static str,
}

macro_rules! names {
    ($type:ident, $what:literal, $expected:literal, $($variant:ident $name:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = NormNameError;

            fn from_str(text: &str) -> Result<Self, NormNameError> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(NormNameError {
                        what: $what,
                        found: text.into(),
                        expected: $expected,
                    }),
                }
            }
        }
    };
}

names!(Placement, "placement of batch normalization", "pre_activation or input",
    PreActivation "pre_activation", Input "input");
names!(NormLayers, "choice of normalized layers", "all or hidden", All "all", Hidden "hidden");
names!(NormEval, "statistics for evaluation", "running or batch",
    Running "running", Batch "batch");

impl fmt::Display for BatchNorm {
    /// Where it stands and which layers have it: `batch normalization pre_activation, all
    /// layers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batch normalization {}, {} layers",
            self.placement, self.layers
        )
    }
}

impl BatchNorm {
    /// The article's: it normalizes the test set with its own statistics.
    pub const ARTICLE: Self = Self {
        placement: Placement::PreActivation,
        layers: NormLayers::All,
        epsilon: 1e-3,
        momentum: 0.1,
        eval: NormEval::Batch,
    };

    /// Checks ε and the momentum.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(ConfigError::Epsilon(self.epsilon));
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(ConfigError::NormMomentum(self.momentum));
        }
        Ok(())
    }

    /// Whether layer `l` of `layers` has it.
    pub fn has(&self, l: usize, layers: usize) -> bool {
        match (self.layers, self.placement) {
            (NormLayers::All, _) => true,
            (NormLayers::Hidden, Placement::PreActivation) => l + 1 < layers,
            (NormLayers::Hidden, Placement::Input) => l > 0,
        }
    }
}

//! The flags of batch normalization.

use crate::batch_norm::{BatchNorm, NormEval, NormLayers, Placement};
use clap::{Args, ValueEnum};

/// What decides how a batch is normalized: all that `probe` takes.
#[derive(Debug, Args)]
pub(super) struct BatchNormArgs {
    /// Batch normalization
    #[arg(long, value_enum, value_name = "WHERE", default_value = "off")]
    batch_norm: Where,

    /// Which layers have it: all, or hidden (neither the network's inputs nor the
    /// pre-activations of the output layer)
    #[arg(long, value_name = "LAYERS", requires = "batch_norm", default_value_t = BatchNorm::default().layers)]
    bn_layers: NormLayers,

    /// What is added to each variance, > 0
    #[arg(long, value_name = "X", requires = "batch_norm", default_value_t = BatchNorm::default().epsilon, allow_negative_numbers = true)]
    bn_epsilon: f32,
}

/// Batch normalization, as `train` takes it.
#[derive(Debug, Args)]
pub(super) struct NormArgs {
    #[command(flatten)]
    batch: BatchNormArgs,

    /// How far a step moves the running statistics, 0 to 1
    #[arg(long, value_name = "X", requires = "batch_norm", default_value_t = BatchNorm::default().momentum, allow_negative_numbers = true)]
    bn_momentum: f32,

    /// What evaluations normalize with: running (statistics gathered in training) or batch
    /// (those of the whole test set, the article's way)
    #[arg(long, value_name = "STATISTICS", requires = "batch_norm", default_value_t = BatchNorm::default().eval)]
    bn_eval: NormEval,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Where {
    /// None
    Off,
    /// f(BN(x·W + b))
    PreActivation,
    /// f(BN(x)·W + b)
    Input,
}

impl Where {
    pub fn placement(self) -> Option<Placement> {
        match self {
            Self::Off => None,
            Self::PreActivation => Some(Placement::PreActivation),
            Self::Input => Some(Placement::Input),
        }
    }
}

impl BatchNormArgs {
    /// What the flags ask for; the rest by default.
    pub fn batch_norm(&self) -> Option<BatchNorm> {
        let placement = self.batch_norm.placement()?;
        Some(BatchNorm {
            placement,
            layers: self.bn_layers,
            epsilon: self.bn_epsilon,
            ..BatchNorm::default()
        })
    }
}

impl NormArgs {
    /// What the flags ask for.
    pub fn batch_norm(&self) -> Option<BatchNorm> {
        Some(BatchNorm {
            momentum: self.bn_momentum,
            eval: self.bn_eval,
            ..self.batch.batch_norm()?
        })
    }
}

//! From settings to the configuration of a run.

use crate::batch_norm::{BatchNorm, Placement};
use crate::sweep::spec::{Field, Position, Setting, Value};
use crate::{Activation, TrainConfig};

/// A configuration that is not yet complete.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    config: TrainConfig,
    /// `None`: that of the hidden layers.
    pub output_activation: Option<Activation>,
    /// `None`: no batch normalization.
    pub placement: Option<Placement>,
    /// Its other settings, also where there is none.
    pub norm: BatchNorm,
    /// Hidden layers, in the place of `layers`.
    pub depth: Option<usize>,
    /// Their units.
    pub width: Option<usize>,
}

impl Draft {
    /// What `[train]` says.
    pub fn new(settings: &[(Position, Setting)]) -> Self {
        let mut draft = Self {
            config: TrainConfig::default(),
            output_activation: None,
            placement: None,
            norm: BatchNorm::default(),
            depth: None,
            width: None,
        };
        for (_, setting) in settings {
            draft.apply(setting);
        }
        draft
    }

    pub fn apply(&mut self, setting: &Setting) {
        let config = &mut self.config;
        match setting {
            Setting::Layers(sizes) => {
                config.layers.clear();
                config.layers.extend_from_slice(sizes);
                (self.depth, self.width) = (None, None);
            }
            Setting::Depth(depth) => self.depth = Some(*depth),
            Setting::Width(width) => self.width = Some(*width),
            Setting::Init(init) => config.init = *init,
            Setting::BiasInit(init) => config.bias_init = *init,
            Setting::Activation(f) => config.activation = *f,
            Setting::OutputActivation(f) => self.output_activation = Some(*f),
            Setting::BatchNorm(placement) => self.placement = *placement,
            Setting::BnLayers(layers) => self.norm.layers = *layers,
            Setting::BnEpsilon(epsilon) => self.norm.epsilon = *epsilon,
            Setting::BnMomentum(momentum) => self.norm.momentum = *momentum,
            Setting::BnEval(eval) => self.norm.eval = *eval,
            Setting::Freeze(range) => config.frozen = *range,
            Setting::Loss(loss) => config.loss = *loss,
            Setting::Lr(lr) => config.lr = *lr,
            Setting::Momentum(momentum) => config.momentum = *momentum,
            Setting::Batch(batch) => config.batch = *batch,
            Setting::Steps(steps) => config.steps = *steps,
            Setting::EvalEvery(every) => config.eval_every = *every,
            Setting::Seed(seed) => config.seed = *seed,
        }
    }

    /// The value of `field` in all runs where no axis decides it; also that of batch
    /// normalization which is off.
    pub fn value(&self, field: Field) -> Option<Value> {
        let config = &self.config;
        let setting = match field {
            Field::Depth if self.depth.is_some() => Setting::Depth(self.depth?),
            Field::Width if self.width.is_some() => Setting::Width(self.width?),
            Field::Layers | Field::Depth | Field::Width => {
                Setting::Layers(config.layers.as_slice().into())
            }
            Field::Init => Setting::Init(config.init),
            Field::BiasInit => Setting::BiasInit(config.bias_init),
            Field::Activation => Setting::Activation(config.activation),
            Field::OutputActivation => {
                Setting::OutputActivation(self.output_activation.unwrap_or(config.activation))
            }
            Field::BatchNorm => Setting::BatchNorm(self.placement),
            Field::BnLayers => Setting::BnLayers(self.norm.layers),
            Field::BnEpsilon => Setting::BnEpsilon(self.norm.epsilon),
            Field::BnMomentum => Setting::BnMomentum(self.norm.momentum),
            Field::BnEval => Setting::BnEval(self.norm.eval),
            Field::Freeze => Setting::Freeze(config.frozen),
            Field::Loss => Setting::Loss(config.loss),
            Field::Lr => Setting::Lr(config.lr),
            Field::Momentum => Setting::Momentum(config.momentum),
            Field::Batch => Setting::Batch(config.batch),
            Field::Steps => Setting::Steps(config.steps),
            Field::EvalEvery => Setting::EvalEvery(config.eval_every),
            Field::Seed => Setting::Seed(config.seed),
        };
        setting.shows(field)
    }

    /// Layers with weights, where no axis decides it.
    pub fn layers(&self) -> usize {
        match self.depth {
            Some(depth) => depth + 1,
            None => self.config.layers.len().saturating_sub(1),
        }
    }

    /// The configuration of a network for so many `inputs` and `classes`.
    pub fn finish(self, inputs: usize, classes: usize) -> TrainConfig {
        let mut config = self.config;
        if let (Some(depth), Some(width)) = (self.depth, self.width) {
            config.layers.clear();
            config.layers.push(inputs);
            config.layers.resize(depth.saturating_add(1), width);
            config.layers.push(classes);
        }
        config.output_activation = self.output_activation.unwrap_or(config.activation);
        config.batch_norm = self.placement.map(|placement| BatchNorm {
            placement,
            ..self.norm
        });
        config
    }
}

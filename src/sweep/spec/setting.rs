//! One key of a run's configuration, and one value of it.

use crate::batch_norm::{NormEval, NormLayers, Placement};
use crate::config::LayerRange;
use crate::{Activation, Initializer, Loss};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// A key that `[train]`, `[grid]`, `[[zip]]` and `[[exclude]]` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Field {
    Layers,
    /// Hidden layers, all of [`Field::Width`] units.
    Depth,
    Width,
    Init,
    BiasInit,
    Activation,
    OutputActivation,
    BatchNorm,
    BnLayers,
    BnEpsilon,
    BnMomentum,
    BnEval,
    Freeze,
    Loss,
    Lr,
    Momentum,
    Batch,
    Steps,
    EvalEvery,
    Seed,
}

const NAMES: [(Field, &str); Field::COUNT] = [
    (Field::Layers, "layers"),
    (Field::Depth, "depth"),
    (Field::Width, "width"),
    (Field::Init, "init"),
    (Field::BiasInit, "bias_init"),
    (Field::Activation, "activation"),
    (Field::OutputActivation, "output_activation"),
    (Field::BatchNorm, "batch_norm"),
    (Field::BnLayers, "bn_layers"),
    (Field::BnEpsilon, "bn_epsilon"),
    (Field::BnMomentum, "bn_momentum"),
    (Field::BnEval, "bn_eval"),
    (Field::Freeze, "freeze"),
    (Field::Loss, "loss"),
    (Field::Lr, "lr"),
    (Field::Momentum, "momentum"),
    (Field::Batch, "batch"),
    (Field::Steps, "steps"),
    (Field::EvalEvery, "eval_every"),
    (Field::Seed, "seed"),
];

/// What a value is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Number,
    Text,
    Sizes,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = 20;

    /// The key, as it is written.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(field, _)| *field == self);
        found.map_or("", |(_, name)| name)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(field, _)| *field)
    }

    /// All keys.
    pub fn names() -> Vec<&'static str> {
        NAMES.iter().map(|(_, name)| *name).collect()
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::Layers => Kind::Sizes,
            Self::Depth
            | Self::Width
            | Self::Batch
            | Self::Steps
            | Self::EvalEvery
            | Self::Seed => Kind::Integer,
            Self::BnEpsilon | Self::BnMomentum | Self::Lr | Self::Momentum => Kind::Number,
            _ => Kind::Text,
        }
    }

    /// Whether it says nothing where there is no batch normalization.
    pub fn is_of_batch_norm(self) -> bool {
        matches!(
            self,
            Self::BnLayers | Self::BnEpsilon | Self::BnMomentum | Self::BnEval
        )
    }
}

/// A key with a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Setting {
    Layers(Arc<[usize]>),
    Depth(usize),
    Width(usize),
    Init(Initializer),
    BiasInit(Initializer),
    Activation(Activation),
    OutputActivation(Activation),
    BatchNorm(Option<Placement>),
    BnLayers(NormLayers),
    BnEpsilon(f32),
    BnMomentum(f32),
    BnEval(NormEval),
    Freeze(Option<LayerRange>),
    Loss(Loss),
    Lr(f32),
    Momentum(f32),
    Batch(usize),
    Steps(u64),
    EvalEvery(u64),
    Seed(u64),
}

impl Setting {
    /// The value, for tables.
    pub fn value(&self) -> Value {
        let text = |value: &dyn fmt::Display| Value::Text(value.to_string());
        match self {
            Self::Layers(sizes) => Value::sizes(sizes),
            Self::Depth(n) | Self::Width(n) | Self::Batch(n) => Value::Integer(*n as u64),
            Self::Steps(n) | Self::EvalEvery(n) | Self::Seed(n) => Value::Integer(*n),
            Self::BnEpsilon(x) | Self::BnMomentum(x) | Self::Lr(x) | Self::Momentum(x) => {
                Value::Number(*x)
            }
            Self::Init(init) | Self::BiasInit(init) => text(init),
            Self::Activation(f) | Self::OutputActivation(f) => text(f),
            Self::BatchNorm(placement) => match placement {
                Some(placement) => text(placement),
                None => text(&"off"),
            },
            Self::BnLayers(layers) => text(layers),
            Self::BnEval(eval) => text(eval),
            Self::Freeze(range) => match range {
                Some(range) => text(range),
                None => text(&"none"),
            },
            Self::Loss(loss) => text(loss),
        }
    }

    /// Its key.
    pub fn field(&self) -> Field {
        match self {
            Self::Layers(_) => Field::Layers,
            Self::Depth(_) => Field::Depth,
            Self::Width(_) => Field::Width,
            Self::Init(_) => Field::Init,
            Self::BiasInit(_) => Field::BiasInit,
            Self::Activation(_) => Field::Activation,
            Self::OutputActivation(_) => Field::OutputActivation,
            Self::BatchNorm(_) => Field::BatchNorm,
            Self::BnLayers(_) => Field::BnLayers,
            Self::BnEpsilon(_) => Field::BnEpsilon,
            Self::BnMomentum(_) => Field::BnMomentum,
            Self::BnEval(_) => Field::BnEval,
            Self::Freeze(_) => Field::Freeze,
            Self::Loss(_) => Field::Loss,
            Self::Lr(_) => Field::Lr,
            Self::Momentum(_) => Field::Momentum,
            Self::Batch(_) => Field::Batch,
            Self::Steps(_) => Field::Steps,
            Self::EvalEvery(_) => Field::EvalEvery,
            Self::Seed(_) => Field::Seed,
        }
    }

    /// The value that this setting gives `field`: of its own key, but of `depth` and `width`
    /// too if it is `layers`, and of `output_activation` if it is `activation`. `None`: no
    /// value, as the width of layers that differ.
    pub fn shows(&self, field: Field) -> Option<Value> {
        match (self, field) {
            (Self::Layers(sizes), Field::Depth) => {
                Some(Value::Integer(sizes.len().saturating_sub(2) as u64))
            }
            (Self::Layers(sizes), Field::Width) => {
                let hidden = sizes.get(1..sizes.len().saturating_sub(1))?;
                let first = *hidden.first()?;
                let equal = hidden.iter().all(|size| *size == first);
                equal.then_some(Value::Integer(first as u64))
            }
            (Self::Activation(f), Field::OutputActivation) => Some(Value::Text(f.to_string())),
            _ => (self.field() == field).then(|| self.value()),
        }
    }
}

/// The value of a run on an axis: what a table has in the axis's column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `seed`, `steps`, `eval_every`, `batch`, `depth`, `width`.
    Integer(u64),
    /// `lr`, `momentum`, `bn_epsilon`, `bn_momentum`.
    Number(f32),
    /// Names as `train` writes them; layer sizes as `784-90-10`; no batch normalization
    /// is `off`, no frozen layers are `none`.
    Text(String),
}

impl Value {
    /// `784-90-10`
    pub(crate) fn sizes(sizes: &[usize]) -> Self {
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        Self::Text(sizes.join("-"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => n.fmt(f),
            Self::Number(x) => x.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

//! What runs can be grouped by.

use crate::sweep::spec::{Field, nearest};
use crate::sweep::{Config, Value};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A key of a run's configuration: those of specs, `data` and `hold_out`. Written as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Field(Field),
    Data,
    HoldOut,
}

/// All keys, those first that say most about a network.
const SOURCES: [Source; Key::COUNT] = [
    Source::Field(Field::Init),
    Source::Field(Field::Depth),
    Source::Field(Field::Width),
    Source::Field(Field::Layers),
    Source::Field(Field::Activation),
    Source::Field(Field::OutputActivation),
    Source::Field(Field::BatchNorm),
    Source::Field(Field::BnLayers),
    Source::Field(Field::BnEval),
    Source::Field(Field::BnMomentum),
    Source::Field(Field::BnEpsilon),
    Source::Field(Field::Lr),
    Source::Field(Field::Momentum),
    Source::Field(Field::Batch),
    Source::Field(Field::Loss),
    Source::Field(Field::BiasInit),
    Source::Field(Field::Freeze),
    Source::Field(Field::Steps),
    Source::Field(Field::EvalEvery),
    Source::Data,
    Source::HoldOut,
    Source::Field(Field::Seed),
];

impl Key {
    pub(super) const COUNT: usize = Field::COUNT + 2;
    /// How the weights start.
    pub const INIT: Self = Self(0);
    /// Hidden layers.
    pub const DEPTH: Self = Self(1);
    pub(super) const WIDTH: Self = Self(2);
    pub(super) const LAYERS: Self = Self(3);
    /// What statistics are usually over.
    pub const SEED: Self = Self(Self::COUNT - 1);

    /// All keys, in the order in which groups have them where nothing else is asked for.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match SOURCES[self.0] {
            Source::Field(field) => field.name(),
            Source::Data => "data",
            Source::HoldOut => "hold_out",
        }
    }

    /// Its number among [`Self::all`].
    pub(super) fn index(self) -> usize {
        self.0
    }

    /// That of specs.
    pub(super) fn field(self) -> Option<Field> {
        match SOURCES[self.0] {
            Source::Field(field) => Some(field),
            _ => None,
        }
    }

    /// Its value in a configuration. `None` where it has none, as `bn_eval` without batch
    /// normalization.
    pub(super) fn value(self, config: &Config<'_>) -> Option<Value> {
        match SOURCES[self.0] {
            Source::Field(field) => config.value(field),
            Source::Data => Some(Value::Text(config.data.clone().into_owned())),
            Source::HoldOut => Some(Value::Integer(config.hold_out)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if let Some(key) = Self::all().find(|key| key.name() == text) {
            return Ok(key);
        }
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        let shown: String = text.chars().take(64).collect();
        let end = match nearest(text, &names) {
            Some(name) => format!("; did you mean '{name}'?"),
            None => format!(": expected {}", names.join(", ")),
        };
        Err(KeyError(format!("unknown key '{shown}'{end}")))
    }
}

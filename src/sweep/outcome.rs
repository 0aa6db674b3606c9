//! A record as reports and exports read it.

use super::spec::Field;
use super::store::Line;
use super::{Value, store};
use crate::train::Evaluation;
use serde::Deserialize;
use std::borrow::Cow;

/// The record of a run, by its members. Those that a run has not come to are `None`.
#[derive(Clone, Debug, Deserialize)]
pub struct Outcome<'a> {
    /// The id of the run.
    #[serde(borrow)]
    pub run: Cow<'a, str>,
    /// `ok`, `diverged`, `pruned` or `failed`.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// The host it was run on.
    #[serde(borrow)]
    pub host: Cow<'a, str>,
    /// The version of fanin.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// When the record was made, in RFC 3339, UTC.
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    /// The run's configuration.
    #[serde(borrow)]
    pub config: Config<'a>,
    /// Instruction set.
    #[serde(default)]
    pub isa: Option<Cow<'a, str>>,
    /// Threads of the run.
    #[serde(default)]
    pub threads: Option<u64>,
    /// Steps done.
    #[serde(default)]
    pub steps: Option<u64>,
    /// Test accuracies, by step.
    #[serde(default)]
    pub evals: Vec<Evaluation>,
    /// The last test accuracy, 0 to 1.
    #[serde(default)]
    pub final_accuracy: Option<f64>,
    /// The first evaluated step with a test accuracy of at least 80 %.
    #[serde(default)]
    pub steps_to_80: Option<u64>,
    /// Mean training loss before the last evaluation.
    #[serde(default)]
    pub training_loss: Option<f64>,
    /// How long it took.
    #[serde(default)]
    pub seconds: Option<Seconds>,
    /// Mean time of a training step, µs.
    #[serde(default)]
    pub us_per_step: Option<f64>,
    /// The hash of the parameters.
    #[serde(default)]
    pub weights_sha256: Option<Cow<'a, str>>,
    /// The rule that ended it, where it is `pruned`.
    #[serde(default)]
    pub pruned_by: Option<Cow<'a, str>>,
    /// Why it is `failed`.
    #[serde(default)]
    pub error: Option<Cow<'a, str>>,
}

/// Times of a run, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Seconds {
    /// In training steps.
    pub train: f64,
    /// In evaluations.
    pub eval: f64,
    /// From start to end.
    pub total: f64,
}

/// `config` of a record.
#[derive(Clone, Debug, Deserialize)]
pub struct Config<'a> {
    /// The data set, as it was asked for.
    #[serde(borrow)]
    pub data: Cow<'a, str>,
    /// Training images left out.
    pub hold_out: u64,
    layers: Vec<usize>,
    #[serde(borrow)]
    init: Cow<'a, str>,
    #[serde(borrow)]
    bias_init: Cow<'a, str>,
    #[serde(borrow)]
    activation: Cow<'a, str>,
    #[serde(borrow)]
    output_activation: Cow<'a, str>,
    #[serde(borrow)]
    batch_norm: Cow<'a, str>,
    bn_layers: Option<Cow<'a, str>>,
    bn_epsilon: Option<f32>,
    bn_momentum: Option<f32>,
    bn_eval: Option<Cow<'a, str>>,
    frozen: Option<Cow<'a, str>>,
    #[serde(borrow)]
    loss: Cow<'a, str>,
    lr: f32,
    momentum: f32,
    batch: u64,
    steps: u64,
    eval_every: u64,
    seed: u64,
}

impl<'a> Outcome<'a> {
    /// Reads a line of a store.
    ///
    /// # Errors
    /// If a member is missing or of another type.
    pub fn of(line: &Line<'a>) -> Result<Self, serde_json::Error> {
        line.parse()
    }

    /// Whether it has a result: it is not [`store::FAILED`].
    pub fn has_result(&self) -> bool {
        self.status != store::FAILED
    }
}

impl Config<'_> {
    /// The value of a key of specs. `None` where it has none: `bn_*` without batch
    /// normalization, `width` of hidden layers that differ or are not there.
    pub(crate) fn value(&self, field: Field) -> Option<Value> {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let maybe = |value: &Option<Cow<'_, str>>| value.as_deref().and_then(text);
        let hidden = || self.layers.get(1..self.layers.len().saturating_sub(1));
        match field {
            Field::Layers => Some(Value::sizes(&self.layers)),
            Field::Depth => hidden().map(|hidden| Value::Integer(hidden.len() as u64)),
            Field::Width => {
                let (first, others) = hidden()?.split_first()?;
                let equal = others.iter().all(|size| size == first);
                equal.then_some(Value::Integer(*first as u64))
            }
            Field::Init => text(&self.init),
            Field::BiasInit => text(&self.bias_init),
            Field::Activation => text(&self.activation),
            Field::OutputActivation => text(&self.output_activation),
            Field::BatchNorm => text(&self.batch_norm),
            Field::BnLayers => maybe(&self.bn_layers),
            Field::BnEpsilon => self.bn_epsilon.map(Value::Number),
            Field::BnMomentum => self.bn_momentum.map(Value::Number),
            Field::BnEval => maybe(&self.bn_eval),
            Field::Freeze => text(self.frozen.as_deref().unwrap_or("none")),
            Field::Loss => text(&self.loss),
            Field::Lr => Some(Value::Number(self.lr)),
            Field::Momentum => Some(Value::Number(self.momentum)),
            Field::Batch => Some(Value::Integer(self.batch)),
            Field::Steps => Some(Value::Integer(self.steps)),
            Field::EvalEvery => Some(Value::Integer(self.eval_every)),
            Field::Seed => Some(Value::Integer(self.seed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{DataFacts, Plan, Spec};
    use crate::train::{ConfigReport, Setting};
    use std::time::Duration;

    /// What a spec says of a run is what its record has.
    #[test]
    fn values_of_axes_survive_the_record() {
        let spec = r#"
            name = "values"
            [grid]
            hidden = { depth = [0, 2], width = [7] }
            init = ["sparse:3:0.5", "he_normal:1.5"]
            lr = [0.1, 1e-9, 3]
            batch_norm = ["off", "input"]
            bn_epsilon = [0.001]
            freeze = ["none", "1"]
            seed = [0, 18446744073709551615]
            [[exclude]]
            depth = 0
            freeze = "1"
        "#;
        let plan = Plan::new(&Spec::parse(spec).unwrap(), &DataFacts::MNIST).unwrap();
        let mut seen = 0;
        for run in &plan {
            let setting = Setting {
                config: &run.config,
                data: "mnist",
                hold_out: 5_000,
                peak: 1.0,
                total: Duration::ZERO,
            };
            let text = serde_json::to_string(&ConfigReport::new(&setting)).unwrap();
            let config: Config<'_> = serde_json::from_str(&text).unwrap();
            for (name, value) in &run.axes {
                let field = Field::from_name(name).unwrap();
                let without = field.is_of_batch_norm() && run.config.batch_norm.is_none();
                let none = field == Field::Width && run.config.layers.len() == 2 || without;
                let expected = (!none).then(|| value.clone());
                assert_eq!(config.value(field), expected, "{name} in {text}");
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }
}

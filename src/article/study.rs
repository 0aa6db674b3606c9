//! The studies: which networks are trained, and on what.

use crate::batch_norm::{BatchNorm, Placement};
use crate::config::{LayerRange, TrainConfig};
use crate::{Activation, Initializer};

/// Where in the report a study is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The article's table.
    Table,
    /// The other networks and settings in its code.
    Settings,
    /// What it names and does not run.
    Named,
    /// Transfer, likewise.
    Transfer,
}

/// What the article reports of a row of its table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// First evaluated step with 80 % accuracy; `None`: never.
    pub steps_to_80: Option<u64>,
    /// Accuracy after the last step, 0 to 1.
    pub accuracy: f64,
}

/// What a network is trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// All digits.
    Mnist,
    /// The digits 5 to 9 only.
    HighDigits {
        /// Whether all layers but the last come from the same network trained on the
        /// digits 0 to 4.
        transferred: bool,
    },
}

/// A network and a way to train it, to be repeated over seeds.
#[derive(Clone, Debug)]
pub struct Study {
    /// A name for files and columns.
    pub id: &'static str,
    /// A name for readers.
    pub label: &'static str,
    /// Where it is shown.
    pub part: Part,
    /// What the article has.
    pub published: Option<Published>,
    /// The run, but for its seed.
    pub config: TrainConfig,
    /// The data.
    pub task: Task,
    /// With all seeds of the plan, or with fewer.
    pub every_seed: bool,
}

/// Steps on the digits 5 to 9, and before on 0 to 4.
const TRANSFER_STEPS: u64 = 5_000;

fn study(part: Part, id: &'static str, label: &'static str, init: Initializer) -> Study {
    Study {
        id,
        label,
        part,
        published: None,
        config: TrainConfig {
            init,
            ..TrainConfig::default()
        },
        task: Task::Mnist,
        every_seed: matches!(part, Part::Table | Part::Transfer),
    }
}

impl Study {
    fn with(mut self, change: impl FnOnce(&mut TrainConfig)) -> Self {
        change(&mut self.config);
        self
    }

    fn published(mut self, steps_to_80: Option<u64>, accuracy: f64) -> Self {
        self.published = Some(Published {
            steps_to_80,
            accuracy,
        });
        self
    }

    fn every_seed(mut self) -> Self {
        self.every_seed = true;
        self
    }
}

const SMALL: Initializer = Initializer::Normal(0.01);
const XAVIER: Initializer = Initializer::LECUN_NORMAL;

/// All of them, in the order of the report.
pub(super) fn all() -> Vec<Study> {
    let mut all = table();
    all.extend(settings());
    all.extend(named());
    all.extend(transfer());
    all
}

fn table() -> Vec<Study> {
    let row = |id, label, init| study(Part::Table, id, label, init);
    vec![
        row("zero", "All-zero weights", Initializer::Zeros).published(None, 0.11),
        row("small", "Small random, N(0, 0.01²)", SMALL).published(None, 0.11),
        row("xavier", "Xavier, N(0, 1/fan_in)", XAVIER).published(Some(6_000), 0.95),
        row("small_bn", "Small random + batch norm", SMALL)
            .with(|c| c.batch_norm = Some(BatchNorm::ARTICLE))
            .published(Some(1_000), 0.95),
    ]
}

fn settings() -> Vec<Study> {
    let row = |id, label, init| study(Part::Settings, id, label, init);
    let layers = |sizes: &'static [usize]| move |c: &mut TrainConfig| c.layers = sizes.to_vec();
    let slow = |f: Activation, output: Activation| {
        move |c: &mut TrainConfig| {
            (c.activation, c.output_activation) = (f, output);
            c.lr = 3.0 / 16.0;
        }
    };
    let (relu, tanh) = (Activation::Relu, Activation::Tanh);
    vec![
        row("net_90", "784-90-10, Xavier", XAVIER).with(layers(&[784, 90, 10])),
        row("net_270", "784-270-90-30-10, Xavier", XAVIER).with(layers(&[784, 270, 90, 30, 10])),
        row("net_320", "784-320-160-80-40-20-10, Xavier", XAVIER)
            .with(layers(&[784, 320, 160, 80, 40, 20, 10])),
        row(
            "net_577_bn",
            "11 layers, 784-577-…-15-10, small random + batch norm",
            SMALL,
        )
        .with(layers(&[
            784, 577, 384, 256, 171, 114, 76, 51, 34, 23, 15, 10,
        ]))
        .with(|c| c.batch_norm = Some(BatchNorm::ARTICLE)),
        row("random", "Random, N(0, 1)", Initializer::Normal(1.0)),
        row("he", "He, N(0, 2/fan_in)", Initializer::HE_NORMAL),
        row("tanh", "tanh, Xavier, lr 3/16", XAVIER).with(slow(tanh, tanh)),
        row("relu_xavier", "relu, Xavier, lr 3/16", XAVIER).with(slow(relu, relu)),
        row("relu_he", "relu, He, lr 3/16", Initializer::HE_NORMAL).with(slow(relu, relu)),
        row("relu_slower", "relu, Xavier, lr 3/160", XAVIER)
            .with(slow(relu, relu))
            .with(|c| c.lr = 3.0 / 160.0),
        row("relu_zero_bias", "relu, Xavier, lr 3/16, biases 0", XAVIER)
            .with(slow(relu, relu))
            .with(|c| c.bias_init = Initializer::Zeros),
        row(
            "relu_linear",
            "relu, Xavier, lr 3/16, biases 0, linear output",
            XAVIER,
        )
        .with(slow(relu, Activation::Identity))
        .with(|c| c.bias_init = Initializer::Zeros),
        row("relu_bn", "relu, small random + batch norm, lr 3/16", SMALL)
            .with(slow(relu, relu))
            .with(|c| c.batch_norm = Some(BatchNorm::ARTICLE)),
        row(
            "small_bn_input",
            "Small random + batch norm before the product",
            SMALL,
        )
        .with(|c| {
            c.batch_norm = Some(BatchNorm {
                placement: Placement::Input,
                ..BatchNorm::ARTICLE
            });
        }),
    ]
}

fn named() -> Vec<Study> {
    let row = |id, label, init| study(Part::Named, id, label, init);
    let sparse = Initializer::Sparse {
        connections: crate::init::Connections::Incoming,
        count: 10,
        std: 1.0,
    };
    let pretrained = Initializer::Pretrained(crate::init::Pretraining::default());
    vec![
        row("sparse", "Sparse, 10 connections into each unit", sparse),
        row(
            "pretrained",
            "Small random, pre-trained layer by layer",
            pretrained,
        )
        .every_seed(),
        row("xavier_zero_bias", "Xavier, biases 0", XAVIER)
            .with(|c| c.bias_init = Initializer::Zeros),
        row(
            "zero_zero_bias",
            "All-zero weights, biases 0",
            Initializer::Zeros,
        )
        .with(|c| c.bias_init = Initializer::Zeros),
    ]
}

fn transfer() -> Vec<Study> {
    let row = |id, label, transferred, frozen| {
        let mut study = study(Part::Transfer, id, label, XAVIER).with(|c| {
            c.steps = TRANSFER_STEPS;
            c.eval_every = 250;
            c.frozen = frozen;
        });
        study.task = Task::HighDigits { transferred };
        study
    };
    vec![
        row("fresh", "Digits 5–9 from scratch", false, None),
        row("transferred", "Digits 5–9 after digits 0–4", true, None),
        row(
            "transferred_frozen",
            "The same, only the output layer trained",
            true,
            LayerRange::new(1, 4),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_study_is_possible_and_has_a_name_of_its_own() {
        let all = all();
        for (i, study) in all.iter().enumerate() {
            study.config.check().expect(study.id);
            assert!(all[..i].iter().all(|other| other.id != study.id));
            assert!(study.published.is_some() == (study.part == Part::Table));
        }
    }
}

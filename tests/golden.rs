//! The numerics contract: one hash for each config, on every instruction set of this
//! CPU, with 1, 2, 3 and 8 threads, on the sparse and the dense input path.
//!
//! The hashes are golden: a change of the kernels that changes one of them breaks every
//! user's stored results. The same constants hold on aarch64.

use fanin::batch_norm::{BatchNorm, Placement};
use fanin::config::TrainConfig;
use fanin::data::Dataset;
use fanin::{Activation, InputPath, Isa, Loss, Run, Samples, Status, Trainer};
use std::sync::LazyLock;

static MNIST: LazyLock<Dataset> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    Dataset::from_dir(folder.as_ref()).expect("MNIST is in the repository")
});

const PATHS: [InputPath; 2] = [InputPath::Sparse, InputPath::Dense];

fn samples(path: InputPath) -> (Samples, Samples) {
    let train = Samples::from_split(&MNIST.train, 5_000..6_000, path);
    let test = Samples::from_split(&MNIST.test, 0..150, path);
    (train.expect("1,000 images"), test.expect("150 images"))
}

/// Runs `config` every way, asserts that all runs are equal, and returns one.
fn every_way(config: &TrainConfig) -> Run {
    let mut first: Option<Run> = None;
    for path in PATHS {
        let (train, test) = samples(path);
        assert_eq!(train.is_sparse(), path == InputPath::Sparse);
        for isa in Isa::available() {
            for threads in [1, 2, 3, 8] {
                let config = TrainConfig {
                    threads,
                    ..config.clone()
                };
                let mut trainer =
                    Trainer::with_isa(config, &train, &test, isa).expect("a possible run");
                let run = trainer.run(&mut ());
                let what = format!("{isa:?}, {threads} threads, {path}");
                let first = first.get_or_insert_with(|| run.clone());
                assert_eq!(run.weights_sha256, first.weights_sha256, "{what}");
                assert_eq!(run.evals, first.evals, "{what}");
                assert_eq!(run.status, first.status, "{what}");
                assert_eq!(run.steps, first.steps, "{what}");
                let bits = |run: &Run| run.training_loss.map(f64::to_bits);
                assert_eq!(bits(&run), bits(first), "{what}: loss");
            }
        }
    }
    first.expect("portable code is always available")
}

#[test]
fn the_articles_network() {
    let run = every_way(&TrainConfig {
        steps: 25,
        eval_every: 20,
        ..TrainConfig::default()
    });
    assert_eq!(run.status, Status::Ok);
    assert_eq!(
        run.weights_sha256,
        "8bb4341052c8307cb375256bd3e87f2a492bb8c0be543c8205995aa5402d9b34"
    );
}

#[test]
fn odd_sizes_with_relu_cross_entropy_and_momentum() {
    let run = every_way(&TrainConfig {
        layers: vec![784, 37, 19, 13],
        init: "he_normal".parse().expect("a name"),
        bias_init: "zeros".parse().expect("a name"),
        activation: Activation::Relu,
        output_activation: Activation::Identity,
        loss: Loss::CrossEntropy,
        lr: 0.05,
        momentum: 0.9,
        batch: 7,
        steps: 60,
        eval_every: 20,
        seed: 2,
        ..TrainConfig::default()
    });
    assert_eq!(run.status, Status::Ok);
    assert_eq!(
        run.weights_sha256,
        "4fed070557a7dbd2dba6715a0b13116c7c5699697c4eab7f44c65f32e15dc919"
    );
}

#[test]
fn activations_that_need_the_pre_activation() {
    let run = every_way(&TrainConfig {
        layers: vec![784, 50, 23, 10],
        init: "glorot_uniform".parse().expect("a name"),
        bias_init: "uniform:0.1".parse().expect("a name"),
        activation: Activation::Gelu,
        output_activation: Activation::Tanh,
        lr: 0.2,
        batch: 33,
        steps: 20,
        eval_every: 0,
        seed: 3,
        ..TrainConfig::default()
    });
    assert_eq!(run.status, Status::Ok);
    assert_eq!(
        run.weights_sha256,
        "bd1a73b0a88c595249ac603ceb141139b6c9b84173bef618b1c05b80d6ab7404"
    );
}

/// A small network whose weights start as `init` says.
fn from_data(init: &str) -> Run {
    every_way(&TrainConfig {
        layers: vec![784, 37, 19, 10],
        init: init.parse().expect("a name"),
        steps: 20,
        eval_every: 0,
        seed: 4,
        ..TrainConfig::default()
    })
}

#[test]
fn unit_variance() {
    let run = from_data("lsuv:0.01");
    assert_eq!(
        run.weights_sha256,
        "40233257fd0b01de6e830331cef6ed19be75add447d1c546c70beb6da888f45c"
    );
}

#[test]
fn pretraining() {
    for (init, hash) in [
        (
            "pretrained:steps=30",
            "0b7c304fe72dad0fcf563fb2ec61740c2594329e38318017edcd03be226f8e2b",
        ),
        (
            "pretrained:untied,noise=0.25,steps=20/40,lr=0.5/0.1",
            "74232a0e65466fb665010eb3b9d15ac63441de020122adfa8270795989fad9bf",
        ),
    ] {
        assert_eq!(from_data(init).weights_sha256, hash, "{init}");
    }
}

#[test]
fn batch_normalization_before_the_activation() {
    let run = every_way(&TrainConfig {
        init: "normal:0.01".parse().expect("a name"),
        batch_norm: Some(BatchNorm::ARTICLE),
        steps: 10,
        eval_every: 10,
        ..TrainConfig::default()
    });
    assert_eq!(run.status, Status::Ok);
    assert_eq!(
        run.weights_sha256,
        "e06c44e18bfacefe6556b369cca61c7c9b9e02f7a3387aee5d21ce49ae8d93fc"
    );
}

#[test]
fn batch_normalization_of_the_inputs_with_momentum() {
    let run = every_way(&TrainConfig {
        layers: vec![784, 50, 23, 10],
        activation: Activation::Gelu,
        output_activation: Activation::Identity,
        loss: Loss::CrossEntropy,
        batch_norm: Some(BatchNorm {
            placement: Placement::Input,
            ..BatchNorm::default()
        }),
        lr: 0.05,
        momentum: 0.5,
        batch: 7,
        steps: 8,
        eval_every: 4,
        seed: 4,
        ..TrainConfig::default()
    });
    assert_eq!(run.status, Status::Ok);
    assert_eq!(
        run.weights_sha256,
        "567793a4b80ab1aeea555c220dcfeefe7a7e211c89c4de657359595a837351d3"
    );
}

#[test]
fn divergence_is_the_same_everywhere() {
    // Large enough a step that weights overflow before the loss is seen to.
    for lr in [1e12, 3e38] {
        let run = every_way(&TrainConfig {
            layers: vec![784, 20, 18, 10],
            init: "he_normal".parse().expect("a name"),
            activation: Activation::LeakyRelu { slope: 0.01 },
            output_activation: Activation::Identity,
            lr,
            batch: 3,
            steps: 100,
            eval_every: 1,
            ..TrainConfig::default()
        });
        assert_eq!(run.status, Status::Diverged);
        assert!(run.steps < 100 && !run.evals.is_empty());
    }
}

/// A trainer of 784-20-10 with tanh.
fn tanh_trainer<'a>(isa: Isa, train: &'a Samples, test: &'a Samples) -> Trainer<'a> {
    let config = TrainConfig {
        layers: vec![784, 20, 10],
        activation: Activation::Tanh,
        ..TrainConfig::default()
    };
    Trainer::with_isa(config, train, test, isa).expect("a run")
}

/// Sets all weights of a pixel in the first layer of a [`tanh_trainer`].
fn set_weights_of(trainer: &mut Trainer<'_>, pixel: usize, weight: f32) {
    let mut weights = trainer.network().dense_weights(0);
    let biases = trainer.network().dense_biases(0);
    weights[pixel * 20..][..20].fill(weight);
    let network = trainer.network_mut();
    network.set_layer(0, &weights, &biases).expect("shapes");
}

#[test]
fn zero_pixels_are_skipped_whatever_their_weights() {
    // Pixel 0 is never lit, so its weights must not matter; 0·∞ would be NaN.
    let mut expected = None;
    for path in PATHS {
        let (train, test) = samples(path);
        for isa in Isa::available() {
            let mut trainer = tanh_trainer(isa, &train, &test);
            set_weights_of(&mut trainer, 0, f32::INFINITY);
            let losses = [trainer.step(), trainer.step()].map(f32::to_bits);
            assert!(losses.iter().all(|&l| f32::from_bits(l).is_finite()));
            let found = (losses, trainer.network().weights_sha256());
            assert_eq!(
                &found,
                expected.get_or_insert(found.clone()),
                "{isa:?} {path}"
            );
        }
    }
}

#[test]
fn evaluations_skip_zero_pixels_whatever_their_weights() {
    // Pixel 400 is lit in some of the test samples: the outputs of all others are finite.
    let mut expected = None;
    for path in PATHS {
        let (train, test) = samples(path);
        for isa in Isa::available() {
            let mut trainer = tanh_trainer(isa, &train, &test);
            for weight in [f32::INFINITY, f32::NAN] {
                set_weights_of(&mut trainer, 400, weight);
                let outputs = trainer.test_outputs().expect("memory");
                let nan = outputs.iter().filter(|y| y.is_nan()).count();
                assert_eq!(nan > 0, weight.is_nan(), "{isa:?} {path} {nan}");
                assert!(nan < outputs.len() / 2, "{isa:?} {path}");
                let bits: Vec<u32> = outputs.iter().map(|y| y.to_bits()).collect();
                let found = (bits, trainer.count_correct());
                if weight.is_nan() {
                    continue;
                }
                assert_eq!(
                    &found,
                    expected.get_or_insert(found.clone()),
                    "{isa:?} {path}"
                );
            }
        }
    }
}

#[test]
fn momentum_on_f32_inputs_does_not_depend_on_threads() {
    // Wide and large enough a batch for every layer to be split.
    let values: Vec<f32> = (0..64 * 100u32)
        .map(|i| (i * 7919 % 1009) as f32 / 500.0 - 1.0)
        .collect();
    let classes: Vec<u8> = (0..100).map(|i| i % 10).collect();
    let samples = Samples::from_values(values, 64, classes).expect("100 samples");
    let mut expected = None;
    for isa in Isa::available() {
        for threads in [1, 2, 3, 8] {
            let config = TrainConfig {
                layers: vec![64, 80, 72, 10],
                activation: Activation::Swish,
                output_activation: Activation::Identity,
                loss: Loss::CrossEntropy,
                lr: 0.05,
                momentum: 0.9,
                batch: 60,
                steps: 10,
                threads,
                ..TrainConfig::default()
            };
            let trainer = Trainer::with_isa(config, &samples, &samples, isa);
            let run = trainer.expect("a possible run").run(&mut ());
            let found = (run.weights_sha256, run.evals);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert_eq!(&found, expected, "{isa:?}, {threads} threads");
        }
    }
}

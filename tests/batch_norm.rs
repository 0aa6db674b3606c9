//! Batch normalization against PyTorch, and frozen layers.
//!
//! The expected numbers come from PyTorch 2.15 in float64: `BatchNorm1d(units, eps,
//! momentum)` between `x @ W + b` and the activation (or before the product), plain SGD of
//! the mean of ½‖y − t‖² over the same batch five times, then `eval()`. Parameters and
//! samples are the formulas of [`trainer`], rounded to f32 first.

use fanin::batch_norm::{BatchNorm, NormEval, NormLayers, Placement};
use fanin::config::LayerRange;
use fanin::{Activation, Isa, Samples, TrainConfig, Trainer};

const SIZES: [usize; 4] = [20, 33, 17, 5];
const BATCH: usize = 6;

struct Case {
    norm: BatchNorm,
    activation: Activation,
    lr: f32,
    momentum: f32,
    losses: [f64; 5],
    /// Layer, and the first three of gamma, beta, running mean and running variance.
    norms: &'static [(usize, [[f64; 3]; 4])],
    /// Outputs of the first sample, with running statistics.
    outputs: [f64; 5],
}

fn norm(placement: Placement, layers: NormLayers, epsilon: f32, momentum: f32) -> BatchNorm {
    BatchNorm {
        placement,
        layers,
        epsilon,
        momentum,
        eval: NormEval::Running,
    }
}

fn cases() -> [Case; 4] {
    [
        Case {
            norm: norm(Placement::PreActivation, NormLayers::All, 1e-3, 0.1),
            activation: Activation::Sigmoid,
            lr: 0.5,
            momentum: 0.0,
            losses: [
                0.623467034618,
                0.449079239062,
                0.404299297546,
                0.369483393998,
                0.341841115156,
            ],
            norms: &[
                (
                    0,
                    [
                        [0.987615558, 0.992344215, 0.992535206],
                        [-0.000246720717, 0.00238479524, 0.00511519046],
                        [-0.199086341, -0.228358195, -0.135267345],
                        [0.664819891, 0.839729373, 0.713411265],
                    ],
                ),
                (
                    2,
                    [
                        [1.04209599, 1.00330639, 1.04160474],
                        [-0.0865444255, -0.170543209, -0.172790107],
                        [-0.00976974308, 0.0891537551, -0.0066903742],
                        [0.630687703, 0.642216471, 0.608437593],
                    ],
                ),
            ],
            outputs: [
                0.502104368,
                0.468420333,
                0.464623433,
                0.476786749,
                0.296200508,
            ],
        },
        Case {
            norm: norm(Placement::PreActivation, NormLayers::Hidden, 1e-5, 0.25),
            activation: Activation::Tanh,
            lr: 0.1,
            momentum: 0.9,
            losses: [
                1.08734999953,
                0.699660131246,
                0.58350393743,
                0.520739973945,
                0.358558281142,
            ],
            norms: &[
                (
                    0,
                    [
                        [0.985077148, 1.00231377, 0.996315003],
                        [-0.0080786027, 0.00260387061, -0.00504868573],
                        [-0.370997285, -0.425047859, -0.248291817],
                        [0.376715049, 0.717516868, 0.501711309],
                    ],
                ),
                (
                    1,
                    [
                        [1.01304296, 0.99028531, 1.01882097],
                        [0.0362983777, 0.0133624724, 0.123075831],
                        [0.0205259594, -0.00926816701, 0.079373346],
                        [0.803826325, 1.00423587, 0.87273171],
                    ],
                ),
            ],
            outputs: [
                0.909907995,
                -0.0877635702,
                -0.289145177,
                0.384381038,
                0.0839971502,
            ],
        },
        Case {
            norm: norm(Placement::Input, NormLayers::All, 1e-3, 0.1),
            activation: Activation::Sigmoid,
            lr: 0.5,
            momentum: 0.0,
            losses: [
                0.623461327518,
                0.428087105015,
                0.384274007127,
                0.360793999844,
                0.348852678913,
            ],
            norms: &[
                (
                    0,
                    [
                        [1.03022785, 0.959796283, 0.976393303],
                        [-0.0047627958, 0.00622218682, 0.000768703217],
                        [0.077124382, 0.0450460981, -0.122852999],
                        [0.747748665, 0.673047215, 0.673047216],
                    ],
                ),
                (
                    2,
                    [
                        [1.03608004, 1.00918489, 1.01014103],
                        [-0.0317310257, 0.0679362749, -0.0629376449],
                        [0.198723891, 0.209168056, 0.217231288],
                        [0.617545397, 0.619250005, 0.628478886],
                    ],
                ),
            ],
            outputs: [
                0.491843052,
                0.472189344,
                0.459116578,
                0.435239721,
                0.278130646,
            ],
        },
        Case {
            norm: norm(Placement::Input, NormLayers::Hidden, 1e-2, 0.3),
            activation: Activation::Gelu,
            lr: 0.1,
            momentum: 0.5,
            losses: [
                1.96235920895,
                0.560823477559,
                0.305107003817,
                0.184439201368,
                0.146539042111,
            ],
            norms: &[
                (
                    1,
                    [
                        [1.01955185, 0.984980243, 0.987706534],
                        [-0.0118594858, -0.0534650434, 0.0123965153],
                        [-0.0723184266, -0.00208775163, -0.0569413267],
                        [0.182122535, 0.208543076, 0.207414126],
                    ],
                ),
                (
                    2,
                    [
                        [0.983233174, 0.989493502, 0.999189537],
                        [-0.0214537854, 0.0309422281, 0.032537614],
                        [0.447602407, 0.123343177, 0.715153414],
                        [0.939951735, 0.293568896, 1.89830193],
                    ],
                ),
            ],
            outputs: [
                0.825448642,
                -0.160148102,
                -0.118691916,
                -0.0978081545,
                -0.126624462,
            ],
        },
    ]
}

fn samples() -> Samples {
    let x = (0..BATCH * SIZES[0]).map(|i| (((i * 7919 + 13) % 199) as f64 / 100.0 - 1.0) as f32);
    let mut t = vec![0.0; BATCH * 5];
    for i in 0..BATCH {
        t[i * 5 + i * 3 % 5] = 1.0;
    }
    Samples::regression(x.collect(), SIZES[0], t, 5).expect("six samples")
}

fn trainer<'a>(config: TrainConfig, samples: &'a Samples, isa: Isa) -> Trainer<'a> {
    let mut trainer = Trainer::with_isa(config, samples, samples, isa).expect("a possible run");
    for l in 0..SIZES.len() - 1 {
        let w = (0..SIZES[l] * SIZES[l + 1])
            .map(|i| (((i * 37 + 11 * l) % 101) as f64 / 101.0 - 0.5) as f32);
        let b = (0..SIZES[l + 1]).map(|i| (((i * 53 + 7 * l) % 17) as f64 / 17.0 - 0.5) as f32);
        let (w, b): (Vec<f32>, Vec<f32>) = (w.collect(), b.collect());
        let set = trainer.network_mut().set_layer(l, &w, &b);
        set.expect("the shapes of the network");
    }
    trainer
}

fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: {found}, not {expected}");
}

#[test]
fn training_and_running_statistics_are_those_of_pytorch() {
    let samples = samples();
    for (case, isa) in cases()
        .iter()
        .flat_map(|c| Isa::available().map(move |isa| (c, isa)))
    {
        for threads in [1, 2] {
            let config = TrainConfig {
                layers: SIZES.to_vec(),
                activation: case.activation,
                output_activation: case.activation,
                batch_norm: Some(case.norm),
                lr: case.lr,
                momentum: case.momentum,
                batch: BATCH,
                threads,
                ..TrainConfig::default()
            };
            let mut trainer = trainer(config, &samples, isa);
            let what = format!("{isa:?} {:?}", case.norm);
            for (step, &expected) in case.losses.iter().enumerate() {
                let loss = f64::from(trainer.step());
                assert_close(
                    &format!("{what}: loss {step}"),
                    loss,
                    expected,
                    1e-5 * expected,
                );
            }
            for (l, expected) in case.norms {
                let norm = trainer.network().norm(*l).expect("it has one");
                for ((part, found), expected) in norm.named().into_iter().zip(expected) {
                    for (&found, &expected) in found.iter().zip(expected) {
                        let what = format!("{what}: layer {l}, {part}");
                        assert_close(&what, f64::from(found), expected, 2e-5);
                    }
                }
            }
            let outputs = trainer.test_outputs().expect("a little memory");
            for (&found, expected) in outputs.iter().zip(case.outputs) {
                assert_close(&what, f64::from(found), expected, 2e-5);
            }
        }
    }
}

#[test]
fn evaluating_the_training_batch_with_its_own_statistics_is_its_forward_pass() {
    let samples = samples();
    for case in cases() {
        for isa in Isa::available() {
            let config = TrainConfig {
                layers: SIZES.to_vec(),
                activation: case.activation,
                output_activation: case.activation,
                batch_norm: Some(BatchNorm {
                    eval: NormEval::Batch,
                    ..case.norm
                }),
                batch: BATCH,
                ..TrainConfig::default()
            };
            let mut trainer = trainer(config, &samples, isa);
            let outputs = trainer.test_outputs().expect("a little memory");
            let targets =
                (0..BATCH).flat_map(|i| (0..5).map(move |j| f64::from(u8::from(i * 3 % 5 == j))));
            let squares = outputs
                .iter()
                .zip(targets)
                .map(|(&y, t)| (f64::from(y) - t).powi(2));
            let loss = 0.5 * squares.sum::<f64>() / BATCH as f64;
            assert_close(&format!("{:?}", case.norm), loss, case.losses[0], 1e-5);
        }
    }
}

#[test]
fn frozen_layers_stay_and_the_others_are_trained_as_before() {
    let samples = samples();
    let range = |text: &str| text.parse::<LayerRange>().expect("a range");
    let norms = [
        None,
        Some(norm(Placement::PreActivation, NormLayers::All, 1e-3, 0.1)),
        Some(norm(Placement::Input, NormLayers::All, 1e-3, 0.1)),
    ];
    for (batch_norm, isa) in norms
        .iter()
        .flat_map(|n| Isa::available().map(move |isa| (*n, isa)))
    {
        for momentum in [0.0, 0.9] {
            let config = TrainConfig {
                layers: SIZES.to_vec(),
                activation: Activation::Tanh,
                output_activation: Activation::Tanh,
                batch_norm,
                momentum,
                lr: 0.1,
                batch: BATCH,
                ..TrainConfig::default()
            };
            let parameters = |trainer: &Trainer<'_>, l: usize| {
                let network = trainer.network();
                let trained = network.norm(l).map(|n| [n.gamma.to_vec(), n.beta.to_vec()]);
                (network.dense_weights(l), network.dense_biases(l), trained)
            };
            let mut free = trainer(config.clone(), &samples, isa);
            let before: Vec<_> = (0..3).map(|l| parameters(&free, l)).collect();
            free.step();
            for frozen in ["1", "1..2", "2", "2..3", "3"].map(range) {
                let config = TrainConfig {
                    frozen: Some(frozen),
                    ..config.clone()
                };
                let mut trainer = trainer(config, &samples, isa);
                trainer.step();
                for (l, before) in before.iter().enumerate() {
                    let expected = match frozen.indices().contains(&l) {
                        true => before.clone(),
                        false => parameters(&free, l),
                    };
                    let what = format!("{isa:?} {batch_norm:?} frozen {frozen}, layer {l}");
                    assert!(parameters(&trainer, l) == expected, "{what}");
                }
            }
        }
    }
}

#[test]
fn impossible_settings_are_errors() {
    let samples = samples();
    let with = |change: fn(&mut TrainConfig)| {
        let mut config = TrainConfig {
            layers: SIZES.to_vec(),
            batch: BATCH,
            batch_norm: Some(BatchNorm::default()),
            ..TrainConfig::default()
        };
        change(&mut config);
        Trainer::new(config, &samples, &samples)
            .err()
            .map(|e| e.to_string())
    };
    assert_eq!(with(|_| {}), None);
    let epsilon = |config: &mut TrainConfig, value: f32| {
        config.batch_norm = config.batch_norm.map(|n| BatchNorm {
            epsilon: value,
            ..n
        });
    };
    for change in [
        |c: &mut TrainConfig| c.frozen = LayerRange::new(1, 3),
        |c: &mut TrainConfig| c.frozen = LayerRange::new(3, 4),
    ] {
        assert!(with(change).expect("an error").contains("frozen"));
    }
    let mut config = TrainConfig {
        batch_norm: Some(BatchNorm::default()),
        ..TrainConfig::default()
    };
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        epsilon(&mut config, value);
        assert!(config.check().is_err(), "{value}");
    }
    for momentum in [-0.1, 1.5, f32::NAN] {
        config.batch_norm = Some(BatchNorm {
            momentum,
            ..BatchNorm::default()
        });
        assert!(config.check().is_err(), "{momentum}");
    }
}

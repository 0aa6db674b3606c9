//! The engine against the f64 reference: gradients for every activation and loss, updates,
//! and the counts of evaluations.
//!
//! That the reference itself is right is shown by finite differences beside it.

use fanin::batch_norm::{BatchNorm, NormLayers, Placement};
use fanin::config::TrainConfig;
use fanin::init::Initializer;
use fanin::network::Norm;
use fanin::{Activation, InputPath, Isa, Loss, Network, Samples, Trainer};
use fanin_kernels::reference::{self, Layer, Mlp};

const SIZES: [usize; 4] = [20, 33, 17, 5];
const BATCH: usize = 6;

fn reference(network: &Network, loss: Loss) -> Mlp {
    let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
    let layers = network.layers().iter().enumerate().map(|(l, layer)| Layer {
        w: widen(network.dense_weights(l)),
        b: widen(network.dense_biases(l)),
        inputs: layer.fan_in,
        outputs: layer.fan_out,
        activation: layer.activation,
        norm: network.norm(l).map(|norm| reference::Norm {
            placement: match layer.norm {
                Some(Placement::Input) => reference::Placement::Input,
                _ => reference::Placement::PreActivation,
            },
            gamma: widen(norm.gamma.to_vec()),
            beta: widen(norm.beta.to_vec()),
            epsilon: network.batch_norm().map_or(0.0, |n| f64::from(n.epsilon)),
        }),
    });
    Mlp {
        layers: layers.collect(),
        loss,
    }
}

fn inputs() -> Vec<f32> {
    (0..BATCH * SIZES[0])
        .map(|i| ((i * 7919 + 13) % 199) as f32 / 100.0 - 1.0)
        .collect()
}

fn classes() -> Vec<u8> {
    (0..BATCH).map(|i| (i * 3 % 5) as u8).collect()
}

fn one_hot() -> Vec<f32> {
    let mut t = vec![0.0; BATCH * 5];
    for (i, class) in classes().into_iter().enumerate() {
        t[i * 5 + usize::from(class)] = 1.0;
    }
    t
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0f64, |m, g| m.max(g.abs()))
}

fn assert_close(what: &str, ours: &[f32], reference: &[f64]) {
    // Rounding errors scale with the sums that are formed, so with the largest entry.
    assert_within(what, ours, reference, 2e-6 * largest(reference));
}

fn assert_within(what: &str, ours: &[f32], reference: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), reference.len());
    assert!(tolerance > 0.0, "{what}: the test would show nothing");
    for (i, (&ours, &reference)) in ours.iter().zip(reference).enumerate() {
        let error = (f64::from(ours) - reference).abs();
        assert!(
            error <= tolerance,
            "{what}[{i}]: {ours:e}, not {reference:e}"
        );
    }
}

#[test]
fn every_activation_and_loss() {
    let names = [
        "identity",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "softplus",
        "swish",
    ];
    let targets: Vec<f64> = one_hot().into_iter().map(f64::from).collect();
    let x: Vec<f64> = inputs().into_iter().map(f64::from).collect();
    for isa in Isa::available() {
        for (hidden, output) in names.iter().flat_map(|h| names.map(|o| (*h, o))) {
            for loss in [Loss::Mse, Loss::CrossEntropy] {
                let config = TrainConfig {
                    layers: SIZES.to_vec(),
                    init: Initializer::LECUN_NORMAL,
                    bias_init: Initializer::Normal(0.5),
                    activation: hidden.parse::<Activation>().unwrap(),
                    output_activation: output.parse::<Activation>().unwrap(),
                    loss,
                    batch: BATCH,
                    seed: 11,
                    ..TrainConfig::default()
                };
                let samples = match loss {
                    Loss::Mse => Samples::regression(inputs(), SIZES[0], one_hot(), 5).unwrap(),
                    Loss::CrossEntropy => {
                        Samples::from_values(inputs(), SIZES[0], classes()).unwrap()
                    }
                };
                let mut trainer = Trainer::with_isa(config, &samples, &samples, isa).unwrap();
                // All samples are in the batch, so their order does not matter much.
                let (mean, gradient) = trainer.next_gradient().unwrap();
                let mlp = reference(trainer.network(), loss);
                let what = format!("{isa:?} {hidden} {output} {loss}");
                let expected = mlp.loss(&x, &targets, BATCH);
                assert!(
                    (f64::from(mean) / expected - 1.0).abs() < 1e-5,
                    "{what}: loss {mean}"
                );
                for (l, g) in mlp.gradients(&x, &targets, BATCH).iter().enumerate() {
                    assert_close(&format!("{what}: dW{l}"), &gradient.dense_weights(l), &g.w);
                    assert_close(&format!("{what}: db{l}"), &gradient.dense_biases(l), &g.b);
                }
            }
        }
    }
}

#[test]
fn batch_normalization_with_every_activation() {
    let names = "identity sigmoid tanh relu leaky_relu elu selu gelu softplus swish";
    let targets: Vec<f64> = one_hot().into_iter().map(f64::from).collect();
    let x: Vec<f64> = inputs().into_iter().map(f64::from).collect();
    let samples = Samples::from_values(inputs(), SIZES[0], classes()).unwrap();
    let norms = [Placement::PreActivation, Placement::Input]
        .into_iter()
        .flat_map(|p| [(p, NormLayers::All), (p, NormLayers::Hidden)]);
    for ((placement, layers), isa) in norms.flat_map(|n| Isa::available().map(move |isa| (n, isa)))
    {
        for (activation, loss) in names
            .split(' ')
            .flat_map(|a| [(a, Loss::Mse), (a, Loss::CrossEntropy)])
        {
            let config = TrainConfig {
                layers: SIZES.to_vec(),
                activation: activation.parse::<Activation>().unwrap(),
                output_activation: "tanh".parse::<Activation>().unwrap(),
                batch_norm: Some(BatchNorm {
                    placement,
                    layers,
                    epsilon: 0.01,
                    ..BatchNorm::default()
                }),
                loss,
                batch: BATCH,
                seed: 5,
                ..TrainConfig::default()
            };
            let mut trainer = Trainer::with_isa(config, &samples, &samples, isa).unwrap();
            // γ and β that are not 1 and 0.
            for l in 0..3 {
                let Some(units) = trainer.network().norm(l).map(|n| n.gamma.len()) else {
                    continue;
                };
                let draw = |a: usize, at: f32| -> Vec<f32> {
                    (0..units).map(|i| at + (i * a % 7) as f32 / 10.0).collect()
                };
                let (gamma, beta) = (draw(3, 0.5), draw(5, -0.3));
                let norm = Norm {
                    gamma: &gamma,
                    beta: &beta,
                    running_mean: &vec![0.0; units],
                    running_variance: &vec![1.0; units],
                };
                trainer.network_mut().set_norm(l, norm).unwrap();
            }
            let running = trainer.network().weights_sha256();
            let (mean, gradient) = trainer.next_gradient().unwrap();
            assert_eq!(trainer.network().weights_sha256(), running);
            let mlp = reference(trainer.network(), loss);
            let what = format!("{isa:?} {placement} {layers} {activation} {loss}");
            let expected = mlp.loss(&x, &targets, BATCH);
            assert!((f64::from(mean) / expected - 1.0).abs() < 1e-5, "{what}");
            for (l, g) in mlp.gradients(&x, &targets, BATCH).iter().enumerate() {
                // Normalization cancels most of what comes in, and all of db where it
                // stands after b: errors scale with what there was before.
                let scale = largest(&g.w).max(largest(&g.b)).max(largest(&g.beta));
                let norm = gradient.norm(l);
                let (dgamma, dbeta) = norm.map_or((&[][..], &[][..]), |n| (n.gamma, n.beta));
                for (part, ours, reference) in [
                    ("dW", &gradient.dense_weights(l)[..], &g.w),
                    ("db", &gradient.dense_biases(l), &g.b),
                    ("dgamma", dgamma, &g.gamma),
                    ("dbeta", dbeta, &g.beta),
                ] {
                    let what = format!("{what}: {part}{l}");
                    assert_within(&what, ours, reference, 4e-6 * scale);
                }
            }
        }
    }
}

#[test]
fn a_step_is_minus_lr_times_the_gradient_and_momentum_remembers() {
    for isa in Isa::available() {
        for momentum in [0.0f32, 0.9] {
            let config = TrainConfig {
                layers: SIZES.to_vec(),
                loss: Loss::CrossEntropy,
                lr: 0.1,
                momentum,
                batch: BATCH,
                ..TrainConfig::default()
            };
            let samples = Samples::from_values(inputs(), SIZES[0], classes()).unwrap();
            let mut trainer = Trainer::with_isa(config, &samples, &samples, isa).unwrap();
            let mut velocity: Vec<Vec<f64>> = Vec::new();
            for _ in 0..3 {
                let (_, gradient) = trainer.next_gradient().unwrap();
                let before = trainer.network().clone();
                trainer.step();
                let after = trainer.network();
                for l in 0..3 {
                    let g = gradient.dense_weights(l);
                    if velocity.len() == l {
                        velocity.push(vec![0.0; g.len()]);
                    }
                    let (old, new) = (before.dense_weights(l), after.dense_weights(l));
                    for (i, v) in velocity[l].iter_mut().enumerate() {
                        *v = f64::from(momentum) * *v + f64::from(g[i]);
                        let expected = f64::from(old[i]) - 0.1 * *v;
                        let error = (f64::from(new[i]) - expected).abs();
                        assert!(error < 1e-6 * expected.abs().max(0.1), "{isa:?} {l} {i}");
                    }
                }
            }
        }
    }
}

#[test]
fn evaluations_count_every_sample_once() {
    // Around the sizes of the blocks, with more threads than blocks, and of all kinds.
    for isa in Isa::available() {
        for n in [1u8, 119, 120, 121, 241] {
            let bytes: Vec<u8> = (0..usize::from(n) * 20)
                .map(|i| if i % 3 == 0 { (i * 31 % 256) as u8 } else { 0 })
                .collect();
            let classes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(7) % 5).collect();
            let values: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
            let kinds = [
                Samples::from_bytes(&bytes, 20, &classes, InputPath::Sparse),
                Samples::from_bytes(&bytes, 20, &classes, InputPath::Dense),
                Samples::from_values(values.clone(), 20, classes.clone()),
            ];
            // With the statistics of the whole set, for which each sample counts as well.
            let input = BatchNorm {
                placement: Placement::Input,
                ..BatchNorm::ARTICLE
            };
            let norms = [None, Some(BatchNorm::ARTICLE), Some(input)];
            for ((samples, threads), batch_norm) in kinds
                .iter()
                .flat_map(|k| [(k, 1), (k, 3)])
                .flat_map(|k| norms.map(|norm| (k, norm)))
            {
                let samples = samples.as_ref().unwrap();
                let config = TrainConfig {
                    layers: SIZES.to_vec(),
                    batch: usize::from(n).min(2),
                    batch_norm: batch_norm.filter(|_| n > 1),
                    threads,
                    ..TrainConfig::default()
                };
                let mut trainer = Trainer::with_isa(config, samples, samples, isa).unwrap();
                let mlp = reference(trainer.network(), Loss::Mse);
                let x: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
                let outputs = mlp.forward(&x, usize::from(n));
                let correct = outputs.chunks(5).zip(&classes).filter(|(y, class)| {
                    let best = (0..5).rev().max_by(|&a, &b| y[a].total_cmp(&y[b]));
                    best == Some(usize::from(**class))
                });
                let what = format!("{isa:?}, {n} samples, {threads} threads, {batch_norm:?}");
                assert_eq!(trainer.count_correct(), correct.count(), "{what}");
                for (ours, reference) in trainer.test_outputs().unwrap().iter().zip(&outputs) {
                    let error = (f64::from(*ours) - reference).abs();
                    assert!(error < 1e-5, "{what}: {ours}, not {reference}");
                }
            }
        }
    }
}

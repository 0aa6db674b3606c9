//! What a probe measures, against published numbers and the f64 reference.

use fanin::batch_norm::{BatchNorm, NormLayers, Placement};
use fanin::data::Split;
use fanin::init::Initializer;
use fanin::probe::{Moments, Probe, ProbeConfig, ProbeData, probe};
use fanin::random::{Purpose, Stream};
use fanin::{Activation, Loss, Network};
use fanin_kernels::reference::{Layer, LayerGradient, Mlp, Norm};

fn figure(activation: Activation, init: &str, seed: u64) -> Probe {
    let config = ProbeConfig {
        init: init.parse().unwrap(),
        activation,
        seed,
        ..ProbeConfig::default()
    };
    probe(&config, ProbeData::Gaussian).unwrap()
}

fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found / expected - 1.0).abs();
    assert!(error <= tolerance, "{what}: {found}, not {expected}");
}

// Standard deviations of the first and the last layer's outputs that an independent
// float64 run of the article's figures gave; the tolerances are for another seed.
#[test]
fn the_articles_tanh_figures() {
    for (init, first, last, tolerance) in [
        ("normal:1", 0.986, 0.980, 0.002),
        ("normal:0.01", 0.264, 2.6e-6, 0.03),
        ("lecun_normal", 0.627, 0.240, 0.02),
    ] {
        let probe = figure(Activation::Tanh, init, 1);
        assert_eq!(probe.layers.len(), 9);
        let sd = |l: usize| probe.layers[l].outputs.standard_deviation;
        assert_near(init, sd(0), first, tolerance);
        assert_near(init, sd(8), last, tolerance);
        assert!(probe.layers.iter().all(|l| l.outputs.mean.abs() < 0.01));
        for layer in &probe.layers {
            let (outputs, gradients) = (layer.outputs, layer.gradients);
            let predicted = layer.predicted.unwrap();
            let sd = outputs.standard_deviation;
            assert_near(init, predicted.outputs, sd, 0.03);
            let sd = gradients.standard_deviation;
            assert_near(init, predicted.gradients, sd, 0.1);
        }
        assert_eq!(probe.layers[8].histogram.total(), 2_000 * 350);
    }
    let saturated = figure(Activation::Tanh, "normal:1", 1).layers[8].histogram;
    let ends = saturated.bins[0] + saturated.bins[29];
    assert!(ends * 10 > saturated.total() * 9, "saturated: {ends}");
    let zero = figure(Activation::Tanh, "zeros", 1);
    assert!(zero.layers.iter().all(|l| l.outputs.second_moment == 0.0));
    assert_eq!(zero.layers[0].histogram.bins[15], 2_000 * 750);
}

// Second moments: halved at each layer by N(0, 1/fan_in), kept by N(0, 2/fan_in). The
// last layer's differ by a fifth from seed to seed, so the mean of four is compared.
#[test]
fn the_articles_relu_figures() {
    for (init, first, ratio) in [("lecun_normal", 0.5, 0.5), ("he_normal", 1.0, 1.0)] {
        let probes: Vec<Probe> = (1..=4).map(|s| figure(Activation::Relu, init, s)).collect();
        let mean = |l: usize| {
            let sum: f64 = probes
                .iter()
                .map(|p| p.layers[l].outputs.second_moment)
                .sum();
            sum / 4.0
        };
        assert_near(init, mean(0), first, 0.02);
        assert_near(init, mean(8), first * f64::powi(ratio, 8), 0.15);
    }
}

// As above: 0.628 at the first and 0.629 at the last layer, √E[tanh²] of N(0, 1).
#[test]
fn the_articles_batch_normalized_figure() {
    let config = ProbeConfig {
        init: "normal:1".parse().unwrap(),
        batch_norm: Some(norm(Placement::PreActivation, NormLayers::All)),
        ..ProbeConfig::default()
    };
    let found = probe(&config, ProbeData::Gaussian).unwrap();
    assert_eq!(found.depth, None, "the theory knows no batch normalization");
    let sd = |l: usize| found.layers[l].outputs.standard_deviation;
    assert_near("first", sd(0), 0.628, 0.001);
    assert_near("last", sd(8), 0.629, 0.001);
    for (l, layer) in found.layers.iter().enumerate() {
        assert_near("sd", sd(l), 0.6285, 0.0015);
        assert_eq!(layer.predicted, None);
    }
    // The variances that were drawn are what they are: 600 inputs on average.
    assert_near("Var(w)", found.variances.weights, 600.0, 0.02);
}

fn norm(placement: Placement, layers: NormLayers) -> BatchNorm {
    BatchNorm {
        placement,
        layers,
        ..BatchNorm::default()
    }
}

/// With γ = 1, β = 0.
fn reference_norm(norm: BatchNorm, inputs: usize, outputs: usize) -> Norm {
    use fanin_kernels::reference::Placement as Place;
    let (placement, width) = match norm.placement {
        Placement::PreActivation => (Place::PreActivation, outputs),
        Placement::Input => (Place::Input, inputs),
    };
    Norm {
        placement,
        gamma: vec![1.0; width],
        beta: vec![0.0; width],
        epsilon: f64::from(norm.epsilon),
    }
}

/// The network of `config` in f64.
fn reference(config: &ProbeConfig) -> Mlp {
    let activation = config.activation;
    let mut network = Network::zeros(&config.layers, activation, activation).unwrap();
    network
        .initialize(config.init, config.bias_init, config.seed)
        .unwrap();
    let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
    let count = network.layers().len();
    let normalized = |l: usize| match config.batch_norm {
        None => false,
        Some(norm) if norm.layers == NormLayers::All => true,
        Some(norm) if norm.placement == Placement::Input => l != 0,
        Some(_) => l != count - 1,
    };
    let layers = network.layers().iter().enumerate().map(|(l, layer)| Layer {
        w: widen(network.dense_weights(l)),
        b: widen(network.dense_biases(l)),
        inputs: layer.fan_in,
        outputs: layer.fan_out,
        activation,
        norm: config
            .batch_norm
            .filter(|_| normalized(l))
            .map(|norm| reference_norm(norm, layer.fan_in, layer.fan_out)),
    });
    Mlp {
        layers: layers.collect(),
        loss: Loss::Mse,
    }
}

/// dL/dz, z = x·W + b of layer `l`, L being the sum of the losses of `n` samples.
///
/// z is the output of the layers up to `l`, the last stripped of all that follows z. Then
/// it is the W of a layer whose inputs are the unit vectors, so dW is dL/dz.
fn pre_activation_gradients(mlp: &Mlp, l: usize, x: &[f64], t: &[f64], n: usize) -> Vec<f64> {
    use fanin_kernels::reference::Placement as Place;
    let place = mlp.layers[l].norm.as_ref().map(|norm| norm.placement);
    let mut head = mlp.clone();
    head.layers.truncate(l + 1);
    head.layers[l].activation = Activation::Identity;
    if place == Some(Place::PreActivation) {
        head.layers[l].norm = None;
    }
    let z = head.forward(x, n);
    let mut tail = mlp.clone();
    tail.layers.drain(..l);
    let first = &mut tail.layers[0];
    (first.w, first.inputs) = (z, n);
    first.b.fill(0.0);
    if place == Some(Place::Input) {
        first.norm = None;
    }
    let unit: Vec<f64> = (0..n * n).map(|i| f64::from(i % (n + 1) == 0)).collect();
    let mut delta = tail.gradients(&unit, t, n).swap_remove(0).w;
    delta.iter_mut().for_each(|d| *d *= n as f64);
    delta
}

#[test]
fn gradients_are_those_of_the_reference() {
    use {NormLayers::*, Placement::*};
    let norms = [
        None,
        Some(norm(PreActivation, All)),
        Some(norm(PreActivation, Hidden)),
        Some(norm(Input, All)),
        Some(norm(Input, Hidden)),
    ];
    let activations = [
        Activation::Tanh,
        Activation::Gelu,
        Activation::Relu,
        // f(0) is not 0.
        Activation::Sigmoid,
    ];
    let n = 9;
    for (activation, batch_norm) in activations
        .into_iter()
        .flat_map(|a| norms.map(|norm| (a, norm)))
    {
        let config = ProbeConfig {
            layers: vec![11, 19, 7, 5],
            bias_init: Initializer::Normal(0.5),
            activation,
            batch_norm,
            samples: n,
            seed: 3,
            ..ProbeConfig::default()
        };
        let found = probe(&config, ProbeData::Gaussian).unwrap();
        let mlp = reference(&config);
        let normals = |purpose, n: usize| -> Vec<f64> {
            let mut stream = Stream::new(config.seed, purpose, 0);
            (0..n).map(|_| f64::from(stream.normal() as f32)).collect()
        };
        let x = normals(Purpose::Inputs, n * 11);
        // ½‖y − t‖² has the gradient g for t = y − g.
        let g = normals(Purpose::OutputGradient, n * 5);
        let y = mlp.forward(&x, n);
        let t: Vec<f64> = y.iter().zip(&g).map(|(y, g)| y - g).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let second = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64;
        let same = |what: &str, l: usize, found: Moments, expected: &[f64]| {
            let what = format!("{what} of layer {l}, {activation} {batch_norm:?}");
            assert_near(&what, found.second_moment, second(expected), 2e-5);
            let error = (found.mean - mean(expected)).abs();
            assert!(error < 1e-5 * found.second_moment.sqrt(), "{what}: mean");
        };
        same("inputs", 0, found.inputs, &x);
        for (l, LayerGradient { w: dw, .. }) in mlp.gradients(&x, &t, n).iter().enumerate() {
            let layer = &found.layers[l];
            let mut head = mlp.clone();
            head.layers.truncate(l + 1);
            same("outputs", l, layer.outputs, &head.forward(&x, n));
            same("dW", l, layer.weight_gradients, dw);
            let delta = pre_activation_gradients(&mlp, l, &x, &t, n);
            same("dz", l, layer.gradients, &delta);
            assert_eq!(layer.predicted.is_some(), batch_norm.is_none());
        }
        assert_eq!(found.depth.is_some(), batch_norm.is_none());
    }
}

#[test]
fn images_and_errors() {
    let split = Split::new(2, 2, (0..=255).cycle().take(40).collect(), vec![1; 10]).unwrap();
    let config = ProbeConfig {
        layers: vec![4, 3],
        samples: 10,
        ..ProbeConfig::default()
    };
    let found = probe(&config, ProbeData::Images(&split)).unwrap();
    assert_near("mean", found.inputs.mean, 19.5 / 255.0, 1e-6);
    let with = |layers: &[usize], samples| ProbeConfig {
        layers: layers.to_vec(),
        samples,
        ..ProbeConfig::default()
    };
    for config in [
        with(&[5, 3], 10),
        with(&[4, 3], 11),
        with(&[4], 10),
        with(&[4, 0], 10),
        with(&[4, usize::MAX], 10),
    ] {
        assert!(
            probe(&config, ProbeData::Images(&split)).is_err(),
            "{config:?}"
        );
    }
    let huge = with(&[4, 3], usize::MAX);
    assert!(probe(&huge, ProbeData::Gaussian).is_err());
    let normalized = |epsilon, samples| ProbeConfig {
        batch_norm: Some(BatchNorm {
            epsilon,
            ..BatchNorm::default()
        }),
        ..with(&[4, 3], samples)
    };
    for (epsilon, samples, error) in [
        (0.0, 10, "epsilon 0"),
        (f32::NAN, 10, "epsilon NaN"),
        (1e-3, 1 << 24, "fewer than 16777216"),
        (1e-3, 1, "2 samples or more"),
    ] {
        let found = probe(&normalized(epsilon, samples), ProbeData::Gaussian).unwrap_err();
        assert!(found.to_string().contains(error), "{found}");
    }
    let none = probe(&normalized(1e-3, 0), ProbeData::Gaussian).unwrap();
    assert_eq!(none.layers[0].histogram.total(), 0);
    let none = probe(&with(&[4, 3], 0), ProbeData::Gaussian).unwrap();
    assert_eq!(none.layers[0].histogram.total(), 0);
}

#[test]
fn figures_have_a_bar_for_each_bin_that_is_not_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figure.svg");
    let config = ProbeConfig {
        layers: vec![8, 7, 6, 5, 4],
        samples: 50,
        ..ProbeConfig::default()
    };
    let found = probe(&config, ProbeData::Gaussian).unwrap();
    fanin::report::histograms(&file, "a < title", &found).unwrap();
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("a &lt; title"));
    assert_eq!(svg.matches("layer ").count(), 4);
    // The background, and a bar for each of 30 bins of 4 layers.
    assert_eq!(svg.matches("<rect").count(), 1 + 4 * 30);
    let nowhere = folder.path().join("none").join("figure.svg");
    assert!(fanin::report::histograms(&nowhere, "", &found).is_err());
}

#[test]
fn unit_variance_before_the_nonlinearity() {
    // Without biases the outputs of identity layers are what has unit variance.
    let config = ProbeConfig {
        layers: vec![50, 40, 60, 30],
        init: "lsuv:0.01".parse().unwrap(),
        activation: Activation::Identity,
        samples: 200,
        ..ProbeConfig::default()
    };
    let found = probe(&config, ProbeData::Gaussian).unwrap();
    for layer in &found.layers {
        assert_near("sd", layer.outputs.standard_deviation, 1.0, 0.006);
    }
    for (init, bias_init, error) in [
        ("pretrained", "zeros", "a probe looks at networks before"),
        ("zeros", "lsuv", "biases 'lsuv'"),
    ] {
        let config = ProbeConfig {
            init: init.parse().unwrap(),
            bias_init: bias_init.parse().unwrap(),
            ..config.clone()
        };
        let found = probe(&config, ProbeData::Gaussian).unwrap_err();
        assert!(found.to_string().starts_with(error), "{found}");
    }
}

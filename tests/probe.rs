//! What a probe measures, against published numbers and the f64 reference.

use fanin::data::Split;
use fanin::init::Initializer;
use fanin::probe::{Probe, ProbeConfig, ProbeData, probe};
use fanin::random::{Purpose, Stream};
use fanin::{Activation, Loss, Network};
use fanin_kernels::reference::{Layer, LayerGradient, Mlp};

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
            assert_near(
                init,
                layer.predicted.outputs,
                outputs.standard_deviation,
                0.03,
            );
            assert_near(
                init,
                layer.predicted.gradients,
                gradients.standard_deviation,
                0.1,
            );
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

#[test]
fn gradients_are_those_of_the_reference() {
    for activation in [Activation::Tanh, Activation::Gelu, Activation::Relu] {
        let config = ProbeConfig {
            layers: vec![11, 19, 7, 5],
            bias_init: Initializer::Normal(0.5),
            activation,
            samples: 9,
            seed: 3,
            ..ProbeConfig::default()
        };
        let found = probe(&config, ProbeData::Gaussian).unwrap();
        let mut network = Network::zeros(&config.layers, activation, activation).unwrap();
        network
            .initialize(config.init, config.bias_init, config.seed)
            .unwrap();
        let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let layers = network.layers().iter().enumerate().map(|(l, layer)| Layer {
            w: widen(network.dense_weights(l)),
            b: widen(network.dense_biases(l)),
            inputs: layer.fan_in,
            outputs: layer.fan_out,
            activation,
            norm: None,
        });
        let mlp = Mlp {
            layers: layers.collect(),
            loss: Loss::Mse,
        };
        let normals = |purpose, n: usize| -> Vec<f64> {
            let mut stream = Stream::new(config.seed, purpose, 0);
            (0..n).map(|_| f64::from(stream.normal() as f32)).collect()
        };
        let x = normals(Purpose::Inputs, 9 * 11);
        // ½‖y − t‖² has the gradient g for t = y − g.
        let g = normals(Purpose::OutputGradient, 9 * 5);
        let y = mlp.forward(&x, 9);
        let t: Vec<f64> = y.iter().zip(&g).map(|(y, g)| y - g).collect();
        let second = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64;
        assert_near("inputs", found.inputs.second_moment, second(&x), 1e-6);
        assert_near("y", found.layers[2].outputs.second_moment, second(&y), 1e-5);
        for (l, LayerGradient { w: dw, b: db, .. }) in mlp.gradients(&x, &t, 9).iter().enumerate() {
            let layer = &found.layers[l];
            assert_near("dW", layer.weight_gradients.second_moment, second(dw), 1e-4);
            // The mean of dL/dz over samples and units is the mean of dL/db.
            let mean = db.iter().sum::<f64>() / db.len() as f64;
            let error = (layer.gradients.mean - mean).abs();
            assert!(
                error < 1e-5 * layer.gradients.standard_deviation,
                "layer {l}"
            );
        }
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

use super::*;
use crate::Initializer;
use crate::random::{Purpose, Stream};
use fanin_kernels::reference;

fn drawn(sizes: &[usize], f: Activation, weights: Initializer) -> Network {
    let mut network = Network::zeros(sizes, f, f).unwrap();
    let biases = Initializer::Normal(1.0);
    network.initialize(weights, biases, 4).unwrap();
    network
}

/// `n` rows of N(1, 3²) numbers, a third of them 0.
fn inputs(n: usize, cols: usize) -> Vec<f32> {
    let mut stream = Stream::new(1, Purpose::Inputs, 0);
    let number = |_| match stream.below(3) {
        0 => 0.0,
        _ => 1.0 + 3.0 * stream.normal() as f32,
    };
    (0..n * cols).map(number).collect()
}

/// The variance of x·W at every layer, in f64 throughout.
fn variances(network: &Network, inputs: &[f32]) -> Vec<f64> {
    let mut x: Vec<f64> = inputs.iter().map(|&v| f64::from(v)).collect();
    let mut found = Vec::new();
    for (l, layer) in network.layers().iter().enumerate() {
        let (w, b) = (network.dense_weights(l), network.dense_biases(l));
        let mut z = Vec::new();
        for x in x.chunks(layer.fan_in) {
            for j in 0..layer.fan_out {
                let products = x.iter().zip(w[j..].iter().step_by(layer.fan_out));
                z.push(products.map(|(x, &w)| x * f64::from(w)).sum::<f64>());
            }
        }
        let mean = z.iter().sum::<f64>() / z.len() as f64;
        found.push(z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / z.len() as f64);
        let y = z.iter().enumerate().map(|(i, z)| {
            let bias = f64::from(b[i % layer.fan_out]);
            reference::activate(layer.activation, z + bias)
        });
        x = y.collect();
    }
    found
}

#[test]
fn every_layer_reaches_unit_variance() {
    let sizes = [37, 50, 16, 33, 9, 10];
    let x = inputs(60, 37);
    let view = MatRef::new(&x, 60, 37);
    for f in Activation::ALL {
        for tolerance in [0.1, 1e-4] {
            let mut expected = None;
            for isa in Isa::available() {
                let mut network = drawn(&sizes, f, Initializer::LSUV);
                let before = variances(&network, &x);
                assert!(before.iter().any(|v| (v - 1.0).abs() > 0.1), "{f}");
                let reached = lsuv(isa, &mut network, view, tolerance, 10).unwrap();
                for (found, reached) in variances(&network, &x).iter().zip(&reached) {
                    let limit = f64::from(tolerance) + 1e-5;
                    assert!((found - 1.0).abs() < limit, "{f}: {found}");
                    assert!((found - reached).abs() < 1e-5, "{f}: {found} {reached}");
                }
                let hash = network.weights_sha256();
                assert_eq!(expected.get_or_insert(hash.clone()), &hash, "{isa:?}");
                // The biases are those that were drawn.
                let drawn = drawn(&sizes, f, Initializer::LSUV);
                assert!((0..5).all(|l| network.biases(l) == drawn.biases(l)));
            }
        }
    }
}

#[test]
fn a_layer_within_the_tolerance_stays() {
    let x = inputs(60, 37);
    let mut network = drawn(&[37, 20], Activation::Tanh, Initializer::LSUV);
    let hash = network.weights_sha256();
    let view = MatRef::new(&x, 60, 37);
    lsuv(Isa::best(), &mut network, view, 1e6, 10).unwrap();
    assert_eq!(network.weights_sha256(), hash);
    // Too few iterations to get there would be none.
    lsuv(Isa::best(), &mut network, view, 1e-30, u32::MAX).unwrap();
    assert!((variances(&network, &x)[0] - 1.0).abs() < 1e-5);
}

#[test]
fn what_has_no_variance_stays_as_it_is() {
    let isa = Isa::best();
    let rows = |value| vec![value; 8 * 5];
    let cases = [
        (Initializer::Zeros, inputs(8, 5)),
        (Initializer::LSUV, rows(0.0)),
        (Initializer::LSUV, rows(f32::NAN)),
        (Initializer::LSUV, rows(f32::INFINITY)),
        (
            Initializer::LSUV,
            inputs(8, 5).iter().map(|v| v * 1e-40).collect(),
        ),
        (
            Initializer::Normal(1e30),
            inputs(8, 5).iter().map(|v| v * 3e-38).collect(),
        ),
        (Initializer::LSUV, Vec::new()),
    ];
    for (init, x) in cases {
        let mut network = drawn(&[5, 7, 3], Activation::Relu, init);
        let w = network.dense_weights(0);
        let view = MatRef::new(&x, x.len() / 5, 5);
        lsuv(isa, &mut network, view, 0.1, 10).unwrap();
        assert!(network.is_finite(), "{init} {x:?}");
        if init != Initializer::Normal(1e30) {
            assert_eq!(network.dense_weights(0), w, "{init} {x:?}");
        }
    }
}

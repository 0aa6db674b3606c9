//! What several threads hold of a network is the network's, whenever one looks: the same bits
//! as with one thread, between steps, after changes from outside, for every kind of layer.

use fanin::batch_norm::{BatchNorm, Placement};
use fanin::config::{LayerRange, TrainConfig};
use fanin::{Activation, InputPath, Isa, Loss, Samples, Trainer};

/// Wide enough, with batches large enough, for all layers but the last to be shared.
const LAYERS: [usize; 5] = [200, 150, 130, 144, 10];

/// Only the first two are.
const TWO_SHARED: [usize; 5] = [200, 150, 130, 16, 10];

fn samples(path: InputPath) -> Samples {
    let byte = |i: u32| match i.wrapping_mul(2_654_435_761) >> 16 {
        random if random % 3 == 0 => (random >> 3 & 0xFF) as u8,
        _ => 0,
    };
    let bytes: Vec<u8> = (0..200 * 120).map(byte).collect();
    let classes: Vec<u8> = (0..120).map(|i| i % 10).collect();
    Samples::from_bytes(&bytes, 200, &classes, path).expect("120 samples of 200 bytes")
}

fn config() -> TrainConfig {
    TrainConfig {
        activation: Activation::Gelu,
        output_activation: Activation::Identity,
        loss: Loss::CrossEntropy,
        lr: 0.05,
        batch: 40,
        ..TrainConfig::default()
    }
}

/// What one sees of a run in which the network is looked at and changed between steps.
fn seen(config: TrainConfig, samples: &Samples) -> Vec<String> {
    let mut seen = Vec::new();
    let mut trainer = Trainer::with_isa(config, samples, samples, Isa::best()).expect("a run");
    let step = |trainer: &mut Trainer<'_>, seen: &mut Vec<String>| {
        seen.push(format!("loss {}", trainer.step().to_bits()));
    };
    step(&mut trainer, &mut seen);
    step(&mut trainer, &mut seen);
    seen.push(trainer.network().weights_sha256());
    // Again without a step between.
    seen.push(trainer.network().weights_sha256());
    step(&mut trainer, &mut seen);
    seen.push(format!("{} correct", trainer.count_correct()));
    step(&mut trainer, &mut seen);
    let (loss, gradient) = trainer.next_gradient().expect("memory");
    seen.push(format!("{} {}", loss.to_bits(), gradient.weights_sha256()));
    step(&mut trainer, &mut seen);
    seen.push(trainer.network().weights_sha256());
    let network = trainer.network_mut();
    for l in [0, 1] {
        let halved = |values: Vec<f32>| values.iter().map(|v| v * 0.5).collect::<Vec<_>>();
        let (w, b) = (halved(network.dense_weights(l)), network.dense_biases(l));
        network.set_layer(l, &w, &b).expect("its own shape");
    }
    seen.push(trainer.network().weights_sha256());
    step(&mut trainer, &mut seen);
    step(&mut trainer, &mut seen);
    let outputs = trainer.test_outputs().expect("memory");
    let bits = outputs.iter().map(|y| u64::from(y.to_bits()));
    seen.push(format!(
        "outputs {}",
        bits.fold(0u64, |h, b| h.wrapping_mul(31) ^ b)
    ));
    seen.push(trainer.network().weights_sha256());
    seen
}

#[test]
fn threads_change_nothing_that_is_seen() {
    let norm = |placement| {
        Some(BatchNorm {
            placement,
            ..BatchNorm::default()
        })
    };
    let frozen = |first, last| LayerRange::new(first, last);
    for path in [InputPath::Sparse, InputPath::Dense] {
        let samples = samples(path);
        for (layers, momentum, batch_norm, frozen) in [
            (LAYERS, 0.0, None, None),
            (LAYERS, 0.9, None, None),
            (LAYERS, 0.0, norm(Placement::PreActivation), None),
            (LAYERS, 0.9, norm(Placement::Input), None),
            (LAYERS, 0.9, None, frozen(1, 2)),
            (LAYERS, 0.0, None, frozen(2, 2)),
            (TWO_SHARED, 0.0, None, None),
            (TWO_SHARED, 0.9, None, None),
            (TWO_SHARED, 0.0, None, frozen(1, 1)),
            (TWO_SHARED, 0.9, None, frozen(2, 2)),
            (TWO_SHARED, 0.0, None, frozen(3, 4)),
        ] {
            let config = |threads| TrainConfig {
                layers: layers.to_vec(),
                momentum,
                batch_norm,
                frozen,
                threads,
                ..config()
            };
            let expected = seen(config(1), &samples);
            assert!(expected.iter().all(|s| !s.contains("NaN")));
            for threads in [2, 3, 8, 12] {
                let what =
                    format!("{path} {layers:?} {momentum} {batch_norm:?} {frozen:?}, {threads}");
                assert_eq!(seen(config(threads), &samples), expected, "{what}");
            }
        }
    }
}

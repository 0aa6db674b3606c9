use super::*;
use crate::Initializer;
use crate::samples::InputPath;
use std::ops::ControlFlow;

/// 200 images of 6 × 6 in two kinds, with a little noise.
fn images(path: InputPath) -> Samples {
    let mut stream = Stream::new(9, Purpose::Inputs, 0);
    let pixels: Vec<u8> = (0..200 * 36u32)
        .map(|i| {
            let (image, pixel) = (i / 36, i % 36);
            let lit = pixel % 6 / 3 == image % 2;
            if lit { 200 + stream.below(56) as u8 } else { 0 }
        })
        .collect();
    let classes: Vec<u8> = (0..200).map(|i| i % 2).collect();
    Samples::from_bytes(&pixels, 36, &classes, path).unwrap()
}

fn config(settings: &str) -> TrainConfig {
    TrainConfig {
        layers: vec![36, 20, 12, 2],
        init: settings.parse().unwrap(),
        batch: 8,
        ..TrainConfig::default()
    }
}

/// Keeps what it is told; breaks at its limit.
#[derive(Default)]
struct Log {
    seen: Vec<PretrainProgress>,
    limit: Option<usize>,
}

impl Observer for Log {
    fn pretrained(&mut self, progress: PretrainProgress) -> ControlFlow<()> {
        self.seen.push(progress);
        match self.limit == Some(self.seen.len()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// The network before and after.
fn run(config: &TrainConfig, samples: &Samples, log: &mut Log) -> [Network; 2] {
    let f = config.activation;
    let mut network = Network::zeros(&config.layers, f, f).unwrap();
    network
        .initialize(config.init, config.bias_init, config.seed)
        .unwrap();
    let before = network.clone();
    let mut team = Team::new(1).unwrap();
    let isa = Isa::best();
    super::super::initialize(config, isa, &mut team, &mut network, samples, log).unwrap();
    [before, network]
}

#[test]
fn reconstruction_gets_better_in_every_hidden_layer() {
    for text in [
        "pretrained",
        "pretrained:untied,steps=1500",
        "pretrained:noise=0.3",
    ] {
        let mut log = Log::default();
        let [before, after] = run(&config(text), &images(InputPath::Auto), &mut log);
        for l in 0..2 {
            let losses = log.seen.iter().filter(|p| p.layer == l);
            let losses: Vec<f32> = losses.map(|p| p.loss).collect();
            let last = losses[losses.len() - 20..].iter().sum::<f32>() / 20.0;
            assert!(last < 0.5 * losses[0], "{text}: {} to {last}", losses[0]);
            assert_ne!(before.dense_weights(l), after.dense_weights(l));
            assert_ne!(before.dense_biases(l), after.dense_biases(l));
        }
        assert_eq!(
            before.dense_weights(2),
            after.dense_weights(2),
            "the output layer"
        );
        assert_eq!(before.dense_biases(2), after.dense_biases(2));
    }
}

#[test]
fn steps_and_rates_are_by_layer() {
    let mut log = Log::default();
    let config = config("pretrained:steps=3/5,lr=0.1/0");
    let [before, after] = run(&config, &images(InputPath::Auto), &mut log);
    let steps: Vec<_> = log
        .seen
        .iter()
        .map(|p| (p.layer, p.step, p.steps))
        .collect();
    assert_eq!(
        steps,
        [
            (0, 1, 3),
            (0, 2, 3),
            (0, 3, 3),
            (1, 1, 5),
            (1, 2, 5),
            (1, 3, 5),
            (1, 4, 5),
            (1, 5, 5)
        ]
    );
    assert!(log.seen.iter().all(|p| p.layers == 2));
    assert_ne!(before.dense_weights(0), after.dense_weights(0));
    assert_eq!(before.dense_weights(1), after.dense_weights(1));
}

#[test]
fn masking_noise_hides_its_share_and_leaves_what_is_reconstructed() {
    let config = config("pretrained:noise=0.25");
    for path in [InputPath::Sparse, InputPath::Dense] {
        let samples = images(path);
        let network = run(&config, &samples, &mut Log::default())[1].clone();
        for l in 0..2 {
            let fan_in = config.layers[l];
            let mut batches = Batches::new(&network, &samples, l, &config, 0.25).unwrap();
            let mut team = Team::new(1).unwrap();
            let (mut hidden, mut shown) = (0, 0);
            for _ in 0..200 {
                batches.next(Isa::best(), &mut team, &network, &samples);
                let (encoded, x) = batches.views(&samples, fan_in);
                let Encoded::Dense(noisy) = encoded else {
                    panic!("noise is dense");
                };
                for r in 0..8 {
                    for (&noisy, &x) in noisy.row(r).iter().zip(x.row(r)) {
                        if x == 0.0 {
                            assert_eq!(noisy, 0.0);
                        } else if noisy == 0.0 {
                            hidden += 1;
                        } else {
                            assert_eq!(noisy, x);
                            shown += 1;
                        }
                    }
                }
                if l == 0 {
                    let clean = samples.dense_rows(&batches.ids).unwrap();
                    assert_eq!(batches.levels[0][..], clean[..]);
                }
            }
            let n = f64::from(hidden + shown);
            let share = f64::from(hidden) / n;
            // Five standard errors.
            let error = 5.0 * (0.25 * 0.75 / n).sqrt();
            assert!((share - 0.25).abs() < error, "{l} {path}: {share} of {n}");
        }
    }
}

#[test]
fn a_layer_that_diverges_gets_its_start_back() {
    // f32 inputs: the decoder is the identity, and a sum of squares overflows soon.
    let values = (0..50 * 36u32).map(|i| (i % 17) as f32).collect();
    let samples = Samples::from_values(values, 36, vec![0; 50]).unwrap();
    for (text, why) in [
        ("pretrained:lr=1e20", "the loss, or NaN weights"),
        ("pretrained:steps=1,lr=3e38", "weights after the last step"),
    ] {
        for tied in [",std=0.1", ",std=0.1,untied"] {
            let mut log = Log::default();
            let mut config = config(&format!("{text}{tied}"));
            config.activation = crate::Activation::Relu;
            let [before, after] = run(&config, &samples, &mut log);
            let ends = log.seen.iter().filter(|p| !p.loss.is_finite()).count();
            assert!(ends > 0, "{why}: {:?}", log.seen);
            assert_eq!(before.dense_weights(0), after.dense_weights(0), "{why}");
            assert_eq!(before.dense_biases(0), after.dense_biases(0), "{why}");
            assert!(after.is_finite());
        }
    }
}

#[test]
fn an_observer_ends_it() {
    let mut log = Log {
        limit: Some(4),
        ..Log::default()
    };
    let samples = images(InputPath::Auto);
    let [before, after] = run(&config("pretrained:steps=9"), &samples, &mut log);
    assert_eq!(log.seen.len(), 4);
    assert_ne!(before.dense_weights(0), after.dense_weights(0));
    assert_eq!(before.dense_weights(1), after.dense_weights(1));
}

#[test]
fn the_decoder_has_the_range_of_what_it_reconstructs() {
    use crate::Activation::{Identity, Relu, Sigmoid, Softplus, Swish, Tanh};
    let values = Samples::from_values(vec![0.0; 36], 36, vec![0]).unwrap();
    for (f, first, g) in [
        (Sigmoid, Sigmoid, Sigmoid),
        (Tanh, Sigmoid, Tanh),
        (Relu, Sigmoid, Softplus),
        (Softplus, Sigmoid, Softplus),
        (Swish, Sigmoid, Identity),
    ] {
        let network = Network::zeros(&[36, 4, 3, 2], f, Identity).unwrap();
        let image = images(InputPath::Dense);
        assert_eq!(decoder_activation(&network, &image, 0), first);
        assert_eq!(decoder_activation(&network, &values, 0), Identity);
        assert_eq!(decoder_activation(&network, &values, 1), g, "{f}");
    }
}

#[test]
fn only_weights_start_from_data() {
    let error = |config: &TrainConfig| config.check().unwrap_err().to_string();
    for text in ["lsuv", "pretrained"] {
        let config = TrainConfig {
            bias_init: text.parse().unwrap(),
            ..TrainConfig::default()
        };
        assert!(error(&config).starts_with(&format!("biases '{text}': ")));
    }
    for init in [
        Initializer::Lsuv {
            tolerance: f32::NAN,
            iterations: 1,
        },
        Initializer::Lsuv {
            tolerance: 0.1,
            iterations: 0,
        },
        Initializer::Pretrained(Pretraining {
            noise: 1.0,
            ..Pretraining::DEFAULT
        }),
    ] {
        let config = TrainConfig {
            init,
            ..TrainConfig::default()
        };
        assert!(
            error(&config).starts_with("weights '"),
            "{}",
            error(&config)
        );
    }
}

//! What a run reports: status, curve, interruption, errors.

use fanin::config::{ConfigError, TrainConfig};
use fanin::{Activation, Error, Evaluation, Initializer, Loss, Observer, Samples, Status, Trainer};
use std::ops::ControlFlow;

/// Two classes, told apart by the first input.
fn samples(n: u8) -> Samples {
    let classes: Vec<u8> = (0..n).map(|i| i % 2).collect();
    let values = classes.iter().enumerate().flat_map(|(i, &c)| {
        let noise = (i * 37 % 11) as f32 / 11.0 - 0.5;
        [f32::from(c) * 2.0 - 1.0, noise, -noise]
    });
    Samples::from_values(values.collect(), 3, classes).unwrap()
}

fn config() -> TrainConfig {
    TrainConfig {
        layers: vec![3, 8, 2],
        lr: 1.0,
        batch: 5,
        steps: 250,
        eval_every: 100,
        ..TrainConfig::default()
    }
}

fn steps(evals: &[Evaluation]) -> Vec<u64> {
    evals.iter().map(|e| e.step).collect()
}

#[test]
fn a_run_learns_and_is_evaluated_where_it_says() {
    let (train, test) = (samples(100), samples(40));
    let mut trainer = Trainer::new(config(), &train, &test).unwrap();
    let run = trainer.run(&mut ());
    assert_eq!((run.status, run.steps), (Status::Ok, 250));
    assert_eq!(steps(&run.evals), [0, 100, 200, 250]);
    assert_eq!(run.final_accuracy(), Some(1.0));
    assert!(run.steps_to_80().is_some_and(|s| s <= 250));
    assert_eq!(run.weights_sha256, trainer.network().weights_sha256());
    let mut again = Trainer::new(config(), &train, &test).unwrap();
    assert_eq!(again.run(&mut ()).weights_sha256, run.weights_sha256);
    let other = TrainConfig {
        seed: 2,
        ..config()
    };
    let mut other = Trainer::new(other, &train, &test).unwrap();
    assert_ne!(other.run(&mut ()).weights_sha256, run.weights_sha256);
}

#[test]
fn evaluations_at_the_ends_only_and_runs_without_steps() {
    let (train, test) = (samples(100), samples(40));
    let ends = TrainConfig {
        eval_every: 0,
        ..config()
    };
    let run = Trainer::new(ends, &train, &test).unwrap().run(&mut ());
    assert_eq!(steps(&run.evals), [0, 250]);
    let none = TrainConfig {
        steps: 0,
        ..config()
    };
    let run = Trainer::new(none, &train, &test).unwrap().run(&mut ());
    assert_eq!(steps(&run.evals), [0]);
    assert_eq!((run.training_loss, run.time_per_step()), (None, None));
    let seldom = TrainConfig {
        eval_every: u64::MAX,
        ..config()
    };
    let run = Trainer::new(seldom, &train, &test).unwrap().run(&mut ());
    assert_eq!(steps(&run.evals), [0, 250]);
}

/// Stops after a number of steps.
struct Stop(u64);

impl Observer for Stop {
    fn stepped(&mut self, step: u64, _: f32) -> ControlFlow<()> {
        match step < self.0 {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}

#[test]
fn an_interrupted_run_keeps_what_is_done() {
    let (train, test) = (samples(100), samples(40));
    let run = Trainer::new(config(), &train, &test)
        .unwrap()
        .run(&mut Stop(130));
    assert_eq!((run.status, run.steps), (Status::Interrupted, 130));
    assert_eq!(steps(&run.evals), [0, 100, 130]);
    let shorter = TrainConfig {
        steps: 130,
        ..config()
    };
    let whole = Trainer::new(shorter, &train, &test).unwrap().run(&mut ());
    assert_eq!(run.weights_sha256, whole.weights_sha256);
}

#[test]
fn divergence_is_a_result() {
    let (train, test) = (samples(100), samples(40));
    let config = TrainConfig {
        activation: Activation::Identity,
        output_activation: Activation::Identity,
        lr: 1e9,
        ..config()
    };
    let run = Trainer::new(config.clone(), &train, &test)
        .unwrap()
        .run(&mut ());
    assert_eq!(run.status, Status::Diverged);
    assert!(run.steps < 100);
    assert_eq!(steps(&run.evals), [0]);
    // Weights that are not finite from the start: nothing to evaluate.
    let mut trainer = Trainer::new(config, &train, &test).unwrap();
    let network = trainer.network_mut();
    network.set_layer(1, &[f32::NAN; 16], &[0.0; 2]).unwrap();
    let run = trainer.run(&mut ());
    assert_eq!((run.status, run.steps), (Status::Diverged, 0));
    assert!(run.evals.is_empty() && run.final_accuracy().is_none());
}

#[test]
fn zero_weights_stay_equal_within_a_layer() {
    // With all weights zero every hidden unit gets the same gradient: none of its own.
    let (train, test) = (samples(100), samples(40));
    let config = TrainConfig {
        layers: vec![3, 8, 8, 2],
        init: Initializer::Zeros,
        bias_init: Initializer::Zeros,
        loss: Loss::CrossEntropy,
        ..config()
    };
    let mut trainer = Trainer::new(config, &train, &test).unwrap();
    trainer.run(&mut ());
    for row in trainer.network().dense_weights(1).chunks(8) {
        assert!(row.iter().all(|w| w == &row[0]));
    }
}

#[test]
fn impossible_runs_are_errors() {
    let (train, test) = (samples(100), samples(40));
    let error = |config: TrainConfig| match Trainer::new(config, &train, &test) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    type Change = fn(&mut TrainConfig);
    let cases: [(Change, &str); 11] = [
        (|c| c.lr = f32::NAN, "learning rate NaN"),
        (|c| c.momentum = 1.0, "momentum 1"),
        (|c| c.momentum = f32::NAN, "momentum NaN"),
        (|c| c.threads = 0, "0 threads"),
        (|c| c.threads = 100_000, "100000 threads"),
        (|c| c.batch = 0, "a batch of 0"),
        (|c| c.batch = 101, "a batch of 101: expected 1 to 100"),
        (
            |c| c.layers = vec![4, 2],
            "the network has 4 inputs, the training samples have 3",
        ),
        (
            |c| c.layers = vec![3, 1],
            "the network has 1 outputs, the training targets need 2",
        ),
        (|c| c.layers = vec![3], "at least two layer sizes"),
        (
            |c| c.layers = vec![3, usize::MAX, 2],
            "does not fit into memory",
        ),
    ];
    for (change, expected) in cases {
        let mut config = config();
        change(&mut config);
        let found = error(config);
        assert!(found.contains(expected), "{found}");
    }
    let vectors = Samples::regression(vec![0.0; 6], 3, vec![0.0; 4], 2).unwrap();
    let mixed = Trainer::new(config(), &train, &vectors);
    assert!(matches!(mixed, Err(Error::Config(ConfigError::Kinds))));
}

#[test]
fn samples_with_wrong_lengths_are_errors() {
    assert!(Samples::from_values(vec![0.0; 7], 3, vec![0, 1]).is_err());
    assert!(Samples::from_values(vec![], 0, vec![]).is_err());
    assert!(Samples::from_bytes(&[0; 7], 3, &[0, 1], Default::default()).is_err());
    assert!(Samples::regression(vec![0.0; 6], 3, vec![0.0; 3], 2).is_err());
    assert!(Samples::regression(vec![0.0; 6], 3, vec![0.0; 3], 0).is_err());
    assert!(Samples::from_values(vec![0.0; usize::from(u8::MAX)], usize::MAX, vec![0; 2]).is_err());
}

#[test]
fn regression_trains_and_has_no_accuracy() {
    // y = x₀ − x₁/2 by a linear layer.
    let x: Vec<f32> = (0..200)
        .map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0)
        .collect();
    let y = x.chunks(2).map(|x| x[0] - 0.5 * x[1]).collect();
    let samples = Samples::regression(x, 2, y, 1).unwrap();
    let config = TrainConfig {
        layers: vec![2, 1],
        output_activation: Activation::Identity,
        lr: 0.1,
        batch: 10,
        steps: 500,
        ..TrainConfig::default()
    };
    let mut trainer = Trainer::new(config, &samples, &samples).unwrap();
    let run = trainer.run(&mut ());
    assert!(run.evals.is_empty() && run.training_loss.is_some());
    let w = trainer.network().dense_weights(0);
    assert!(
        (w[0] - 1.0).abs() < 1e-3 && (w[1] + 0.5).abs() < 1e-3,
        "{w:?}"
    );
}

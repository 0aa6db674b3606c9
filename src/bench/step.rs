//! Training steps and evaluations, as multiples of the dense limit.

use super::timing::{Spread, repetitions, rounds, seconds};
use super::yardstick::cores;
use super::{Monitor, Yardstick};
use crate::{Activation, BatchNorm, Error, Isa, Samples, TrainConfig, Trainer};
use serde::Serialize;
use std::time::Duration;

/// Seconds of a round, at least.
const ROUND: f64 = 5e-3;

/// Samples of a round of steps, at least: images with many zeros are faster, and the
/// fastest round must not be one that drew these.
const ROUND_SAMPLES: usize = 1_000;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timed {
    /// A training step.
    Step,
    /// An evaluation on all test samples.
    Evaluation,
}

/// What is timed, with which configuration.
#[derive(Clone, Debug)]
pub struct StepCase {
    /// What is timed.
    pub timed: Timed,
    /// The run that it is a part of.
    pub config: TrainConfig,
}

impl StepCase {
    /// A step of `config` on one thread, then (with two cores or more) on two; evaluations
    /// likewise.
    pub fn steps_and_evaluations(config: &TrainConfig) -> Vec<Self> {
        let mut cases = Vec::new();
        for timed in [Timed::Step, Timed::Evaluation] {
            for threads in 1..=cores().min(2) {
                let config = TrainConfig {
                    threads,
                    ..config.clone()
                };
                cases.push(Self { timed, config });
            }
        }
        cases
    }

    /// Steps on one thread: batches of 1 to 1,000 × five networks × sigmoid, relu, tanh,
    /// and sigmoid with batch normalization (not of batches of 1).
    pub fn table() -> Vec<Self> {
        const NETWORKS: [&[usize]; 5] = [
            &[784, 390, 156, 62, 25, 10],
            &[784, 90, 10],
            &[784, 270, 90, 30, 10],
            &[784, 320, 160, 80, 40, 20, 10],
            &[784, 577, 384, 256, 171, 114, 76, 51, 34, 23, 15, 10],
        ];
        let settings = [
            (Activation::Sigmoid, None),
            (Activation::Relu, None),
            (Activation::Tanh, None),
            (Activation::Sigmoid, Some(BatchNorm::default())),
        ];
        let mut cases = Vec::new();
        for layers in NETWORKS {
            for (activation, norm) in settings {
                for batch in [1, 10, 32, 100, 256, 1_000] {
                    if batch > 1 || norm.is_none() {
                        cases.push(Self {
                            timed: Timed::Step,
                            config: config(layers.to_vec(), batch, activation, norm),
                        });
                    }
                }
            }
        }
        cases
    }
}

/// A configuration to time: the article's but for what is given. The learning rate is the
/// article's 3 where all activations are sigmoid, else 0.001, so that nothing diverges.
pub fn config(
    layers: Vec<usize>,
    batch: usize,
    activation: Activation,
    batch_norm: Option<BatchNorm>,
) -> TrainConfig {
    let article = TrainConfig::default();
    TrainConfig {
        layers,
        batch,
        activation,
        output_activation: activation,
        batch_norm,
        lr: match activation {
            Activation::Sigmoid => article.lr,
            _ => 0.001,
        },
        ..article
    }
}

/// A line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct StepLine {
    /// What is timed.
    pub timed: Timed,
    /// Units of the input, of each hidden layer, and of the output.
    pub layers: Vec<usize>,
    /// Of all layers.
    pub activation: String,
    /// Where it stands, or `off`.
    pub batch_norm: String,
    /// Samples of a step.
    pub batch: usize,
    /// Learning rate.
    pub lr: f32,
    /// Threads that share the work.
    pub threads: usize,
    /// `ok`, or `diverged`: then the times may be those of work with NaN.
    pub status: &'static str,
    /// Of one step or one evaluation; `None` if it diverged at once.
    pub seconds: Option<Spread>,
    /// Floating-point operations of it, as dense arithmetic counts them.
    pub dense_flops: f64,
    /// `dense_flops` over the fastest time.
    pub dense_gflops: Option<f64>,
    /// FMA peak of one core in the same seconds, GFLOP/s.
    pub peak_gflops: f64,
    /// The fastest time as a multiple of the dense limit: `peak_gflops ÷ dense_gflops`.
    /// Below 1, it is faster than dense arithmetic can be on one core.
    pub multiple: Option<f64>,
}

pub(super) fn measure(
    isa: Isa,
    cases: &[StepCase],
    samples: [&Samples; 2],
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<Vec<StepLine>, Error> {
    let mut lines = Vec::new();
    for case in cases {
        if monitor.stopped() {
            break;
        }
        let line = measure_one(isa, case, samples, time, monitor)?;
        // Without any times a signal came, or it diverged, which is to be told.
        if line.seconds.is_some() || line.status != "ok" {
            lines.push(line);
            monitor.line();
        }
    }
    Ok(lines)
}

fn measure_one(
    isa: Isa,
    case: &StepCase,
    [train, test]: [&Samples; 2],
    time: Duration,
    monitor: &dyn Monitor,
) -> Result<StepLine, Error> {
    let config = &case.config;
    let mut trainer = Trainer::with_isa(config.clone(), train, test, isa)?;
    let mut peak = Yardstick::new(Isa::best());
    let mut diverged = false;
    let mut work = |n: u64| match case.timed {
        Timed::Step => {
            for _ in 0..n {
                diverged |= !trainer.step().is_finite();
            }
            !diverged
        }
        Timed::Evaluation => {
            for _ in 0..n {
                std::hint::black_box(trainer.count_correct());
            }
            true
        }
    };
    let least = match case.timed {
        Timed::Step => ROUND_SAMPLES.div_ceil(config.batch.max(1)) as u64,
        Timed::Evaluation => 1,
    };
    let n = repetitions(ROUND, |n| {
        work(n);
    });
    let n = n.max(least);
    let times = rounds(time, monitor, || {
        peak.measure();
        // Wakes threads that have gone to sleep meanwhile.
        work(1);
        let mut ok = true;
        let taken = seconds(|| ok = work(n));
        ok.then_some(taken / n as f64)
    });
    diverged |= !trainer.network().is_finite();
    let dense_flops = match case.timed {
        Timed::Step => config.dense_flops_per_step(),
        Timed::Evaluation => config.dense_flops_of_evaluation(test.len()),
    };
    let seconds = Spread::of(&times);
    let dense_gflops = seconds.map(|s| dense_flops / s.min / 1e9);
    let peak_gflops = peak.best() / 1e9;
    Ok(StepLine {
        timed: case.timed,
        layers: config.layers.clone(),
        activation: config.activation.to_string(),
        batch_norm: config
            .batch_norm
            .map_or("off".into(), |norm| norm.placement.to_string()),
        batch: config.batch,
        lr: config.lr,
        threads: config.threads,
        status: if diverged { "diverged" } else { "ok" },
        seconds,
        dense_flops,
        dense_gflops,
        peak_gflops,
        multiple: dense_gflops.map(|gflops| peak_gflops / gflops),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Samples {
        let bytes: Vec<u8> = (0..40u8).collect();
        Samples::from_bytes(
            &bytes,
            4,
            &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1],
            Default::default(),
        )
        .unwrap()
    }

    fn line(timed: Timed, lr: f32) -> StepLine {
        let samples = samples();
        // Not relu, whose units die and stay finite.
        let mut config = config(vec![4, 3, 2], 5, Activation::Identity, None);
        config.lr = lr;
        let case = [StepCase { timed, config }];
        let isa = Isa::best();
        let lines = measure(isa, &case, [&samples, &samples], Duration::ZERO, &()).unwrap();
        lines.into_iter().next().unwrap()
    }

    #[test]
    fn the_multiple_is_the_time_over_the_limit() {
        let line = line(Timed::Step, 0.001);
        assert_eq!(
            (line.status, line.dense_flops),
            ("ok", 2.0 * 5.0 * (3.0 * 18.0 - 12.0))
        );
        let time = line.seconds.unwrap();
        let limit = line.dense_flops / (line.peak_gflops * 1e9);
        let expected = time.min / limit;
        assert!((line.multiple.unwrap() / expected - 1.0).abs() < 1e-12);
        assert!(time.rounds >= 3 && time.median >= time.min);
    }

    #[test]
    fn divergence_is_noticed() {
        assert_eq!(line(Timed::Step, 1e30).status, "diverged");
        assert_eq!(line(Timed::Evaluation, 1e30).status, "ok");
    }

    #[test]
    fn the_table_has_what_it_should() {
        let table = StepCase::table();
        assert_eq!(table.len(), 5 * (4 * 6 - 1));
        assert!(table.iter().all(|case| case.config.check().is_ok()));
        let cases = StepCase::steps_and_evaluations(&TrainConfig::default());
        assert_eq!(cases[0].config, TrainConfig::default());
    }
}

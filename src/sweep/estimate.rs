//! How long a sweep will take, from a short trial of its kinds of networks.

use super::plan::evaluations;
use super::{Plan, SweepData, Todo, cost};
use crate::batch_norm::NormEval;
use crate::{Error, Initializer, Isa, TrainConfig, Trainer};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Kinds of networks that are tried; of more those that cost most.
const MAX_TRIALS: usize = 16;

/// Time of the steps of a trial.
const TRIAL: Duration = Duration::from_millis(60);

/// What a sweep will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds of one core for all runs.
    pub core_seconds: f64,
    /// Seconds of the longest run.
    pub longest: f64,
    /// Kinds of networks: runs that differ in nothing that decides their speed.
    pub kinds: usize,
    /// How many of them were tried; the others are taken to be as fast, by
    /// [`cost`](super::cost()).
    pub tried: usize,
    /// Bytes of memory of the samples, which all runs share.
    pub data: usize,
    /// Bytes of memory of a run, at most; about.
    pub run: usize,
}

impl Estimate {
    /// Seconds on `threads` cores.
    pub fn seconds(&self, threads: usize) -> f64 {
        (self.core_seconds / threads.max(1) as f64).max(self.longest)
    }
}

/// Runs that are equally fast.
#[derive(Default)]
struct Kind {
    config: TrainConfig,
    runs: f64,
    steps: f64,
    evaluations: f64,
    /// [`cost`] of all.
    cost: f64,
    /// Of the run that costs most.
    most: f64,
}

/// Tries the kinds of networks of the missing runs for a second or two on one core, until
/// `stopped` says so.
///
/// # Errors
/// If a network cannot be built.
pub fn estimate(
    plan: &Plan,
    todo: &Todo,
    data: &SweepData,
    isa: Isa,
    stopped: &dyn Fn() -> bool,
) -> Result<Estimate, Error> {
    let kinds = kinds(plan, todo, data.test().len());
    let (mut seconds, mut tried_cost, mut longest) = (0.0, 0.0, 0.0f64);
    let mut tried = 0;
    for kind in kinds.iter().take(MAX_TRIALS) {
        if stopped() {
            break;
        }
        let took = kind.seconds(data, isa)?;
        seconds += took;
        tried_cost += kind.cost;
        longest = longest.max(took * kind.most / kind.cost);
        tried += 1;
    }
    let rate = if tried_cost > 0.0 {
        seconds / tried_cost
    } else {
        0.0
    };
    for kind in kinds.iter().skip(tried) {
        seconds += rate * kind.cost;
        longest = longest.max(rate * kind.most);
    }
    let run = kinds.iter().map(|kind| memory(&kind.config, data)).max();
    Ok(Estimate {
        core_seconds: seconds,
        longest,
        kinds: kinds.len(),
        tried,
        data: data.train().memory() + data.test().memory(),
        run: run.unwrap_or(0),
    })
}

/// The kinds, those that cost most first.
fn kinds(plan: &Plan, todo: &Todo, test: usize) -> Vec<Kind> {
    let mut kinds: HashMap<String, Kind> = HashMap::new();
    for run in todo.numbers().filter_map(|number| plan.get(number)) {
        let config = alike(&run.config);
        // Numbers and strings only: it can be written as JSON.
        let key = serde_json::to_string(&config).unwrap_or_default();
        let kind = kinds.entry(key).or_insert_with(|| Kind {
            config,
            ..Kind::default()
        });
        let cost = cost(&run.config, test);
        kind.runs += 1.0;
        kind.steps += run.config.steps as f64;
        kind.evaluations += evaluations(&run.config);
        kind.cost += cost;
        kind.most = kind.most.max(cost);
    }
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    kinds.sort_by(|a, b| b.cost.total_cmp(&a.cost));
    kinds
}

/// What a configuration has in common with others that are as fast.
fn alike(config: &TrainConfig) -> TrainConfig {
    TrainConfig {
        init: Initializer::LECUN_NORMAL,
        bias_init: Initializer::Zeros,
        // Small enough that nothing diverges.
        lr: 1e-3,
        momentum: if config.momentum == 0.0 { 0.0 } else { 0.5 },
        steps: u64::MAX,
        eval_every: 0,
        seed: 1,
        ..config.clone()
    }
}

impl Kind {
    fn seconds(&self, data: &SweepData, isa: Isa) -> Result<f64, Error> {
        let start = Instant::now();
        let mut trainer = Trainer::with_isa(self.config.clone(), data.train(), data.test(), isa)?;
        let built = start.elapsed().as_secs_f64();
        trainer.step();
        let start = Instant::now();
        let mut steps = 0.0;
        while start.elapsed() < TRIAL {
            trainer.step();
            steps += 1.0;
        }
        let step = start.elapsed().as_secs_f64() / steps;
        let start = Instant::now();
        trainer.count_correct();
        let evaluation = start.elapsed().as_secs_f64();
        // What cost has beyond steps and evaluations is pre-training, at the speed of steps.
        let (config, test) = (&self.config, data.test().len());
        let flops = config.dense_flops_per_step();
        let evaluating = config.dense_flops_of_evaluation(test);
        let rest = self.cost - self.steps * flops - self.evaluations * evaluating;
        let pretraining = if flops > 0.0 {
            rest.max(0.0) / flops
        } else {
            0.0
        };
        Ok(self.runs * built + (self.steps + pretraining) * step + self.evaluations * evaluation)
    }
}

/// Bytes of a run in memory: parameters and velocity, activations of a batch and of an
/// evaluation, the order of the samples. About: some buffers are small, some not needed.
fn memory(config: &TrainConfig, data: &SweepData) -> usize {
    let widths = || config.layers.iter().skip(1).map(|width| *width as f64);
    let widest = widths().fold(0.0, f64::max);
    let inputs = config.layers.first().map_or(0.0, |width| *width as f64);
    let products = config.layers.windows(2).map(|p| p[0] as f64 * p[1] as f64);
    let parameters = products.sum::<f64>() + widths().sum::<f64>();
    let copies = if config.momentum == 0.0 { 1.0 } else { 2.0 };
    let batch = config.batch as f64 * (4.0 * widths().sum::<f64>() + inputs);
    let evaluation = match config.batch_norm {
        Some(norm) if norm.eval == NormEval::Batch => {
            2.0 * data.test().len() as f64 * widest.max(inputs)
        }
        _ => 240.0 * widest + 120.0 * inputs,
    };
    let floats = copies * parameters + batch + evaluation + data.train().len() as f64;
    (4.0 * floats) as usize
}

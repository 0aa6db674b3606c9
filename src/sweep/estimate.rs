//! How long a sweep will take, from a short trial of its kinds of networks.

#[cfg(test)]
mod tests;

use super::plan::evaluations;
use super::{Plan, SweepData, Todo, cost};
use crate::batch_norm::NormEval;
use crate::{Error, Initializer, Isa, TrainConfig, Trainer};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Kinds of networks that are tried; of more those that cost most, of those that are not large.
const MAX_TRIALS: usize = 32;

/// From so much time of trials on no more are begun.
const BUDGET: Duration = Duration::from_secs(4);

/// Networks whose steps take more operations are large: a trial would take seconds.
const LARGE_STEP: f64 = 2e9;

/// Those that need more bytes are as well.
const LARGE_MEMORY: usize = 256 << 20;

/// An evaluation that takes longer, s, is not tried.
const LONG: f64 = 1.0;

/// Time of the steps of a trial, at least.
const STEPS: Duration = Duration::from_millis(60);

/// Time of its evaluations, and of building its networks, at least.
const OTHERS: Duration = Duration::from_millis(20);

/// Runs that are looked at between two reports.
const STRIDE: usize = 4096;

/// What a sweep will take.
#[derive(Clone, Debug, PartialEq)]
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
    /// The share of those that were tried in the cost of all, 0 to 1.
    pub share: f64,
    /// Kinds that could not be tried.
    pub failed: Vec<FailedTrial>,
    /// Bytes of memory of the samples, which all runs share.
    pub data: usize,
    /// Bytes of memory of a run, at most; about.
    pub run: usize,
}

/// A kind of networks that could not be built. Its runs are taken to need no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTrial {
    /// The number of one of its runs in the [`Plan`].
    pub run: u32,
    /// How many runs there are of the kind.
    pub runs: u64,
    /// Why.
    pub error: String,
}

/// How far an estimate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimating {
    /// So many of so many runs have been looked at.
    Runs(usize, usize),
    /// So many of so many kinds have been tried.
    Kinds(usize, usize),
}

impl Estimate {
    /// Seconds on `threads` cores.
    pub fn seconds(&self, threads: usize) -> f64 {
        (self.core_seconds / threads.max(1) as f64).max(self.longest)
    }
}

/// Runs that are equally fast.
#[derive(Clone, Copy)]
struct Kind {
    /// The number of the first of them.
    run: u32,
    runs: u32,
    steps: f64,
    evaluations: f64,
    /// [`cost`] of all.
    cost: f64,
    /// Of the run that costs most.
    most: f64,
    /// Operations of a step.
    step: f64,
    large: bool,
}

/// Tries the kinds of networks of the missing runs for some seconds on one core. `progress`
/// is told how far it is, and may end it early: then the estimate is of what has been looked
/// at. Of networks that are too large to be tried in a moment one is tried, the smallest, and
/// only if there are no others.
///
/// Takes about a hundred bytes of memory for each kind.
///
/// # Errors
/// [`Error::Memory`].
pub fn estimate(
    plan: &Plan,
    todo: &Todo,
    data: &SweepData,
    isa: Isa,
    progress: &mut dyn FnMut(Estimating) -> ControlFlow<()>,
) -> Result<Estimate, Error> {
    let (kinds, run) = kinds(plan, todo, data, progress)?;
    let all: f64 = kinds.iter().map(|kind| kind.cost).sum();
    let (mut seconds, mut tried_cost, mut failed_cost) = (0.0, 0.0, 0.0);
    let (mut longest, mut tried, mut failed) = (0.0f64, 0, Vec::new());
    let small = kinds.partition_point(|kind| !kind.large);
    let most = small.clamp(1, MAX_TRIALS).min(kinds.len());
    let started = Instant::now();
    let mut rest = kinds.as_slice();
    while let Some((kind, others)) = rest.split_first()
        && kinds.len() - rest.len() < most
        && (tried == 0 || started.elapsed() < BUDGET)
        && progress(Estimating::Kinds(kinds.len() - rest.len(), most)).is_continue()
    {
        rest = others;
        match kind.seconds(plan, data, isa) {
            Ok(took) => {
                seconds += took;
                tried_cost += kind.cost;
                longest = longest.max(took * kind.most / kind.cost);
                tried += 1;
            }
            Err(error) => {
                failed_cost += kind.cost;
                failed.push(FailedTrial {
                    run: kind.run,
                    runs: kind.runs.into(),
                    error: error.to_string(),
                });
            }
        }
    }
    let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    let rate = share(seconds, tried_cost);
    for kind in rest {
        seconds += rate * kind.cost;
        longest = longest.max(rate * kind.most);
    }
    Ok(Estimate {
        core_seconds: seconds,
        longest,
        kinds: kinds.len(),
        tried,
        share: share(tried_cost, all - failed_cost).min(1.0),
        failed,
        data: data.train().memory() + data.test().memory(),
        run,
    })
}

/// The kinds, those that cost most first, but the large ones last, from the smallest on; and the most memory that a run needs.
fn kinds(
    plan: &Plan,
    todo: &Todo,
    data: &SweepData,
    progress: &mut dyn FnMut(Estimating) -> ControlFlow<()>,
) -> Result<(Vec<Kind>, usize), Error> {
    let test = data.test().len();
    // By a hash of 64 bits: that two of ten million are equal has a probability of 3·10⁻⁶,
    // and would make the estimate a little worse.
    let mut kinds: HashMap<u64, Kind> = HashMap::new();
    let mut largest = 0;
    for (i, number) in todo.numbers().enumerate() {
        if i.is_multiple_of(STRIDE) && progress(Estimating::Runs(i, todo.len())).is_break() {
            break;
        }
        let Some(config) = plan.config_of(number) else {
            continue;
        };
        let (cost, steps) = (cost(&config, test), config.steps as f64);
        let evaluations = evaluations(&config);
        let config = alike(config);
        kinds.try_reserve(1)?;
        let kind = match kinds.entry(hash(&config)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let (memory, step) = (memory(&config, data), config.dense_flops_per_step());
                largest = largest.max(memory);
                place.insert(Kind {
                    run: number,
                    runs: 0,
                    steps: 0.0,
                    evaluations: 0.0,
                    cost: 0.0,
                    most: 0.0,
                    step,
                    large: step > LARGE_STEP || memory > LARGE_MEMORY,
                })
            }
        };
        kind.runs += 1;
        kind.steps += steps;
        kind.evaluations += evaluations;
        kind.cost += cost;
        kind.most = kind.most.max(cost);
    }
    let mut sorted = Vec::new();
    sorted.try_reserve_exact(kinds.len())?;
    sorted.extend(kinds.into_values());
    // The order of a map is another one each time.
    sorted.sort_unstable_by(|a, b| {
        let order = match (a.large, b.large) {
            (true, true) => a.step.total_cmp(&b.step),
            (false, false) => b.cost.total_cmp(&a.cost),
            (a, b) => a.cmp(&b),
        };
        order.then(a.run.cmp(&b.run))
    });
    Ok((sorted, largest))
}

/// Of its JSON, which is not kept.
fn hash(config: &TrainConfig) -> u64 {
    struct Sink(DefaultHasher);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(DefaultHasher::new());
    // Numbers and strings only: it can be written as JSON.
    let _ = serde_json::to_writer(&mut sink, config);
    sink.0.finish()
}

/// What a configuration has in common with others that are as fast.
fn alike(config: TrainConfig) -> TrainConfig {
    TrainConfig {
        init: Initializer::LECUN_NORMAL,
        bias_init: Initializer::Zeros,
        // Small enough that nothing diverges.
        lr: 1e-3,
        momentum: if config.momentum == 0.0 { 0.0 } else { 0.5 },
        steps: u64::MAX,
        eval_every: 0,
        seed: 1,
        ..config
    }
}

impl Kind {
    /// Of all its runs.
    fn seconds(&self, plan: &Plan, data: &SweepData, isa: Isa) -> Result<f64, Error> {
        let (train, test) = (data.train(), data.test());
        // The plan has it: it was found there.
        let config = alike(plan.config_of(self.run).unwrap_or_default());
        let mut built = None;
        let building = seconds_each(OTHERS, || {
            // One at a time.
            built = None;
            built = Some(Trainer::with_isa(config.clone(), train, test, isa)?);
            Ok(())
        })?;
        let Some(mut trainer) = built else {
            return Ok(0.0);
        };
        let step = seconds_each(STEPS, || {
            trainer.step();
            Ok(())
        })?;
        let flops = self.step;
        let evaluating = config.dense_flops_of_evaluation(test.len());
        // At the speed of steps.
        let evaluation = match evaluating / flops * step {
            long if long > LONG => long,
            _ => seconds_each(OTHERS, || {
                trainer.count_correct();
                Ok(())
            })?,
        };
        // What cost has beyond steps and evaluations is pre-training, at the speed of steps.
        let rest = self.cost - self.steps * flops - self.evaluations * evaluating;
        let pretraining = if flops > 0.0 {
            rest.max(0.0) / flops
        } else {
            0.0
        };
        let runs = f64::from(self.runs);
        Ok(runs * building + (self.steps + pretraining) * step + self.evaluations * evaluation)
    }
}

/// How long `work` takes: the mean over `least`, after once to warm up. What takes much longer
/// is done once.
fn seconds_each(
    least: Duration,
    mut work: impl FnMut() -> Result<(), Error>,
) -> Result<f64, Error> {
    let started = Instant::now();
    work()?;
    let first = started.elapsed();
    if first >= 5 * least {
        return Ok(first.as_secs_f64());
    }
    let started = Instant::now();
    let mut times = 0.0;
    loop {
        work()?;
        times += 1.0;
        let took = started.elapsed();
        if took >= least {
            return Ok(took.as_secs_f64() / times);
        }
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

//! Runs the studies, a run on each core.

use super::{Figure, Plan, Study, Task, probes};
use crate::batch_norm::{BatchNorm, NormEval};
use crate::config::TrainConfig;
use crate::data::{Dataset, Split};
use crate::pool::{self, Monitor, Watch};
use crate::train::{Run, Status};
use crate::{Activation, Error, InputPath, Isa, Network, Samples, Trainer};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Training images that the article's loader left out.
const HOLD_OUT: usize = 5_000;

/// One run of a study.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Number of the study in [`Plan::studies`].
    pub study: usize,
    /// Its seed.
    pub seed: u64,
    /// The run.
    pub run: Run,
    /// Output units that are 0 for every test image, before training and after; of
    /// networks with relu outputs.
    pub dead_outputs: Option<[usize; 2]>,
    /// Share of the outputs of the first layer, over the test images, that are below 0.01
    /// or above 0.99, 0 to 1: of sigmoid networks with batch normalization.
    pub saturated: Option<f64>,
    /// Final accuracy with the statistics of training instead of those of the test set,
    /// 0 to 1, where the network has batch normalization.
    pub running_accuracy: Option<f64>,
}

/// What was run.
#[derive(Clone, Debug)]
pub struct Results {
    /// What was to be run.
    pub plan: Plan,
    /// The runs, by study and seed.
    pub outcomes: Vec<Outcome>,
    /// The figures, each with the probes of its seeds.
    pub figures: Vec<Figure>,
    /// Instruction set.
    pub isa: Isa,
    /// Whether it was stopped before all was done.
    pub stopped: bool,
}

impl Results {
    /// The runs of the study with this `id`, by seed.
    pub fn of(&self, id: &str) -> impl Iterator<Item = &Outcome> + Clone {
        let number = self.plan.studies.iter().position(|s| s.id == id);
        let outcomes = self.outcomes.iter();
        outcomes.filter(move |outcome| Some(outcome.study) == number)
    }
}

/// What one thread takes.
#[derive(Clone, Copy)]
enum Job {
    Run { study: usize, seed: u64, work: u64 },
    Probe { figure: usize, seed: u64 },
}

/// Work of a probe, as of a run of this many steps.
const PROBE_STEPS: u64 = 3_000;

impl Plan {
    /// All the work, in units of [`Monitor::advance`].
    pub fn work(&self) -> u64 {
        self.jobs().iter().map(|job| self.work_of(*job)).sum()
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.studies.iter().map(|s| self.seeds_of(s) as usize).sum()
    }

    fn work_of(&self, job: Job) -> u64 {
        match job {
            Job::Run { work, .. } => work,
            Job::Probe { .. } => PROBE_STEPS * unit_of(&TrainConfig::default()),
        }
    }

    /// The probes, which are short; then the longest runs first, so that no thread is left
    /// alone with one at the end.
    fn jobs(&self) -> Vec<Job> {
        let studies = self.studies.iter().enumerate();
        let runs = studies.flat_map(|(study, s)| {
            let work = steps_of(s) * unit_of(&s.config);
            (1..=u64::from(self.seeds_of(s))).map(move |seed| Job::Run { study, seed, work })
        });
        let figures = probes::count();
        let seeds = u64::from(self.fewer_seeds());
        let probes = (0..figures)
            .flat_map(|figure| (1..=seeds).map(move |seed| Job::Probe { figure, seed }));
        let mut runs: Vec<Job> = runs.collect();
        runs.sort_by_key(|job| std::cmp::Reverse(self.work_of(*job)));
        probes.chain(runs).collect()
    }

    /// Runs everything on `threads` threads (at least one).
    ///
    /// # Errors
    /// The first of a run, after which the others are broken off; or if the data are not
    /// shaped like MNIST.
    pub fn run(
        &self,
        data: &Dataset,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<Results, Error> {
        let isa = Isa::from_env()?;
        let samples = Data::new(data)?;
        let jobs = self.jobs();
        let done = Mutex::new((Vec::new(), Vec::new()));
        let failure = Mutex::new(None);
        let go_on = || !monitor.stopped() && lock(&failure).is_none();
        pool::for_each(threads, &jobs, go_on, |&job| {
            let result = match job {
                Job::Run { study, seed, .. } => self
                    .run_one(study, seed, isa, &samples, monitor)
                    .map(|outcome| lock(&done).0.extend(outcome)),
                Job::Probe { figure, seed } => {
                    probes::probe(figure, seed, self.samples).map(|probe| {
                        lock(&done).1.push((figure, seed, probe));
                        monitor.advance(self.work_of(job));
                    })
                }
            };
            if let Err(error) = result {
                lock(&failure).get_or_insert(error);
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let (mut outcomes, probes) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|o: &Outcome| (o.study, o.seed));
        Ok(Results {
            plan: self.clone(),
            stopped: outcomes.len() + probes.len() < jobs.len(),
            outcomes,
            figures: probes::figures(probes),
            isa,
        })
    }

    /// `None` if it was broken off.
    fn run_one(
        &self,
        number: usize,
        seed: u64,
        isa: Isa,
        data: &Data,
        monitor: &dyn Monitor,
    ) -> Result<Option<Outcome>, Error> {
        let study = &self.studies[number];
        let config = TrainConfig {
            seed,
            ..study.config.clone()
        };
        let unit = unit_of(&config);
        let mut watch = Watch::new(monitor, unit, steps_of(study) * unit);
        let (train, test) = match study.task {
            Task::Mnist => (&data.train, &data.test),
            Task::HighDigits { .. } => (&data.high_train, &data.high_test),
        };
        let source = match study.task {
            Task::HighDigits { transferred: true } => {
                let config = TrainConfig {
                    eval_every: 0,
                    frozen: None,
                    ..config.clone()
                };
                let mut source = Trainer::with_isa(config, &data.low_train, &data.low_test, isa)?;
                source.run(&mut watch);
                Some(source)
            }
            _ => None,
        };
        let mut trainer = Trainer::observed(config.clone(), train, test, isa, &mut watch)?;
        if let Some(source) = source {
            let layers = config.layers.len() - 1;
            copy_layers(source.network(), trainer.network_mut(), 0..layers - 1)?;
        }
        let relu = config.output_activation == Activation::Relu;
        let dead_before = relu.then(|| dead_outputs(&mut trainer)).transpose()?;
        let run = trainer.run(&mut watch);
        if run.status == Status::Interrupted || monitor.stopped() {
            return Ok(None);
        }
        watch.finish();
        let (mut running, mut saturated) = (None, None);
        if let Some(norm) = config.batch_norm {
            running = Some(running_accuracy(&config, norm, &trainer, isa, data)?);
            if config.activation == Activation::Sigmoid {
                saturated = Some(saturation(&config, &trainer, isa, data)?);
            }
        }
        let dead_outputs = match dead_before {
            Some(before) => Some([before, dead_outputs(&mut trainer)?]),
            None => None,
        };
        Ok(Some(Outcome {
            study: number,
            seed,
            run,
            dead_outputs,
            saturated,
            running_accuracy: running,
        }))
    }
}

/// Output units that are 0 for every test image.
fn dead_outputs(trainer: &mut Trainer<'_>) -> Result<usize, Error> {
    let outputs = trainer.test_outputs()?;
    let width = trainer.network().outputs();
    let dead = |unit: &usize| outputs.chunks_exact(width).all(|y| y[*unit] == 0.0);
    Ok((0..width).filter(dead).count())
}

/// Steps of a run, those of what it starts from included.
fn steps_of(study: &Study) -> u64 {
    match study.task {
        Task::HighDigits { transferred: true } => 2 * study.config.steps,
        _ => study.config.steps,
    }
}

/// Work of a step: it costs more than its multiplications.
fn unit_of(config: &TrainConfig) -> u64 {
    let norm = if config.batch_norm.is_some() {
        2.0
    } else {
        1.0
    };
    (config.dense_flops_per_step() * norm) as u64 / 1_000 + 1
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The accuracy of a trained network with running statistics.
fn running_accuracy(
    config: &TrainConfig,
    norm: BatchNorm,
    trained: &Trainer<'_>,
    isa: Isa,
    data: &Data,
) -> Result<f64, Error> {
    let config = TrainConfig {
        batch_norm: Some(BatchNorm {
            eval: NormEval::Running,
            ..norm
        }),
        ..config.clone()
    };
    let mut other = Trainer::with_isa(config, &data.train, &data.test, isa)?;
    let layers = trained.network().layers().len();
    copy_layers(trained.network(), other.network_mut(), 0..layers)?;
    Ok(other.count_correct() as f64 / data.test.len() as f64)
}

/// The share of the first layer's outputs that are nearly 0 or 1, over the test images.
fn saturation(
    config: &TrainConfig,
    trained: &Trainer<'_>,
    isa: Isa,
    data: &Data,
) -> Result<f64, Error> {
    let config = TrainConfig {
        layers: config.layers[..2].to_vec(),
        output_activation: config.activation,
        ..config.clone()
    };
    let mut first = Trainer::with_isa(config, &data.train, &data.test, isa)?;
    copy_layers(trained.network(), first.network_mut(), 0..1)?;
    let outputs = first.test_outputs()?;
    let saturated = outputs.iter().filter(|y| !(0.01..=0.99).contains(*y));
    Ok(saturated.count() as f64 / outputs.len().max(1) as f64)
}

/// Copies the parameters of the layers `range`.
fn copy_layers(from: &Network, to: &mut Network, range: Range<usize>) -> Result<(), Error> {
    for l in range {
        to.set_layer(l, &from.dense_weights(l), &from.dense_biases(l))?;
        if let Some(norm) = from.norm(l) {
            to.set_norm(l, norm)?;
        }
    }
    Ok(())
}

/// MNIST whole, and cut in two by digits.
struct Data {
    train: Samples,
    test: Samples,
    low_train: Samples,
    low_test: Samples,
    high_train: Samples,
    high_test: Samples,
}

impl Data {
    fn new(data: &Dataset) -> Result<Self, Error> {
        let first = HOLD_OUT.min(data.train.len() / 2);
        let train = first..data.train.len();
        let test = 0..data.test.len();
        let (all_train, all_test) = Samples::from_dataset(data, first, InputPath::Auto)?;
        Ok(Self {
            low_train: digits(&data.train, train.clone(), 0..=4)?,
            low_test: digits(&data.test, test.clone(), 0..=4)?,
            high_train: digits(&data.train, train, 5..=9)?,
            high_test: digits(&data.test, test, 5..=9)?,
            train: all_train,
            test: all_test,
        })
    }
}

/// The images `range` of these classes.
fn digits(
    split: &Split,
    range: Range<usize>,
    classes: std::ops::RangeInclusive<u8>,
) -> Result<Samples, Error> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let pixels = split.pixels();
    for i in range {
        let label = split.labels()[i];
        if classes.contains(&label) {
            images.extend_from_slice(&split.images()[i * pixels..][..pixels]);
            labels.push(label);
        }
    }
    Ok(Samples::from_bytes(
        &images,
        pixels,
        &labels,
        InputPath::Auto,
    )?)
}

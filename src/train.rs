//! The training loop: order, evaluation, divergence, interruption.

mod order;
mod report;

pub use order::Order;
pub use report::{ConfigReport, RunReport, Setting};

use crate::Error;
use crate::batch_norm::NormEval;
use crate::config::{ConfigError, LayerRange, TrainConfig};
use crate::data_init;
pub use crate::data_init::PretrainProgress;
use crate::evaluate::Evaluator;
use crate::network::Network;
use crate::samples::Samples;
use crate::step::{Batch, Clock, Rule, Workspace};
use fanin_kernels::Isa;
use fanin_kernels::norm::MAX_SAMPLES;
use fanin_kernels::team::Team;
use serde::Deserialize;
use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Test accuracy after a number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: u64,
    /// Test samples put into their class.
    pub correct: usize,
    /// Test samples.
    pub total: usize,
}

impl Evaluation {
    /// correct/total, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / (self.total as f64).max(1.0)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All steps done.
    Ok,
    /// The loss or a parameter became infinite or NaN.
    Diverged,
    /// The observer asked to stop.
    Interrupted,
}

impl Status {
    /// `ok`, `diverged` or `interrupted`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Diverged => "diverged",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Is told how a run goes on, and may end it.
pub trait Observer {
    /// After each evaluation. `Break` ends the run, unless all its steps are done.
    fn evaluated(&mut self, _evaluation: Evaluation) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// After each step of pre-training, while a trainer is built. `Break` ends it.
    fn pretrained(&mut self, _progress: PretrainProgress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// After each step, with the batch's mean loss before it. `Break` ends the run.
    fn stepped(&mut self, _step: u64, _loss: f32) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Does nothing.
impl Observer for () {}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub status: Status,
    /// Instruction set it ran on.
    pub isa: Isa,
    /// Steps done; a step whose loss was not finite is not.
    pub steps: u64,
    /// Test accuracies: before the first step, every `eval_every`, after the last.
    pub evals: Vec<Evaluation>,
    /// Mean training loss of the steps before the last evaluation, of 1,000 at most;
    /// `None` before any.
    pub training_loss: Option<f64>,
    /// Time in training steps.
    pub train_time: Duration,
    /// Time in evaluations.
    pub eval_time: Duration,
    /// The network's [`Network::weights_sha256`].
    pub weights_sha256: String,
}

impl Run {
    /// The last test accuracy, 0 to 1; `None` where nothing was evaluated.
    pub fn final_accuracy(&self) -> Option<f64> {
        self.evals.last().map(Evaluation::accuracy)
    }

    /// The first evaluated step with a test accuracy of at least 80 %.
    pub fn steps_to_80(&self) -> Option<u64> {
        let reached = self.evals.iter().find(|e| e.correct * 10 >= e.total * 8);
        reached.filter(|e| e.total > 0).map(|e| e.step)
    }

    /// Mean time of a training step; `None` before the first.
    pub fn time_per_step(&self) -> Option<Duration> {
        let steps = self.steps as f64;
        (self.steps > 0).then(|| self.train_time.div_f64(steps))
    }
}

/// A network in training.
pub struct Trainer<'a> {
    config: TrainConfig,
    train: &'a Samples,
    test: &'a Samples,
    isa: Isa,
    rule: Rule,
    network: Network,
    /// [`Trainer::network`] after the last step, where a thread has a part of `network`.
    snapshot: OnceLock<Network>,
    team: Team,
    workspace: Workspace,
    evaluator: Evaluator,
    order: Order,
    /// The samples of the step at hand.
    ids: Vec<u32>,
}

impl<'a> Trainer<'a> {
    /// Plans the memory, starts the threads and draws the initial parameters.
    ///
    /// The instruction set is the one `FANIN_ISA` asks for, else the CPU's best.
    ///
    /// # Errors
    /// If the configuration is impossible or does not fit the samples, the instruction
    /// set is not to be had, or memory or threads are not.
    pub fn new(config: TrainConfig, train: &'a Samples, test: &'a Samples) -> Result<Self, Error> {
        Self::with_isa(config, train, test, Isa::from_env()?)
    }

    /// [`Trainer::new`] with a given instruction set.
    ///
    /// # Errors
    /// As there.
    pub fn with_isa(
        config: TrainConfig,
        train: &'a Samples,
        test: &'a Samples,
        isa: Isa,
    ) -> Result<Self, Error> {
        Self::observed(config, train, test, isa, &mut ())
    }

    /// [`Trainer::with_isa`], with an observer that is told of pre-training and may end
    /// it early.
    ///
    /// # Errors
    /// As there.
    pub fn observed(
        config: TrainConfig,
        train: &'a Samples,
        test: &'a Samples,
        isa: Isa,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        config.check()?;
        let (activation, output) = (config.activation, config.output_activation);
        let norm = config.batch_norm;
        let mut network = Network::with_batch_norm(&config.layers, activation, output, norm)?;
        check_samples(&config, &network, train, test)?;
        network.initialize(config.init, config.bias_init, config.seed)?;
        let mut team = Team::new(config.threads).map_err(Error::Threads)?;
        data_init::initialize(&config, isa, &mut team, &mut network, train, observer)?;
        let rule = match config.momentum {
            0.0 => Rule::Sgd,
            momentum => Rule::Momentum(momentum),
        };
        let workspace = Workspace::new(&network, train, config.batch, rule, config.threads)?;
        let evaluator = Evaluator::new(&network, test, config.threads)?;
        let n = u32::try_from(train.len()).unwrap_or(u32::MAX);
        Ok(Self {
            train,
            test,
            isa,
            rule,
            team,
            workspace,
            evaluator,
            order: Order::new(config.seed, n),
            ids: vec![0; config.batch],
            network,
            snapshot: OnceLock::new(),
            config,
        })
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The network as it is now.
    ///
    /// Between steps of several threads this copies it, once a step: each thread has a part.
    pub fn network(&self) -> &Network {
        if !self.workspace.is_ahead() {
            return &self.network;
        }
        self.snapshot.get_or_init(|| {
            let mut network = self.network.clone();
            self.workspace.write_into(&mut network);
            network
        })
    }

    /// [`Trainer::network`] without a copy.
    fn collect(&mut self) -> &Network {
        self.workspace.give_back(&mut self.network);
        &self.network
    }

    /// The network, to change its parameters before training.
    pub fn network_mut(&mut self) -> &mut Network {
        self.workspace.forget(&mut self.network);
        &mut self.network
    }

    /// One training step; returns the mean loss of the batch before it.
    pub fn step(&mut self) -> f32 {
        self.step_with(&mut ())
    }

    /// [`Trainer::step`] with a clock that is told when each phase of it has ended.
    pub fn step_with(&mut self, clock: &mut impl Clock) -> f32 {
        self.snapshot.take();
        self.order.fill(&mut self.ids);
        let (rule, lr) = (self.rule, self.config.lr);
        let (workspace, batch) = self.batch();
        workspace.step(batch, rule, lr, clock)
    }

    /// The mean loss and gradient of the batch that the next step would take; neither
    /// the parameters nor the order are changed.
    ///
    /// # Errors
    /// If the memory for the gradient cannot be had.
    pub fn next_gradient(&mut self) -> Result<(f32, Network), Error> {
        self.order.clone().fill(&mut self.ids);
        let (workspace, batch) = self.batch();
        Ok(workspace.gradient(batch)?)
    }

    /// The workspace, and what it works on: the samples `ids`.
    fn batch(&mut self) -> (&mut Workspace, Batch<'_>) {
        let batch = Batch {
            isa: self.isa,
            team: &mut self.team,
            network: &mut self.network,
            samples: self.train,
            ids: &self.ids,
            coming: self.order.peek(self.config.batch.saturating_mul(3)),
            loss: self.config.loss,
            frozen: self.config.frozen.map_or(0..0, LayerRange::indices),
        };
        (&mut self.workspace, batch)
    }

    /// The samples of the next `steps` batches, in order; nothing is changed.
    pub fn next_samples(&self, steps: usize) -> Vec<u32> {
        let mut samples = vec![0; steps.saturating_mul(self.config.batch)];
        self.order.clone().fill(&mut samples);
        samples
    }

    /// How many test samples the network puts into their class.
    pub fn count_correct(&mut self) -> usize {
        self.collect();
        let (isa, team) = (self.isa, &mut self.team);
        self.evaluator
            .count_correct(isa, team, &self.network, self.test)
    }

    /// The network's outputs for the test samples, row-major \[samples, outputs\].
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn test_outputs(&mut self) -> Result<Vec<f32>, Error> {
        self.collect();
        let width = self.network.outputs();
        let length = self.test.len().saturating_mul(width);
        let mut all = Vec::new();
        all.try_reserve_exact(length)?;
        all.resize(length, 0.0);
        let all = Mutex::new(all);
        let (isa, team) = (self.isa, &mut self.team);
        let (network, test) = (&self.network, self.test);
        self.evaluator
            .outputs(isa, team, network, test, |range, outputs| {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                let rows = all[range.start * width..range.end * width].chunks_exact_mut(width);
                for (r, to) in rows.enumerate() {
                    to.copy_from_slice(outputs.row(r));
                }
            });
        Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Trains for all steps of the configuration, or until `observer` or divergence ends
    /// it.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Run {
        let mut run = Run {
            status: Status::Ok,
            isa: self.isa,
            steps: 0,
            evals: Vec::new(),
            training_loss: None,
            train_time: Duration::ZERO,
            eval_time: Duration::ZERO,
            weights_sha256: String::new(),
        };
        self.evaluate(&mut run, observer);
        while run.status == Status::Ok && run.steps < self.config.steps {
            let until = match self.config.eval_every {
                0 => self.config.steps,
                every => (run.steps / every + 1).saturating_mul(every),
            };
            self.train_until(until.min(self.config.steps), &mut run, observer);
            if run.status != Status::Diverged {
                self.evaluate(&mut run, observer);
            }
        }
        run.weights_sha256 = self.collect().weights_sha256();
        run
    }

    fn train_until(&mut self, until: u64, run: &mut Run, observer: &mut dyn Observer) {
        let started = Instant::now();
        let (mut sum, mut counted) = (0.0, 0.0);
        let recent = until.saturating_sub(1_000);
        while run.steps < until {
            let loss = self.step();
            if !loss.is_finite() {
                run.status = Status::Diverged;
                break;
            }
            run.steps += 1;
            if run.steps > recent {
                sum += f64::from(loss);
                counted += 1.0;
            }
            if observer.stepped(run.steps, loss).is_break() {
                run.status = Status::Interrupted;
                break;
            }
        }
        if counted > 0.0 {
            run.training_loss = Some(sum / counted);
        }
        run.train_time += started.elapsed();
    }

    /// Notes the test accuracy, and how the run has ended, if it has.
    fn evaluate(&mut self, run: &mut Run, observer: &mut dyn Observer) {
        let started = Instant::now();
        let finite = self.collect().is_finite();
        if !finite {
            run.status = Status::Diverged;
        } else if self.test.has_classes() {
            let evaluation = Evaluation {
                step: run.steps,
                correct: self.count_correct(),
                total: self.test.len(),
            };
            run.evals.push(evaluation);
            let more = run.steps < self.config.steps;
            if observer.evaluated(evaluation).is_break() && more {
                run.status = Status::Interrupted;
            }
        }
        run.eval_time += started.elapsed();
    }
}

fn check_samples(
    config: &TrainConfig,
    network: &Network,
    train: &Samples,
    test: &Samples,
) -> Result<(), ConfigError> {
    for (set, samples) in [("training", train), ("test", test)] {
        let layer = network.inputs();
        // An empty test set has nothing to fit.
        if samples.cols() != layer && (set == "training" || !samples.is_empty()) {
            let samples = samples.cols();
            return Err(ConfigError::Inputs {
                layer,
                set,
                samples,
            });
        }
        let (layer, needed) = (network.outputs(), samples.outputs());
        let fits = match samples.has_classes() {
            true => needed <= layer,
            false => needed == layer,
        };
        if !fits {
            return Err(ConfigError::Outputs { layer, set, needed });
        }
    }
    if train.has_classes() != test.has_classes() {
        return Err(ConfigError::Kinds);
    }
    if let Some(norm) = config.batch_norm {
        if config.batch == 1 {
            return Err(ConfigError::NormOne);
        }
        let whole = match norm.eval {
            NormEval::Batch => test.len(),
            NormEval::Running => 0,
        };
        let most = config.batch.max(whole);
        if most >= MAX_SAMPLES {
            return Err(ConfigError::NormSamples(most));
        }
    }
    let (batch, samples) = (config.batch, train.len());
    if batch == 0 || batch > samples {
        return Err(ConfigError::Batch { batch, samples });
    }
    Ok(())
}

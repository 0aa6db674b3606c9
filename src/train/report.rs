//! A run as a JSON object: what `fanin train --json` prints and a sweep keeps.

use super::Run;
use crate::config::TrainConfig;
use serde::Serialize;
use std::time::Duration;

/// What a run was made of, besides what it gave.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Its configuration.
    pub config: &'a TrainConfig,
    /// The data set, as it was asked for.
    pub data: &'a str,
    /// Training images left out.
    pub hold_out: usize,
    /// FMA peak of one core, flop/s.
    pub peak: f64,
    /// From the start to the end of all that was done for it.
    pub total: Duration,
}

impl Setting<'_> {
    /// Time of a step as a multiple of what dense arithmetic would take at the FMA peak;
    /// `None` before the first step.
    pub fn step_multiple(&self, run: &Run) -> Option<f64> {
        let limit = self.config.dense_flops_per_step() / self.peak;
        run.time_per_step().map(|t| t.as_secs_f64() / limit)
    }

    /// Time of the evaluations likewise.
    pub fn evaluation_multiple(&self, run: &Run) -> Option<f64> {
        let samples: usize = run.evals.iter().map(|e| e.total).sum();
        let limit = self.config.dense_flops_of_evaluation(samples) / self.peak;
        (limit > 0.0).then(|| run.eval_time.as_secs_f64() / limit)
    }
}

/// The object.
#[derive(Serialize)]
pub struct RunReport<'a> {
    config: ConfigReport<'a>,
    isa: &'static str,
    threads: usize,
    status: &'static str,
    steps: u64,
    evals: Vec<EvaluationReport>,
    final_accuracy: Option<f64>,
    steps_to_80: Option<u64>,
    training_loss: Option<f64>,
    seconds: Seconds,
    us_per_step: Option<f64>,
    dense_limit: DenseLimit,
    weights_sha256: &'a str,
}

/// `config` of the object: the configuration, and the data.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ConfigReport<'a> {
    #[serde(flatten)]
    train: &'a TrainConfig,
    data: &'a str,
    hold_out: usize,
}

#[derive(Serialize)]
struct EvaluationReport {
    step: u64,
    correct: usize,
    total: usize,
    accuracy: f64,
}

#[derive(Serialize)]
struct Seconds {
    train: f64,
    eval: f64,
    total: f64,
}

/// Speed as a multiple of what dense arithmetic would take at the FMA peak of one core.
#[derive(Serialize)]
struct DenseLimit {
    fma_peak_gflops: f64,
    step: Option<f64>,
    evaluation: Option<f64>,
}

impl<'a> ConfigReport<'a> {
    /// That of a run.
    pub fn new(setting: &Setting<'a>) -> Self {
        Self {
            train: setting.config,
            data: setting.data,
            hold_out: setting.hold_out,
        }
    }
}

impl<'a> RunReport<'a> {
    /// That of a run.
    pub fn new(setting: &Setting<'a>, run: &'a Run) -> Self {
        let evals = run.evals.iter().map(|e| EvaluationReport {
            step: e.step,
            correct: e.correct,
            total: e.total,
            accuracy: e.accuracy(),
        });
        Self {
            config: ConfigReport::new(setting),
            isa: run.isa.name(),
            threads: setting.config.threads,
            status: run.status.name(),
            steps: run.steps,
            evals: evals.collect(),
            final_accuracy: run.final_accuracy(),
            steps_to_80: run.steps_to_80(),
            training_loss: run.training_loss,
            seconds: Seconds {
                train: run.train_time.as_secs_f64(),
                eval: run.eval_time.as_secs_f64(),
                total: setting.total.as_secs_f64(),
            },
            us_per_step: run.time_per_step().map(|t| t.as_secs_f64() * 1e6),
            dense_limit: DenseLimit {
                fma_peak_gflops: setting.peak / 1e9,
                step: setting.step_multiple(run),
                evaluation: setting.evaluation_multiple(run),
            },
            weights_sha256: &run.weights_sha256,
        }
    }
}

//! What `fanin train` shows: progress while it runs, and the summary or the JSON.

use crate::config::TrainConfig;
use crate::train::{Evaluation, Run};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// The object of `fanin train --json`.
#[derive(Serialize)]
pub(super) struct Report<'a> {
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

#[derive(Serialize)]
struct ConfigReport<'a> {
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

/// What a run was made of, besides its configuration.
pub(super) struct Setting<'a> {
    pub config: &'a TrainConfig,
    pub data: &'a str,
    pub hold_out: usize,
    /// FMA peak of one core, flop/s.
    pub peak: f64,
    pub total: Duration,
}

impl Setting<'_> {
    fn step_multiple(&self, run: &Run) -> Option<f64> {
        let limit = self.config.dense_flops_per_step() / self.peak;
        run.time_per_step().map(|t| t.as_secs_f64() / limit)
    }

    fn evaluation_multiple(&self, run: &Run) -> Option<f64> {
        let samples: usize = run.evals.iter().map(|e| e.total).sum();
        let limit = self.config.dense_flops_of_evaluation(samples) / self.peak;
        (limit > 0.0).then(|| run.eval_time.as_secs_f64() / limit)
    }

    pub(super) fn json(&self, run: &Run) -> String {
        let evals = run.evals.iter().map(|e| EvaluationReport {
            step: e.step,
            correct: e.correct,
            total: e.total,
            accuracy: e.accuracy(),
        });
        let report = Report {
            config: ConfigReport {
                train: self.config,
                data: self.data,
                hold_out: self.hold_out,
            },
            isa: run.isa.name(),
            threads: self.config.threads,
            status: run.status.name(),
            steps: run.steps,
            evals: evals.collect(),
            final_accuracy: run.final_accuracy(),
            steps_to_80: run.steps_to_80(),
            training_loss: run.training_loss,
            seconds: Seconds {
                train: run.train_time.as_secs_f64(),
                eval: run.eval_time.as_secs_f64(),
                total: self.total.as_secs_f64(),
            },
            us_per_step: run.time_per_step().map(|t| t.as_secs_f64() * 1e6),
            dense_limit: DenseLimit {
                fma_peak_gflops: self.peak / 1e9,
                step: self.step_multiple(run),
                evaluation: self.evaluation_multiple(run),
            },
            weights_sha256: &run.weights_sha256,
        };
        // Numbers and strings only: there is nothing that serializing could refuse.
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }

    pub(super) fn summary(&self, run: &Run) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<15}{value}");
        };
        line("status", run.status.name().into());
        if let Some(accuracy) = run.final_accuracy() {
            let reached = match run.steps_to_80() {
                Some(step) => format!("80 % at step {step}"),
                None => "80 % never reached".into(),
            };
            let percent = 100.0 * accuracy;
            line(
                "test accuracy",
                format!("{percent:.2} % after {} steps ({reached})", run.steps),
            );
        }
        if let Some(loss) = run.training_loss {
            line("training loss", format!("{loss:.6}"));
        }
        let seconds = |d: Duration| format!("{:.2} s", d.as_secs_f64());
        line(
            "time",
            format!(
                "{} in all: {} training, {} evaluating",
                seconds(self.total),
                seconds(run.train_time),
                seconds(run.eval_time)
            ),
        );
        if let (Some(time), Some(multiple)) = (run.time_per_step(), self.step_multiple(run)) {
            line(
                "step",
                format!(
                    "{:.1} µs, {multiple:.2} × the dense limit (FMA peak {:.0} GFLOP/s)",
                    time.as_secs_f64() * 1e6,
                    self.peak / 1e9
                ),
            );
        }
        if let Some(multiple) = self.evaluation_multiple(run) {
            line("evaluation", format!("{multiple:.2} × its dense limit"));
        }
        line("weights sha256", run.weights_sha256.clone());
        text
    }
}

/// `step 6000, test accuracy 8829/10000`
pub(super) fn evaluation_line(e: &Evaluation) -> String {
    format!("step {}, test accuracy {}/{}", e.step, e.correct, e.total)
}

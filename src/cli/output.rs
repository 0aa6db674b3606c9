//! What is said on stderr; and what `fanin train` shows: progress while it runs, and the
//! summary or the JSON.

use crate::train::{Evaluation, Run, RunReport, Setting};
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::time::Duration;

/// Writes a line on stderr, where progress and remarks go. That nobody may be there to read
/// it, or that the disk it goes to is full, is no reason to stop: `eprintln!` would panic.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The object of `fanin train --json`.
pub(super) fn json(setting: &Setting<'_>, run: &Run) -> String {
    // Numbers and strings only: there is nothing that serializing could refuse.
    serde_json::to_string_pretty(&RunReport::new(setting, run)).unwrap_or_default()
}

pub(super) fn summary(setting: &Setting<'_>, run: &Run) -> String {
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
            seconds(setting.total),
            seconds(run.train_time),
            seconds(run.eval_time)
        ),
    );
    if let (Some(time), Some(multiple)) = (run.time_per_step(), setting.step_multiple(run)) {
        line(
            "step",
            format!(
                "{:.1} µs, {multiple:.2} × the dense limit (FMA peak {:.0} GFLOP/s)",
                time.as_secs_f64() * 1e6,
                setting.peak / 1e9
            ),
        );
    }
    if let Some(multiple) = setting.evaluation_multiple(run) {
        line("evaluation", format!("{multiple:.2} × its dense limit"));
    }
    line("weights sha256", run.weights_sha256.clone());
    text
}
/// `step 6000, test accuracy 8829/10000`
pub(super) fn evaluation_line(e: &Evaluation) -> String {
    format!("step {}, test accuracy {}/{}", e.step, e.correct, e.total)
}

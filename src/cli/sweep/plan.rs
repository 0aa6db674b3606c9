//! What `fanin sweep run` says before it runs.

use super::shard::Chosen;
use crate::cli::output::say;
use crate::report::grouped;
use crate::sweep::store::Index;
use crate::sweep::{Estimate, Plan, PlannedRun, Spec, Todo};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

/// Runs from which on making their ids takes a second.
const MANY: u32 = 200_000;

/// Damaged lines that are told one by one.
const TOLD: usize = 5;

/// Lets the hidden `spinner` move while the runs of a large plan are looked up; a line where
/// there is no terminal.
pub(super) fn spin(spinner: &ProgressBar, plan: &Plan) {
    if plan.runs() < MANY {
        return;
    }
    let message = format!("looking for {} runs", count(plan.runs()));
    if !std::io::stderr().is_terminal() {
        return say(message);
    }
    spinner.set_style(ProgressStyle::default_spinner());
    spinner.set_draw_target(ProgressDrawTarget::stderr());
    spinner.set_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
}

/// Lines that are no records.
pub(super) fn tell_damage(index: &Index) {
    let damage = index.damage();
    for damage in damage.iter().take(TOLD) {
        say(format_args!(
            "note: {damage}: if it was the record of a run of this sweep, that is run again"
        ));
    }
    if damage.len() > TOLD {
        let more = grouped(&(damage.len() - TOLD).to_string());
        say(format_args!("and {more} more such places"));
    }
}

/// The sweep, its axes, and what is to be done.
pub(super) fn header(spec: &Spec, plan: &Plan, chosen: &Chosen, todo: &Todo) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    let axes = plan.axes();
    let factors: Vec<String> = axes.iter().map(|axis| count(axis.values)).collect();
    let mut runs = format!("{}: {}", spec.name(), self::runs(plan.runs().into()));
    if factors.len() > 1 {
        let _ = write!(runs, " = {}", factors.join(" × "));
    }
    for (n, what) in [
        (plan.excluded(), "excluded"),
        (plan.duplicates(), "the same as others"),
    ] {
        if n > 0 {
            let _ = write!(runs, " − {} {what}", count(n));
        }
    }
    line(runs);
    let name = |axis: usize| axes[axis].names.join("+");
    let widest = (0..axes.len())
        .map(|axis| name(axis).len())
        .max()
        .unwrap_or(0);
    for (number, axis) in axes.iter().enumerate() {
        let values = values(plan, number, axis.values);
        line(format!("  {:<widest$}  {values}", name(number)));
    }
    for rule in spec.stop_when() {
        line(format!("  stops where {rule}"));
    }
    let (shard, source) = (chosen.shard, chosen.source);
    if !source.is_empty() {
        let (index, count) = (shard.index() + 1, shard.count());
        let runs = self::runs((todo.done() + todo.len()) as u64);
        line(format!("shard {index}/{count} by {source}: {runs}"));
    }
    let number = |n: usize| grouped(&n.to_string());
    let again = match todo.again() {
        0 => String::new(),
        n => format!(" ({} of them again: failed or pruned before)", number(n)),
    };
    let (left, done) = (number(todo.len()), number(todo.done()));
    line(format!("to do: {left}{again}, done: {done}"));
    text
}

/// As many values of an axis as fit on a line, eight at most and the last.
fn values(plan: &Plan, axis: usize, length: u32) -> String {
    let value = |i: u32| {
        let values = plan.axis_values(axis, i);
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        values.join("+")
    };
    let mut text = value(0);
    for i in 1..length {
        let next = value(i);
        // Room for what stands for the rest.
        if (i >= 8 || text.chars().count() + next.len() > 50) && i + 1 < length {
            let _ = write!(
                text,
                ", …, {} ({} values)",
                value(length - 1),
                count(length)
            );
            break;
        }
        let _ = write!(text, ", {next}");
    }
    text
}

/// How long, and in how much memory.
pub(super) fn expected(plan: &Plan, estimate: &Estimate, threads: usize) -> String {
    let Estimate {
        core_seconds,
        kinds,
        tried,
        share,
        ref failed,
        data,
        run,
        ..
    } = *estimate;
    if kinds == 0 {
        return String::new();
    }
    let mut text = String::new();
    for failed in failed.iter().take(TOLD) {
        let run = plan
            .get(failed.run)
            .map_or_else(String::new, |run| named(&run));
        let _ = writeln!(
            text,
            "cannot be run: {run}: {} ({} alike)",
            failed.error,
            runs(failed.runs)
        );
    }
    if failed.len() > TOLD {
        let more = grouped(&(failed.len() - TOLD).to_string());
        let _ = writeln!(text, "nor can {more} other kinds of networks");
    }
    if tried > 0 {
        let measured = match tried + failed.len() == kinds {
            true => String::new(),
            // Never 100 % where it is not all.
            false => format!(
                "; measured on {tried} of {} kinds of networks, {} of the work",
                grouped(&kinds.to_string()),
                match 100.0 * share {
                    ..1.0 => "less than 1 %".to_owned(),
                    percent => format!("{:.0} %", percent.floor()),
                }
            ),
        };
        let threads_text = match threads {
            1 => String::new(),
            n => format!(" with {n} threads"),
        };
        let _ = writeln!(
            text,
            "time: about {}{threads_text} ({} of one core{measured})",
            duration(estimate.seconds(threads)),
            duration(core_seconds),
        );
    }
    let mib = |bytes: usize| {
        let mib = format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        format!("{} MiB", grouped(&mib))
    };
    let all = run.saturating_mul(threads).saturating_add(data);
    let (all, data, run) = (mib(all), mib(data), mib(run));
    let _ = writeln!(
        text,
        "memory: about {all} ({data} of data, {run} for each thread)"
    );
    text
}

/// `init=zeros seed=3`, or the id where nothing varies.
pub(super) fn named(run: &PlannedRun) -> String {
    let axes = run.axes.iter();
    let axes: Vec<String> = axes.map(|(key, value)| format!("{key}={value}")).collect();
    match axes.is_empty() {
        true => format!("run {}", run.id),
        false => axes.join(" "),
    }
}

/// `1 run`, `2,000 runs`
pub(super) fn runs(n: u64) -> String {
    match n {
        1 => "1 run".into(),
        n => format!("{} runs", grouped(&n.to_string())),
    }
}

/// `3.2 s`, `12 min`, `5.1 h`, `3.4 days`
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.1} s"),
        s if s < 99.5 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3_600.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{} days", grouped(&format!("{:.1}", s / 86_400.0))),
    }
}

fn count(n: u32) -> String {
    grouped(&n.to_string())
}

//! `fanin article`.

use super::output::say;
use super::signals::Signals;
use super::{FAILED, Failure, cores};
use crate::article::{MAX_SEEDS, Monitor, Plan};
use crate::data::Dataset;
use crate::{Error, report};
use clap::Args;
use fanin_kernels::team::MAX_THREADS;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  fanin article
  fanin article --out report                report.html, report.md, tables, figures
  fanin article --seeds 100 --out report
  fanin article --seeds 2 --steps 2000      to try it out

Ends with 130 or 143 after SIGINT or SIGTERM, with the results of the runs that were done.";

/// The article end to end: its table and figures, ours beside the published.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(super) struct ArticleArgs {
    /// Seeds of the table, of pre-training and of transfer; the other studies take a third
    /// of them, but at least 3
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SEEDS)))]
    seeds: u32,

    /// Write the report into this folder: report.html (one file, all in it), report.md,
    /// tables as CSV, figures as SVG
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Runs at a time; the results do not depend on it [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64))]
    threads: Option<u16>,

    /// Steps of a run, at most; the article has 20,000
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    steps: u64,
}

impl Default for ArticleArgs {
    fn default() -> Self {
        /// Lets clap fill in the defaults, so that they stand in one place.
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            args: ArticleArgs,
        }
        <Defaults as clap::Parser>::parse_from(["fanin"]).args
    }
}

pub(super) fn run(args: &ArticleArgs, started: Instant) -> Result<(), Failure> {
    let signals = Signals::watch()
        .map_err(|e| Failure::Message(FAILED, format!("cannot watch for signals: {e}")))?;
    if let Some(dir) = &args.out {
        // Better now than after all the runs.
        report::check_writable(dir)?;
    }
    let data = Dataset::open("mnist").map_err(Error::from)?;
    let threads = args.threads.map_or_else(cores, usize::from);
    let plan = Plan::new(args.seeds).with_steps(args.steps);
    say(format_args!(
        "{} runs of {} networks and settings, {threads} at a time",
        report::grouped(&plan.runs().to_string()),
        plan.studies.len()
    ));
    let progress = Progress::new(plan.work(), &signals);
    let results = plan.run(&data, threads, &progress)?;
    progress.bar.finish_and_clear();

    if results.stopped {
        let count = |n: usize| report::grouped(&n.to_string());
        let (done, all) = (count(results.outcomes.len()), count(plan.runs()));
        say(format_args!("stopped: {done} of {all} runs are done"));
    }
    let mut out = std::io::stdout().lock();
    write!(out, "{}", results.text())?;
    let seconds = started.elapsed().as_secs_f64();
    writeln!(out, "\n{} runs in {seconds:.1} s", results.outcomes.len())?;
    out.flush()?;
    match &args.out {
        Some(dir) => {
            report::write(dir, &results.document()?)?;
            writeln!(out, "report: {}", dir.join("report.html").display())?;
        }
        None => say(format_args!(
            "--out DIR writes the report with figures and curves"
        )),
    }
    match (results.stopped, signals.status()) {
        (true, Some(status)) => Err(Failure::Signal(status)),
        _ => Ok(()),
    }
}

/// A bar on a terminal, a line for every tenth of the work elsewhere.
struct Progress<'a> {
    signals: &'a Signals,
    bar: ProgressBar,
    /// Tenths told, where there is no terminal.
    tenths: Option<AtomicU64>,
}

impl<'a> Progress<'a> {
    fn new(work: u64, signals: &'a Signals) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = match terminal {
            true => ProgressDrawTarget::stderr_with_hz(5),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(work), target);
        // The template is a constant: if it were wrong, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        Self {
            signals,
            bar,
            tenths: (!terminal).then(|| AtomicU64::new(0)),
        }
    }
}

impl Monitor for Progress<'_> {
    fn advance(&self, work: u64) {
        self.bar.inc(work);
        if let Some(told) = &self.tenths {
            let all = self.bar.length().unwrap_or(0).max(1);
            let tenths = self.bar.position() * 10 / all;
            if told.fetch_max(tenths, Ordering::Relaxed) < tenths {
                say(format_args!("{} %", 10 * tenths));
            }
        }
    }

    fn stopped(&self) -> bool {
        self.signals.status().is_some()
    }
}

//! `fanin bench`.

use super::norm::NormArgs;
use super::output::say;
use super::signals::Signals;
use super::{FAILED, Failure};
use crate::bench::{self, GemmCase, Monitor, Plan, Report, StepCase, SweepCase, Timed};
use crate::{Activation, Error, Isa};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  fanin bench                     all of it, to paste into a bug report
  fanin bench --json
  fanin bench peak                FMA peaks, bandwidths of caches and memory
  fanin bench gemm --long
  fanin bench step --table
  fanin bench step --layers 784,90,10 --activation relu --batch 32
  fanin bench step --phases
  fanin bench step --max-multiple 0.85
  fanin bench sweep

The text is Markdown, its tables are aligned.";

const METHOD: &str = "\
Every line is measured in rounds of equal work. What counts is the fastest round, since
other programs can only make rounds slower; the spread (interquartile range as a share of
the median) tells how quiet the machine was. Products and steps are compared with the
FMA peak of one core: rounds of nothing but FMAs (on the best instruction set of the CPU)
alternate with those of the work, peak, step, peak, step …, and the fastest of each
count. So changing clocks and busy neighbours slow both alike.

Ends with 130 or 143 after SIGINT or SIGTERM, with the lines that were done.";

const STEP_METHOD: &str = "\
The multiple of the dense limit is the time of a step over the time that its multiply-adds
would take at the FMA peak of one core if every input were multiplied; below 1 is faster
than dense arithmetic can be on one core. Time and peak are the fastest rounds of each,
which alternate: peak, step, peak, step … A round has 1,000 samples or more.

The learning rate is 3 with sigmoid, 0.001 with other activations. A run that diverges all
the same is marked.

Ends with 1 if --max-multiple does not hold.";

const SWEEP_METHOD: &str = "\
A sweep is run as by `fanin sweep run`, into a new folder among temporary files that is
deleted afterwards: the article's network with 500 steps, and 784-10 with 100, an evaluation
before and after, on one core and on all. `ms training` is a core's time for the steps and
evaluations of a run, `ms beside` all else: the start of the sweep, building networks, hashes,
records on the disk, the wait of some cores for the last run. `of ideal` is runs a second over cores × runs a second on one.";

/// Tries to get below `--max-multiple`: a busy machine may spoil one.
const TRIES: usize = 5;

/// How long nothing is said of progress.
const SILENCE: Duration = Duration::from_secs(2);

/// Measure this machine, and fanin on it; everything without a subcommand
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES, after_long_help = format!("{METHOD}\n\n{EXAMPLES}"))]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: Option<BenchCommand>,

    /// How long to measure each line, at least three rounds [default: peak 0.2, gemm 0.1,
    /// step 1, its table 0.3, sweep 1]
    #[arg(long, global = true, value_name = "X", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Option<f64>,

    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// FMA peaks; bandwidths of caches and memory
    Peak,
    /// Matrix products: those of the article's network, squares, odd sizes; large ones also
    /// on two threads
    Gemm(GemmArgs),
    /// Training steps and evaluations, as multiples of the dense limit
    Step(StepArgs),
    /// Sweeps of short runs: runs a second, and what a run costs beside its training
    #[command(after_help = SWEEP_METHOD)]
    Sweep,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
struct GemmArgs {
    /// Squares up to 2,048
    #[arg(long)]
    long: bool,
}

#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = STEP_METHOD)]
struct StepArgs {
    /// Units of the input, of each hidden layer, and of the output
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        default_value = "784,390,156,62,25,10"
    )]
    layers: Vec<usize>,

    /// Samples in a step
    #[arg(long, value_name = "N", default_value_t = 10)]
    batch: usize,

    /// Activation of all layers: identity, sigmoid, tanh, relu, leaky_relu[:SLOPE],
    /// elu[:ALPHA], selu, gelu, softplus, swish
    #[arg(long, value_name = "NAME[:ARG]", default_value = "sigmoid")]
    activation: Activation,

    #[command(flatten)]
    norm: NormArgs,

    /// mnist, fashion-mnist, or a folder with four MNIST-shaped IDX files
    #[arg(long, value_name = "NAME|DIR", default_value = "mnist")]
    data: String,

    /// Steps of five networks, with batches of 1, 10, 32, 100, 256 and 1,000, with sigmoid,
    /// relu, tanh and batch normalization
    #[arg(long, conflicts_with_all = ["layers", "batch", "activation", "batch_norm"])]
    table: bool,

    /// Each phase of a step on one thread as well, beside the time that its multiply-adds
    /// and the bytes of its weights would take
    #[arg(long, conflicts_with = "table")]
    phases: bool,

    /// Only steps on one thread; end with 1 unless they take at most X times the dense
    /// limit, in one of five tries
    #[arg(long, value_name = "X", value_parser = multiple, allow_negative_numbers = true, conflicts_with_all = ["table", "phases"])]
    max_multiple: Option<f64>,
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..=3600.0).contains(&x), "from 0 to 3600")
}

fn multiple(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x.is_finite(), "> 0")
}

fn number(text: &str, fits: impl Fn(f64) -> bool, range: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&x| fits(x));
    number.ok_or_else(|| format!("expected a number {range}"))
}

impl StepArgs {
    fn cases(&self) -> Result<Vec<StepCase>, Error> {
        if self.table {
            return Ok(StepCase::table());
        }
        let (layers, norm) = (self.layers.clone(), self.norm.batch_norm());
        let config = bench::config(layers, self.batch, self.activation, norm);
        config.check()?;
        Ok(match self.max_multiple {
            Some(_) => vec![StepCase {
                timed: Timed::Step,
                config,
            }],
            None => StepCase::steps_and_evaluations(&config),
        })
    }
}

impl BenchArgs {
    fn plan(&self, isa: Isa) -> Result<Plan, Error> {
        let mut plan = Plan {
            seconds: self.seconds,
            ..Plan::new(isa)
        };
        match &self.what {
            None => {
                plan.peak = true;
                plan.gemm = GemmCase::all(false);
                plan.steps = StepCase::steps_and_evaluations(&crate::TrainConfig::default());
                plan.sweeps = SweepCase::all();
            }
            Some(BenchCommand::Sweep) => plan.sweeps = SweepCase::all(),
            Some(BenchCommand::Peak) => plan.peak = true,
            Some(BenchCommand::Gemm(args)) => plan.gemm = GemmCase::all(args.long),
            Some(BenchCommand::Step(args)) => {
                plan.steps = args.cases()?;
                plan.phases = match args.phases {
                    true => plan.steps.first().map(|case| case.config.clone()),
                    false => None,
                };
                plan.data.clone_from(&args.data);
            }
        }
        Ok(plan)
    }
}

pub(super) fn run(args: &BenchArgs, started: Instant) -> Result<(), Failure> {
    let isa = Isa::from_env().map_err(Error::from)?;
    let plan = args.plan(isa)?;
    let signals = Signals::watch()
        .map_err(|e| Failure::Message(FAILED, format!("cannot watch for signals: {e}")))?;
    let limit = match &args.what {
        Some(BenchCommand::Step(args)) => args.max_multiple,
        _ => None,
    };
    let tries = if limit.is_some() { TRIES } else { 1 };
    let progress = Progress::new(tries * plan.lines(), started, &signals);
    let mut report = plan.run(&progress)?;
    for _ in 1..tries {
        let holds = limit.is_none_or(|limit| multiple_of(&report) <= limit);
        // A run that diverges does so every time.
        if holds || diverged(&report) || signals.status().is_some() {
            break;
        }
        let next = plan.run(&progress)?;
        if multiple_of(&next) < multiple_of(&report) {
            report = next;
        }
    }
    progress.bar.finish_and_clear();

    let mut out = std::io::stdout().lock();
    match args.json {
        true => {
            // Numbers and strings only: there is nothing that serializing could refuse.
            let json = serde_json::to_string_pretty(&report).unwrap_or_default();
            writeln!(out, "{json}")?;
        }
        false => write!(out, "{}", report.text())?,
    }
    out.flush()?;
    if let Some(status) = signals.status() {
        return Err(Failure::Signal(status));
    }
    let Some(limit) = limit else {
        return Ok(());
    };
    let multiple = multiple_of(&report);
    if diverged(&report) {
        let message = "the run diverged: its times are no measure";
        return Err(Failure::Message(FAILED, message.into()));
    }
    match multiple <= limit {
        true => Ok(()),
        false => Err(Failure::Message(
            FAILED,
            format!(
                "a step takes {multiple:.3} times the dense limit, more than {limit}, at best \
                 in {TRIES} tries"
            ),
        )),
    }
}

fn diverged(report: &Report) -> bool {
    let mut lines = report.step.iter().flatten();
    lines.any(|line| line.status != "ok")
}

/// The largest multiple of the dense limit of a report; infinite without any.
fn multiple_of(report: &Report) -> f64 {
    let multiples = report
        .step
        .iter()
        .flatten()
        .map(|line| match line.multiple {
            Some(multiple) if line.status == "ok" => multiple,
            _ => f64::INFINITY,
        });
    multiples.reduce(f64::max).unwrap_or(f64::INFINITY)
}

/// Silent at first; then a bar on a terminal, a line for every tenth elsewhere.
struct Progress<'a> {
    signals: &'a Signals,
    bar: ProgressBar,
    started: Instant,
    terminal: bool,
    shown: Cell<bool>,
    /// Tenths told, where there is no terminal.
    tenths: Cell<u64>,
}

impl<'a> Progress<'a> {
    fn new(lines: usize, started: Instant, signals: &'a Signals) -> Self {
        let bar = ProgressBar::with_draw_target(Some(lines as u64), ProgressDrawTarget::hidden());
        // The template is a constant: if it were wrong, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} lines") {
            bar.set_style(style);
        }
        Self {
            signals,
            bar,
            started,
            terminal: std::io::stderr().is_terminal(),
            shown: Cell::new(false),
            tenths: Cell::new(0),
        }
    }
}

impl Monitor for Progress<'_> {
    fn line(&self) {
        self.bar.inc(1);
        if self.started.elapsed() < SILENCE {
            return;
        }
        if self.terminal && !self.shown.replace(true) {
            self.bar
                .set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            self.bar.tick();
        }
        let tenths = self.bar.position() * 10 / self.bar.length().unwrap_or(0).max(1);
        if !self.terminal && self.tenths.replace(tenths) < tenths && tenths < 10 {
            say(format_args!("{} %", 10 * tenths));
        }
    }

    fn stopped(&self) -> bool {
        self.signals.status().is_some()
    }
}

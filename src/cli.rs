//! The command line: arguments, and one thin function for each subcommand.
//!
//! Results go to stdout, progress and logs to stderr. Exit status: 0 done (a run that
//! diverged is done), 1 failed, 2 usage, 130 or 143 after SIGINT or SIGTERM.

mod article;
mod bench;
mod data;
mod norm;
mod output;
mod probe;
mod signals;
mod sweep;
mod train;

use crate::Error;
use clap::{Parser, Subcommand};
use fanin_kernels::team::MAX_THREADS;
use std::process::ExitCode;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  fanin                                     the article's table and claims, over 8 seeds
  fanin article --seeds 100 --out report    with figures and curves, as HTML
  fanin train                               the article's network on MNIST
  fanin train --seed 7 --threads 2
  fanin train --init he_normal --bias-init zeros --activation relu \\
              --output-activation identity --loss cross_entropy --lr 0.1
  fanin train --layers 784,90,10 --steps 5000 --save net.safetensors --json
  fanin probe --init normal:0.01
  fanin bench
  fanin data check

Environment:
  FANIN_DATA   folder with the data sets (or with one of them)
  FANIN_ISA    avx512, avx2, neon or portable instead of the CPU's best";

/// Trains small multi-layer perceptrons on the CPU: fast, and the same bits every time.
#[derive(Debug, Parser)]
#[command(name = "fanin", version, after_help = EXAMPLES, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reproduce the article over several seeds (what `fanin` alone does)
    Article(article::ArticleArgs),
    /// Train a network; every default is the article's
    Train(Box<train::TrainArgs>),
    /// Show how activations and gradients spread through an untrained network
    Probe(Box<probe::ProbeArgs>),
    /// Run many configurations, and put their results together
    #[command(subcommand)]
    Sweep(sweep::SweepCommand),
    /// Measure this machine and fanin on it, for bug reports and for fanin itself
    Bench(Box<bench::BenchArgs>),
    /// Look at data sets
    #[command(subcommand)]
    Data(data::DataCommand),
}

/// Why a command did not succeed.
enum Failure {
    /// Told on stderr, with this exit status.
    Message(u8, String),
    /// Ended by a signal; all there is to say has been said.
    Signal(u8),
    /// Whoever read our output has gone.
    BrokenPipe,
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::Config(_) | Error::Selection(_) => USAGE,
            _ => FAILED,
        };
        Self::Message(status, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Message(FAILED, format!("cannot write the output: {error}")),
        }
    }
}

/// One thread for each core.
fn cores() -> usize {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |n| n.get().min(MAX_THREADS))
}

/// Runs the command that the process's arguments ask for.
pub fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Also --help and --version. A closed stdout or stderr is not our concern.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let result = match cli.command {
        None => article::run(&article::ArticleArgs::default(), started),
        Some(Command::Article(args)) => article::run(&args, started),
        Some(Command::Train(args)) => train::run(&args, started),
        Some(Command::Probe(args)) => probe::run(&args),
        Some(Command::Sweep(command)) => sweep::run(&command),
        Some(Command::Bench(args)) => bench::run(&args, started),
        Some(Command::Data(command)) => data::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Message(status, message)) => {
            output::say(format_args!("fanin: {message}"));
            ExitCode::from(status)
        }
        Err(Failure::Signal(status)) => ExitCode::from(status),
        Err(Failure::BrokenPipe) => ExitCode::from(FAILED),
    }
}

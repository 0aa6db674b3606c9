//! `fanin sweep run`.

use super::plan;
use super::progress::{EstimateBar, Progress};
use super::shard::{self, ShardArg};
use crate::cli::output::say;
use crate::cli::signals::Signals;
use crate::cli::{FAILED, Failure, USAGE, cores};
use crate::data::Dataset;
use crate::report::grouped;
use crate::sweep::store::{Index, Store, StoreError, Writer};
use crate::sweep::{
    DataFacts, Finished, Manifest, Options, Plan, Shard, Spec, SweepData, Todo, estimate,
};
use crate::{Error, Isa};
use clap::Args;
use fanin_kernels::team::MAX_THREADS;
use indicatif::ProgressBar;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  fanin sweep run examples/depths.toml --dry-run
  fanin sweep run examples/depths.toml --out depths       again: goes on where it stopped
  fanin sweep run examples/depths.toml --out shard-2 --shard 2/8
  sbatch --array=1-8 --wrap 'fanin sweep run depths.toml --out depths'

Runs that the folder has are not run again, whatever has become of the spec since: what
counts is the configuration of a run and its data. Ends with 1 if runs failed, with 130 or
143 after SIGINT or SIGTERM; what was done by then is kept.";

#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(in crate::cli) struct RunArgs {
    /// What to run, in TOML (examples/depths.toml has all the keys)
    #[arg(value_name = "SPEC.toml")]
    spec: PathBuf,

    /// Folder for the results; may have some already, also of other sweeps
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,

    /// Runs at a time; the results do not depend on it [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64))]
    threads: Option<u16>,

    /// Do part I of N, I from 1 to N [default: the one that SLURM_ARRAY_TASK_ID, HQ_TASK_ID
    /// or JOB_COMPLETION_INDEX names; else everything]
    #[arg(long, value_name = "I/N")]
    shard: Option<ShardArg>,

    /// Of how many parts the scheduler's variable names one, where it does not tell (Slurm does)
    #[arg(long, value_name = "N", conflicts_with = "shard", value_parser = clap::value_parser!(u32).range(1..=i64::from(Shard::MAX_COUNT)))]
    shards: Option<u32>,

    /// Only tell what there is to do, how long it will take and in how much memory
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let usage = |message: String| Failure::Message(USAGE, message);
    let spec = Spec::read(&args.spec).map_err(|e| usage(e.to_string()))?;
    let variable = |name: &str| std::env::var_os(name);
    let chosen = shard::choose(args.shard, args.shards, &variable).map_err(usage)?;
    let isa = Isa::from_env().map_err(Error::from)?;
    let signals = Signals::watch()
        .map_err(|e| Failure::Message(FAILED, format!("cannot watch for signals: {e}")))?;
    let spinner = ProgressBar::hidden();
    let early = {
        let spinner = spinner.clone();
        let tell = move || {
            spinner.finish_and_clear();
            say("stopped: no run was begun");
        };
        let early = signals.end_at_once(tell);
        early.map_err(|e| Failure::Message(FAILED, format!("cannot watch for signals: {e}")))?
    };
    let dataset = Dataset::open(spec.data()).map_err(Error::from)?;
    let facts = DataFacts::of(&dataset);
    let plan =
        Plan::new(&spec, &facts).map_err(|e| usage(format!("{}: {e}", args.spec.display())))?;
    let data = SweepData::new(&dataset, spec.data(), spec.hold_out())?;
    drop(dataset);
    // Where the data or the spec are wrong nothing is left behind.
    let opened = match &args.out {
        Some(out) if !args.dry_run => {
            let manifest = Manifest::new(spec.text(), facts).map_err(|e| usage(e.to_string()))?;
            Some(open(out, &manifest)?)
        }
        _ => None,
    };

    plan::spin(&spinner, &plan);
    let index = match (&opened, &args.out) {
        (Some((store, _)), _) => store.index().map_err(Error::from)?,
        (None, Some(out)) if out.exists() => {
            let store = Store::open(out).map_err(Error::from)?;
            store.index().map_err(Error::from)?
        }
        _ => Index::default(),
    };
    let todo = Todo::new(&plan, chosen.shard, &index, spec.stop_when())?;
    spinner.finish_and_clear();
    plan::tell_damage(&index);
    let threads = args.threads.map_or_else(cores, usize::from);
    let header = plan::header(&spec, &plan, &chosen, &todo);
    let Some((store, writer)) = opened else {
        let mut out = std::io::stdout();
        out.write_all(header.as_bytes())?;
        out.flush()?;
        let mut bar = EstimateBar::new(&spinner);
        let estimate = estimate(&plan, &todo, &data, isa, &mut |at| bar.show(at))?;
        spinner.finish_and_clear();
        let expected = plan::expected(&plan, &estimate, threads);
        out.write_all(expected.as_bytes())?;
        return Ok(out.flush()?);
    };
    say(header.trim_end());
    if todo.is_empty() {
        writeln!(std::io::stdout(), "nothing to do")?;
        return Ok(writer.close().map_err(Error::from)?);
    }
    drop(index);
    if writer.busy() > 0 && chosen.shard == Shard::WHOLE {
        say(
            "note: another process is writing to this folder. Runs that neither has finished \
             may be run by both, which costs time and does no other harm; --shard I/N shares \
             them out",
        );
    }
    drop(early);

    let started = Instant::now();
    let progress = Progress::new(&todo, &signals);
    let options = Options {
        threads,
        isa,
        rules: spec.stop_when(),
    };
    let result = todo.run(&plan, &data, options, &writer, &progress);
    progress.finish();
    // What can be kept is kept, whatever else went wrong.
    let synced = writer.synced();
    let closed = writer.close();
    let finished = match (result, closed) {
        (Ok(finished), Ok(())) => finished,
        (Err(Error::Store(error)), _) | (Ok(_), Err(error)) => {
            return Err(not_kept(&error, synced));
        }
        (Err(error), _) => return Err(error.into()),
    };
    let mut out = std::io::stdout().lock();
    let seconds = started.elapsed().as_secs_f64();
    out.write_all(summary(&finished, seconds, &todo).as_bytes())?;
    if !finished.stopped {
        writeln!(out, "next: fanin sweep report {}", store.folder().display())?;
    }
    out.flush()?;
    if finished.failed > 0 {
        let failed = plan::runs(finished.failed as u64);
        let them = if finished.failed == 1 { "it" } else { "them" };
        let message = format!("{failed} failed; the same command tries {them} again");
        if !finished.stopped {
            return Err(Failure::Message(FAILED, message));
        }
    }
    match signals.status() {
        Some(status) if finished.stopped => {
            say("stopped: the same command goes on where this stopped");
            Err(Failure::Signal(status))
        }
        _ => Ok(()),
    }
}

/// What is to be done where records cannot be kept; `synced` of this process are.
fn not_kept(error: &StoreError, synced: u64) -> Failure {
    let mut message = error.to_string();
    if let StoreError::Failed { .. } = error {
        let were = if synced == 1 { "was" } else { "were" };
        message += &format!(
            "\nat least {} {were} kept before that; once there is room, or whatever else is wrong is \
             mended, the same command does the others",
            plan::runs(synced)
        );
    }
    Failure::Message(FAILED, message)
}

/// The store and its writer; tells what had to be cut off. The manifest is for `sweep status`
/// and `sweep report`, which have no data.
fn open(out: &Path, manifest: &Manifest) -> Result<(Store, Writer), Failure> {
    let store = Store::create(out).map_err(Error::from)?;
    manifest.write(store.folder()).map_err(Error::from)?;
    let writer = store.writer().map_err(Error::from)?;
    if let Some(torn) = writer.cut() {
        say(format_args!(
            "note: cut off what was half written when the last process ended: {torn}"
        ));
    }
    Ok((store, writer))
}

/// `12 runs in 3.4 s: 10 ok, 2 diverged; 12 of 40 are done`
fn summary(finished: &Finished, seconds: f64, todo: &Todo) -> String {
    let Finished {
        runs,
        diverged,
        pruned,
        failed,
        ..
    } = *finished;
    let count = |n: usize| grouped(&n.to_string());
    let (done, all) = (todo.done() + runs - failed, todo.done() + todo.len());
    let done = format!("{} of {} are done", count(done), count(all));
    if runs == 0 {
        return format!(
            "no run was finished in {}; {done}\n",
            plan::duration(seconds)
        );
    }
    let mut parts = vec![format!("{} ok", count(runs - diverged - pruned - failed))];
    for (n, what) in [
        (diverged, "diverged"),
        (pruned, "pruned"),
        (failed, "failed"),
    ] {
        if n > 0 {
            parts.push(format!("{} {what}", count(n)));
        }
    }
    format!(
        "{} in {}: {}; {done}\n",
        plan::runs(runs as u64),
        plan::duration(seconds),
        parts.join(", ")
    )
}

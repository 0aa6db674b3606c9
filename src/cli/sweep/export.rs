//! `fanin sweep export`.

use crate::Error;
use crate::cli::output::say;
use crate::cli::{FAILED, Failure, USAGE};
use crate::files;
use crate::report::grouped;
use crate::sweep::Selection;
use crate::sweep::export::{Export, ExportError, Format, Table, check_format};
use crate::sweep::store::{Index, Store};
use clap::Args;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  fanin sweep export depths > depths.csv
  fanin sweep export depths --out depths.parquet
  fanin sweep export depths --format jsonl --where status=ok --where lr=0.1,1
  fanin sweep export depths --evals --where init=he_normal --where seed=1..=8

Columns: run, status, each key of a spec (layers, depth, …, seed), data, hold_out,
steps_done, final_accuracy, steps_to_80, best_accuracy, training_loss, train_seconds,
eval_seconds, total_seconds, us_per_step, weights_sha256, pruned_by, error, isa,
threads, host, version, time. Accuracies are shares, 0 to 1. What a run has not is
empty (null), never 0. Rows are in the order of run ids.

Parquet has types. Readers of CSV and JSON guess them, most of them well; DuckDB takes
layers that are all as 784-10-10 for dates, and pandas.read_json wants
precise_float=True.";

/// Write a table with a row for each run
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(in crate::cli) struct ExportArgs {
    /// Folder of a sweep
    dir: PathBuf,

    /// csv, jsonl or parquet [default: by the ending of --out, else csv]
    #[arg(long, value_name = "NAME")]
    format: Option<Format>,

    /// Write to this file, whole or not at all, or into this pipe, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Only runs with one of these values; several --where must all hold, unless they
    /// are of the same key. Keys: those of specs, and status, host, data, hold_out, run (first
    /// digits of an id). Integers may be ranges, 1..=8
    #[arg(long = "where", value_name = "KEY=VALUE[,VALUE…]")]
    conditions: Vec<String>,

    /// A row for each evaluation instead, with step, correct, total and accuracy
    #[arg(long)]
    evals: bool,
}

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let format = match (args.format, &args.out) {
        (Some(format), _) => format,
        (None, Some(file)) => by_ending(file),
        (None, None) => Format::Csv,
    };
    if format == Format::Parquet && args.out.is_none() {
        let message = "--format parquet needs a file: --out FILE".into();
        return Err(Failure::Message(USAGE, message));
    }
    check_format(format).map_err(Error::from)?;
    let export = Export {
        table: match args.evals {
            true => Table::Evaluations,
            false => Table::Runs,
        },
        format,
        selection: Selection::parse(&args.conditions).map_err(Error::from)?,
    };
    let index = open(&args.dir)?;
    let rows = match &args.out {
        None => export
            .write(&index, &mut std::io::stdout())
            .map_err(|error| failure(error, None))?,
        Some(file) => {
            let rows = export.write_file(&index, file);
            let rows = rows.map_err(|error| failure(error, Some(file)))?;
            let told = format!("{}: {}", file.display(), counted(rows));
            match files::is_stream(file) {
                // It may be what the table went to.
                true => say(told),
                false => writeln!(std::io::stdout(), "{told}")?,
            }
            rows
        }
    };
    if rows == 0 && !index.is_empty() {
        say(format_args!(
            "note: none of {} in {} {}",
            super::plan::runs(index.len() as u64),
            args.dir.display(),
            match args.evals {
                true => "matches and has an evaluation",
                false => "matches",
            }
        ));
    }
    Ok(())
}

/// The runs of a folder. Damage is told on stderr, conflicts are refused.
fn open(dir: &Path) -> Result<Index, Failure> {
    let index = Store::open(dir).and_then(|store| store.index());
    let index = index.map_err(Error::from)?;
    for damage in index.damage() {
        say(format_args!("left out: {damage}"));
    }
    index.check().map_err(Error::from)?;
    if index.segments().is_empty() {
        say(format_args!("note: {} has no records yet", dir.display()));
    }
    Ok(index)
}

fn counted(rows: u64) -> String {
    let what = if rows == 1 { "row" } else { "rows" };
    format!("{} {what}", grouped(&rows.to_string()))
}

fn by_ending(file: &Path) -> Format {
    let ending = file.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("parquet") => Format::Parquet,
        Some("jsonl" | "ndjson") => Format::Jsonl,
        _ => Format::Csv,
    }
}

fn failure(error: ExportError, file: Option<&Path>) -> Failure {
    match (error, file) {
        // Stdout, or a pipe that is named.
        (ExportError::Write(error), _) if error.kind() == ErrorKind::BrokenPipe => {
            Failure::BrokenPipe
        }
        (ExportError::Write(error), Some(file)) => {
            Failure::Message(FAILED, format!("cannot write {}: {error}", file.display()))
        }
        (error, _) => Error::from(error).into(),
    }
}

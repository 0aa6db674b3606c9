//! `fanin sweep report`.

use crate::Error;
use crate::cli::output::say;
use crate::cli::{FAILED, Failure};
use crate::report::{self, grouped};
use crate::sweep::store::Store;
use crate::sweep::{GroupOptions, Groups, Key, Manifest, Reach, Report, Selection, Sort};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  fanin sweep report depths
  fanin sweep report depths --out depths/report       with figures, as HTML
  fanin sweep report depths --by init --where batch_norm=off --where depth=6,8
  fanin sweep report depths --sort mean
  fanin sweep report depths --reach 15                which runs get beyond guessing
  fanin sweep report depths --format csv > groups.csv

Runs that diverged or were pruned are results: their final accuracy is the last one
measured. Those that failed have none: they are counted, and left out of the statistics.
A run reaches an accuracy at the first of its evaluations, of which one is before the first
step, with at least that, compared without rounding. In csv and json it is part of names, with
_ for its point: share_80, share_97_5.
Where 80 columns are not enough the table leaves out the time, then the standard deviation;
then the first keys become headings (not with --sort mean); last it leaves out how the runs
ended.";

/// Statistics over the runs of a folder, sweep after sweep and while one is running.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = EXAMPLES)]
pub(in crate::cli) struct ReportArgs {
    /// Folder with the records
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Keys whose values make a group: those of specs, data, hold_out [default: all that
    /// vary but seed, without those that follow from another]
    #[arg(long, value_name = "KEY,KEY…", value_delimiter = ',')]
    by: Option<Vec<Key>>,

    /// Only runs whose KEY has one of these values; may be given again
    #[arg(long = "where", value_name = "KEY=VALUE[,VALUE…]", action = clap::ArgAction::Append)]
    conditions: Vec<String>,

    /// Test accuracy of which it says how many runs reach it, and when: above 0, at most 100,
    /// with up to 6 decimals
    #[arg(long, value_name = "PERCENT", default_value_t = Reach::default(), allow_negative_numbers = true)]
    reach: Reach,

    /// Write the report into this folder: report.html (one file, all in it), report.md,
    /// tables as CSV, figures as SVG
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// What to print; csv and json have all columns and digits
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Order of the table: groups (by the values of their keys) or mean (best first)
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Order::Groups)]
    sort: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Csv,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Groups,
    Mean,
}

pub(super) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let selection = Selection::parse(&args.conditions).map_err(Error::from)?;
    let index = Store::open(&args.dir).and_then(|store| store.index());
    let index = index.map_err(Error::from)?;
    if index.is_empty() {
        let message = format!("{}: no records of runs", args.dir.display());
        return Err(Failure::Message(FAILED, message));
    }
    if let Some(out) = &args.out {
        // Better now than after all has been read.
        report::check_writable(out)?;
    }
    // A report does without it: it has the order of texts, and the name.
    let (manifest, problem) = match Manifest::read(&args.dir) {
        Ok(manifest) => (manifest, None),
        Err(error) => (None, Some(error)),
    };
    let options = GroupOptions {
        by: args.by.clone(),
        selection,
        spec: manifest.as_ref().and_then(|manifest| manifest.spec().ok()),
        reach: args.reach,
    };
    let groups = Groups::read(&index, &options).map_err(Error::from)?;
    if groups.is_empty() {
        return Err(Failure::Message(FAILED, nothing(args, &groups)));
    }
    let name = manifest.map_or_else(|| name(&args.dir), |manifest| manifest.name);
    let mut report = Report::new(&name, groups, &index);
    report.notes.extend(problem.map(|error| error.to_string()));
    report.sort = match args.sort {
        Order::Groups => Sort::Groups,
        Order::Mean => Sort::Mean,
    };
    for note in &report.notes {
        say(format_args!("note: {note}"));
    }
    let text = match args.format {
        Format::Text => report.text(),
        Format::Markdown => report.markdown(),
        Format::Csv => report.csv(),
        Format::Json => report.json(),
    };
    // First: whoever reads the table may have enough of it early.
    if let Some(dir) = &args.out {
        report.write(dir)?;
        // Not among what a program reads.
        say(format_args!(
            "report: {}",
            dir.join("report.html").display()
        ));
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Why there is nothing to report.
fn nothing(args: &ReportArgs, groups: &Groups) -> String {
    let (dir, runs) = (args.dir.display(), grouped(&groups.runs.to_string()));
    match &groups.unreadable {
        Some((n, first)) if *n == groups.runs => {
            format!("{dir}: none of the {runs} records is that of a training run; {first}")
        }
        _ => {
            let conditions = args.conditions.join(" --where ");
            let none = match groups.runs {
                1 => "the only run does not match".to_string(),
                _ => format!("none of the {runs} runs matches"),
            };
            format!("{dir}: {none} --where {conditions}")
        }
    }
}

/// The name of the folder.
fn name(dir: &Path) -> String {
    let whole = dir.canonicalize();
    let whole = whole.as_deref().unwrap_or(dir);
    match whole.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => whole.display().to_string(),
    }
}

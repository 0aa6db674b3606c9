//! `fanin sweep`.

mod export;
mod merge;
mod plan;
mod progress;
mod report;
mod run;
mod shard;
mod status;

use super::Failure;
use clap::Subcommand;

const EXAMPLES: &str = "\
Examples:
  fanin sweep run examples/depths.toml --out depths --dry-run
  fanin sweep run examples/depths.toml --out depths
  fanin sweep status depths
  fanin sweep report depths --by init,depth,batch_norm --out depths/report
  fanin sweep export depths --format csv --out depths.csv
  fanin sweep merge shard-1 shard-2 shard-3 --out all";

/// Run many configurations, and put their results together
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum SweepCommand {
    /// Run what a spec asks for and the folder does not have yet
    Run(run::RunArgs),
    /// Show how far a sweep is, also while it runs
    Status(status::StatusArgs),
    /// Statistics over seeds, for each group of runs
    Report(report::ReportArgs),
    /// Join the folders of shards
    Merge(merge::MergeArgs),
    /// Write a table with a row for each run
    Export(export::ExportArgs),
}

pub(super) fn run(command: &SweepCommand) -> Result<(), Failure> {
    match command {
        SweepCommand::Run(args) => run::run(args),
        SweepCommand::Status(args) => status::run(args),
        SweepCommand::Report(args) => report::run(args),
        SweepCommand::Merge(args) => merge::run(args),
        SweepCommand::Export(args) => export::run(args),
    }
}

//! `fanin sweep report`.

use crate::cli::Failure;
use clap::Args;

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(in crate::cli) struct ReportArgs {}

pub(super) fn run(_args: &ReportArgs) -> Result<(), Failure> {
    Ok(())
}

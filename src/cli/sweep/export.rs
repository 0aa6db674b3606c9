//! `fanin sweep export`.

use crate::cli::Failure;
use clap::Args;

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(in crate::cli) struct ExportArgs {}

pub(super) fn run(_args: &ExportArgs) -> Result<(), Failure> {
    Ok(())
}

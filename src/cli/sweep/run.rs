//! `fanin sweep run`.

use crate::cli::Failure;
use clap::Args;

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(super) struct RunArgs {}

pub(super) fn run(_args: &RunArgs) -> Result<(), Failure> {
    Ok(())
}

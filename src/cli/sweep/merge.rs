//! `fanin sweep merge`.

use crate::cli::Failure;
use clap::Args;

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(in crate::cli) struct MergeArgs {}

pub(super) fn run(_args: &MergeArgs) -> Result<(), Failure> {
    Ok(())
}

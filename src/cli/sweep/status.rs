//! `fanin sweep status`.

use crate::cli::Failure;
use clap::Args;

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(in crate::cli) struct StatusArgs {}

pub(super) fn run(_args: &StatusArgs) -> Result<(), Failure> {
    Ok(())
}

//! `fanin data`.

use super::{FAILED, Failure};
use crate::data;
use clap::Subcommand;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Check the four IDX files of a data set: shapes, checksums, labels
    Check {
        /// A folder with MNIST-shaped IDX files, or `mnist` or `fashion-mnist`
        #[arg(default_value = "mnist")]
        dir: PathBuf,
    },
}

pub(super) fn run(command: &DataCommand) -> Result<(), Failure> {
    let DataCommand::Check { dir } = command;
    let report = match dir.to_str() {
        Some(spec) => data::check_spec(spec).map_err(crate::Error::from)?,
        None => data::check(dir),
    };
    writeln!(std::io::stdout(), "{report}")?;
    match report.is_ok() {
        true => Ok(()),
        false => Err(Failure::Message(FAILED, "the data set has errors".into())),
    }
}

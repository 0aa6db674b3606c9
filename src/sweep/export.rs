//! Tables of runs, for other programs: CSV, JSON Lines, Parquet.
//!
//! # Rows
//!
//! [`Table::Runs`] has one row for each run, [`Table::Evaluations`] one for each evaluation
//! of a run on the test set, by step. Runs are in the order of their ids, so that the same
//! runs give the same bytes, whatever segments they are in and in whatever order they ended.
//!
//! # Columns
//!
//! Both tables begin with `run`, `status`, then the configuration: `layers` (as `784-90-10`),
//! `depth`, `width`, `init`, `bias_init`, `activation`, `output_activation`, `batch_norm`
//! (`off` or where), `bn_layers`, `bn_epsilon`, `bn_momentum`, `bn_eval`, `freeze` (`none` or
//! which), `loss`, `lr`, `momentum`, `batch`, `steps`, `eval_every`, `seed`, and `data`,
//! `hold_out`.
//!
//! Those of runs go on with `steps_done`, `final_accuracy`, `steps_to_80`, `best_accuracy`,
//! `training_loss`, `train_seconds`, `eval_seconds`, `total_seconds`, `us_per_step`,
//! `weights_sha256`, `pruned_by`, `error`, `isa`, `threads`, `host`, `version`, `time`; those
//! of evaluations with `step`, `correct`, `total`, `accuracy`.
//!
//! # Values
//!
//! What a run has not is an empty field in CSV and null elsewhere: never 0. Whole numbers
//! have no point, others always have one or an exponent, and all their digits: the shortest
//! that read back as the same `f64`. Of an `f32` of the configuration it is the decimal that
//! one writes: a learning rate of 0.1 is 0.1, not 0.10000000149. Accuracies are shares, 0 to
//! 1. `time` is in RFC 3339, UTC.
//!
//! In Parquet `batch`, `steps`, `eval_every` and `seed` are unsigned 64-bit integers, other
//! whole numbers signed ones, `time` a timestamp in µs, UTC.

mod columns;
mod csv;
mod jsonl;
#[cfg(feature = "parquet")]
mod parquet;

use super::store::{Index, Location, StoreError};
use super::{Outcome, Selection};
use crate::files;
use columns::{Cell, Column, Source};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 but for line feeds, UTF-8, with a header.
    Csv,
    /// A JSON object on each line.
    Jsonl,
    /// Apache Parquet, if fanin is built with the feature `parquet`.
    Parquet,
}

/// `csv`, `jsonl` or `parquet`.
impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::Jsonl),
            "parquet" => Ok(Self::Parquet),
            _ => Err("expected csv, jsonl or parquet".into()),
        }
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// A run.
    #[default]
    Runs,
    /// An evaluation.
    Evaluations,
}

/// Why a table cannot be written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is not that of a training run.
    #[error("{at}: not the record of a training run: {source}")]
    Record {
        /// Where it is.
        at: Location,
        /// What is wrong with it.
        source: Arc<serde_json::Error>,
    },
    /// The table cannot be written.
    #[error("cannot write the table: {0}")]
    Write(Arc<io::Error>),
    /// Built without Parquet.
    #[error(
        "this fanin is built without Parquet: build it with that feature, as by `cargo install \
         --path . --features parquet`, or take csv or jsonl"
    )]
    NoParquet,
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Write(Arc::new(error))
    }
}

/// Something that writes rows.
trait Rows {
    /// Adds a row with a cell for each column.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError>;

    /// Writes what is left.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// A table to be written.
#[derive(Clone, Debug)]
pub struct Export {
    /// What a row is.
    pub table: Table,
    /// How it is written.
    pub format: Format,
    /// Of which runs.
    pub selection: Selection,
}

impl Export {
    /// Writes the table of the runs in `index`; tells how many rows it has. Takes memory for
    /// one record at a time, and for 16,384 rows in Parquet.
    ///
    /// # Errors
    /// [`ExportError`]. Conflicts in the index are none: see [`Index::check`].
    pub fn write(&self, index: &Index, out: &mut (dyn Write + Send)) -> Result<u64, ExportError> {
        let columns = columns::columns(self.table);
        let mut out = BufWriter::with_capacity(1 << 16, out);
        let mut rows = self.rows(&columns, &mut out)?;
        let mut count = 0;
        let mut failure = None;
        index.visit_by_id(|line| {
            let added = Outcome::of(&line).map_err(|source| ExportError::Record {
                at: line.location(),
                source: Arc::new(source),
            });
            let added = added.and_then(|outcome| match self.selection.matches(&outcome) {
                true => self.add(&outcome, &columns, &mut *rows),
                false => Ok(0),
            });
            match added {
                Ok(added) => {
                    count += added;
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        rows.finish()?;
        out.flush()?;
        Ok(count)
    }

    /// [`Self::write`] to a file, whole or not at all: the one that a symbolic link leads to,
    /// if `path` is one. Pipes and character devices are written into.
    ///
    /// # Errors
    /// As [`Self::write`]; [`ExportError::Write`] if `path` is a folder, a socket or the like.
    pub fn write_file(&self, index: &Index, path: &Path) -> Result<u64, ExportError> {
        files::check_writable(path)?;
        let mut count = 0;
        files::write_whole_with(path, |file| {
            count = self.write(index, file)?;
            Ok(())
        })
        .map(|()| count)
    }

    fn rows<'o>(
        &self,
        columns: &[Column],
        out: &'o mut (impl Write + Send),
    ) -> Result<Box<dyn Rows + 'o>, ExportError> {
        match self.format {
            Format::Csv => Ok(Box::new(csv::Csv::new(columns, out)?)),
            Format::Jsonl => Ok(Box::new(jsonl::Jsonl::new(columns, out))),
            #[cfg(feature = "parquet")]
            Format::Parquet => Ok(Box::new(parquet::Parquet::new(columns, out)?)),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => Err(ExportError::NoParquet),
        }
    }

    fn add(
        &self,
        outcome: &Outcome<'_>,
        columns: &[Column],
        rows: &mut dyn Rows,
    ) -> Result<u64, ExportError> {
        let cell = |column: &Column| match column.source {
            Source::Key(field) => columns::key(outcome, field),
            Source::Run(get) => get(outcome),
            Source::Evaluation(_) => Cell::Missing,
        };
        let mut cells: Vec<Cell<'_>> = columns.iter().map(cell).collect();
        if self.table == Table::Runs {
            rows.row(&cells)?;
            return Ok(1);
        }
        for evaluation in &outcome.evals {
            for (cell, column) in cells.iter_mut().zip(columns) {
                if let Source::Evaluation(get) = column.source {
                    *cell = get(evaluation);
                }
            }
            rows.row(&cells)?;
        }
        Ok(outcome.evals.len() as u64)
    }
}

/// Refuses, before any work, what [`Export::write`] would.
///
/// # Errors
/// [`ExportError::NoParquet`].
pub fn check_format(format: Format) -> Result<(), ExportError> {
    match format {
        Format::Parquet if !cfg!(feature = "parquet") => Err(ExportError::NoParquet),
        _ => Ok(()),
    }
}

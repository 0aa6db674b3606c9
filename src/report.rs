//! Reports: tables, figures and verdicts, as HTML, Markdown, CSV and SVG.
//!
//! A [`Document`] says what there is to say; [`write`](fn@write) puts it into a folder:
//!
//! ```text
//! report.html         everything in one file, for readers
//! report.md           the same for GitHub, with links to the figures
//! tables/NAME.csv     all digits of every table
//! figures/NAME.svg    every figure
//! files.sha256        the hashes of these files, so that the next report here may remove them
//! ```

pub mod csv;
pub mod document;
pub mod figures;
mod folder;
pub mod html;
pub mod markdown;
mod text;

pub use document::{Align, Block, Cell, Claim, Column, Document, Figure, Section, Table, Verdict};
pub use figures::FigureError;
pub(crate) use text::{grouped, number, percent};

use crate::Error;
use crate::files::check_writable as check_file;
use crate::probe::Probe;
use folder::Folder;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file or folder cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A name that cannot be that of a file or a link.
    #[error("'{name}' cannot name a {what}: 1 to 100 of A-Z, a-z, 0-9, - and _ can")]
    Name {
        /// Table, figure or section.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two of a kind with one name.
    #[error("there are two {what}s named '{name}'")]
    Twice {
        /// Table, figure or section.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A row that does not fit its table.
    #[error("table '{table}', row {row}: {found} cells, expected {expected}")]
    Row {
        /// The table's name.
        table: String,
        /// The row, from 0.
        row: usize,
        /// Cells in it.
        found: usize,
        /// Columns of the table.
        expected: usize,
    },
}

/// Writes the report into the folder `dir`, which is made if need be: `report.html`,
/// `report.md`, `tables/*.csv` and `figures/*.svg`.
///
/// Each file is written whole or not at all, those that point at others last. Files that an
/// earlier report wrote there and this one has not are removed, unless they were changed; other
/// files in the folder stay.
///
/// # Errors
/// [`Error::Report`]: before anything is written if a name is not allowed or used twice,
/// or a row does not fit its table; or if a file cannot be written or removed.
pub fn write(dir: &Path, document: &Document) -> Result<(), Error> {
    write_with(dir, document, None)
}

/// [`write`](fn@write), with a table that is not in the document.
pub(crate) fn write_with(
    dir: &Path,
    document: &Document,
    other: Option<&Table>,
) -> Result<(), Error> {
    let mut parts = Parts::of(document)?;
    if let Some(table) = other {
        parts.table(table)?;
    }
    let mut folder = Folder::open(dir)?;
    for figure in parts.figures {
        folder.write(&format!("figures/{}.svg", figure.name), &figure.svg)?;
    }
    for table in parts.tables {
        folder.write(&format!("tables/{}.csv", table.name), &csv::table(table))?;
    }
    folder.write("report.md", &markdown::document(document))?;
    folder.write("report.html", &html::document(document))?;
    Ok(folder.finish()?)
}

/// Makes the folder `dir` if need be, and sees whether files can be written there.
///
/// # Errors
/// [`Error::Report`] if not.
pub fn check_writable(dir: &Path) -> Result<(), Error> {
    let check = || {
        if dir.is_file() {
            return Err(std::io::Error::other("is a file, expected a folder"));
        }
        std::fs::create_dir_all(dir)?;
        check_file(&dir.join("report.html"))
    };
    check().map_err(|source| {
        let path = dir.into();
        ReportError::Io { path, source }.into()
    })
}

/// What becomes a file of its own.
#[derive(Default)]
struct Parts<'a> {
    tables: Vec<&'a Table>,
    figures: Vec<&'a Figure>,
    /// In lower case: some file systems do not tell cases apart.
    names: HashSet<(&'static str, String)>,
}

impl<'a> Parts<'a> {
    fn of(document: &'a Document) -> Result<Self, ReportError> {
        let mut parts = Self::default();
        for section in &document.sections {
            parts.check_name("section", &section.id)?;
            parts.collect(&section.blocks)?;
        }
        Ok(parts)
    }

    fn collect(&mut self, blocks: &'a [Block]) -> Result<(), ReportError> {
        for block in blocks {
            match block {
                Block::Table(table) => self.table(table)?,
                Block::Figure(figure) => {
                    self.check_name("figure", &figure.name)?;
                    self.figures.push(figure);
                }
                Block::Details { blocks, .. } => self.collect(blocks)?,
                Block::Paragraph(_) | Block::Claim(_) | Block::KeyValues(_) => {}
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &'a Table) -> Result<(), ReportError> {
        self.check_name("table", &table.name)?;
        check_rows(table)?;
        self.tables.push(table);
        Ok(())
    }

    fn check_name(&mut self, what: &'static str, name: &str) -> Result<(), ReportError> {
        let name = name.to_string();
        if !is_name(&name) {
            return Err(ReportError::Name { what, name });
        }
        if !self.names.insert((what, name.to_ascii_lowercase())) {
            return Err(ReportError::Twice { what, name });
        }
        Ok(())
    }
}

/// Whether it can name a file or a link.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=100).contains(&name.len()) && name.chars().all(allowed)
}

fn check_rows(table: &Table) -> Result<(), ReportError> {
    let expected = table.columns.len();
    match table.rows.iter().position(|row| row.len() != expected) {
        None => Ok(()),
        Some(row) => Err(ReportError::Row {
            table: table.name.clone(),
            row,
            found: table.rows[row].len(),
            expected,
        }),
    }
}

/// Draws the histograms of a probe into an SVG file: [`figures::histograms`].
///
/// # Errors
/// If the file cannot be written, or there are more than 60 layers.
pub fn histograms(path: &Path, title: &str, probe: &Probe) -> Result<(), Error> {
    let svg = figures::histograms(title, probe)?;
    std::fs::write(path, svg).map_err(|e| Error::Figure {
        path: path.into(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests;

//! The report of a sweep: statistics of groups of runs as tables, figures and files.

mod charts;
mod json;
mod summary;
mod tables;
mod text;

use super::Value;
use super::groups::{Axis, Group, Groups};
use super::store::Index;
use crate::Error;
use crate::report::{self, Document, csv, markdown};
use std::path::Path;

/// The order of the groups in tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By the values of their keys.
    #[default]
    Groups,
    /// By the mean of the final accuracy, best first.
    Mean,
}

/// A report of [`Groups`].
#[derive(Clone, Debug)]
pub struct Report {
    /// The name of the sweep.
    pub name: String,
    /// What is reported.
    pub groups: Groups,
    /// The order of tables. Figures have the order of the groups.
    pub sort: Sort,
    /// What is wrong with the store and its records, a sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// The report of groups that were read from `index`, whose damage is noted.
    #[must_use]
    pub fn new(name: &str, groups: Groups, index: &Index) -> Self {
        let notes = summary::notes(&groups, index);
        Self {
            name: name.into(),
            groups,
            sort: Sort::default(),
            notes,
        }
    }

    /// The report for a terminal of 80 columns: what there is, and a table.
    ///
    /// Where the table is too wide, it leaves out the time, then the standard deviation; then,
    /// unless it is sorted by mean, the first keys become headings of their own; last it
    /// leaves out how the runs ended. The rest is never left out.
    #[must_use]
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// A row for each group with all columns and digits; shares are 0 to 1, what is missing
    /// is empty. Five columns have [`Groups::reach`] in their name, its point as `_`:
    /// `reached_80`, `share_80`, `share_80_low`, `share_80_high`, `median_steps_to_80`;
    /// `reached_97_5`, ….
    #[must_use]
    pub fn csv(&self) -> String {
        csv::table(&tables::all(self))
    }

    /// The table for readers, in GitHub Flavored Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::table(&tables::shown(self, usize::MAX))
    }

    /// An array with an object for each group, curves included. How many reached
    /// [`Groups::reach`] is in `reached_80`, or `reached_97_5`.
    #[must_use]
    pub fn json(&self) -> String {
        json::groups(self)
    }

    /// Everything, for [`report::write`](fn@report::write), of bounded size: at most 1,000
    /// rows of groups, 24 heat maps, 24 charts of curves with ten lines each, and 12 with
    /// a dot for each run, 400 of a group at most. It says what is left out.
    ///
    /// # Errors
    /// If a figure cannot be drawn.
    pub fn document(&self) -> Result<Document, Error> {
        summary::document(self)
    }

    /// Writes the report into the folder `dir`, which is made if need be: what
    /// [`report::write`](fn@report::write) does with the [document](Self::document), and
    /// `tables/all_groups.csv`, the same as [`Self::csv`].
    ///
    /// # Errors
    /// If a figure cannot be drawn, or a file not be written or removed.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        report::write_with(dir, &self.document()?, Some(&tables::all(self)))
    }

    /// The groups in the order of tables.
    fn sorted(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.groups.iter().collect();
        if self.sort == Sort::Mean {
            let mean = |group: &Group| group.accuracy.map_or(f64::NEG_INFINITY, |a| a.mean);
            groups.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
        }
        groups
    }
}

/// A value for readers.
fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "—".into(), Value::to_string)
}

/// A value as a name on its own: with its key where it would not be understood.
fn named(axis: &Axis, place: usize) -> String {
    match axis.values.get(place) {
        Some(Some(Value::Text(text))) if !matches!(text.as_str(), "off" | "none") => text.clone(),
        value => format!("{} {}", axis.key, shown(value.and_then(Option::as_ref))),
    }
}

/// `depth 4, batch_norm off`: the values of a group on some of the axes.
fn label<'a>(axes: impl Iterator<Item = (&'a Axis, usize)>) -> String {
    let parts = axes.map(|(axis, place)| {
        let value = axis.values.get(place).and_then(Option::as_ref);
        format!("{} {}", axis.key, shown(value))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// `1,234`
fn count(n: usize) -> String {
    report::grouped(&n.to_string())
}

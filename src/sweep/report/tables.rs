//! The tables of the report.

use super::{Report, shown as value_text};
use crate::report::{Cell, Column, Table, percent};
use crate::sweep::Value;
use crate::sweep::groups::{Axis, Counts, Group};

/// How runs may have ended, and how many have.
pub(super) type End = (&'static str, fn(&Counts) -> usize);

/// All but `ok`.
pub(super) const ENDS: [End; 4] = [
    ("diverged", |c| c.diverged),
    ("pruned", |c| c.pruned),
    ("other", |c| c.other),
    ("failed", |c| c.failed),
];

/// All columns, with names for programs.
pub(super) fn all(report: &Report) -> Table {
    let mut columns = keys(&report.groups.by);
    let reach = report.groups.reach.name();
    columns.extend(
        [
            "n",
            "measured",
            "mean",
            "sd",
            "ci95_low",
            "ci95_high",
            "median",
            "min",
            "max",
            &format!("reached_{reach}"),
            &format!("share_{reach}"),
            &format!("share_{reach}_low"),
            &format!("share_{reach}_high"),
            &format!("median_steps_to_{reach}"),
            "median_seconds",
            "ok",
            "diverged",
            "pruned",
            "other",
            "failed",
        ]
        .map(|name| Column::numbers(name, "")),
    );
    let row = |group: &&Group| {
        let mut row = key_cells(&group.key);
        let (a, c) = (group.accuracy, group.counts);
        let (interval, share) = (a.and_then(|a| a.ci95), group.share_reached_ci95());
        let numbers = [
            Some(group.n() as f64),
            Some(a.map_or(0, |a| a.n) as f64),
            a.map(|a| a.mean),
            a.and_then(|a| a.sd),
            interval.map(|i| i.0),
            interval.map(|i| i.1),
            a.map(|a| a.median),
            a.map(|a| a.min),
            a.map(|a| a.max),
            Some(group.reached as f64),
            group.share_reached(),
            share.map(|i| i.0),
            share.map(|i| i.1),
            group.steps_to_reach,
            group.seconds,
        ];
        row.extend(numbers.map(|number| Cell::number(number, 6)));
        let counts = [c.ok, c.diverged, c.pruned, c.other, c.failed];
        row.extend(counts.map(|n| Cell::number(n as f64, 0)));
        row
    };
    Table {
        name: "all_groups".into(),
        caption: "All groups".into(),
        columns,
        rows: report.sorted().iter().map(row).collect(),
    }
}

/// The first `most` groups, for readers.
pub(super) fn shown(report: &Report, most: usize) -> Table {
    let groups = &report.groups;
    let reach = groups.reach;
    let mut columns = keys(&groups.by);
    if columns.is_empty() {
        columns.push(Column::text("Runs"));
    }
    columns.extend([
        Column::numbers("n", ""),
        Column::numbers("final", "mean"),
        Column::numbers("±", "95 %, points"),
        Column::numbers(&format!("≥ {reach} %"), "of the runs"),
        Column::numbers(&format!("{reach} % at"), "median step"),
        Column::numbers("median", ""),
        Column::numbers("least", ""),
        Column::numbers("greatest", ""),
        Column::numbers("sd", "points"),
        Column::numbers("95 % interval", &format!("of ≥ {reach} %")),
    ]);
    let ends: Vec<_> = ENDS.iter().filter(|(_, n)| n(&groups.counts) > 0).collect();
    columns.extend(ends.iter().map(|(name, _)| Column::numbers(name, "runs")));
    columns.push(Column::numbers("time", "median, s"));
    let row = |group: &Group| {
        let mut row = key_cells(&group.key);
        if row.is_empty() {
            row.push(Cell::text("all"));
        }
        let a = group.accuracy;
        // A median and extremes of one run would be taken for more.
        let spread = a.filter(|a| a.n > 1);
        let points = |x: Option<f64>| Cell::number(x.map(|x| 100.0 * x), 2);
        row.extend([
            Cell::number(group.n() as f64, 0),
            Cell::percent(a.map(|a| a.mean), 2),
            points(a.and_then(half_interval)),
            Cell::percent(group.share_reached(), 0),
            Cell::number(group.steps_to_reach, 0),
            Cell::percent(spread.map(|a| a.median), 2),
            Cell::percent(spread.map(|a| a.min), 2),
            Cell::percent(spread.map(|a| a.max), 2),
            points(a.and_then(|a| a.sd)),
            match group.share_reached_ci95().filter(|_| group.n() > 1) {
                Some((low, high)) => {
                    Cell::text(format!("{}–{} %", percent(low, 0), percent(high, 0)))
                }
                None => Cell::Missing,
            },
        ]);
        let counts = ends
            .iter()
            .map(|(_, n)| Cell::number(n(&group.counts) as f64, 0));
        row.extend(counts);
        row.push(Cell::number(group.seconds, 2));
        row
    };
    let sorted = report.sorted();
    Table {
        name: "groups".into(),
        caption: format!("Final test accuracy, and how soon {reach} % are reached"),
        columns,
        rows: sorted.into_iter().take(most).map(row).collect(),
    }
}

/// Half of the 95 % interval of the mean, 0 to 1.
pub(super) fn half_interval(summary: crate::stats::Summary) -> Option<f64> {
    summary.ci95.map(|(low, high)| (high - low) / 2.0)
}

/// The best runs.
pub(super) fn best(report: &Report) -> Table {
    let groups = &report.groups;
    let reach = groups.reach;
    let mut columns = keys(&groups.axes);
    columns.extend([
        Column::numbers("seed", ""),
        Column::numbers("final", "accuracy"),
        Column::numbers(&format!("{reach} % at"), "step"),
        Column::text("status"),
        Column::text("run"),
    ]);
    let rows = groups.best.iter().map(|best| {
        let mut row = key_cells(&best.config);
        row.extend([
            Cell::text(best.seed.to_string()),
            Cell::percent(best.accuracy, 2),
            Cell::number(best.steps_to_reach.map(|steps| steps as f64), 0),
            Cell::text(literal(&best.status)),
            Cell::text(format!("`{}`", best.run)),
        ]);
        row
    });
    Table {
        name: "best".into(),
        caption: format!(
            "The {} with the highest final accuracy",
            runs(groups.best.len())
        ),
        columns,
        rows: rows.collect(),
    }
}

/// Runs that failed.
pub(super) fn failures(report: &Report) -> Table {
    let groups = &report.groups;
    let mut columns = keys(&groups.axes);
    columns.push(Column::numbers("seed", ""));
    columns.extend(["run", "error"].map(Column::text));
    let rows = groups.failures.iter().map(|failure| {
        let mut row = key_cells(&failure.config);
        row.extend([
            Cell::text(failure.seed.to_string()),
            // Enough for `--where run=`, and it leaves room for the error.
            Cell::text(format!(
                "`{}`",
                failure.run.chars().take(12).collect::<String>()
            )),
            Cell::text(literal(&failure.error)),
        ]);
        row
    });
    let (shown, all) = (groups.failures.len(), groups.counts.failed);
    Table {
        name: "failed".into(),
        caption: match shown < all {
            true => format!("The first {shown} of {} that failed, by id", runs(all)),
            false => format!("The {} that failed", runs(all)),
        },
        columns,
        rows: rows.collect(),
    }
}

/// `1 run`, `2 runs`
pub(super) fn runs(n: usize) -> String {
    counted(n, "run")
}

/// `1 group`, `2 groups`
pub(super) fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{} {what}s", super::count(n)),
    }
}

/// Columns for keys.
fn keys(axes: &[Axis]) -> Vec<Column> {
    let column = |axis: &Axis| {
        let number = |value: &Option<Value>| !matches!(value, Some(Value::Text(_)));
        match axis.values.iter().all(number) {
            true => Column::numbers(axis.key.name(), ""),
            false => Column::text(axis.key.name()),
        }
    };
    axes.iter().map(column).collect()
}

fn key_cells(values: &[Option<Value>]) -> Vec<Cell> {
    let cell = |value: &Option<Value>| match value {
        // As it is written: rounding would make two values look the same.
        Some(value) => Cell::text(literal(&value_text(Some(value)))),
        None => Cell::Missing,
    };
    values.iter().map(cell).collect()
}

/// Text from records, whose signs are no marks: a space of no width takes them apart.
pub(super) fn literal(text: &str) -> String {
    text.replace('`', "'").replace("**", "*\u{200b}*")
}

//! The report as text for a terminal.

use super::tables::{ENDS, End, half_interval, runs};
use super::{Report, Sort, count, shown};
use crate::report::{grouped, percent};
use crate::sweep::Value;
use crate::sweep::groups::Group;
use std::fmt::Write;

/// Width of a terminal.
const WIDTH: usize = 80;
/// Values of keys are cut at this width.
const MOST: usize = 40;
/// Between columns.
const GAP: usize = 2;

/// A column of the table.
struct Column {
    title: String,
    left: bool,
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let texts = self.cells.iter().chain([&self.title]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

pub(super) fn text(report: &Report) -> String {
    let groups = &report.groups;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}: {}", report.name, head(report));
    let by: Vec<&str> = groups.by.iter().map(|axis| axis.key.name()).collect();
    let over: Vec<&str> = groups.pooled.iter().map(|key| key.name()).collect();
    let or = |names: Vec<&str>, none: &str| match names.is_empty() {
        true => none.to_string(),
        false => names.join(", "),
    };
    let (by, over) = (or(by, "nothing"), or(over, "nothing: a run each"));
    let _ = writeln!(out, "grouped by {by}; statistics over {over}\n");
    let ends = match table(&mut out, report) {
        true => ends(report),
        false => Vec::new(),
    };
    let reach = groups.reach;
    // Two numbers of up to nine characters: 78 in the last line.
    let _ = writeln!(
        out,
        "\nfinal: mean test accuracy, %, the last measured, also of runs that diverged or\n\
         were pruned, ± half its 95 % interval.\n\
         ≥{reach} %: share of runs that reach it; to {reach}: median step of those."
    );
    let names: Vec<String> = ends
        .iter()
        .map(|(name, _)| format!("{} {name}", &name[..1]))
        .collect();
    if !names.is_empty() {
        let _ = writeln!(out, "Runs: {}.", names.join(", "));
    }
    out
}

/// `400 runs: 391 ok, 9 diverged`
fn head(report: &Report) -> String {
    let counts = &report.groups.counts;
    let all = counts.results() + counts.failed;
    let ok: End = ("ok", |c| c.ok);
    let ends = [ok].into_iter().chain(ENDS);
    let ends = ends.filter(|(_, n)| n(counts) > 0);
    let ends: Vec<String> = ends
        .map(|(name, n)| format!("{} {name}", count(n(counts))))
        .collect();
    let of = match all < report.groups.runs {
        true => format!(" of {}", count(report.groups.runs)),
        false => String::new(),
    };
    format!("{}{of}: {}", runs(all), ends.join(", "))
}

/// Returns whether it shows how runs ended.
fn table(out: &mut String, report: &Report) -> bool {
    let sorted = report.sorted();
    let mut keys = key_columns(report, &sorted);
    let mut numbers = number_columns(report, &sorted);
    let width = |keys: &[Column], numbers: &[Column]| {
        let columns = keys.iter().chain(numbers);
        columns.map(|column| column.width() + GAP).sum::<usize>() - GAP
    };
    // What may be left out is last.
    let ended = usize::from(!ends(report).is_empty());
    while width(&keys, &numbers) > WIDTH && numbers.len() > ALWAYS + ended {
        numbers.pop();
    }
    let mut headings = Vec::new();
    // Rows below a heading are indented.
    let over = |keys: &[Column], indent| width(keys, &numbers) + indent > WIDTH;
    while report.sort == Sort::Groups && keys.len() > 1 && over(&keys, GAP * headings.len().min(1))
    {
        headings.push(keys.remove(0));
    }
    if width(&keys, &numbers) + GAP * headings.len().min(1) > WIDTH {
        numbers.truncate(ALWAYS);
    }
    let indent = " ".repeat(GAP * headings.len().min(1));
    let columns: Vec<&Column> = keys.iter().chain(&numbers).collect();
    let widths: Vec<usize> = columns.iter().map(|column| column.width()).collect();
    let line = |text_of: &dyn Fn(&Column) -> String| {
        let mut line = indent.clone();
        for (i, (column, width)) in columns.iter().zip(&widths).enumerate() {
            let text = text_of(column);
            let pad = " ".repeat(width.saturating_sub(text.chars().count()));
            let gap = if i == 0 { "" } else { "  " };
            line += &match column.left {
                true => format!("{gap}{text}{pad}"),
                false => format!("{gap}{pad}{text}"),
            };
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    out.push_str(&line(&|column| column.title.clone()));
    let heading = |row: usize| {
        let parts = headings
            .iter()
            .map(|key| format!("{} {}", key.title, key.cells[row]));
        parts.collect::<Vec<_>>().join(", ")
    };
    for row in 0..sorted.len() {
        if !headings.is_empty() && (row == 0 || heading(row) != heading(row - 1)) {
            let _ = writeln!(out, "{}", heading(row));
        }
        out.push_str(&line(&|column| column.cells[row].clone()));
    }
    numbers.len() > ALWAYS
}

fn key_columns(report: &Report, groups: &[&Group]) -> Vec<Column> {
    let by = report.groups.by.iter().enumerate();
    let columns = by.map(|(i, axis)| Column {
        title: axis.key.name().into(),
        left: axis
            .values
            .iter()
            .any(|v| matches!(v, Some(Value::Text(_)))),
        cells: groups
            .iter()
            .map(|group| shortened(&shown(group.key[i].as_ref())))
            .collect(),
    });
    columns.collect()
}

/// How runs ended, if not all are `ok`.
fn ends(report: &Report) -> Vec<End> {
    let counts = &report.groups.counts;
    ENDS.into_iter().filter(|(_, n)| n(counts) > 0).collect()
}

/// Columns that are never left out.
const ALWAYS: usize = 6;

fn number_columns(report: &Report, groups: &[&Group]) -> Vec<Column> {
    let column = |title: &str, cell: &dyn Fn(&Group) -> Option<String>| Column {
        title: title.into(),
        left: false,
        cells: groups
            .iter()
            .map(|group| cell(group).unwrap_or_else(|| "—".into()))
            .collect(),
    };
    // A median and a range of one run would be taken for more.
    let spread = |g: &Group| g.accuracy.filter(|a| a.n > 1);
    let reach = report.groups.reach;
    let mut columns = vec![
        column("n", &|g| Some(count(g.n()))),
        column("final ±95 %", &|g| {
            let a = g.accuracy?;
            let half = half_interval(a).map(|half| format!(" ±{:.2}", 100.0 * half));
            Some(format!("{:.2}{}", 100.0 * a.mean, half.unwrap_or_default()))
        }),
        column("median", &|g| {
            Some(format!("{:.2}", 100.0 * spread(g)?.median))
        }),
        column("range", &|g| {
            let a = spread(g)?;
            Some(format!("{:.1}–{:.1}", 100.0 * a.min, 100.0 * a.max))
        }),
        column(&format!("≥{reach} %"), &|g| {
            Some(format!("{} %", percent(g.share_reached()?, 0)))
        }),
        column(&format!("to {reach}"), &|g| {
            Some(grouped(&format!("{:.0}", g.steps_to_reach?)))
        }),
    ];
    let ends = ends(report);
    if !ends.is_empty() {
        let joined = |texts: Vec<String>| texts.join("/");
        let title = joined(ends.iter().map(|(name, _)| name[..1].into()).collect());
        columns.push(column(&title, &|g| {
            let counts = ends.iter().map(|(_, n)| count(n(&g.counts)));
            Some(joined(counts.collect()))
        }));
    }
    columns.push(column("sd", &|g| {
        Some(format!("{:.2}", 100.0 * g.accuracy?.sd?))
    }));
    columns.push(column("time", &|g| Some(format!("{:.2} s", g.seconds?))));
    columns
}

fn shortened(text: &str) -> String {
    // What a record says may have anything in it; a terminal gets one line of text.
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    match text.chars().count() <= MOST {
        true => text.chars().map(clean).collect(),
        false => text
            .chars()
            .take(MOST - 1)
            .map(clean)
            .chain(['…'])
            .collect(),
    }
}

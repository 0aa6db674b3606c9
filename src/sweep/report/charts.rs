//! The figures of the report.

use super::summary::{NARROW, paragraph};
use super::tables::literal;
use super::{count, label, named, shown};
use crate::Error;
use crate::report::figures::{self, HeatMap, LineChart, Mark, Series, Strip, StripChart};
use crate::report::{Block, Figure};
use crate::sweep::Value;
use crate::sweep::groups::{Axis, Group, Groups, Key};
use std::collections::BTreeMap;

/// Heat maps, and charts of curves.
const MOST_FIGURES: usize = 24;
/// Rows or columns of a heat map.
const MOST_CELLS: usize = 40;
/// Lines of a chart.
const MOST_LINES: usize = 10;
/// With more lines there are no bands: they would cover each other.
const MOST_BANDS: usize = 6;
/// Colours that can be told apart; lines beyond are dashed.
const COLORS: usize = 7;
/// Charts with a dot for each run, their rows, and the dots of a row: of more runs some are
/// drawn.
const MOST_STRIP_CHARTS: usize = 12;
const MOST_STRIPS: usize = 40;
const MOST_DOTS: usize = 400;

/// The groups that have the same values on all axes but some.
struct Slice<'a> {
    title: String,
    groups: Vec<&'a Group>,
}

/// Slices in order; `within`: the numbers of the axes that vary in each.
fn slices<'a>(groups: &'a Groups, within: &[usize]) -> Vec<Slice<'a>> {
    let others = (0..groups.by.len()).filter(|i| !within.contains(i));
    let others: Vec<usize> = others.collect();
    let mut slices: BTreeMap<Vec<usize>, Vec<&Group>> = BTreeMap::new();
    for group in &groups.groups {
        let places = others.iter().map(|i| group.places[*i]).collect();
        slices.entry(places).or_default().push(group);
    }
    let slice = |(places, members): (Vec<usize>, Vec<&'a Group>)| {
        let axes = others.iter().map(|i| &groups.by[*i]).zip(places);
        // What does not vary need not be said.
        let varying = axes.filter(|(axis, _)| axis.values.len() > 1);
        Slice {
            title: label(varying),
            groups: members,
        }
    };
    slices.into_iter().map(slice).collect()
}

/// The axes that have several values, by number.
fn varying(groups: &Groups) -> Vec<usize> {
    let several = |i: &usize| groups.by[*i].values.len() > 1;
    (0..groups.by.len()).filter(several).collect()
}

fn is_number(axis: &Axis) -> bool {
    let text = |value: &Option<Value>| matches!(value, Some(Value::Text(_)));
    !axis.values.iter().any(text)
}

/// The rows and the columns of heat maps: `init` and `depth` if they are there, else the
/// first two, texts rather in rows.
fn rows_and_columns(groups: &Groups) -> Option<(usize, usize)> {
    let mut axes = varying(groups);
    let preferred = |i: &usize| match groups.by[*i].key {
        Key::INIT => 0,
        Key::DEPTH => 1,
        _ => 2,
    };
    axes.sort_by_key(preferred);
    let [first, second] = *axes.get(..2)? else {
        return None;
    };
    let swap = is_number(&groups.by[first]) && !is_number(&groups.by[second]);
    Some(if swap {
        (second, first)
    } else {
        (first, second)
    })
}

/// Mean final accuracies over two axes.
pub(super) fn heat_maps(groups: &Groups) -> Result<Vec<Block>, Error> {
    let Some((row, column)) = rows_and_columns(groups) else {
        return Ok(Vec::new());
    };
    let (rows, columns) = (&groups.by[row], &groups.by[column]);
    if let Some(axis) = [rows, columns]
        .into_iter()
        .find(|a| a.values.len() > MOST_CELLS)
    {
        return Ok(vec![paragraph(&format!(
            "`{}` has {} values, more than the {MOST_CELLS} that a heat map can show. {NARROW}",
            axis.key,
            count(axis.values.len())
        ))]);
    }
    let percent = |group: &Group| group.accuracy.map(|a| 100.0 * a.mean);
    let means = groups.groups.iter().filter_map(percent);
    let range = means.map(|mean| (mean, mean));
    let range = range.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let names = |axis: &Axis| axis.values.iter().map(|v| shown(v.as_ref())).collect();
    let slices = slices(groups, &[row, column]);
    let mut blocks = Vec::new();
    for (i, slice) in slices.iter().take(MOST_FIGURES).enumerate() {
        let mut cells = vec![vec![None; columns.values.len()]; rows.values.len()];
        for group in &slice.groups {
            cells[group.places[row]][group.places[column]] = percent(group);
        }
        let missing = cells.iter().flatten().any(Option::is_none);
        let svg = figures::heat_map(&HeatMap {
            title: slice.title.clone(),
            rows_title: rows.key.name().into(),
            columns_title: columns.key.name().into(),
            rows: names(rows),
            columns: names(columns),
            cells,
            value_title: "mean final test accuracy, %".into(),
            range,
            decimals: 1,
        })?;
        let mut caption = format!(
            "Mean final test accuracy, %, by {} and {}",
            rows.key, columns.key
        );
        caption += &of(&slice.title);
        if missing {
            caption += " Cells with a dash have no result.";
        }
        blocks.push(figure("heat_map", i, caption, svg));
    }
    if slices.len() > 1 {
        blocks.insert(0, paragraph("The colours are the same in all."));
    }
    blocks.extend(left_out("heat maps", MOST_FIGURES, slices.len()));
    Ok(blocks)
}

/// Accuracies over steps, a line for each value of the first axis.
pub(super) fn curves(groups: &Groups) -> Result<Vec<Block>, Error> {
    let empty = Axis {
        key: Key::SEED,
        values: vec![None],
    };
    let first = varying(groups).first().copied();
    let lines = first.map_or(&empty, |i| &groups.by[i]);
    let within: Vec<usize> = first.into_iter().collect();
    let slices: Vec<Slice<'_>> = slices(groups, &within)
        .into_iter()
        .filter(|slice| slice.groups.iter().any(|g| !g.curve.is_empty()))
        .collect();
    let shown_lines = lines.values.len().min(MOST_LINES);
    let mut blocks = Vec::new();
    for (i, slice) in slices.iter().take(MOST_FIGURES).enumerate() {
        // The colour of a value is the same in all figures.
        let place = |group: &Group| first.map_or(0, |i| group.places[i]);
        let drawn = slice.groups.iter().filter(|g| place(g) < shown_lines);
        let drawn: Vec<&Group> = drawn.filter(|g| !g.curve.is_empty()).copied().collect();
        let banded = drawn.len() <= MOST_BANDS;
        let spread = drawn.iter().any(|g| g.curve.iter().any(|p| p.n > 1));
        let series = drawn.iter().map(|group| {
            let name = first.map_or_else(|| "all runs".into(), |_| named(lines, place(group)));
            let points = group.curve.iter();
            let points = points.map(|p| (p.step as f64, 100.0 * p.mean)).collect();
            let mut series = Series::new(&name, place(group), points);
            series.dashed = place(group) >= COLORS;
            if banded && group.curve.iter().any(|p| p.n > 1) {
                let band = group.curve.iter();
                let band = band.map(|p| (p.step as f64, 100.0 * p.min, 100.0 * p.max));
                series.band = band.collect();
            }
            series
        });
        let svg = figures::lines(&LineChart {
            title: slice.title.clone(),
            x: figures::Axis::linear("step"),
            y: figures::Axis::linear("test accuracy, %").including(0.0, 100.0),
            series: series.collect(),
        })?;
        let mut caption = "Test accuracy while training: the mean of the runs evaluated at each \
                           step"
            .to_string();
        if banded && spread {
            caption += ", and from the least to the greatest as a band";
        }
        caption += &of(&slice.title);
        blocks.push(figure("curves", i, caption, svg));
    }
    if !blocks.is_empty() && groups.counts.diverged + groups.counts.pruned > 0 {
        blocks.insert(
            0,
            paragraph(
                "Runs that diverged or were pruned are in the means up to their last \
                 evaluation: a line may jump where they end.",
            ),
        );
    }
    if lines.values.len() > shown_lines && !blocks.is_empty() {
        blocks.push(paragraph(&format!(
            "Of the {} values of `{}` the first {shown_lines} have a line. {NARROW}",
            count(lines.values.len()),
            lines.key
        )));
    }
    blocks.extend(left_out("charts", MOST_FIGURES, slices.len()));
    Ok(blocks)
}

/// The final accuracy of every run, a row for each value of the first two axes.
pub(super) fn strips(groups: &Groups) -> Result<Vec<Block>, Error> {
    let within: Vec<usize> = varying(groups).into_iter().take(2).collect();
    let drawn = |group: &&&Group| !group.accuracies.is_empty();
    let mut charts: Vec<(&str, Vec<&Group>)> = Vec::new();
    let slices = slices(groups, &within);
    for slice in &slices {
        let rows: Vec<&Group> = slice.groups.iter().filter(drawn).copied().collect();
        // Charts of about the same size.
        let parts = rows.len().div_ceil(MOST_STRIPS).max(1);
        let size = rows.len().div_ceil(parts).max(1);
        charts.extend(
            rows.chunks(size)
                .map(|rows| (slice.title.as_str(), rows.to_vec())),
        );
    }
    let dot = match groups.pooled[..] {
        [Key::SEED] => "a seed",
        _ => "a run",
    };
    let mut blocks = Vec::new();
    for (i, (title, rows)) in charts.iter().take(MOST_STRIP_CHARTS).enumerate() {
        let strips = rows.iter().map(|group| {
            let names = within
                .iter()
                .map(|&i| named(&groups.by[i], group.places[i]));
            let names: Vec<String> = names.collect();
            Strip {
                name: match names.is_empty() {
                    true => "all runs".into(),
                    false => names.join(", "),
                },
                color: within.first().map_or(0, |&i| group.places[i]),
                values: thinned(&group.accuracies).map(|a| 100.0 * a).collect(),
                reference: None,
                marked: group.accuracy.filter(|a| a.n > 1).map(|a| 100.0 * a.median),
            }
        });
        let svg = figures::strips(&StripChart {
            title: (*title).into(),
            axis: figures::Axis::linear("final test accuracy, %"),
            strips: strips.collect(),
            mark: Mark::Median,
            dot: dot.into(),
            reference: String::new(),
        })?;
        let all = rows.iter().all(|group| group.accuracies.len() <= MOST_DOTS);
        let which = if all { "every run" } else { "runs" };
        let caption = format!("Final test accuracy of {which}{}", of(title));
        blocks.push(figure("runs", i, caption, svg));
    }
    let full = groups.groups.iter();
    let said = match full.filter(|g| g.accuracies.len() > MOST_DOTS).count() {
        0 => None,
        1 => Some(format!(
            "One group has more than {MOST_DOTS} runs: of its runs {MOST_DOTS} are drawn"
        )),
        n => Some(format!(
            "{} groups have more than {MOST_DOTS} runs: of their runs {MOST_DOTS} each are drawn",
            count(n)
        )),
    };
    if let Some(said) = said {
        let text = format!(
            "{said}, at equal distances in the order of their accuracies, the least and the \
             greatest among them. The median is that of all."
        );
        blocks.insert(0, paragraph(&text));
    }
    blocks.extend(left_out("charts", MOST_STRIP_CHARTS, charts.len()));
    Ok(blocks)
}

/// All of the values, which ascend, or [`MOST_DOTS`] of them: the first, the last, and others
/// at equal distances between.
fn thinned(values: &[f64]) -> impl Iterator<Item = f64> {
    let shown = values.len().min(MOST_DOTS);
    let last = values.len().saturating_sub(1);
    (0..shown).map(move |i| values[i * last / (shown - 1).max(1)])
}

/// `: depth 4.`
fn of(title: &str) -> String {
    match title.is_empty() {
        true => ".".into(),
        false => format!(": {}.", literal(title)),
    }
}

fn figure(name: &str, i: usize, caption: String, svg: String) -> Block {
    Block::Figure(Figure {
        name: format!("{name}_{}", i + 1),
        caption,
        svg,
    })
}

fn left_out(what: &str, most: usize, all: usize) -> Option<Block> {
    (all > most).then(|| {
        let (most, all) = (count(most), count(all));
        paragraph(&format!("The first {most} of {all} {what}. {NARROW}"))
    })
}

//! The sections of the report.

use super::tables::{self, ENDS, counted, literal, runs};
use super::{Report, charts, count, shown};
use crate::Error;
use crate::report::{Block, Document, Section};
use crate::sweep::groups::{Axis, Groups, Key};
use crate::sweep::store::Index;
use std::collections::BTreeMap;

/// Rows of the table of groups.
const MOST_ROWS: usize = 1_000;
/// Values of a key, hosts or versions that are listed.
const MOST_LISTED: usize = 12;

/// How to see what was left out.
pub(super) const NARROW: &str =
    "`--where KEY=VALUE` selects runs, `--by KEY,…` makes groups of fewer keys.";

/// What is wrong with the store and its records.
pub(super) fn notes(groups: &Groups, index: &Index) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(first) = index.conflicts().first() {
        notes.push(format!(
            "{} with more than one result, of which the first was taken: one of them is corrupt, \
             or comes from a program that breaks the numerics contract. The first: {first}",
            runs(index.conflicts().len())
        ));
    }
    if let Some(first) = index.damage().first() {
        let lines: u64 = index.damage().iter().map(|damage| damage.lines).sum();
        notes.push(format!(
            "{} left out; the first: {first}",
            were(lines as usize, "damaged line")
        ));
    }
    if let Some(first) = index.torn().first() {
        notes.push(format!(
            "{} in a record that is incomplete, as while it is written; the first: {first}",
            match index.torn().len() {
                1 => "1 segment ends".into(),
                n => format!("{} segments end", count(n)),
            }
        ));
    }
    if let Some((n, first)) = &groups.unreadable {
        notes.push(format!(
            "{} left out; the first: {first}",
            match n {
                1 => "1 record is not that of a training run and was".into(),
                n => format!(
                    "{} records are not those of training runs and were",
                    count(*n)
                ),
            }
        ));
    }
    if !groups.has_curves {
        notes.push(
            "There are no curves: they would take more than four million points. Select fewer \
             runs with --where."
                .into(),
        );
    }
    notes
}

/// `1 line was`, `2 lines were`
fn were(n: usize, what: &str) -> String {
    let were = if n == 1 { "was" } else { "were" };
    format!("{} {were}", counted(n, what))
}

pub(super) fn document(report: &Report) -> Result<Document, Error> {
    let groups = &report.groups;
    let mut sections = vec![summary(report), table(report)];
    let others = [
        ("heat-maps", "Heat maps", charts::heat_maps(groups)?),
        ("curves", "Accuracy while training", charts::curves(groups)?),
        ("runs", "Every run", charts::strips(groups)?),
    ];
    for (id, title, blocks) in others {
        if !blocks.is_empty() {
            sections.push(section(id, title, blocks));
        }
    }
    if !groups.best.is_empty() {
        let table = Block::Table(tables::best(report));
        sections.push(section("best", "The best runs", vec![table]));
    }
    if !groups.failures.is_empty() {
        let text = "They have no result and are in none of the statistics. `fanin sweep run` \
                    runs them again.";
        let blocks = vec![paragraph(text), Block::Table(tables::failures(report))];
        sections.push(section("failed", "Runs that failed", blocks));
    }
    let all = groups.counts.results() + groups.counts.failed;
    Ok(Document {
        title: format!("Sweep {}", literal(&report.name)),
        subtitle: format!(
            "{} in {}; fanin {}",
            runs(all),
            counted(groups.groups.len(), "group"),
            env!("CARGO_PKG_VERSION")
        ),
        sections,
    })
}

fn summary(report: &Report) -> Section {
    let groups = &report.groups;
    let by: Vec<String> = groups
        .by
        .iter()
        .map(|axis| format!("`{}`", axis.key))
        .collect();
    let pooled: Vec<String> = groups.pooled.iter().map(|key| format!("`{key}`")).collect();
    let mut text = varying(groups);
    text += &match by.is_empty() {
        true => " All runs are one group".to_string(),
        false => format!(" Runs with the same {} are a group", listed(&by)),
    };
    text += &match pooled.is_empty() {
        true => ", in which nothing varies.".to_string(),
        false => format!("; the statistics are over {}.", listed(&pooled)),
    };
    let others: Vec<String> = pooled.into_iter().filter(|key| key != "`seed`").collect();
    if !others.is_empty() {
        text += &format!(
            " The groups mix runs with different {}: their spread is not that of seeds alone.",
            listed(&others)
        );
    }
    text += " The accuracy is that on the test images, and the final one the last that was \
             measured";
    let counts = &groups.counts;
    let early = [
        (counts.diverged, "diverged"),
        (counts.pruned, "were pruned"),
    ];
    let early: Vec<&str> = early
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(_, what)| *what)
        .collect();
    text += &match early.is_empty() {
        true => ".".to_string(),
        false => format!(
            ", also of runs that {}: they are results and count like the others.",
            early.join(" or ")
        ),
    };
    if counts.failed > 0 {
        text += " Runs that failed have no result: they are counted, and left out of the \
                 statistics.";
    }
    let mut blocks = vec![paragraph(&text)];
    let notes = report.notes.iter();
    blocks.extend(notes.map(|note| paragraph(&format!("**Note.** {}", literal(note)))));
    blocks.push(Block::KeyValues(facts(groups)));
    section("summary", "In short", blocks)
}

/// Which keys are not the same in all runs.
fn varying(groups: &Groups) -> String {
    let seed = (groups.origin.seeds > 1).then_some(Key::SEED);
    let keys = groups.axes.iter().map(|axis| axis.key).chain(seed);
    let keys: Vec<String> = keys.map(|key| format!("`{key}`")).collect();
    let following = groups.following.iter();
    let following: Vec<String> = following.map(|f| format!("`{}`", f.key)).collect();
    let (vary, them) = match keys.len() {
        0 => return "Nothing varies among the runs.".into(),
        1 => ("varies", "it"),
        _ => ("vary", "them"),
    };
    let with = match following.is_empty() {
        true => String::new(),
        false => format!(", and with {them} {}", listed(&following)),
    };
    format!(
        "{} {vary} among the runs{with}; all else is the same.",
        listed(&keys)
    )
}

fn facts(groups: &Groups) -> Vec<(String, String)> {
    let (counts, origin) = (&groups.counts, &groups.origin);
    let all = counts.results() + counts.failed;
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_string(), value));
    let selected = match all < groups.runs {
        true => format!(
            "{} selected of {} in the store",
            count(all),
            count(groups.runs)
        ),
        false => count(all),
    };
    fact("Runs", selected);
    let ends = ENDS.iter().filter(|(_, n)| n(counts) > 0);
    let ends = ends.map(|(name, n)| format!(", {} {name}", count(n(counts))));
    fact(
        "How they ended",
        format!("{} ok{}", count(counts.ok), ends.collect::<String>()),
    );
    fact("Groups", count(groups.groups.len()));
    let grouped = |axis: &Axis| groups.by.iter().any(|by| by.key == axis.key);
    let others = groups.axes.iter().filter(|axis| !grouped(axis));
    for axis in groups.by.iter().chain(others) {
        let values = axis
            .values
            .iter()
            .map(|value| literal(&shown(value.as_ref())));
        fact(&format!("`{}`", axis.key), shortened(values.collect()));
    }
    let mut following: Vec<(String, Vec<String>)> = Vec::new();
    for follows in &groups.following {
        let from: Vec<String> = follows.from.iter().map(|key| format!("`{key}`")).collect();
        let (from, key) = (listed(&from), format!("`{}`", follows.key));
        match following.iter_mut().find(|(known, _)| *known == from) {
            Some((_, keys)) => keys.push(key),
            None => following.push((from, vec![key])),
        }
    }
    for (from, keys) in following {
        fact(&format!("Follows from {from}"), listed(&keys));
    }
    if let (Some((low, high)), false) = (origin.seed_range, by_seed(groups)) {
        let range = match low == high {
            true => format!("{low}"),
            false => format!("{} different ones, {low} to {high}", count(origin.seeds)),
        };
        fact("`seed`", range);
    }
    fact("Hosts", named(&origin.hosts));
    fact("Versions of fanin", named(&origin.versions));
    if let Some((first, last)) = &origin.times {
        fact("Records made", literal(&format!("{first} to {last}")));
    }
    fact("Time of all runs", duration(origin.seconds));
    let reach = groups.reach;
    fact(
        &format!("{reach} % at"),
        format!("first evaluation with at least {reach} %; there is one before the first step"),
    );
    fact(
        "± 95 %",
        "half of the 95 % interval of the mean, by Student's t".into(),
    );
    fact("95 % interval of a share", "by Wilson".into());
    facts
}

fn by_seed(groups: &Groups) -> bool {
    groups.by.iter().any(|axis| axis.key == Key::SEED)
}

fn table(report: &Report) -> Section {
    let all = report.groups.groups.len();
    let mut blocks = Vec::new();
    if all > MOST_ROWS {
        blocks.push(paragraph(&format!(
            "The first {} of {} groups; all are in `tables/all_groups.csv`. {NARROW}",
            count(MOST_ROWS),
            count(all)
        )));
    }
    blocks.push(Block::Table(tables::shown(report, MOST_ROWS)));
    section("groups", "The groups", blocks)
}

/// `a`, `a and b`, `a, b and c`
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The first few.
fn shortened(texts: Vec<String>) -> String {
    let all = texts.len();
    let shown = texts
        .into_iter()
        .take(MOST_LISTED)
        .collect::<Vec<_>>()
        .join(", ");
    match all > MOST_LISTED {
        true => format!("{shown}, … ({} values)", count(all)),
        false => shown,
    }
}

fn named(counts: &BTreeMap<String, usize>) -> String {
    match counts.iter().collect::<Vec<_>>()[..] {
        [(name, _)] => literal(name),
        _ => {
            let texts = counts
                .iter()
                .map(|(name, n)| format!("{} ({})", literal(name), count(*n)));
            shortened(texts.collect())
        }
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

fn section(id: &str, title: &str, blocks: Vec<Block>) -> Section {
    Section {
        id: id.into(),
        title: title.into(),
        blocks,
    }
}

pub(super) fn paragraph(text: &str) -> Block {
    Block::Paragraph(text.into())
}

//! What readers see says neither more nor less than was measured.

use crate::reports::{paragraphs, run};
use crate::stores::{few, groups, index, plan, record, trained, write};
use fanin::report::{Block, Figure};
use fanin::sweep::Report;
use fanin::train::Status;
use std::path::Path;
use tempfile::TempDir;

/// 300 runs of each of four groups, of which 0, 1, 299 and 300 reach 80 %. The last accuracies
/// are 0.0001 apart; the lowest of the first group is 10 %.
fn shares(dir: &Path) {
    let plan = plan(
        "name = \"n\"\n[train]\nsteps = 1000\n[grid]\n\
         init = [\"zeros\", \"lecun_normal\", \"he_normal\", \"glorot_normal\"]\n\
         seed = \"1..=300\"\n",
    );
    let records = plan.iter().map(|planned| {
        let seed = planned.config.seed as usize;
        let low = match planned.config.init.to_string().as_str() {
            "zeros" => 300,
            "lecun_normal" => 299,
            "he_normal" => 1,
            _ => 0,
        };
        let last = if seed <= low { 1_000 } else { 9_000 } + seed;
        record(&planned, &trained(Status::Ok, &[900, last]), 1.0)
    });
    write(dir, records);
}

#[test]
fn a_share_that_is_not_all_or_none_does_not_look_so() {
    let folder = TempDir::new().expect("a folder");
    shares(folder.path());
    let text = run(folder.path(), &[]);
    let markdown = run(folder.path(), &["--format", "markdown"]);
    for (init, share, interval) in [
        ("zeros", "0 %", "0–1 %"),
        ("lecun_normal", "<1 %", "<1–2 %"),
        ("he_normal", ">99 %", "98–>99 %"),
        ("glorot_normal", "100 %", "99–100 %"),
    ] {
        let row = |text: &str| {
            let mut rows = text.lines();
            let row = rows.find(|row| row.trim_start_matches("| ").starts_with(init));
            row.expect("a row").to_string()
        };
        assert!(row(&text).contains(&format!("  {share}  ")), "{text}");
        let row = row(&markdown).replace("\\>", ">").replace("\\<", "<");
        let row = row.replace("&lt;", "<").replace("&gt;", ">");
        assert!(row.contains(&format!("| {share} |")), "{row}");
        assert!(row.contains(&format!("| {interval} |")), "{row}");
    }
    let csv = run(folder.path(), &["--format", "csv"]);
    assert!(csv.contains(",299,0.9966666666666667,"), "{csv}");
}

fn figures(report: &Report) -> Vec<Figure> {
    let document = report.document().expect("figures can be drawn");
    let blocks = document.sections.into_iter().flat_map(|s| s.blocks);
    let figures = blocks.filter_map(|block| match block {
        Block::Figure(figure) => Some(figure),
        _ => None,
    });
    figures.collect()
}

fn strips(report: &Report) -> String {
    let mut figures = figures(report).into_iter();
    figures.find(|f| f.name == "runs_1").expect("a chart").svg
}

/// The attribute of all elements of a kind.
fn attributes(svg: &str, element: &str, name: &str) -> Vec<String> {
    let xml = roxmltree::Document::parse(svg).expect("XML");
    let nodes = xml.descendants().filter(|n| n.has_tag_name(element));
    let values = nodes.filter_map(|n| n.attribute(name));
    values.map(String::from).collect()
}

#[test]
fn of_many_runs_some_are_drawn_and_it_says_so() {
    let folder = TempDir::new().expect("a folder");
    shares(folder.path());
    let all = Report::new(
        "n",
        groups(folder.path(), Some(&[]), &[]),
        &index(folder.path()),
    );
    let said = paragraphs(&all);
    let expected = "One group has more than 400 runs: of its runs 400 are drawn";
    assert!(said.contains(expected), "{said}");
    let svg = strips(&all);
    let places = attributes(&svg, "circle", "cx");
    assert_eq!(places.len(), 400 + 1, "and one in the legend");
    let places: Vec<f64> = places
        .iter()
        .map(|x| x.parse().expect("a number"))
        .collect();
    // The axis is the same as with all: the least and the greatest are among those drawn,
    // and so are as many of the lower ones as there are among all.
    let middle = places[..400]
        .iter()
        .fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    let middle = (middle.0 + middle.1) / 2.0;
    let low = places[..400].iter().filter(|x| **x < middle).count();
    assert_eq!(low, 200);
    assert_eq!(svg, strips(&all));

    let some = groups(folder.path(), Some(&["init"]), &[]);
    let some = Report::new("n", some, &index(folder.path()));
    assert!(!paragraphs(&some).contains("are drawn"));
    assert_eq!(attributes(&strips(&some), "circle", "cx").len(), 1_200 + 1);
}

/// The marks of medians: thick lines.
fn marks(svg: &str) -> usize {
    let widths = attributes(svg, "polyline", "stroke-width");
    let lines = attributes(svg, "line", "stroke-width");
    widths.iter().chain(&lines).filter(|w| *w == "44").count()
}

#[test]
fn one_run_has_no_spread() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few());
    let text = run(folder.path(), &[]);
    let row = |text: &str, start: &str| {
        let row = text.lines().find(|row| row.starts_with(start));
        row.expect("a row").to_string()
    };
    let cells = row(&text, "lecun_normal");
    let cells: Vec<&str> = cells.split_whitespace().collect();
    assert_eq!(
        cells[..6],
        ["lecun_normal", "1", "90.00", "—", "—", "100"],
        "{text}"
    );
    let markdown = run(folder.path(), &["--format", "markdown"]);
    let cells = row(&markdown, "| lecun_normal");
    let expected = "| lecun_normal | 1 | 90.00 % | — | 100 % | 1,000 | — | — | — | — | — |";
    assert!(cells.starts_with(expected), "{cells}");
    let report = Report::new("n", groups(folder.path(), None, &[]), &index(folder.path()));
    assert_eq!(marks(&strips(&report)), 1, "that of he_normal");
}

#[test]
fn one_of_something_is_not_several() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few().drain(..1));
    let text = run(folder.path(), &[]);
    assert!(text.contains(": 1 run: 1 ok\n"), "{text}");
    let report = Report::new("n", groups(folder.path(), None, &[]), &index(folder.path()));
    let document = report.document().expect("figures can be drawn");
    let start = document.subtitle.split(';').next();
    assert_eq!(start, Some("1 run in 1 group"));
}

#[test]
fn it_says_what_varies() {
    let folder = TempDir::new().expect("a folder");
    let said = |dir: &Path, by: Option<&[&str]>| {
        paragraphs(&Report::new("n", groups(dir, by, &[]), &index(dir)))
    };
    write(&folder.path().join("one"), few().drain(..1));
    let text = said(&folder.path().join("one"), None);
    assert!(text.contains("Nothing varies among the runs."), "{text}");

    let dir = folder.path().join("few");
    write(&dir, few());
    let text = said(&dir, None);
    let expected = "`init` and `seed` vary among the runs; all else is the same.";
    assert!(text.contains(expected), "{text}");
    assert!(!text.contains("mix"), "{text}");
    let text = said(&dir, Some(&[]));
    let expected = "The groups mix runs with different `init`";
    assert!(text.contains(expected), "{text}");

    let dir = folder.path().join("zip");
    let plan =
        plan("name = \"n\"\n[[zip]]\nactivation = [\"sigmoid\", \"relu\"]\nlr = [3.0, 0.1]\n");
    let run = trained(Status::Ok, &[1_000, 9_000]);
    write(&dir, plan.iter().map(|planned| record(&planned, &run, 1.0)));
    let text = said(&dir, None);
    let expected = "`activation` varies among the runs, and with it `output_activation` and `lr`; \
                    all else is the same.";
    assert!(text.contains(expected), "{text}");
}

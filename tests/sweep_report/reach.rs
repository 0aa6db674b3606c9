//! `--reach`: the accuracy that runs are to reach.

use crate::reports::{fanin, run};
use crate::stores::{few, index, write};
use fanin::sweep::{GroupOptions, Groups, Reach, Report};
use predicates::str::contains;
use tempfile::TempDir;

/// By hand from the evaluations of [`few`], at steps 0, 1,000 and 2,000: how many of the five
/// runs of he_normal reach it, and their median step. Every one of these accuracies but 100
/// is one that was measured, to the last image.
const REACHED: [(&str, usize, Option<f64>); 8] = [
    ("9", 5, Some(0.0)),
    ("10", 5, Some(0.0)),
    ("11.35", 5, Some(1_000.0)),
    ("79.99", 4, Some(1_000.0)),
    ("80", 3, Some(2_000.0)),
    ("94.23", 3, Some(2_000.0)),
    ("95.12", 2, Some(2_000.0)),
    ("100", 0, None),
];

#[test]
fn runs_reach_what_they_are_asked_for() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few());
    let index = index(folder.path());
    for (text, count, steps) in REACHED {
        let reach: Reach = text.parse().expect("a percentage");
        let options = GroupOptions {
            reach,
            ..GroupOptions::default()
        };
        let groups = Groups::read(&index, &options).expect("groups");
        let he = &groups.groups[0];
        assert_eq!(groups.reach, reach);
        assert_eq!((he.reached, he.steps_to_reach), (count, steps), "{text}");
        assert_eq!(he.share_reached(), Some(count as f64 / 5.0), "{text}");
        // A run that failed reaches nothing.
        assert_eq!(groups.groups[2].reached, 0, "{text}");
    }
    let best = |reach: &str| {
        let options = GroupOptions {
            reach: reach.parse().expect("a percentage"),
            ..GroupOptions::default()
        };
        let groups = Groups::read(&index, &options).expect("groups");
        let steps = groups.best.iter().map(|best| best.steps_to_reach);
        steps.collect::<Vec<_>>()
    };
    let (early, middle, late) = (Some(0), Some(1_000), Some(2_000));
    let by_seed_3_1_2_1_5_4 = [middle, early, early, early, middle, early];
    assert_eq!(best("10"), by_seed_3_1_2_1_5_4);
    assert_eq!(best("80"), [late, late, middle, middle, None, None]);
    assert_eq!(best("95.12"), [late, late, None, None, None, None]);
}

#[test]
fn all_formats_say_which_accuracy_it_is() {
    let folder = TempDir::new().expect("a folder");
    let (dir, out) = (folder.path().join("store"), folder.path().join("out"));
    write(&dir, few());
    let run = |args: &[&str]| run(&dir, args);

    let csv = run(&["--reach", "79.990", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let row = reader.records().next().expect("a row").expect("a row");
    let cell = |name: &str| {
        let column = header.iter().position(|title| title == name);
        row[column.unwrap_or_else(|| panic!("no {name} in {header:?}"))].to_string()
    };
    assert_eq!(cell("reached_79_99"), "4");
    assert_eq!(cell("share_79_99"), "0.8");
    // Python: scipy.stats.binomtest(4, 5).proportion_ci(method='wilson').
    for (name, expected) in [
        ("share_79_99_low", 0.375_534_629_762_525_3),
        ("share_79_99_high", 0.963_775_891_367_569_8),
    ] {
        let found: f64 = cell(name).parse().expect("a number");
        assert!((found - expected).abs() < 1e-12, "{name} {found}");
    }
    assert_eq!(cell("median_steps_to_79_99"), "1000");
    assert!(!csv.contains("80"), "{csv}");

    let json = run(&["--reach", "79.99", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["reached_79_99"]["count"], 4);
    assert_eq!(json[0]["reached_79_99"]["median_steps"], 1_000.0);
    assert!(json[0].get("reached_80").is_none());

    let markdown = run(&["--reach", "79.99", "--format", "markdown"]);
    let head = markdown.lines().nth(2).expect("a header");
    for title in [
        "≥ 79.99 % (of the runs)",
        "79.99 % at (median step)",
        "95 % interval (of ≥ 79.99 %)",
    ] {
        assert!(head.contains(title), "{title}: {head}");
    }

    let folder = out.to_str().expect("text");
    let text = run(&["--reach", "33.333333", "--out", folder]);
    for said in [
        " ≥33.333333 %  to 33.333333",
        "\n≥33.333333 %: share of runs that reach it; to 33.333333: median step of those.\n",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let narrow = text.lines().all(|line| line.chars().count() <= 80);
    assert!(narrow && !text.contains("≥80"), "{text}");
    let html = std::fs::read_to_string(out.join("report.html")).expect("a report");
    // Which does not break lines there.
    let html = html.replace("\u{a0}%", " %");
    let report = std::fs::read_to_string(out.join("report.md")).expect("a report");
    for text in [&html, &report] {
        assert!(text.contains("how soon 33.333333 % are reached"), "{text}");
        assert!(text.contains("33.333333 % at") && text.contains("≥ 33.333333 %"));
        assert!(
            !text.contains("80 % at") && !text.contains("≥ 80"),
            "{text}"
        );
    }
    let tables = out.join("tables");
    let all = std::fs::read_to_string(tables.join("all_groups.csv")).expect("a table");
    assert!(all.contains(",share_33_333333,"), "{all}");
}

#[test]
fn eighty_is_the_default_however_it_is_written() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few());
    for format in ["text", "markdown", "csv", "json"] {
        let default = run(folder.path(), &["--format", format]);
        let args = ["--format", format, "--reach", "080.0"];
        assert_eq!(default, run(folder.path(), &args), "{format}");
    }
    let index = index(folder.path());
    let groups = Groups::read(&index, &GroupOptions::default()).expect("groups");
    let header = Report::new("n", groups, &index).csv();
    assert!(
        header.contains(",reached_80,share_80,share_80_low,share_80_high,median_steps_to_80,"),
        "{header}"
    );
}

#[test]
fn what_is_no_accuracy_is_a_wrong_argument() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few());
    for text in [
        "0",
        "-5",
        "100.5",
        "15%",
        "1e1",
        "NaN",
        "half",
        "",
        "0.0000001",
    ] {
        let mut command = fanin();
        let args = ["sweep", "report", "--reach", text];
        let assert = command.args(args).arg(folder.path()).assert();
        assert
            .code(2)
            .stdout("")
            .stderr(contains("--reach <PERCENT>"))
            .stderr(contains("above 0, at most 100"));
    }
}

//! The folder of a report, again and again.

use crate::reports::{fanin, run};
use crate::stores::{depths, few, groups, write};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The files in it, by their paths.
fn files(dir: &Path) -> BTreeSet<String> {
    let names = ["", "tables", "figures"].into_iter().flat_map(|sub| {
        let entries = std::fs::read_dir(dir.join(sub)).expect("a folder");
        let entries = entries.map(|entry| entry.expect("an entry"));
        let files = entries.filter(|entry| entry.path().is_file());
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().expect("text");
        let names = files.map(name);
        names.map(move |name| format!("{sub}/{name}").trim_start_matches('/').to_string())
    });
    names.collect()
}

#[test]
fn a_report_in_a_folder() {
    let folder = TempDir::new().expect("a folder");
    let (dir, out) = (folder.path().join("depths"), folder.path().join("out"));
    depths(&dir);
    run(&dir, &["--out", out.to_str().expect("text")]);
    let html = std::fs::read_to_string(out.join("report.html")).expect("a report");
    let xml = roxmltree::Document::parse(html.trim_start_matches("<!DOCTYPE html>")).expect("XML");
    let sections = xml.descendants().filter(|n| n.has_tag_name("section"));
    let sections: Vec<_> = sections.filter_map(|n| n.attribute("id")).collect();
    let expected = [
        "summary",
        "groups",
        "heat-maps",
        "curves",
        "runs",
        "best",
        "failed",
    ];
    assert_eq!(sections, expected);
    let rows = |id: &str| {
        let table = xml
            .descendants()
            .find(|n| n.attribute("id") == Some(id))
            .expect("a table");
        let body = table
            .descendants()
            .find(|n| n.has_tag_name("tbody"))
            .expect("a body");
        body.children().filter(|n| n.has_tag_name("tr")).count()
    };
    assert_eq!((rows("table-groups"), rows("table-best")), (50, 10));
    let figures = xml
        .descendants()
        .filter(|n| n.attribute("class") == Some("chart"))
        .count();
    assert_eq!(figures, 2 + 10 + 2, "heat maps, curves, runs");
    // A run has its dot; in each legend there is one more.
    let dots = |name: &str| {
        let svg = std::fs::read_to_string(out.join("figures").join(name)).expect("a figure");
        let xml = roxmltree::Document::parse(&svg).expect("XML");
        xml.descendants()
            .filter(|n| n.has_tag_name("circle"))
            .count()
    };
    let failures = groups(&dir, None, &[]).counts.failed;
    assert!(failures > 0);
    assert_eq!(dots("runs_1.svg") + dots("runs_2.svg"), 400 - failures + 2);
    let text = xml
        .root_element()
        .descendants()
        .filter_map(|n| n.text())
        .collect::<String>();
    assert!(text.contains("also of runs that diverged or were pruned"));
    assert!(text.contains("Runs that failed have no result"));
    let csv = std::fs::read_to_string(out.join("tables/all_groups.csv")).expect("a table");
    assert_eq!(csv.lines().count(), 51);
    assert_eq!(csv, run(&dir, &["--format", "csv"]));
    assert!(out.join("report.md").is_file() && out.join("tables/groups.csv").is_file());
}

#[test]
fn the_folder_is_written_even_if_nobody_reads_the_table() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few());
    let out = folder.path().join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args(["sweep", "report"])
        .arg(folder.path())
        .arg("--out")
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    drop(child.stdout.take());
    child.wait().expect("ends");
    assert!(out.join("report.html").is_file());
}

#[test]
fn what_an_earlier_report_wrote_is_removed_and_nothing_else() {
    let folder = TempDir::new().expect("a folder");
    let (dir, out) = (folder.path().join("depths"), folder.path().join("out"));
    depths(&dir);
    let report = |args: &[&str]| {
        let args = [args, &["--out", out.to_str().expect("text")]].concat();
        run(&dir, &args);
    };
    report(&[]);
    let first = files(&out);
    let known = [
        "tables/failed.csv",
        "figures/heat_map_2.svg",
        "figures/curves_10.svg",
    ];
    assert!(known.iter().all(|name| first.contains(*name)), "{first:?}");
    // What a user has put there or changed is theirs.
    let theirs = [
        "figures/curves_99.svg",
        "tables/mine.csv",
        "figures/curves_10.svg",
        "note",
    ];
    for name in theirs {
        std::fs::write(out.join(name), "mine").expect("written");
    }
    report(&["--by", "init", "--where", "status=ok"]);
    let second = files(&out);
    for name in theirs {
        let text = std::fs::read_to_string(out.join(name)).expect("still there");
        assert_eq!(text, "mine", "{name}");
    }
    let fresh = folder.path().join("fresh");
    let args = ["--by", "init", "--where", "status=ok", "--out"];
    run(
        &dir,
        &[&args[..], &[fresh.to_str().expect("text")]].concat(),
    );
    let mut expected = files(&fresh);
    expected.extend(theirs.map(String::from));
    assert_eq!(second, expected);
    assert!(second.len() < first.len());

    // The list of another program's files takes none away.
    let list = out.join("files.sha256");
    std::fs::write(out.join("figures/old.svg"), "old").expect("written");
    let hostile = "\n\u{0} ../depths/sweep.json\nabc  figures/old.svg\n";
    std::fs::write(&list, hostile).expect("written");
    report(&[]);
    assert!(out.join("figures/old.svg").is_file());
    let mut command = fanin();
    std::fs::remove_file(&list).expect("removed");
    std::fs::create_dir(&list).expect("made");
    let args = ["--out", out.to_str().expect("text")];
    let failed = command
        .args(["sweep", "report"])
        .arg(&dir)
        .args(args)
        .assert();
    failed.failure();
}

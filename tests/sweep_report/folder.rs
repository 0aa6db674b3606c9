//! The folder of a report, again and again.

use crate::reports::{fanin, run};
use crate::stores::{depths, few, write};
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

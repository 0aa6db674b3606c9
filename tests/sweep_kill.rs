//! Sweeps that are ended at random moments, by `kill -9` and by signals that can be caught.
//!
//! `FANIN_KILLS=200 cargo test --release --test sweep_kill -- --nocapture` for more than the
//! usual 4.

#[path = "sweep/small.rs"]
mod small;

use fanin::sweep::store::{Index, Store};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The program, at work.
fn start(folder: &TempDir, out: &str) -> Child {
    let mut command = small::program(folder);
    command.args(["sweep", "run", "spec.toml", "--threads", "2", "--out", out]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Runs it to its end; what it said on stdout.
fn finish(folder: &TempDir, out: &str) -> String {
    let output = start(folder, out).wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of all records, without what differs between two times that a run is run.
fn lines(index: &Index) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    index
        .visit(|line| {
            let mut record: Value = serde_json::from_str(line.json()).unwrap();
            let members = record.as_object_mut().unwrap();
            for name in ["time", "seconds", "us_per_step", "dense_limit", "crc32"] {
                members.remove(name);
            }
            lines.insert(record.to_string());
            ControlFlow::Continue(())
        })
        .unwrap();
    lines
}

fn index(folder: &Path) -> Option<Index> {
    let index = Store::open(folder).ok()?.index().unwrap();
    assert_eq!(
        (index.damage(), index.conflicts(), index.duplicates()),
        (&[][..], &[][..], 0)
    );
    Some(index)
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let kills: u64 = std::env::var("FANIN_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let folder = small::folder();
    // Enough for the kills, and short enough to be many a second.
    let seeds = 250 * kills;
    let grid = format!("[grid]\nlayers = [[16, 8, 4]]\nseed = \"1..={seeds}\"\n");
    let spec = small::spec(&grid).replace("steps = 60", "steps = 1000");
    fs::write(folder.path().join("spec.toml"), spec).unwrap();
    finish(&folder, "whole");
    let expected = lines(&index(&folder.path().join("whole")).unwrap());
    assert_eq!(expected.len() as u64, seeds);

    let out = folder.path().join("out");
    let mut state = 7;
    let (mut killed, mut before) = (0, BTreeSet::new());
    while killed < kills {
        let mut child = start(&folder, "out");
        // A random moment, often after the first records have been synced. Nothing that is
        // asserted depends on it.
        std::thread::sleep(Duration::from_millis(random(&mut state) % 1_500));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        if let Some(index) = index(&out) {
            let now = lines(&index);
            assert!(now.is_superset(&before), "a record was lost");
            assert!(now.is_subset(&expected));
            before = now;
        }
        if ended && before.len() == expected.len() {
            break;
        }
    }
    println!(
        "{killed} kills, {} of {seeds} runs done before the last one",
        before.len()
    );
    finish(&folder, "out");
    assert_eq!(lines(&index(&out).unwrap()), expected);
}

#[test]
#[cfg(unix)]
fn a_signal_ends_a_sweep_and_keeps_what_is_done() {
    let folder = small::folder();
    // More than could be done, so that the signal comes before the end.
    let grid = "[grid]\nlayers = [[16, 4]]\nseed = \"1..=1000000\"\n";
    fs::write(folder.path().join("spec.toml"), small::spec(grid)).unwrap();
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = start(&folder, "out");
        let out = folder.path().join("out");
        let records = |out: &Path| Some(Store::open(out).ok()?.index().ok()?.len());
        let before = records(&out).unwrap_or(0);
        while records(&out).unwrap_or(0) <= before {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(status));
        let mut text = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        // Thousands have commas.
        let told = text.split(' ').next().unwrap().replace(',', "");
        let told: usize = told.parse().unwrap();
        let index = index(&out).unwrap();
        assert_eq!(index.len(), before + told, "{text}");
        assert!(index.torn().is_empty());
    }
}

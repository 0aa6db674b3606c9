//! Writers of a store that are killed at random moments.
//!
//! This program starts itself again as the writer, which tells on stdout what it has synced.
//! `FANIN_KILLS=200 cargo test --test store_kill -- --nocapture` for more than the usual 20.

use fanin::sweep::store::{Record, Store, StoreError, Writer};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Set for the writer only.
const FOLDER: &str = "FANIN_STORE_FOLDER";
const RUNS: &str = "FANIN_STORE_RUNS";
/// Records between two syncs, 0 for a number that varies.
const BATCH: &str = "FANIN_STORE_BATCH";

fn run_id(n: u64) -> String {
    format!("{n:016x}")
}

/// Every fiftieth is large, so that some are cut.
fn record(n: u64) -> Record {
    let length = if n % 50 == 7 { 300_000 } else { n % 400 };
    let object = json!({
        "status": "ok",
        "n": n,
        "square": (n * n) as f64 / 3.0,
        "text": "x".repeat(length as usize),
    });
    Record::new(&run_id(n), object.as_object().unwrap().clone()).unwrap()
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The writer: adds what is missing.
#[test]
#[ignore = "started by the other test"]
fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let number = |name| -> u64 { std::env::var(name).unwrap().parse().unwrap() };
    let (runs, batch) = (number(RUNS), number(BATCH));
    let store = Store::open(Path::new(&folder)).unwrap();
    let writer = store.writer().unwrap();
    println!("\nsegment {}", writer.path().display());
    let index = store.index().unwrap();
    let mut state = std::process::id().into();
    let mut unsynced = Vec::new();
    let mut left = 1;
    for n in (0..runs).filter(|n| !index.contains(&run_id(*n))) {
        writer.append(&record(n)).unwrap();
        unsynced.push(n);
        left -= 1;
        if left == 0 {
            writer.sync().unwrap();
            for n in unsynced.drain(..) {
                println!("synced {n}");
            }
            left = match batch {
                0 => 1 + random(&mut state) % 16,
                _ => batch,
            };
        }
    }
    writer.close().unwrap();
    for n in unsynced {
        println!("synced {n}");
    }
    println!("done");
    // Waits for the end of stdin, to be there for whoever wants to see its lock.
    std::io::stdin().lines().for_each(drop);
}

fn start(folder: &Path, runs: u64, batch: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(RUNS, runs.to_string())
        .env(BATCH, batch.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The runs of `store`, with how many segments are torn; all records are what they should be.
fn check(store: &Store) -> (BTreeSet<u64>, usize) {
    let index = store.index().unwrap();
    assert!(index.damage().is_empty(), "{:?}", index.damage());
    index.check().unwrap();
    let mut runs = BTreeSet::new();
    let visited = index.visit(|line| {
        let found = line.record().unwrap();
        let n = found.body["n"].as_u64().unwrap();
        let expected = record(n);
        assert!(found.run == expected.run && found.same_results(&expected));
        runs.insert(n);
        ControlFlow::Continue(())
    });
    visited.unwrap();
    (runs, index.torn().len())
}

#[test]
fn what_a_killed_writer_has_synced_is_there() {
    let kills = std::env::var("FANIN_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let runs = 400 * kills;
    let folder = tempfile::TempDir::new().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let mut synced = BTreeSet::new();
    let mut state = 1;
    // How often a kill left so many torn tails.
    let mut torn_tails = BTreeMap::new();
    for kill in 0..kills {
        let mut child = start(folder.path(), runs, 0);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut note = |line: &str| {
            let number = line.strip_prefix("synced ");
            synced.extend(number.map(|n| n.parse::<u64>().unwrap()));
        };
        let after = random(&mut state) % 64;
        let mut seen = 0;
        while seen < after {
            let line = lines.next().unwrap().unwrap();
            note(&line);
            seen += u64::from(line.starts_with("synced"));
            assert_ne!(line, "done", "too few runs for so many kills");
            if let (0, Some(path)) = (kill, line.strip_prefix("segment ")) {
                // Another process can read, but not write.
                let error = Writer::open(Path::new(path)).unwrap_err();
                assert!(matches!(error, StoreError::Locked(_)), "{error}");
                check(&store);
            }
        }
        for _ in 0..random(&mut state) % 200_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it could still say before its end is true as well.
        for line in lines.map_while(Result::ok) {
            note(&line);
        }
        let (found, torn) = check(&store);
        let lost: Vec<_> = synced.difference(&found).collect();
        assert!(lost.is_empty(), "kill {kill}: {lost:?}");
        *torn_tails.entry(torn).or_insert(0) += 1;
    }
    let before = check(&store).0.len();
    let mut child = start(folder.path(), runs, 1000);
    let mut stdin = child.stdin.take().unwrap();
    stdin.flush().unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let (found, torn) = check(&store);
    assert_eq!(torn, 0);
    assert!(found.into_iter().eq(0..runs));
    assert_eq!(store.segments().unwrap().len(), 1);
    println!(
        "{kills} kills, {} records synced and {before} found before the last start, \
         torn tails {torn_tails:?}",
        synced.len()
    );
}

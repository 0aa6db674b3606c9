//! `fanin sweep status` and `fanin sweep merge`.

mod sweep_records;

use assert_cmd::Command;
use fanin::sweep::status::SweepStatus;
use fanin::sweep::store::{Record, Store};
use fanin::sweep::{Manifest, Plan};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sweep_records::{append, failed, manifest, ok, plan, pruned};
use tempfile::tempdir;

const RULE: &str = "accuracy < 0.12 at step 50";

/// Twelve runs.
fn spec(stop_when: &str) -> String {
    format!(
        r#"
        name = "a status"
        stop_when = "{stop_when}"
        [train]
        layers = [784, 90, 10]
        steps = 100
        eval_every = 50
        [grid]
        lr = [0.1, 3]
        seed = "1..=6"
        "#
    )
}

const GOOD: [(u64, usize); 3] = [(0, 1_000), (50, 9_100), (100, 9_000)];
const BEST: [(u64, usize); 3] = [(0, 1_000), (50, 9_100), (100, 9_050)];
const BAD: [(u64, usize); 2] = [(0, 999), (50, 1_000)];

/// 2026-01-31T12:00:00Z, by `date -u +%s`: when all records were made.
const THEN: u64 = 1_769_860_800;

fn status(folder: &Path, seconds_later: u64) -> SweepStatus {
    let now = UNIX_EPOCH + Duration::from_secs(THEN + seconds_later);
    SweepStatus::of(folder, now).unwrap()
}

/// Runs 0 and 1 are ok, 2 has the best accuracy, 3 is pruned, 4 failed.
fn some(plan: &Plan) -> Vec<Record> {
    let run = |i| plan.get(i).unwrap();
    let mut elsewhere = ok(&run(1), &GOOD);
    elsewhere.host = "node-2".into();
    vec![
        ok(&run(0), &GOOD),
        elsewhere,
        ok(&run(2), &BEST),
        pruned(&run(3), &BAD, RULE),
        failed(&run(4), "no memory"),
    ]
}

#[test]
fn runs_are_counted_by_the_spec() {
    let folder = tempdir().unwrap();
    let manifest = manifest(&spec(RULE));
    let mut records = some(&manifest.plan().unwrap());
    // Of another spec, and better than all.
    let other = plan("name = \"other\"\n[grid]\nseed = [77]\n")
        .get(0)
        .unwrap();
    records.push(ok(&other, &[(0, 9_999)]));
    append(folder.path(), &records);
    manifest.write(folder.path()).unwrap();
    let status = status(folder.path(), 58);
    assert_eq!(status.name.as_deref(), Some("a status"));
    assert_eq!(
        (status.planned, status.done, status.missing),
        (Some(12), 4, Some(8))
    );
    let counts: Vec<_> = status.by_status.iter().map(|(s, n)| (&**s, *n)).collect();
    assert_eq!(counts, [("failed", 1), ("ok", 3), ("pruned", 1)]);
    assert_eq!(
        (status.unpruned, status.others, status.unreadable),
        (0, 1, 0)
    );
    let best = status.best.unwrap();
    assert_eq!((&*best.run, best.final_accuracy), (&*records[2].run, 0.905));
    assert_eq!(best.keys, ["lr", "seed"]);
    let config = serde_json::to_value(&best.config).unwrap();
    assert_eq!(
        (&config["lr"], &config["seed"]),
        (&json!(0.1f32), &json!(3))
    );
    assert_eq!((&config["depth"], config.get("bn_eval")), (&json!(1), None));
    let hosts: Vec<_> = status.hosts.iter().map(|h| (&*h.name, h.runs)).collect();
    assert_eq!(hosts, [("node-1", 5), ("node-2", 1)]);
    assert_eq!(status.hosts[1].last_seconds_ago, Some(58));
    assert_eq!(status.failed.len(), 1);
    assert_eq!(status.failed[0].error, "no memory");
    // Four runs of 2.5 s that ended 58 s ago: 4 in 61 s; eight of the same cost are left.
    let rate = status.rate.unwrap();
    assert_eq!(rate.over_seconds, 61);
    assert!((rate.runs_per_minute - 4.0 * 60.0 / 61.0).abs() < 1e-9);
    assert!((status.eta_seconds.unwrap() - 8.0 * 61.0 / 4.0).abs() < 1e-6);
    // Nobody knows whether it still runs.
    let later = self::status(folder.path(), 86_400);
    assert_eq!((later.rate, later.eta_seconds), (None, None));
    assert_eq!(later.last_seconds_ago, Some(86_400));
}

#[test]
fn a_pruned_run_is_done_while_a_rule_ends_it() {
    for (rule, done) in [
        (RULE, 4),
        ("accuracy < 0.1 at step 0", 4),
        ("accuracy < 0.10 at step 50", 3),
        ("accuracy < 0.12 at step 60", 3),
    ] {
        let folder = tempdir().unwrap();
        let manifest = manifest(&spec(rule));
        append(folder.path(), &some(&manifest.plan().unwrap()));
        manifest.write(folder.path()).unwrap();
        let status = status(folder.path(), 10);
        assert_eq!(
            (status.done, status.missing),
            (done, Some(12 - done)),
            "{rule}"
        );
        assert_eq!(status.unpruned, 4 - done);
        let pruned = status.by_status.get("pruned").copied().unwrap_or(0);
        assert_eq!(pruned, done - 3);
    }
}

#[test]
fn without_a_manifest_all_runs_count() {
    let folder = tempdir().unwrap();
    append(folder.path(), &some(&plan(&spec(RULE))));
    let found = status(folder.path(), 10);
    assert_eq!((found.planned, found.done, found.missing), (None, 4, None));
    assert!(found.best.unwrap().keys.contains(&"lr"));
    assert!(found.rate.is_some());
    for (text, expected) in [("{", "sweep.json"), ("{}", "missing field")] {
        std::fs::write(folder.path().join(Manifest::FILE), text).unwrap();
        let found = status(folder.path(), 10);
        assert_eq!((found.planned, found.done), (None, 4));
        let error = found.manifest_error.unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let other = Manifest {
        numerics: 0,
        ..manifest(&spec(RULE))
    };
    other.write(folder.path()).unwrap();
    let error = status(folder.path(), 10).manifest_error.unwrap();
    assert!(error.contains("numerics"), "{error}");
}

/// Flips a bit in the first record of the first segment.
fn damage(folder: &Path) -> PathBuf {
    let segment = Store::open(folder).unwrap().segments().unwrap().remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    segment
}

#[test]
fn damage_is_missing_and_a_torn_tail_is_no_alarm() {
    let folder = tempdir().unwrap();
    let manifest = manifest(&spec(RULE));
    append(folder.path(), &some(&manifest.plan().unwrap()));
    manifest.write(folder.path()).unwrap();
    let segment = damage(folder.path());
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(b"{\"run\":\"ab");
    std::fs::write(&segment, &bytes).unwrap();
    let found = status(folder.path(), 10);
    assert_eq!((found.done, found.missing), (3, Some(9)));
    assert_eq!((found.damage.len(), found.torn), (1, 1));
    assert!(found.damage[0].contains("line 1"));
    let text = sweep("status", folder.path()).assert().success();
    let text = text.stdout(contains("run again").and(contains("torn").not()));
    text.stderr("");
    // Nothing was changed.
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
}

#[test]
fn what_is_no_training_run_is_counted_apart() {
    let folder = tempdir().unwrap();
    let manifest = manifest(&spec(RULE));
    let run = manifest.plan().unwrap().get(3).unwrap();
    let object = json!({"status": "pruned", "final_accuracy": "high"});
    let record = Record::new(&run.id, object.as_object().unwrap().clone()).unwrap();
    append(folder.path(), &[record]);
    manifest.write(folder.path()).unwrap();
    let found = status(folder.path(), 10);
    assert_eq!(
        (found.unreadable, found.done, found.missing),
        (1, 0, Some(12))
    );
}

fn sweep(command: &str, folder: &Path) -> Command {
    let mut fanin = Command::new(env!("CARGO_BIN_EXE_fanin"));
    fanin.args(["sweep", command]).arg(folder);
    fanin
}

#[test]
fn the_text_fits_a_terminal() {
    let folder = tempdir().unwrap();
    let manifest = manifest(&spec(RULE));
    let mut records = some(&manifest.plan().unwrap());
    records[4]
        .body
        .insert("error".into(), json!("long ".repeat(50)));
    let now = SystemTime::now();
    for record in &mut records {
        // As if made now.
        record.time = Record::new("ab", record_object()).unwrap().time;
    }
    append(folder.path(), &records);
    manifest.write(folder.path()).unwrap();
    let shown = sweep("status", folder.path()).assert().success().stderr("");
    let text = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    for expected in [
        "sweep      a status\n",
        "done       4 of 12 runs (33 %), 8 missing\n",
        "           1 failed, 3 ok, 1 pruned\n",
        "runs a minute over the last ",
        " left\n",
        "best       90.50 % lr=0.1 seed=3\n",
        "hosts      node-1: 4 runs, last ",
        "\n           node-2: 1 run, last ",
        &format!("failed     {}… long long", &records[4].run[..12]),
    ] {
        assert!(text.contains(expected), "{expected:?} in:\n{text}");
    }
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{text}");
    let shown = sweep("status", folder.path())
        .arg("--json")
        .assert()
        .success();
    let json: Value = serde_json::from_slice(&shown.get_output().stdout).unwrap();
    assert_eq!((&json["planned"], &json["done"]), (&json!(12), &json!(4)));
    assert_eq!(json["by_status"]["ok"], 3);
    assert_eq!(json["best"]["config"]["seed"], 3);
    let past = json["last_seconds_ago"].as_u64().unwrap();
    assert!(past <= 1 + now.elapsed().unwrap().as_secs());
    let missing = sweep("status", &folder.path().join("none"))
        .assert()
        .code(1);
    missing.stderr(contains("cannot read the folder"));
    let empty = tempdir().unwrap();
    let shown = sweep("status", empty.path()).assert().success();
    shown.stdout(contains("done       0 runs\n").and(contains("no sweep.json")));
}

fn record_object() -> serde_json::Map<String, Value> {
    json!({"status": "ok"}).as_object().unwrap().clone()
}

#[test]
fn shards_become_one() {
    let [a, b, c] = [(); 3].map(|()| tempdir().unwrap());
    let manifest = manifest(&spec(RULE));
    let records = some(&manifest.plan().unwrap());
    append(a.path(), &records[..3]);
    append(b.path(), &records[2..]);
    manifest.write(a.path()).unwrap();
    let longer = Manifest {
        spec: format!("{}\n# more\n", manifest.spec),
        ..manifest.clone()
    };
    longer.write(b.path()).unwrap();
    let into = c.path().join("all");
    let merge = || {
        let mut command = sweep("merge", a.path());
        command.arg(b.path()).arg("--out").arg(&into).assert()
    };
    let told = merge().success();
    let told = told.stdout(contains(
        ": 5 runs added, 0 were there; 1 duplicates left out\n",
    ));
    let spec_differs = contains("the spec is not that of").and(contains("sweep.json is kept"));
    told.stderr(spec_differs);
    assert_eq!(Manifest::read(&into).unwrap(), Some(manifest.clone()));
    assert_eq!(status(&into, 10).done, 4);
    let again = merge().success();
    again.stdout(contains(
        ": 0 runs added, 5 were there; 6 duplicates left out\n",
    ));
    assert_eq!(Manifest::read(&into).unwrap(), Some(manifest));

    // What is not sound is left out and told.
    damage(a.path());
    let told = merge().success();
    told.stderr(contains("left out: ").and(contains("line 1")));

    // Another result: nothing is written.
    let other = c.path().join("other");
    let mut record = records[2].clone();
    record.body.insert("steps".into(), json!(99));
    append(&other, &[record]);
    let nowhere = c.path().join("nowhere");
    let mut command = sweep("merge", a.path());
    let refused = command
        .arg(&other)
        .arg("--out")
        .arg(&nowhere)
        .assert()
        .code(1);
    refused
        .stdout("")
        .stderr(contains("has different results in"));
    assert!(!nowhere.exists());

    let mut command = sweep("merge", &c.path().join("none"));
    let missing = command.arg("--out").arg(&nowhere).assert().code(1);
    missing.stderr(contains("cannot read the folder"));
    assert!(!nowhere.exists());
    let empty = tempdir().unwrap();
    let mut command = sweep("merge", empty.path());
    let told = command.arg("--out").arg(&nowhere).assert().success();
    told.stderr(contains("has no records"));
}

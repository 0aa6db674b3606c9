//! `fanin sweep run` as its users meet it.

#[path = "sweep/small.rs"]
mod small;

#[cfg(unix)]
#[path = "sweep/faults.rs"]
mod faults;

use assert_cmd::Command;
use fanin::sweep::store::Store;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::TempDir;

const GRID: &str = "[grid]\nlayers = [[16, 4], [16, 6, 4]]\ninit = [\"zeros\", \"lecun_normal\"]\n\
                    seed = \"1..=3\"\n";

/// The program in the folder.
fn fanin(folder: &TempDir) -> Command {
    Command::from_std(small::program(folder))
}

fn sweep(folder: &TempDir, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = fanin(folder);
    command
        .args(["sweep", "run", "spec.toml"])
        .args(arguments)
        .assert()
}

fn set_spec(folder: &TempDir, grid: &str) {
    fs::write(folder.path().join("spec.toml"), small::spec(grid)).unwrap();
}

/// A folder with data and the spec of [`GRID`].
fn prepared() -> TempDir {
    let folder = small::folder();
    set_spec(&folder, GRID);
    folder
}

/// Every record by its run, without what may differ from one machine and day to another.
fn records(folder: &Path) -> BTreeMap<String, Value> {
    let mut records = BTreeMap::new();
    let index = Store::open(folder).unwrap().index().unwrap();
    assert_eq!((index.damage(), index.conflicts()), (&[][..], &[][..]));
    index
        .visit(|line| {
            let mut record: Value = serde_json::from_str(line.json()).unwrap();
            let members = record.as_object_mut().unwrap();
            for name in ["time", "seconds", "us_per_step", "dense_limit", "crc32"] {
                members.remove(name);
            }
            records.insert(line.run().to_owned(), record);
            ControlFlow::Continue(())
        })
        .unwrap();
    records
}

#[test]
fn a_sweep_is_run_once() {
    let folder = prepared();
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout(contains("12 runs in ").and(contains("12 ok; 12 of 12 are done")))
        .stderr(contains("small: 12 runs = 2 × 2 × 3").and(contains(" %: ")));
    let out = folder.path().join("out");
    let first = records(&out);
    assert_eq!(first.len(), 12);
    for record in first.values() {
        assert_eq!(record["status"], "ok");
        assert_eq!(record["steps"], 60);
        assert_eq!(record["config"]["data"], "data");
        assert_eq!(record["evals"].as_array().unwrap().len(), 4);
        assert_eq!(record["weights_sha256"].as_str().unwrap().len(), 64);
    }
    let bytes = |folder: &Path| -> Vec<_> {
        let files = fs::read_dir(folder).unwrap();
        files
            .map(|f| fs::read(f.unwrap().path()).unwrap())
            .collect()
    };
    let before = bytes(&out);
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout("nothing to do\n");
    assert_eq!(bytes(&out), before);
}

/// The record of a run is what `fanin train` gives.
#[test]
fn a_record_is_the_object_of_train() {
    let folder = prepared();
    sweep(&folder, &["--out", "out"]).success();
    let train = "train --data data --hold-out 0 --layers 16,6,4 --init lecun_normal --seed 2 \
                 --batch 5 --steps 60 --eval-every 20 --lr 1 --json";
    let output = fanin(&folder)
        .args(train.split_whitespace())
        .assert()
        .success();
    let object: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let records = records(&folder.path().join("out"));
    let same = |record: &&Value| record["weights_sha256"] == object["weights_sha256"];
    let record = records.values().find(same).unwrap();
    for (name, value) in object.as_object().unwrap() {
        if !["seconds", "us_per_step", "dense_limit"].contains(&name.as_str()) {
            assert_eq!(&record[name], value, "{name}");
        }
    }
}

#[test]
fn what_a_sweep_finds_does_not_depend_on_threads_or_shards() {
    let folder = prepared();
    sweep(&folder, &["--out", "whole", "--threads", "1"]).success();
    let whole = records(&folder.path().join("whole"));
    sweep(&folder, &["--out", "many", "--threads", "5"]).success();
    assert_eq!(records(&folder.path().join("many")), whole);
    let mut parts = 0;
    for i in 1..=3 {
        let (shard, out) = (format!("{i}/3"), format!("part-{i}"));
        sweep(&folder, &["--out", &out, "--shard", &shard])
            .success()
            .stderr(contains(format!("shard {shard} by --shard: ")));
        parts += records(&folder.path().join(&out)).len();
    }
    assert_eq!(parts, 12);
    let merge = [
        "sweep", "merge", "part-1", "part-2", "part-3", "--out", "merged",
    ];
    fanin(&folder).args(merge).assert().success();
    assert_eq!(records(&folder.path().join("merged")), whole);
    sweep(&folder, &["--out", "merged"])
        .success()
        .stdout("nothing to do\n");
}

#[test]
fn an_array_of_jobs_shares_a_folder() {
    let folder = prepared();
    for id in ["11", "13", "15"] {
        let mut command = fanin(&folder);
        command.args(["sweep", "run", "spec.toml", "--out", "out"]);
        command.env("SLURM_ARRAY_TASK_ID", id);
        command.env("SLURM_ARRAY_TASK_MIN", "11");
        command.env("SLURM_ARRAY_TASK_STEP", "2");
        command.env("SLURM_ARRAY_TASK_COUNT", "3");
        let told = contains("/3 by SLURM_ARRAY_TASK_ID: ");
        command.assert().success().stderr(told);
    }
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout("nothing to do\n");
    let mut command = fanin(&folder);
    command
        .args(["sweep", "run", "spec.toml", "--out", "out"])
        .env("HQ_TASK_ID", "1");
    command
        .assert()
        .code(2)
        .stderr(contains("HQ_TASK_ID is 1, of how many?"));
}

#[test]
fn more_seeds_run_only_the_new_ones() {
    let folder = prepared();
    sweep(&folder, &["--out", "out"]).success();
    let before = records(&folder.path().join("out"));
    // Other order, other way to say the same, and twice the seeds.
    set_spec(
        &folder,
        "[grid]\nseed = [6, 5, 4, 3, 2, 1]\nhidden = { depth = [0, 1], width = 6 }\n\
         init = [\"lecun_normal\", \"zeros\"]\n",
    );
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout(contains("12 runs in ").and(contains("24 of 24 are done")))
        .stderr(contains("to do: 12, done: 12"));
    let after = records(&folder.path().join("out"));
    assert_eq!(after.len(), 24);
    for (run, record) in before {
        assert_eq!(after[&run], record);
    }
}

#[test]
fn a_rule_prunes_and_without_it_the_rest_is_run() {
    let folder = small::folder();
    let spec = |rule: &str| {
        let text =
            small::spec("[grid]\ninit = [\"zeros\", \"lecun_normal\"]\nlayers = [[16, 4]]\n");
        fs::write(folder.path().join("spec.toml"), format!("{rule}\n{text}")).unwrap();
    };
    let pruned = |out: &str| -> Vec<(u64, Value)> {
        let records = records(&folder.path().join(out));
        let pruned = records
            .values()
            .filter(|record| record["status"] == "pruned");
        pruned
            .map(|r| (r["steps"].as_u64().unwrap(), r["pruned_by"].clone()))
            .collect()
    };
    spec("");
    sweep(&folder, &["--out", "whole"]).success();
    spec("stop_when = \"accuracy <= 1 at step 30\"");
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout(contains("0 ok, 2 pruned; 2 of 2 are done"));
    let rule = Value::from("accuracy <= 1 at step 30");
    assert_eq!(pruned("out"), [(40, rule.clone()), (40, rule)]);
    // The same beginning as without the rule.
    let whole = records(&folder.path().join("whole"));
    for (run, record) in records(&folder.path().join("out")) {
        assert_eq!(record["evals"][2], whole[&run]["evals"][2]);
        assert_eq!(record["evals"].as_array().unwrap().len(), 3);
    }
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout("nothing to do\n");
    // An earlier rule would have ended them as well.
    spec("stop_when = \"accuracy <= 1 at step 20\"");
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout("nothing to do\n");
    // A rule that is judged after the last step ends nothing.
    spec("stop_when = \"accuracy <= 1 at step 50\"");
    sweep(&folder, &["--out", "out"])
        .success()
        .stderr(contains(
            "to do: 2 (2 of them again: failed or pruned before), done: 0",
        ))
        .stdout(contains("2 ok; 2 of 2 are done"));
    assert_eq!(records(&folder.path().join("out")), whole);
}

#[test]
fn a_run_that_diverges_is_a_result() {
    let folder = small::folder();
    set_spec(
        &folder,
        "activation = \"identity\"\nbias_init = \"zeros\"\n[grid]\nlayers = [[16, 8, 4]]\n\
         init = [\"normal:1e20\", \"zeros\"]\n",
    );
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout(contains("1 ok, 1 diverged; 2 of 2 are done"));
    sweep(&folder, &["--out", "out"])
        .success()
        .stdout("nothing to do\n");
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = prepared();
    sweep(&folder, &["--dry-run"])
        .success()
        .stdout(contains("to do: 12, done: 0").and(contains(" of one core)")))
        .stdout(contains("time: about ").and(contains("memory: about ")));
    sweep(&folder, &["--dry-run", "--out", "out"]).success();
    assert!(!folder.path().join("out").exists());
    sweep(&folder, &["--out", "out"]).success();
    sweep(&folder, &["--dry-run", "--out", "out"])
        .success()
        .stdout(contains("to do: 0, done: 12").and(contains("time:").not()));
}

#[test]
fn wrong_use_is_told() {
    let folder = prepared();
    sweep(&folder, &[]).code(2).stderr(contains("--out <DIR>"));
    sweep(&folder, &["--out", "out", "--shard", "0/3"])
        .code(2)
        .stderr(contains("I/N"));
    sweep(&folder, &["--out", "out", "--shards", "3"])
        .code(2)
        .stderr(contains("--shard I/3"));
    sweep(&folder, &["--out", "spec.toml"])
        .code(1)
        .stderr(contains("spec.toml"));
    set_spec(&folder, "[grid]\nlrr = [1]\n");
    sweep(&folder, &["--out", "out"])
        .code(2)
        .stderr(contains("spec.toml: line 10, column 1: unknown key 'lrr'"));
    // Known only once the data are: 16 inputs.
    set_spec(&folder, "[grid]\nlayers = [[17, 4]]\n");
    sweep(&folder, &["--out", "out"])
        .code(2)
        .stderr(contains("spec.toml: line 10, column"));
    fs::remove_file(folder.path().join("spec.toml")).unwrap();
    sweep(&folder, &["--out", "out"])
        .code(2)
        .stderr(contains("spec.toml: "));
}

#[test]
fn a_record_that_was_tampered_with_is_run_again() {
    let folder = prepared();
    sweep(&folder, &["--out", "out"]).success();
    let out = folder.path().join("out");
    let expected = records(&out);
    let segment = Store::open(&out).unwrap().segments().unwrap().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    bytes[second + 100] ^= 4;
    fs::write(&segment, &bytes).unwrap();
    sweep(&folder, &["--out", "out"]).success().stderr(
        contains("line 2")
            .and(contains("is run again"))
            .and(contains("to do: 1,")),
    );
    let index = Store::open(&out).unwrap().index().unwrap();
    assert_eq!(index.damage().len(), 1);
    assert_eq!(index.len(), expected.len());
}

#[test]
fn different_results_of_one_run_stop_everything() {
    let folder = prepared();
    sweep(&folder, &["--out", "out"]).success();
    let out = folder.path().join("out");
    let store = Store::open(&out).unwrap();
    let mut records = Vec::new();
    let index = store.index().unwrap();
    index
        .visit(|line| {
            records.push(line.record().unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut wrong = records.swap_remove(0);
    wrong.body.insert("weights_sha256".into(), "00".into());
    let writer = store.writer().unwrap();
    writer.append(&wrong).unwrap();
    writer.close().unwrap();
    sweep(&folder, &["--out", "out"])
        .code(1)
        .stderr(contains(wrong.run));
}

//! `fanin sweep export`: the tables as independent readers see them.

mod sweep_records;

use assert_cmd::Command;
use fanin::sweep::export::{Export, Format, Table};
use fanin::sweep::store::{Record, Store};
use fanin::sweep::{Plan, PlannedRun, Selection};
use predicates::prelude::{PredicateBooleanExt, predicate};
use predicates::str::contains;
use serde_json::Value;
use std::path::Path;
use sweep_records::{append, failed, ok, plan, pruned};
use tempfile::tempdir;

/// Eight runs; a seed that no f64 and no i64 holds.
const SPEC: &str = r#"
    name = "export"
    [train]
    steps = 100
    eval_every = 50
    [grid]
    layers = [[784, 10], [784, 90, 30, 10]]
    lr = [0.1, 3]
    seed = [1, 18446744073709551615]
    [[zip]]
    batch_norm = ["off"]
    bn_epsilon = [0.001]
"#;

const CONFIG: [&str; 24] = [
    "run",
    "status",
    "layers",
    "depth",
    "width",
    "init",
    "bias_init",
    "activation",
    "output_activation",
    "batch_norm",
    "bn_layers",
    "bn_epsilon",
    "bn_momentum",
    "bn_eval",
    "freeze",
    "loss",
    "lr",
    "momentum",
    "batch",
    "steps",
    "eval_every",
    "seed",
    "data",
    "hold_out",
];

const RESULTS: [&str; 17] = [
    "steps_done",
    "final_accuracy",
    "steps_to_80",
    "best_accuracy",
    "training_loss",
    "train_seconds",
    "eval_seconds",
    "total_seconds",
    "us_per_step",
    "weights_sha256",
    "pruned_by",
    "error",
    "isa",
    "threads",
    "host",
    "version",
    "time",
];

fn header() -> Vec<&'static str> {
    [&CONFIG[..], &RESULTS[..]].concat()
}

const RULE: &str = "accuracy < 0.12 at step 50";
const ERROR: &str = "no \"memory\",\nnone";

/// The record of run number `i`.
fn record(run: &PlannedRun, i: usize) -> Record {
    match i {
        0 => failed(run, ERROR),
        1 => pruned(run, &[(0, 999), (50, 1_000)], RULE),
        _ => ok(run, &[(0, 1_000), (50, 9_100), (100, 9_000 + i)]),
    }
}

fn records(plan: &Plan) -> Vec<Record> {
    let runs = plan.iter().enumerate();
    runs.map(|(i, run)| record(&run, i)).collect()
}

/// The text of a table of a store.
fn text(folder: &Path, table: Table, format: Format, conditions: &[&str]) -> String {
    let conditions: Vec<String> = conditions.iter().map(|c| c.to_string()).collect();
    let export = Export {
        table,
        format,
        selection: Selection::parse(&conditions).unwrap(),
    };
    let index = Store::open(folder).unwrap().index().unwrap();
    let mut bytes = Vec::new();
    let rows = export.write(&index, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    if format == Format::Jsonl {
        assert_eq!(text.lines().count() as u64, rows);
    }
    text
}

/// Fields of CSV by run and column.
fn csv_rows(text: &str) -> Vec<Vec<(String, String)>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row.unwrap();
        let cells = names.iter().zip(&row);
        cells.map(|(n, c)| (n.to_owned(), c.to_owned())).collect()
    };
    reader.records().map(row).collect()
}

fn field<'r>(row: &'r [(String, String)], name: &str) -> &'r str {
    let found = row.iter().find(|(found, _)| found == name);
    &found.unwrap_or_else(|| panic!("no column {name}")).1
}

#[test]
fn csv_has_a_row_for_each_run() {
    let folder = tempdir().unwrap();
    let plan = plan(SPEC);
    append(folder.path(), &records(&plan));
    let text = text(folder.path(), Table::Runs, Format::Csv, &[]);
    assert_eq!(text.lines().next().unwrap(), header().join(","));
    let rows = csv_rows(&text);
    assert_eq!(rows.len(), 8);
    let ids: Vec<&str> = rows.iter().map(|row| field(row, "run")).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for (i, run) in plan.iter().enumerate() {
        let row = rows.iter().find(|row| field(row, "run") == run.id).unwrap();
        let deep = run.config.layers.len() > 2;
        let lr = if run.config.lr == 3.0 { "3.0" } else { "0.1" };
        for (name, expected) in [
            ("layers", if deep { "784-90-30-10" } else { "784-10" }),
            ("depth", if deep { "2" } else { "0" }),
            ("width", ""),
            ("init", "lecun_normal"),
            ("bias_init", "normal:1"),
            ("batch_norm", "off"),
            ("bn_epsilon", ""),
            ("bn_layers", ""),
            ("freeze", "none"),
            ("lr", lr),
            ("momentum", "0.0"),
            ("steps", "100"),
            ("seed", &run.config.seed.to_string()),
            ("data", "mnist"),
            ("hold_out", "5000"),
            ("host", "node-1"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("time", "2026-01-31T12:00:00Z"),
        ] {
            assert_eq!(field(row, name), expected, "{name}");
        }
        let last = format!("0.900{i}");
        let done = [
            "100", &last, "50", "0.91", "0.1", "1.234567", "0.25", "2.5", "12345.67",
        ];
        let beginning = [
            "50", "0.1", "", "0.1", "0.1", "1.234567", "0.25", "2.5", "24691.34",
        ];
        let sha256 = "ab".repeat(32);
        let (status, numbers, texts) = match i {
            0 => ("failed", [""; 9], ["", "", ERROR, "", ""]),
            1 => (
                "pruned",
                beginning,
                [&sha256[..], RULE, "", "portable", "1"],
            ),
            _ => ("ok", done, [&sha256[..], "", "", "portable", "1"]),
        };
        assert_eq!(field(row, "status"), status);
        for (name, expected) in RESULTS.iter().zip(numbers.iter().chain(&texts)) {
            assert_eq!(field(row, name), *expected, "{name} of run {i}");
        }
    }
}

/// `None` for null.
fn as_csv(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn json_lines_say_the_same() {
    let folder = tempdir().unwrap();
    append(folder.path(), &records(&plan(SPEC)));
    for table in [Table::Runs, Table::Evaluations] {
        let csv = csv_rows(&text(folder.path(), table, Format::Csv, &[]));
        let lines = text(folder.path(), table, Format::Jsonl, &[]);
        assert_eq!(lines.lines().count(), csv.len());
        for (line, row) in lines.lines().zip(&csv) {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(object.as_object().unwrap().len(), row.len());
            for (name, expected) in row {
                let value = object
                    .get(name)
                    .unwrap_or_else(|| panic!("{name} in {line}"));
                assert_eq!(as_csv(value), *expected, "{name}");
                // Not as text.
                let numeric = ["seed", "lr", "depth", "final_accuracy", "step", "accuracy"];
                if numeric.contains(&&**name) {
                    assert!(value.is_number() || value.is_null(), "{name}: {value}");
                }
            }
        }
        // In the order of the columns.
        let start = r#"{"run":""#;
        assert!(lines.lines().all(|line| line.starts_with(start)), "{lines}");
    }
    let lines = text(
        folder.path(),
        Table::Runs,
        Format::Jsonl,
        &["seed=2..=18446744073709551615"],
    );
    assert_eq!(lines.matches(r#""seed":18446744073709551615,"#).count(), 4);
}

#[test]
fn evaluations_have_a_row_each() {
    let folder = tempdir().unwrap();
    let plan = plan(SPEC);
    append(folder.path(), &records(&plan));
    let text = text(folder.path(), Table::Evaluations, Format::Csv, &[]);
    let names = [&CONFIG[..], &["step", "correct", "total", "accuracy"]].concat();
    assert_eq!(text.lines().next().unwrap(), names.join(","));
    let rows = csv_rows(&text);
    assert_eq!(rows.len(), 2 + 6 * 3);
    for (i, run) in plan.iter().enumerate() {
        let rows = rows.iter().filter(|row| field(row, "run") == run.id);
        let found: Vec<[&str; 4]> = rows
            .map(|row| ["step", "correct", "total", "accuracy"].map(|name| field(row, name)))
            .collect();
        let (last, share) = (format!("900{i}"), format!("0.900{i}"));
        let expected = match i {
            0 => vec![],
            1 => vec![
                ["0", "999", "10000", "0.0999"],
                ["50", "1000", "10000", "0.1"],
            ],
            _ => vec![
                ["0", "1000", "10000", "0.1"],
                ["50", "9100", "10000", "0.91"],
                ["100", &last, "10000", &share],
            ],
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn segments_do_not_matter() {
    let (one, many) = (tempdir().unwrap(), tempdir().unwrap());
    let mut records = records(&plan(SPEC));
    append(one.path(), &records);
    records.reverse();
    for (i, record) in records.iter().enumerate() {
        let part = tempdir().unwrap();
        append(part.path(), std::slice::from_ref(record));
        let segment = Store::open(part.path()).unwrap().segments().unwrap();
        let name = format!("segment-node-{i}-0.jsonl");
        std::fs::copy(&segment[0], many.path().join(name)).unwrap();
    }
    for format in [Format::Csv, Format::Jsonl] {
        let of = |folder: &Path| text(folder, Table::Runs, format, &[]);
        assert_eq!(of(one.path()), of(many.path()));
    }
}

fn export(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.args(["sweep", "export"]).arg(folder);
    command
}

#[test]
fn the_command_writes_to_stdout_or_a_whole_file() {
    let folder = tempdir().unwrap();
    append(folder.path(), &records(&plan(SPEC)));
    let expected = text(
        folder.path(),
        Table::Runs,
        Format::Csv,
        &["status=ok", "lr=3"],
    );
    let conditions = ["--where", "status=ok", "--where", "lr=3.0"];
    let all = export(folder.path()).args(conditions).assert().success();
    all.stdout(expected.clone()).stderr("");
    let out = folder.path().join("table.csv");
    std::fs::write(&out, "something").unwrap();
    let mut command = export(folder.path());
    let written = command
        .args(conditions)
        .arg("--out")
        .arg(&out)
        .assert()
        .success();
    written.stdout(contains("table.csv: ").and(contains("rows")));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), expected);
    let lines = folder.path().join("table.jsonl");
    export(folder.path())
        .arg("--evals")
        .arg("--out")
        .arg(&lines)
        .assert()
        .success();
    let expected = text(folder.path(), Table::Evaluations, Format::Jsonl, &[]);
    assert_eq!(std::fs::read_to_string(&lines).unwrap(), expected);

    let usage = |args: &[&str], expected: &'static str| {
        let failed = export(folder.path()).args(args).assert().code(2);
        failed.stdout("").stderr(contains(expected));
    };
    usage(&["--where", "lrr=1"], "did you mean 'lr'");
    usage(&["--format", "xlsx"], "expected csv, jsonl or parquet");
    usage(&["--format", "parquet"], "needs a file: --out FILE");
    let nothing = export(folder.path()).args(["--where", "seed=5"]).assert();
    let nothing = nothing
        .success()
        .stdout(format!("{}\n", header().join(",")));
    nothing.stderr(contains("none of 8 runs"));
    let missing = export(&folder.path().join("none")).assert().code(1);
    missing.stderr(contains("cannot read the folder"));
}

#[cfg(unix)]
#[test]
fn a_pipe_gets_the_table_and_nothing_else() {
    let folder = tempdir().unwrap();
    append(folder.path(), &records(&plan(SPEC)));
    let expected = text(folder.path(), Table::Runs, Format::Csv, &[]);
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (store, out) = (folder.path().to_owned(), pipe.clone());
    let exported = std::thread::spawn(move || export(&store).arg("--out").arg(&out).assert());
    assert_eq!(std::fs::read_to_string(&pipe).unwrap(), expected);
    let exported = exported.join().unwrap().success();
    exported.stdout("").stderr(contains("8 rows"));
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn what_is_wrong_with_a_store_is_told() {
    let folder = tempdir().unwrap();
    let mut records = records(&plan(SPEC));
    append(folder.path(), &records);
    let segment = &Store::open(folder.path()).unwrap().segments().unwrap()[0];
    let mut bytes = std::fs::read(segment).unwrap();
    bytes[20] ^= 1;
    // A record that is being written.
    bytes.extend_from_slice(b"{\"run\":");
    std::fs::write(segment, bytes).unwrap();
    let told = export(folder.path()).assert().success();
    let torn = predicate::str::contains("torn").not();
    let told = told.stderr(contains("left out: ").and(contains("line 1")).and(torn));
    let stdout = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    assert_eq!(csv_rows(&stdout).len(), 7);

    // Another result of a run: nothing is written.
    records.truncate(3);
    records[2].body.insert("steps".into(), 99.into());
    let out = folder.path().join("table.csv");
    let other = tempdir().unwrap();
    append(other.path(), &records[2..]);
    let part = &Store::open(other.path()).unwrap().segments().unwrap()[0];
    std::fs::copy(part, folder.path().join("segment-other-1-0.jsonl")).unwrap();
    let refused = export(folder.path())
        .arg("--out")
        .arg(&out)
        .assert()
        .code(1);
    refused.stderr(contains("has different results"));
    assert!(!out.exists());

    // No training run.
    let other = tempdir().unwrap();
    let object = serde_json::json!({"status": "ok"});
    let record = Record::new("ab", object.as_object().unwrap().clone()).unwrap();
    append(other.path(), &[record]);
    let refused = export(other.path()).arg("--out").arg(&out).assert().code(1);
    refused.stderr(contains("line 1").and(contains("missing field `config`")));
    assert!(!out.exists());
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_parquet_it_is_told_how_to_get_it() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("table.parquet");
    let refused = export(folder.path())
        .arg("--out")
        .arg(&out)
        .assert()
        .code(1);
    refused.stderr(contains("cargo install --path . --features parquet"));
    assert!(!out.exists());
}

#[cfg(feature = "parquet")]
#[path = "sweep_export/parquet_files.rs"]
mod parquet_files;

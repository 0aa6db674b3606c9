//! Records of sweeps, for tests of what reads them.
#![allow(dead_code, reason = "not every test needs all")]

use fanin::sweep::store::{Record, Store};
use fanin::sweep::{DataFacts, Manifest, Plan, PlannedRun};
use fanin::train::{ConfigReport, Evaluation, Run, RunReport, Setting, Status};
use fanin::{Isa, TrainConfig};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// The data of all these sweeps.
pub fn facts() -> DataFacts {
    DataFacts {
        identity: "tests".into(),
        ..DataFacts::MNIST
    }
}

/// That of a sweep with this spec.
pub fn manifest(spec: &str) -> Manifest {
    Manifest::new(spec, facts()).unwrap()
}

pub fn plan(spec: &str) -> Plan {
    manifest(spec).plan().unwrap()
}

fn setting<'a>(config: &'a TrainConfig) -> Setting<'a> {
    Setting {
        config,
        data: "mnist",
        hold_out: 5_000,
        peak: 1e11,
        total: Duration::from_millis(2_500),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

/// The object of a run with these evaluations, (step, correct of 10,000).
pub fn report(config: &TrainConfig, evals: &[(u64, usize)]) -> Map<String, Value> {
    let total = 10_000;
    let evals = evals.iter().map(|&(step, correct)| Evaluation {
        step,
        correct,
        total,
    });
    let evals: Vec<Evaluation> = evals.collect();
    let run = Run {
        status: Status::Ok,
        isa: Isa::by_name("portable").unwrap(),
        steps: evals.last().map_or(0, |e| e.step),
        training_loss: (evals.len() > 1).then_some(0.1),
        evals,
        train_time: Duration::from_micros(1_234_567),
        eval_time: Duration::from_millis(250),
        weights_sha256: "ab".repeat(32),
    };
    let setting = setting(config);
    object(serde_json::to_value(RunReport::new(&setting, &run)).unwrap())
}

/// The record of a run that made all its steps.
pub fn ok(run: &PlannedRun, evals: &[(u64, usize)]) -> Record {
    at(Record::new(&run.id, report(&run.config, evals)).unwrap())
}

/// Of one that a rule ended.
pub fn pruned(run: &PlannedRun, evals: &[(u64, usize)], rule: &str) -> Record {
    let mut object = report(&run.config, evals);
    object.insert("status".into(), json!("pruned"));
    object.insert("pruned_by".into(), json!(rule));
    at(Record::new(&run.id, object).unwrap())
}

/// Of one that could not be run.
pub fn failed(run: &PlannedRun, error: &str) -> Record {
    let config = ConfigReport::new(&setting(&run.config));
    let config = serde_json::to_value(config).unwrap();
    let object = object(json!({"status": "failed", "config": config, "error": error}));
    at(Record::new(&run.id, object).unwrap())
}

/// The same record on a host and at a time that do not change.
fn at(record: Record) -> Record {
    Record {
        host: "node-1".into(),
        time: "2026-01-31T12:00:00Z".into(),
        ..record
    }
}

/// Adds records to the store in a folder, as another process of this host would.
pub fn append(folder: &Path, records: &[Record]) {
    let writer = Store::create(folder).unwrap().writer().unwrap();
    for record in records {
        writer.append(record).unwrap();
    }
    writer.close().unwrap();
}

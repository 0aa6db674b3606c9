//! Stores of made-up runs.

use fanin::Isa;
use fanin::sweep::store::{Index, Record, Store};
use fanin::sweep::{
    DataFacts, Group, GroupOptions, Groups, Key, Plan, PlannedRun, Selection, Spec, Value,
};
use fanin::train::{Evaluation, Run, RunReport, Setting, Status};
use std::path::Path;
use std::time::Duration;

/// The result of a run with these numbers of correct answers out of 10,000, a thousand steps
/// apart.
pub fn trained(status: Status, correct: &[usize]) -> Run {
    let evals = correct.iter().zip(0..).map(|(&correct, i)| Evaluation {
        step: 1_000 * i,
        correct,
        total: 10_000,
    });
    Run {
        status,
        isa: Isa::best(),
        steps: 1_000 * (correct.len() as u64).saturating_sub(1),
        evals: evals.collect(),
        training_loss: None,
        train_time: Duration::from_millis(900),
        eval_time: Duration::from_millis(100),
        weights_sha256: "0".repeat(64),
    }
}

/// Its record.
pub fn record(planned: &PlannedRun, run: &Run, seconds: f64) -> Record {
    let setting = Setting {
        config: &planned.config,
        data: "mnist",
        hold_out: 5_000,
        peak: 1e11,
        total: Duration::from_secs_f64(seconds),
    };
    let object = serde_json::to_value(RunReport::new(&setting, run)).expect("an object");
    let object = object.as_object().expect("an object").clone();
    Record::new(&planned.id, object).expect("a record")
}

pub fn failed(planned: &PlannedRun, error: &str) -> Record {
    let mut record = record(planned, &trained(Status::Ok, &[]), 0.0);
    let config = record.body.remove("config").expect("a configuration");
    record.body.clear();
    record.body.insert("config".into(), config);
    record.body.insert("error".into(), error.into());
    record.status = "failed".into();
    record
}

pub fn plan(spec: &str) -> Plan {
    let spec = Spec::parse(spec).expect("a spec");
    let data = DataFacts {
        identity: "test".into(),
        ..DataFacts::MNIST
    };
    Plan::new(&spec, &data).expect("a plan")
}

pub fn write(dir: &Path, records: impl IntoIterator<Item = Record>) {
    let store = Store::create(dir).expect("a store");
    let writer = store.writer().expect("a writer");
    for record in records {
        writer.append(&record).expect("written");
    }
    writer.close().expect("synced");
}

/// 400 runs as they might come out.
pub fn depths(dir: &Path) {
    let plan = plan(include_str!("../../examples/depths.toml"));
    let mut state = 1u64;
    let mut noise = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    let records = plan.iter().map(|planned| {
        let config = &planned.config;
        let depth = config.layers.len() - 2;
        let norm = config.batch_norm;
        let init = config.init.to_string();
        let (speed, top) = match (init.as_str(), norm.is_some()) {
            ("normal:0.01", false) => (if depth < 2 { 0.8 } else { 0.0 }, 0.95),
            ("normal:1", false) => (0.5 / depth as f64, 0.9 - 0.05 * depth as f64),
            (_, false) => (1.6 / depth as f64, 0.975),
            ("normal:1", true) => (1.2, 0.95),
            (_, true) => (2.0, 0.98),
        };
        let (late, spread) = (noise() * 3.0, noise());
        let diverges = init == "normal:1" && depth == 8 && noise() < 0.3;
        let pruned = speed == 0.0 && noise() < 0.7;
        let steps = if diverges {
            4
        } else if pruned {
            11
        } else {
            21
        };
        let correct: Vec<usize> = (0..steps)
            .map(|i| {
                let x = (f64::from(i) - late).max(0.0) * speed;
                let a = 0.1 + (top - 0.1 - 0.02 * spread) * (1.0 - (-x).exp());
                ((a + 0.004 * (noise() - 0.5)) * 10_000.0) as usize
            })
            .collect();
        if init == "he_normal" && depth == 6 && norm.is_none() && noise() < 0.4 {
            return failed(&planned, "not enough memory: memory allocation failed");
        }
        let status = if diverges {
            Status::Diverged
        } else {
            Status::Ok
        };
        let mut record = record(
            &planned,
            &trained(status, &correct),
            0.5 + depth as f64 * 0.3 + 0.1 * noise(),
        );
        if pruned {
            record.status = "pruned".into();
            record
                .body
                .insert("pruned_by".into(), "accuracy < 0.12 at step 10000".into());
        }
        record
    });
    write(dir, records);
}

pub fn index(dir: &Path) -> Index {
    Store::open(dir)
        .expect("a store")
        .index()
        .expect("an index")
}

pub fn groups(dir: &Path, by: Option<&[&str]>, conditions: &[&str]) -> Groups {
    let key = |name: &&str| name.parse().expect("a key");
    let conditions: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    let options = GroupOptions {
        by: by.map(|by| by.iter().map(key).collect()),
        selection: Selection::parse(&conditions).expect("conditions"),
        ..GroupOptions::default()
    };
    Groups::read(&index(dir), &options).expect("groups")
}

pub fn names(keys: impl IntoIterator<Item = Key>) -> Vec<&'static str> {
    keys.into_iter().map(Key::name).collect()
}

pub fn by(groups: &Groups) -> Vec<&'static str> {
    names(groups.by.iter().map(|axis| axis.key))
}

/// The keys of a group, joined.
pub fn key(group: &Group) -> String {
    let values = group.key.iter();
    let values = values.map(|v| v.as_ref().map_or_else(|| "none".into(), Value::to_string));
    values.collect::<Vec<_>>().join(" ")
}

pub const FEW: &str = r#"
    name = "few"
    [train]
    steps = 2000
    [grid]
    init = ["he_normal", "lecun_normal", "sparse:3"]
    seed = "1..=5"
"#;

/// Five results of he_normal, one of lecun_normal, none of sparse:3; five runs failed.
pub fn few() -> Vec<Record> {
    let plan = plan(FEW);
    let he: [(&str, &[usize]); 5] = [
        ("ok", &[1_000, 5_000, 9_512]),
        ("ok", &[1_000, 8_000, 9_423]),
        ("ok", &[900, 7_999, 9_634]),
        ("diverged", &[1_100, 1_135]),
        ("pruned", &[980, 7_999]),
    ];
    let records = plan.iter().filter_map(|planned| {
        let seed = planned.config.seed;
        match planned.config.init.to_string().as_str() {
            "he_normal" => {
                let (status, correct) = he[seed as usize - 1];
                let run = trained(Status::Ok, correct);
                let mut record = record(&planned, &run, seed as f64);
                record.status = status.into();
                Some(record)
            }
            "lecun_normal" if seed == 1 => {
                Some(record(&planned, &trained(Status::Ok, &[1_000, 9_000]), 1.0))
            }
            "lecun_normal" if seed > 2 => None,
            _ => Some(failed(&planned, "no `such` **file**")),
        }
    });
    records.collect()
}

//! What the store promises. Killed writers are in `tests/store_kill.rs`.

mod damage;
mod merging;
mod records;
mod speed;
mod writing;

use super::*;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::PathBuf;
use tempfile::TempDir;

/// A small record of run number `n`.
fn record(n: u64) -> Record {
    let object = json!({
        "status": "ok",
        "note": "line\nbreak \"ü\"",
        "final_accuracy": 0.1 * n as f64,
        "seconds": { "total": 0.25 },
        "seed": n,
    });
    let serde_json::Value::Object(object) = object else {
        unreachable!();
    };
    Record {
        // That two of them are equal.
        time: "2026-01-31T12:00:00Z".into(),
        ..Record::new(&format!("{n:04x}"), object).unwrap()
    }
}

/// `record(n)` with another status.
fn with_status(n: u64, status: &str) -> Record {
    Record {
        status: status.into(),
        ..record(n)
    }
}

/// `record(n)` with another result.
fn differing(n: u64) -> Record {
    let mut record = record(n);
    record.body.insert("seed".into(), json!("another"));
    record
}

/// The records as the bytes of a segment.
fn segment(records: &[Record]) -> Vec<u8> {
    let lines = records.iter().map(|record| record.encode().unwrap());
    lines.collect::<Vec<_>>().concat()
}

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::create(folder.path()).unwrap();
    (folder, store)
}

/// Puts a segment of this host into a folder.
fn put(store: &Store, number: u32, bytes: &[u8]) -> PathBuf {
    let name = format!("segment-{}-1-{number:08x}.jsonl", record::host());
    let path = store.folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A new store with one segment for each list of records.
fn filled(segments: &[&[Record]]) -> (TempDir, Store) {
    let (folder, store) = store();
    for (number, records) in segments.iter().enumerate() {
        put(&store, number as u32, &segment(records));
    }
    (folder, store)
}

/// What the index visits, sorted by run.
fn all(index: &Index) -> Vec<Record> {
    let mut records = Vec::new();
    let visited = index.visit(|line| {
        let record = line.record().unwrap();
        assert_eq!((line.run(), line.status()), (&*record.run, &*record.status));
        records.push(record);
        ControlFlow::Continue(())
    });
    visited.unwrap();
    records.sort_by(|a, b| a.run.cmp(&b.run));
    assert_eq!(records.len(), index.len());
    records
}

/// All records of `store`, which is sound.
fn sound(store: &Store) -> Vec<Record> {
    let index = store.index().unwrap();
    assert_eq!((index.torn(), index.damage()), (&[][..], &[][..]));
    index.check().unwrap();
    all(&index)
}

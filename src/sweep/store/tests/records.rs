//! Records and lines; which of several records of a run is taken.

use super::*;
use crate::sweep::store::record::{decode, whole};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn line(record: &Record) -> String {
    let mut line = String::from_utf8(record.encode().unwrap()).unwrap();
    assert_eq!(line.pop(), Some('\n'));
    line
}

/// The checksum is `zlib.crc32` of Python 3 of the line before `,"crc32"`.
#[test]
fn the_format_does_not_change() {
    let record = Record {
        host: "node7".into(),
        version: "0.1.0".into(),
        time: "2026-01-31T12:00:00Z".into(),
        ..record(10)
    };
    let expected = concat!(
        r#"{"run":"000a","status":"ok","host":"node7","version":"0.1.0","#,
        r#""time":"2026-01-31T12:00:00Z","final_accuracy":1.0,"#,
        r#""note":"line\nbreak \"ü\"","seconds":{"total":0.25},"seed":10,"#,
        r#""crc32":"f962464c"}"#
    );
    assert_eq!(line(&record), expected);
    assert_eq!(whole(expected).unwrap(), record);
}

#[test]
fn a_record_that_could_not_be_read_back_is_refused() {
    let refused = |record: Record| {
        let error = record.encode().map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Record { .. }), "{error}");
        error.to_string()
    };
    for run in ["", "ABC", "0x1", "ü", &"0".repeat(129)] {
        refused(Record {
            run: run.into(),
            ..record(1)
        });
    }
    for name in ["run", "status", "host", "version", "time", "crc32"] {
        let mut record = record(1);
        record.body.insert(name.into(), json!("x"));
        assert!(refused(record).contains(name));
    }
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let mut record = record(1);
    record.body.insert("deep".into(), deep);
    refused(record.clone());
    record
        .body
        .insert("deep".into(), "x".repeat(MAX_LINE).into());
    refused(record.clone());
    let spare = MAX_LINE - {
        record.body.insert("deep".into(), "".into());
        record.encode().unwrap().len()
    };
    record.body.insert("deep".into(), "x".repeat(spare).into());
    assert_eq!(record.encode().unwrap().len(), MAX_LINE);
    let no_status = Record::new("00", Map::new());
    assert!(no_status.unwrap_err().to_string().contains("status"));
}

#[test]
fn a_line_with_a_right_checksum_must_be_a_record_too() {
    let with_sum = |text: &str| {
        let sum = crc32fast::hash(text.as_bytes());
        format!("{text},\"crc32\":\"{sum:08x}\"}}")
    };
    let members = r#""status":"ok","host":"","version":"","time":"""#;
    assert!(decode(with_sum(&format!(r#"{{"run":"0",{members}"#)).as_bytes()).is_ok());
    for wrong in [
        format!(r#"{{"run":"0","run":"1",{members}"#),
        format!(r#"{{"run":"0","crc32":0,{members}"#),
        format!(r#"{{"run":"g",{members}"#),
        format!(r#"{{"run":0,{members}"#),
        format!(r#"{{{members}"#),
        format!(r#"[{{"run":"0",{members}"#),
        r#"{"run":"0","status":"ok","host":"","version":"","time":1"#.into(),
        r#"{"run":"0","status":"ok","version":"","time":"""#.into(),
    ] {
        assert!(decode(with_sum(&wrong).as_bytes()).is_err(), "{wrong}");
    }
    for short in ["", "}", ",\"crc32\":\"00000000\"}"] {
        assert!(decode(short.as_bytes()).is_err());
    }
}

#[test]
fn the_first_record_of_a_run_is_taken() {
    let mut again = record(1);
    again.host = "another".into();
    again.time = "2001-01-01T00:00:00Z".into();
    again.version = "9".into();
    for name in NOT_RESULTS {
        again.body.insert(name.into(), json!([1, 2]));
    }
    let (_folder, store) = filled(&[&[record(1), again.clone()], &[record(2), again]]);
    assert_eq!(sound(&store), [record(1), record(2)]);
    let index = store.index().unwrap();
    assert_eq!(index.duplicates(), 2);
    assert_eq!(index.status("0001"), Some("ok"));
    assert!(index.contains("0002") && !index.contains("0003"));
    assert_eq!(index.status("0003"), None);
}

#[test]
fn a_failed_run_gives_way_to_a_result() {
    let failed = || with_status(1, FAILED);
    for segments in [
        [&[failed(), record(1)][..], &[record(2)]],
        [&[record(2), record(1)], &[failed()]],
        [&[record(2), failed()], &[failed(), record(1), failed()]],
    ] {
        let (_folder, store) = filled(&segments);
        assert_eq!(sound(&store), [record(1), record(2)]);
    }
    let (_folder, store) = filled(&[&[failed(), differing(1)], &[failed(), record(1)]]);
    assert_eq!(store.index().unwrap().conflicts().len(), 1);
}

/// `record(n)`, ended by a rule after so many steps.
fn pruned(n: u64, steps: u64, rule: &str) -> Record {
    let mut record = with_status(n, PRUNED);
    record.body.insert("steps".into(), json!(steps));
    record.body.insert("pruned_by".into(), json!(rule));
    record
}

#[test]
fn a_pruned_run_gives_way_to_more_of_it() {
    let (short, long) = (|| pruned(1, 50, "a"), || pruned(1, 60, "a"));
    for (segments, expected) in [
        ([&[short(), record(1)][..], &[short()]], record(1)),
        ([&[record(1), long()], &[short()]], record(1)),
        ([&[long(), short()], &[with_status(1, FAILED)]], long()),
        ([&[short(), long()], &[short()]], long()),
        ([&[short()], &[pruned(1, 50, "b")]], short()),
    ] {
        let (_folder, store) = filled(&segments);
        let index = store.index().unwrap();
        assert_eq!(index.conflicts(), []);
        assert_eq!(index.status("0001"), Some(&*expected.status));
        assert_eq!(sound(&store), [expected]);
    }
    let mut other = long();
    other.body.insert("final_accuracy".into(), json!(0.9));
    let (_folder, store) = filled(&[&[short(), long()], &[other]]);
    assert_eq!(store.index().unwrap().conflicts().len(), 1);
}

#[test]
fn steps_are_a_whole_number() {
    let mut record = record(1);
    record.body.insert("steps".into(), json!("many"));
    assert!(record.encode().is_err());
}

#[test]
fn different_results_are_a_conflict() {
    let mut lacking = record(1);
    lacking.body.remove("note");
    let mut longer = record(1);
    longer.body.insert("zzz".into(), Value::Null);
    let mut close = record(3);
    let next = 0.1f64.mul_add(3.0, f64::EPSILON / 2.0).next_up();
    assert_ne!(close.body["final_accuracy"], json!(next));
    close.body.insert("final_accuracy".into(), json!(next));
    for (first, second) in [
        (record(1), differing(1)),
        (record(1), lacking),
        (record(1), longer),
        (record(1), with_status(1, "diverged")),
        (record(3), close),
    ] {
        let (_folder, store) = filled(&[&[record(0), first.clone()], &[second]]);
        let index = store.index().unwrap();
        let [conflict] = index.conflicts() else {
            panic!("{:?}", index.conflicts());
        };
        assert_eq!(conflict.run, first.run);
        let before = segment(&[record(0)]).len() as u64;
        let (first, second) = (&conflict.first, &conflict.second);
        assert_eq!((first.line, first.offset), (2, before));
        assert_eq!((second.line, second.offset), (1, 0));
        let message = index.check().unwrap_err().to_string();
        for location in [first, second] {
            assert!(message.contains(&location.to_string()), "{message}");
        }
    }
}

#[test]
fn other_files_are_left_alone() {
    let (folder, store) = filled(&[&[record(1)]]);
    for name in ["spec.toml", "segment-x.jsonl.partial", "x.jsonl"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    assert_eq!(sound(&store), [record(1)]);
    let path = folder.path().join("segment-x.jsonl");
    std::fs::create_dir(&path).unwrap();
    for result in [store.index().map(drop), store.writer().map(drop)] {
        assert!(matches!(result, Err(StoreError::NotAFile(p)) if p == path));
    }
}

#[test]
fn a_missing_folder_is_created_only_to_write() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a").join("b");
    let error = Store::open(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(!path.exists());
    assert!(Store::create(&path).unwrap().index().unwrap().is_empty());
}

fn any_text() -> impl Strategy<Value = String> {
    let chars = prop_oneof![any::<char>(), Just('\n'), Just('"'), Just('\u{2028}')];
    prop::collection::vec(chars, 0..12).prop_map(String::from_iter)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Of all bits; those that are not finite become null.
        any::<u64>().prop_map(|bits| f64::from_bits(bits).into()),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..6)
                .prop_map(|map| Map::from_iter(map).into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_comes_back(
        body in prop::collection::btree_map(any_text(), any_json(), 0..6),
        status in any_text(),
        host in any_text(),
    ) {
        let record = Record { status, host, body: Map::from_iter(body), ..record(7) };
        let line = line(&record);
        prop_assert!(!line.contains('\n'));
        let (text, head) = decode(line.as_bytes()).unwrap();
        prop_assert_eq!((&*head.run, &*head.status), (&*record.run, &*record.status));
        let back = whole(text).unwrap();
        // Compared as text too: of numbers not only the value comes back.
        prop_assert_eq!(back.encode().unwrap(), record.encode().unwrap());
        prop_assert!(back.same_results(&record));
        prop_assert_eq!(back, record);
    }
}

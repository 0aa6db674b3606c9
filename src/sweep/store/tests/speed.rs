//! A hundred thousand records, to be looked at by hand.

use super::*;
use std::time::Instant;

/// Prints times. `cargo test --release -- --ignored --nocapture a_hundred_thousand`
#[test]
#[ignore = "prints times"]
fn a_hundred_thousand_records() {
    let (_folder, store) = store();
    let evals: Vec<_> = (0..21)
        .map(|i| json!({"step": i * 1000, "correct": 9000 + i, "total": 10_000, "accuracy": 0.9}))
        .collect();
    let time = |what: &str, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        println!("{what}: {:.3} s", started.elapsed().as_secs_f64());
    };
    time("append", &mut || {
        let writer = store.writer().unwrap();
        for n in 0..100_000 {
            let mut record = record(n);
            record.run = format!("{n:064x}");
            record.body.insert("evals".into(), evals.clone().into());
            writer.append(&record).unwrap();
        }
        writer.close().unwrap();
    });
    let path = &store.segments().unwrap()[0];
    println!("{} bytes", std::fs::metadata(path).unwrap().len());
    let mut index = Index::default();
    time("index", &mut || index = store.index().unwrap());
    assert_eq!(index.len(), 100_000);
    #[derive(serde::Deserialize)]
    struct Columns {
        final_accuracy: f64,
    }
    time("visit, one column", &mut || {
        let mut sum = 0.0;
        let visited = index.visit(|line| {
            sum += line.parse::<Columns>().unwrap().final_accuracy;
            ControlFlow::Continue(())
        });
        visited.unwrap();
        assert!(sum > 0.0);
    });
    time("visit, all", &mut || assert_eq!(all(&index).len(), 100_000));
    time("take over", &mut || drop(store.writer().unwrap()));
    let into = TempDir::new().unwrap();
    let from = [store.folder().to_owned()];
    time("merge", &mut || drop(merge(&from, into.path()).unwrap()));
    time("merge again", &mut || {
        drop(merge(&from, into.path()).unwrap())
    });
}

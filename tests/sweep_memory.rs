//! What `Groups::read` takes per run is what its documentation says.

// Only an allocator can see it.
#![allow(unsafe_code)]

mod sweep_records;

use fanin::sweep::store::{Record, Store};
use fanin::sweep::{GroupOptions, Groups};
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use sweep_records::{append, plan, report};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counter;

#[global_allocator]
static COUNTER: Counter = Counter;

/// What the system's allocator takes for a block: 8 bytes of its own, in steps of 16.
fn taken(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: hands every call on to `System` as it is.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(taken(layout.size()), Ordering::Relaxed);
        PEAK.fetch_max(live + taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's obligations are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Just more than a hash table holds before it doubles, when it takes most.
const RUNS: usize = 14_400;

/// Bytes per run while it reads, and of what it returns.
fn per_run(alone: bool, evaluations: usize) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let planned = plan("name = \"n\"\n[grid]\nlr = [1]\n")
        .iter()
        .next()
        .unwrap();
    let evals: Vec<(u64, usize)> = (0..evaluations).map(|i| (i as u64, 9_000)).collect();
    let object = report(&planned.config, &evals);
    let records: Vec<Record> = (0..RUNS)
        .map(|i| {
            let mut object = object.clone();
            let config = object.get_mut("config").unwrap();
            config["seed"] = json!(if alone { 1 } else { i });
            config["lr"] = json!(if alone {
                1.0 + i as f64 / 16_384.0
            } else {
                1.0
            });
            Record::new(&format!("{i:032x}"), object).unwrap()
        })
        .collect();
    append(folder.path(), &records);
    drop(records);
    let index = Store::open(folder.path()).unwrap().index().unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let groups = Groups::read(&index, &GroupOptions::default()).unwrap();
    let peak = PEAK.load(Ordering::Relaxed);
    let after = LIVE.load(Ordering::Relaxed);
    assert_eq!(groups.groups.len(), if alone { RUNS } else { 1 });
    ((peak - before) / RUNS, (after - before) / RUNS)
}

// One test in this file: another would allocate at the same time.
#[test]
fn a_run_takes_no_more_than_documented() {
    for (alone, evaluations) in [(true, 2), (true, 21), (false, 21)] {
        let (reading, kept) = per_run(alone, evaluations);
        let documented = match alone {
            true => (1_500 + 80 * evaluations, 500 + 40 * evaluations),
            false => (120, 16),
        };
        println!("{reading} and {kept} bytes, documented {documented:?}");
        for (found, documented) in [(reading, documented.0), (kept, documented.1)] {
            assert!((documented / 2..=documented).contains(&found), "{found}");
        }
    }
}

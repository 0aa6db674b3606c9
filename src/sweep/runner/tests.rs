//! Runs that go wrong, and disks that do.

use super::*;
use crate::data::Split;
use crate::sweep::store::{Index, Store};
use crate::sweep::{DataFacts, Shard, Spec};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts, and stops after so many runs.
#[derive(Default)]
struct Count {
    work: AtomicU64,
    ended: Mutex<Vec<String>>,
    stop_after: Option<usize>,
}

impl Monitor for Count {
    fn advance(&self, work: u64) {
        self.work.fetch_add(work, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop_after
            .is_some_and(|n| lock(&self.ended).len() >= n)
    }
}

impl SweepMonitor for Count {
    fn finished(&self, ended: Ended<'_>) {
        let error = ended.error.unwrap_or("");
        lock(&self.ended).push(format!("{}: {error}", ended.status));
    }
}

/// 30 samples of 4 inputs in 2 classes.
fn dataset() -> Dataset {
    let split = || {
        let images = (0..30 * 4).map(|i| (i * 37 % 256) as u8).collect();
        Split::new(2, 2, images, (0..30).map(|i| i % 2).collect()).unwrap()
    };
    Dataset::from_splits("small", split(), split()).unwrap()
}

fn plan(dataset: &Dataset, grid: &str) -> Plan {
    let text = format!(
        "name = \"small\"\nhold_out = 0\n[train]\nbatch = 3\nsteps = 20\neval_every = 10\n{grid}"
    );
    Plan::new(&Spec::parse(&text).unwrap(), &DataFacts::of(dataset)).unwrap()
}

const SEEDS: &str = "layers = [4, 2]\n[grid]\nseed = \"1..=9\"";

fn everything(plan: &Plan) -> Todo {
    Todo::new(plan, Shard::WHOLE, &Index::default(), &[]).unwrap()
}

/// The sweep with another way to run.
fn run_with(
    plan: &Plan,
    data: &SweepData,
    writer: &Writer,
    monitor: &Count,
    execute: &(dyn Fn(&PlannedRun, u64) -> Attempt + Sync),
) -> Result<Finished, Error> {
    let sweep = Sweep {
        data,
        peak: 1e9,
        writer,
        monitor,
    };
    everything(plan).run_with(plan, 3, &sweep, execute)
}

fn options(rules: &[StopRule]) -> Options<'_> {
    Options {
        threads: 2,
        isa: Isa::best(),
        rules,
    }
}

/// The real thing, for the seeds that are not to go wrong.
fn real(data: &SweepData, run: &PlannedRun, work: u64) -> Attempt {
    let executor = Executor {
        data,
        isa: Isa::best(),
        rules: &[],
        monitor: &Count::default(),
    };
    executor.run(run, work)
}

#[test]
fn runs_that_panic_are_recorded_and_tried_again() {
    let dataset = dataset();
    let (plan, data) = (
        plan(&dataset, SEEDS),
        SweepData::new(&dataset, "small", 0).unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let writer = store.writer().unwrap();
    let monitor = Count::default();
    let finished = run_with(
        &plan,
        &data,
        &writer,
        &monitor,
        &|run, work| match run.config.seed {
            2 => panic!("seed {}", run.config.seed),
            5 => panic!("five"),
            7 => std::panic::panic_any(7),
            _ => real(&data, run, work),
        },
    )
    .unwrap();
    assert_eq!(
        (finished.runs, finished.failed, finished.stopped),
        (9, 3, false)
    );
    writer.close().unwrap();
    let index = store.index().unwrap();
    let mut errors = Vec::new();
    index
        .visit(|line| {
            let outcome = crate::sweep::Outcome::of(&line).unwrap();
            errors.extend(outcome.error.map(|e| e.into_owned()));
            ControlFlow::Continue(())
        })
        .unwrap();
    errors.sort();
    let expected = [
        "panicked: five",
        "panicked: seed 2",
        "panicked: without a message",
    ];
    assert_eq!(errors, expected);

    let todo = Todo::new(&plan, Shard::WHOLE, &index, &[]).unwrap();
    assert_eq!((todo.len(), todo.done(), todo.again()), (3, 6, 3));
    let mut seeds: Vec<u64> = todo
        .numbers()
        .map(|n| plan.get(n).unwrap().config.seed)
        .collect();
    seeds.sort();
    assert_eq!(seeds, [2, 5, 7]);
    let (writer, monitor) = (store.writer().unwrap(), Count::default());
    let finished = todo
        .run(&plan, &data, options(&[]), &writer, &monitor)
        .unwrap();
    assert_eq!((finished.runs, finished.failed), (3, 0));
    assert_eq!(monitor.work.into_inner(), todo.work());
    writer.close().unwrap();
    let index = store.index().unwrap();
    assert!(
        Todo::new(&plan, Shard::WHOLE, &index, &[])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn runs_that_cannot_start_are_recorded() {
    let dataset = dataset();
    // A batch of more samples than there are, though not by the plan; its neighbour is fine.
    let spec = "name = \"small\"\nhold_out = 0\n[train]\nlayers = [4, 2]\nsteps = 20\n\
                [grid]\nbatch = [31, 3]";
    let facts = DataFacts {
        train: 31,
        ..DataFacts::of(&dataset)
    };
    let plan = Plan::new(&Spec::parse(spec).unwrap(), &facts).unwrap();
    let data = SweepData::new(&dataset, "small", 0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::create(folder.path()).unwrap().writer().unwrap();
    let monitor = Count::default();
    let todo = everything(&plan);
    let finished = todo
        .run(&plan, &data, options(&[]), &writer, &monitor)
        .unwrap();
    assert_eq!((finished.runs, finished.failed), (2, 1));
    let mut ended = monitor.ended.into_inner().unwrap();
    ended.sort();
    assert!(
        ended[0].starts_with("failed: ") && ended[0].contains("a batch of 31"),
        "{ended:?}"
    );
    assert_eq!(ended[1], "ok: ");
}

#[test]
fn a_stopped_sweep_has_whole_runs_only() {
    let dataset = dataset();
    let (plan, data) = (
        plan(&dataset, SEEDS),
        SweepData::new(&dataset, "small", 0).unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let writer = store.writer().unwrap();
    let stop_after = Some(4);
    let monitor = Count {
        stop_after,
        ..Count::default()
    };
    let finished = everything(&plan)
        .run(&plan, &data, options(&[]), &writer, &monitor)
        .unwrap();
    assert!(finished.stopped);
    // The other thread may have been at the end of a run.
    assert!((4..=5).contains(&finished.runs), "{finished:?}");
    writer.close().unwrap();
    let index = store.index().unwrap();
    assert_eq!(index.len(), finished.runs);
    assert!(index.runs().all(|(_, status)| status == "ok"));
}

/// A disk that is full from the start.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl crate::sweep::store::sink::Sink for Full {
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_stops_the_sweep_and_the_runs_at_hand() {
    let dataset = dataset();
    let spec = "name = \"small\"\nhold_out = 0\n[train]\nbatch = 3\nlayers = [4, 2]\n\
                steps = 18446744073709551615\neval_every = 0\n[grid]\nseed = \"1..=9\"";
    let plan = Plan::new(&Spec::parse(spec).unwrap(), &DataFacts::of(&dataset)).unwrap();
    let data = SweepData::new(&dataset, "small", 0).unwrap();
    let writer = Writer::with_sink("full".into(), Box::new(Full), Duration::ZERO).unwrap();
    let watched = Watched {
        monitor: &Count::default(),
        writer: &writer,
    };
    let executor = Executor {
        data: &data,
        isa: Isa::best(),
        rules: &[],
        monitor: &watched,
    };
    let first = AtomicUsize::new(0);
    let result = run_with(&plan, &data, &writer, &Count::default(), &|run, work| {
        match first.fetch_add(1, Ordering::Relaxed) {
            0 => Attempt::Failed("to have something to write".into()),
            // Would never end by itself.
            _ => executor.run(run, work),
        }
    });
    let error = match result {
        Err(error) => error,
        Ok(_) => writer.close().unwrap_err().into(),
    };
    assert!(error.to_string().contains("full"), "{error}");
}

#[test]
fn a_full_disk_starts_no_more_runs() {
    let dataset = dataset();
    let plan = plan(&dataset, "layers = [4, 2]\n[grid]\nseed = \"1..=200\"");
    let data = SweepData::new(&dataset, "small", 0).unwrap();
    let writer = Writer::with_sink("full".into(), Box::new(Full), Duration::ZERO).unwrap();
    let started = AtomicUsize::new(0);
    let result = run_with(&plan, &data, &writer, &Count::default(), &|_, _| {
        if started.fetch_add(1, Ordering::Relaxed) == 0 {
            return Attempt::Failed("to have something to write".into());
        }
        // As a run that is broken off by the failure.
        while !writer.has_failed() {
            std::thread::yield_now();
        }
        Attempt::Stopped
    });
    // One on each of three threads, and the first.
    let started = started.into_inner();
    assert!(started <= 4, "{started}");
    assert!(matches!(result, Err(Error::Store(_))), "{result:?}");
}

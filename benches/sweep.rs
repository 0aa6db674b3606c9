//! Sweeps of short runs through the runner and the store, on one core and on all:
//! `cargo bench --bench sweep`.
//!
//! Throughput is in runs. `fanin bench sweep` shows what of the time is training.

use criterion::{BatchSize, Criterion, Throughput};
use fanin::data::Dataset;
use fanin::sweep::store::Store;
use fanin::sweep::{
    DataFacts, Ended, Monitor, Options, Plan, Shard, Spec, SweepData, SweepMonitor, Todo,
};
use fanin::{Isa, TrainConfig};

struct Unwatched;

impl Monitor for Unwatched {
    fn advance(&self, _: u64) {}

    fn stopped(&self) -> bool {
        false
    }
}

impl SweepMonitor for Unwatched {
    fn finished(&self, _: Ended<'_>) {}
}

fn main() {
    let mnist = Dataset::open("mnist").expect("MNIST is in the repository");
    let facts = DataFacts::of(&mnist);
    let data = SweepData::new(&mnist, "mnist", 0).expect("memory");
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);

    for (name, layers, steps, runs) in [
        ("article, 500 steps", TrainConfig::default().layers, 500, 4),
        ("784-10, 100 steps", vec![784, 10], 100, 32),
    ] {
        let mut group = criterion.benchmark_group(name);
        for threads in [1, cores] {
            let runs = runs * threads;
            let spec = format!(
                "name = 'bench'\n[train]\nlayers = {layers:?}\nsteps = {steps}\n\
                 eval_every = 0\n[grid]\nseed = '1..={runs}'\n"
            );
            let plan = Plan::new(&Spec::parse(&spec).expect("a spec"), &facts).expect("a plan");
            let todo = Todo::new(&plan, Shard::WHOLE, &Default::default(), &[]).expect("runs");
            group.throughput(Throughput::Elements(runs as u64));
            group.bench_function(format!("{threads} threads"), |b| {
                b.iter_batched(
                    || tempfile::tempdir().expect("a folder"),
                    |folder| {
                        let writer = Store::create(folder.path()).and_then(|s| s.writer());
                        let writer = writer.expect("a store");
                        let options = Options {
                            threads,
                            isa: Isa::best(),
                            rules: &[],
                        };
                        let finished = todo.run(&plan, &data, options, &writer, &Unwatched);
                        writer.close().expect("records");
                        (finished.expect("a sweep"), folder)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

//! One training step and one evaluation of the article's network on MNIST, for every
//! instruction set, beside the machine's FMA peak: `cargo bench --bench step`.
//!
//! Throughput is in dense floating-point operations, so the ratio of a line to the peak
//! is the inverse of the multiple of the dense limit.

use criterion::{Criterion, Throughput};
use fanin::data::Dataset;
use fanin::{InputPath, Isa, Samples, TrainConfig, Trainer};
use std::hint::black_box;

fn main() {
    let mnist = Dataset::open("mnist").expect("MNIST is in the repository");
    let mut criterion = Criterion::default().configure_from_args();
    let config = TrainConfig::default();

    let mut group = criterion.benchmark_group("peak");
    let (flops, _) = fanin_kernels::peak::fma_chains(Isa::best(), 10_000);
    group.throughput(Throughput::Elements(flops as u64));
    group.bench_function("fma", |b| {
        b.iter(|| fanin_kernels::peak::fma_chains(Isa::best(), black_box(10_000)));
    });
    group.finish();

    for path in [InputPath::Sparse, InputPath::Dense] {
        let train = Samples::from_split(&mnist.train, 5_000..60_000, path).expect("images");
        let test = Samples::from_split(&mnist.test, 0..10_000, path).expect("images");
        for isa in Isa::available().filter(|isa| isa.name() != "portable") {
            let trainer = Trainer::with_isa(config.clone(), &train, &test, isa);
            let mut trainer = trainer.expect("a possible run");

            let mut group = criterion.benchmark_group("step");
            let flops = config.dense_flops_per_step();
            group.throughput(Throughput::Elements(flops as u64));
            group.bench_function(format!("{}/{path}", isa.name()), |b| {
                b.iter(|| trainer.step());
            });
            group.finish();

            let mut group = criterion.benchmark_group("evaluation");
            group.sample_size(20);
            let flops = config.dense_flops_of_evaluation(test.len());
            group.throughput(Throughput::Elements(flops as u64));
            group.bench_function(format!("{}/{path}", isa.name()), |b| {
                b.iter(|| trainer.count_correct());
            });
            group.finish();
        }
    }
    criterion.final_summary();
}

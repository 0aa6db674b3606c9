//! GEMM against the crates `gemm` and `matrixmultiply`, on one thread; throughput in FLOP/s.
//!
//! ```text
//! cargo bench -p fanin-kernels --bench gemm
//! ```
//!
//! The first group is what the core can do at most: multiply-adds and nothing else.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin_kernels::{Gemm, Isa, MatMut, MatRef, peak};
use std::hint::black_box;
use std::time::Duration;

/// (m, k, n): two squares, an odd one, and the first layer of a small classifier.
const SHAPES: [(usize, usize, usize); 4] = [
    (1024, 1024, 1024),
    (256, 256, 256),
    (127, 129, 131),
    (10, 784, 390),
];

/// Those with vector registers. Portable code, often a call for each multiply-add, would
/// take minutes.
fn instruction_sets() -> impl Iterator<Item = Isa> {
    Isa::available().filter(|isa| isa.name() != "portable")
}

fn peak(criterion: &mut Criterion) {
    const ROUNDS: u64 = 100_000;
    let mut group = criterion.benchmark_group("peak");
    for isa in instruction_sets() {
        let (flops, _) = peak::fma_chains(isa, ROUNDS);
        group.throughput(Throughput::Elements(flops as u64));
        group.bench_function(isa.name(), |bencher| {
            bencher.iter(|| black_box(peak::fma_chains(isa, black_box(ROUNDS))));
        });
    }
}

/// C = A·B on row-major matrices.
fn gemm(criterion: &mut Criterion) {
    for (m, k, n) in SHAPES {
        let ramp = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 17) as f32 - 8.0).collect() };
        let (a, b, mut c) = (ramp(m * k), ramp(k * n), vec![0.0; m * n]);
        let mut group = criterion.benchmark_group(format!("gemm {m}x{k}x{n}"));
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        for isa in instruction_sets() {
            let mut gemm = match Gemm::new(isa) {
                Ok(gemm) => gemm,
                Err(error) => panic!("no memory for the packed matrices: {error}"),
            };
            group.bench_function(BenchmarkId::new("fanin", isa.name()), |bencher| {
                bencher.iter(|| {
                    gemm.run(
                        1.0,
                        MatRef::new(black_box(&a), m, k),
                        MatRef::new(black_box(&b), k, n),
                        0.0,
                        MatMut::new(&mut c, m, n),
                    );
                });
            });
        }
        let row = |cols: usize| cols.cast_signed();
        group.bench_function("gemm", |bencher| {
            bencher.iter(|| {
                let (a, b) = (black_box(a.as_ptr()), black_box(b.as_ptr()));
                let c = c.as_mut_ptr();
                let (rk, rn) = (row(k), row(n));
                // SAFETY: the vectors hold row-major matrices of these shapes; c is not
                // read.
                unsafe {
                    ::gemm::gemm(
                        m,
                        n,
                        k,
                        c,
                        1,
                        rn,
                        false,
                        a,
                        1,
                        rk,
                        b,
                        1,
                        rn,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        ::gemm::Parallelism::None,
                    );
                }
            });
        });
        group.bench_function("matrixmultiply", |bencher| {
            bencher.iter(|| {
                let (a, b) = (black_box(a.as_ptr()), black_box(b.as_ptr()));
                let c = c.as_mut_ptr();
                // SAFETY: the vectors hold row-major matrices of these shapes.
                unsafe {
                    matrixmultiply::sgemm(
                        m,
                        k,
                        n,
                        1.0,
                        a,
                        row(k),
                        1,
                        b,
                        row(n),
                        1,
                        0.0,
                        c,
                        row(n),
                        1,
                    );
                }
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = peak, gemm
}
criterion_main!(benches);

//! GEMM against the crates `gemm` and `matrixmultiply`, on one thread; throughput in FLOP/s.
//!
//! ```text
//! cargo bench -p fanin-kernels-benches --bench gemm
//! ```
//!
//! The first group is what the core can do at most: multiply-adds and nothing else.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin_kernels::{Gemm, MatMut, MatRef, peak};
use fanin_kernels_benches::vector_instruction_sets;
use std::hint::black_box;
use std::time::Duration;

/// A product C \[m, n\] = A \[m, k\] · B \[k, n\], and which of the operands are transposed views
/// of row-major matrices.
struct Shape {
    m: usize,
    k: usize,
    n: usize,
    transposed: (bool, bool),
}

impl Shape {
    /// X·W: all row-major.
    const fn forward(m: usize, k: usize, n: usize) -> Self {
        let transposed = (false, false);
        Self {
            m,
            k,
            n,
            transposed,
        }
    }

    /// Xᵀ·δ: the gradient of W.
    const fn weight_gradient(m: usize, k: usize, n: usize) -> Self {
        let transposed = (true, false);
        Self {
            m,
            k,
            n,
            transposed,
        }
    }

    /// δ·Wᵀ: the gradient of X.
    const fn input_gradient(m: usize, k: usize, n: usize) -> Self {
        let transposed = (false, true);
        Self {
            m,
            k,
            n,
            transposed,
        }
    }

    /// (Row stride, column stride) of A and of B.
    fn strides(&self) -> [(usize, usize); 2] {
        let of = |rows, cols, transposed| if transposed { (1, rows) } else { (cols, 1) };
        [
            of(self.m, self.k, self.transposed.0),
            of(self.k, self.n, self.transposed.1),
        ]
    }

    fn name(&self) -> String {
        let of = |name: &str, transposed| {
            if transposed {
                format!("{name}ᵀ")
            } else {
                name.to_owned()
            }
        };
        let (a, b) = (of("A", self.transposed.0), of("B", self.transposed.1));
        format!("gemm {a}{b} {}x{}x{}", self.m, self.k, self.n)
    }
}

/// Squares, an odd one, and layers of a small classifier: forward at batches of 10, 32, 100 and
/// 1,000, and both gradients.
const SHAPES: [Shape; 13] = [
    Shape::forward(1024, 1024, 1024),
    Shape::forward(512, 512, 512),
    Shape::forward(256, 256, 256),
    Shape::forward(64, 64, 64),
    Shape::forward(127, 129, 131),
    Shape::forward(10, 784, 390),
    Shape::forward(32, 156, 62),
    Shape::forward(100, 62, 25),
    Shape::forward(1000, 25, 10),
    Shape::weight_gradient(784, 10, 390),
    Shape::weight_gradient(156, 100, 62),
    Shape::input_gradient(10, 156, 390),
    Shape::input_gradient(32, 62, 156),
];

fn peak(criterion: &mut Criterion) {
    const ROUNDS: u64 = 100_000;
    let mut group = criterion.benchmark_group("peak");
    for isa in vector_instruction_sets() {
        let (flops, _) = peak::fma_chains(isa, ROUNDS);
        group.throughput(Throughput::Elements(flops as u64));
        group.bench_function(isa.name(), |bencher| {
            bencher.iter(|| black_box(peak::fma_chains(isa, black_box(ROUNDS))));
        });
    }
}

/// C = A·B.
fn gemm(criterion: &mut Criterion) {
    for shape in SHAPES {
        let Shape { m, k, n, .. } = shape;
        let [(ra, ca), (rb, cb)] = shape.strides();
        let ramp = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 17) as f32 - 8.0).collect() };
        let (a, b, mut c) = (ramp(m * k), ramp(k * n), vec![0.0; m * n]);
        let mut group = criterion.benchmark_group(shape.name());
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        for isa in vector_instruction_sets() {
            let mut gemm = match Gemm::new(isa) {
                Ok(gemm) => gemm,
                Err(error) => panic!("no memory for the packed matrices: {error}"),
            };
            group.bench_function(BenchmarkId::new("fanin", isa.name()), |bencher| {
                bencher.iter(|| {
                    gemm.run(
                        1.0,
                        MatRef::with_strides(black_box(&a), m, k, ra, ca),
                        MatRef::with_strides(black_box(&b), k, n, rb, cb),
                        0.0,
                        MatMut::new(&mut c, m, n),
                    );
                });
            });
        }
        let [ra, ca, rb, cb, rc] = [ra, ca, rb, cb, n].map(usize::cast_signed);
        group.bench_function("gemm", |bencher| {
            bencher.iter(|| {
                let (a, b) = (black_box(a.as_ptr()), black_box(b.as_ptr()));
                let c = c.as_mut_ptr();
                // SAFETY: the vectors hold matrices of these shapes and strides; c is not
                // read.
                unsafe {
                    ::gemm::gemm(
                        m,
                        n,
                        k,
                        c,
                        1,
                        rc,
                        false,
                        a,
                        ca,
                        ra,
                        b,
                        cb,
                        rb,
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
                // SAFETY: the vectors hold matrices of these shapes and strides.
                unsafe {
                    matrixmultiply::sgemm(m, k, n, 1.0, a, ra, ca, b, rb, cb, 0.0, c, rc, 1);
                }
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = peak, gemm
}
criterion_main!(benches);

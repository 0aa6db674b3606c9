//! Activations and their derivatives, and the functions below them, element by element:
//!
//! ```text
//! cargo bench -p fanin-kernels-benches --bench elementwise
//! ```
//!
//! 100 × 400 elements, as the first layer of a small classifier has: within the second-level
//! cache. Throughput in elements.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanin_kernels::math::{self, Function};
use fanin_kernels::{Activation, AlignedBuffer, MatMut, MatRef, activation};
use fanin_kernels_benches::vector_instruction_sets;
use std::hint::black_box;
use std::time::Duration;

const ROWS: usize = 100;
const COLS: usize = 400;

/// Numbers from −4 to 4: where these functions have to work.
fn numbers() -> AlignedBuffer {
    let mut x = zeros();
    for (i, x) in x.iter_mut().enumerate() {
        *x = (i * 37 % 801) as f32 / 100.0 - 4.0;
    }
    x
}

fn zeros() -> AlignedBuffer {
    match AlignedBuffer::zeroed(ROWS * COLS) {
        Ok(buffer) => buffer,
        Err(error) => panic!("no memory for the elements: {error}"),
    }
}

fn activations(criterion: &mut Criterion) {
    let (z, mut y, mut delta) = (numbers(), zeros(), zeros());
    for isa in vector_instruction_sets() {
        let mut group = criterion.benchmark_group(format!("activation {}", isa.name()));
        group.throughput(Throughput::Elements((ROWS * COLS) as u64));
        for f in Activation::ALL {
            group.bench_function(format!("{}/forward", f.name()), |b| {
                b.iter(|| {
                    let z = MatRef::new(black_box(&z), ROWS, COLS);
                    activation::forward(isa, f, z, MatMut::new(&mut y, ROWS, COLS));
                });
            });
            group.bench_function(format!("{}/backward", f.name()), |b| {
                // Its own result, shrinking towards 0, would become subnormal: each pass
                // starts from ones.
                b.iter(|| {
                    delta.fill(1.0);
                    let z = MatRef::new(black_box(&z), ROWS, COLS);
                    let y = MatRef::new(black_box(&y), ROWS, COLS);
                    activation::backward(isa, f, z, y, MatMut::new(&mut delta, ROWS, COLS));
                });
            });
        }
        group.finish();
    }
}

fn functions(criterion: &mut Criterion) {
    let (x, mut y) = (numbers(), zeros());
    // Logarithms of what has none are no measure: from 0.01 to 8.01.
    let positive: Vec<f32> = x.iter().map(|x| x + 4.01).collect();
    for isa in vector_instruction_sets() {
        let mut group = criterion.benchmark_group(format!("function {}", isa.name()));
        group.throughput(Throughput::Elements((ROWS * COLS) as u64));
        for f in Function::ALL {
            let x = match f {
                Function::Ln | Function::Log1p => &positive[..],
                _ => &x[..],
            };
            group.bench_function(format!("{f:?}").to_lowercase(), |b| {
                b.iter(|| math::map(isa, f, black_box(x), &mut y));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = activations, functions
}
criterion_main!(benches);

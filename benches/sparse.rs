//! The sparse input layer forward on MNIST: a batch through tiles of W, and the same
//! samples one call each, so that every one of them goes through all of W alone:
//! `cargo bench --bench sparse`.
//!
//! Blocks of 120 are those of an evaluation. 208 columns are what a thread of two has.

use criterion::{BatchSize, Criterion};
use fanin::Isa;
use fanin::data::Dataset;
use fanin_kernels::sparse::{self, BatchRows, SparseBytes};
use fanin_kernels::{Activation, AlignedBuffer, MatMut, MatRef};

const PIXELS: usize = 784;
/// 390 outputs, padded.
const WIDTH: usize = 400;

fn main() {
    let mnist = Dataset::open("mnist").expect("MNIST is in the repository");
    let inputs = SparseBytes::from_dense(mnist.train.images(), PIXELS).expect("whole images");
    let count = u32::try_from(inputs.rows()).expect("60,000");
    let scale: [f32; 256] = std::array::from_fn(|v| v as f32 / 255.0);
    let mut w = AlignedBuffer::zeroed(PIXELS * WIDTH).expect("memory");
    for (i, v) in w.iter_mut().enumerate() {
        *v = (i % 17) as f32 / 64.0 - 0.125;
    }
    let mut y = AlignedBuffer::zeroed(120 * WIDTH).expect("memory");
    let mut rows = BatchRows::with_capacity(&inputs, 120).expect("memory");
    let mut criterion = Criterion::default().configure_from_args();
    for isa in Isa::available().filter(|isa| isa.name() != "portable") {
        for (size, width) in [(10, 400), (10, 208), (120, 400), (120, 208)] {
            let w = MatRef::with_strides(&w, PIXELS, width, WIDTH, 1);
            let bias = vec![0.5; width];
            let name = format!("sparse forward {size}x{width} {}", isa.name());
            let mut group = criterion.benchmark_group(name);
            for (name, call) in [("batch", size), ("one by one", 1)] {
                let mut next = 0u32;
                let mut sample = || {
                    next = next.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                    (next >> 8) % count
                };
                group.bench_function(name, |b| {
                    b.iter_batched(
                        || {
                            let batch: Vec<u32> = (0..size).map(|_| sample()).collect();
                            sparse::prefetch(isa, &inputs, &batch, &[]);
                            batch
                        },
                        |batch| {
                            let y = y.chunks_mut(call * width);
                            for (batch, y) in batch.chunks(call).zip(y) {
                                let y = MatMut::new(y, call, width);
                                let f = Activation::Sigmoid;
                                rows.gather(&inputs, batch);
                                sparse::forward(isa, &rows, &scale, w, &bias, f, None, y);
                            }
                        },
                        BatchSize::PerIteration,
                    );
                });
            }
            group.finish();
        }
    }
    criterion.final_summary();
}

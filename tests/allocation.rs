//! No memory is allocated inside a training step or an evaluation.

// Only an allocator can see it.
#![allow(unsafe_code)]

use fanin::batch_norm::{BatchNorm, Placement};
use fanin::config::TrainConfig;
use fanin::{Activation, InputPath, Loss, Samples, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counter;

#[global_allocator]
static COUNTER: Counter = Counter;

// SAFETY: hands every call on to `System` as it is.
unsafe impl GlobalAlloc for Counter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's obligations are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

// Without the usual harness, whose thread allocates too while it waits for a test.
fn main() {
    steps_and_evaluations_allocate_nothing();
    println!("steps and evaluations allocate nothing: ok");
}

fn steps_and_evaluations_allocate_nothing() {
    let bytes: Vec<u8> = (0..50 * 100)
        .map(|i| if i % 5 == 0 { (i % 251) as u8 } else { 0 })
        .collect();
    let classes: Vec<u8> = (0..50).map(|i| i % 10).collect();
    for path in [InputPath::Sparse, InputPath::Dense] {
        let samples = Samples::from_bytes(&bytes, 100, &classes, path).unwrap();
        let input = BatchNorm {
            placement: Placement::Input,
            ..BatchNorm::default()
        };
        for (activation, loss, momentum, batch_norm) in [
            (Activation::Sigmoid, Loss::Mse, 0.0, None),
            (Activation::Gelu, Loss::CrossEntropy, 0.9, None),
            (Activation::Tanh, Loss::Mse, 0.0, Some(BatchNorm::ARTICLE)),
            (Activation::Gelu, Loss::Mse, 0.9, Some(input)),
        ] {
            for threads in [1, 2] {
                let config = TrainConfig {
                    // Large enough for two threads to share the first two.
                    layers: vec![100, 139, 77, 10],
                    activation,
                    output_activation: activation,
                    loss,
                    momentum,
                    batch_norm,
                    lr: 0.1,
                    batch: 7,
                    threads,
                    ..TrainConfig::default()
                };
                let mut trainer = Trainer::new(config, &samples, &samples).unwrap();
                // Has every thread of the team running.
                trainer.step();
                trainer.count_correct();
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                // More than an epoch, so that a reshuffle is among them.
                for _ in 0..20 {
                    assert!(trainer.step().is_finite());
                }
                trainer.count_correct();
                let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
                assert_eq!(allocations, 0, "{path}, {activation}, {threads} threads");
            }
        }
    }
}

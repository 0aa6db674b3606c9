//! Data: the IDX parsers on every kind of bad input, folders of files, and the real MNIST.

// The bound on memory is part of the contract; only an allocator can see it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};

#[path = "data/folder.rs"]
mod folder;
#[path = "data/idx.rs"]
mod idx;
#[path = "data/mnist.rs"]
mod mnist;
#[path = "data/samples.rs"]
mod samples;

/// An image file: `n` × `rows` × `cols`, its pixels counting up.
fn images(n: u8, rows: u8, cols: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, rows, 0, 0, 0, cols];
    let pixels = usize::from(n) * usize::from(rows) * usize::from(cols);
    bytes.extend((0..=255u8).cycle().take(pixels));
    bytes
}

/// A label file: 0, 1, … 9, 0, …
fn labels(n: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1, 0, 0, 0, n];
    bytes.extend((0..n).map(|i| i % 10));
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Runs `f`; gives its result and the largest block that this thread asked for meanwhile.
fn largest_allocation<T>(f: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let result = f();
    (result, LARGEST.get())
}

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn record(size: usize) {
    // Fails only while the thread ends.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

struct Recorder;

#[global_allocator]
static RECORDER: Recorder = Recorder;

// SAFETY: hands every call on to `System` as it is.
unsafe impl GlobalAlloc for Recorder {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record(layout.size());
        // SAFETY: the caller's obligations are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        record(size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

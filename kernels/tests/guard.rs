//! No kernel touches memory outside of what it was given: every buffer ends exactly
//! where a page begins that must not be touched, then begins where one ends.
//!
//! A kernel that reads or writes one element too far ends the process with SIGSEGV
//! (SIGBUS on some systems). `cargo test --test guard -- --test-threads=1` then shows
//! which test it was.
//!
//! The results must also be the same bits on every instruction set and at either place.

#![cfg(unix)]

use fanin_kernels::fused::Update;
use fanin_kernels::math::{self, Function};
use fanin_kernels::sparse::{self, BatchColumns, BatchRows, SamplePairs, SparseBytes};
use fanin_kernels::{
    Activation, Blocking, Gemm, Isa, Loss, MatMut, MatRef, Targets, activation, dense, fused, loss,
    norm, optimizer, padded, peak,
};
use guarded::{Guarded, Side};

/// Memory between two pages that may not be touched: all the unsafe code of this file.
mod guarded {
    use std::ops::{Deref, DerefMut};
    use std::ptr;

    /// At which side of the buffer a forbidden page lies directly.
    #[derive(Clone, Copy, Debug)]
    pub enum Side {
        Before,
        After,
    }

    /// A slice whose neighbour on one side is a forbidden page.
    pub struct Guarded<T> {
        map: *mut libc::c_void,
        map_len: usize,
        start: *mut T,
        len: usize,
    }

    impl<T: Copy> Guarded<T> {
        pub fn new(side: Side, values: &[T]) -> Self {
            // SAFETY: asks for a number.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            let page = usize::try_from(page).unwrap();
            assert!(page.is_multiple_of(align_of::<T>()) && size_of::<T>() == align_of::<T>());
            let bytes = size_of_val(values);
            let middle = bytes.next_multiple_of(page);
            let map_len = middle + 2 * page;
            // SAFETY: a new mapping, of which nothing may be touched yet; then the part
            // between its first and its last page is opened.
            let map = unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
                let map = libc::mmap(ptr::null_mut(), map_len, libc::PROT_NONE, flags, -1, 0);
                assert!(map != libc::MAP_FAILED, "no memory for a guarded buffer");
                let open = libc::PROT_READ | libc::PROT_WRITE;
                // Opening nothing is an error to some emulators.
                let opened = middle == 0 || libc::mprotect(map.byte_add(page), middle, open) == 0;
                assert!(opened, "the buffer cannot be opened");
                map
            };
            let offset = match side {
                Side::Before => page,
                Side::After => page + middle - bytes,
            };
            // SAFETY: `bytes` from `offset` on lie inside the open part, which is
            // aligned for T: it begins and ends with a page, and a T's size is its
            // alignment. They are ours alone until `drop`.
            let start = unsafe {
                let start = map.byte_add(offset).cast::<T>();
                ptr::copy_nonoverlapping(values.as_ptr(), start, values.len());
                start
            };
            Self {
                map,
                map_len,
                start,
                len: values.len(),
            }
        }
    }

    impl<T> Deref for Guarded<T> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            // SAFETY: `len` initialized elements (`new`), borrowed with `self`.
            unsafe { std::slice::from_raw_parts(self.start, self.len) }
        }
    }

    impl<T> DerefMut for Guarded<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            // SAFETY: as above, borrowed exclusively.
            unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
        }
    }

    impl<T> Drop for Guarded<T> {
        fn drop(&mut self) {
            // SAFETY: the whole mapping of `new`; T is Copy, nothing is to be dropped.
            unsafe { libc::munmap(self.map, self.map_len) };
        }
    }
}

/// Where the buffers of a case lie.
#[derive(Clone, Copy)]
struct Memory(Side);

impl Memory {
    fn of<T: Copy>(self, values: &[T]) -> Guarded<T> {
        Guarded::new(self.0, values)
    }

    /// Numbers between −1 and 1.
    fn floats(self, len: usize) -> Guarded<f32> {
        let values: Vec<f32> = (0..len)
            .map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0)
            .collect();
        self.of(&values)
    }

    /// Of a row-major matrix; the last row has no gap behind it.
    fn matrix(self, rows: usize, cols: usize, stride: usize) -> Guarded<f32> {
        self.floats((rows - 1) * stride + cols)
    }
}

/// Runs `case` on every instruction set and at either side; it returns what it computed,
/// which must be the same everywhere.
fn everywhere(name: &str, case: impl Fn(Isa, Memory) -> Vec<f32>) {
    let canonical = |v: f32| if v.is_nan() { f32::NAN } else { v }.to_bits();
    let mut expected: Option<Vec<u32>> = None;
    for isa in Isa::available() {
        for side in [Side::Before, Side::After] {
            let bits: Vec<u32> = case(isa, Memory(side)).into_iter().map(canonical).collect();
            let expected = expected.get_or_insert_with(|| bits.clone());
            assert!(*expected == bits, "{name}: {isa:?} {side:?} differs");
        }
    }
}

fn view(data: &[f32], rows: usize, cols: usize, stride: usize) -> MatRef<'_> {
    MatRef::with_strides(data, rows, cols, stride, 1)
}

fn view_mut(data: &mut [f32], rows: usize, cols: usize, stride: usize) -> MatMut<'_> {
    MatMut::with_strides(data, rows, cols, stride, 1)
}

/// Widths of whole registers: one, an odd number, and more than the widest sparse panel.
const REGISTERS: [usize; 3] = [16, 80, 29 * 16];
/// What the rows lie apart beyond their width.
const GAPS: [usize; 2] = [0, 16];

#[test]
fn dense_forward() {
    for (batch, k) in [(1, 1), (3, 5), (12, 17), (13, 16), (7, 0)] {
        for n in REGISTERS {
            for gap in GAPS {
                for f in Activation::ALL {
                    for keep_z in [false, true] {
                        everywhere("dense", |isa, memory| {
                            let x = memory.matrix(batch, k, k + gap);
                            let w = memory.floats((k.max(1) - 1) * (n + gap) + n);
                            let bias = memory.floats(n);
                            let mut z = memory.matrix(batch, n, n + gap);
                            let mut y = memory.matrix(batch, n, n + gap);
                            dense::forward(
                                isa,
                                view(&x, batch, k, k + gap),
                                view(&w, k, n, n + gap),
                                &bias,
                                f,
                                keep_z.then(|| view_mut(&mut z, batch, n, n + gap)),
                                view_mut(&mut y, batch, n, n + gap),
                            );
                            [&z[..], &y[..]].concat()
                        });
                    }
                }
                everywhere("dense, from a start", |isa, memory| {
                    let x = memory.matrix(batch, k, k + gap);
                    let w = memory.floats((k.max(1) - 1) * (n + gap) + n);
                    let start = memory.matrix(batch, n, n + gap);
                    let mut y = memory.matrix(batch, n, n + gap);
                    dense::forward_from(
                        isa,
                        view(&x, batch, k, k + gap),
                        view(&w, k, n, n + gap),
                        view(&start, batch, n, n + gap),
                        Activation::Identity,
                        None,
                        view_mut(&mut y, batch, n, n + gap),
                    );
                    y.to_vec()
                });
            }
        }
    }
}

/// 5 rows of 19 bytes; the first and the last column are lit, and one row is empty.
fn images() -> SparseBytes {
    let mut bytes: Vec<u8> = (0..95u8).map(|i| if i % 3 == 0 { i } else { 0 }).collect();
    bytes[18] = 255;
    bytes[19] = 1;
    bytes[38..57].fill(0);
    SparseBytes::from_dense(&bytes, 19).unwrap()
}

fn scale() -> [f32; 256] {
    std::array::from_fn(|v| v as f32 / 255.0)
}

#[test]
fn sparse_forward() {
    let images = images();
    for rows in [&[][..], &[2], &[4, 0, 1, 2, 3, 0]] {
        for n in REGISTERS {
            for gap in GAPS {
                for keep_z in [false, true] {
                    everywhere("sparse forward", |isa, memory| {
                        let batch = memory.of(rows);
                        let b = batch.len();
                        let scale = memory.of(&scale());
                        let w = memory.matrix(19, n, n + gap);
                        let bias = memory.floats(n);
                        let mut z = memory.matrix(b.max(1), n, n + gap);
                        let mut y = memory.matrix(b.max(1), n, n + gap);
                        sparse::prefetch(isa, &images, &batch, &batch);
                        let mut rows = BatchRows::with_capacity(&images, b).unwrap();
                        rows.gather(&images, &batch);
                        sparse::forward(
                            isa,
                            &rows,
                            (&scale[..]).try_into().unwrap(),
                            view(&w, 19, n, n + gap),
                            &bias,
                            Activation::Sigmoid,
                            keep_z.then(|| view_mut(&mut z, b, n, n + gap)),
                            view_mut(&mut y, b, n, n + gap),
                        );
                        [&z[..], &y[..]].concat()
                    });
                }
            }
        }
    }
}

#[test]
fn sparse_forward_of_pairs() {
    let images = images();
    for rows in [&[][..], &[2], &[4, 0, 1, 2, 3, 0]] {
        for n in REGISTERS {
            for gap in GAPS {
                everywhere("sparse forward of pairs", |isa, memory| {
                    let batch = memory.of(rows);
                    let b = batch.len();
                    let scale = memory.of(&scale());
                    let w = memory.matrix(19, n, n + gap);
                    let bias = memory.floats(n);
                    let mut y = memory.matrix(b.max(1), n, n + gap);
                    sparse::forward_pairs(
                        isa,
                        &SamplePairs::of(&images, &batch).unwrap(),
                        (&scale[..]).try_into().unwrap(),
                        view(&w, 19, n, n + gap),
                        &bias,
                        Activation::Sigmoid,
                        view_mut(&mut y, b, n, n + gap),
                    );
                    y.to_vec()
                });
            }
        }
    }
}

#[test]
fn sparse_accumulate() {
    let images = images();
    for rows in [&[2][..], &[4, 0, 1, 2, 3, 0]] {
        for n in REGISTERS {
            for gap in GAPS {
                everywhere("sparse accumulate", |isa, memory| {
                    let batch = memory.of(rows);
                    let scale = memory.of(&scale());
                    let scaled = memory.matrix(batch.len(), n, n + gap);
                    let mut target = memory.matrix(19, n, n + gap);
                    let mut columns = BatchColumns::with_capacity(&images, batch.len()).unwrap();
                    columns.gather(isa, &images, &batch, (&scale[..]).try_into().unwrap());
                    sparse::accumulate(
                        isa,
                        &columns,
                        view(&scaled, batch.len(), n, n + gap),
                        view_mut(&mut target, 19, n, n + gap),
                    );
                    target.to_vec()
                });
            }
        }
    }
}

#[test]
fn fused_backward() {
    for batch in [1, 2, 5] {
        for k in [1, 15, 16, 17, 33] {
            for n in [16, 80, 96] {
                for gap in GAPS {
                    for in_place in [false, true] {
                        for with_dx in [false, true] {
                            everywhere("fused", |isa, memory| {
                                let x = memory.matrix(batch, k, k + gap);
                                let delta = memory.matrix(batch, n, n + gap);
                                let scaled = memory.matrix(batch, n, n + gap);
                                let mut w = memory.matrix(k, n, n + gap);
                                let mut target = memory.matrix(k, n, n + gap);
                                let mut dx = memory.matrix(batch, padded(k), padded(k) + gap);
                                let update = if in_place {
                                    Update::Weights(view_mut(&mut w, k, n, n + gap))
                                } else {
                                    Update::Into {
                                        weights: view(&w, k, n, n + gap),
                                        target: view_mut(&mut target, k, n, n + gap),
                                    }
                                };
                                let stride = padded(k) + gap;
                                fused::backward(
                                    isa,
                                    view(&x, batch, k, k + gap),
                                    view(&delta, batch, n, n + gap),
                                    view(&scaled, batch, n, n + gap),
                                    update,
                                    with_dx.then(|| view_mut(&mut dx, batch, padded(k), stride)),
                                );
                                [&w[..], &target[..], &dx[..]].concat()
                            });
                        }
                    }
                }
            }
        }
    }
}

/// Widths around one and two registers.
const WIDTHS: [usize; 8] = [1, 2, 15, 16, 17, 31, 32, 33];

#[test]
fn activations() {
    for f in Activation::ALL {
        for rows in [1, 3] {
            for n in WIDTHS {
                for gap in [0, 3] {
                    everywhere("activation", |isa, memory| {
                        let z = memory.matrix(rows, n, n + gap);
                        let mut y = memory.matrix(rows, n, n + gap);
                        let mut delta = memory.matrix(rows, n, n + gap);
                        let mut again = memory.of(&z);
                        let seen = view(&z, rows, n, n + gap);
                        activation::forward(isa, f, seen, view_mut(&mut y, rows, n, n + gap));
                        let in_place = view_mut(&mut again, rows, n, n + gap);
                        activation::forward_in_place(isa, f, in_place);
                        activation::backward(
                            isa,
                            f,
                            seen,
                            view(&y, rows, n, n + gap),
                            view_mut(&mut delta, rows, n, n + gap),
                        );
                        [&y[..], &again[..], &delta[..]].concat()
                    });
                }
            }
        }
    }
}

#[test]
fn losses() {
    for loss in Loss::ALL {
        for rows in [1, 3] {
            for n in WIDTHS {
                for padding in [0, padded(n) - n] {
                    for gap in [0, 3] {
                        for of_classes in [false, true] {
                            everywhere("loss", |isa, memory| {
                                let y = memory.matrix(rows, n, n + gap);
                                let values = memory.matrix(rows, n, n + gap);
                                let last = u8::try_from(n - 1).unwrap();
                                let classes = memory.of(&[last, 0, last][..rows]);
                                let width = n + padding;
                                let mut grad = memory.matrix(rows, width, width + gap);
                                let targets = if of_classes {
                                    Targets::Classes(&classes)
                                } else {
                                    Targets::Values(view(&values, rows, n, n + gap))
                                };
                                let sum = loss::loss_and_gradient(
                                    isa,
                                    loss,
                                    view(&y, rows, n, n + gap),
                                    targets,
                                    view_mut(&mut grad, rows, width, width + gap),
                                );
                                [&[sum], &grad[..]].concat()
                            });
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn elementary_functions() {
    for f in Function::ALL {
        for n in 0..=48 {
            everywhere("map", |isa, memory| {
                let x = memory.floats(n);
                let mut y = memory.floats(n);
                math::map(isa, f, &x, &mut y);
                y.to_vec()
            });
        }
    }
}

#[test]
fn optimizers() {
    for rows in [1, 3] {
        for n in REGISTERS {
            for gap in GAPS {
                everywhere("optimizer", |isa, memory| {
                    let x = memory.matrix(rows, n, n + gap);
                    let mut y = memory.matrix(rows, n, n + gap);
                    let mut sums = memory.floats(n);
                    let x = view(&x, rows, n, n + gap);
                    optimizer::axpy(isa, 0.3, x, view_mut(&mut y, rows, n, n + gap));
                    optimizer::scale_in_place(isa, 0.7, view_mut(&mut y, rows, n, n + gap));
                    let mut results = y.to_vec();
                    optimizer::scale(isa, -0.1, x, view_mut(&mut y, rows, n, n + gap));
                    optimizer::add_rows(isa, x, view_mut(&mut sums, 1, n, n));
                    results.extend_from_slice(&y);
                    results.extend_from_slice(&sums);
                    results
                });
            }
        }
    }
}

#[test]
fn batch_normalization() {
    for rows in [1, 3] {
        for n in REGISTERS {
            for gap in GAPS {
                everywhere("batch normalization", |isa, memory| {
                    let mut x = memory.matrix(rows, n, n + gap);
                    let mut u = memory.matrix(rows, n, n + gap);
                    let mut delta = memory.matrix(rows, n, n + gap);
                    let [gamma, beta] = [0; 2].map(|_| memory.floats(n));
                    let [mut mean, mut variance, mut inverse] = [0; 3].map(|_| memory.floats(n));
                    let [mut dgamma, mut dbeta] = [0; 2].map(|_| memory.floats(n));
                    let [mut running_mean, mut running_variance] = [0; 2].map(|_| memory.floats(n));
                    let width = n + gap;
                    norm::statistics(isa, view(&x, rows, n, width), &mut mean, &mut variance);
                    norm::inverse_deviation(isa, &variance, 1e-3, &mut inverse);
                    norm::normalize(
                        isa,
                        view_mut(&mut x, rows, n, width),
                        &mean,
                        &inverse,
                        &gamma,
                        &beta,
                        view_mut(&mut u, rows, n, width),
                    );
                    norm::backward(
                        isa,
                        view(&x, rows, n, width),
                        &gamma,
                        &inverse,
                        view_mut(&mut delta, rows, n, width),
                        &mut dgamma,
                        &mut dbeta,
                    );
                    let mut results = [&x[..], &u[..], &delta[..]].concat();
                    let in_place = view_mut(&mut x, rows, n, width);
                    norm::normalize_in_place(isa, in_place, &mean, &inverse, &gamma, &beta);
                    let (to_mean, to_variance) = (&mut running_mean, &mut running_variance);
                    norm::update_running(isa, 0.1, rows, &mean, &variance, to_mean, to_variance);
                    let vectors = [mean, variance, inverse, dgamma, dbeta, running_mean];
                    for found in vectors.iter().chain([&running_variance, &x]) {
                        results.extend_from_slice(found);
                    }
                    results
                });
            }
        }
    }
}

#[test]
fn gemm() {
    /// Row and column stride of a matrix with so many rows and columns.
    type Layout = fn(usize, usize) -> (usize, usize);
    // Rows, padded rows, columns, neither.
    let layouts: [Layout; 4] = [
        |_, cols| (cols, 1),
        |_, cols| (cols + 5, 1),
        |rows, _| (1, rows),
        |_, cols| (2 * cols, 2),
    ];
    let extent = |rows: usize, cols: usize, (rs, cs): (usize, usize)| {
        if rows == 0 || cols == 0 {
            0
        } else {
            (rows - 1) * rs + (cols - 1) * cs + 1
        }
    };
    // The last ones for wide tiles: of four registers and what is left over, packed; of two,
    // read in place.
    for (m, k, n) in [
        (1, 1, 1),
        (7, 5, 17),
        (15, 3, 33),
        (29, 17, 31),
        (2, 0, 3),
        (15, 6, 76),
        (27, 25, 35),
    ] {
        for layout_a in layouts {
            for layout_b in layouts {
                for layout_c in layouts {
                    for blocking in [
                        None,
                        Some(Blocking {
                            mc: 5,
                            kc: 3,
                            nc: 7,
                        }),
                    ] {
                        everywhere("gemm", |isa, memory| {
                            let (sa, sb, sc) = (layout_a(m, k), layout_b(k, n), layout_c(m, n));
                            let a = memory.floats(extent(m, k, sa));
                            let b = memory.floats(extent(k, n, sb));
                            let mut c = memory.floats(extent(m, n, sc));
                            let mut gemm = match blocking {
                                None => Gemm::new(isa).unwrap(),
                                Some(blocking) => Gemm::with_blocking(isa, blocking).unwrap(),
                            };
                            for (alpha, beta) in [(0.3, 0.0), (1.0, 0.5)] {
                                gemm.run(
                                    alpha,
                                    MatRef::with_strides(&a, m, k, sa.0, sa.1),
                                    MatRef::with_strides(&b, k, n, sb.0, sb.1),
                                    beta,
                                    MatMut::with_strides(&mut c, m, n, sc.0, sc.1),
                                );
                            }
                            c.to_vec()
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn passes_over_memory() {
    for len in [0, 1, 16, 257, 300] {
        everywhere("peak", |isa, memory| {
            let x = memory.of(&vec![2.0f32; len]);
            let (mut y, mut z) = (memory.floats(len), memory.floats(len));
            peak::update(isa, 2, 0.5, &x, &mut y);
            peak::write(isa, 2, 3.0, &mut z);
            [&[peak::read(isa, 2, &x)][..], &y, &z].concat()
        });
    }
}

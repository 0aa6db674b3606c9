use super::*;
use crate::reference;
use proptest::prelude::*;

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Order {
    Rows,
    PaddedRows,
    Columns,
    PaddedColumns,
    /// Neither rows nor columns are contiguous.
    Scattered,
    /// Rows that meet in few sets of a cache.
    CrowdedRows,
    /// Columns that do.
    CrowdedColumns,
}

const ORDERS: [Order; 5] = [
    Order::Rows,
    Order::PaddedRows,
    Order::Columns,
    Order::PaddedColumns,
    Order::Scattered,
];

/// A matrix in memory whose gaps hold NaN.
#[derive(Clone)]
struct Stored {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl Stored {
    /// Elements uniform in (−1, 1), the same for every order.
    fn new(rows: usize, cols: usize, order: Order, seed: u64) -> Self {
        let (row_stride, col_stride) = match order {
            Order::Rows => (cols, 1),
            Order::PaddedRows => (cols + 5, 1),
            Order::Columns => (1, rows),
            Order::PaddedColumns => (1, rows + 3),
            Order::Scattered => (3 * cols + 1, 3),
            Order::CrowdedRows => (1024, 1),
            Order::CrowdedColumns => (1, 1024),
        };
        let len = if rows == 0 || cols == 0 {
            0
        } else {
            (rows - 1) * row_stride + (cols - 1) * col_stride + 1
        };
        let mut stored = Self {
            data: vec![f32::NAN; len],
            rows,
            cols,
            row_stride,
            col_stride,
        };
        let mut state = seed;
        let elements: Vec<f32> = (0..rows * cols).map(|_| uniform(&mut state)).collect();
        stored.fill(&elements);
        stored
    }

    fn fill(&mut self, elements: &[f32]) {
        for (i, &v) in elements.iter().enumerate() {
            let (r, c) = (i / self.cols, i % self.cols);
            self.data[r * self.row_stride + c * self.col_stride] = v;
        }
    }

    fn view(&self) -> MatRef<'_> {
        let Self { rows, cols, .. } = *self;
        MatRef::with_strides(&self.data, rows, cols, self.row_stride, self.col_stride)
    }

    fn view_mut(&mut self) -> MatMut<'_> {
        let Self { rows, cols, .. } = *self;
        MatMut::with_strides(&mut self.data, rows, cols, self.row_stride, self.col_stride)
    }

    /// All of the memory, gaps included.
    fn bits(&self) -> Vec<u32> {
        self.data.iter().map(|v| v.to_bits()).collect()
    }
}

/// A linear congruential generator, uniform in (−1, 1): enough for a test.
fn uniform(state: &mut u64) -> f32 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// The chain of the contract, element by element.
fn chains(alpha: f32, a: MatRef, b: MatRef, beta: f32, c: MatRef) -> Vec<f32> {
    let mut out = Vec::new();
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let mut acc = match beta {
                0.0 => 0.0,
                1.0 => c.get(i, j),
                _ => beta * c.get(i, j),
            };
            for p in 0..a.cols() {
                acc = (alpha * a.get(i, p)).mul_add(b.get(p, j), acc);
            }
            out.push(acc);
        }
    }
    out
}

/// With the tiles of cores of either width, whichever this one has.
fn of_every_shape(gemm: impl Fn() -> Gemm) -> [Gemm; 2] {
    let shapes = match gemm().shape.rows > 6 {
        true => [(14, 1), (12, 4)],
        false => [(6, 1), (6, 4)],
    };
    shapes.map(|(rows, registers)| Gemm {
        shape: Shape { rows, registers },
        ..gemm()
    })
}

/// The default, and block sizes that cut everywhere: through tiles, panels and registers.
fn engines(isa: Isa) -> Vec<Gemm> {
    let sizes = [
        (5, 3, 7),
        (1, 1, 1),
        (29, 2, 40),
        (7, 16, 64),
        (25, 26, 100),
    ];
    let mut engines = Vec::from(of_every_shape(|| Gemm::new(isa).unwrap()));
    for (mc, kc, nc) in sizes {
        let gemm = || Gemm::with_blocking(isa, Blocking { mc, kc, nc }).unwrap();
        engines.extend(of_every_shape(gemm));
    }
    engines
}

/// Every instruction set with all its block sizes, to be reused from case to case (so
/// what one leaves in the buffers meets the next).
fn all_engines() -> Vec<Gemm> {
    Isa::available().flat_map(engines).collect()
}

/// Runs every engine and compares all of C's memory with the plain chains, to the bit.
fn check(engines: &mut [Gemm], alpha: f32, a: &Stored, b: &Stored, beta: f32, c: &Stored) {
    let mut expected = c.clone();
    expected.fill(&chains(alpha, a.view(), b.view(), beta, c.view()));
    let mut old = c.clone();
    if beta == 0.0 {
        old.data.fill(f32::NAN);
    }
    for gemm in engines {
        let mut got = old.clone();
        gemm.run(alpha, a.view(), b.view(), beta, got.view_mut());
        assert!(
            got.bits() == expected.bits(),
            "{:?} {:?} {:?}: {alpha}·{:?}·{:?} + {beta}·{:?}",
            gemm.isa(),
            gemm.shape,
            gemm.blocking(),
            a.view(),
            b.view(),
            c.view(),
        );
    }
}

/// Below, at and above the tile edges: 6, 12 and 14 rows, 16, 32, 48 and 64 columns.
const ROWS: [usize; 14] = [0, 1, 2, 5, 6, 7, 11, 12, 13, 14, 15, 25, 28, 31];
const COLUMNS: [usize; 14] = [0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 99];
const DEPTHS: [usize; 8] = [0, 1, 2, 3, 4, 16, 17, 25];

#[test]
fn every_tile_edge_is_the_plain_chain_to_the_bit() {
    let mut engines = all_engines();
    for m in ROWS {
        for n in COLUMNS {
            for k in DEPTHS {
                let a = Stored::new(m, k, Order::Rows, 1);
                let b = Stored::new(k, n, Order::Rows, 2);
                let c = Stored::new(m, n, Order::PaddedRows, 3);
                check(&mut engines, 1.0, &a, &b, 1.0, &c);
            }
        }
    }
}

#[test]
fn every_stride_and_factor_is_the_plain_chain_to_the_bit() {
    let mut engines = all_engines();
    let mut case = 0;
    for (m, k, n) in [
        (15, 5, 33),
        (1, 17, 18),
        (8, 18, 1),
        (4, 0, 19),
        (27, 6, 76),
    ] {
        for order_a in ORDERS {
            for order_b in ORDERS {
                for order_c in ORDERS {
                    let a = Stored::new(m, k, order_a, 1);
                    let b = Stored::new(k, n, order_b, 2);
                    let c = Stored::new(m, n, order_c, 3);
                    // Each α, and a β that moves on from case to case: over the five shapes
                    // every pair of the two meets every three orders.
                    for (i, alpha) in [0.0, 1.0, -1.0, 0.3].into_iter().enumerate() {
                        let beta = [0.0, 1.0, -1.0, 0.7][(case + i) % 4];
                        check(&mut engines, alpha, &a, &b, beta, &c);
                    }
                    case += 1;
                }
            }
        }
    }
}

#[test]
fn default_blocks_are_crossed() {
    // More than one block of k, of rows and of columns on every instruction set.
    for isa in Isa::available() {
        let Blocking { mc, kc, nc } = Gemm::new(isa).unwrap().blocking();
        for (m, k, n) in [(2, 2 * kc + 1, 17), (mc + 1, 3, 17), (2, 3, nc + 17)] {
            for order_c in [Order::Rows, Order::Columns] {
                let a = Stored::new(m, k, Order::Rows, 1);
                let b = Stored::new(k, n, Order::Columns, 2);
                let c = Stored::new(m, n, order_c, 3);
                check(&mut all_engines(), 0.3, &a, &b, 0.7, &c);
            }
        }
    }
}

/// With the usual blocks, on every instruction set.
fn default_engines() -> Vec<Gemm> {
    let engines = |isa| of_every_shape(|| Gemm::new(isa).unwrap());
    Isa::available().flat_map(engines).collect()
}

#[test]
fn what_collides_in_the_caches_is_the_plain_chain_to_the_bit() {
    let mut engines = default_engines();
    let (k, n) = (300, 83);
    // Rows of one strip, which read B where it lies, and of several.
    for m in [9, 31] {
        for order_a in [Order::CrowdedRows, Order::CrowdedColumns] {
            for order_b in [Order::CrowdedRows, Order::CrowdedColumns, Order::Rows] {
                let a = Stored::new(m, k, order_a, 1);
                let b = Stored::new(k, n, order_b, 2);
                let c = Stored::new(m, n, Order::Rows, 3);
                check(&mut engines, 1.0, &a, &b, 1.0, &c);
            }
        }
    }
}

#[test]
fn a_long_k_is_the_plain_chain_to_the_bit() {
    let mut engines = default_engines();
    // In one piece and in several, read in place by few rows and packed for more; lines of the last
    // B collide.
    for (k, n) in [(600, 83), (1100, 83), (1024, 512)] {
        for m in [3, 31, 60] {
            let a = Stored::new(m, k, Order::Rows, 1);
            let b = Stored::new(k, n, Order::Rows, 2);
            let c = Stored::new(m, n, Order::Rows, 3);
            check(&mut engines, 1.0, &a, &b, 1.0, &c);
        }
    }
}

#[test]
fn a_large_c_is_the_plain_chain_to_the_bit() {
    let mut engines = default_engines();
    // Larger than the second-level cache of cores with narrow tiles, and with wide ones: than half
    // of it, and than all.
    for (m, k, n) in [(365, 256, 370), (561, 257, 470), (1027, 257, 521)] {
        let a = Stored::new(m, k, Order::Rows, 1);
        let b = Stored::new(k, n, Order::Rows, 2);
        let c = Stored::new(m, n, Order::Rows, 3);
        check(&mut engines, 1.0, &a, &b, 1.0, &c);
    }
}

/// |rounded − exact| of one element, at most: k FMAs, α·a and β·c round once each, by
/// 2⁻²⁴ of what they give; no intermediate exceeds Σ|α·a·b| + |β·c| by more than the
/// factor for the second order. (Nothing here is subnormal.)
fn bound(alpha: f32, a: MatRef, b: MatRef, beta: f32, old: f32, (i, j): (usize, usize)) -> f64 {
    let products = (0..a.cols())
        .map(|p| (f64::from(alpha) * f64::from(a.get(i, p)) * f64::from(b.get(p, j))).abs());
    let magnitude = products.sum::<f64>() + (f64::from(beta) * f64::from(old)).abs();
    (a.cols() + 1) as f64 * 2f64.powi(-24) * magnitude * 1.001
}

#[test]
fn every_isa_is_within_the_bound_of_the_oracle() {
    for isa in Isa::available() {
        let mut gemm = Gemm::new(isa).unwrap();
        for (m, k, n) in [(15, 700, 33), (7, 64, 17), (31, 1, 65), (1, 2000, 1)] {
            for (alpha, beta) in [(1.0, 0.0), (1.0, 1.0), (0.3, 0.7), (-1.0, 1.0)] {
                let a = Stored::new(m, k, Order::Rows, 1);
                let b = Stored::new(k, n, Order::Rows, 2);
                let old = Stored::new(m, n, Order::Rows, 3);
                let mut c = old.clone();
                gemm.run(alpha, a.view(), b.view(), beta, c.view_mut());
                let exact =
                    reference::gemm(alpha.into(), a.view(), b.view(), beta.into(), old.view());
                for (i, &exact) in exact.iter().enumerate() {
                    let at = (i / n, i % n);
                    let error = (f64::from(c.data[i]) - exact).abs();
                    let bound = bound(alpha, a.view(), b.view(), beta, old.data[i], at);
                    assert!(error <= bound, "{isa:?} {at:?}: {error:e} > {bound:e}");
                }
            }
        }
    }
}

#[test]
fn it_agrees_with_matrixmultiply() {
    let (m, k, n) = (45, 131, 70);
    let mut gemm = Gemm::new(Isa::best()).unwrap();
    for order in ORDERS {
        let a = Stored::new(m, k, order, 1);
        let b = Stored::new(k, n, order, 2);
        let old = Stored::new(m, n, order, 3);
        let (mut ours, mut theirs) = (old.clone(), old.clone());
        gemm.run(0.5, a.view(), b.view(), -2.0, ours.view_mut());
        let strides = |x: &Stored| (x.row_stride as isize, x.col_stride as isize);
        let ((ra, ca), (rb, cb), (rc, cc)) = (strides(&a), strides(&b), strides(&old));
        // SAFETY: the pointers and strides are those of matrices of these shapes.
        unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                0.5,
                a.data.as_ptr(),
                ra,
                ca,
                b.data.as_ptr(),
                rb,
                cb,
                -2.0,
                theirs.data.as_mut_ptr(),
                rc,
                cc,
            );
        }
        for i in 0..m {
            for j in 0..n {
                let (x, y) = (ours.view().get(i, j), theirs.view().get(i, j));
                let bound = bound(0.5, a.view(), b.view(), -2.0, old.view().get(i, j), (i, j));
                let distance = (f64::from(x) - f64::from(y)).abs();
                // Two errors, and a few more roundings in theirs.
                assert!(distance <= 2.1 * bound, "{order:?} ({i}, {j}): {x} and {y}");
            }
        }
    }
}

#[test]
fn infinities_and_nans_are_those_of_the_chain() {
    let a = [f32::INFINITY, 1.0, 0.0, 1.0];
    let b = [1.0, 0.0, 2.0, f32::NAN];
    let want = [f32::INFINITY, f32::NAN, 2.0, f32::NAN];
    for mut gemm in all_engines() {
        let mut c = [f32::NAN; 4];
        gemm.run(
            1.0,
            MatRef::new(&a, 2, 2),
            MatRef::new(&b, 2, 2),
            0.0,
            MatMut::new(&mut c, 2, 2),
        );
        for (got, want) in c.iter().zip(want) {
            assert!(*got == want || got.is_nan() && want.is_nan(), "{c:?}");
        }
        // 0·∞ is NaN: α = 0 is no special case.
        gemm.run(
            0.0,
            MatRef::new(&a, 2, 2),
            MatRef::new(&b, 2, 2),
            0.0,
            MatMut::new(&mut c, 2, 2),
        );
        assert!(c[0].is_nan() && c[2] == 0.0, "{c:?}");
    }
}

#[test]
fn operands_may_repeat_elements() {
    let (one, row) = ([2.0], [1.0, 2.0, 3.0]);
    let a = MatRef::with_strides(&one, 4, 3, 0, 0);
    let b = MatRef::with_strides(&row, 3, 3, 0, 1);
    for mut gemm in all_engines() {
        let mut c = [1.0; 12];
        gemm.run(1.0, a, b, 1.0, MatMut::new(&mut c, 4, 3));
        assert_eq!(c, [7., 13., 19.].repeat(4)[..]);
    }
}

#[test]
#[should_panic(expected = "do not fit together")]
fn shapes_that_do_not_fit_are_refused() {
    let mut gemm = Gemm::new(Isa::best()).unwrap();
    let data = [0.0; 6];
    gemm.run(
        1.0,
        MatRef::new(&data, 2, 3),
        MatRef::new(&data, 2, 3),
        0.0,
        MatMut::new(&mut [0.0; 6], 2, 3),
    );
}

#[test]
#[should_panic(expected = "a block is empty")]
fn empty_blocks_are_refused() {
    let sizes = Blocking {
        mc: 1,
        kc: 0,
        nc: 1,
    };
    let _ = Gemm::with_blocking(Isa::best(), sizes);
}

#[test]
fn absurd_blocks_are_an_error() {
    let sizes = Blocking {
        mc: usize::MAX,
        kc: 2,
        nc: 1,
    };
    assert!(Gemm::with_blocking(Isa::best(), sizes).is_err());
}

fn order() -> impl Strategy<Value = Order> {
    (0..ORDERS.len()).prop_map(|i| ORDERS[i])
}

fn factor() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(-1.0), -4.0f32..4.0]
}

proptest! {
    #[test]
    fn any_case_is_the_plain_chain_to_the_bit(
        (m, k, n) in (0..40usize, 0..40usize, 0..150usize),
        orders in (order(), order(), order()),
        (alpha, beta) in (factor(), factor()),
        (mc, kc, nc) in (1..40usize, 1..40usize, 1..160usize),
        seed: u64,
    ) {
        let gemm = |isa| Gemm::with_blocking(isa, Blocking { mc, kc, nc }).unwrap();
        let mut engines: Vec<Gemm> = Isa::available()
            .flat_map(|isa| of_every_shape(|| gemm(isa)))
            .collect();
        let a = Stored::new(m, k, orders.0, seed);
        let b = Stored::new(k, n, orders.1, !seed);
        let c = Stored::new(m, n, orders.2, seed.rotate_left(32));
        check(&mut engines, alpha, &a, &b, beta, &c);
    }
}

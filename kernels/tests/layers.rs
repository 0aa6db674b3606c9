//! The layer kernels against scalar chains of `f32::mul_add`, to the last bit, on every
//! instruction set of this CPU: sizes around every tile edge, gaps and padding poisoned.
//!
//! The chains below are the numerics contract written down a second time, with the
//! standard library's fused multiply-add.

use fanin_kernels::fused::Update;
use fanin_kernels::sparse::{BatchColumns, BatchRows, SamplePairs, SparseBytes};
use fanin_kernels::{Activation, Isa, LANES, MatMut, MatRef, dense, fused, padded, sparse};

/// Reproducible numbers in (−1, 1), a few of them zero.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn float(&mut self) -> f32 {
        match self.next() {
            bits if bits % 11 == 0 => 0.0,
            bits => (bits >> 40) as f32 / (1 << 23) as f32 - 1.0,
        }
    }
}

/// A row-major matrix with a row stride above its width; what lies between is NaN.
#[derive(Clone)]
struct Gapped {
    data: Vec<f32>,
    rows: usize,
    cols: usize,
    stride: usize,
}

impl Gapped {
    fn new(rows: usize, cols: usize, stride: usize, mut value: impl FnMut() -> f32) -> Self {
        let mut data = vec![f32::NAN; rows * stride];
        for row in data.chunks_mut(stride) {
            row[..cols].fill_with(&mut value);
        }
        Self {
            data,
            rows,
            cols,
            stride,
        }
    }

    fn view(&self) -> MatRef<'_> {
        MatRef::with_strides(&self.data, self.rows, self.cols, self.stride, 1)
    }

    fn view_mut(&mut self) -> MatMut<'_> {
        MatMut::with_strides(&mut self.data, self.rows, self.cols, self.stride, 1)
    }

    fn at(&self, r: usize, c: usize) -> f32 {
        assert!(c < self.cols);
        self.data[r * self.stride + c]
    }

    /// Every element has these bits, and the gaps are as they were.
    fn assert(&self, what: &str, expected: impl Fn(usize, usize) -> f32) {
        for r in 0..self.rows {
            for c in 0..self.stride {
                let found = self.data[r * self.stride + c];
                if c >= self.cols {
                    assert!(found.is_nan(), "{what}: the gap at ({r}, {c}) was written");
                } else {
                    let expected = expected(r, c);
                    assert!(
                        found.to_bits() == expected.to_bits(),
                        "{what}: ({r}, {c}) is {found:e}, not {expected:e}"
                    );
                }
            }
        }
    }
}

/// Σ a·b by 16 chains in ascending order and one tree.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
        lanes[i % LANES] = a.mul_add(b, lanes[i % LANES]);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Above 128, W is updated by some of the samples after the others.
const BATCHES: [usize; 13] = [1, 2, 5, 6, 7, 10, 12, 13, 25, 33, 64, 65, 300];
const INPUTS: [usize; 6] = [1, 3, 15, 16, 17, 40];
const WIDTHS: [usize; 5] = [16, 32, 48, 96, 464];

#[test]
fn dense_forward_is_one_chain_from_the_bias() {
    let mut numbers = Numbers(1);
    for isa in Isa::available() {
        for batch in BATCHES {
            for k in INPUTS {
                for n in WIDTHS {
                    let x = Gapped::new(batch, k, k + 3, || numbers.float());
                    let w = Gapped::new(k, n, n + 16, || numbers.float());
                    let bias: Vec<f32> = (0..n).map(|_| numbers.float()).collect();
                    let chain = |r: usize, c: usize| {
                        (0..k).fold(bias[c], |acc, p| x.at(r, p).mul_add(w.at(p, c), acc))
                    };
                    let what = format!("{isa:?} {batch}×{k}×{n}");
                    let mut z = Gapped::new(batch, n, n + 1, || f32::NAN);
                    let mut y = Gapped::new(batch, n, n + 2, || f32::NAN);
                    let relu = Activation::Relu;
                    let keep = Some(z.view_mut());
                    dense::forward(isa, x.view(), w.view(), &bias, relu, keep, y.view_mut());
                    z.assert(&what, chain);
                    y.assert(&what, |r, c| chain(r, c).max(0.0));
                    let mut y = Gapped::new(batch, n, n + 2, || f32::NAN);
                    let identity = Activation::Identity;
                    let out = y.view_mut();
                    dense::forward(isa, x.view(), w.view(), &bias, identity, None, out);
                    y.assert(&what, chain);
                    // In two parts, the second from what the first has left.
                    let cut = k / 2;
                    let (x, w) = (x.view(), w.view());
                    let [(x0, w0), (x1, w1)] = [0..cut, cut..k].map(|part| {
                        let rows = w.row_range(part.start, part.end);
                        (x.col_range(part.start, part.end), rows)
                    });
                    let mut sums = Gapped::new(batch, n, n + 3, || f32::NAN);
                    let mut y = Gapped::new(batch, n, n + 2, || f32::NAN);
                    let (first, out) = (sums.view_mut(), y.view_mut());
                    dense::forward(isa, x0, w0, &bias, identity, None, first);
                    dense::forward_from(isa, x1, w1, sums.view(), relu, None, out);
                    y.assert(&what, |r, c| chain(r, c).max(0.0));
                }
            }
        }
    }
}

/// Bytes of which about a fifth are not zero, and some rows all zero.
fn images(numbers: &mut Numbers, rows: usize, cols: usize) -> Vec<u8> {
    (0..rows * cols)
        .map(|i| match (numbers.next() % 5, (i / cols) % 7) {
            (0, 1..) => (numbers.next() % 255 + 1) as u8,
            _ => 0,
        })
        .collect()
}

fn scale() -> [f32; 256] {
    std::array::from_fn(|v| v as f32 / 255.0)
}

#[test]
fn sparse_forward_is_the_chain_without_zeros() {
    let mut numbers = Numbers(2);
    let scale = scale();
    // Kept from batch to batch.
    let mut rows_of = BatchRows::default();
    for isa in Isa::available() {
        // 3,000 columns: more than there are bands of the usual width. 5,000: more than would fit
        // into so many bands.
        for (cols, widest) in [
            (1, 912),
            (2, 912),
            (70, 912),
            (784, 464),
            (3000, 80),
            (5000, 16),
        ] {
            let bytes = images(&mut numbers, 20, cols);
            let inputs = SparseBytes::from_dense(&bytes, cols).unwrap();
            for n in [16, 32, 80, 96, 112, 208, 224, 400, 448, 464, 912] {
                if n > widest {
                    continue;
                }
                let w = Gapped::new(cols, n, n + 16, || numbers.float());
                let bias: Vec<f32> = (0..n).map(|_| numbers.float()).collect();
                for batch in [vec![], vec![3], vec![19, 0, 7, 7, 8], (0..11).collect()] {
                    rows_of.gather(&inputs, &batch);
                    let chain = |r: usize, c: usize| {
                        let row = &bytes[batch[r] as usize * cols..][..cols];
                        row.iter().enumerate().fold(bias[c], |acc, (p, &byte)| {
                            scale[usize::from(byte)].mul_add(w.at(p, c), acc)
                        })
                    };
                    let what = format!("{isa:?} {cols}×{n} {batch:?}");
                    let rows = batch.len();
                    let mut z = Gapped::new(rows, n, n + 1, || f32::NAN);
                    let mut y = Gapped::new(rows, n, n + 2, || f32::NAN);
                    let (keep, out) = (Some(z.view_mut()), y.view_mut());
                    let (w, relu) = (w.view(), Activation::Relu);
                    sparse::forward(isa, &rows_of, &scale, w, &bias, relu, keep, out);
                    z.assert(&what, chain);
                    y.assert(&what, |r, c| chain(r, c).max(0.0));
                    let pairs = SamplePairs::of(&inputs, &batch).unwrap();
                    let mut y = Gapped::new(rows, n, n + 2, || f32::NAN);
                    sparse::forward_pairs(isa, &pairs, &scale, w, &bias, relu, y.view_mut());
                    y.assert(&what, |r, c| chain(r, c).max(0.0));
                }
            }
        }
    }
}

#[test]
fn zero_pixels_are_skipped_even_where_weights_are_not_finite() {
    let inputs = SparseBytes::from_dense(&[0, 255, 0, 51, 0, 0], 3).unwrap();
    let mut weights = [f32::INFINITY; 48];
    weights[16..32].fill(2.0);
    weights[32..].fill(f32::NAN);
    for isa in Isa::available() {
        for batch in [&[0, 1][..], &[1, 0, 0, 1, 0]] {
            let w = MatRef::new(&weights, 3, 16);
            let mut rows = BatchRows::default();
            rows.gather(&inputs, batch);
            let mut y = Gapped::new(batch.len(), 16, 16, || 0.0);
            let (out, identity) = (y.view_mut(), Activation::Identity);
            let bias = [0.5; 16];
            sparse::forward(isa, &rows, &scale(), w, &bias, identity, None, out);
            for (r, &row) in batch.iter().enumerate() {
                let expected = [2.5, f32::INFINITY][row as usize];
                assert!((0..16).all(|c| y.at(r, c) == expected));
            }
        }
    }
}

/// Batches of every kind of row through several tiles of W and more than one group of
/// samples; the kinds meet at every place of a group.
#[test]
fn sparse_forward_is_the_same_chain_however_w_is_cut() {
    const COLS: usize = 784;
    let mut numbers = Numbers(5);
    let scale = scale();
    let mut bytes = images(&mut numbers, 6, COLS);
    // All lit, the first or the last only, both, and a band's first and last.
    let kinds: [&dyn Fn(usize) -> bool; 5] = [
        &|_| true,
        &|p| p == 0,
        &|p| p == COLS - 1,
        &|p| p % (COLS - 1) == 0,
        &|p| p % 128 == 0 || p % 128 == 127,
    ];
    for lit in kinds {
        bytes.extend((0..COLS).map(|p| 51 * u8::from(lit(p))));
    }
    let inputs = SparseBytes::from_dense(&bytes, COLS).unwrap();
    for isa in Isa::available() {
        for (n, batch) in [(400, 4), (400, 11), (96, 128), (16, 129), (48, 259)] {
            let batch: Vec<u32> = (0u32..batch).map(|i| (i * 7) % 11).collect();
            let mut rows_of = BatchRows::with_capacity(&inputs, batch.len()).unwrap();
            rows_of.gather(&inputs, &batch);
            let w = Gapped::new(COLS, n, n + 16, || numbers.float());
            let bias: Vec<f32> = (0..n).map(|_| numbers.float()).collect();
            let rows: Vec<Vec<f32>> = bytes
                .chunks(COLS)
                .map(|row| {
                    let chain = |c: usize| {
                        row.iter().enumerate().fold(bias[c], |acc, (p, &byte)| {
                            scale[usize::from(byte)].mul_add(w.at(p, c), acc)
                        })
                    };
                    (0..n).map(chain).collect()
                })
                .collect();
            for keep_z in [false, true] {
                let mut z = Gapped::new(batch.len(), n, n + 1, || f32::NAN);
                let mut y = Gapped::new(batch.len(), n, n + 2, || f32::NAN);
                let keep = keep_z.then(|| z.view_mut());
                let (w, out, relu) = (w.view(), y.view_mut(), Activation::Relu);
                sparse::forward(isa, &rows_of, &scale, w, &bias, relu, keep, out);
                let what = format!("{isa:?} {n} {}", batch.len());
                let chain = |r: usize, c: usize| rows[batch[r] as usize][c];
                y.assert(&what, |r, c| chain(r, c).max(0.0));
                if keep_z {
                    z.assert(&what, chain);
                }
            }
            let pairs = SamplePairs::of(&inputs, &batch).unwrap();
            let mut y = Gapped::new(batch.len(), n, n + 2, || f32::NAN);
            let (out, relu) = (y.view_mut(), Activation::Relu);
            sparse::forward_pairs(isa, &pairs, &scale, w.view(), &bias, relu, out);
            y.assert("pairs", |r, c| rows[batch[r] as usize][c].max(0.0));
        }
    }
}

/// Widths of the input layer, around the edges of panels.
const WIDE: [usize; 6] = [16, 96, 112, 400, 464, 912];

#[test]
fn sparse_accumulate_is_one_chain_in_ascending_samples() {
    let mut numbers = Numbers(3);
    let scale = scale();
    let mut columns = BatchColumns::default();
    for isa in Isa::available() {
        // Pairs of columns, and one that is left.
        for cols in [1, 71, 300] {
            let bytes = images(&mut numbers, 20, cols);
            let inputs = SparseBytes::from_dense(&bytes, cols).unwrap();
            for n in WIDE {
                // The last ones are as many as go together and more, and panels do not fit near them.
                let many = |n| (0..20).cycle().take(n).collect();
                for batch in [
                    vec![],
                    vec![5],
                    vec![19, 0, 7, 7, 8],
                    (3..13).collect(),
                    many(16),
                    (0..20).collect(),
                    many(64),
                    many(65),
                    many(300),
                ] {
                    // Of an infinity a pixel that is not lit sees nothing.
                    let mut first = (batch.len() == 5).then_some(f32::INFINITY);
                    let float = || first.take().unwrap_or_else(|| numbers.float());
                    let scaled = Gapped::new(batch.len(), n, n + 5, float);
                    let old = Gapped::new(cols, n, n + 16, || numbers.float());
                    let mut target = old.clone();
                    columns.gather(isa, &inputs, &batch, &scale);
                    sparse::accumulate(isa, &columns, scaled.view(), target.view_mut());
                    let what = format!("{isa:?} {cols}×{n} {:?}", batch.get(..20));
                    target.assert(&what, |p, c| {
                        let samples = batch.iter().enumerate();
                        samples.fold(old.at(p, c), |acc, (b, &row)| {
                            match bytes[row as usize * cols + p] {
                                0 => acc,
                                v => scale[usize::from(v)].mul_add(scaled.at(b, c), acc),
                            }
                        })
                    });
                }
            }
        }
    }
}

#[test]
fn a_batch_that_could_not_be_gathered_is_not_used() {
    let inputs = SparseBytes::from_dense(&[1; 40], 4).unwrap();
    let (isa, scale) = (Isa::best(), scale());
    let mut columns = BatchColumns::default();
    columns.gather(isa, &inputs, &[9; 10], &scale);
    // Sample 10 does not exist: a panic after entries of ten samples, and before.
    let mut gather = |batch: &[u32]| {
        let gather = || columns.gather(isa, &inputs, batch, &scale);
        let gathered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(gather));
        let used = std::panic::catch_unwind(|| {
            let scaled = Gapped::new(batch.len(), 16, 16, || 1.0);
            let mut target = Gapped::new(4, 16, 16, || 0.0);
            sparse::accumulate(isa, &columns, scaled.view(), target.view_mut());
            target.at(0, 0)
        });
        (gathered.is_ok(), used.ok())
    };
    assert_eq!(gather(&[3, 10]), (false, None));
    assert_eq!(gather(&[10]), (false, None));
    let mut groups = [3; 300];
    groups[299] = 10;
    assert_eq!(gather(&groups), (false, None));
    assert_eq!(gather(&[0; 10]), (true, Some(scale[1] * 10.0)));
}

#[test]
fn rows_that_could_not_be_gathered_are_not_used() {
    let inputs = SparseBytes::from_dense(&[1; 40], 4).unwrap();
    let mut rows = BatchRows::default();
    for batch in [&[3, 10][..], &[10]] {
        rows.gather(&inputs, &[9; 10]);
        assert_eq!(rows.batch(), 10);
        let gather = || rows.gather(&inputs, batch);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(gather)).is_err());
        let w = [1.0; 64];
        let bias = [0.0; 16];
        let (w, f) = (MatRef::new(&w, 4, 16), Activation::Identity);
        assert_eq!(rows.batch(), 0);
        let nothing = MatMut::new(&mut [], 0, 16);
        sparse::forward(Isa::best(), &rows, &scale(), w, &bias, f, None, nothing);
    }
}

#[test]
fn backward_takes_dx_from_the_old_weights_and_updates_by_one_chain() {
    let mut numbers = Numbers(4);
    for isa in Isa::available() {
        for batch in BATCHES {
            for k in INPUTS {
                for n in [16, 32, 64, 96, 176] {
                    let what = format!("{isa:?} {batch}×{k}×{n}");
                    let x = Gapped::new(batch, k, k + 3, || numbers.float());
                    let delta = Gapped::new(batch, n, n + 1, || numbers.float());
                    let scaled = Gapped::new(batch, n, n + 2, || numbers.float());
                    let old = Gapped::new(k, n, n + 16, || numbers.float());
                    let other = Gapped::new(k, n, n, || numbers.float());
                    let updated = |start: f32, p: usize, c: usize| {
                        (0..batch).fold(start, |acc, b| x.at(b, p).mul_add(scaled.at(b, c), acc))
                    };
                    let dots = |b: usize, p: usize| match p < k {
                        true => dot(
                            &delta.data[b * delta.stride..][..n],
                            &old.data[p * old.stride..][..n],
                        ),
                        false => 0.0,
                    };
                    let new_dx = || Gapped::new(batch, padded(k), padded(k) + 4, || f32::NAN);
                    let (d, s) = (delta.view(), scaled.view());

                    let (mut w, mut dx) = (old.clone(), new_dx());
                    let update = Update::Weights(w.view_mut());
                    fused::backward(isa, x.view(), d, s, update, Some(dx.view_mut()));
                    w.assert(&what, |p, c| updated(old.at(p, c), p, c));
                    dx.assert(&what, dots);

                    let mut dx = new_dx();
                    fused::backward_data(isa, d, old.view(), dx.view_mut());
                    dx.assert(&what, dots);

                    let (mut sums, mut dx) = (other.clone(), new_dx());
                    let (weights, target) = (old.view(), sums.view_mut());
                    let update = Update::Into { weights, target };
                    fused::backward(isa, x.view(), d, s, update, Some(dx.view_mut()));
                    sums.assert(&what, |p, c| updated(other.at(p, c), p, c));
                    dx.assert(&what, dots);

                    let mut w = old.clone();
                    let update = Update::Weights(w.view_mut());
                    fused::backward(isa, x.view(), d, s, update, None);
                    w.assert(&what, |p, c| updated(old.at(p, c), p, c));
                }
            }
        }
    }
}

#[test]
fn sparse_bytes_keep_what_is_not_zero() {
    let rows = SparseBytes::from_dense(&[0, 7, 0, 0, 0, 0, 9, 8, 0], 3).unwrap();
    assert_eq!((rows.rows(), rows.cols()), (3, 3));
    let row = |r: usize| rows.row(r).collect::<Vec<_>>();
    assert_eq!(row(0), [(1, 7)]);
    assert_eq!(row(1), []);
    assert_eq!(row(2), [(0, 9), (1, 8)]);
    assert!((rows.density() - 1.0 / 3.0).abs() < 1e-12);
    assert!(SparseBytes::from_dense(&[0; 4], 3).is_none());
    assert!(SparseBytes::from_dense(&[0; 4], 0).is_none());
    assert!(SparseBytes::from_dense(&[], (1 << 16) + 1).is_none());
    let wide = SparseBytes::from_dense(&[1; 1 << 16], 1 << 16).unwrap();
    assert!(wide.row(0).eq((0..1 << 16).map(|column| (column, 1))));
    // More columns than there are bands of the usual width.
    let bytes: Vec<u8> = (0..2 * 5000).map(|i| (i % 7) as u8).collect();
    let rows = SparseBytes::from_dense(&bytes, 5000).unwrap();
    assert_eq!(rows.rows(), 2);
    for r in [0, 1] {
        let stored = bytes[r * 5000..][..5000].iter().copied().enumerate();
        assert!(rows.row(r).eq(stored.filter(|&(_, byte)| byte != 0)));
    }
}

use super::*;
use crate::reference;

const WIDTHS: [usize; 7] = [1, 2, 10, 15, 16, 17, 40];

struct Case {
    y: Vec<f32>,
    t: Vec<f32>,
    classes: Vec<u8>,
    rows: usize,
    cols: usize,
}

impl Case {
    fn new(rows: usize, cols: usize) -> Self {
        let wave = |i: usize, f: f32| (i as f32 * f).sin();
        let mut t: Vec<f32> = (0..rows * cols).map(|i| wave(i, 0.9) + 1.1).collect();
        for row in t.chunks_mut(cols) {
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|t| *t /= sum);
        }
        Self {
            y: (0..rows * cols).map(|i| 4.0 * wave(i, 0.7)).collect(),
            t,
            classes: (0..rows).map(|r| (r * 7 % cols) as u8).collect(),
            rows,
            cols,
        }
    }

    fn one_hot(&self) -> Vec<f32> {
        let mut t = vec![0.0; self.rows * self.cols];
        for (row, &class) in t.chunks_mut(self.cols).zip(&self.classes) {
            row[usize::from(class)] = 1.0;
        }
        t
    }

    /// Loss and gradient, the gradient's rows `stride` wide of which `grad_cols` are written.
    fn run(&self, isa: Isa, loss: Loss, targets: Targets, grad_cols: usize) -> (f32, Vec<f32>) {
        let stride = grad_cols + 3;
        let mut grad = vec![f32::NAN; self.rows * stride];
        let y = MatRef::new(&self.y, self.rows, self.cols);
        let view = MatMut::with_strides(&mut grad, self.rows, grad_cols, stride, 1);
        let sum = loss_and_gradient(isa, loss, y, targets, view);
        (sum, grad)
    }

    fn values<'a>(&self, t: &'a [f32]) -> Targets<'a> {
        Targets::Values(MatRef::new(t, self.rows, self.cols))
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn losses_and_gradients_are_those_of_the_formulas() {
    for loss in Loss::ALL {
        for cols in WIDTHS {
            let case = Case::new(5, cols);
            let one_hot = case.one_hot();
            let both = [
                (Targets::Classes(&case.classes), &one_hot),
                (case.values(&case.t), &case.t),
            ];
            for (targets, t) in both {
                let (got, grad) = case.run(Isa::best(), loss, targets, cols + 4);
                let mut want = 0.0;
                for r in 0..case.rows {
                    let row = r * cols..(r + 1) * cols;
                    let (l, g) = reference::loss_and_gradient(
                        loss,
                        &wide(&case.y[row.clone()]),
                        &wide(&t[row]),
                    );
                    want += l;
                    let got = &grad[r * (cols + 7)..][..cols + 7];
                    for (got, want) in got.iter().zip(&g) {
                        let error = (f64::from(*got) - want).abs();
                        assert!(error < 1e-6, "{loss} {cols}: {got}, expected {want}");
                    }
                    assert_eq!(got[cols..cols + 4], [0.0; 4], "padding");
                    assert!(got[cols + 4..].iter().all(|g| g.is_nan()), "gap");
                }
                let error = (f64::from(got) - want).abs();
                assert!(
                    error <= 2e-6 * want.abs() + 1e-6,
                    "{loss} {cols}: {got}, expected {want}"
                );
            }
        }
    }
}

#[test]
fn gradients_are_finite_differences_of_the_loss() {
    // Of the f32 loss itself, so with a large step and a low order.
    let h = 1.0 / 64.0;
    for loss in Loss::ALL {
        let mut case = Case::new(2, 6);
        let t = case.t.clone();
        let (_, grad) = case.run(Isa::best(), loss, case.values(&t), 6);
        for i in 0..12 {
            let mut at = |h: f32| {
                let old = case.y[i];
                case.y[i] += h;
                let (sum, _) = case.run(Isa::best(), loss, case.values(&t), 6);
                case.y[i] = old;
                sum
            };
            let want = (at(h) - at(-h)) / (2.0 * h);
            let got = grad[i / 6 * 9 + i % 6];
            assert!(
                (got - want).abs() < 3e-4,
                "{loss} {i}: {got}, expected {want}"
            );
        }
    }
}

#[test]
fn the_same_bits_on_every_isa_and_for_classes_as_for_one_hot() {
    let portable = Isa::by_name("portable").unwrap();
    for loss in Loss::ALL {
        for cols in WIDTHS {
            let case = Case::new(4, cols);
            let one_hot = case.one_hot();
            for targets in [Targets::Classes(&case.classes), case.values(&case.t)] {
                let (want, want_grad) = case.run(portable, loss, targets, cols + 2);
                for isa in Isa::available() {
                    let (got, grad) = case.run(isa, loss, targets, cols + 2);
                    assert_eq!(got.to_bits(), want.to_bits(), "{loss} {cols} {isa:?}");
                    assert_eq!(bits(&grad), bits(&want_grad), "{loss} {cols} {isa:?}");
                }
            }
            let (a, a_grad) = case.run(portable, loss, Targets::Classes(&case.classes), cols);
            let (b, b_grad) = case.run(portable, loss, case.values(&one_hot), cols);
            assert_eq!((a.to_bits(), bits(&a_grad)), (b.to_bits(), bits(&b_grad)));
        }
    }
}

#[test]
fn the_order_of_summation_is_the_documented_one() {
    // Lane sums by hand: 50 columns, so a lane has three or four terms. Many samples,
    // as a wrong order often rounds to the right sum.
    const ROWS: usize = 40;
    const COLS: usize = 50;
    let y: Vec<f32> = (0..ROWS * COLS).map(|i| (i as f32 * 0.7).sin()).collect();
    let t = vec![0.0; COLS * ROWS];
    let loss_of_rows = |start: usize, end: usize| {
        let n = end - start;
        let mut grad = vec![0.0; n * COLS];
        let y = MatRef::new(&y, ROWS, COLS).row_range(start, end);
        let t = MatRef::new(&t, ROWS, COLS).row_range(start, end);
        let grad = MatMut::new(&mut grad, n, COLS);
        loss_and_gradient(Isa::best(), Loss::Mse, y, Targets::Values(t), grad)
    };
    let mut sum = 0.0f32;
    for (r, row) in y.chunks(COLS).enumerate() {
        let mut lanes = [0.0f32; LANES];
        for (c, &y) in row.iter().enumerate() {
            lanes[c % LANES] = y.mul_add(y, lanes[c % LANES]);
        }
        let want = 0.5 * crate::simd::tree_sum(lanes);
        assert_eq!(loss_of_rows(r, r + 1).to_bits(), want.to_bits(), "row {r}");
        sum += want;
        assert_eq!(loss_of_rows(0, r + 1).to_bits(), sum.to_bits(), "{r}");
    }
}

/// Loss and gradient of one sample of the class.
fn one(y: &[f32], class: u8) -> (f32, Vec<f32>) {
    let mut grad = vec![f32::NAN; y.len()];
    let loss = loss_and_gradient(
        Isa::best(),
        Loss::CrossEntropy,
        MatRef::new(y, 1, y.len()),
        Targets::Classes(&[class]),
        MatMut::new(&mut grad, 1, y.len()),
    );
    (loss, grad)
}

#[test]
fn extreme_logits() {
    let inf = f32::INFINITY;
    assert_eq!(one(&[1e4, -1e4, 0.0], 0), (0.0, vec![0.0, 0.0, 0.0]));
    assert_eq!(one(&[1e4, -1e4, 0.0], 1), (2e4, vec![1.0, -1.0, 0.0]));
    assert_eq!(one(&[0.0, -inf], 0), (0.0, vec![0.0, 0.0]));
    assert_eq!(one(&[0.0, -inf], 1), (inf, vec![1.0, -1.0]));
    assert_eq!(one(&[3.0, inf, -inf], 1), (0.0, vec![0.0, 0.0, 0.0]));
    let (loss, grad) = one(&[-inf, -inf], 0);
    assert!((loss - 2f32.ln()).abs() < 1e-6);
    assert_eq!(grad, [-0.5, 0.5]);
    // All alike, and more than one register.
    let (loss, grad) = one(&[-1e4; 20], 3);
    assert!((loss - 20f32.ln()).abs() < 1e-6);
    assert!((grad[19] - 0.05).abs() < 1e-7 && (grad[3] + 0.95).abs() < 1e-6);
}

#[test]
fn nan_is_not_hidden() {
    let (loss, grad) = one(&[0.0, f32::NAN, 1.0], 0);
    assert!(loss.is_nan() && grad.iter().all(|g| g.is_nan()));
}

#[test]
fn the_first_maximum_counts_and_nan_never() {
    let nan = f32::NAN;
    let inf = f32::INFINITY;
    for (row, class, want) in [
        ([1.0, 2.0, 0.0], 1, 1),
        ([1.0, 2.0, 0.0], 0, 0),
        ([2.0, 2.0, 0.0], 0, 1),
        ([2.0, 2.0, 0.0], 1, 0),
        ([nan, -inf, -inf], 1, 1),
        ([nan, -1.0, 0.0], 2, 1),
        ([5.0, nan, 0.0], 0, 1),
        ([nan, nan, nan], 0, 0),
        ([1.0, 2.0, 0.0], 9, 0),
    ] {
        assert_eq!(
            count_correct(MatRef::new(&row, 1, 3), &[class]),
            want,
            "{row:?} {class}"
        );
    }
    let y = [1.0, 0.0, 9.0, 0.0, 1.0, 9.0, 3.0, 2.0, 9.0];
    let y = MatRef::with_strides(&y, 3, 2, 3, 1);
    assert_eq!(count_correct(y, &[0, 1, 1]), 2);
    assert_eq!(count_correct(y.row_range(0, 0), &[]), 0);
}

#[test]
#[should_panic(expected = "class 3 of 3 outputs")]
fn a_class_out_of_range_is_refused() {
    one(&[0.0; 3], 3);
}

#[test]
#[should_panic(expected = "does not match")]
fn a_narrow_gradient_is_refused() {
    let case = Case::new(2, 3);
    case.run(Isa::best(), Loss::Mse, Targets::Classes(&case.classes), 2);
}

#[test]
fn names_round_trip() {
    for loss in Loss::ALL {
        assert_eq!(loss.to_string().parse(), Ok(loss));
    }
    assert_eq!(
        "MSE".parse::<Loss>().unwrap_err().to_string(),
        "unknown loss 'MSE': expected one of mse, cross_entropy"
    );
}

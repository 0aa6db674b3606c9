use super::lines::backprop_lines;
use super::*;
use crate::reference;

/// Widths below, at and above one and two registers.
const WIDTHS: [usize; 9] = [0, 1, 2, 15, 16, 17, 31, 32, 33];

fn functions() -> impl Iterator<Item = Activation> {
    Activation::ALL.into_iter().chain([
        Activation::LeakyRelu { slope: 0.3 },
        Activation::LeakyRelu { slope: 0.0 },
        Activation::Elu { alpha: 1.7 },
        Activation::Elu { alpha: 0.0 },
    ])
}

/// From −12 to 12, and zeros.
fn points() -> Vec<f32> {
    let grid = (-3000i16..=3000).map(|i| f32::from(i) * 0.004);
    grid.chain([-0.0, 1e-30, -1e-30, 1e-5, -1e-5]).collect()
}

fn forward_all(isa: Isa, f: Activation, z: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; z.len()];
    forward(
        isa,
        f,
        MatRef::new(z, 1, z.len()),
        MatMut::new(&mut y, 1, z.len()),
    );
    y
}

/// delta · f′ for the outputs that go with `z`.
fn backward_all(isa: Isa, f: Activation, z: &[f32], delta: &[f32]) -> Vec<f32> {
    let y = forward_all(isa, f, z);
    let mut d = delta.to_vec();
    let n = z.len();
    backward(
        isa,
        f,
        MatRef::new(z, 1, n),
        MatRef::new(&y, 1, n),
        MatMut::new(&mut d, 1, n),
    );
    d
}

#[test]
fn values_are_those_of_the_formulas() {
    for f in functions() {
        let z = points();
        for (&z, &y) in z.iter().zip(&forward_all(Isa::best(), f, &z)) {
            let want = reference::activate(f, z.into());
            // gelu: 1 + erf has an absolute error, the others are relative.
            let scale = if f == Activation::Gelu {
                f64::from(z.abs())
            } else {
                want.abs()
            };
            let error = (f64::from(y) - want).abs();
            assert!(error <= 4e-7 * scale, "{f}({z}) = {y}, expected {want}");
        }
    }
}

#[test]
fn derivatives_are_those_of_the_formulas() {
    for f in functions() {
        let z = points();
        let ones = vec![1.0; z.len()];
        for (&z, &d) in z.iter().zip(&backward_all(Isa::best(), f, &z, &ones)) {
            let want = reference::derivative(f, z.into());
            // From a rounded y near its limit (1, −α) only an absolute error is to be had,
            // and swish multiplies a rounded 1 − σ by z.
            let error = (f64::from(d) - want).abs();
            assert!(error <= 8e-7, "{f}′({z}) = {d}, expected {want}");
        }
    }
}

#[test]
fn reference_derivatives_are_finite_differences() {
    let h = 1e-3;
    for f in functions() {
        for i in -40i8..40 {
            // Off the kink at 0.
            let z = f64::from(i) * 0.25 + 0.1;
            let at = |k: f64| reference::activate(f, z + k * h);
            let want = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);
            let got = reference::derivative(f, z);
            assert!(
                (got - want).abs() < 1e-9,
                "{f}′({z}) = {got}, expected {want}"
            );
        }
    }
}

#[test]
fn delta_is_multiplied() {
    let z = points();
    let delta: Vec<f32> = (0..z.len())
        .map(|i| (i as f32 * 0.37).sin() * 3.0)
        .collect();
    let ones = vec![1.0; z.len()];
    for f in functions() {
        let factors = backward_all(Isa::best(), f, &z, &ones);
        let got = backward_all(Isa::best(), f, &z, &delta);
        for ((got, d), factor) in got.iter().zip(&delta).zip(&factors) {
            assert_eq!(*got, d * factor, "{f}");
        }
    }
}

#[test]
fn at_zero_the_derivative_is_that_of_the_left_side() {
    for (f, want) in [
        (Activation::Relu, 0.0),
        (Activation::LeakyRelu { slope: 0.25 }, 0.25),
        (Activation::Elu { alpha: 0.5 }, 0.5),
        (Activation::Selu, 1.758_099_3),
    ] {
        assert_eq!(
            backward_all(Isa::best(), f, &[0.0, -0.0], &[1.0, 1.0]),
            [want; 2]
        );
    }
}

#[test]
fn limits_and_nan() {
    let inf = f32::INFINITY;
    for f in Activation::ALL {
        let y = forward_all(Isa::best(), f, &[-inf, inf, f32::NAN]);
        let left = match f {
            Activation::Identity | Activation::LeakyRelu { .. } => -inf,
            Activation::Tanh | Activation::Elu { .. } => -1.0,
            Activation::Selu => -1.758_099_3,
            _ => 0.0,
        };
        let right = match f {
            Activation::Sigmoid | Activation::Tanh => 1.0,
            _ => inf,
        };
        assert_eq!(y[..2], [left, right], "{f}");
        assert!(y[2].is_nan(), "{f}");
        let d = backward_all(Isa::best(), f, &[-inf, inf], &[1.0, 1.0]);
        assert!(d.iter().all(|d| d.is_finite()), "{f}′: {d:?}");
    }
}

/// A matrix with gaps that hold NaN, and room for a row more.
fn padded_copy(m: &[f32], rows: usize, cols: usize, stride: usize) -> Vec<f32> {
    let mut data = vec![f32::NAN; (rows + 1) * stride];
    for r in 0..rows {
        data[r * stride..][..cols].copy_from_slice(&m[r * cols..][..cols]);
    }
    data
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn every_width_and_isa_has_the_same_bits_and_leaves_the_gaps_alone() {
    const ROWS: usize = 3;
    let portable = Isa::by_name("portable").unwrap();
    for f in functions() {
        for cols in WIDTHS {
            let (zs, ys, ds) = (cols + 5, cols + 1, cols + 3);
            let n = ROWS * cols;
            let z: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin() * 6.0).collect();
            let delta: Vec<f32> = (0..n).map(|i| (i as f32 * 0.3).cos()).collect();
            // Of one long row, by portable code.
            let want_y = forward_all(portable, f, &z);
            let want_d = backward_all(portable, f, &z, &delta);
            let want_y_padded = bits(&padded_copy(&want_y, ROWS, cols, ys));
            let z_padded = padded_copy(&z, ROWS, cols, zs);
            let z_view = MatRef::with_strides(&z_padded, ROWS, cols, zs, 1);
            for isa in Isa::available() {
                let mut y = vec![f32::NAN; (ROWS + 1) * ys];
                forward(
                    isa,
                    f,
                    z_view,
                    MatMut::with_strides(&mut y, ROWS, cols, ys, 1),
                );
                assert_eq!(bits(&y), want_y_padded, "{f} {isa:?} {cols}");

                let mut in_place = padded_copy(&z, ROWS, cols, ys);
                forward_in_place(
                    isa,
                    f,
                    MatMut::with_strides(&mut in_place, ROWS, cols, ys, 1),
                );
                assert_eq!(
                    bits(&in_place),
                    want_y_padded,
                    "{f} {isa:?} {cols} in place"
                );

                let mut d = padded_copy(&delta, ROWS, cols, ds);
                let y_view = MatRef::with_strides(&y, ROWS, cols, ys, 1);
                backward(
                    isa,
                    f,
                    z_view,
                    y_view,
                    MatMut::with_strides(&mut d, ROWS, cols, ds, 1),
                );
                let want = padded_copy(&want_d, ROWS, cols, ds);
                assert_eq!(bits(&d), bits(&want), "{f}′ {isa:?} {cols}");
            }
        }
    }
}

/// The entries for other kernels, on whole lines.
struct Lines<'a>(Activation, &'a [f32], &'a mut [f32], &'a mut [f32]);

impl Kernel for Lines<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(f, z, y, d) = self;
        assert!(z.len() >= 2 * 48 && y.len() >= 2 * 64 && d.len() >= 2 * 32);
        let (z, y, d) = (z.as_ptr(), y.as_mut_ptr(), d.as_mut_ptr());
        // SAFETY: 2 rows of 32 floats fit into the three slices (asserted), which are
        // distinct.
        unsafe {
            apply_lines(s, f, z, 48, y, 64, 2, 32);
            backprop_lines(s, f, z, 48, y, 64, d, 32, 2, 32);
        }
    }
}

#[test]
fn lines_have_the_same_bits_as_matrices() {
    let z: Vec<f32> = (0..96).map(|i| (i as f32 * 0.7).sin() * 6.0).collect();
    let z_view = MatRef::with_strides(&z, 2, 32, 48, 1);
    for isa in Isa::available() {
        for f in functions() {
            let (mut y, mut d) = (vec![9.0; 128], vec![0.5; 64]);
            isa.dispatch(Lines(f, &z, &mut y, &mut d));
            let (mut want_y, mut want_d) = (vec![9.0; 128], vec![0.5; 64]);
            forward(
                isa,
                f,
                z_view,
                MatMut::with_strides(&mut want_y, 2, 32, 64, 1),
            );
            let y_view = MatRef::with_strides(&want_y, 2, 32, 64, 1);
            backward(isa, f, z_view, y_view, MatMut::new(&mut want_d, 2, 32));
            assert_eq!(
                (bits(&y), bits(&d)),
                (bits(&want_y), bits(&want_d)),
                "{f} {isa:?}"
            );
        }
    }
}

#[test]
fn only_what_is_needed_is_read() {
    let nan = [f32::NAN; 20];
    let good = [0.5; 20];
    for f in Activation::ALL {
        let (z, y) = if f.needs_pre_activation() {
            (&good, &nan)
        } else {
            (&nan, &good)
        };
        let mut d = [1.0; 20];
        let view = |m| MatRef::new(m, 2, 10);
        backward(Isa::best(), f, view(z), view(y), MatMut::new(&mut d, 2, 10));
        assert!(d.iter().all(|d| d.is_finite()), "{f}");
    }
}

#[test]
#[should_panic(expected = "shapes differ")]
fn different_shapes_are_refused() {
    let mut y = [0.0; 6];
    forward(
        Isa::best(),
        Activation::Relu,
        MatRef::new(&[0.0; 6], 3, 2),
        MatMut::new(&mut y, 2, 3),
    );
}

#[test]
#[should_panic(expected = "not contiguous")]
fn column_major_is_refused() {
    let mut y = [0.0; 6];
    forward_in_place(
        Isa::best(),
        Activation::Relu,
        MatMut::new(&mut y, 2, 3).transposed(),
    );
}

#[test]
#[should_panic(expected = "invalid parameter")]
fn a_negative_slope_is_refused() {
    let f = Activation::LeakyRelu { slope: -1.0 };
    forward_in_place(Isa::best(), f, MatMut::new(&mut [0.0], 1, 1));
}

#[test]
fn names_round_trip() {
    for f in functions().chain([Activation::Elu { alpha: 0.1 + 0.2 }]) {
        assert_eq!(f.to_string().parse(), Ok(f));
    }
    for f in Activation::ALL {
        assert_eq!(f.name().parse(), Ok(f), "the name alone gives the default");
        assert!(ACTIVATION_NAMES.contains(f.name()));
    }
    assert_eq!("linear".parse(), Ok(Activation::Identity));
    assert_eq!("silu".parse(), Ok(Activation::Swish));
    assert_eq!(
        "leaky_relu:0.2".parse(),
        Ok(Activation::LeakyRelu { slope: 0.2 })
    );
    assert_eq!("elu:2".parse(), Ok(Activation::Elu { alpha: 2.0 }));
}

#[test]
fn errors_say_what_was_expected() {
    let error = |text: &str| text.parse::<Activation>().unwrap_err();
    for unknown in ["", "Sigmoid", "sigmoid ", "relu6", ":1"] {
        let message = error(unknown).to_string();
        assert!(message.contains("expected one of identity"), "{message}");
    }
    for bad in ["-0.1", "nan", "inf", "", "x", "1e99"] {
        for name in ["leaky_relu", "elu"] {
            assert_eq!(
                error(&format!("{name}:{bad}")).to_string(),
                format!("argument '{bad}' of activation {name}: expected a finite number ≥ 0")
            );
        }
    }
    assert_eq!(
        error("relu:0.1").to_string(),
        "activation relu takes no argument, found '0.1'"
    );
    assert_eq!(
        error("silu:").to_string(),
        "activation swish takes no argument, found ''"
    );
}

use super::*;
use crate::{Activation, MatMut, MatRef, activation, reference};
use std::ops::Range;

/// A function, the same in `f64`, and the documented bound of the error in ULP.
struct Subject {
    name: &'static str,
    map: fn(Isa, &[f32], &mut [f32]),
    oracle: fn(f64) -> f64,
    bound: f64,
}

fn softplus_map(isa: Isa, x: &[f32], y: &mut [f32]) {
    let n = x.len();
    let (x, y) = (MatRef::new(x, 1, n), MatMut::new(y, 1, n));
    activation::forward(isa, Activation::Softplus, x, y);
}

fn subjects() -> [Subject; 8] {
    macro_rules! subject {
        ($f:ident, $oracle:expr, $bound:expr) => {
            Subject {
                name: stringify!($f),
                map: |isa, x, y| map(isa, Function::$f, x, y),
                oracle: $oracle,
                bound: $bound,
            }
        };
    }
    [
        subject!(Exp, f64::exp, 0.90),
        subject!(Expm1, f64::exp_m1, 1.53),
        subject!(Ln, f64::ln, 0.94),
        subject!(Log1p, f64::ln_1p, 1.55),
        subject!(Tanh, f64::tanh, 2.57),
        subject!(Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 3.44),
        subject!(Erf, reference::erf, 1.10),
        Subject {
            name: "softplus",
            map: softplus_map,
            oracle: |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
            bound: 1.99,
        },
    ]
}

/// The error of `got` in units of the last place of the exact `want`.
fn ulp_error(got: f32, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() {
            0.0
        } else {
            f64::INFINITY
        };
    }
    // Infinity takes the place of 2¹²⁸, the float that would come next.
    let limit = 2f64.powi(128);
    let got = f64::from(got).clamp(-limit, limit);
    let want = want.clamp(-limit, limit);
    let exponent = ((want.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    (got - want).abs() / 2f64.powi(exponent.clamp(-126, 127) - 23)
}

#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    error: f64,
    x: f32,
}

/// The largest error over the inputs whose bits are `bits`, every `step`-th.
fn worst(subject: &Subject, bits: Range<u64>, step: usize) -> Worst {
    let mut worst = Worst::default();
    let mut bits = bits.step_by(step).map(|b| f32::from_bits(b as u32));
    loop {
        let x: Vec<f32> = bits.by_ref().take(4096).collect();
        if x.is_empty() {
            return worst;
        }
        let mut y = vec![0.0; x.len()];
        (subject.map)(Isa::best(), &x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let error = ulp_error(y, (subject.oracle)(x.into()));
            if error > worst.error {
                worst = Worst { error, x };
            }
        }
    }
}

const ALL_BITS: u64 = 1 << 32;

#[test]
fn errors_are_within_the_documented_bounds() {
    for subject in subjects() {
        // An odd stride meets every exponent and varies all bits of the fraction.
        let w = worst(&subject, 0..ALL_BITS, 4099);
        let Subject { name, bound, .. } = subject;
        assert!(w.error <= bound, "{name}: {w:?}, documented are {bound}");
        // A bound that is far too high would be noticed.
        assert!(
            w.error > 0.7 * bound,
            "{name}: {w:?}, documented are {bound}"
        );
    }
}

/// `cargo test --release -p fanin-kernels every_input -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes: all 2³² inputs of each function"]
fn every_input() {
    for subject in subjects() {
        let w = std::thread::scope(|scope| {
            // Interleaved, so that the threads take equally long.
            let threads = [0, 1].map(|first| {
                let subject = &subject;
                scope.spawn(move || worst(subject, first..ALL_BITS, 2))
            });
            let [a, b] = threads.map(|t| t.join().unwrap());
            if a.error > b.error { a } else { b }
        });
        let Subject { name, bound, .. } = subject;
        let bits = w.x.to_bits();
        println!("{name}: {:.4} ULP at {:e} ({bits:#010x})", w.error, w.x);
        assert!(w.error <= bound, "{name}: {w:?}, documented are {bound}");
    }
}

#[test]
fn the_same_bits_on_every_isa() {
    let x: Vec<f32> = (0..ALL_BITS)
        .step_by(4093)
        .map(|b| f32::from_bits(b as u32))
        .collect();
    let portable = Isa::by_name("portable").unwrap();
    for f in Function::ALL {
        let mut want = vec![0.0; x.len()];
        map(portable, f, &x, &mut want);
        for isa in Isa::available() {
            let mut got = vec![0.0; x.len()];
            map(isa, f, &x, &mut got);
            for i in 0..x.len() {
                // Which NaN it is, IEEE 754 leaves open.
                let both_nan = got[i].is_nan() && want[i].is_nan();
                assert!(
                    both_nan || got[i].to_bits() == want[i].to_bits(),
                    "{f:?} {isa:?} at {:e}: {:e} against {:e}",
                    x[i],
                    got[i],
                    want[i]
                );
            }
        }
    }
}

#[test]
fn every_length_and_nothing_beyond() {
    for isa in Isa::available() {
        let x: Vec<f32> = (0u8..50).map(|i| f32::from(i) * 0.1).collect();
        let mut all = [0.0; 50];
        map(isa, Function::Tanh, &x, &mut all);
        for n in 0..50 {
            let mut y = [-7.0; 50];
            map(isa, Function::Tanh, &x[..n], &mut y[..n]);
            assert_eq!(y[..n], all[..n]);
            assert!(y[n..].iter().all(|&y| y == -7.0));
        }
    }
}

#[test]
#[should_panic(expected = "differ in length")]
fn different_lengths_are_refused() {
    map(Isa::best(), Function::Exp, &[0.0; 3], &mut [0.0; 4]);
}

fn at(f: Function, x: f32) -> f32 {
    let mut y = [0.0];
    map(Isa::best(), f, &[x], &mut y);
    y[0]
}

#[test]
fn special_values() {
    use Function::*;
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    // The smallest subnormal, the largest subnormal.
    let (least, most) = (f32::from_bits(1), f32::from_bits(0x007f_ffff));
    let table = [
        (Exp, 0.0, 1.0),
        (Exp, -0.0, 1.0),
        (Exp, INF, INF),
        (Exp, -INF, 0.0),
        // The last finite result and the first infinite one.
        (
            Exp,
            f32::from_bits(0x42b1_7217),
            f32::from_bits(0x7f7f_ff84),
        ),
        (Exp, f32::from_bits(0x42b1_7218), INF),
        (Exp, f32::MAX, INF),
        // The last result that rounds to 2⁻¹⁴⁹ and the first that rounds to 0.
        (Exp, f32::from_bits(0xc2cf_f1b4), least),
        (Exp, f32::from_bits(0xc2cf_f1b5), 0.0),
        (Exp, f32::MIN, 0.0),
        (Expm1, 0.0, 0.0),
        (Expm1, -0.0, -0.0),
        (Expm1, INF, INF),
        (Expm1, -INF, -1.0),
        (Expm1, f32::from_bits(0x42b1_7218), INF),
        (Expm1, f32::MIN, -1.0),
        (Expm1, least, least),
        (Expm1, -most, -most),
        (Ln, 1.0, 0.0),
        (Ln, 0.0, -INF),
        (Ln, -0.0, -INF),
        (Ln, INF, INF),
        (Ln, -INF, NAN),
        (Ln, -least, NAN),
        (Ln, -1.0, NAN),
        (Ln, least, -103.278_93),
        (Ln, f32::MAX, 88.722_84),
        (Log1p, 0.0, 0.0),
        (Log1p, -0.0, -0.0),
        (Log1p, -1.0, -INF),
        (Log1p, f32::from_bits(0xbf80_0001), NAN),
        (Log1p, -INF, NAN),
        (Log1p, INF, INF),
        (Log1p, f32::MAX, 88.722_84),
        (Log1p, least, least),
        (Log1p, -most, -most),
        (Tanh, 0.0, 0.0),
        (Tanh, -0.0, -0.0),
        (Tanh, INF, 1.0),
        (Tanh, -INF, -1.0),
        (Tanh, f32::MAX, 1.0),
        (Tanh, least, least),
        (Tanh, -most, -most),
        (Sigmoid, 0.0, 0.5),
        (Sigmoid, -0.0, 0.5),
        (Sigmoid, INF, 1.0),
        (Sigmoid, -INF, 0.0),
        (Sigmoid, f32::MAX, 1.0),
        (Sigmoid, f32::MIN, 0.0),
        (Sigmoid, -103.0, f32::from_bits(1)),
        (Erf, 0.0, 0.0),
        (Erf, -0.0, -0.0),
        (Erf, INF, 1.0),
        (Erf, -INF, -1.0),
        (Erf, f32::MIN, -1.0),
        (Erf, least, least),
    ];
    for (f, x, want) in table {
        let got = at(f, x);
        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
        assert!(same, "{f:?}({x:e}) = {got:e}, expected {want:e}");
    }
    for f in Function::ALL {
        for nan in [
            0x7fc0_0000,
            0xffc0_0000,
            0x7f80_0001,
            0xff80_0001,
            u32::MAX,
            0x7fff_ffff,
        ] {
            assert!(at(f, f32::from_bits(nan)).is_nan(), "{f:?}(NaN {nan:#x})");
        }
    }
}

#[test]
fn odd_functions_are_odd_to_the_bit() {
    for f in [Function::Tanh, Function::Erf] {
        for i in 0..20_000u16 {
            let x = f32::from(i) * 5e-4;
            assert_eq!(at(f, -x).to_bits(), (-at(f, x)).to_bits(), "{f:?} at {x}");
        }
    }
}

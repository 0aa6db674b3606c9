//! Element-wise parts of an update, on matrices of whole registers.

use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};

fn assert_lines(x: &MatRef<'_>, y: &MatRef<'_>) {
    assert!(x.rows() == y.rows() && x.cols() == y.cols());
    assert!(
        x.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(x.col_stride() == 1 && y.col_stride() == 1);
}

/// `y ← c·x`.
///
/// # Panics
/// Unless the shapes are equal, with contiguous columns, a multiple of 16 of them.
pub fn scale(isa: Isa, c: f32, x: MatRef<'_>, y: MatMut<'_>) {
    assert_lines(&x, &y.as_ref());
    isa.dispatch(Rows {
        rule: Rule::Scale(c),
        x: Some(x),
        y,
    });
}

/// `y ← c·y`.
///
/// # Panics
/// Unless the columns are contiguous and a multiple of 16.
pub fn scale_in_place(isa: Isa, c: f32, y: MatMut<'_>) {
    assert_lines(&y.as_ref(), &y.as_ref());
    isa.dispatch(Rows {
        rule: Rule::Scale(c),
        x: None,
        y,
    });
}

/// `y ← fma(a, x, y)`.
///
/// # Panics
/// Unless the shapes are equal, with contiguous columns, a multiple of 16 of them.
pub fn axpy(isa: Isa, a: f32, x: MatRef<'_>, y: MatMut<'_>) {
    assert_lines(&x, &y.as_ref());
    isa.dispatch(Rows {
        rule: Rule::Axpy(a),
        x: Some(x),
        y,
    });
}

/// Adds the rows of `x` to the one row of `y`, in ascending order.
///
/// # Panics
/// Unless `y` is one row as wide as `x`, contiguous, a multiple of 16.
pub fn add_rows(isa: Isa, x: MatRef<'_>, y: MatMut<'_>) {
    assert!(y.rows() == 1 && x.cols() == y.cols());
    assert!(
        x.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(x.col_stride() == 1 && y.col_stride() == 1);
    isa.dispatch(AddRows { x, y });
}

#[derive(Clone, Copy)]
enum Rule {
    Scale(f32),
    Axpy(f32),
}

struct Rows<'a> {
    rule: Rule,
    /// `None`: the same as `y`.
    x: Option<MatRef<'a>>,
    y: MatMut<'a>,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for r in 0..self.y.rows() {
            let ys = self.y.row_stride();
            let y = self.y.as_mut_ptr().wrapping_add(r * ys);
            let x = match &self.x {
                Some(x) => x.as_ptr().wrapping_add(r * x.row_stride()),
                None => y.cast_const(),
            };
            for c in (0..self.y.cols()).step_by(LANES) {
                // SAFETY: c + 16 ≤ columns of row r of both (equal shapes, a multiple
                // of 16 columns: asserted by the callers).
                unsafe {
                    let v = s.load(x.add(c));
                    let v = match self.rule {
                        Rule::Scale(k) => s.mul(s.splat(k), v),
                        Rule::Axpy(a) => s.fma(s.splat(a), v, s.load(y.add(c))),
                    };
                    s.store(y.add(c), v);
                }
            }
        }
    }
}

struct AddRows<'a> {
    x: MatRef<'a>,
    y: MatMut<'a>,
}

impl Kernel for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let y = self.y.as_mut_ptr();
        for c in (0..self.y.cols()).step_by(LANES) {
            // SAFETY: c + 16 ≤ columns of y and of every row of x (asserted).
            unsafe {
                let mut sum = s.load(y.add(c));
                for r in 0..self.x.rows() {
                    let x = self.x.as_ptr().add(r * self.x.row_stride() + c);
                    sum = s.add(sum, s.load(x));
                }
                s.store(y.add(c), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 rows of 32, stride 40; the gaps hold NaN and must stay.
    fn data(seed: u32) -> Vec<f32> {
        (0..120u32)
            .map(|i| match i % 40 {
                32.. => f32::NAN,
                _ => ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0,
            })
            .collect()
    }

    #[test]
    fn against_scalar_formulas_on_every_isa() {
        for isa in Isa::available() {
            let x = data(1);
            let view = MatRef::with_strides(&x, 3, 32, 40, 1);
            let check = |y: &[f32], expected: &dyn Fn(usize, f32) -> f32| {
                for (i, &old) in data(2).iter().enumerate() {
                    let expected = if i % 40 < 32 { expected(i, old) } else { old };
                    assert_eq!(y[i].to_bits(), expected.to_bits(), "{isa:?} {i}");
                }
            };
            let mut y = data(2);
            scale(isa, 0.3, view, MatMut::with_strides(&mut y, 3, 32, 40, 1));
            check(&y, &|i, _| 0.3 * x[i]);
            let mut y = data(2);
            scale_in_place(isa, 0.3, MatMut::with_strides(&mut y, 3, 32, 40, 1));
            check(&y, &|_, old| 0.3 * old);
            let mut y = data(2);
            axpy(isa, -0.7, view, MatMut::with_strides(&mut y, 3, 32, 40, 1));
            check(&y, &|i, old| (-0.7f32).mul_add(x[i], old));
            let mut y = data(2);
            add_rows(isa, view, MatMut::new(&mut y, 1, 32));
            check(&y, &|i, old| {
                if i < 32 {
                    old + x[i] + x[i + 40] + x[i + 80]
                } else {
                    old
                }
            });
        }
    }
}

//! Loss functions.
//!
//! Per sample, with outputs y and targets t:
//!
//! | name | loss | gradient dL/dy |
//! |---|---|---|
//! | `mse` | ½ Σ (yⱼ − tⱼ)² | y − t |
//! | `cross_entropy` | −Σ tⱼ ln pⱼ with p = softmax(y) | p − t |
//!
//! For the cross entropy the outputs are logits (the output layer is the identity),
//! and the targets of a sample must sum to 1: only then is p − t the gradient.
//!
//! Order of summation: within a row 16 lanes accumulate over the column blocks in
//! ascending order and are added by the one tree; the rows are added in ascending
//! order.

#[cfg(test)]
mod tests;

use crate::math;
use crate::simd::{Kernel, LANES, Simd};
use crate::{Isa, MatMut, MatRef};
use std::fmt;
use std::str::FromStr;

/// A loss function. The [module](self) has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Half the squared error.
    Mse,
    /// Softmax and cross entropy in one.
    CrossEntropy,
}

/// No loss function has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossError {
    /// What was found.
    pub name: String,
}

impl fmt::Display for LossError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Loss::ALL.map(Loss::name).join(", ");
        write!(f, "unknown loss '{}': expected one of {names}", self.name)
    }
}

impl std::error::Error for LossError {}

impl Loss {
    /// All of them.
    pub const ALL: [Loss; 2] = [Self::Mse, Self::CrossEntropy];

    /// `mse` or `cross_entropy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::CrossEntropy => "cross_entropy",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Loss {
    type Err = LossError;

    fn from_str(name: &str) -> Result<Self, LossError> {
        Self::ALL
            .into_iter()
            .find(|loss| loss.name() == name)
            .ok_or_else(|| LossError { name: name.into() })
    }
}

/// What the outputs should be, for each sample.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// 1 at this index, 0 elsewhere.
    Classes(&'a [u8]),
    /// These values, one row a sample.
    Values(MatRef<'a>),
}

/// Returns the sum of the samples' losses and writes each sample's dL/dy (neither is
/// divided by the number of samples).
///
/// `y` and `grad` have one row a sample. `grad` may have more columns than `y`, the
/// padding of a row; they become 0.
///
/// # Panics
/// If a number of rows or columns does not match, a class is not below `y.cols()`, or
/// the columns of a matrix are not contiguous.
pub fn loss_and_gradient(isa: Isa, loss: Loss, y: MatRef, targets: Targets, grad: MatMut) -> f32 {
    let shape = (y.rows(), y.cols());
    assert!(
        grad.rows() == y.rows() && grad.cols() >= y.cols(),
        "loss: {grad:?} does not match the outputs {y:?}"
    );
    match targets {
        Targets::Classes(classes) => {
            assert_eq!(
                classes.len(),
                y.rows(),
                "loss: number of classes and of samples"
            );
            for &class in classes {
                assert!(
                    usize::from(class) < y.cols(),
                    "loss: class {class} of {} outputs",
                    y.cols()
                );
            }
        }
        Targets::Values(t) => assert!(
            (t.rows(), t.cols()) == shape,
            "loss: targets {t:?} do not match the outputs {y:?}"
        ),
    }
    isa.dispatch(LossKernel {
        loss,
        y,
        targets,
        grad,
    })
}

/// In how many rows of `y` the largest element stands at the row's class.
///
/// The first of equal maxima counts; NaN is never the largest, and a row of nothing
/// but NaN is wrong.
///
/// # Panics
/// If the number of classes and of rows differ.
pub fn count_correct(y: MatRef, classes: &[u8]) -> usize {
    assert_eq!(
        y.rows(),
        classes.len(),
        "count_correct: number of samples and of classes"
    );
    let is_correct = |r: usize| {
        let mut best: Option<(usize, f32)> = None;
        for c in 0..y.cols() {
            let value = y.get(r, c);
            if !value.is_nan() && best.is_none_or(|(_, max)| value > max) {
                best = Some((c, value));
            }
        }
        best.is_some_and(|(c, _)| c == usize::from(classes[r]))
    };
    (0..y.rows()).filter(|&r| is_correct(r)).count()
}

struct LossKernel<'a> {
    loss: Loss,
    y: MatRef<'a>,
    targets: Targets<'a>,
    grad: MatMut<'a>,
}

impl Kernel for LossKernel<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) -> f32 {
        let mut total = 0.0;
        for r in 0..self.y.rows() {
            let y = self.y.row(r);
            let t = match self.targets {
                Targets::Classes(classes) => Target::Class(f32::from(classes[r])),
                Targets::Values(t) => Target::Values(t.row(r)),
            };
            let (grad, padding) = self.grad.row_mut(r).split_at_mut(y.len());
            total += match self.loss {
                Loss::Mse => mse_row(s, y, t, grad),
                Loss::CrossEntropy => cross_entropy_row(s, y, t, grad),
            };
            padding.fill(0.0);
        }
        total
    }
}

/// The target of one sample.
#[derive(Clone, Copy)]
enum Target<'a> {
    Class(f32),
    Values(&'a [f32]),
}

impl Target<'_> {
    /// Targets c .. c + 16; 0 beyond the end.
    #[inline(always)]
    fn load<S: Simd>(self, s: S, c: usize) -> S::F {
        match self {
            Self::Class(class) => {
                let here = s.eq(lane_numbers(s), s.splat(class - c as f32));
                s.select(here, s.splat(1.0), s.zero())
            }
            Self::Values(t) => load(s, t, c),
        }
    }
}

/// 0, 1, … 15
#[inline(always)]
fn lane_numbers<S: Simd>(s: S) -> S::F {
    s.from_array([
        0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.,
    ])
}

/// Elements c .. c + 16; 0 beyond the end.
#[inline(always)]
fn load<S: Simd>(s: S, x: &[f32], c: usize) -> S::F {
    let x = &x[c..];
    // SAFETY: `x` has that many elements.
    unsafe { s.load_first(x.len().min(LANES), x.as_ptr()) }
}

/// Elements c .. c + 16, as far as there are so many.
#[inline(always)]
fn store<S: Simd>(s: S, x: &mut [f32], c: usize, v: S::F) {
    let x = &mut x[c..];
    // SAFETY: `x` has that many elements.
    unsafe { s.store_first(x.len().min(LANES), x.as_mut_ptr(), v) }
}

/// The first columns of the blocks of 16.
#[inline(always)]
fn blocks(x: &[f32]) -> impl Iterator<Item = usize> + use<> {
    (0..x.len()).step_by(LANES)
}

#[inline(always)]
fn mse_row<S: Simd>(s: S, y: &[f32], t: Target, grad: &mut [f32]) -> f32 {
    let mut sum = s.zero();
    for c in blocks(y) {
        let d = s.sub(load(s, y, c), t.load(s, c));
        store(s, grad, c, d);
        sum = s.fma(d, d, sum);
    }
    0.5 * s.sum(sum)
}

#[inline(always)]
fn cross_entropy_row<S: Simd>(s: S, y: &[f32], t: Target, grad: &mut [f32]) -> f32 {
    let zero = s.zero();
    let lowest = s.splat(f32::NEG_INFINITY);
    let mut max = lowest;
    for c in blocks(y) {
        max = s.max(max, s.select(present(s, y, c), load(s, y, c), lowest));
    }
    let fold = |max: f32, y: f32| if max > y { max } else { y };
    let max = s.splat(s.to_array(max).into_iter().fold(f32::NEG_INFINITY, fold));

    let mut sum = zero;
    for c in blocks(y) {
        let e = math::exp(s, shifted(s, y, c, max));
        let e = s.select(present(s, y, c), e, zero);
        store(s, grad, c, e);
        sum = s.add(sum, e);
    }
    let sum = s.splat(s.sum(sum));
    let log_sum = math::ln(s, sum);

    let mut loss = zero;
    for c in blocks(y) {
        let t = t.load(s, c);
        let p = s.div(load(s, grad, c), sum);
        store(s, grad, c, s.sub(p, t));
        // −ln p may be infinite where t = 0; 0·∞ must not spoil the sum.
        let minus_log_p = s.sub(log_sum, shifted(s, y, c, max));
        loss = s.fma(t, s.select(s.eq(t, zero), zero, minus_log_p), loss);
    }
    s.sum(loss)
}

/// Which lanes of block c are columns.
#[inline(always)]
fn present<S: Simd>(s: S, y: &[f32], c: usize) -> S::M {
    s.lt(lane_numbers(s), s.splat((y.len() - c) as f32))
}

/// y − max of block c, also where both are the same infinity.
#[inline(always)]
fn shifted<S: Simd>(s: S, y: &[f32], c: usize, max: S::F) -> S::F {
    let y = load(s, y, c);
    s.select(s.eq(y, max), s.zero(), s.sub(y, max))
}

//! The distributions behind the initializers, drawn in f64 and rounded once to f32.

use crate::random::Stream;

/// N(0, std²).
pub(super) fn normal(stream: &mut Stream, std: f64, out: &mut [f32]) {
    out.fill_with(|| (stream.normal() * std) as f32);
}

/// U(−bound, bound).
pub(super) fn uniform(stream: &mut Stream, bound: f64, out: &mut [f32]) {
    out.fill_with(|| ((2.0 * stream.uniform() - 1.0) * bound) as f32);
}

/// N(0, std²), drawn again beyond two standard deviations.
pub(super) fn truncated_normal(stream: &mut Stream, std: f64, out: &mut [f32]) {
    out.fill_with(|| {
        loop {
            let x = stream.normal();
            if x.abs() <= 2.0 {
                return (x * std) as f32;
            }
        }
    });
}

//! Matrices that are mostly zeros: a few connections for each unit, and the identity.

use super::Connections;
use crate::random::Stream;
use fanin_kernels::MatMut;

/// Each output (or input) gets `count` connections N(0, std²), the others are 0.
///
/// Which ones: every choice of `count` out of n is equally likely, by selection sampling
/// (Knuth, "The Art of Computer Programming" 2, §3.4.2, algorithm S).
pub(super) fn matrix(
    stream: &mut Stream,
    connections: Connections,
    count: u32,
    std: f64,
    mut w: MatMut<'_>,
) {
    w.fill(0.0);
    let mut units = match connections {
        Connections::Incoming => w.transposed(),
        Connections::Outgoing => w,
    };
    for unit in 0..units.rows() {
        let mut wanted = count;
        for other in 0..units.cols() {
            let left = u32::try_from(units.cols() - other).unwrap_or(u32::MAX);
            if stream.below(left) < wanted {
                wanted -= 1;
                units.set(unit, other, (stream.normal() * std) as f32);
            }
        }
    }
}

/// `gain` on the diagonal, 0 elsewhere.
pub(super) fn identity(gain: f32, mut w: MatMut<'_>) {
    w.fill(0.0);
    for i in 0..w.rows().min(w.cols()) {
        w.set(i, i, gain);
    }
}

//! All samples, layer by layer: for batch normalization with the statistics of the whole
//! set.
//!
//! A mean is one chain of additions over all samples, whatever the number of threads:
//! they share the columns there, the samples elsewhere.

use super::block::{Pass, Source, Statistics};
use super::{BLOCK, normalizes_inputs};
use crate::batch_norm::Placement;
use crate::network::Network;
use crate::samples::Samples;
use fanin_kernels::team::Team;
use fanin_kernels::{AlignedBuffer, Isa, LANES, MatMut, MatRef, norm, padded};
use std::collections::TryReserveError;
use std::ops::Range;

/// The memory: two matrices of all samples' activations, and the statistics of a layer.
pub(super) struct Whole {
    samples: usize,
    x: AlignedBuffer,
    y: AlignedBuffer,
    columns: Columns,
}

/// The statistics of a layer's columns.
struct Columns {
    mean: AlignedBuffer,
    variance: AlignedBuffer,
    inverse: AlignedBuffer,
}

impl Whole {
    /// Memory for all of `samples`.
    pub fn new(network: &Network, samples: &Samples) -> Result<Self, TryReserveError> {
        let widths = network.layers().iter().map(|l| l.width);
        let inputs = match reads_dense(network, samples) {
            true => padded(network.inputs()),
            false => 0,
        };
        let widest = widths.max().unwrap_or(0).max(inputs);
        let matrix = || AlignedBuffer::zeroed(samples.len().saturating_mul(widest));
        Ok(Self {
            samples: samples.len(),
            x: matrix()?,
            y: matrix()?,
            columns: Columns {
                mean: AlignedBuffer::zeroed(widest)?,
                variance: AlignedBuffer::zeroed(widest)?,
                inverse: AlignedBuffer::zeroed(widest)?,
            },
        })
    }

    /// All outputs, \[samples, outputs of the network\].
    pub fn outputs(&mut self, pass: &Pass<'_>, team: &mut Team) -> MatRef<'_> {
        let n = self.samples;
        assert!(pass.samples.len() == n);
        let epsilon = pass.network.batch_norm().map_or(0.0, |norm| norm.epsilon);
        let (x, y, columns) = (&mut self.x, &mut self.y, &mut self.columns);
        let dense = reads_dense(pass.network, pass.samples);
        if dense {
            let inputs = padded(pass.network.inputs());
            let all = MatMut::new(&mut x[..n * inputs], n, inputs);
            blocks(team, n, [all], |range, [mut to]| {
                for (r, i) in range.enumerate() {
                    let id = [u32::try_from(i).unwrap_or(u32::MAX)];
                    pass.samples.copy_rows(&id, pass.values, to.row_mut(r));
                }
            });
        }
        for (l, layer) in pass.network.layers().iter().enumerate() {
            let (inputs, width) = (padded(layer.fan_in), layer.norm_width());
            if layer.norm == Some(Placement::Input) {
                columns.measure(pass.isa, team, MatRef::new(x, n, width), epsilon);
            }
            let with = columns.statistics(width);
            let out = MatMut::new(&mut y[..n * layer.width], n, layer.width);
            if l > 0 || dense {
                let from = MatMut::new(&mut x[..n * inputs], n, inputs);
                blocks(team, n, [from, out], |_, [from, out]| {
                    pass.linear(l, Source::Rows(from), with, out);
                });
            } else {
                blocks(team, n, [out], |range, [out]| {
                    pass.linear(l, Source::Samples(range, &mut []), with, out);
                });
            }
            if layer.norm == Some(Placement::PreActivation) {
                columns.measure(pass.isa, team, MatRef::new(y, n, width), epsilon);
                let with = columns.statistics(width);
                let out = MatMut::new(&mut y[..n * layer.width], n, layer.width);
                blocks(team, n, [out], |_, [out]| pass.finish(l, with, out));
            }
            std::mem::swap(x, y);
        }
        let outputs = pass.network.outputs();
        MatRef::with_strides(x, n, outputs, padded(outputs), 1)
    }
}

/// Whether the first layer reads dense rows.
fn reads_dense(network: &Network, samples: &Samples) -> bool {
    !samples.is_sparse() || normalizes_inputs(network)
}

impl Columns {
    /// Takes the statistics of the columns of `x`.
    fn measure(&mut self, isa: Isa, team: &mut Team, x: MatRef<'_>, epsilon: f32) {
        let width = x.cols();
        let (mean, variance) = (&mut self.mean[..width], &mut self.variance[..width]);
        let matrices = [mean, variance].map(|v| MatMut::new(v, 1, width));
        team.split_cols(
            width,
            LANES,
            matrices,
            |_, cols, [mut mean, mut variance]| {
                let x = x.col_range(cols.start, cols.end);
                norm::statistics(isa, x, mean.row_mut(0), variance.row_mut(0));
            },
        );
        let (variance, inverse) = (&self.variance[..width], &mut self.inverse[..width]);
        norm::inverse_deviation(isa, variance, epsilon, inverse);
    }

    fn statistics(&self, width: usize) -> Statistics<'_> {
        Statistics {
            mean: &self.mean[..width],
            inverse: &self.inverse[..width],
        }
    }
}

/// Calls `f(rows, parts)` for every block of rows of the matrices, shared by the team.
fn blocks<const N: usize>(
    team: &mut Team,
    rows: usize,
    matrices: [MatMut<'_>; N],
    f: impl Fn(Range<usize>, [MatMut<'_>; N]) + Sync,
) {
    let columns = matrices.map(MatMut::transposed);
    team.split_cols(rows, BLOCK, columns, |_, range, parts| {
        let mut parts = parts.map(MatMut::transposed);
        for first in range.clone().step_by(BLOCK) {
            let block = first..(first + BLOCK).min(range.end);
            let parts = parts.each_mut().map(|part| {
                let rest = part.reborrow().split_at_row(first - range.start).1;
                rest.split_at_row(block.len()).0
            });
            f(block, parts);
        }
    });
}

//! Accuracy on a set of samples.
//!
//! Block by block through the whole network; or, where batch normalization takes the
//! statistics of the whole set, layer by layer through all samples ([`whole`]).

mod block;
mod whole;

use crate::batch_norm::NormEval;
use crate::network::Network;
use crate::samples::{Samples, TargetValues, byte_values};
use crate::step::normalizes_inputs;
use block::Pass;
use fanin_kernels::team::Team;
use fanin_kernels::{AlignedBuffer, Isa, MatMut, MatRef, loss, norm, padded};
use std::collections::TryReserveError;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use whole::Whole;

/// Samples that go through the network together: enough to reuse W from the cache, few
/// enough that the activations stay there too.
pub(crate) const BLOCK: usize = 120;

/// The memory of an evaluation, planned once.
pub struct Evaluator {
    /// One row for each thread: the input block, then two blocks of activations.
    scratch: AlignedBuffer,
    threads: usize,
    input: usize,
    activations: usize,
    byte_values: [f32; 256],
    /// 1/√(running variance + ε) of each layer with batch normalization.
    inverse: Vec<AlignedBuffer>,
    /// Where batch normalization takes the statistics of the whole set.
    whole: Option<Whole>,
}

impl Evaluator {
    /// Memory to evaluate `network` on samples of the kind and number of `samples`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(
        network: &Network,
        samples: &Samples,
        threads: usize,
    ) -> Result<Self, TryReserveError> {
        let widest = network.layers().iter().map(|l| l.width).max();
        let activations = BLOCK.saturating_mul(widest.unwrap_or(0));
        let input = match samples.is_sparse() && !normalizes_inputs(network) {
            true => 0,
            false => BLOCK.saturating_mul(padded(network.inputs())),
        };
        let each = activations.saturating_mul(2).saturating_add(input);
        if input == 0 {
            samples.in_blocks()?;
        }
        let inverse = network.layers().iter();
        let inverse = inverse.map(|l| AlignedBuffer::zeroed(l.norm_width()));
        let whole = match network.batch_norm() {
            Some(norm) if norm.eval == NormEval::Batch => Some(Whole::new(network, samples)?),
            _ => None,
        };
        Ok(Self {
            scratch: AlignedBuffer::zeroed(each.saturating_mul(threads))?,
            threads,
            input,
            activations,
            byte_values: byte_values(),
            inverse: inverse.collect::<Result<_, _>>()?,
            whole,
        })
    }

    /// How many samples the network puts into their class (the largest output).
    ///
    /// # Panics
    /// If the network, the samples or the team are not those of [`Evaluator::new`].
    pub fn count_correct(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &Network,
        samples: &Samples,
    ) -> usize {
        let TargetValues::Classes(classes) = &samples.targets else {
            return 0;
        };
        let total = AtomicUsize::new(0);
        self.outputs(isa, team, network, samples, |range, outputs| {
            let correct = loss::count_correct(outputs, &classes[range]);
            total.fetch_add(correct, Ordering::Relaxed);
        });
        total.into_inner()
    }

    /// Calls `f(samples, outputs)` for every block of samples, from several threads and in
    /// any order; outputs \[samples, outputs of the network\].
    ///
    /// # Panics
    /// As [`Evaluator::count_correct`].
    pub fn outputs(
        &mut self,
        isa: Isa,
        team: &mut Team,
        network: &Network,
        samples: &Samples,
        f: impl Fn(Range<usize>, MatRef<'_>) + Sync,
    ) {
        let threads = self.threads;
        assert!(team.threads() == threads);
        let epsilon = network.batch_norm().map_or(0.0, |norm| norm.epsilon);
        for (l, inverse) in self.inverse.iter_mut().enumerate() {
            let variance = network.norm_padded(l).running_variance;
            norm::inverse_deviation(isa, variance, epsilon, inverse);
        }
        // What this can fail for has been made by `new`.
        let blocks = match self.input {
            0 => samples.in_blocks().unwrap_or_default(),
            _ => &[],
        };
        let w = network.weights(0);
        let finite = |r: usize| w.row(r).iter().all(|w| w.is_finite());
        let pass = Pass {
            isa,
            network,
            samples,
            blocks,
            finite: (0..w.rows()).all(finite),
            values: &self.byte_values,
            inverse: &self.inverse,
        };
        let each = self.input + 2 * self.activations;
        let (input, activations) = (self.input, self.activations);
        // One column for each member, contiguous.
        let scratch = MatMut::with_strides(&mut self.scratch, each, threads, 1, each);
        if let Some(whole) = &mut self.whole {
            return f(0..samples.len(), whole.outputs(&pass, team));
        }
        team.split_cols(threads, 1, [scratch], |_, members, [scratch]| {
            let mut scratch = scratch.transposed();
            for (row, member) in members.enumerate() {
                let scratch = scratch.row_mut(row);
                let (input, ys) = scratch.split_at_mut(input);
                let (y, x) = ys.split_at_mut(activations);
                for first in (member * BLOCK..samples.len()).step_by(threads * BLOCK) {
                    let last = (first + BLOCK).min(samples.len());
                    f(first..last, pass.forward(first..last, input, y, x));
                }
            }
        });
    }
}

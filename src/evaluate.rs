//! Accuracy on a set of samples, block by block.

use crate::network::Network;
use crate::samples::{Inputs, Samples, TargetValues, byte_values};
use crate::step::gather_rows;
use fanin_kernels::team::Team;
use fanin_kernels::{AlignedBuffer, Isa, MatMut, MatRef, dense, loss, padded, sparse};
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Samples that go through the network together: enough to reuse W from the cache, few
/// enough that the activations stay there too.
const BLOCK: usize = 120;

/// The memory of an evaluation, planned once.
pub struct Evaluator {
    /// One row for each thread: the input block, then two blocks of activations.
    scratch: AlignedBuffer,
    threads: usize,
    input: usize,
    activations: usize,
    byte_values: [f32; 256],
}

impl Evaluator {
    /// Memory to evaluate `network` on samples of the kind of `samples`.
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
        let input = match samples.is_sparse() {
            true => 0,
            false => BLOCK.saturating_mul(padded(network.inputs())),
        };
        let each = activations.saturating_mul(2).saturating_add(input);
        Ok(Self {
            scratch: AlignedBuffer::zeroed(each.saturating_mul(threads))?,
            threads,
            input,
            activations,
            byte_values: byte_values(),
        })
    }

    /// How many samples the network puts into their class (the largest output).
    ///
    /// # Panics
    /// If the network, the kind of samples or the team are not those of
    /// [`Evaluator::new`].
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
        let threads = self.threads;
        assert!(team.threads() == threads);
        let each = self.input + 2 * self.activations;
        let (input, activations) = (self.input, self.activations);
        let values = &self.byte_values;
        let total = AtomicUsize::new(0);
        // One column for each member, contiguous.
        let scratch = MatMut::with_strides(&mut self.scratch, each, threads, 1, each);
        team.split_cols(threads, 1, [scratch], |_, members, [scratch]| {
            let mut scratch = scratch.transposed();
            for (row, member) in members.enumerate() {
                let scratch = scratch.row_mut(row);
                let (input, ys) = scratch.split_at_mut(input);
                let (y, x) = ys.split_at_mut(activations);
                let mut correct = 0;
                for first in (member * BLOCK..samples.len()).step_by(threads * BLOCK) {
                    let last = (first + BLOCK).min(samples.len());
                    let mut block = Block {
                        isa,
                        network,
                        samples,
                        values,
                        input,
                    };
                    let outputs = block.forward(first..last, y, x);
                    correct += loss::count_correct(outputs, &classes[first..last]);
                }
                total.fetch_add(correct, Ordering::Relaxed);
            }
        });
        total.into_inner()
    }
}

struct Block<'a> {
    isa: Isa,
    network: &'a Network,
    samples: &'a Samples,
    values: &'a [f32; 256],
    input: &'a mut [f32],
}

impl Block<'_> {
    /// The outputs for the samples `range`; `y` and `x` are room for activations.
    fn forward<'b>(
        &mut self,
        range: std::ops::Range<usize>,
        mut y: &'b mut [f32],
        mut x: &'b mut [f32],
    ) -> MatRef<'b> {
        let size = range.len();
        let mut ids = [0u32; BLOCK];
        for (id, i) in ids.iter_mut().zip(range) {
            *id = u32::try_from(i).unwrap_or(u32::MAX);
        }
        let ids = &ids[..size];
        for (l, layer) in self.network.layers().iter().enumerate() {
            let (w, bias) = (self.network.weights(l), self.network.biases(l));
            let (isa, activation) = (self.isa, layer.activation);
            let out = MatMut::new(y, size, layer.width);
            if l > 0 {
                let x = MatRef::with_strides(x, size, layer.fan_in, padded(layer.fan_in), 1);
                dense::forward(isa, x, w, bias, activation, None, out);
            } else if let Inputs::Sparse(rows) = &self.samples.inputs {
                sparse::forward(isa, rows, ids, self.values, w, bias, activation, None, out);
            } else {
                let x = self.gather(ids, layer.fan_in);
                dense::forward(isa, x, w, bias, activation, None, out);
            }
            std::mem::swap(&mut x, &mut y);
        }
        let outputs = self.network.outputs();
        MatRef::with_strides(x, size, outputs, padded(outputs), 1)
    }

    fn gather(&mut self, ids: &[u32], cols: usize) -> MatRef<'_> {
        match &self.samples.inputs {
            Inputs::Bytes(bytes, _) => {
                let values = self.values;
                gather_rows(self.input, bytes, cols, ids, |v| values[usize::from(v)]);
            }
            Inputs::Values(all, _) => gather_rows(self.input, all, cols, ids, |v| v),
            Inputs::Sparse(_) => {}
        }
        MatRef::with_strides(self.input, ids.len(), cols, padded(cols), 1)
    }
}

//! The order of the training samples: a fresh shuffle every epoch.

use crate::random::{Purpose, Stream};

/// An endless sequence of sample numbers.
///
/// Epoch e is the shuffle of 0 … n − 1 by the stream (seed, purpose, e) alone. A batch that
/// reaches the end of an epoch is filled from the next.
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    purpose: Purpose,
    epoch: u64,
    samples: Vec<u32>,
    next: usize,
}

impl Order {
    /// The order of `n` samples in training.
    pub fn new(seed: u64, n: u32) -> Self {
        Self::starting_at(seed, Purpose::Order, 0, n)
    }

    /// The order of `n` samples in the pre-training of layer `l`: its epochs are those
    /// from l·2³² on, so that no layer's order depends on another's steps.
    pub(crate) fn pretraining(seed: u64, l: u32, n: u32) -> Self {
        Self::starting_at(seed, Purpose::PretrainingOrder, u64::from(l) << 32, n)
    }

    fn starting_at(seed: u64, purpose: Purpose, epoch: u64, n: u32) -> Self {
        let mut order = Self {
            seed,
            purpose,
            epoch,
            samples: (0..n).collect(),
            next: 0,
        };
        order.shuffle();
        order
    }

    fn shuffle(&mut self) {
        for (sample, i) in self.samples.iter_mut().zip(0..) {
            *sample = i;
        }
        Stream::new(self.seed, self.purpose, self.epoch).shuffle(&mut self.samples);
        self.next = 0;
    }

    /// The samples that [`Order::fill`] will give next, `n` or as many as the epoch still has.
    pub fn peek(&self, n: usize) -> &[u32] {
        let left = &self.samples[self.next..];
        &left[..n.min(left.len())]
    }

    /// The next samples, as many as `batch` has room for; nothing if there are none.
    pub fn fill(&mut self, batch: &mut [u32]) {
        if self.samples.is_empty() {
            return;
        }
        for slot in batch {
            if self.next == self.samples.len() {
                self.epoch += 1;
                self.shuffle();
            }
            *slot = self.samples[self.next];
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_sample_once_in_another_order() {
        let mut order = Order::new(1, 10);
        let mut seen = [0; 40];
        for batch in seen.chunks_mut(4) {
            let next = order.peek(batch.len()).to_vec();
            order.fill(batch);
            assert_eq!(batch[..next.len()], next);
        }
        let epochs: Vec<Vec<u32>> = seen.chunks(10).map(<[u32]>::to_vec).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        let mut other = vec![0; 10];
        Order::new(2, 10).fill(&mut other);
        assert_ne!(other, epochs[0]);
    }

    #[test]
    fn batches_larger_than_an_epoch_and_empty_sets() {
        let mut batch = [9; 7];
        Order::new(1, 2).fill(&mut batch);
        assert_eq!(batch.iter().sum::<u32>(), 3 + batch[6]);
        let mut batch = [9; 3];
        Order::new(1, 0).fill(&mut batch);
        assert_eq!(batch, [9; 3]);
    }
}

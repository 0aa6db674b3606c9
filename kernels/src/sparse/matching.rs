//! Which samples are alike.

use super::SparseBytes;
use crate::Isa;
use crate::simd::{Kernel, Simd};
use std::collections::TryReserveError;

/// Words of a picture of a sample: a bit for each column, or for a few columns side by side,
/// whether any is not 0.
const WORDS: usize = 16;

type Picture = [u64; WORDS];

/// The positions in `batch` in pairs of similar rows of `inputs`, each in one of them; the last
/// of an odd number twice.
///
/// Greedy: the last that is left takes the one that differs from it in the fewest bits.
///
/// # Errors
/// If the memory cannot be had.
///
/// # Panics
/// If a row does not exist, or there are 2³² or more.
pub(super) fn pairs(inputs: &SparseBytes, batch: &[u32]) -> Result<Vec<[u32; 2]>, TryReserveError> {
    assert!(
        u32::try_from(batch.len()).is_ok(),
        "a batch of {}",
        batch.len()
    );
    let cell = inputs.cols().div_ceil(WORDS * 64).max(1);
    let mut left = Vec::new();
    left.try_reserve_exact(batch.len())?;
    for (position, &row) in (0u32..).zip(batch) {
        let mut picture = [0; WORDS];
        for (column, _) in inputs.row(row as usize) {
            let bit = column / cell;
            picture[bit / 64] |= 1 << (bit % 64);
        }
        left.push((position, picture));
    }
    let mut pairs = Vec::new();
    pairs.try_reserve_exact(batch.len().div_ceil(2))?;
    // Bits are counted fastest by the best there is; the count is the same.
    Isa::best().dispatch(Match {
        left,
        pairs: &mut pairs,
    });
    Ok(pairs)
}

struct Match<'a> {
    left: Vec<(u32, Picture)>,
    pairs: &'a mut Vec<[u32; 2]>,
}

impl Kernel for Match<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        while let Some((first, picture)) = self.left.pop() {
            let mut nearest = (u32::MAX, self.left.len());
            for (i, (_, other)) in self.left.iter().enumerate() {
                nearest = nearest.min((difference(&picture, other), i));
            }
            let second = match nearest.1 < self.left.len() {
                true => self.left.swap_remove(nearest.1).0,
                false => first,
            };
            self.pairs.push([first, second]);
        }
    }
}

/// In how many bits two pictures differ.
#[inline(always)]
fn difference(a: &Picture, b: &Picture) -> u32 {
    let mut bits = 0;
    for (a, b) in a.iter().zip(b) {
        bits += (a ^ b).count_ones();
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_one_pair_with_one_like_it() {
        // Columns beyond those for which there is a bit each; rows 2i and 2i + 1 differ in one.
        const COLS: usize = 3000;
        let mut bytes = vec![0; 21 * COLS];
        for (row, bytes) in bytes.chunks_mut(COLS).enumerate() {
            for lit in 0..50 {
                bytes[(row / 2 * 389 + lit * 17) % COLS] = 1;
            }
            bytes[row] = 1;
        }
        let inputs = SparseBytes::from_dense(&bytes, COLS).unwrap();
        for count in [0, 1, 2, 20, 21] {
            let batch: Vec<u32> = (0..count).collect();
            let pairs = pairs(&inputs, &batch).unwrap();
            assert_eq!(pairs.len(), batch.len().div_ceil(2));
            let mut all: Vec<u32> = pairs.iter().flatten().copied().collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        // In the batch, those that are alike lie far from each other.
        let batch: Vec<u32> = (0..20).map(|i| i * 7 % 20).collect();
        for [a, b] in pairs(&inputs, &batch).unwrap() {
            assert_eq!(batch[a as usize] / 2, batch[b as usize] / 2);
        }
    }
}

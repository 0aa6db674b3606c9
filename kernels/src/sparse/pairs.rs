//! Pairs of similar samples, which go forward together: both sums take a row of W that has been
//! loaded once.
//!
//! A row that only one of the two needs is multiplied by 0 for the other. So a pair takes more
//! FMAs than its samples alone, and fewer loads: for similar ones it is worth that.

use super::batch_rows::stored;
use super::forward::{NARROWEST, Panel, activate, check, next, tile};
use super::{SparseBytes, matching, parts};
use crate::activation::Activation;
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};
use std::collections::TryReserveError;

/// Rows of bytes in pairs of similar ones, band after band, in a band pair after pair.
#[derive(Clone, Debug, Default)]
pub struct SamplePairs {
    /// 65,536·column + 256·(byte of the first sample) + byte of the second.
    entries: Vec<u32>,
    /// Those of one band after those of another: as many in each as there are pairs.
    visits: Vec<Visit>,
    pairs: usize,
    /// Columns of the inputs; every entry's column is smaller.
    cols: usize,
    /// Columns in a band.
    band: usize,
    /// How many rows; the samples of every visit are smaller.
    batch: usize,
}

/// The entries of two samples in a band.
#[derive(Clone, Copy, Debug)]
struct Visit {
    /// Positions in the batch; of an odd one the same twice.
    samples: [u32; 2],
    /// How many follow upon those of the visit before.
    entries: u32,
}

impl SamplePairs {
    /// The rows `batch` of `inputs`: some hundred at most, for each is compared with each.
    ///
    /// # Errors
    /// If the memory cannot be had.
    ///
    /// # Panics
    /// If a row does not exist, or there are 2³² or more.
    pub fn of(inputs: &SparseBytes, batch: &[u32]) -> Result<Self, TryReserveError> {
        let pairs = matching::pairs(inputs, batch)?;
        let mut of = Self {
            pairs: pairs.len(),
            cols: inputs.cols(),
            band: inputs.band,
            batch: batch.len(),
            ..Self::default()
        };
        of.entries.try_reserve_exact(stored(inputs, batch))?;
        let visits = pairs.len().saturating_mul(inputs.bands());
        of.visits.try_reserve_exact(visits)?;
        for band in 0..inputs.bands() {
            for &samples in &pairs {
                let row = |sample: u32| batch[sample as usize] as usize;
                let lists = samples.map(|sample| inputs.list(row(sample), band));
                let before = of.entries.len();
                merge(lists, band * inputs.band, &mut of.entries);
                let entries = (of.entries.len() - before) as u32;
                of.visits.push(Visit { samples, entries });
            }
        }
        of.entries.shrink_to_fit();
        Ok(of)
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<u32>() + self.visits.capacity() * size_of::<Visit>()
    }
}

/// The union of two ascending lists of one row each in a band from column `start` on, behind what
/// is there.
fn merge([mut first, mut second]: [&[u16]; 2], start: usize, to: &mut Vec<u32>) {
    let column = |list: &[u16]| match list.first() {
        Some(&entry) => parts(entry.into()).0,
        None => usize::MAX,
    };
    loop {
        let (a, b) = (column(first), column(second));
        let next = a.min(b);
        if next == usize::MAX {
            return;
        }
        let take = |list: &mut &[u16], here: bool| match list.split_first() {
            Some((&entry, rest)) if here => {
                *list = rest;
                u32::from(parts(entry.into()).1)
            }
            _ => 0,
        };
        let bytes = take(&mut first, a == next) << 8 | take(&mut second, b == next);
        to.push(((start + next) as u32) << 16 | bytes);
    }
}

/// [`super::forward`] for samples in pairs, with finite W; the same bits but for the signs of
/// zeros.
///
/// Shapes: as there, `y` \[samples, n\].
///
/// # Panics
/// If the shapes do not fit together.
pub fn forward_pairs(
    isa: Isa,
    inputs: &SamplePairs,
    scale: &[f32; 256],
    w: MatRef<'_>,
    bias: &[f32],
    activation: Activation,
    y: MatMut<'_>,
) {
    check(inputs.batch, scale, &w, bias, &y);
    if y.rows() == 0 {
        return;
    }
    assert!(inputs.cols == w.rows());
    isa.dispatch(Forward {
        inputs,
        scale,
        w,
        bias,
        activation,
        y,
    });
}

struct Forward<'a> {
    inputs: &'a SamplePairs,
    scale: &'a [f32; 256],
    w: MatRef<'a>,
    bias: &'a [f32],
    activation: Activation,
    y: MatMut<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (batch, n) = (self.y.rows(), self.y.cols());
        let (y, stride) = (self.y.as_mut_ptr(), self.y.row_stride());
        // Two sums for each register of W, which is loaded first, and two inputs.
        let widest = if S::REGISTERS >= 32 { 9 } else { 3 };
        let widest = (tile(s) / self.inputs.band.max(1)).clamp(NARROWEST.min(widest), widest);
        let mut entries = &self.inputs.entries[..];
        for (band, visits) in self
            .inputs
            .visits
            .chunks(self.inputs.pairs.max(1))
            .enumerate()
        {
            let all = visits.iter().map(|visit| visit.entries as usize).sum();
            let own;
            (own, entries) = entries.split_at(all);
            for (first, registers) in even_parts(n / LANES, widest) {
                let place = Panel::new(self.w, self.bias, y, stride, first);
                // SAFETY: 16·(first + registers) ≤ n, the columns of w, bias and y; samples
                // < inputs.batch = rows of y, columns < inputs.cols = rows of w (SamplePairs,
                // asserted in `forward_pairs`).
                unsafe {
                    let (first_band, scale) = (band == 0, self.scale);
                    if S::REGISTERS >= 32 {
                        with_panel!(@match registers, S, pair_panel, (s, place, visits, own, first_band, scale), 1 2 3 4 5 6 7 8 9);
                    } else {
                        with_panel!(@match registers, S, pair_panel, (s, place, visits, own, first_band, scale), 1 2 3);
                    }
                }
            }
        }
        // SAFETY: all rows of y; whole registers.
        unsafe { activate(s, self.activation, [y, y], [stride, stride], 0..batch, n) };
    }
}

/// Each of the `visits` adds its part of `entries` to the sums of its two samples, which begin
/// with the bias in the first band.
///
/// # Safety
/// - `w` is valid for reads of 16·P floats at `column·w_stride` for each entry's column, `bias`
///   for reads and `z` at `sample·z_stride` for reads and writes of 16·P floats, for both
///   samples of each visit.
#[inline(always)]
unsafe fn pair_panel<S: Simd, const P: usize>(
    s: S,
    place: Panel,
    visits: &[Visit],
    mut entries: &[u32],
    first_band: bool,
    scale: &[f32; 256],
) {
    for visit in visits {
        let own;
        (own, entries) = next(s, entries, visit.entries);
        let [first, second] = visit.samples;
        // SAFETY: the bias, or the rows of a visit's samples (contract).
        let (mut first_sums, mut second_sums): ([_; P], [_; P]) = unsafe {
            (
                place.sums(s, first, first_band),
                place.sums(s, second, first_band),
            )
        };
        for &entry in own {
            let (column, [b, a, ..]) = (entry >> 16, entry.to_le_bytes());
            let (x, y) = (
                s.splat(scale[usize::from(a)]),
                s.splat(scale[usize::from(b)]),
            );
            for (j, (a, b)) in first_sums.iter_mut().zip(&mut second_sums).enumerate() {
                // SAFETY: register j < P of a row of w (contract).
                let w =
                    unsafe { s.load(place.w.add(column as usize * place.w_stride + j * LANES)) };
                *a = s.fma(x, w, *a);
                *b = s.fma(y, w, *b);
            }
        }
        // SAFETY: as above; of an odd sample both are the same.
        unsafe {
            place.leave(s, first, &first_sums);
            place.leave(s, second, &second_sums);
        }
    }
}

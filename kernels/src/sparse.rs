//! The input layer on sparse bytes: forward and weight update that skip zero pixels.
//!
//! A zero input contributes nothing: `fma(0, w, acc)` is `acc` for every finite w (but
//! for the sign of a zero, which nothing downstream depends on and which is not part
//! of a network's identity). So the results are those of the dense path.

use crate::Isa;
use crate::simd::{Kernel, Simd};
use std::collections::TryReserveError;

/// The widest panel of registers that stays in the register file with room to work.
const fn widest_panel(registers: usize) -> usize {
    if registers >= 32 { 28 } else { 6 }
}

/// Calls a function with the number of registers of a panel as its const parameter.
macro_rules! with_panel {
    ($registers:expr, $S:ident, $function:ident $args:tt) => {
        if $S::REGISTERS >= 32 {
            with_panel!(@match $registers, $S, $function, $args, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28)
        } else {
            with_panel!(@match $registers, $S, $function, $args, 1 2 3 4 5 6)
        }
    };
    (@match $registers:expr, $S:ident, $function:ident, $args:tt, $($p:literal)*) => {
        match $registers {
            $($p => $function::<$S, $p> $args,)*
            other => unreachable!("panel of {other} registers"),
        }
    };
}

mod accumulate;
mod batch_columns;
mod batch_rows;
mod forward;
mod matching;
mod pairs;
pub use accumulate::accumulate;
pub use batch_columns::BatchColumns;
pub use batch_rows::BatchRows;
pub use forward::forward;
pub use pairs::{SamplePairs, forward_pairs};

/// Rows of bytes (images) of which only the non-zero ones are stored, cut into bands of
/// columns: the parts of W that a forward pass goes through one after the other.
///
/// Invariants: `bounds` ascends from 0 to `entries.len()`; the columns within a row ascend,
/// and are < `cols`; a band has at most 256.
#[derive(Clone, Debug, Default)]
pub struct SparseBytes {
    cols: usize,
    /// Columns in a band.
    band: usize,
    /// `bounds[r·bands + i]..bounds[r·bands + i + 1]` are the entries of row r in band i.
    bounds: Vec<usize>,
    /// 256·(column − the first one of its band) + byte.
    entries: Vec<u16>,
}

/// The most columns in a band, where there are not too many. A few registers of so many rows of W
/// stay in the first-level cache.
const BAND: usize = 128;

/// The most bands, if they are not too wide then: each costs a word for each row.
const MOST_BANDS: usize = 16;

/// The most columns in any band: an entry has a byte for them.
const WIDEST_BAND: usize = 256;

/// How many bytes are not 0.
fn count(bytes: &[u8]) -> usize {
    // In bytes, many of which fit in a register.
    let few = bytes.chunks(u8::MAX.into());
    few.map(|few| usize::from(few.iter().map(|&v| u8::from(v != 0)).sum::<u8>()))
        .sum()
}

/// The column (of the inputs, or of a band) and the byte of an entry.
#[inline(always)]
fn parts(entry: u32) -> (usize, u8) {
    ((entry >> 8) as usize, (entry & 0xFF) as u8)
}

impl SparseBytes {
    /// The most columns there can be.
    pub const MOST_COLUMNS: usize = 1 << 16;

    /// The non-zero bytes of a row-major matrix with `cols` columns.
    ///
    /// `None` if `cols` is 0 or above 65,536, `dense` is not a whole number of rows, or there is no
    /// memory.
    pub fn from_dense(dense: &[u8], cols: usize) -> Option<Self> {
        let mut rows = Self::empty(cols)?;
        if !dense.len().is_multiple_of(cols) {
            return None;
        }
        rows.push(dense).ok()?;
        Some(rows)
    }

    /// No rows yet, of `cols` columns; `None` if that is 0 or above 65,536.
    pub fn empty(cols: usize) -> Option<Self> {
        if cols == 0 || cols > Self::MOST_COLUMNS {
            return None;
        }
        // As even as can be.
        let bands = cols.div_ceil(BAND).min(MOST_BANDS);
        let bands = bands.max(cols.div_ceil(WIDEST_BAND));
        Some(Self {
            cols,
            band: cols.div_ceil(bands),
            bounds: vec![0],
            entries: Vec::new(),
        })
    }

    /// Adds the rows of `dense`, row-major \[any, cols\].
    ///
    /// # Errors
    /// If the memory cannot be had; nothing is added then.
    ///
    /// # Panics
    /// If it is not a whole number of rows.
    pub fn push(&mut self, dense: &[u8]) -> Result<(), TryReserveError> {
        assert!(
            dense.len().is_multiple_of(self.cols),
            "{} bytes are not rows of {}",
            dense.len(),
            self.cols
        );
        if dense.is_empty() {
            return Ok(());
        }
        let mut length = self.entries.len();
        let stored = length + count(dense);
        self.bounds
            .try_reserve(dense.len() / self.cols * self.bands())?;
        // One place more than is stored: every byte of a word is written, and those that are 0
        // are written over by the next. Without a branch, for which they are cannot be predicted;
        // but most words are all 0.
        self.entries.try_reserve(stored + 1 - length)?;
        self.entries.resize(stored + 1, 0);
        let entries = &mut self.entries[..];
        for row in dense.chunks_exact(self.cols) {
            for bytes in row.chunks(self.band) {
                let mut column = 0;
                let (words, rest) = bytes.as_chunks::<8>();
                let words = words
                    .iter()
                    .map(|word| (u64::from_ne_bytes(*word) != 0, &word[..]));
                for (lit, word) in words.chain([(true, rest)]) {
                    if lit {
                        for (i, &byte) in word.iter().enumerate() {
                            entries[length] = ((column + i) << 8) as u16 | u16::from(byte);
                            length += usize::from(byte != 0);
                        }
                    }
                    column += word.len();
                }
                self.bounds.push(length);
            }
        }
        self.entries.truncate(stored);
        Ok(())
    }

    /// Gives back memory that was asked for in case of more rows.
    pub fn shrink(&mut self) {
        self.bounds.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// All rows with their zeros, row-major \[rows, cols\].
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn to_dense(&self) -> Result<Vec<u8>, TryReserveError> {
        let len = self.rows() * self.cols;
        let mut dense = Vec::new();
        dense.try_reserve_exact(len)?;
        dense.resize(len, 0);
        for (r, to) in dense.chunks_exact_mut(self.cols.max(1)).enumerate() {
            for (column, byte) in self.row(r) {
                to[column] = byte;
            }
        }
        Ok(dense)
    }

    /// Bands in a row.
    fn bands(&self) -> usize {
        self.cols.div_ceil(self.band.max(1))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.bounds.len().saturating_sub(1) / self.bands().max(1)
    }

    /// Number of columns, zeros included.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Where the entries of row `r` are.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    fn range(&self, r: usize) -> std::ops::Range<usize> {
        let bands = self.bands();
        self.bounds[r * bands]..self.bounds[(r + 1) * bands]
    }

    /// The columns (ascending) and values of the non-zero bytes of row `r`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, r: usize) -> impl Iterator<Item = (usize, u8)> {
        let bands = self.bands();
        let bounds = &self.bounds[r * bands..=(r + 1) * bands];
        bounds.windows(2).enumerate().flat_map(move |(band, of)| {
            let entries = self.entries[of[0]..of[1]].iter();
            entries.map(move |&entry| {
                let (column, byte) = parts(entry.into());
                (band * self.band + column, byte)
            })
        })
    }

    /// The entries of row `r` in a band.
    ///
    /// # Panics
    /// If there is no such row, or no such band.
    #[inline(always)]
    fn list(&self, r: usize, band: usize) -> &[u16] {
        let at = r * self.bands() + band;
        &self.entries[self.bounds[at]..self.bounds[at + 1]]
    }

    /// The most entries that a row has.
    fn fullest(&self) -> usize {
        let rows = self
            .bounds
            .windows(self.bands() + 1)
            .step_by(self.bands().max(1));
        rows.map(|w| w[w.len() - 1] - w[0]).max().unwrap_or(0)
    }

    /// The share of bytes that are not zero, 0 to 1.
    pub fn density(&self) -> f64 {
        let all = self.rows() as f64 * self.cols as f64;
        self.entries.len() as f64 / all.max(1.0)
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        size_of_val(&self.bounds[..]) + size_of_val(&self.entries[..])
    }
}

/// Asks for the rows `next` of `inputs`, so that they are in the cache when the next step
/// needs them: at random places of a large array, they are in none. Where the rows `later`
/// lie is asked for as well: it has to be known when they are the next.
pub fn prefetch(isa: Isa, inputs: &SparseBytes, next: &[u32], later: &[u32]) {
    isa.dispatch(Prefetch {
        inputs,
        next,
        later,
    });
}

struct Prefetch<'a> {
    inputs: &'a SparseBytes,
    next: &'a [u32],
    later: &'a [u32],
}

impl Kernel for Prefetch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        const LINE: usize = 64;
        let bands = self.inputs.bands();
        let bounds = self.inputs.bounds.as_ptr();
        for &row in self.later {
            let first = bounds.wrapping_add(row as usize * bands);
            s.prefetch(first);
            s.prefetch(first.wrapping_add(bands));
        }
        for &row in self.next {
            let row = row as usize;
            if row >= self.inputs.rows() {
                continue;
            }
            for line in self.inputs.entries[self.inputs.range(row)].chunks(LINE / 2) {
                s.prefetch(line.as_ptr());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_in_pieces() {
        // A band, several of them, and those of 256.
        for cols in [3, 300, 5_000] {
            let byte = |i: usize| if i % 7 < 3 { (i % 251) as u8 } else { 0 };
            let dense: Vec<u8> = (0..9 * cols).map(byte).collect();
            let whole = SparseBytes::from_dense(&dense, cols).unwrap();
            let mut rows = SparseBytes::empty(cols).unwrap();
            for piece in [
                &dense[..cols],
                &[],
                &dense[cols..5 * cols],
                &dense[5 * cols..],
            ] {
                rows.push(piece).unwrap();
            }
            rows.shrink();
            for rows in [whole, rows] {
                assert_eq!((rows.rows(), rows.cols()), (9, cols));
                assert_eq!(rows.to_dense().unwrap(), dense, "{cols} columns");
                let lit = dense.iter().filter(|&&v| v != 0).count();
                assert_eq!(rows.density(), lit as f64 / dense.len() as f64);
            }
        }
        assert!(SparseBytes::default().to_dense().unwrap().is_empty());
        assert!(SparseBytes::empty(0).is_none() && SparseBytes::empty((1 << 16) + 1).is_none());
    }
}

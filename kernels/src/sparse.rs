//! The input layer on sparse bytes: forward and weight update that skip zero pixels.
//!
//! A zero input contributes nothing: `fma(0, w, acc)` is `acc` for every finite w (but
//! for the sign of a zero, which nothing downstream depends on and which is not part
//! of a network's identity). So the results are those of the dense path.

use crate::Isa;
use crate::simd::{Kernel, Simd};

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
mod forward;
pub use accumulate::{BatchColumns, accumulate};
pub use forward::forward;

/// Rows of bytes (images) of which only the non-zero ones are stored.
///
/// Invariants: `offsets` ascends from 0 to `columns.len()` = `values.len()`; within a
/// row `columns` ascend and are < `cols`.
#[derive(Clone, Debug, Default)]
pub struct SparseBytes {
    cols: usize,
    offsets: Vec<usize>,
    columns: Vec<u16>,
    values: Vec<u8>,
}

impl SparseBytes {
    /// The non-zero bytes of a row-major matrix with `cols` columns.
    ///
    /// `None` if `cols` is 0 or above 65,536, or `dense` is not a whole number of rows.
    pub fn from_dense(dense: &[u8], cols: usize) -> Option<Self> {
        if cols == 0 || cols > 1 << 16 || !dense.len().is_multiple_of(cols) {
            return None;
        }
        let stored = dense.iter().filter(|&&v| v != 0).count();
        let mut offsets = Vec::with_capacity(dense.len() / cols + 1);
        offsets.push(0);
        // One place more than is stored: every byte is written, and those that are 0 are
        // written over by the next. Without a branch, for which they are cannot be predicted.
        let mut columns = vec![0; stored + 1];
        let mut values = vec![0; stored + 1];
        let mut length = 0;
        for row in dense.chunks_exact(cols) {
            for (column, &value) in row.iter().enumerate() {
                columns[length] = column as u16;
                values[length] = value;
                length += usize::from(value != 0);
            }
            offsets.push(length);
        }
        columns.truncate(stored);
        values.truncate(stored);
        Some(Self {
            cols,
            offsets,
            columns,
            values,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of columns, zeros included.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The columns (ascending) and values of the non-zero bytes of row `r`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, r: usize) -> (&[u16], &[u8]) {
        let range = self.offsets[r]..self.offsets[r + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The share of bytes that are not zero, 0 to 1.
    pub fn density(&self) -> f64 {
        let all = self.rows() as f64 * self.cols as f64;
        self.values.len() as f64 / all.max(1.0)
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        size_of_val(&self.offsets[..]) + size_of_val(&self.columns[..]) + self.values.len()
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
        for &row in self.later {
            s.prefetch(self.inputs.offsets.as_ptr().wrapping_add(row as usize));
        }
        for &row in self.next {
            let row = row as usize;
            let Some(&[start, end]) = self.inputs.offsets.get(row..row + 2) else {
                continue;
            };
            let columns = &self.inputs.columns[start..end];
            for line in columns.chunks(LINE / size_of::<u16>()) {
                s.prefetch(line.as_ptr());
            }
            for line in self.inputs.values[start..end].chunks(LINE) {
                s.prefetch(line.as_ptr());
            }
        }
    }
}

//! The update of the input layer: only rows of W that the batch lights.
//!
//! Two rows at a time: what lights one pixel mostly lights the one beside it, so that they share
//! the loads of δ. A sample that lights only one of them is multiplied by 0 for the other.

use super::BatchColumns;
use super::batch_columns::{Pair, ROWS};
use crate::parts::{even_parts, even_runs};
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};

/// Adds `Σ_b x[b, c]·scaled[b, :]` to row c of `target` for every column c that is lit.
///
/// With `scaled` = −(lr/batch)·δ and `target` = W this is the step of plain SGD.
/// Shapes: `scaled` \[batch, n\], `target` \[cols, n\]; n a multiple of 16. Each element
/// is one chain of FMAs in ascending b that starts from `target`. Zeros are skipped, or change
/// nothing but the sign of a zero.
///
/// # Panics
/// If the shapes do not fit together.
pub fn accumulate(isa: Isa, inputs: &BatchColumns, scaled: MatRef<'_>, target: MatMut<'_>) {
    assert!(scaled.rows() == inputs.batch() && scaled.cols() == target.cols());
    assert!(target.rows() == inputs.cols());
    assert!(
        target.cols().is_multiple_of(LANES),
        "rows are padded to whole registers"
    );
    assert!(scaled.col_stride() == 1 && target.col_stride() == 1);
    isa.dispatch(Accumulate {
        inputs,
        scaled,
        target,
    });
}

struct Accumulate<'a> {
    inputs: &'a BatchColumns,
    scaled: MatRef<'a>,
    target: MatMut<'a>,
}

/// The most registers of a row that take a sample together: five or six are better than the
/// twelve that there is room for (the queue of stores fills), and than three or four rows.
#[inline(always)]
const fn widest<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 6 } else { 2 }
}

/// Registers of a group's δ that stay in the first-level cache, with what else is used: 24 KiB.
const NEAR: usize = 384;

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let registers = self.target.cols() / LANES;
        if registers == 0 {
            return;
        }
        // 0·∞ would be seen; and one row may be left.
        let pairs = match self.is_finite(s) {
            true => self.inputs.cols() / ROWS,
            false => 0,
        };
        let near = registers * self.inputs.group() <= NEAR;
        for g in 0..self.inputs.groups() {
            if near {
                // All panels of a pair, one after the other: how many samples light it is hard
                // to predict, but not the second time.
                let [(_, _, longer), (_, width, shorter)] = even_runs(registers, widest::<S>());
                let panels = Panels {
                    first: 0,
                    longer,
                    shorter,
                };
                // SAFETY: the panels are the columns of both matrices.
                unsafe { self.add_sized(s, g, pairs, width, panels) };
            } else {
                for (first, width) in even_parts(registers, widest::<S>()) {
                    let panel = Panels {
                        first,
                        longer: 0,
                        shorter: 1,
                    };
                    // SAFETY: the panel is some of the columns of both matrices.
                    unsafe { self.add_sized(s, g, pairs, width, panel) };
                }
            }
            self.add_to_rows(s, g, pairs);
        }
    }
}

/// Panels of columns side by side, from register `first` on: some with a register more, then
/// the others.
#[derive(Clone, Copy)]
struct Panels {
    first: usize,
    longer: usize,
    shorter: usize,
}

impl Accumulate<'_> {
    /// Whether all of `scaled` is finite.
    #[inline(always)]
    fn is_finite<S: Simd>(&self, s: S) -> bool {
        // An infinity or a NaN gives a NaN, all else a zero. A few sums, not to wait for one.
        const SUMS: usize = 4;
        let mut zeros = [s.zero(); SUMS];
        for b in 0..self.scaled.rows() {
            let (several, rest) = self.scaled.row(b).as_chunks::<{ SUMS * LANES }>();
            for lanes in several {
                for (i, zeros) in zeros.iter_mut().enumerate() {
                    // SAFETY: 16 of the SUMS·16 floats.
                    let v = unsafe { s.load(lanes.as_ptr().add(i * LANES)) };
                    *zeros = s.fma(v, s.zero(), *zeros);
                }
            }
            for (lanes, zeros) in rest.as_chunks::<LANES>().0.iter().zip(&mut zeros) {
                // SAFETY: 16 floats.
                *zeros = s.fma(unsafe { s.load(lanes.as_ptr()) }, s.zero(), *zeros);
            }
        }
        let [a, b, c, d] = zeros;
        s.sum(s.add(s.add(a, b), s.add(c, d))) == 0.0
    }

    /// [`Accumulate::add_to_pairs`] for shorter panels of `width` registers.
    ///
    /// # Safety
    /// - As there; `width` from 1 to [`widest`].
    #[inline(always)]
    unsafe fn add_sized<S: Simd>(
        &mut self,
        s: S,
        g: usize,
        pairs: usize,
        width: usize,
        panels: Panels,
    ) {
        macro_rules! sizes {
            ($($p:literal $q:literal)*) => {
                match width {
                    // SAFETY: passed on.
                    $($q => unsafe { self.add_to_pairs::<S, $p, $q>(s, g, pairs, panels) },)*
                    other => unreachable!("{other} registers"),
                }
            };
        }
        if S::REGISTERS >= 32 {
            sizes!(2 1 3 2 4 3 5 4 6 5 7 6)
        } else {
            sizes!(2 1 3 2)
        }
    }

    /// What group `g` adds to some panels, of `P` registers and of `Q`, of the first `pairs` of
    /// rows.
    ///
    /// # Safety
    /// - The panels are some of the columns of both matrices.
    #[inline(always)]
    unsafe fn add_to_pairs<S: Simd, const P: usize, const Q: usize>(
        &mut self,
        s: S,
        g: usize,
        pairs: usize,
        panels: Panels,
    ) {
        let corner = self.place(g, 0, panels.first);
        for (p, pair) in self.inputs.pairs(g).take(pairs).enumerate() {
            if pair.lit == 0 {
                continue;
            }
            let mut place = corner.below(p * ROWS);
            // SAFETY: both rows of the target exist, and every sample that is lit; the panels are
            // some of the columns (contract).
            unsafe {
                for _ in 0..panels.longer {
                    place.add::<S, ROWS, P>(s, pair, pair.lit, [0, 1]);
                    place = place.beside(P);
                }
                for _ in 0..panels.shorter {
                    place.add::<S, ROWS, Q>(s, pair, pair.lit, [0, 1]);
                    place = place.beside(Q);
                }
            }
        }
    }

    /// What group `g` adds to the rows from pair `first` on, to each apart: where it has no other
    /// beside it, and where δ is not finite.
    #[inline(always)]
    fn add_to_rows<S: Simd>(&mut self, s: S, g: usize, first: usize) {
        for (p, pair) in self.inputs.pairs(g).enumerate().skip(first) {
            let rows = ROWS.min(self.inputs.cols() - p * ROWS);
            for r in 0..rows {
                let lit = pair.lit_in(r);
                for register in 0..self.target.cols() / LANES {
                    let place = self.place(g, p * ROWS + r, register);
                    // SAFETY: this register of a row of the target, and of the samples that are lit.
                    unsafe { place.add::<S, 1, 1>(s, pair, lit, [r]) };
                }
            }
        }
    }

    /// Register `first` of a row of the target (< rows), and of scaled from the first sample of
    /// group `g` on.
    #[inline(always)]
    fn place(&mut self, g: usize, row: usize, first: usize) -> Place {
        let corner = Place {
            target: self.target.as_mut_ptr(),
            target_stride: self.target.row_stride(),
            scaled: self.scaled.as_ptr(),
            scaled_stride: self.scaled.row_stride(),
        };
        let sample = g * self.inputs.group();
        let scaled = corner.scaled.wrapping_add(sample * corner.scaled_stride);
        Place { scaled, ..corner }.below(row).beside(first)
    }
}

/// The columns of a panel in some rows of the target, and in the rows of `scaled` of a group.
#[derive(Clone, Copy)]
struct Place {
    target: *mut f32,
    target_stride: usize,
    scaled: *const f32,
    scaled_stride: usize,
}

impl Place {
    /// `rows` of the target further down.
    #[inline(always)]
    fn below(self, rows: usize) -> Self {
        Self {
            target: self.target.wrapping_add(rows * self.target_stride),
            ..self
        }
    }

    /// `registers` further on.
    #[inline(always)]
    fn beside(self, registers: usize) -> Self {
        Self {
            target: self.target.wrapping_add(registers * LANES),
            scaled: self.scaled.wrapping_add(registers * LANES),
            ..self
        }
    }

    /// Adds to `R` rows, these `columns` of a pair, what the samples `lit` give.
    ///
    /// # Safety
    /// - `target` is valid for reads and writes of `R` rows of 16·`P` floats, `scaled` for reads
    ///   of so many at i·`scaled_stride` for each bit i of `lit`, of which `pair.bytes` have
    ///   more.
    #[inline(always)]
    unsafe fn add<S: Simd, const R: usize, const P: usize>(
        self,
        s: S,
        pair: Pair<'_>,
        mut lit: u64,
        columns: [usize; R],
    ) {
        let mut acc = [[s.zero(); P]; R];
        for (r, row) in acc.iter_mut().enumerate() {
            for (j, acc) in row.iter_mut().enumerate() {
                // SAFETY: register j < P of row r < R of the target.
                *acc = unsafe { s.load(self.target.add(r * self.target_stride + j * LANES)) };
            }
        }
        while lit != 0 {
            let sample = lit.trailing_zeros() as usize;
            lit &= lit - 1;
            let mut x = [s.zero(); R];
            for (x, &column) in x.iter_mut().zip(&columns) {
                // SAFETY: a sample of the group (contract).
                let byte = unsafe { *pair.bytes[column].get_unchecked(sample) };
                *x = s.splat(pair.values[usize::from(byte)]);
            }
            for j in 0..P {
                // SAFETY: register j < P of a sample's row of scaled (contract).
                let d = unsafe { s.load(self.scaled.add(sample * self.scaled_stride + j * LANES)) };
                for (x, row) in x.iter().zip(&mut acc) {
                    row[j] = s.fma(*x, d, row[j]);
                }
            }
        }
        for (r, row) in acc.iter().enumerate() {
            for (j, &acc) in row.iter().enumerate() {
                // SAFETY: register j < P of row r < R of the target.
                unsafe { s.store(self.target.add(r * self.target_stride + j * LANES), acc) };
            }
        }
    }
}

//! The update of the input layer: only rows of W that the batch lights.

use super::forward::NARROWEST;
use super::{BatchColumns, widest_panel};
use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES, MatMut, MatRef};

/// Adds `Σ_b x[b, c]·scaled[b, :]` to row c of `target` for every column c that is lit.
///
/// With `scaled` = −(lr/batch)·δ and `target` = W this is the step of plain SGD.
/// Shapes: `scaled` \[batch, n\], `target` \[cols, n\]; n a multiple of 16. Each element
/// is one chain of FMAs in ascending b that starts from `target`.
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

/// Registers of a group's δ that stay in the first-level cache: 40 KiB, or 60 where that has 48
/// instead of 32. More than it has, for the next row of W lights much the same samples.
#[inline(always)]
fn near<S: Simd>(s: S) -> usize {
    if s.full_width() { 960 } else { 640 }
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let registers = self.target.cols() / LANES;
        let widest = widest_panel(S::REGISTERS);
        let (groups, samples) = self.inputs.groups();
        // Registers of a group's δ.
        let near = near(s) / samples.max(1);
        // With few registers it is one panel in any case: how many entries a list has is asked
        // once for all columns then (`add_all`).
        if registers <= near || S::REGISTERS < 32 {
            for g in 0..groups {
                self.add_group(s, g, registers, widest);
            }
            return;
        }
        // Panels of W, which stay in the second-level cache from group to group, and of δ.
        for (first, registers) in even_parts(registers, near.clamp(NARROWEST, widest)) {
            for g in 0..groups {
                // SAFETY: 16·(first + registers) ≤ the columns of both matrices.
                unsafe { with_panel!(registers, S, add_each_to_panel(s, &mut self, g, first)) };
            }
        }
    }
}

impl<'a> Accumulate<'a> {
    /// All columns of group `g`: δ stays in the first-level cache.
    #[inline(always)]
    fn add_group<S: Simd>(&mut self, s: S, g: usize, registers: usize, widest: usize) {
        if S::REGISTERS >= 32 && (1..=widest).contains(&registers) {
            // SAFETY: one panel is all columns of both matrices.
            unsafe { with_panel!(registers, S, add_each_to_panel(s, self, g, 0)) };
            return;
        }
        let panels = even_parts(registers, widest);
        for c in 0..self.inputs.cols() {
            self.ask_ahead(s, g, c);
            let (row, entries) = self.row(g, c, 0);
            if entries.is_empty() {
                continue;
            }
            // SAFETY: every entry's sample is < inputs.batch(), the rows of scaled; both
            // matrices have 16·registers columns.
            unsafe {
                if S::REGISTERS < 32 {
                    row.add_all(s, registers, entries);
                    continue;
                }
                // All panels of a row, one after the other: how many entries it has is hard to
                // predict, but not the second time.
                for (first, registers) in panels.clone() {
                    with_panel!(registers, S, add_each(s, row.from(first), entries));
                }
            }
        }
    }

    /// Asks for the entries of a row a few behind row `c`: what waits for the first entry of a
    /// list waits at every row.
    #[inline(always)]
    fn ask_ahead<S: Simd>(&self, s: S, g: usize, c: usize) {
        if let Some(entry) = self.inputs.first_entry(g, c + 4) {
            s.prefetch(entry);
        }
    }

    /// Row `c` (< columns of the inputs) of the target from register `first` on, and its entries
    /// in group `g`.
    #[inline(always)]
    fn row(&mut self, g: usize, c: usize, first: usize) -> (Row, &'a [(u32, f32)]) {
        let inputs = self.inputs;
        let entries = inputs.column(g, c);
        let row = Row {
            // Inside: the target has as many rows as the inputs columns.
            target: self
                .target
                .as_mut_ptr()
                .wrapping_add(self.target.row_stride() * c),
            scaled: self.scaled.as_ptr(),
            stride: self.scaled.row_stride(),
        };
        (row.from(first), entries)
    }
}

/// What group `g` adds to `P` registers of all rows, from `first` on.
///
/// # Safety
/// - Both matrices have 16·(`first` + `P`) columns.
#[inline(always)]
unsafe fn add_each_to_panel<S: Simd, const P: usize>(
    s: S,
    of: &mut Accumulate<'_>,
    g: usize,
    first: usize,
) {
    for c in 0..of.inputs.cols() {
        of.ask_ahead(s, g, c);
        let (row, entries) = of.row(g, c, first);
        if !entries.is_empty() {
            // SAFETY: 16·P columns (contract); every entry's sample is < inputs.batch(), the
            // rows of scaled.
            unsafe { add_each::<S, P>(s, row, entries) };
        }
    }
}

/// The most entries that are added to a row at once: so many inputs and addresses stay in
/// registers (AVX2 has 16 of both).
const ENTRIES: usize = 10;

/// Registers of a row that take the entries together.
const TOGETHER: usize = 2;

/// A row of the target, and the rows of `scaled`.
#[derive(Clone, Copy)]
struct Row {
    target: *mut f32,
    scaled: *const f32,
    stride: usize,
}

impl Row {
    /// The row from register `first` on.
    #[inline(always)]
    fn from(self, first: usize) -> Self {
        Self {
            target: self.target.wrapping_add(first * LANES),
            scaled: self.scaled.wrapping_add(first * LANES),
            ..self
        }
    }

    /// For few registers: the inputs of some entries stay there while the row goes by.
    ///
    /// How many entries a row has is hard to predict. Here it is asked once a row: the code
    /// for so many goes over all its registers, whose number is always the same.
    ///
    /// # Safety
    /// - `scaled` is valid for reads of 16·`registers` floats at `sample·stride` for each
    ///   entry, `target` for reads and writes of so many.
    #[inline(always)]
    unsafe fn add_all<S: Simd>(self, s: S, registers: usize, entries: &[(u32, f32)]) {
        for entries in entries.chunks(ENTRIES) {
            // SAFETY: passed on.
            unsafe { self.add_sized(s, registers, entries) };
        }
    }

    /// # Safety
    /// - `scaled` is valid for reads of 16·`registers` floats at `sample·stride` for each
    ///   entry, `target` for reads and writes of so many.
    /// - 1 to [`ENTRIES`] entries.
    #[inline(always)]
    unsafe fn add_sized<S: Simd>(self, s: S, registers: usize, entries: &[(u32, f32)]) {
        macro_rules! sizes {
            ($($e:literal)*) => {
                match entries.len() {
                    // SAFETY: passed on.
                    $($e => unsafe { self.add::<S, $e>(s, registers, entries) },)*
                    other => unreachable!("{other} entries"),
                }
            };
        }
        sizes!(1 2 3 4 5 6 7 8 9 10)
    }

    /// # Safety
    /// As [`Row::add_sized`] with `E` entries.
    #[inline(always)]
    unsafe fn add<S: Simd, const E: usize>(self, s: S, registers: usize, entries: &[(u32, f32)]) {
        let mut x = [s.zero(); E];
        let mut rows = [self.scaled; E];
        for ((x, row), &(sample, value)) in x.iter_mut().zip(&mut rows).zip(entries) {
            *x = s.splat(value);
            // SAFETY: a row of scaled (contract).
            *row = unsafe { self.scaled.add(sample as usize * self.stride) };
        }
        let together = registers - registers % TOGETHER;
        for first in (0..together).step_by(TOGETHER) {
            // SAFETY: first + TOGETHER ≤ registers.
            unsafe { self.add_to::<S, E, TOGETHER>(s, &x, &rows, first * LANES) };
        }
        for first in together..registers {
            // SAFETY: first < registers.
            unsafe { self.add_to::<S, E, 1>(s, &x, &rows, first * LANES) };
        }
    }

    /// `C` registers from column `first` on.
    ///
    /// # Safety
    /// - `first` + 16·`C` ≤ 16·`registers`; `rows` are those of the entries of
    ///   [`Row::add_sized`].
    #[inline(always)]
    unsafe fn add_to<S: Simd, const E: usize, const C: usize>(
        self,
        s: S,
        x: &[S::F; E],
        rows: &[*const f32; E],
        first: usize,
    ) {
        let target = self.target.wrapping_add(first);
        let mut acc = [s.zero(); C];
        for (j, acc) in acc.iter_mut().enumerate() {
            // SAFETY: register j < C from `first` on (contract).
            *acc = unsafe { s.load(target.add(j * LANES)) };
        }
        for (&x, row) in x.iter().zip(rows) {
            for (j, acc) in acc.iter_mut().enumerate() {
                // SAFETY: as above.
                let d = unsafe { s.load(row.add(first + j * LANES)) };
                *acc = s.fma(x, d, *acc);
            }
        }
        for (j, &acc) in acc.iter().enumerate() {
            // SAFETY: as above.
            unsafe { s.store(target.add(j * LANES), acc) };
        }
    }
}

/// For many registers: `P` sums stay there while the entries come one by one.
///
/// # Safety
/// - `scaled` is valid for reads of 16·`P` floats at `sample·stride` for each entry,
///   `target` for reads and writes of so many.
#[inline(always)]
unsafe fn add_each<S: Simd, const P: usize>(s: S, row: Row, entries: &[(u32, f32)]) {
    let mut acc = [s.zero(); P];
    for (j, acc) in acc.iter_mut().enumerate() {
        // SAFETY: register j < P of the target row.
        *acc = unsafe { s.load(row.target.add(j * LANES)) };
    }
    for &(sample, x) in entries {
        let x = s.splat(x);
        for (j, acc) in acc.iter_mut().enumerate() {
            let at = sample as usize * row.stride + j * LANES;
            // SAFETY: register j < P of row `sample` of scaled (contract).
            *acc = s.fma(x, unsafe { s.load(row.scaled.add(at)) }, *acc);
        }
    }
    for (j, &acc) in acc.iter().enumerate() {
        // SAFETY: register j < P of the target row.
        unsafe { s.store(row.target.add(j * LANES), acc) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::SparseBytes;
    use super::*;

    /// Samples that all light their pixels: as many entries as fit together, one more, and
    /// so many that the row goes by several times.
    #[test]
    fn entries_that_do_not_fit_together_are_one_chain() {
        const COLS: usize = 2;
        let scale = std::array::from_fn(|v| v as f32 / 255.0);
        for samples in [1, ENTRIES, ENTRIES + 1, 3 * ENTRIES + 4] {
            let bytes: Vec<u8> = (0..samples * COLS).map(|i| (i % 250 + 1) as u8).collect();
            let inputs = SparseBytes::from_dense(&bytes, COLS).unwrap();
            let batch: Vec<u32> = (0..samples as u32).collect();
            let mut columns = BatchColumns::default();
            columns.gather(&inputs, &batch, &scale);
            for n in [LANES, 3 * LANES] {
                let scaled: Vec<f32> = (0..samples * n).map(|i| 0.1 / (i + 3) as f32).collect();
                for isa in Isa::available() {
                    let mut target = vec![0.5; COLS * n];
                    let to = MatMut::new(&mut target, COLS, n);
                    accumulate(isa, &columns, MatRef::new(&scaled, samples, n), to);
                    for (at, &found) in target.iter().enumerate() {
                        let expected = (0..samples).fold(0.5f32, |acc, b| {
                            let x: f32 = scale[usize::from(bytes[b * COLS + at / n])];
                            x.mul_add(scaled[b * n + at % n], acc)
                        });
                        assert_eq!(found, expected, "{isa:?} {samples} {n} {at}");
                    }
                }
            }
        }
    }
}

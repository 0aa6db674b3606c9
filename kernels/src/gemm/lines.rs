//! The ways on which lines of B reach a tile.

use super::microkernel::Tile;
use crate::LANES;
use crate::simd::{Simd, TURNED};

/// A panel of B whose columns are contiguous: where it is not packed yet, to be turned and
/// packed on the way.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) ptr: *const f32,
    /// Floats from one column to the next.
    pub(super) stride: usize,
}

/// Panels of B whose rows are contiguous: where they are not packed yet, to be packed on the
/// way.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) ptr: *const f32,
    /// Floats from one row to the next.
    pub(super) stride: usize,
}

/// What the panels of B are made from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// They are packed, or B itself serves.
    There,
    Columns(Columns),
    Rows(Rows),
}

/// How many lines of B are asked for in advance, where it is read from farther away than the
/// first-level cache.
const AHEAD: usize = 6;

/// Where the lines of B come from.
pub(super) trait Lines: Copy {
    /// The accumulators after all of k.
    ///
    /// # Safety
    /// As [`Tile::run`] with `rows` = `MR` and `registers` = `NR`.
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR];
}

/// From the packed panel, or from B itself.
#[derive(Clone, Copy)]
pub(super) struct InOrder;

impl Lines for InOrder {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        // SAFETY: passed on.
        unsafe { tile.updates(s, 0, acc) }
    }
}

/// From B itself, with lines asked for in advance.
#[derive(Clone, Copy)]
pub(super) struct Ahead;

impl Lines for Ahead {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        for k in 0..tile.depth {
            let b = tile.b.wrapping_add(k * tile.b_row);
            prefetch::<S, NR>(s, b.wrapping_add(AHEAD * tile.b_row));
            // SAFETY: k < depth (contract).
            unsafe {
                let line = tile.line(s, b, tile.b_panel);
                acc = tile.update(s, k, line, acc);
            }
        }
        acc
    }
}

impl Lines for Rows {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        for k in 0..tile.depth {
            let b = self.ptr.wrapping_add(k * self.stride);
            prefetch::<S, NR>(s, b.wrapping_add(AHEAD * self.stride));
            // SAFETY: row k < depth of B has these columns, and the packed panels have a line
            // for it (contract).
            unsafe {
                let line: [_; NR] = tile.line(s, b, LANES);
                for (j, &line) in line.iter().enumerate() {
                    let packed = tile.b.cast_mut().add(j * tile.b_panel + k * LANES);
                    s.store(packed, line);
                }
                acc = tile.update(s, k, line, acc);
            }
        }
        acc
    }
}

/// Asks for the cache lines of `NR` registers at `p`, wherever they begin.
#[inline(always)]
pub(super) fn prefetch<S: Simd, const NR: usize>(s: S, p: *const f32) {
    for j in 0..NR {
        s.prefetch(p.wrapping_add(j * LANES));
    }
    s.prefetch(p.wrapping_add(NR * LANES - 1));
}

impl Lines for Columns {
    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        const { assert!(NR == 1) };
        let whole = tile.depth / TURNED * TURNED;
        for first in (0..whole).step_by(TURNED) {
            // SAFETY: k from first to first + TURNED ≤ depth (contract).
            unsafe {
                let lines = self.pack(s, tile, first);
                for (p, line) in lines.into_iter().enumerate() {
                    acc = tile.update(s, first + p, [line; NR], acc);
                }
            }
        }
        if whole < tile.depth {
            // SAFETY: the last TURNED of k, some of which are packed a second time; then
            // all lines are packed.
            unsafe {
                self.pack(s, tile, tile.depth - TURNED);
                acc = tile.updates(s, whole, acc);
            }
        }
        acc
    }
}

impl Columns {
    /// Turns and packs `TURNED` of k.
    ///
    /// # Safety
    /// As [`Tile::run`] from columns; `first` + `TURNED` ≤ `tile.depth`.
    #[inline(always)]
    unsafe fn pack<S: Simd>(self, s: S, tile: &Tile, first: usize) -> [S::F; TURNED] {
        // SAFETY: these k exist in all 16 columns, and as lines of the packed panel.
        unsafe {
            let lines = s.load_turned(LANES, self.ptr.add(first), self.stride);
            let packed = tile.b.cast_mut().add(first * LANES);
            for (p, &line) in lines.iter().enumerate() {
                s.store(packed.add(p * LANES), line);
            }
            lines
        }
    }
}

//! The ways on which lines of B reach a tile.

use super::microkernel::Tile;
use crate::LANES;
use crate::simd::Simd;

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
    Rows(Rows),
}

/// How many lines of B are asked for in advance, where it is read from farther away than the
/// first-level cache.
const AHEAD: usize = 6;

/// Where the lines of B come from.
pub(super) trait Lines: Copy {
    /// Whether they ask for the tile of C below theirs.
    const ASK_FOR_C: bool = false;

    /// The accumulators after all of k.
    ///
    /// # Safety
    /// As [`Tile::run`] with `rows` = `MR` and `registers` = `NR`. [`Far`]: only where the tile is
    /// [`packed`](Tile::packed).
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

/// From packed panels that do not stay in the first-level cache, in which C is not either: all
/// of it is asked for in advance, and of C the tile below.
#[derive(Clone, Copy)]
pub(super) struct Far;

/// How many k in advance, of B and of A.
const B_AHEAD: usize = 8;
const A_AHEAD: usize = 24;

/// k for each line of C that is asked for: all lines of a tile at once leave no room for others to
/// come, for as long as they take from the third level. (1024³: 8 % more of the FMA peak.)
const TURN: usize = 8;

impl Lines for Far {
    const ASK_FOR_C: bool = true;

    #[inline(always)]
    unsafe fn updates<S: Simd, const MR: usize, const NR: usize>(
        self,
        s: S,
        tile: &Tile,
        mut acc: [[S::F; NR]; MR],
    ) -> [[S::F; NR]; MR] {
        // Known distances are parts of the instructions; others take registers from the sums.
        let packed = Tile {
            a_row: 1,
            a_col: MR,
            b_row: LANES,
            ..*tile
        };
        let below = tile.c.wrapping_add(tile.c_tile);
        let turns = tile.depth / TURN;
        for turn in 0..turns {
            let (row, register) = (turn / (NR + 1), turn % (NR + 1));
            if row < MR {
                // A row may end in one line more than it has registers.
                let column = (register * LANES).min(NR * LANES - 1);
                s.prefetch(below.wrapping_add(row * tile.c_row + column));
            }
            for k in turn * TURN..(turn + 1) * TURN {
                s.prefetch(tile.a.wrapping_add((k + A_AHEAD) * MR));
                let b = tile.b.wrapping_add(k * LANES);
                for j in 0..NR {
                    s.prefetch(b.wrapping_add(B_AHEAD * LANES + j * tile.b_panel));
                }
                // SAFETY: k < depth (contract), and the distances are the tile's own.
                unsafe {
                    let line = packed.line(s, b, tile.b_panel);
                    acc = packed.update(s, k, line, acc);
                }
            }
        }
        // SAFETY: the k that are left (contract).
        unsafe { packed.updates(s, turns * TURN, acc) }
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

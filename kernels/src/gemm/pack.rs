//! Packing: copies a panel so that the microkernel reads it in a straight line.

use super::blocking::collide;
use crate::parts::even_parts;
use crate::simd::{Simd, TURNED};
use crate::{LANES, MatRef};

/// Packs `scale`·`a` in panels as high as `even_parts(rows, mr)`, one after the other.
///
/// # Panics
/// If `packed` is too short.
#[inline(always)]
pub(super) fn pack_a<S: Simd>(s: S, scale: f32, a: MatRef<'_>, mr: usize, packed: &mut [f32]) {
    let depth = a.cols();
    for (first, height) in even_parts(a.rows(), mr) {
        let panel = a.row_range(first, first + height);
        let packed = &mut packed[first * depth..][..height * depth];
        pack_panel(s, scale, panel, height, packed);
    }
}

/// Packs `scale`·`b` in panels of 16 columns, the last one padded: column j of line p goes to
/// `(j / 16·depth + p)·16 + j % 16`.
///
/// # Panics
/// If `packed` is too short.
#[inline(always)]
pub(super) fn pack_b<S: Simd>(s: S, scale: f32, b: MatRef<'_>, packed: &mut [f32]) {
    let (depth, columns) = (b.rows(), b.cols());
    let mut first = 0;
    while first < columns {
        let packed = &mut packed[first * depth..];
        if b.col_stride() == 1 && columns - first >= TOGETHER * LANES {
            let b = b.col_range(first, first + TOGETHER * LANES);
            pack_together(s, scale, b, packed);
            first += TOGETHER * LANES;
        } else {
            let panel = b.col_range(first, columns.min(first + LANES)).transposed();
            pack_panel(s, scale, panel, LANES, &mut packed[..LANES * depth]);
            first += LANES;
        }
    }
}

/// Panels that are packed together: a line of one is a cache line on a page of its own, which
/// nothing foresees and which takes longer to find than to copy. (Zen 4: 64 and 100 × 1024 × 1024 are
/// 25 and 15 % faster than with one after the other, 1024³ 0.8 %. 4 and 16 are much the same.)
const TOGETHER: usize = 8;

/// Packs all panels of `b`, which is so wide and has contiguous rows, line by line.
///
/// # Panics
/// If `packed` is too short.
#[inline(always)]
fn pack_together<S: Simd>(s: S, scale: f32, b: MatRef<'_>, packed: &mut [f32]) {
    let depth = b.rows();
    assert!(b.cols() == TOGETHER * LANES && b.col_stride() == 1);
    let packed = &mut packed[..depth * TOGETHER * LANES];
    let scale = s.splat(scale);
    for p in 0..depth {
        for panel in 0..TOGETHER {
            // SAFETY: line p of b has 16 floats for each panel, and each panel depth lines in
            // `packed`.
            unsafe {
                let line = b.as_ptr().add(p * b.row_stride() + panel * LANES);
                let to = packed.as_mut_ptr().add((panel * depth + p) * LANES);
                s.store(to, s.mul(scale, s.load(line)));
            }
        }
    }
}

/// Copies `scale`·`panel` \[width, depth\] to `packed`, the columns of the panel one after
/// the other: element (i, p) goes to `p·pitch + i`. The places from `width` to `pitch`
/// are set as well; what comes of them is dropped.
///
/// A panel of A is given as it is, one of B transposed.
///
/// # Panics
/// Unless 1 ≤ width ≤ pitch ≤ 16 and `packed` holds depth·pitch.
#[inline(always)]
fn pack_panel<S: Simd>(s: S, scale: f32, panel: MatRef<'_>, pitch: usize, packed: &mut [f32]) {
    let (width, depth) = (panel.rows(), panel.cols());
    assert!(0 < width && width <= pitch && pitch <= LANES && packed.len() == depth * pitch);
    if panel.row_stride() == 1 {
        match depth >= LONG {
            true => contiguous::<S, true>(s, scale, panel, pitch, packed),
            false => contiguous::<S, false>(s, scale, panel, pitch, packed),
        }
    } else if panel.col_stride() == 1 && depth >= TURNED {
        // The rows below meet these in the cache, if these meet each other there.
        match depth >= LONG && !collide(width, panel.row_stride()) {
            true => turning::<S, true>(s, scale, panel, pitch, packed),
            false => turning::<S, false>(s, scale, panel, pitch, packed),
        }
    } else {
        strided(scale, panel, pitch, packed);
    }
}

/// The depth of panels that are asked for in advance: shorter ones are soon over.
const LONG: usize = 256;

/// Columns in advance: each is somewhere else, where nothing foresees it.
const AHEAD: usize = 16;

/// Columns of the panel are contiguous: a register at a time; those to come are asked for, if it is
/// `ASKING`.
#[inline(always)]
fn contiguous<S: Simd, const ASKING: bool>(
    s: S,
    scale: f32,
    panel: MatRef<'_>,
    pitch: usize,
    packed: &mut [f32],
) {
    let scale = s.splat(scale);
    let width = panel.rows();
    for (p, line) in packed.chunks_exact_mut(pitch).enumerate() {
        // SAFETY: column p < depth of the panel has `width` elements, and `line` pitch
        // places, 16 of each if they are loaded and stored whole.
        unsafe {
            let column = panel.as_ptr().add(p * panel.col_stride());
            if ASKING {
                s.prefetch(column.wrapping_add(AHEAD * panel.col_stride()));
            }
            if width == LANES {
                s.store(line.as_mut_ptr(), s.mul(scale, s.load(column)));
            } else {
                let v = s.mul(scale, s.load_first(width, column));
                s.store_first(pitch, line.as_mut_ptr(), v);
            }
        }
    }
}

/// Rows of the panel are contiguous and at least [`TURNED`] long: so many columns at a
/// time are turned in registers, the last ones with some of those before once more; those of the
/// panel below are asked for, if it is `ASKING`.
#[inline(always)]
fn turning<S: Simd, const ASKING: bool>(
    s: S,
    scale: f32,
    panel: MatRef<'_>,
    pitch: usize,
    packed: &mut [f32],
) {
    let scale = s.splat(scale);
    let last = panel.cols() - TURNED;
    for first in (0..panel.cols()).step_by(TURNED).map(|p| p.min(last)) {
        if ASKING {
            let below = panel
                .as_ptr()
                .wrapping_add(panel.rows() * panel.row_stride() + first);
            for row in 0..panel.rows() {
                s.prefetch(below.wrapping_add(row * panel.row_stride()));
            }
        }
        // SAFETY: first + TURNED ≤ the panel's columns.
        let turned =
            unsafe { s.load_turned(panel.rows(), panel.as_ptr().add(first), panel.row_stride()) };
        let lines = packed[first * pitch..].chunks_exact_mut(pitch);
        for (line, v) in lines.zip(turned) {
            let v = s.mul(scale, v);
            // SAFETY: `line` has `pitch` places.
            unsafe {
                match pitch == LANES {
                    true => s.store(line.as_mut_ptr(), v),
                    false => s.store_first(pitch, line.as_mut_ptr(), v),
                }
            };
        }
    }
}

/// Any strides: 16 of k at a time, so that where k is the contiguous direction a cache
/// line is read at once.
#[inline(always)]
fn strided(scale: f32, panel: MatRef<'_>, pitch: usize, packed: &mut [f32]) {
    for (block, lines) in packed.chunks_mut(LANES * pitch).enumerate() {
        for i in 0..panel.rows() {
            // SAFETY: column 16·block < depth, row i < width.
            let from = unsafe {
                panel
                    .as_ptr()
                    .add(i * panel.row_stride() + block * LANES * panel.col_stride())
            };
            for (p, line) in lines.chunks_exact_mut(pitch).enumerate() {
                // SAFETY: column 16·block + p < depth, for `packed` has depth lines.
                line[i] = scale * unsafe { *from.add(p * panel.col_stride()) };
            }
        }
        if pitch > panel.rows() {
            for line in lines.chunks_exact_mut(pitch) {
                line[panel.rows()..].fill(0.0);
            }
        }
    }
}

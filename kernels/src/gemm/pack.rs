//! Packing: copies a panel so that the microkernel reads it in a straight line.

use crate::simd::Simd;
use crate::{LANES, MatRef};

/// Copies `scale`·`panel` \[width, depth\] to `packed`, the columns of the panel one after
/// the other: element (i, p) goes to `p·pitch + i`. The places from `width` to `pitch`
/// are set as well (to 0, if `scale` is finite); what comes of them is dropped.
///
/// A panel of A is given as it is, one of B transposed.
///
/// # Panics
/// Unless 1 ≤ width ≤ pitch and `packed` holds depth·pitch.
#[inline(always)]
pub(super) fn pack_panels<S: Simd>(
    s: S,
    scale: f32,
    panel: MatRef<'_>,
    pitch: usize,
    packed: &mut [f32],
) {
    let (width, depth) = (panel.rows(), panel.cols());
    assert!(0 < width && width <= pitch && packed.len() == depth * pitch);
    if panel.row_stride() == 1 {
        contiguous(s, scale, panel, pitch, packed);
    } else if panel.col_stride() == 1 && (pitch <= LANES || pitch.is_multiple_of(LANES)) {
        transposed(s, scale, panel, pitch, packed);
    } else {
        strided(scale, panel, pitch, packed);
    }
}

/// Columns of the panel are contiguous: whole registers at a time.
#[inline(always)]
fn contiguous<S: Simd>(s: S, scale: f32, panel: MatRef<'_>, pitch: usize, packed: &mut [f32]) {
    let scale = s.splat(scale);
    for (p, line) in packed.chunks_exact_mut(pitch).enumerate() {
        // SAFETY: p < depth, a column of the panel.
        let column = unsafe { panel.as_ptr().add(p * panel.col_stride()) };
        for (block, to) in line.chunks_mut(LANES).enumerate() {
            let first = block * LANES;
            let here = panel.rows().saturating_sub(first).min(LANES);
            let from = column.wrapping_add(first);
            // SAFETY: elements first … first + here lie inside the column (none of them
            // if here = 0), and `to` has to.len() ≤ 16 places.
            unsafe {
                if here == LANES {
                    s.store(to.as_mut_ptr(), s.mul(scale, s.load(from)));
                } else {
                    let v = s.mul(scale, s.load_first(here, from));
                    s.store_first(to.len(), to.as_mut_ptr(), v);
                }
            }
        }
    }
}

/// Rows of the panel are contiguous: blocks of 16 × 16 are turned in registers.
///
/// `pitch` is at most 16, or a multiple of 16.
#[inline(always)]
fn transposed<S: Simd>(s: S, scale: f32, panel: MatRef<'_>, pitch: usize, packed: &mut [f32]) {
    let scale = s.splat(scale);
    let (width, depth) = (panel.rows(), panel.cols());
    for first_column in (0..depth).step_by(LANES) {
        let columns = LANES.min(depth - first_column);
        for first_row in (0..pitch).step_by(LANES) {
            let rows = width.saturating_sub(first_row).min(LANES);
            let mut block = [s.zero(); LANES];
            for (r, register) in block.iter_mut().enumerate().take(rows) {
                // SAFETY: row first_row + r < width; of it `columns` elements from
                // first_column on are inside.
                *register = unsafe {
                    let row = (first_row + r) * panel.row_stride();
                    let from = panel.as_ptr().add(row + first_column);
                    s.mul(
                        scale,
                        match columns == LANES {
                            true => s.load(from),
                            false => s.load_first(columns, from),
                        },
                    )
                };
            }
            let block = s.transpose(block);
            let lanes = LANES.min(pitch - first_row);
            for (c, &line) in block.iter().enumerate().take(columns) {
                let start = (first_column + c) * pitch + first_row;
                let to = &mut packed[start..];
                // SAFETY: `to` has at least `lanes` places: those of this line. Where it has
                // 16, a whole register is stored: what is beyond the line belongs to the
                // next ones, which are written later.
                unsafe {
                    match to.len() >= LANES {
                        true => s.store(to.as_mut_ptr(), line),
                        false => s.store_first(lanes, to.as_mut_ptr(), line),
                    }
                }
            }
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

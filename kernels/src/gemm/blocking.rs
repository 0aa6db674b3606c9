//! How large the pieces are that the loops cut, and which are packed.

use super::shape::Shape;
use crate::{LANES, MatRef};

/// The sizes of the pieces, in elements. They change the speed, never the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocking {
    /// Rows of A that are packed at a time (loop 3).
    pub mc: usize,
    /// The part of k that is packed at a time (loop 4).
    pub kc: usize,
    /// Columns of B that are packed at a time (loop 5).
    pub nc: usize,
}

/// The part of k that is packed at a time: C is read and written once for each, which then
/// costs little beside the products.
const DEPTH: usize = 512;

/// What a core can count on, in bytes: the caches of the smaller ones in use. Too small a
/// guess costs little, for a piece is used often enough to pay for its packing; too
/// large a one costs misses.
const SECOND_LEVEL: usize = 512 << 10;
const THIRD_LEVEL: usize = 4 << 20;

/// The second level of cores with wide tiles: half of it, or all.
const WIDE_SECOND_LEVEL: usize = 1 << 20;

/// A cache of so many bytes in each way, 8 ways: addresses that are multiples of these
/// bytes apart share one set, which holds 8 lines.
const FIRST_LEVEL_WAY: usize = 4 << 10;
const SECOND_LEVEL_WAY: usize = 128 << 10;
const WAYS: usize = 8;
const LINE: usize = 64;

/// Rows of A that read B before its packing is paid for, whatever its strides.
const FEW: usize = 48;

/// Rows of A that do not pay for packing B in a pass of its own, if k is not short.
const SEVERAL: usize = 200;

/// Elements of a B that takes a small part of the first-level cache.
const NEAR: usize = (16 << 10) / FLOAT;

/// Where k is short and where it is long, to wide tiles.
const SHALLOW: usize = 25;
const DEEP: usize = 256;

/// Rows of a tile whose lines of B come from the second-level cache in time.
const HIGH: usize = 8;

const FLOAT: usize = size_of::<f32>();

impl Blocking {
    /// For a microkernel of `mr` rows × `nr` columns.
    ///
    /// - kc: 512. A panel of B (kc × nr) then fills the first-level cache; a tile reads it
    ///   in order, one line for mr·nr products, so what is not there any more comes
    ///   from the second level in time, as A does.
    /// - mc: the block of A (mc × kc) takes half of the second level.
    /// - nc: the packed block of B (kc × nc) takes half of a core's share of the third.
    pub fn for_tile(mr: usize, nr: usize) -> Self {
        Self::with_second_level(SECOND_LEVEL, mr, nr)
    }

    /// For tiles of a shape, and the caches of cores that have it.
    pub(super) fn for_shape(shape: Shape) -> Self {
        let second_level = match shape.wide() {
            true => WIDE_SECOND_LEVEL,
            false => SECOND_LEVEL,
        };
        Self::with_second_level(second_level, shape.rows, shape.columns())
    }

    fn with_second_level(second_level: usize, mr: usize, nr: usize) -> Self {
        let kc = DEPTH;
        let whole = |bytes: usize, tile: usize| (bytes / (kc * FLOAT) / tile).max(1) * tile;
        Self {
            mc: whole(second_level / 2, mr),
            kc,
            nc: whole(THIRD_LEVEL / 2, nr),
        }
    }
}

/// Whether `lines` cache lines, `stride` floats apart, meet in so few sets of a cache that
/// they push each other out. So it is with strides that are multiples of a large power
/// of two.
fn crowded(lines: usize, stride: usize, way: usize) -> bool {
    // The greatest common divisor of the distance and the way, a power of two: the lines are
    // in as many different sets as it goes into the way.
    let step = 1 << (stride.wrapping_mul(FLOAT) | way).trailing_zeros();
    step >= LINE && lines > WAYS * (way / step)
}

/// Whether the microkernel may read A where it lies, if α is 1: whether it finds the
/// elements for one k side by side, or goes along rows that stay in the first-level cache
/// together. Nothing is gained by packing then.
pub(super) fn reads_a_in_place(shape: Shape, a: MatRef<'_>, depth: usize) -> bool {
    if a.row_stride() == 1 {
        !crowded(depth, a.col_stride(), SECOND_LEVEL_WAY)
    } else {
        a.col_stride() == 1 && !crowded(shape.rows, a.row_stride(), FIRST_LEVEL_WAY)
    }
}

/// Whether the microkernel may read B where it lies, for `m` rows of A, if α is 1.
///
/// Each line of a panel is on another page, and most are in two cache lines; packing brings
/// them together. That is worth it where many rows of A read the panel, and it does not
/// stay in the cache that it has to come from: the second level for high tiles, the first
/// for low ones, which take a line for fewer products.
///
/// Wide tiles gain more from it: not packed is only what one strip of rows reads, or what one
/// tile of two registers goes through, or lines that are aligned and stay near anyway.
pub(super) fn reads_b_in_place(shape: Shape, m: usize, b: MatRef<'_>, depth: usize) -> bool {
    let stays = || {
        if shape.rows >= HIGH {
            !crowded(depth, b.row_stride(), SECOND_LEVEL_WAY)
        } else {
            2 * depth * LINE <= WAYS * FIRST_LEVEL_WAY
                && !crowded(depth, b.row_stride(), FIRST_LEVEL_WAY)
        }
    };
    let large = b.rows().saturating_mul(b.cols()) > THIRD_LEVEL / FLOAT;
    if shape.wide() {
        let one_strip = m <= shape.rows && m > shape.rows / 2;
        let one_tile = b.cols() <= 2 * LANES;
        let aligned = b.row_stride().is_multiple_of(LANES);
        let near = depth >= SHALLOW && aligned && depth * b.cols() <= NEAR;
        return b.col_stride() == 1 && (one_strip || one_tile || near);
    }
    b.col_stride() == 1 && (m <= FEW || !large && stays())
}

/// Whether narrow tiles do for `m` rows of A as well as wide ones, or better: where a line of B
/// is a single register, and where one strip of rows needs B turned, which only they do
/// beside their products.
pub(super) fn suits_narrow_tiles(m: usize, b: MatRef<'_>) -> bool {
    let one_strip = m <= Shape::NARROW_ROWS;
    match one_strip {
        true => b.row_stride() == 1 && b.col_stride() != 1,
        false => b.cols() <= LANES,
    }
}

/// Whether wide tiles pack B themselves, those of the first strip: where so few strips read it
/// that packing before would take its time, and k is not short.
pub(super) fn packs_b_beside(m: usize, b: MatRef<'_>, depth: usize) -> bool {
    b.col_stride() == 1 && depth >= SHALLOW && m <= SEVERAL
}

/// The shape of the tiles of a product m × k × n, of those that `shape` allows, and how much of k
/// they go through at a time, `kc` at most.
///
/// Wide tiles have two registers if lines of B are `unaligned` at first, so that more registers
/// mean more loads; and where k is long and C large: then C had better be read and written
/// seldom. Otherwise they have four, and their panels stay in the first-level cache; but if C
/// [`is_far`], A is in strips of their height, and everything is asked for in advance.
pub(super) fn cut(
    shape: Shape,
    unaligned: bool,
    kc: usize,
    (m, k, n): (usize, usize, usize),
) -> (Shape, usize) {
    let registers = 2;
    let large = k >= DEEP && m.saturating_mul(n) > WIDE_SECOND_LEVEL / FLOAT;
    if !shape.wide() {
        (shape, kc)
    } else if unaligned {
        (Shape { registers, ..shape }, kc)
    } else if is_far(shape, (m, k, n)) {
        let rows = Shape::LOW_ROWS;
        (Shape { rows, ..shape }, kc.min(DEEP))
    } else if large {
        (Shape { registers, ..shape }, kc)
    } else if k >= DEEP {
        (shape, kc.min(DEEP / 2))
    } else {
        (shape, kc)
    }
}

/// Whether k is long, and C larger than the second-level cache of cores with wide tiles. What
/// is read beside it had better be packed then, A as well.
pub(super) fn is_far(shape: Shape, (m, k, n): (usize, usize, usize)) -> bool {
    shape.wide() && k >= DEEP && m.saturating_mul(n) > 2 * WIDE_SECOND_LEVEL / FLOAT
}

/// Whether lines of B, depth × n and read in place, are to be asked for in advance: where
/// they come from beyond the first-level cache.
pub(super) fn prefetches_b(depth: usize, n: usize) -> bool {
    depth.saturating_mul(n) > WAYS * FIRST_LEVEL_WAY / FLOAT
}

/// Whether tiles of C are to be asked for in advance: where C, m × n, does not stay in
/// the second-level cache, and a tile takes long enough for that to pay.
pub(super) fn prefetches_c(m: usize, n: usize, depth: usize) -> bool {
    depth >= DEPTH / 2 && m.saturating_mul(n) > SECOND_LEVEL / FLOAT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_of_large_powers_of_two_are_crowded() {
        // 8 lines fit wherever they are; 14 rows of 1,024 floats meet in one set.
        assert!(!crowded(8, 1024, FIRST_LEVEL_WAY));
        assert!(crowded(9, 1024, FIRST_LEVEL_WAY));
        assert!(crowded(14, 3 * 1024, FIRST_LEVEL_WAY));
        assert!(!crowded(14, 512, FIRST_LEVEL_WAY));
        assert!(!crowded(14, 1000, FIRST_LEVEL_WAY));
        assert!(crowded(512, 1024, SECOND_LEVEL_WAY));
        assert!(!crowded(512, 512, SECOND_LEVEL_WAY));
        // Elements of one line; an address many times.
        assert!(!crowded(1000, 1, FIRST_LEVEL_WAY));
        assert!(crowded(9, 0, FIRST_LEVEL_WAY));
    }

    #[test]
    fn default_blocks_are_whole_tiles() {
        for (mr, nr) in [(14, 16), (6, 16), (1, 1), (1000, 1 << 20)] {
            let Blocking { mc, kc, nc } = Blocking::for_tile(mr, nr);
            assert!(kc > 0 && mc >= mr && nc >= nr, "{mr} × {nr}");
            assert!(mc.is_multiple_of(mr) && nc.is_multiple_of(nr));
        }
    }
}

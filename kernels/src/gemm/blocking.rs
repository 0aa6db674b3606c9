//! How large the pieces are that the loops cut, and which are packed.

use super::shape::Shape;
use crate::{LANES, MatRef, padded};

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
/// costs little beside the products. With narrow tiles more of it, and so a B in the third level that
/// is twice as large: 1 to 2 % of products of 768³ to 2048³, 10 to 1000 × 784 × 390 as well.
const DEPTH: usize = 512;
const NARROW_DEPTH: usize = 1024;

/// What a core can count on, in bytes: the caches of the smaller ones in use. Too small a
/// guess costs little, for a piece is used often enough to pay for its packing; too
/// large a one costs misses.
const SECOND_LEVEL: usize = 512 << 10;
const THIRD_LEVEL: usize = 4 << 20;

/// The second level of cores with wide tiles: half of it, or all.
const WIDE_SECOND_LEVEL: usize = 1 << 20;

/// A cache: addresses that are multiples of `way` bytes apart share one set, which holds `ways`
/// lines.
#[derive(Clone, Copy)]
struct Cache {
    way: usize,
    ways: usize,
}

impl Cache {
    const FIRST_LEVEL: Self = Self {
        way: 4 << 10,
        ways: 8,
    };
    /// Of cores with wide tiles.
    const WIDE_FIRST_LEVEL: Self = Self {
        way: 4 << 10,
        ways: 12,
    };
    const SECOND_LEVEL: Self = Self {
        way: 128 << 10,
        ways: 8,
    };

    const fn bytes(self) -> usize {
        self.way * self.ways
    }
}

const LINE: usize = 64;

/// Rows of A that read B before its packing is paid for.
const FEW: usize = 48;

/// Rows of A that do not pay for packing B in a pass of its own, if k is not short.
const SEVERAL: usize = 200;

/// Elements of a B that takes a small part of the first-level cache.
const NEAR: usize = (16 << 10) / FLOAT;

/// Elements of a B that is gone through in about the time of a few ends of tiles.
const SMALL: usize = (48 << 10) / FLOAT;

/// Where k is short and where it is long, to wide tiles.
const SHALLOW: usize = 25;
const DEEP: usize = 256;

/// Rows of a tile whose lines of B come from the second-level cache in time.
const HIGH: usize = 8;

/// Lines of B, a register each and in two cache lines mostly, that stay in the first-level cache.
const UNALIGNED_LINES: usize = 192;

/// Pages that stay in the first level of the TLB, of 64 with others beside.
const PAGES: usize = 40;
const PAGE: usize = 4 << 10;

/// Columns of B, and pages of A times columns of B, that pay for packing A.
const MANY_COLUMNS: usize = 128;
const PAGES_BY_COLUMNS: usize = 20_000;

const FLOAT: usize = size_of::<f32>();

impl Blocking {
    /// For a microkernel of `mr` rows × `nr` columns.
    ///
    /// - kc: 1024, or 512 where nr is more than a register. A tile reads its panel of B (kc × nr)
    ///   in order, one line for mr·nr products, so what is not in the first-level cache any more
    ///   comes from the second level in time, as A does.
    /// - mc: the block of A (mc × kc) takes half of the second level; for low tiles, which need more of
    ///   its lines for as many products, what pages stay in the first level of the TLB. (Zen 3, AVX2:
    ///   1 to 3 % of 1024³ and 2048³.)
    /// - nc: the packed block of B (kc × nc) takes a core's share of the third, or half of it.
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

    /// How much of k is gone through at a time where few rows share B: kc, or up to twice as much
    /// if all of A and of B fit into their blocks with it, and B's lines into the second level.
    /// C then waits in registers throughout. (10 to 160 × 784 × 390: 2 to 4 %.)
    pub(super) fn depth(self, m: usize, b: MatRef<'_>) -> usize {
        let Self { mc, kc, nc } = self;
        let depth = b.rows().min(kc.saturating_mul(2));
        let fits =
            |others: usize, block: usize| others.saturating_mul(depth) <= block.saturating_mul(kc);
        let fit = || {
            fits(m, mc)
                && fits(padded(b.cols()), nc)
                && !crowded(depth, b.row_stride(), Cache::SECOND_LEVEL)
        };
        match depth <= kc || fit() {
            true => depth.max(1),
            false => kc,
        }
    }

    /// Rows of A in a block where only `depth` of k is gone through at a time: more, if that is less
    /// than kc.
    pub(super) fn rows(self, depth: usize) -> usize {
        self.mc.saturating_mul(self.kc) / depth.max(1)
    }

    fn with_second_level(second_level: usize, mr: usize, nr: usize) -> Self {
        let (kc, third_level) = match nr <= LANES {
            true => (NARROW_DEPTH, THIRD_LEVEL),
            false => (DEPTH, THIRD_LEVEL / 2),
        };
        let whole = |bytes: usize, tile: usize| (bytes / (kc * FLOAT) / tile).max(1) * tile;
        let of_a = match nr <= LANES && mr < HIGH {
            true => (second_level / 2).min(PAGES * PAGE),
            false => second_level / 2,
        };
        Self {
            mc: whole(of_a, mr),
            kc,
            nc: whole(third_level, nr),
        }
    }
}

/// Whether `lines` cache lines, `stride` floats apart, meet in so few sets of a cache that
/// they push each other out. So it is with strides that are multiples of a large power
/// of two.
fn crowded(lines: usize, stride: usize, cache: Cache) -> bool {
    let Cache { way, ways } = cache;
    // The greatest common divisor of the distance and the way, a power of two: the lines are
    // in as many different sets as it goes into the way.
    let step = 1 << (stride.wrapping_mul(FLOAT) | way).trailing_zeros();
    step >= LINE && lines > ways * (way / step)
}

/// Whether `rows` rows, `stride` floats apart, push each other out of the first-level cache of any
/// core.
pub(super) fn collide(rows: usize, stride: usize) -> bool {
    crowded(rows, stride, Cache::FIRST_LEVEL)
}

/// Whether the microkernel may read A where it lies, if α is 1: whether it finds the
/// elements for one k side by side, or goes along rows that stay in the first-level cache
/// together. Nothing is gained by packing then.
pub(super) fn reads_a_in_place(shape: Shape, a: MatRef<'_>, depth: usize) -> bool {
    let first_level = match shape.wide() {
        true => Cache::WIDE_FIRST_LEVEL,
        false => Cache::FIRST_LEVEL,
    };
    if a.row_stride() == 1 {
        !crowded(depth, a.col_stride(), Cache::SECOND_LEVEL)
    } else {
        a.col_stride() == 1 && !crowded(shape.rows, a.row_stride(), first_level)
    }
}

/// Whether low tiles that read A in place find one k after the other on so many pages that, for `n`
/// columns of B, packing costs less than the TLB. (Zen 3, AVX2: 784 × 100 × 390 with A transposed
/// 8 %, 577 × 256 × 384 12 %, 577 × 1000 × 384 19 %; but 784 × 100 × 128 loses 6 %.)
pub(super) fn is_on_many_pages(shape: Shape, a: MatRef<'_>, depth: usize, n: usize) -> bool {
    if shape.rows >= HIGH || n < MANY_COLUMNS || a.row_stride() != 1 {
        return false;
    }
    let pages = depth.saturating_mul(a.col_stride()) / (PAGE / FLOAT);
    pages > PAGES && pages.saturating_mul(n) >= PAGES_BY_COLUMNS
}

/// Whether the microkernel may read B where it lies, for `m` rows of A, if α is 1.
///
/// Each line of a panel is on another page, and most are in two cache lines; packing brings
/// them together. That is worth it where many rows of A read the panel, and it does not
/// stay in the cache that it has to come from: the second level for high tiles, the first
/// for low ones, which take a line for fewer products.
///
/// Wide tiles gain more from it: not packed is only what one strip of rows reads, or a few do if
/// it stays in the second level; or what one tile of two registers goes through, or lines that are
/// aligned and stay near anyway.
pub(super) fn reads_b_in_place(shape: Shape, m: usize, b: MatRef<'_>, depth: usize) -> bool {
    let stays = || !crowded(depth, b.row_stride(), Cache::SECOND_LEVEL);
    if shape.wide() {
        let one_strip = m <= shape.rows;
        let one_tile = b.cols() <= 2 * LANES;
        let aligned = b.row_stride().is_multiple_of(LANES);
        let near = depth >= SHALLOW && aligned && depth * b.cols() <= NEAR;
        return b.col_stride() == 1 && (one_strip || one_tile || near || m <= FEW && stays());
    }
    let near = || {
        let first_level = Cache::FIRST_LEVEL;
        2 * depth * LINE <= first_level.bytes() && !crowded(depth, b.row_stride(), first_level)
    };
    let large = b.rows().saturating_mul(b.cols()) > THIRD_LEVEL / FLOAT;
    let stays = || if shape.rows >= HIGH { stays() } else { near() };
    b.col_stride() == 1 && (m <= FEW || !large && stays())
}

/// The shape of the tiles for `m` rows of A. Where tiles have one register otherwise, a few rows
/// have too few sums in one to keep the units busy: up to 6 take four, which is 5 to 110 % faster
/// (6 × 1000 × 1000, 1 × 100 × 100). Up to 12 take two of a small B, whose tiles are so soon done
/// that half as many ends show: 1 to 15 % (10 × 156 × 62, 10 × 25 × 25; but 10 × 390 × 156 loses 1 %).
pub(super) fn for_rows(shape: Shape, m: usize, b: MatRef<'_>) -> Shape {
    let [rows, registers] = match m {
        ..=Shape::LOW_ROWS => [Shape::LOW_ROWS, 4],
        ..=Shape::TWO_ROWS if b.rows().saturating_mul(b.cols()) <= SMALL => [Shape::TWO_ROWS, 2],
        _ => return shape,
    };
    match shape.rows == Shape::NARROW_ROWS && b.col_stride() == 1 {
        true => Shape { rows, registers },
        false => shape,
    }
}

/// How much of k low tiles go through at a time, of `kc`, where a few strips of rows read B in place:
/// so much that its lines are still in the first-level cache when the next strip needs them, and
/// their pages in the first level of the TLB. (Zen 3, AVX2: 10 and 32 × 784 × 390 20 and 14 %, 32 × 390
/// × 156 6 %.)
pub(super) fn depth_of_few(shape: Shape, kc: usize, m: usize, b: MatRef<'_>) -> usize {
    let strips = m > shape.rows && m <= FEW;
    if shape.rows >= HIGH || !strips || b.col_stride() != 1 {
        return kc;
    }
    let rows = PAGES * PAGE / b.row_stride().saturating_mul(FLOAT).max(FLOAT);
    kc.min(UNALIGNED_LINES).min(rows.max(SHALLOW))
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
/// they go through at a time: `kc`, or less.
///
/// Wide tiles have two registers if lines of B are `unaligned` at first, so that more registers
/// mean more loads; and where k is long and C large: then C had better be read and written
/// seldom. Otherwise they have four, and their panels stay in the first-level cache; but if C
/// is `far`, everything is asked for in advance. A is in strips as high as these tiles.
pub(super) fn cut(
    shape: Shape,
    (unaligned, far): (bool, bool),
    kc: usize,
    (m, k, n): (usize, usize, usize),
) -> (Shape, usize) {
    let [two, low] = [(shape.rows, 2), (Shape::LOW_ROWS, shape.registers)]
        .map(|(rows, registers)| Shape { rows, registers });
    let large = k >= DEEP && m.saturating_mul(n) > WIDE_SECOND_LEVEL / FLOAT;
    if !shape.wide() {
        (shape, kc)
    } else if far {
        (low, kc.min(DEEP))
    } else if unaligned || large || n <= 2 * LANES {
        (two, kc)
    } else if k >= DEEP {
        (low, kc.min(DEEP / 2))
    } else {
        (low, kc)
    }
}

/// Whether k is long, and C larger than the second-level cache of cores with wide tiles. What
/// is read beside it had better be packed then, A as well.
pub(super) fn is_far(shape: Shape, (m, k, n): (usize, usize, usize)) -> bool {
    shape.wide() && k >= DEEP && m.saturating_mul(n) > 2 * WIDE_SECOND_LEVEL / FLOAT
}

/// Whether B, depth × n and read in place, is a single panel that stays in the first-level cache.
/// All registers of a tile then pay even where its lines are not aligned. (32 × 40 × 40: 14 %,
/// 10 × 156 × 62: 3 %; but 10 × 300 × 62 loses 11 %.)
pub(super) fn is_near_panel(shape: Shape, depth: usize, n: usize) -> bool {
    n <= shape.columns() && depth.saturating_mul(n) <= Cache::WIDE_FIRST_LEVEL.bytes() / FLOAT
}

/// Whether lines of B, depth × n and read in place, are to be asked for in advance: where
/// they come from beyond the first-level cache. Not where tiles have two registers at most: their
/// B is small.
pub(super) fn prefetches_b(shape: Shape, depth: usize, n: usize) -> bool {
    shape.registers > 2 && depth.saturating_mul(n) > Cache::FIRST_LEVEL.bytes() / FLOAT
}

/// Whether tiles of C are to be asked for in advance: where C, m × n, does not stay in
/// the second-level cache, and a tile takes long enough for that to pay. Narrow tiles gain from it
/// where C is twice as large. (Zen 4: 1000 × 390 × 156 loses 1.4 %, 1000 × 300 × 150 3 %; 1000 × 784 ×
/// 390 and 2000³ gain 0.6 and 1.5 %.)
pub(super) fn prefetches_c(shape: Shape, m: usize, n: usize, depth: usize) -> bool {
    let second_level = match shape.wide() {
        true => SECOND_LEVEL,
        false => 2 * SECOND_LEVEL,
    };
    depth >= DEPTH / 2 && m.saturating_mul(n) > second_level / FLOAT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles of AVX2, and narrow ones of AVX-512.
    const LOW: Shape = Shape {
        rows: 6,
        registers: 1,
    };
    const HIGH_TILES: Shape = Shape { rows: 14, ..LOW };

    #[test]
    fn strides_of_large_powers_of_two_are_crowded() {
        // 8 lines fit wherever they are; 14 rows of 1,024 floats meet in one set.
        assert!(!crowded(8, 1024, Cache::FIRST_LEVEL));
        assert!(crowded(9, 1024, Cache::FIRST_LEVEL));
        assert!(crowded(14, 3 * 1024, Cache::FIRST_LEVEL));
        assert!(!crowded(14, 512, Cache::FIRST_LEVEL));
        assert!(!crowded(14, 1000, Cache::FIRST_LEVEL));
        assert!(crowded(512, 1024, Cache::SECOND_LEVEL));
        assert!(!crowded(512, 512, Cache::SECOND_LEVEL));
        // A cache of 12 ways.
        assert!(!crowded(12, 1024, Cache::WIDE_FIRST_LEVEL));
        assert!(crowded(13, 1024, Cache::WIDE_FIRST_LEVEL));
        // Elements of one line; an address many times.
        assert!(!crowded(1000, 1, Cache::FIRST_LEVEL));
        assert!(crowded(9, 0, Cache::FIRST_LEVEL));
    }

    #[test]
    fn few_rows_go_through_what_stays_near() {
        let numbers = [0.0; 8];
        let depth = |shape, m, stride| {
            let b = MatRef::with_strides(&numbers, 1, 8, stride, 1);
            depth_of_few(shape, 1024, m, b)
        };
        // One strip, and many; high tiles; columns.
        for m in [6, 49] {
            assert_eq!(depth(LOW, m, 390), 1024);
        }
        assert_eq!(depth(HIGH_TILES, 20, 390), 1024);
        let columns = MatRef::with_strides(&numbers, 8, 1, 1, 8);
        assert_eq!(depth_of_few(LOW, 1024, 10, columns), 1024);
        // 40 pages are 105 rows of 390; 192 rows of 156 are 30; rows of several pages.
        assert_eq!(
            [390, 156, 100_000].map(|n| depth(LOW, 10, n)),
            [105, 192, 25]
        );
        assert_eq!(depth_of_few(LOW, 50, 10, MatRef::new(&numbers, 2, 4)), 50);
        // An address many times; a stride that is never taken.
        assert_eq!([0, usize::MAX].map(|n| depth(LOW, 10, n)), [192, 25]);
    }

    #[test]
    fn a_on_many_pages_is_packed_for_many_columns() {
        let numbers = [0.0; 8];
        let many = |shape, [row, col]: [usize; 2], depth, n| {
            let a = MatRef::with_strides(&numbers, 1, 1, row, col);
            is_on_many_pages(shape, a, depth, n)
        };
        // 76 pages, 20,000 of them by 264 columns.
        assert!(many(LOW, [1, 784], 100, 264) && !many(LOW, [1, 784], 100, 263));
        // 500 pages, but few columns.
        assert!(many(LOW, [1, 1024], 500, 128) && !many(LOW, [1, 1024], 500, 127));
        // 40 pages; rows; high tiles.
        assert!(!many(LOW, [1, 1024], 40, 10_000));
        assert!(!many(LOW, [784, 1], 100, 264));
        assert!(!many(HIGH_TILES, [1, 784], 100, 264));
    }

    #[test]
    fn a_longer_piece_of_k_fits_where_a_shorter_one_does() {
        let blocking = Blocking {
            mc: 100,
            kc: 10,
            nc: 32,
        };
        let numbers = [0.0; 40 * 64];
        let depth =
            |m, k, n, stride| blocking.depth(m, MatRef::with_strides(&numbers, k, n, stride, 1));
        // k itself, up to twice kc.
        assert_eq!(
            [0, 7, 10, 11, 20, 21].map(|k| depth(3, k, 5, 5)),
            [1, 7, 10, 11, 20, 20]
        );
        // 50 rows of 20, 62 of 16; 16 columns of 20, and none of 17 that are padded to 32.
        assert_eq!([50, 51].map(|m| depth(m, 20, 5, 5)), [20, 10]);
        assert_eq!([62, 63].map(|m| depth(m, 16, 5, 5)), [16, 10]);
        assert_eq!([16, 17].map(|n| depth(1, 20, n, 40)), [20, 10]);
    }

    #[test]
    fn few_rows_have_tiles_of_several_registers() {
        let numbers = [0.0; 12 * 1024];
        let small = MatRef::new(&numbers, 128, 96);
        let large = MatRef::with_strides(&numbers, 128, 97, 0, 1);
        let of = |m, b| {
            let Shape { rows, registers } = for_rows(HIGH_TILES, m, b);
            (rows, registers)
        };
        assert_eq!([1, 6].map(|m| of(m, large)), [(6, 4); 2]);
        assert_eq!([7, 12].map(|m| of(m, small)), [(12, 2); 2]);
        assert_eq!([of(7, large), of(13, small)], [(14, 1); 2]);
        // Columns; low tiles; tiles that are wide anyway.
        assert_eq!(of(1, small.transposed()), (14, 1));
        let wide = Shape {
            rows: 12,
            registers: 4,
        };
        for shape in [LOW, wide] {
            assert_eq!([1, 12].map(|m| for_rows(shape, m, small)), [shape; 2]);
        }
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

//! How large the pieces are that the loops cut.

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

impl Blocking {
    /// For a microkernel of `mr` rows × `nr` columns.
    ///
    /// - kc: 512. A panel of B (kc × nr) then is larger than the first-level cache; but a
    ///   tile reads it in order, two lines for mr·nr products, so it comes from the second
    ///   level in time, as A does. (256³ to 2048³ on Zen 4: up to 9 % faster than with
    ///   panels that stay in the first level.)
    /// - mc: the packed block of A (mc × kc) takes half of the second level.
    /// - nc: the packed block of B (kc × nc) takes half of a core's share of the third.
    pub fn for_tile(mr: usize, nr: usize) -> Self {
        const FLOAT: usize = size_of::<f32>();
        let kc = DEPTH;
        let whole = |bytes: usize, tile: usize| (bytes / (kc * FLOAT) / tile).max(1) * tile;
        Self {
            mc: whole(SECOND_LEVEL / 2, mr),
            kc,
            nc: whole(THIRD_LEVEL / 2, nr),
        }
    }
}

//! General matrix multiplication: `C ← α·A·B + β·C` with any strides, on one thread.
//!
//! Five loops around a microkernel, as in BLIS (Van Zee and van de Geijn, *BLIS: a
//! framework for rapidly instantiating BLAS functionality*, 2015), whose names they
//! have:
//!
//! ```text
//! loop 5  nc columns of B and C       a piece of B and of C that fits the third-level cache
//! loop 4    kc of k                   kc × nc of B                        -> third level
//! loop 3      mc rows of A and C      mc × kc of A                        -> second level
//! loop 2        nr columns            kc × nr of B, panels of 16 columns  -> first level
//! loop 1          mr rows             mr × kc of A, streamed from the second level
//!                   microkernel       mr × nr of C in registers, one rank-1 update for each k
//! ```
//!
//! How large mr and nr are depends on the core: nr is 16, a register, or several of them
//! where the units are as wide as the registers (`shape`), or rows are few (`blocking`).
//!
//! A and B are read where they lie, as long as they lie well: then copying them ("packing",
//! so that the microkernel reads in a straight line) costs more than it saves. Packed are
//! operands whose strides make them collide in the caches, those without a contiguous
//! direction, a B too large for the caches that many rows of A need, and what α is
//! multiplied into. A B with contiguous columns is turned on the way: the first tile that
//! needs a panel packs it beside its own products. Wider tiles, of more than one register,
//! gain more from aligned lines, and pack more: just before the first tile that needs a
//! panel, or, if not many rows of A follow, beside its products too; a few rows read B where
//! it lies (`blocking`).
//!
//! # The bits
//!
//! Every element of C is one chain of FMAs in ascending k:
//!
//! ```text
//! acc = 0 if β = 0, else β·c[i, j]          (rounded; c itself if β = 1)
//! acc = fma(α·a[i, k], b[k, j], acc)        for k = 0, 1, 2, … (α·a rounded)
//! ```
//!
//! A second piece of k goes on from what the first has stored, which is exact; sums
//! of pieces are never added. So the result does not depend on the block sizes, on the
//! instruction set or on the strides. With β = 0 C is not read and may hold NaN. α = 0
//! is no special case: an infinity or a NaN in A or B shows.

mod block;
mod blocking;
mod direct;
mod elements;
mod lines;
mod microkernel;
mod narrow;
mod pack;
mod product;
mod shape;
mod shared;
#[cfg(test)]
mod tests;

pub use blocking::Blocking;
pub use shared::SharedGemm;

use crate::simd::{Kernel, Simd};
use crate::{AlignedBuffer, Isa, MatMut, MatRef, padded};
use blocking::{for_rows, suits_narrow_tiles};
use microkernel::Start;
use narrow::Narrow;
use product::Product;
use shape::Shape;
use std::collections::TryReserveError;

/// Multiplies matrices; holds the memory that it takes, so a call allocates nothing.
///
/// ```
/// use fanin_kernels::{Gemm, Isa, MatMut, MatRef};
///
/// let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
/// let mut c = [f32::NAN; 4];
/// let mut gemm = Gemm::new(Isa::best())?;
/// gemm.run(
///     1.0,
///     MatRef::new(&a, 2, 2),
///     MatRef::new(&b, 2, 2).transposed(),
///     0.0,
///     MatMut::new(&mut c, 2, 2),
/// );
/// assert_eq!(c, [17.0, 23.0, 39.0, 53.0]);
/// # Ok::<(), std::collections::TryReserveError>(())
/// ```
pub struct Gemm {
    isa: Isa,
    shape: Shape,
    blocking: Blocking,
    /// mc × kc of A, in panels of up to mr rows, if it is packed.
    a: AlignedBuffer,
    /// kc × nc of B, in panels of 16 columns, the last one padded, if it is packed.
    b: AlignedBuffer,
}

impl Gemm {
    /// With the default block sizes.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(isa: Isa) -> Result<Self, TryReserveError> {
        let shape = isa.dispatch(ShapeOf);
        Self::with_blocking(isa, Blocking::for_shape(shape))
    }

    /// With block sizes of one's own. The result is the same to the last bit.
    ///
    /// # Errors
    /// If the memory cannot be had.
    ///
    /// # Panics
    /// If a block size is 0.
    pub fn with_blocking(isa: Isa, blocking: Blocking) -> Result<Self, TryReserveError> {
        let Blocking { mc, kc, nc } = blocking;
        assert!(mc > 0 && kc > 0 && nc > 0, "{blocking:?}: a block is empty");
        Ok(Self {
            isa,
            shape: isa.dispatch(ShapeOf),
            blocking,
            a: AlignedBuffer::zeroed(mc.saturating_mul(kc))?,
            b: AlignedBuffer::zeroed(padded(nc).saturating_mul(kc))?,
        })
    }

    /// The instruction set it runs on.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The block sizes.
    pub fn blocking(&self) -> Blocking {
        self.blocking
    }

    /// `C ← α·A·B + β·C`; the [module](self) says in which order.
    ///
    /// Shapes: A \[m, k\], B \[k, n\], C \[m, n\], with any strides. C is written fastest
    /// where its rows or its columns are contiguous.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    pub fn run(&mut self, alpha: f32, a: MatRef<'_>, b: MatRef<'_>, beta: f32, c: MatMut<'_>) {
        assert!(
            a.rows() == c.rows() && a.cols() == b.rows() && b.cols() == c.cols(),
            "gemm: the shapes of {a:?} · {b:?} and {c:?} do not fit together"
        );
        if c.rows() == 0 || c.cols() == 0 {
            return;
        }
        // The microkernel writes rows. A column-major C (or a single column) is the row-
        // major Cᵀ = Bᵀ·Aᵀ; α stays with A, and fma(x, y, z) is fma(y, x, z).
        let by_columns = c.row_stride() == 1 && (c.col_stride() != 1 || c.cols() == 1);
        let (a, b, alpha_a, alpha_b, c) = if by_columns {
            let c = c.transposed();
            (b.transposed(), a.transposed(), 1.0, alpha, c)
        } else {
            (a, b, alpha, 1.0, c)
        };
        let shape = for_rows(self.shape, a.rows(), b);
        let narrow = !shape.wide() || suits_narrow_tiles(a.rows(), b);
        let (blocking, start) = (self.blocking, Start::with_beta(beta));
        let (packed_a, packed_b) = (&mut *self.a, &mut *self.b);
        // Each made where it goes: to move a product costs the smallest 7 %.
        if narrow {
            self.isa.dispatch(Narrow(Product {
                shape,
                blocking,
                packed_a,
                packed_b,
                a,
                b,
                c,
                alpha_a,
                alpha_b,
                start,
            }));
        } else {
            self.isa.dispatch(Product {
                shape,
                blocking,
                packed_a,
                packed_b,
                a,
                b,
                c,
                alpha_a,
                alpha_b,
                start,
            });
        }
    }
}

/// Asks for the shape of the microkernel's largest tile.
struct ShapeOf;

impl Kernel for ShapeOf {
    type Output = Shape;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Shape {
        Shape::of(s)
    }
}

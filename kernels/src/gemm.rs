//! General matrix multiplication: `C ← α·A·B + β·C` with any strides, on one thread.
//!
//! Five loops around a microkernel, as in BLIS (Van Zee and van de Geijn, *BLIS: a
//! framework for rapidly instantiating BLAS functionality*, 2015), whose names they
//! have. A and B are copied piece by piece ("packed") so that the microkernel reads
//! both in a straight line, from the cache that each piece was cut for:
//!
//! ```text
//! loop 5  nc columns of B and C       a piece of B and of C that fits the third-level cache
//! loop 4    kc of k                   packs kc × nc of B                  -> third level
//! loop 3      mc rows of A and C      packs mc × kc of A                  -> second level
//! loop 2        nr columns            kc × nr of the packed B             -> first level
//! loop 1          mr rows             mr × kc of the packed A, streamed from the second level
//!                   microkernel       mr × nr of C in registers, one rank-1 update for each k
//! ```
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

mod blocking;
mod microkernel;
mod pack;
mod shared;
#[cfg(test)]
mod tests;

pub use blocking::Blocking;
pub use shared::SharedGemm;

use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{AlignedBuffer, Isa, LANES, MatMut, MatRef, padded};
use microkernel::{MAX_TILE, Start, Tile, tile_shape};
use pack::pack_panels;
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
    blocking: Blocking,
    /// mc × kc of A, in panels of up to mr rows.
    a: AlignedBuffer,
    /// kc × nc of B, in panels of up to nr columns, each padded to whole registers.
    b: AlignedBuffer,
}

impl Gemm {
    /// With the default block sizes.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(isa: Isa) -> Result<Self, TryReserveError> {
        let (mr, registers) = isa.dispatch(TileShape);
        Self::with_blocking(isa, Blocking::for_tile(mr, registers * LANES))
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
        self.isa.dispatch(Product {
            blocking: self.blocking,
            packed_a: &mut self.a,
            packed_b: &mut self.b,
            a,
            b,
            c,
            alpha_a,
            alpha_b,
            start: Start::with_beta(beta),
        });
    }
}

/// Panels of A up to which a panel of B is not worth packing.
const DIRECT: usize = 2;

/// Elements of B that stay in half of the first-level cache.
const SHALLOW: usize = 4096;

/// Asks for the rows and registers of the microkernel's largest tile.
struct TileShape;

impl Kernel for TileShape {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        tile_shape::<S>()
    }
}

/// Made only by [`Gemm::run`]: the shapes fit together, C is not empty, and the buffers
/// hold what `blocking` asks for.
struct Product<'a> {
    blocking: Blocking,
    packed_a: &'a mut [f32],
    packed_b: &'a mut [f32],
    a: MatRef<'a>,
    b: MatRef<'a>,
    c: MatMut<'a>,
    /// One of these is α, the other 1.
    alpha_a: f32,
    alpha_b: f32,
    start: Start,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (m, k, n) = (self.a.rows(), self.a.cols(), self.b.cols());
        let Blocking { mc, kc, nc } = self.blocking;
        let (mr, registers) = tile_shape::<S>();
        let nr = registers * LANES;

        // Packing a panel of B is paid for by the tiles that read it.
        let direct = self.b.col_stride() == 1 && self.alpha_b == 1.0 && m <= DIRECT * mr;

        // Loop 5: nc columns of B and C.
        for j in (0..n).step_by(nc) {
            let columns = nc.min(n - j);
            // Loop 4: kc of k. Without any k it runs once, for β.
            for (p, depth) in depths(k, kc) {
                let start = if p == 0 { self.start } else { Start::FromC };
                let b = self.b.row_range(p, p + depth).col_range(j, j + columns);
                let packed_b = &mut self.packed_b[..depth * padded(columns)];
                // Panels of whole registers may be read where they lie.
                let in_place = match direct {
                    true => columns / LANES * LANES / nr * nr,
                    false => 0,
                };
                for first in (in_place..columns).step_by(nr) {
                    let panel = b.col_range(first, columns.min(first + nr)).transposed();
                    let width = padded(panel.rows());
                    let packed = &mut packed_b[first * depth..][..width * depth];
                    pack_panels(s, self.alpha_b, panel, width, packed);
                }
                // Loop 3: mc rows of A and C.
                for (i, rows) in even_parts(m, mc) {
                    let a = self.a.row_range(i, i + rows).col_range(p, p + depth);
                    let packed_a = &mut self.packed_a[..depth * rows];
                    for (first, height) in even_parts(rows, mr) {
                        let panel = a.row_range(first, first + height);
                        let packed = &mut packed_a[first * depth..][..height * depth];
                        pack_panels(s, self.alpha_a, panel, height, packed);
                    }
                    let block = Block {
                        depth,
                        rows,
                        columns,
                        packed_a,
                        packed_b,
                        b,
                        in_place,
                        c: self
                            .c
                            .as_mut_ptr()
                            .wrapping_add(i * self.c.row_stride() + j * self.c.col_stride()),
                        row_stride: self.c.row_stride(),
                        col_stride: self.c.col_stride(),
                        start,
                    };
                    // SAFETY: rows i … i + rows and columns j … j + columns lie inside
                    // C, which is borrowed exclusively; the panels were packed above,
                    // with the same cuts.
                    unsafe { block.run(s) };
                }
            }
        }
    }
}

/// The pieces of k: (start, length), at least one.
#[inline(always)]
fn depths(k: usize, kc: usize) -> impl Iterator<Item = (usize, usize)> {
    let empty = (k == 0).then_some((0, 0));
    empty.into_iter().chain(even_parts(k, kc))
}

/// `rows` × `columns` of C, and the packed parts of A and B that go into them.
struct Block<'a> {
    depth: usize,
    rows: usize,
    columns: usize,
    packed_a: &'a [f32],
    packed_b: &'a [f32],
    /// The same part of B, of which the first `in_place` columns are read where they lie.
    b: MatRef<'a>,
    in_place: usize,
    c: *mut f32,
    row_stride: usize,
    col_stride: usize,
    start: Start,
}

impl Block<'_> {
    /// Loops 2 and 1: the macrokernel.
    ///
    /// # Safety
    /// - `c` is valid for reads and writes of `rows` × `columns` elements at these
    ///   strides, no two of which share an address.
    /// - `packed_a` holds panels of `depth` × r for the parts r of `even_parts(rows, mr)`,
    ///   `packed_b` panels of `depth` × nr, the last one padded to whole registers.
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S) {
        let (mr, registers) = tile_shape::<S>();
        let nr = registers * LANES;
        let mut scratch = [0.0f32; MAX_TILE];
        if self.depth * self.columns <= SHALLOW {
            // All of B stays in the first-level cache: C is gone through in its order.
            for (row, rows) in even_parts(self.rows, mr) {
                for column in (0..self.columns).step_by(nr) {
                    // SAFETY: passed on; the tile lies inside the block.
                    unsafe { self.tile(s, row, rows, column, &mut scratch) };
                }
            }
            return;
        }
        // Loop 2: nr columns, a panel of B that stays in the first-level cache.
        for column in (0..self.columns).step_by(nr) {
            // Loop 1: up to mr rows, all about as many.
            for (row, rows) in even_parts(self.rows, mr) {
                // SAFETY: passed on; the tile lies inside the block.
                unsafe { self.tile(s, row, rows, column, &mut scratch) };
            }
        }
    }

    /// One tile: `rows` rows from `row` on, up to nr columns from `column` on.
    ///
    /// # Safety
    /// As [`Block::run`]; (`row`, `rows`) is a part of `even_parts(self.rows, mr)`, and
    /// `column` < `columns` a multiple of nr.
    #[inline(always)]
    unsafe fn tile<S: Simd>(
        &self,
        s: S,
        row: usize,
        rows: usize,
        column: usize,
        scratch: &mut [f32; MAX_TILE],
    ) {
        let nr = tile_shape::<S>().1 * LANES;
        let contiguous = self.col_stride == 1 || self.columns == 1;
        let columns = nr.min(self.columns - column);
        let registers = columns.div_ceil(LANES);
        let (b, b_stride) = match column < self.in_place {
            true => (self.b.as_ptr().wrapping_add(column), self.b.row_stride()),
            false => {
                let panel = &self.packed_b[column * self.depth..];
                (panel.as_ptr(), registers * LANES)
            }
        };
        let c = Elements {
            ptr: self
                .c
                .wrapping_add(row * self.row_stride + column * self.col_stride),
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        };
        let (tile_c, tile_stride) = if contiguous {
            (c.ptr, self.row_stride)
        } else {
            // SAFETY: this part of C is valid (contract); rows × nr ≤ MAX_TILE.
            unsafe { c.gather(rows, columns, self.start, scratch, nr) };
            (scratch.as_mut_ptr(), nr)
        };
        let tile = Tile {
            depth: self.depth,
            a: self.packed_a[row * self.depth..].as_ptr(),
            b,
            b_stride,
            c: tile_c,
            c_stride: tile_stride,
            columns,
            start: self.start,
        };
        // SAFETY: `a` begins a panel of `depth` × `rows`, `b` one of `depth` ×
        // `columns` rounded up to registers, or whole registers of `depth` rows of B;
        // C or the scratch tile is valid for `rows` rows of `columns` at the stride.
        unsafe { tile.run_sized(s, rows, registers) };
        if !contiguous {
            // SAFETY: as for `gather`.
            unsafe { c.scatter(rows, columns, scratch, nr) };
        }
    }
}

/// A part of C whose columns are not contiguous.
#[derive(Clone, Copy)]
struct Elements {
    ptr: *mut f32,
    row_stride: usize,
    col_stride: usize,
}

impl Elements {
    /// Copies to rows of `scratch`, unless C is not to be read.
    ///
    /// # Safety
    /// - `ptr` is valid for reads of `rows` × `columns` elements at these strides.
    #[inline(always)]
    unsafe fn gather(
        self,
        rows: usize,
        columns: usize,
        start: Start,
        scratch: &mut [f32],
        stride: usize,
    ) {
        if matches!(start, Start::Zero) {
            return;
        }
        for (r, line) in scratch.chunks_exact_mut(stride).take(rows).enumerate() {
            for (c, to) in line[..columns].iter_mut().enumerate() {
                // SAFETY: r < rows and c < columns.
                *to = unsafe { *self.ptr.add(r * self.row_stride + c * self.col_stride) };
            }
        }
    }

    /// Copies the rows of `scratch` back.
    ///
    /// # Safety
    /// - `ptr` is valid for writes of `rows` × `columns` elements at these strides.
    #[inline(always)]
    unsafe fn scatter(self, rows: usize, columns: usize, scratch: &[f32], stride: usize) {
        for (r, line) in scratch.chunks_exact(stride).take(rows).enumerate() {
            for (c, &from) in line[..columns].iter().enumerate() {
                // SAFETY: r < rows and c < columns.
                unsafe { *self.ptr.add(r * self.row_stride + c * self.col_stride) = from };
            }
        }
    }
}

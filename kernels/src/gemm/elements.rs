//! A tile of C that is not contiguous.

use super::microkernel::Start;
use super::shape::MAX_ROWS;

/// A tile of C where it lies.
#[derive(Clone, Copy)]
pub(super) struct Elements {
    pub(super) ptr: *mut f32,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl Elements {
    /// Copies to lines of `scratch`, unless C is not to be read.
    ///
    /// # Safety
    /// - `ptr` is valid for reads of `rows` × `columns` elements at these strides;
    ///   `rows` ≤ [`MAX_ROWS`] and `columns` ≤ `W`.
    #[inline(always)]
    pub(super) unsafe fn gather<const W: usize>(
        self,
        rows: usize,
        columns: usize,
        start: Start,
        scratch: &mut [[f32; W]; MAX_ROWS],
    ) {
        if start == Start::Zero {
            return;
        }
        for (r, line) in scratch.iter_mut().take(rows).enumerate() {
            for (c, to) in line[..columns].iter_mut().enumerate() {
                // SAFETY: r < rows and c < columns.
                *to = unsafe { *self.ptr.add(r * self.row_stride + c * self.col_stride) };
            }
        }
    }

    /// Copies the lines of a scratch tile back, `pitch` floats apart.
    ///
    /// # Safety
    /// - `ptr` is valid for writes of `rows` × `columns` elements at these strides, and
    ///   `scratch` for reads of `rows` lines of `columns`.
    #[inline(always)]
    pub(super) unsafe fn scatter(
        self,
        rows: usize,
        columns: usize,
        scratch: *const f32,
        pitch: usize,
    ) {
        for r in 0..rows {
            for c in 0..columns {
                // SAFETY: r < rows and c < columns.
                unsafe {
                    *self.ptr.add(r * self.row_stride + c * self.col_stride) =
                        *scratch.add(r * pitch + c);
                }
            }
        }
    }
}

//! 64-byte-aligned storage.

use bytemuck::{Pod, Zeroable};
use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

use crate::LANES;

/// One cache line: 16 floats.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A fixed number of `f32` that starts at a cache line, zero at first.
#[derive(Clone, Default)]
pub struct AlignedBuffer {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn zeroed(len: usize) -> Result<Self, TryReserveError> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(len.div_ceil(LANES))?;
        lines.resize(len.div_ceil(LANES), Line::zeroed());
        Ok(Self { lines, len })
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];
    #[inline]
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for AlignedBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// The smallest multiple of [`LANES`] that is ≥ `n`: the padded width of a row.
///
/// Saturates instead of overflowing (no such buffer can be allocated).
#[inline]
pub const fn padded(n: usize) -> usize {
    n.div_ceil(LANES).saturating_mul(LANES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_zeroed_and_of_the_length_asked_for() {
        let mut b = AlignedBuffer::zeroed(17).unwrap();
        assert_eq!(b.as_ptr() as usize % 64, 0);
        assert_eq!(&b[..], [0.0; 17]);
        b[16] = 1.0;
        assert_eq!(b[16], 1.0);
        assert!(AlignedBuffer::zeroed(usize::MAX).is_err());
        assert_eq!(
            (padded(0), padded(1), padded(16), padded(17)),
            (0, 16, 16, 32)
        );
    }
}

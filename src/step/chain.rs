//! What a batch is below and above layer 1, where that is a chain of two members.

use super::whole;
use crate::network::Layer;
use fanin_kernels::{AlignedBuffer, MatMut, MatRef};
use std::collections::TryReserveError;

/// What a batch is in layer 0 where layer 1 is a chain: the member's columns, \[batch, columns\].
///
/// Nobody else needs them then, and side by side with another's they would be on the move: at
/// the end of each short row prefetchers fetch what the other is about to write.
#[derive(Default)]
pub(super) struct ChainSpace {
    cols: usize,
    above: usize,
    y: AlignedBuffer,
    /// Empty where pre-activations are not needed.
    z: AlignedBuffer,
    /// y and z of the batch to come.
    coming: [AlignedBuffer; 2],
    delta: AlignedBuffer,
    scaled: AlignedBuffer,
    /// `scaled` of layer 1, where this member has not made its delta.
    scaled_above: AlignedBuffer,
}

/// [`ChainSpace`] on the way back.
pub(super) struct ChainMatrices<'a> {
    pub y: MatRef<'a>,
    pub z: Option<MatRef<'a>>,
    /// y and z of the batch to come; the latter without rows where it is not needed.
    pub coming: [MatMut<'a>; 2],
    pub delta: MatMut<'a>,
    pub scaled: MatMut<'a>,
    /// `None` where the member has made the delta of layer 1 itself.
    pub scaled_above: Option<MatMut<'a>>,
}

impl ChainSpace {
    /// For `cols` columns of the `first` layer; `above`: those of layer 1, if another makes its
    /// delta.
    pub fn new(
        batch: usize,
        first: &Layer,
        cols: usize,
        above: usize,
    ) -> Result<Self, TryReserveError> {
        let zeroed = |cols: usize| AlignedBuffer::zeroed(batch.saturating_mul(cols));
        let z_cols = match first.activation.needs_pre_activation() {
            true => cols,
            false => 0,
        };
        Ok(Self {
            cols,
            above,
            y: zeroed(cols)?,
            z: zeroed(z_cols)?,
            coming: [zeroed(cols)?, zeroed(z_cols)?],
            delta: zeroed(cols)?,
            scaled: zeroed(cols)?,
            scaled_above: zeroed(above)?,
        })
    }

    /// The outputs for this batch.
    pub fn y(&self) -> MatRef<'_> {
        whole_ref(&self.y, self.cols)
    }

    /// y and z of this batch, to be made.
    pub fn outputs(&mut self) -> [MatMut<'_>; 2] {
        [&mut self.y, &mut self.z].map(|buffer| whole(buffer, self.cols))
    }

    /// All of it.
    pub fn matrices(&mut self) -> ChainMatrices<'_> {
        ChainMatrices {
            y: whole_ref(&self.y, self.cols),
            z: (!self.z.is_empty()).then(|| whole_ref(&self.z, self.cols)),
            coming: self
                .coming
                .each_mut()
                .map(|buffer| whole(buffer, self.cols)),
            delta: whole(&mut self.delta, self.cols),
            scaled: whole(&mut self.scaled, self.cols),
            scaled_above: (self.above > 0).then(|| whole(&mut self.scaled_above, self.above)),
        }
    }

    /// Goes on to the batch to come.
    pub fn take_coming(&mut self) {
        let [y, z] = &mut self.coming;
        std::mem::swap(&mut self.y, y);
        std::mem::swap(&mut self.z, z);
    }
}

fn whole_ref(buffer: &[f32], cols: usize) -> MatRef<'_> {
    MatRef::new(buffer, buffer.len() / cols.max(1), cols)
}

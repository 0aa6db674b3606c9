//! What a member of a team does with its columns of the first layer when it has their delta: the
//! update, and the forward pass of the batch to come.
//!
//! Nothing of it needs what others do at that time, so nobody waits for anybody between the
//! backward pass of the second layer and the forward pass of the next step's.

use super::Batch;
use super::apply::{Apply, update_sparse};
use super::members::Member;
use crate::network::Layer;
use crate::samples::{Inputs, Samples};
use fanin_kernels::sparse::{self, SparseBytes};
use fanin_kernels::{Isa, MatMut, MatRef};
use std::ops::Range;

/// A first layer with sparse inputs, of which each member holds its columns.
pub(super) struct FirstLayer<'a> {
    isa: Isa,
    layer: Layer,
    samples: &'a Samples,
    inputs: &'a SparseBytes,
    /// The samples of the steps to come, as far as they are known, and how many a step has.
    coming: &'a [u32],
    batch: usize,
    byte_values: &'a [f32; 256],
}

impl<'a> FirstLayer<'a> {
    /// `None` if the inputs are not sparse. (Members hold nothing of a layer that normalizes them.)
    pub(super) fn of(batch: &Batch<'a>, layer: Layer, byte_values: &'a [f32; 256]) -> Option<Self> {
        match &batch.samples.inputs {
            Inputs::Sparse(inputs) => Some(Self {
                isa: batch.isa,
                layer,
                samples: batch.samples,
                inputs,
                coming: batch.coming,
                batch: batch.ids.len(),
                byte_values,
            }),
            _ => None,
        }
    }

    /// The batch to come, if it may be begun: if all of it is known, and a member needs
    /// no more than its own columns.
    pub(super) fn coming(&self) -> Option<&'a [u32]> {
        let ids = self.coming.get(..self.batch)?;
        self.layer.norm.is_none().then_some(ids)
    }

    /// The member gathers the batch `ids` that is to come, while there is nothing else to do.
    pub(super) fn gather_ahead(&self, own: &mut Member, ids: &[u32]) {
        self.prefetch(ids);
        own.gather_ahead(self.isa, self.inputs, ids, self.byte_values);
    }

    /// Asks for the samples of the batches after `ids`.
    fn prefetch(&self, ids: &[u32]) {
        self.samples
            .prefetch(self.isa, &self.coming[ids.len()..], ids.len());
    }

    /// The update of the columns whose scaled delta this is.
    pub(super) fn update(&self, own: &mut Member, apply: Apply, scaled: MatRef<'_>) {
        let ([w, vw], columns) = own.first_layer(scaled.cols());
        update_sparse(self.isa, apply, columns, scaled, w, vw);
    }

    /// The forward pass of the batch `ids` for the columns `cols`, which `bias`, `z` and `y` have.
    pub(super) fn begin(
        &self,
        own: &mut Member,
        ids: &[u32],
        cols: Range<usize>,
        bias: &[f32],
        z: MatMut<'_>,
        y: MatMut<'_>,
    ) {
        if !own.take_ahead() {
            self.prefetch(ids);
            own.gather(self.isa, self.inputs, ids, self.byte_values);
        }
        let w = own.columns_of(0, &self.layer, cols);
        let z = (z.rows() > 0).then_some(z);
        sparse::forward(
            self.isa,
            &own.rows,
            self.byte_values,
            w,
            bias,
            self.layer.activation,
            z,
            y,
        );
    }
}

//! The layers that one member does alone, from the forward to the backward pass, and what the others
//! do meanwhile.

use super::apply::Apply;
use super::first_layer::FirstLayer;
use super::{Batch, Clock, Phase, Workspace, granule};

impl Workspace {
    /// The layers below those that one member does alone while the others have something else to
    /// do; all layers, if it is not so.
    pub(super) fn shared(&self, batch: &Batch<'_>) -> usize {
        let layers = batch.network.layers();
        let mut above = layers.iter().skip(2);
        let alone = above.all(|layer| granule(layer, self.batch) == usize::MAX);
        match self.members.chains(1) && alone {
            true => 2,
            false => layers.len(),
        }
    }

    /// The forward pass of the layers from `first` on, the loss, and the backward pass down to
    /// `first`; returns the mean loss. Meanwhile the members who have no part in it gather the
    /// batch to come, if there are such.
    ///
    /// Where the loss is not finite, nothing is updated.
    pub(super) fn above(
        &mut self,
        batch: &mut Batch<'_>,
        first: usize,
        apply: Apply,
        clock: &mut impl Clock,
    ) -> f32 {
        let layers = batch.network.layers();
        if first == layers.len() {
            return self.loss_and_above(batch, first, apply, clock);
        }
        // A copy: `self` is lent to the one who is alone.
        let values = self.byte_values;
        let inputs = FirstLayer::of(batch, layers[0], &values);
        let coming = inputs.as_ref().and_then(FirstLayer::coming);
        let (Some(inputs), Some(ids)) = (inputs, coming) else {
            return self.loss_and_above(batch, first, apply, clock);
        };
        let Some((mut team, mut members)) = self.alone.take() else {
            return self.loss_and_above(batch, first, apply, clock);
        };
        std::mem::swap(&mut self.members, &mut members);
        let mut alone = Batch {
            team: &mut team,
            network: &mut *batch.network,
            frozen: batch.frozen.clone(),
            ..*batch
        };
        let mean = batch.team.beside(
            &mut members.each,
            |_, own| inputs.gather_ahead(own, ids),
            || self.loss_and_above(&mut alone, first, apply, clock),
        );
        std::mem::swap(&mut self.members, &mut members);
        self.alone = Some((team, members));
        mean
    }

    fn loss_and_above(
        &mut self,
        batch: &mut Batch<'_>,
        first: usize,
        apply: Apply,
        clock: &mut impl Clock,
    ) -> f32 {
        let layers = self.layers.len();
        for l in first..layers {
            self.forward(batch, l);
            clock.ended(Phase::Forward(l));
        }
        let mean = self.loss(batch) / self.batch as f32;
        if mean.is_finite() {
            self.remember_statistics(batch, apply);
            self.output_delta(batch, apply);
            clock.ended(Phase::Loss);
            self.backward(batch, first..layers, apply, clock);
        }
        mean
    }
}

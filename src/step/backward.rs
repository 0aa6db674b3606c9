//! The backward pass of a step, with the updates.

use super::apply::{Apply, DeltaParts, finish_delta, scale, update_sparse, update_weights};
use super::first_layer::FirstLayer;
use super::norm::NormParts;
use super::{Batch, Clock, Phase, Workspace, empty, granule, matrix, rows, rows_or_none};
use crate::batch_norm::Placement;
use crate::network::NormMut;
use crate::samples::{Inputs, sparse_batch};
use fanin_kernels::sparse::BatchColumns;
use fanin_kernels::team::member_range;
use fanin_kernels::{LANES, MatMut, fetch};
use std::ops::Range;

impl Workspace {
    /// Down through `layers`, as far as the lowest layer that is trained.
    pub(super) fn backward(
        &mut self,
        batch: &mut Batch<'_>,
        layers: Range<usize>,
        apply: Apply,
        clock: &mut impl Clock,
    ) {
        // Below it, nobody asks for a gradient.
        let lowest = match batch.frozen.start {
            0 => batch.frozen.end,
            _ => 0,
        };
        let mut done = false;
        for l in (lowest.max(layers.start).max(1)..layers.end).rev() {
            let [of_layer, before] = [l, l - 1].map(|l| batch.apply_to(l, apply));
            done = self.hidden_layer(batch, l, l > lowest, of_layer, before);
            clock.ended(Phase::Backward(l));
        }
        if lowest == 0 && layers.start == 0 {
            if !done {
                self.first_layer(batch, batch.apply_to(0, apply));
            }
            clock.ended(Phase::Backward(0));
        }
    }

    /// The last layer's delta, from dL/dy.
    pub(super) fn output_delta(&mut self, batch: &mut Batch<'_>, apply: Apply) {
        let last = self.layers.len() - 1;
        let apply = batch.apply_to(last, apply);
        let (isa, network) = (batch.isa, &mut *batch.network);
        let layer = network.layers()[last];
        let space = &mut self.layers[last];
        let of = network.layer_mut(last);
        let velocity = self.velocity.as_mut().map(|v| v.layer_mut(last));
        let (velocity, norm_velocity) = match velocity {
            Some(v) => (matrix(v.b, 1, layer.width), vectors(v.norm)),
            None => (empty(layer.width), [empty(0), empty(0)]),
        };
        let ([dgamma, dbeta, _], saved) = space.norm.backward_parts(self.batch);
        let [gamma, beta] = vectors(of.norm);
        let [gamma_velocity, beta_velocity] = norm_velocity;
        let matrices = [gamma, beta, gamma_velocity, beta_velocity, dgamma, dbeta];
        let norm = NormParts::new(saved, matrices);
        let parts = DeltaParts {
            activation: layer.activation,
            z: rows_or_none(&space.z, self.batch, layer.width),
            y: rows(&space.y, self.batch, layer.width),
            delta: matrix(&mut space.delta, self.batch, layer.width),
            scaled: matrix(&mut space.scaled, self.batch, layer.width),
            norm: (layer.norm == Some(Placement::PreActivation)).then_some(norm),
            bias: matrix(of.b, 1, layer.width),
            velocity,
        };
        finish_delta(isa, apply, parts);
    }

    /// Layer l > 0: the update of its W, and, if the layer before `wants_delta`, the delta
    /// of that one and the update of its biases. Whichever batch normalization stands
    /// between the two Ws has its γ and β updated.
    ///
    /// Returns whether layer l − 1 is done as well: where members hold columns of the first
    /// layer, they go on with these as soon as they have their delta ([`FirstLayer`]).
    fn hidden_layer(
        &mut self,
        batch: &mut Batch<'_>,
        l: usize,
        wants_delta: bool,
        apply: Apply,
        apply_before: Apply,
    ) -> bool {
        let layers = batch.network.layers();
        let (layer, previous) = (layers[l], layers[l - 1]);
        // A member's columns of the first layer are its rows of the second then.
        let alike = l == 1 && self.members.hold(0) && granule(&layer, self.batch) == LANES;
        let first = match alike && wants_delta {
            true => FirstLayer::of(batch, previous, &self.byte_values),
            false => None,
        };
        let (isa, network) = (batch.isa, &mut *batch.network);
        let (before, after) = self.layers.split_at_mut(l);
        let (from, space) = (&mut before[l - 1], &mut after[0]);
        let [of, of_previous] = network.layer_and_previous_mut(l);
        let own_bias = &*of.b;
        let (mut vw, mut vbias) = (empty(layer.width), empty(previous.width));
        let (mut vnorm, mut vnorm_previous) = (None, None);
        if let Some(velocity) = &mut self.velocity {
            let [v, v_previous] = velocity.layer_and_previous_mut(l);
            (vw, vbias) = (v.w, matrix(v_previous.b, 1, previous.width));
            (vnorm, vnorm_previous) = (Some(v.norm), Some(v_previous.norm));
        }
        // The normalization between the two, if any: of this layer's input, or of the
        // pre-activations of the one before.
        let of_input = layer.norm == Some(Placement::Input);
        let of_pre_activation = previous.norm == Some(Placement::PreActivation);
        let (norm, vnorm, norm_space) = match of_input {
            true => (of.norm, vnorm, &mut space.norm),
            false => (of_previous.norm, vnorm_previous, &mut from.norm),
        };
        let ([dgamma, dbeta, _], saved) = norm_space.backward_parts(self.batch);
        let x = match of_input {
            true => rows(saved.normalized, self.batch, previous.width),
            false => rows(&from.y, self.batch, previous.width),
        };
        let delta = rows(&space.delta, self.batch, layer.width);
        let scaled = rows(&space.scaled, self.batch, layer.width);
        let (y, z) = (rows(&from.y, self.batch, previous.width), &from.z);
        let z = rows_or_none(z, self.batch, previous.width);
        let [gamma, beta] = vectors(norm);
        let [vgamma, vbeta] = vnorm.map_or([empty(0), empty(0)], vectors);
        let coming = first.as_ref().and_then(FirstLayer::coming);
        let [y_coming, z_coming] = from.coming.each_mut().map(|buffer| {
            let rows = if coming.is_none() || buffer.is_empty() {
                0
            } else {
                self.batch
            };
            matrix(&mut buffer[..rows * previous.width], rows, previous.width)
        });
        // By rows of W, which are columns of everything of the layer before.
        let matrices = [
            of.w.transposed(),
            vw.transposed(),
            matrix(&mut from.delta, self.batch, previous.width),
            matrix(&mut from.scaled, self.batch, previous.width),
            matrix(of_previous.b, 1, previous.width),
            vbias,
            y_coming,
            z_coming,
            gamma,
            beta,
            vgamma,
            vbeta,
            dgamma,
            dbeta,
        ];
        let size = self.batch;
        let team = &mut *batch.team;
        let (threads, granule, held) =
            (team.threads(), granule(&layer, size), self.members.hold(l));
        let chained = self.members.chains(l);
        let members = &mut self.members.each;
        team.split_cols_with(
            previous.width,
            granule,
            matrices,
            members,
            |member, range, parts, own| {
                let [
                    w,
                    vw,
                    mut dx,
                    mut from_scaled,
                    mut bias,
                    vbias,
                    mut y_coming,
                    mut z_coming,
                    norm @ ..,
                ] = parts;
                let rows = range.start..range.start + w.cols();
                let x_of = |rows: &Range<usize>| x.col_range(rows.start, rows.end);
                let mut x_own = x_of(&rows);
                let mut y = y.col_range(range.start, range.end);
                let mut z = z.map(|z| z.col_range(range.start, range.end));
                let mut space = std::mem::take(&mut own.space);
                if threads > 1 {
                    fetch(isa, delta);
                    if !chained {
                        fetch(isa, scaled);
                    }
                }
                let mut scaled = scaled;
                let mut own_scaled;
                if chained {
                    let own = space.matrices();
                    own_scaled = own.scaled_above;
                    if let Some(own_scaled) = &mut own_scaled {
                        // What is multiplied twice does not go from core to core twice.
                        scale(isa, apply, delta, own_scaled.reborrow());
                        scaled = own_scaled.as_ref();
                    }
                    x_own = own.y.col_range(0, w.cols());
                    (y, z, dx, from_scaled) = (own.y, own.z, own.delta, own.scaled);
                    if coming.is_some() {
                        [y_coming, z_coming] = own.coming;
                    }
                }
                let wanted = wants_delta || of_input;
                let dx_part = wanted.then(|| dx.reborrow());
                if chained {
                    let [w, vw] = own.rows_of_chain(layer.width);
                    update_weights(isa, apply, x_own, delta, scaled, w, vw, dx_part);
                } else if held {
                    let [before, [w, vw], after] = own.cut(l, layer.width, rows.clone());
                    update_weights(isa, apply, x_own, delta, scaled, w, vw, dx_part);
                    // Of the other rows only the columns that the member needs.
                    let cols = member_range(layer.width, granule, threads, member);
                    let delta = delta.col_range(cols.start, cols.end);
                    let scaled = scaled.col_range(cols.start, cols.end);
                    for (rows, others) in [(0..rows.start, before), (rows.end..layer.fan_in, after)]
                    {
                        let [w, vw] = others
                            .map(|all| all.split_at_col(cols.end).0.split_at_col(cols.start).1);
                        update_weights(isa, apply, x_of(&rows), delta, scaled, w, vw, None);
                    }
                } else {
                    let (w, vw) = (w.transposed(), vw.transposed());
                    update_weights(isa, apply, x_own, delta, scaled, w, vw, dx_part);
                }
                let norm = || NormParts::new(saved.cols(&range), norm);
                let mut norm = (of_input || of_pre_activation).then(norm);
                if of_input && let Some(norm) = norm.take() {
                    norm.backward(isa, apply, dx.reborrow());
                }
                if wants_delta {
                    let parts = DeltaParts {
                        activation: previous.activation,
                        z,
                        y,
                        delta: dx,
                        scaled: from_scaled.reborrow(),
                        norm,
                        bias: bias.reborrow(),
                        velocity: vbias,
                    };
                    finish_delta(isa, apply_before, parts);
                    if let Some(first) = &first {
                        first.update(own, apply_before, from_scaled.as_ref());
                        if let Some(ids) = coming {
                            let y = y_coming.reborrow();
                            first.begin(own, ids, range, bias.row_mut(0), z_coming, y);
                            if chained && member > 0 {
                                own.begin_chain(isa, y_coming.as_ref(), own_bias);
                            }
                        }
                    }
                }
                own.space = space;
            },
        );
        if let Some(ids) = coming {
            self.members.have_begun(ids);
        }
        first.is_some()
    }

    /// Layer 0: the update of W, and of γ and β where it normalizes its inputs.
    fn first_layer(&mut self, batch: &mut Batch<'_>, apply: Apply) {
        if batch.network.layers()[0].norm == Some(Placement::Input) {
            return self.first_layer_after_norm(batch, apply);
        }
        let (isa, network) = (batch.isa, &mut *batch.network);
        let layer = network.layers()[0];
        let w = network.layer_mut(0).w;
        let vw = match &mut self.velocity {
            Some(velocity) => velocity.layer_mut(0).w,
            None => empty(layer.width),
        };
        let space = &self.layers[0];
        let delta = rows(&space.delta, self.batch, layer.width);
        let scaled = rows(&space.scaled, self.batch, layer.width);
        let rebuilt;
        let columns = match &batch.samples.inputs {
            Inputs::Sparse(_) => None,
            // 0·∞ is not 0: fall back to skipping, which is what defines the result.
            Inputs::Bytes(bytes, cols) if !space.scaled.iter().all(|v| v.is_finite()) => {
                let (inputs, all) = sparse_batch(bytes, *cols, batch.ids);
                let mut columns = BatchColumns::default();
                columns.gather(batch.isa, &inputs, &all, &self.byte_values);
                rebuilt = columns;
                Some(&rebuilt)
            }
            _ => None,
        };
        let input = &self.input;
        let size = self.batch;
        let sparse = matches!(batch.samples.inputs, Inputs::Sparse(_));
        let held = self.members.hold(0);
        let members = &mut self.members.each;
        let team = &mut *batch.team;
        let granule = granule(&layer, size);
        team.split_cols_with(
            layer.width,
            granule,
            [w, vw],
            members,
            |_, cols, shared, own| {
                let delta = delta.col_range(cols.start, cols.end);
                let scaled = scaled.col_range(cols.start, cols.end);
                let (own, gathered) = own.first_layer(cols.len());
                let [w, vw] = if held { own } else { shared };
                match columns.or(sparse.then_some(gathered)) {
                    Some(columns) => update_sparse(isa, apply, columns, scaled, w, vw),
                    None => {
                        let x = rows(input, size, layer.fan_in);
                        update_weights(isa, apply, x, delta, scaled, w, vw, None);
                    }
                }
            },
        );
    }

    /// [`Workspace::first_layer`] where the inputs are normalized: dense, and dL/dBN(x) is
    /// needed for γ and β.
    fn first_layer_after_norm(&mut self, batch: &mut Batch<'_>, apply: Apply) {
        let (isa, network) = (batch.isa, &mut *batch.network);
        let layer = network.layers()[0];
        let of = network.layer_mut(0);
        let (vw, vnorm) = match &mut self.velocity {
            Some(velocity) => {
                let v = velocity.layer_mut(0);
                (v.w, vectors(v.norm))
            }
            None => (empty(layer.width), [empty(0), empty(0)]),
        };
        let size = self.batch;
        let space = &mut self.layers[0];
        let delta = rows(&space.delta, size, layer.width);
        let scaled = rows(&space.scaled, size, layer.width);
        let width = layer.norm_width();
        let ([dgamma, dbeta, input_delta], saved) = space.norm.backward_parts(size);
        let x = rows(saved.normalized, size, width);
        let [gamma, beta] = vectors(of.norm);
        let [vgamma, vbeta] = vnorm;
        let matrices = [
            of.w.transposed(),
            vw.transposed(),
            input_delta,
            gamma,
            beta,
            vgamma,
            vbeta,
            dgamma,
            dbeta,
        ];
        let team = &mut *batch.team;
        team.split_cols(width, granule(&layer, size), matrices, |_, range, parts| {
            let [w, vw, mut dx, norm @ ..] = parts;
            let x = x.col_range(range.start, range.start + w.cols());
            let (w, vw) = (w.transposed(), vw.transposed());
            update_weights(isa, apply, x, delta, scaled, w, vw, Some(dx.reborrow()));
            let norm = NormParts::new(saved.cols(&range), norm);
            norm.backward(isa, apply, dx);
        });
    }
}

/// γ and β as matrices of one row.
fn vectors(norm: NormMut<'_>) -> [MatMut<'_>; 2] {
    let width = norm.gamma.len();
    [
        MatMut::new(norm.gamma, 1, width),
        MatMut::new(norm.beta, 1, width),
    ]
}

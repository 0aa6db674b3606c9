//! What happens to a layer's parameters once its delta is known.

use super::norm::NormParts;
use fanin_kernels::fused::{self, Update};
use fanin_kernels::sparse::{self, BatchColumns};
use fanin_kernels::{Activation, Isa, MatMut, MatRef, activation, optimizer};

/// The rule of one step, with the numbers it needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Apply {
    /// `rate` = −(lr/batch).
    Sgd {
        rate: f32,
    },
    Momentum {
        momentum: f32,
        lr: f32,
    },
    /// The gradient is added to the velocity; the parameters stay.
    Gradient,
    /// The parameters stay: the layer is frozen.
    Nothing,
}

impl Apply {
    /// What δ of `batch` samples is multiplied by where it is added to what changes; `None` where
    /// nothing does.
    fn factor(self, batch: usize) -> Option<f32> {
        match self {
            Apply::Sgd { rate } => Some(rate),
            Apply::Momentum { .. } | Apply::Gradient => Some(1.0 / batch as f32),
            Apply::Nothing => None,
        }
    }
}

/// `scaled` of a layer from its δ.
pub(super) fn scale(isa: Isa, apply: Apply, delta: MatRef<'_>, scaled: MatMut<'_>) {
    if let Some(factor) = apply.factor(delta.rows()) {
        optimizer::scale(isa, factor, delta, scaled);
    }
}

/// Columns of one layer whose delta is to be finished.
pub(super) struct DeltaParts<'a> {
    pub activation: Activation,
    /// Pre-activations, where the derivative needs them.
    pub z: Option<MatRef<'a>>,
    pub y: MatRef<'a>,
    /// dL/dy on entry, dL/dz on return.
    pub delta: MatMut<'a>,
    pub scaled: MatMut<'a>,
    /// Where the layer has batch normalization before its activation.
    pub norm: Option<NormParts<'a>>,
    pub bias: MatMut<'a>,
    pub velocity: MatMut<'a>,
}

/// From dL/dy to δ = dL/dz, its scaled copy, and the update of the biases (and of γ and β).
pub(super) fn finish_delta(isa: Isa, apply: Apply, parts: DeltaParts<'_>) {
    let DeltaParts {
        activation,
        z,
        y,
        mut delta,
        mut scaled,
        norm,
        bias,
        mut velocity,
    } = parts;
    activation::backward(isa, activation, z.unwrap_or(y), y, delta.reborrow());
    if let Some(norm) = norm {
        norm.backward(isa, apply, delta.reborrow());
    }
    scale(isa, apply, delta.as_ref(), scaled.reborrow());
    match apply {
        Apply::Sgd { .. } => optimizer::add_rows(isa, scaled.as_ref(), bias),
        Apply::Momentum { momentum, lr } => {
            optimizer::scale_in_place(isa, momentum, velocity.reborrow());
            optimizer::add_rows(isa, scaled.as_ref(), velocity.reborrow());
            optimizer::axpy(isa, -lr, velocity.as_ref(), bias);
        }
        Apply::Gradient => optimizer::add_rows(isa, scaled.as_ref(), velocity),
        Apply::Nothing => {}
    }
}

/// The update of (a part of) W, and dL/dx before it.
#[allow(clippy::too_many_arguments)]
pub(super) fn update_weights(
    isa: Isa,
    apply: Apply,
    x: MatRef<'_>,
    delta: MatRef<'_>,
    scaled: MatRef<'_>,
    w: MatMut<'_>,
    velocity: MatMut<'_>,
    mut dx: Option<MatMut<'_>>,
) {
    if let (Apply::Nothing, Some(dx)) = (apply, dx.as_mut()) {
        return fused::backward_data(isa, delta, w.as_ref(), dx.reborrow());
    }
    into_target(isa, apply, w, velocity, |update| {
        fused::backward(isa, x, delta, scaled, update, dx);
    });
}

/// The update of (a part of) the W of a sparse input layer.
pub(super) fn update_sparse(
    isa: Isa,
    apply: Apply,
    columns: &BatchColumns,
    scaled: MatRef<'_>,
    w: MatMut<'_>,
    velocity: MatMut<'_>,
) {
    into_target(isa, apply, w, velocity, |update| {
        let (Update::Weights(target) | Update::Into { target, .. }) = update;
        sparse::accumulate(isa, columns, scaled, target);
    });
}

/// Lets `accumulate` add the gradient where the rule wants it.
fn into_target(
    isa: Isa,
    apply: Apply,
    mut w: MatMut<'_>,
    mut velocity: MatMut<'_>,
    accumulate: impl FnOnce(Update<'_>),
) {
    match apply {
        Apply::Sgd { .. } => return accumulate(Update::Weights(w)),
        Apply::Nothing => return,
        Apply::Momentum { .. } | Apply::Gradient => {}
    }
    if let Apply::Momentum { momentum, .. } = apply {
        optimizer::scale_in_place(isa, momentum, velocity.reborrow());
    }
    accumulate(Update::Into {
        weights: w.as_ref(),
        target: velocity.reborrow(),
    });
    if let Apply::Momentum { lr, .. } = apply {
        optimizer::axpy(isa, -lr, velocity.as_ref(), w.reborrow());
    }
}

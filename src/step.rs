//! One training step: forward, loss, backward and update. Nothing is allocated here.
//!
//! Every phase splits outputs over the team, never sums, so the bits do not depend on
//! the number of threads.

mod above;
mod apply;
mod backward;
mod batch;
mod chain;
mod first_layer;
mod forward;
mod members;
mod norm;

use crate::batch_norm::Placement;
use crate::network::{Layer, Network};
use crate::samples::{Inputs, Samples, TargetValues, byte_values};
use apply::Apply;
use fanin_kernels::team::Team;
use fanin_kernels::{AlignedBuffer, Isa, LANES, Loss, MatMut, MatRef, Targets, loss, padded};
use members::{Member, Members};
use norm::NormSpace;
use std::collections::TryReserveError;
use std::ops::Range;

/// What a step does with the gradient g (the mean over the batch).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `W ← W − lr·g`.
    Sgd,
    /// `V ← momentum·V + g`, `W ← W − lr·V`: Polyak's heavy ball as PyTorch writes it.
    Momentum(f32),
}

/// What a step works on.
pub struct Batch<'a> {
    /// Instruction set.
    pub isa: Isa,
    /// Threads.
    pub team: &'a mut Team,
    /// The network in training.
    pub network: &'a mut Network,
    /// The training samples.
    pub samples: &'a Samples,
    /// Numbers of the samples of this step, as many as the workspace is made for.
    pub ids: &'a [u32],
    /// Those of the next step, then of the two after it, as far as they are known.
    pub coming: &'a [u32],
    /// What is minimized.
    pub loss: Loss,
    /// Layers whose parameters stay as they are.
    pub frozen: Range<usize>,
}

impl Batch<'_> {
    /// What is done with the parameters of layer `l`, where `apply` is for those that are trained.
    fn apply_to(&self, l: usize, apply: Apply) -> Apply {
        match self.frozen.contains(&l) {
            true => Apply::Nothing,
            false => apply,
        }
    }
}

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The inputs and targets of the batch are brought together.
    Gather,
    /// The outputs of layer l.
    Forward(usize),
    /// The loss, and δ of the last layer.
    Loss,
    /// W of layer l is updated and, if l > 0, δ and the biases of layer l − 1.
    Backward(usize),
}

/// Is told when each phase of a step has ended.
pub trait Clock {
    /// `phase` has ended; it began when the one before it ended.
    fn ended(&mut self, phase: Phase);
}

/// Does not look.
impl Clock for () {
    #[inline(always)]
    fn ended(&mut self, _: Phase) {}
}

/// The memory of a step, planned once for a network and a batch size.
pub struct Workspace {
    batch: usize,
    /// Inputs of a dense batch, \[batch, padded(inputs)\]; empty where the first layer
    /// reads sparse inputs.
    input: AlignedBuffer,
    members: Members,
    /// A team and members of one: for the layers that one does alone beside the others, who have the
    /// real ones meanwhile.
    alone: Option<(Team, Members)>,
    layers: Vec<LayerSpace>,
    /// The velocity of every parameter (momentum), or its gradient.
    velocity: Option<Network>,
    targets: BatchTargets,
    byte_values: [f32; 256],
}

/// Everything is \[batch, width of the layer\].
struct LayerSpace {
    y: AlignedBuffer,
    /// Pre-activations, where they are needed; else empty.
    z: AlignedBuffer,
    /// y and z of the batch to come, where members begin it in the step before; else empty.
    coming: [AlignedBuffer; 2],
    delta: AlignedBuffer,
    /// −(lr/batch)·delta for SGD, delta/batch for momentum.
    scaled: AlignedBuffer,
    norm: NormSpace,
}

/// The targets of the batch, gathered.
#[derive(Default)]
struct BatchTargets {
    classes: Vec<u8>,
    values: Vec<f32>,
}

impl Workspace {
    /// Memory for steps of `batch` samples of the kind of `samples`, by a team of `threads`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(
        network: &Network,
        samples: &Samples,
        batch: usize,
        rule: Rule,
        threads: usize,
    ) -> Result<Self, TryReserveError> {
        let zeroed = |width: usize| AlignedBuffer::zeroed(batch.saturating_mul(width));
        let layers = network
            .layers()
            .iter()
            .enumerate()
            .map(|(layer_number, layer)| {
                let first_bytes = layer_number == 0 && matches!(samples.inputs, Inputs::Bytes(..));
                let keep_z = layer.activation.needs_pre_activation() || first_bytes;
                let z_width = if keep_z { layer.width } else { 0 };
                let begins = layer_number == 0 && threads > 1;
                let [y_coming, z_coming] =
                    [layer.width, z_width].map(|width| if begins { width } else { 0 });
                Ok::<_, TryReserveError>(LayerSpace {
                    y: zeroed(layer.width)?,
                    z: zeroed(z_width)?,
                    coming: [zeroed(y_coming)?, zeroed(z_coming)?],
                    delta: zeroed(layer.width)?,
                    scaled: zeroed(layer.width)?,
                    norm: NormSpace::new(layer, layer_number, batch)?,
                })
            });
        let sparse = samples.is_sparse() && !normalizes_inputs(network);
        let mut targets = BatchTargets::default();
        match &samples.targets {
            TargetValues::Classes(_) => targets.classes.try_reserve_exact(batch)?,
            TargetValues::Values(_, cols) => {
                targets
                    .values
                    .try_reserve_exact(batch.saturating_mul(*cols))?;
            }
        }
        let inputs = match &samples.inputs {
            Inputs::Sparse(rows) if sparse => Some(rows),
            _ => None,
        };
        let mut space = Self {
            batch,
            input: zeroed(if sparse { 0 } else { padded(network.inputs()) })?,
            members: Members::new(network, inputs, batch, rule, threads)?,
            alone: Some((Team::alone(), Members::alone(network.layers().len()))),
            layers: layers.collect::<Result<_, _>>()?,
            velocity: None,
            targets,
            byte_values: byte_values(),
        };
        if rule != Rule::Sgd {
            space.velocity = Some(network.zeros_like()?);
        }
        Ok(space)
    }

    /// One step; returns the mean loss before it.
    ///
    /// Where the loss is not finite, nothing is updated. With several threads the network's
    /// first layer is not up to date afterwards: see [`Workspace::give_back`].
    ///
    /// # Panics
    /// If the network, the samples or the team are not those of [`Workspace::new`], or a
    /// sample does not exist.
    pub fn step(
        &mut self,
        mut batch: Batch<'_>,
        rule: Rule,
        lr: f32,
        clock: &mut impl Clock,
    ) -> f32 {
        let apply = match rule {
            Rule::Sgd => Apply::Sgd {
                rate: -(lr / self.batch as f32),
            },
            Rule::Momentum(momentum) => Apply::Momentum { momentum, lr },
        };
        self.members.take(batch.network);
        self.run(&mut batch, apply, clock)
    }

    /// Whether members of the team have what `network` has not.
    pub fn is_ahead(&self) -> bool {
        self.members.are_ahead()
    }

    /// Writes into a network what the members of the team have of it.
    pub fn write_into(&self, network: &mut Network) {
        self.members.write_into(network);
    }

    /// [`Workspace::write_into`] the network in training.
    pub fn give_back(&mut self, network: &mut Network) {
        self.members.give_back(network);
    }

    /// [`Workspace::give_back`], and the next step starts from `network` as it is then.
    pub fn forget(&mut self, network: &mut Network) {
        self.members.forget(network);
    }

    /// The mean loss and its gradient, in the shape of a network.
    ///
    /// # Errors
    /// If the memory for the gradient cannot be had.
    ///
    /// # Panics
    /// As [`Workspace::step`].
    pub fn gradient(&mut self, mut batch: Batch<'_>) -> Result<(f32, Network), TryReserveError> {
        // All of it goes to one place, whatever the members hold.
        self.members.forget(batch.network);
        // The gradient is a velocity without a past.
        let gradient = batch.network.zeros_like()?;
        let velocity = self.velocity.replace(gradient);
        let loss = self.run(&mut batch, Apply::Gradient, &mut ());
        let gradient = std::mem::replace(&mut self.velocity, velocity);
        match gradient {
            Some(gradient) => Ok((loss, gradient)),
            None => Ok((loss, batch.network.zeros_like()?)),
        }
    }

    fn run(&mut self, batch: &mut Batch<'_>, apply: Apply, clock: &mut impl Clock) -> f32 {
        let layers = self.layers.len();
        assert!(batch.ids.len() == self.batch && batch.network.layers().len() == layers);
        assert!(batch.team.threads() == self.members.each.len());
        self.members.each.iter_mut().for_each(Member::drop_ahead);
        let begun = self.members.finish_begun(batch.ids);
        if let (true, Some(first)) = (begun, self.layers.first_mut()) {
            let [y, z] = &mut first.coming;
            std::mem::swap(&mut first.y, y);
            std::mem::swap(&mut first.z, z);
        }
        self.gather(batch);
        clock.ended(Phase::Gather);
        let shared = self.shared(batch);
        for l in 0..shared {
            if l > 0 || !begun {
                self.forward(batch, l);
            }
            clock.ended(Phase::Forward(l));
        }
        let mean = self.above(batch, shared, apply, clock);
        if mean.is_finite() {
            self.backward(batch, 0..shared, apply, clock);
        }
        mean
    }

    /// Brings the batch's inputs and targets together. (Of several members, each gathers
    /// sparse inputs for itself, in the forward phase.)
    fn gather(&mut self, batch: &Batch<'_>) {
        let (samples, ids) = (batch.samples, batch.ids);
        let sparse = self.input.is_empty();
        if !sparse || self.members.each.len() == 1 {
            samples.prefetch(batch.isa, batch.coming, self.batch);
        }
        match (&samples.inputs, &mut self.members.each[..]) {
            (Inputs::Sparse(rows), [only]) if sparse => {
                only.gather(batch.isa, rows, ids, &self.byte_values)
            }
            (Inputs::Sparse(_), _) if sparse => {}
            _ => samples.copy_rows(ids, &self.byte_values, &mut self.input),
        }
        match &samples.targets {
            TargetValues::Classes(classes) => {
                self.targets.classes.clear();
                let classes = ids.iter().map(|&i| classes[i as usize]);
                self.targets.classes.extend(classes);
            }
            TargetValues::Values(values, cols) => {
                self.targets.values.clear();
                for &i in ids {
                    let row = &values[i as usize * cols..][..*cols];
                    self.targets.values.extend_from_slice(row);
                }
            }
        }
    }

    /// The loss summed over the batch, and dL/dy of each sample into the last delta.
    fn loss(&mut self, batch: &Batch<'_>) -> f32 {
        let layers = batch.network.layers();
        let (Some(space), Some(layer)) = (self.layers.last_mut(), layers.last()) else {
            return 0.0;
        };
        let y = rows(&space.y, self.batch, layer.fan_out);
        let targets = if self.targets.values.is_empty() {
            Targets::Classes(&self.targets.classes)
        } else {
            Targets::Values(MatRef::new(&self.targets.values, self.batch, layer.fan_out))
        };
        let grad = matrix(&mut space.delta, self.batch, layer.width);
        loss::loss_and_gradient(batch.isa, batch.loss, y, targets, grad)
    }
}

/// The multiply-adds that are worth another thread, those of 2 to 4 µs: to hand work over, to
/// fetch what another core has written and to wait takes 1 to 2.
const WORTH_SHARING: usize = 1 << 17;

/// What the columns of a layer are split over the team in multiples of: whole registers, or
/// all columns where the layer is too small to be shared.
fn granule(layer: &Layer, batch: usize) -> usize {
    let work = batch.saturating_mul(layer.fan_in.saturating_mul(layer.width));
    match work < WORTH_SHARING {
        true => usize::MAX,
        false => LANES,
    }
}

/// Whether the first layer normalizes its inputs: they are not sparse then.
pub(crate) fn normalizes_inputs(network: &Network) -> bool {
    let first = network.layers().first();
    first.is_some_and(|layer| layer.norm == Some(Placement::Input))
}

/// A row-major matrix over a whole buffer.
fn matrix(buffer: &mut [f32], rows: usize, cols: usize) -> MatMut<'_> {
    MatMut::new(buffer, rows, cols)
}

/// The same with as many rows as there are; none without columns.
fn whole(buffer: &mut [f32], cols: usize) -> MatMut<'_> {
    let rows = buffer.len() / cols.max(1);
    matrix(buffer, rows, cols)
}

/// The first `cols` columns of a buffer of `batch` rows that are padded to whole registers.
pub(crate) fn rows(buffer: &[f32], batch: usize, cols: usize) -> MatRef<'_> {
    MatRef::with_strides(buffer, batch, cols, padded(cols), 1)
}

fn rows_or_none(buffer: &[f32], batch: usize, cols: usize) -> Option<MatRef<'_>> {
    (!buffer.is_empty()).then(|| rows(buffer, batch, cols))
}

/// A matrix without rows, where a phase has none to pass.
fn empty<'a>(cols: usize) -> MatMut<'a> {
    MatMut::new(&mut [], 0, cols)
}

//! What each thread of a team has for itself.
//!
//! A member works on the same parts of the large layers' W in every step. In one matrix these
//! parts lie side by side, row by row, and the prefetchers of one core fetch what the other is
//! about to write; and what one has updated by rows, the other needs by columns. To carry W
//! to and fro takes longer than the arithmetic where cores share no cache. So with several
//! threads each member has its own copy of what it needs, keeps it up to date alone, and
//! writes it back when somebody asks for the network.

use super::chain::ChainSpace;
use super::{Rule, granule, matrix, normalizes_inputs, whole};
use crate::batch_norm::Placement;
use crate::network::{Layer, Network};
use fanin_kernels::sparse::{BatchColumns, BatchRows, SparseBytes};
use fanin_kernels::team::member_range;
use fanin_kernels::{Activation, AlignedBuffer, Isa, LANES, MatMut, MatRef, dense};
use std::collections::TryReserveError;
use std::ops::Range;

/// What one member has for itself, on lines that no other writes to (nor has fetched beside its
/// own: prefetchers take two at a time).
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Member {
    /// The sparse inputs of the batch, and transposed: every member has them all, for to share
    /// them takes longer than to make them.
    pub rows: BatchRows,
    pub columns: BatchColumns,
    /// The latter of the batch to come, where that is gathered ahead of its step.
    ahead: BatchColumns,
    has_ahead: bool,
    /// Of each layer, where members have copies.
    copies: Vec<LayerCopy>,
    /// Where layer 1 is a chain: what this member's rows of it give.
    pub sums: AlignedBuffer,
    /// Where layer 1 is a chain: this member's columns of what the batch is below it.
    pub space: ChainSpace,
}

/// A member's copy of the W of a layer, and of its velocity (momentum).
///
/// Of the first layer it has its columns, \[fan_in, columns\]. Of a chain ([`Members::chains`])
/// its rows, \[rows, width\]. Of others \[fan_in, width\], of which are kept up to date: its
/// rows, which give dX; and its columns, which give y.
#[derive(Default)]
struct LayerCopy {
    w: AlignedBuffer,
    velocity: AlignedBuffer,
}

/// Rows of W and of its velocity.
pub(super) type Rows<'a> = [MatMut<'a>; 2];

impl Member {
    /// Takes the samples `ids`.
    pub fn gather(&mut self, isa: Isa, inputs: &SparseBytes, ids: &[u32], values: &[f32; 256]) {
        self.rows.gather(inputs, ids);
        self.columns.gather(isa, inputs, ids, values);
    }

    /// Takes the samples `ids` of the batch to come. The columns stay those of this batch.
    pub fn gather_ahead(
        &mut self,
        isa: Isa,
        inputs: &SparseBytes,
        ids: &[u32],
        values: &[f32; 256],
    ) {
        self.rows.gather(inputs, ids);
        self.ahead.gather(isa, inputs, ids, values);
        self.has_ahead = true;
    }

    /// Goes on to the batch to come, if that has been gathered.
    pub fn take_ahead(&mut self) -> bool {
        if self.has_ahead {
            std::mem::swap(&mut self.columns, &mut self.ahead);
        }
        std::mem::take(&mut self.has_ahead)
    }

    /// Forgets what has been gathered ahead: another step begins.
    pub fn drop_ahead(&mut self) {
        self.has_ahead = false;
    }

    /// The columns `range` of layer `l`, its own.
    pub fn columns_of(&self, l: usize, layer: &Layer, range: Range<usize>) -> MatRef<'_> {
        let w = &self.copies[l].w;
        match l {
            0 => MatRef::new(w, layer.fan_in, range.len()),
            _ => MatRef::new(w, layer.fan_in, layer.width).col_range(range.start, range.end),
        }
    }

    /// Its `cols` columns of the first layer, without rows where it has none; and the batch.
    pub fn first_layer(&mut self, cols: usize) -> (Rows<'_>, &BatchColumns) {
        (self.copies[0].rows(cols), &self.columns)
    }

    /// What it has of layer 1, if that is a chain: its rows.
    pub fn rows_of_chain(&mut self, width: usize) -> Rows<'_> {
        self.copies[1].rows(width)
    }

    /// The beginning of the chain that layer 1 is: `sums = x·W + bias` for its rows of W, of
    /// which `x` \[batch, rows\] has the inputs.
    pub fn begin_chain(&mut self, isa: Isa, x: MatRef<'_>, bias: &[f32]) {
        let width = bias.len();
        let w = MatRef::new(&self.copies[1].w, x.cols(), width);
        let sums = matrix(&mut self.sums, x.rows(), width);
        dense::forward(isa, x, w, bias, Activation::Identity, None, sums);
    }

    /// Layer `l` > 0 cut into the rows before `range`, those (its own), and those after it.
    pub fn cut(&mut self, l: usize, width: usize, range: Range<usize>) -> [Rows<'_>; 3] {
        let [w, velocity] = self.copies[l].rows(width).map(|all| {
            let (start, end) = (range.start.min(all.rows()), range.end.min(all.rows()));
            let (head, after) = all.split_at_row(end);
            let (before, own) = head.split_at_row(start);
            [before, own, after]
        });
        let [[w0, w1, w2], [v0, v1, v2]] = [w, velocity];
        [[w0, v0], [w1, v1], [w2, v2]]
    }
}

impl LayerCopy {
    /// W, and its velocity, which is without rows where there is none.
    fn rows(&mut self, cols: usize) -> Rows<'_> {
        [&mut self.w, &mut self.velocity].map(|buffer| whole(buffer, cols))
    }
}

/// How the members' copies stand to the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The network has been changed, or was never copied.
    Outdated,
    /// What the copies have is in the network.
    Same,
    /// The copies have been trained.
    Ahead,
}

/// The members of a team.
pub(super) struct Members {
    pub each: Vec<Member>,
    state: State,
    /// What is copied of each layer.
    held: Vec<Option<Held>>,
    /// Whether layer 1 is a chain.
    chain: bool,
    /// Whether its beginning has been made, for the batch whose step this is.
    chain_begun: bool,
    /// The batch whose first layer's outputs have been made ahead of its step, from what the
    /// copies have; empty if there is none.
    begun: Vec<u32>,
}

/// What each member's copy of a layer is.
struct Held {
    /// The columns that it has: of the first layer the member's, of others all.
    columns: Vec<Range<usize>>,
    /// The rows in which all of these are up to date: all of the first layer, of others the
    /// member's.
    rows: Vec<Range<usize>>,
    /// The rows that it has.
    copied: Vec<Range<usize>>,
}

/// The most numbers that all copies of a hidden layer may have together: copies are for what
/// stays in the members' caches.
const MOST_COPIED: usize = 1 << 22;

impl Held {
    /// What members hold of layer `l` of `network`; nothing if one of them would do it all,
    /// or has no part in it, or the copies would be too large.
    fn of(network: &Network, l: usize, batch: usize, threads: usize) -> Option<Self> {
        let layer = &network.layers()[l];
        let granule = granule(layer, batch);
        // Normalized inputs are split by rows.
        if threads == 1 || granule != LANES || (l == 0 && normalizes_inputs(network)) {
            return None;
        }
        let copied = layer
            .fan_in
            .saturating_mul(layer.width)
            .saturating_mul(threads);
        if l > 0 && copied > MOST_COPIED {
            return None;
        }
        let parts = |n| {
            let parts = (0..threads).map(|m| member_range(n, granule, threads, m));
            parts.collect::<Vec<_>>()
        };
        let (columns, rows) = (parts(layer.width), parts(layer.fan_in));
        let idle = |parts: &[Range<usize>]| parts.iter().any(Range::is_empty);
        if idle(&columns) || (l > 0 && idle(&rows)) {
            return None;
        }
        let all_rows = vec![0..layer.fan_in; threads];
        Some(match l {
            0 => Self {
                columns,
                rows: all_rows.clone(),
                copied: all_rows,
            },
            _ => Self {
                columns: vec![0..layer.width; threads],
                rows,
                copied: all_rows,
            },
        })
    }
}

/// Whether layer 1 of `network` is a chain, if that and the layer before are held: two members who begin batches ahead of
/// their step. Then who has the first rows of W, which are its columns of the layer before, makes
/// the first part of all sums as soon as it has its inputs, and the other goes on from there. So
/// only sums go from one to the other, and nobody needs to keep others' rows up to date. (With more
/// members each would wait for those before it.)
fn is_chain(network: &Network, sparse: bool, threads: usize) -> bool {
    let [first, second, ..] = network.layers() else {
        return false;
    };
    threads == 2 && sparse && first.norm.is_none() && second.norm != Some(Placement::Input)
}

impl Members {
    /// Memory for `threads` members; `inputs` where the first layer reads them.
    pub fn new(
        network: &Network,
        inputs: Option<&SparseBytes>,
        batch: usize,
        rule: Rule,
        threads: usize,
    ) -> Result<Self, TryReserveError> {
        let layers = network.layers();
        let held = (0..layers.len()).map(|l| Held::of(network, l, batch, threads));
        let mut held: Vec<_> = held.collect();
        let chain =
            is_chain(network, inputs.is_some(), threads) && held[..2].iter().all(Option::is_some);
        if chain && let Some(second) = &mut held[1] {
            second.copied = second.rows.clone();
        }
        let mut each = Vec::new();
        for m in 0..threads {
            let mut member = Member::default();
            if let Some(rows) = inputs {
                member.rows = BatchRows::with_capacity(rows, batch)?;
                member.columns = BatchColumns::with_capacity(rows, batch)?;
                if chain {
                    member.ahead = BatchColumns::with_capacity(rows, batch)?;
                }
            }
            for held in &held {
                let copied = held.as_ref().map_or(0, |held| {
                    held.copied[m].len().saturating_mul(held.columns[m].len())
                });
                let zeroed = || AlignedBuffer::zeroed(copied);
                let mut copy = LayerCopy {
                    w: zeroed()?,
                    ..LayerCopy::default()
                };
                if rule != Rule::Sgd {
                    copy.velocity = zeroed()?;
                }
                member.copies.push(copy);
            }
            if chain {
                member.sums = AlignedBuffer::zeroed(batch.saturating_mul(layers[1].width))?;
                let cols = held[0].as_ref().map_or(0, |held| held.columns[m].len());
                let above = if m == 0 { 0 } else { layers[1].width };
                member.space = ChainSpace::new(batch, &layers[0], cols, above)?;
            }
            each.push(member);
        }
        let mut begun = Vec::new();
        begun.try_reserve_exact(batch)?;
        Ok(Self {
            each,
            state: State::Outdated,
            held,
            chain,
            chain_begun: false,
            begun,
        })
    }

    /// One member, who holds nothing of `layers` layers: for what one does alone beside the others.
    pub fn alone(layers: usize) -> Self {
        Self {
            each: vec![Member::default()],
            state: State::Outdated,
            held: (0..layers).map(|_| None).collect(),
            chain: false,
            chain_begun: false,
            begun: Vec::new(),
        }
    }

    /// Whether the members' W of layer `l` is what counts.
    pub fn hold(&self, l: usize) -> bool {
        self.state != State::Outdated && self.held[l].is_some()
    }

    /// Whether layer `l` is a chain: member 1, who has the first rows of it, begins the sums, and
    /// member 0 goes on with its own.
    pub fn chains(&self, l: usize) -> bool {
        l == 1 && self.chain && self.hold(1)
    }

    /// Whether the beginning of the chain is there. It is only once.
    pub fn finish_chain_begun(&mut self) -> bool {
        std::mem::take(&mut self.chain_begun)
    }

    /// The first layer's outputs for the batch `ids` have been made, ahead of its step; and the
    /// beginning of the chain, if there is one.
    pub fn have_begun(&mut self, ids: &[u32]) {
        self.begun.clear();
        self.begun.extend_from_slice(ids);
    }

    /// Whether the first layer's outputs for the batch `ids` are there. They are only once.
    pub fn finish_begun(&mut self, ids: &[u32]) -> bool {
        let made = self.begun == ids;
        self.begun.clear();
        self.chain_begun = made && self.chain;
        if self.chain_begun {
            self.each.iter_mut().for_each(|own| own.space.take_coming());
        }
        made
    }

    /// Sees to it that the members have the network's W, before a step that changes it.
    pub fn take(&mut self, network: &Network) {
        if self.state == State::Outdated {
            for (l, held) in self.held.iter().enumerate() {
                let Some(held) = held else { continue };
                let w = network.weights(l);
                let ranges = held.columns.iter().zip(&held.copied);
                for (member, (columns, copied)) in self.each.iter_mut().zip(ranges) {
                    let [mut to, _] = member.copies[l].rows(columns.len());
                    for (i, r) in copied.clone().enumerate() {
                        to.row_mut(i).copy_from_slice(&w.row(r)[columns.clone()]);
                    }
                }
            }
        }
        self.state = State::Ahead;
    }

    /// Whether they have what the network has not.
    pub fn are_ahead(&self) -> bool {
        self.state == State::Ahead && self.held.iter().any(Option::is_some)
    }

    /// Writes their W into a network.
    pub fn write_into(&self, network: &mut Network) {
        for (l, held) in self.held.iter().enumerate() {
            let Some(held) = held else { continue };
            let mut to = network.layer_mut(l).w;
            let ranges = held.columns.iter().zip(&held.rows).zip(&held.copied);
            for (member, ((columns, rows), copied)) in self.each.iter().zip(ranges) {
                let w = MatRef::new(&member.copies[l].w, copied.len(), columns.len());
                for r in rows.clone() {
                    to.row_mut(r)[columns.clone()].copy_from_slice(w.row(r - copied.start));
                }
            }
        }
    }

    /// [`Members::write_into`] the network in training.
    pub fn give_back(&mut self, network: &mut Network) {
        if self.state == State::Ahead {
            self.write_into(network);
            self.state = State::Same;
        }
    }

    /// The network is about to be changed from outside.
    pub fn forget(&mut self, network: &mut Network) {
        self.give_back(network);
        self.state = State::Outdated;
        self.begun.clear();
    }
}

//! What each thread of a team has for itself.
//!
//! A member works on the same parts of the large layers' W in every step. In one matrix these
//! parts lie side by side, row by row, and the prefetchers of one core fetch what the other is
//! about to write; and what one has updated by rows, the other needs by columns. To carry W
//! to and fro takes longer than the arithmetic where cores share no cache. So with several
//! threads each member has its own copy of what it needs, keeps it up to date alone, and
//! writes it back when somebody asks for the network.

use super::{Rule, granule, normalizes_inputs};
use crate::network::{Layer, Network};
use fanin_kernels::sparse::{BatchColumns, BatchRows, SparseBytes};
use fanin_kernels::team::member_range;
use fanin_kernels::{AlignedBuffer, LANES, MatMut, MatRef};
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
    /// Of each layer, where members have copies.
    copies: Vec<LayerCopy>,
}

/// A member's copy of the W of a layer, and of its velocity (momentum).
///
/// Of the first layer it has its columns, \[fan_in, columns\]. Of others \[fan_in, width\],
/// of which are kept up to date: its rows, which give dX; and its columns, which give y.
#[derive(Default)]
struct LayerCopy {
    w: AlignedBuffer,
    velocity: AlignedBuffer,
}

/// Rows of W and of its velocity.
pub(super) type Rows<'a> = [MatMut<'a>; 2];

impl Member {
    /// Takes the samples `ids`.
    pub fn gather(&mut self, inputs: &SparseBytes, ids: &[u32], values: &[f32; 256]) {
        self.rows.gather(inputs, ids);
        self.columns.gather(inputs, ids, values);
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
        [&mut self.w, &mut self.velocity].map(|buffer| {
            let rows = buffer.len() / cols.max(1);
            MatMut::new(buffer, rows, cols)
        })
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
        Some(match l {
            0 => Self {
                columns,
                rows: vec![0..layer.fan_in; threads],
            },
            _ => Self {
                columns: vec![0..layer.width; threads],
                rows,
            },
        })
    }
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
        let held: Vec<_> = held.collect();
        let mut each = Vec::new();
        for m in 0..threads {
            let mut member = Member::default();
            if let Some(rows) = inputs {
                member.rows = BatchRows::with_capacity(rows, batch)?;
                member.columns = BatchColumns::with_capacity(rows, batch)?;
            }
            for (layer, held) in layers.iter().zip(&held) {
                let cols = held.as_ref().map_or(0, |held| held.columns[m].len());
                let zeroed = || AlignedBuffer::zeroed(layer.fan_in.saturating_mul(cols));
                let mut copy = LayerCopy {
                    w: zeroed()?,
                    ..LayerCopy::default()
                };
                if rule != Rule::Sgd {
                    copy.velocity = zeroed()?;
                }
                member.copies.push(copy);
            }
            each.push(member);
        }
        let mut begun = Vec::new();
        begun.try_reserve_exact(batch)?;
        Ok(Self {
            each,
            state: State::Outdated,
            held,
            begun,
        })
    }

    /// Whether the members' W of layer `l` is what counts.
    pub fn hold(&self, l: usize) -> bool {
        self.state != State::Outdated && self.held[l].is_some()
    }

    /// The first layer's outputs for the batch `ids` have been made, ahead of its step.
    pub fn have_begun(&mut self, ids: &[u32]) {
        self.begun.clear();
        self.begun.extend_from_slice(ids);
    }

    /// Whether the first layer's outputs for the batch `ids` are there. They are only once.
    pub fn finish_begun(&mut self, ids: &[u32]) -> bool {
        let made = self.begun == ids;
        self.begun.clear();
        made
    }

    /// Sees to it that the members have the network's W, before a step that changes it.
    pub fn take(&mut self, network: &Network) {
        if self.state == State::Outdated {
            for (l, held) in self.held.iter().enumerate() {
                let Some(held) = held else { continue };
                let w = network.weights(l);
                for (member, columns) in self.each.iter_mut().zip(&held.columns) {
                    let [mut to, _] = member.copies[l].rows(columns.len());
                    for r in 0..w.rows() {
                        to.row_mut(r).copy_from_slice(&w.row(r)[columns.clone()]);
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
            let ranges = held.columns.iter().zip(&held.rows);
            for (member, (columns, rows)) in self.each.iter().zip(ranges) {
                let w = MatRef::new(&member.copies[l].w, to.rows(), columns.len());
                for r in rows.clone() {
                    to.row_mut(r)[columns.clone()].copy_from_slice(w.row(r));
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

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
use fanin_kernels::sparse::{self, BatchColumns, BatchRows, SparseBytes};
use fanin_kernels::team::member_range;
use fanin_kernels::{AlignedBuffer, Isa, LANES, MatMut, MatRef};
use std::collections::TryReserveError;
use std::ops::Range;

/// What one member has for itself.
#[derive(Default)]
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
    /// Takes the samples `ids`, and asks for the `coming` ones to be fetched into its cache:
    /// those of the next step, then of the one after it.
    pub fn gather(
        &mut self,
        isa: Isa,
        inputs: &SparseBytes,
        [ids, coming]: [&[u32]; 2],
        values: &[f32; 256],
    ) {
        let (next, later) = coming.split_at(ids.len().min(coming.len()));
        sparse::prefetch(isa, inputs, next, later);
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

    /// Its `cols` columns of the first layer, where it has them; and the batch.
    pub fn first_layer(&mut self, cols: usize) -> (Option<Rows<'_>>, &BatchColumns) {
        let rows = self.copies.first_mut().map(|copy| copy.rows(cols));
        (rows, &self.columns)
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
}

/// Where the copies of a layer are split.
struct Held {
    /// The columns of each member.
    columns: Vec<Range<usize>>,
    /// The rows of each member; none of the first layer, which is copied by columns.
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
        let rows = if l == 0 { 0 } else { layer.fan_in };
        let range = |n, m| {
            let range = member_range(n, granule, threads, m);
            range.start.min(n)..range.end.min(n)
        };
        let all = |n| (0..threads).map(|m| range(n, m)).collect::<Vec<_>>();
        let (columns, rows) = (all(layer.width), all(rows));
        let idle =
            columns.iter().any(Range::is_empty) || (l > 0 && rows.iter().any(Range::is_empty));
        (!idle).then_some(Self { columns, rows })
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
            for (l, (layer, held)) in layers.iter().zip(&held).enumerate() {
                let cols = match (l, held) {
                    (_, None) => 0,
                    (0, Some(held)) => held.columns[m].len(),
                    _ => layer.width,
                };
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
        Ok(Self {
            each,
            state: State::Outdated,
            held,
        })
    }

    /// Whether the members' W of layer `l` is what counts.
    pub fn hold(&self, l: usize) -> bool {
        self.state != State::Outdated && self.held[l].is_some()
    }

    /// Sees to it that the members have the network's W, before a step that changes it.
    pub fn take(&mut self, network: &Network) {
        if self.state == State::Outdated {
            for (l, held) in self.held.iter().enumerate() {
                let Some(held) = held else { continue };
                let w = network.weights(l);
                for (member, range) in self.each.iter_mut().zip(&held.columns) {
                    let range = if l == 0 { range.clone() } else { 0..w.cols() };
                    let [mut to, _] = member.copies[l].rows(range.len());
                    for r in 0..w.rows() {
                        to.row_mut(r).copy_from_slice(&w.row(r)[range.clone()]);
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
                let (columns, rows) = match l {
                    0 => (columns.clone(), 0..to.rows()),
                    _ => (0..to.cols(), rows.clone()),
                };
                let w = MatRef::new(&member.copies[l].w, to.rows(), columns.len());
                for r in rows {
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
    }
}

//! A part of the runs, for one of several machines.

use super::Plan;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, TryReserveError};

/// Part `index` of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The most parts: no sweep has more runs.
    pub const MAX_COUNT: u32 = super::MAX_RUNS as u32;

    /// Part `index`, from 0, of `count`; `None` unless index < count ≤ [`Shard::MAX_COUNT`].
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (index < count && count <= Self::MAX_COUNT).then_some(Self { index, count })
    }

    /// Which part, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    pub fn count(self) -> u32 {
        self.count
    }
}

impl Plan {
    /// The numbers of the runs of a shard, those that cost most first.
    ///
    /// All runs are put in the order of their estimated [cost](super::cost()), the greatest first,
    /// and of their ids where it is equal; then each goes to the shard that has the least so
    /// far (the first of these): Graham's LPT rule. So no shard has more than the mean plus
    /// the cost of one run; each run is in one shard; and every machine that has the same
    /// spec and data comes to the same parts by itself. How the spec is written does not
    /// matter; what is in it does: other runs make other parts.
    ///
    /// Makes the id of every run of the plan (a few microseconds each) and takes 32 bytes
    /// for each.
    ///
    /// # Errors
    /// If there is no memory for that.
    pub fn shard(&self, shard: Shard) -> Result<Vec<u32>, TryReserveError> {
        let runs = self.runs() as usize;
        let mut all = Vec::new();
        all.try_reserve_exact(runs)?;
        all.extend(self.iter().map(|run| {
            // Its first 64 bits are enough to put runs in order; were they equal, the order
            // would be that of the plan.
            let id = run.id.get(..16);
            let id = id.and_then(|id| u64::from_str_radix(id, 16).ok());
            (Reverse(cost_bits(self.cost(&run))), id, run.index)
        }));
        all.sort_unstable();
        // (load, shard), the least on top.
        let mut loads = BinaryHeap::new();
        loads.try_reserve_exact(shard.count as usize)?;
        loads.extend((0..shard.count).map(|i| Reverse((cost_bits(0.0), i))));
        let mut mine = Vec::new();
        mine.try_reserve(runs / shard.count as usize + 1)?;
        for (Reverse(cost), _, run) in all {
            let Some(mut least) = loads.peek_mut() else {
                break;
            };
            let Reverse((load, i)) = *least;
            let load = f64::from_bits(load) + f64::from_bits(cost);
            *least = Reverse((cost_bits(load), i));
            if i == shard.index {
                mine.try_reserve(1)?;
                mine.push(run);
            }
        }
        Ok(mine)
    }
}

/// Bits in the order of the numbers, which are ≥ 0.
fn cost_bits(cost: f64) -> u64 {
    cost.max(0.0).to_bits()
}

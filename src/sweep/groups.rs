//! Statistics over the runs of a store, group by group.
//!
//! ```no_run
//! use fanin::sweep::{GroupOptions, Groups, Selection, store::Store};
//!
//! # fn main() -> Result<(), fanin::Error> {
//! let index = Store::open("depths".as_ref())?.index()?;
//! let selection = Selection::parse(&["batch_norm=off".into()])?;
//! let options = GroupOptions { selection, ..GroupOptions::default() };
//! let groups = Groups::read(&index, &options)?;
//! for group in &groups.groups {
//!     let mean = group.accuracy.map(|accuracy| accuracy.mean);
//!     println!("{:?} {} {mean:?}", group.key, group.n());
//! }
//! # Ok(())
//! # }
//! ```

mod axes;
mod collect;
mod curve;
mod key;
mod order;
mod reach;

pub use curve::CurvePoint;
pub use key::{Key, KeyError};
pub use reach::{Reach, ReachError};

use super::store::{Index, StoreError};
use super::{Outcome, Selection, Spec, Value};
use crate::stats::{Summary, median, wilson};
use collect::{Cell, Codes, Collected};
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

/// What is grouped, and how.
#[derive(Clone, Debug, Default)]
pub struct GroupOptions {
    /// The keys whose values make a group. `None`: those that vary, but for the seed and for
    /// those whose value follows from another's.
    pub by: Option<Vec<Key>>,
    /// Which runs count.
    pub selection: Selection,
    /// The spec of the sweep, if it is known: it gives texts their order.
    pub spec: Option<Spec>,
    /// The test accuracy that [`Group::reached`] and [`Group::steps_to_reach`] are about.
    pub reach: Reach,
}

/// Runs by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All steps done.
    pub ok: usize,
    /// The loss or a parameter became infinite or NaN.
    pub diverged: usize,
    /// Ended early by a rule of the spec.
    pub pruned: usize,
    /// Ended otherwise, but with a result.
    pub other: usize,
    /// Could not be run: no result.
    pub failed: usize,
}

impl Counts {
    fn of(status: &str) -> Self {
        let mut counts = Self::default();
        match status {
            "ok" => counts.ok = 1,
            "diverged" => counts.diverged = 1,
            "pruned" => counts.pruned = 1,
            super::store::FAILED => counts.failed = 1,
            _ => counts.other = 1,
        }
        counts
    }

    fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.diverged += other.diverged;
        self.pruned += other.pruned;
        self.other += other.other;
        self.failed += other.failed;
    }

    /// Runs with a result: all but those that failed.
    #[must_use]
    pub fn results(&self) -> usize {
        self.ok + self.diverged + self.pruned + self.other
    }
}

/// A key and the values it takes among the runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The key.
    pub key: Key,
    /// In order: none, numbers ascending, texts as in the spec, then by letters.
    pub values: Vec<Option<Value>>,
}

/// A key that varies, and whose value follows from those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// The key.
    pub key: Key,
    /// What it follows from.
    pub from: Vec<Key>,
}

/// The runs that have the same values of some keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The value of each key of [`Groups::by`]; `None` where it has none, as `bn_eval`
    /// without batch normalization.
    pub key: Vec<Option<Value>>,
    /// The place of each among the values of its axis, from 0.
    pub places: Vec<usize>,
    /// Its runs by how they ended.
    pub counts: Counts,
    /// The final test accuracies, 0 to 1: the last one measured, also of runs that diverged
    /// or were pruned. `None` if there is none.
    pub accuracy: Option<Summary>,
    /// What [`Self::accuracy`] summarizes, ascending.
    pub accuracies: Vec<f64>,
    /// Runs with an evaluation, that before the first step among them, that has reached
    /// [`Groups::reach`].
    pub reached: usize,
    /// Steps to the first such evaluation: the median of those runs.
    pub steps_to_reach: Option<f64>,
    /// Time of a run from start to end, s: the median.
    pub seconds: Option<f64>,
    /// Test accuracies by step; empty if [`Groups::has_curves`] is false.
    pub curve: Vec<CurvePoint>,
}

impl Group {
    /// Runs with a result, whatever it is.
    #[must_use]
    pub fn n(&self) -> usize {
        self.counts.results()
    }

    /// The share of [`Self::n`] that [reached](Self::reached) the accuracy; `None` if that
    /// is 0.
    #[must_use]
    pub fn share_reached(&self) -> Option<f64> {
        (self.n() > 0).then(|| self.reached as f64 / self.n() as f64)
    }

    /// The 95 % interval of [`Self::share_reached`]: [`wilson`].
    #[must_use]
    pub fn share_reached_ci95(&self) -> Option<(f64, f64)> {
        wilson(self.reached, self.n())
    }

    fn of(key: Vec<Option<Value>>, places: Vec<usize>, cell: Cell) -> Self {
        let mut accuracies = cell.accuracies;
        accuracies.sort_by(f64::total_cmp);
        Self {
            key,
            places,
            counts: cell.counts,
            accuracy: Summary::of(&accuracies),
            accuracies,
            reached: cell.reached.len(),
            steps_to_reach: median(&cell.reached),
            seconds: median(&cell.seconds),
            curve: cell.curve.points(),
        }
    }
}

/// One of the runs with the highest final accuracies.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The id of the run.
    pub run: String,
    /// How it ended.
    pub status: String,
    /// Its values of the keys in [`Groups::axes`].
    pub config: Vec<Option<Value>>,
    /// Its seed.
    pub seed: u64,
    /// Its final test accuracy, 0 to 1.
    pub accuracy: f64,
    /// The first evaluated step that has reached [`Groups::reach`].
    pub steps_to_reach: Option<u64>,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The id of the run.
    pub run: String,
    /// Its values of the keys in [`Groups::axes`].
    pub config: Vec<Option<Value>>,
    /// Its seed.
    pub seed: u64,
    /// Why, its first 300 characters.
    pub error: String,
}

/// Where records come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// Records by host; at most 1,000 hosts.
    pub hosts: BTreeMap<String, usize>,
    /// Records by version of fanin; at most 1,000.
    pub versions: BTreeMap<String, usize>,
    /// When the first and the last record were made, RFC 3339, UTC.
    pub times: Option<(String, String)>,
    /// Time of all runs, from start to end of each, s.
    pub seconds: f64,
    /// How many seeds there are, at most 100,000.
    pub seeds: usize,
    /// The least and the greatest seed.
    pub seed_range: Option<(u64, u64)>,
}

/// The runs of a store in groups, with statistics.
///
/// Nothing depends on the order of the records but the last digits of
/// [`Origin::seconds`].
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// What makes a group.
    pub by: Vec<Axis>,
    /// By the values of [`Self::by`], each in the order of [`Axis::values`].
    pub groups: Vec<Group>,
    /// The keys that take more than one value among the runs, but for the seed and for
    /// [`Self::following`].
    pub axes: Vec<Axis>,
    /// The keys that vary too but say nothing of their own.
    pub following: Vec<Follows>,
    /// The keys that vary inside groups: what the statistics are over. Those that
    /// [follow](Self::following) from others are not among them.
    pub pooled: Vec<Key>,
    /// The test accuracy that [`Group::reached`], [`Group::steps_to_reach`] and
    /// [`Best::steps_to_reach`] are about.
    pub reach: Reach,
    /// All runs that were selected.
    pub counts: Counts,
    /// Runs in the store, selected or not.
    pub runs: usize,
    /// Records that are not those of training runs, and what is wrong with the first.
    pub unreadable: Option<(usize, String)>,
    /// Whether there are curves: not if they have more than four million points.
    pub has_curves: bool,
    /// The ten runs with the highest final accuracies, best first.
    pub best: Vec<Best>,
    /// The first twenty of the runs that failed, by id.
    pub failures: Vec<Failure>,
    /// Where the records come from.
    pub origin: Origin,
}

impl Groups {
    /// Reads all records once. Meanwhile it takes, measured with 14,400 runs, up to 120 bytes
    /// for each run of a large group. One that is alone in its group takes up to 1.5 kB, and
    /// 80 bytes for each of its evaluations: a curve has its points once for all runs that
    /// differ in nothing but the seed. What it returns has 8 bytes for each run, and for each
    /// group 0.5 kB and 40 bytes for each point of its curve.
    ///
    /// # Errors
    /// As [`Index::visit`]; [`StoreError::Memory`].
    pub fn read(index: &Index, options: &GroupOptions) -> Result<Self, StoreError> {
        let by_seed = options.by.iter().flatten().any(|key| *key == Key::SEED);
        let mut collected = Collected::new(by_seed, options.reach);
        let mut unreadable: Option<(usize, String)> = None;
        let mut failure = None;
        index.visit(|line| {
            match Outcome::of(&line) {
                Ok(outcome) if options.selection.matches(&outcome) => {
                    if let Err(error) = collected.add(&outcome) {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let first = || (0, format!("{}: {error}", line.location()));
                    unreadable.get_or_insert_with(first).0 += 1;
                }
            }
            ControlFlow::Continue(())
        })?;
        match failure {
            Some(error) => Err(error.into()),
            None => Self::of(collected, index.len(), unreadable, options),
        }
    }

    fn of(
        mut collected: Collected,
        runs: usize,
        unreadable: Option<(usize, String)>,
        options: &GroupOptions,
    ) -> Result<Self, StoreError> {
        let spec = options.spec.as_ref();
        let (independent, following) = axes::independent(&collected);
        let mut by = Vec::new();
        for key in options.by.as_ref().unwrap_or(&independent) {
            if !by.contains(key) {
                by.push(*key);
            }
        }
        let ranks = |key: &Key| axes::ranks(&collected, *key, spec);
        let axis = |key: &Key| axes::axis(&collected, *key, &ranks(key));
        let axes: Vec<Axis> = independent.iter().map(axis).collect();
        let ranks_of_by: Vec<Vec<u32>> = by.iter().map(ranks).collect();
        let by_axes: Vec<Axis> = by.iter().map(axis).collect();

        let mut groups: BTreeMap<Vec<usize>, (Box<Codes>, Cell)> = BTreeMap::new();
        // Of the keys, whether their values differ in a group.
        let mut differ = [false; Key::COUNT];
        for (codes, cell) in std::mem::take(&mut collected.cells) {
            let ranks = by.iter().zip(&ranks_of_by);
            let places = ranks.map(|(key, ranks)| ranks[codes[key.index()] as usize] as usize);
            match groups.entry(places.collect()) {
                Entry::Vacant(entry) => {
                    entry.insert((codes, cell));
                }
                Entry::Occupied(entry) => {
                    let (first, known) = entry.into_mut();
                    let pairs = first.iter().zip(codes.iter());
                    for (differ, (a, b)) in differ.iter_mut().zip(pairs) {
                        *differ |= a != b;
                    }
                    known.append(cell)?;
                }
            }
        }
        let mut cells = groups.values().map(|(_, cell)| cell);
        let seeds_differ = cells.any(Cell::has_several_seeds);
        let pooled = independent
            .iter()
            .filter(|key| differ[key.index()])
            .copied();
        let pooled = pooled.chain(seeds_differ.then_some(Key::SEED)).collect();
        let groups = groups.into_iter().map(|(places, (_, cell))| {
            let axes = by_axes.iter().zip(&places);
            let key = axes.map(|(axis, place)| axis.values[*place].clone());
            Group::of(key.collect(), places, cell)
        });
        let groups = groups.collect();
        let value = |key: &Key, code: u32| {
            let values = &collected.columns[key.index()].values;
            values.get(code as usize).cloned().flatten()
        };
        let config = |codes: &Codes| {
            let values = independent.iter().map(|key| value(key, codes[key.index()]));
            values.collect()
        };
        let best = collected.best.iter().map(|(codes, best)| Best {
            config: config(codes),
            ..best.clone()
        });
        let failures = collected.failures.values().map(|(codes, failure)| Failure {
            config: config(codes),
            ..failure.clone()
        });
        Ok(Self {
            groups,
            axes,
            following,
            pooled,
            reach: options.reach,
            counts: collected.counts,
            runs,
            unreadable,
            has_curves: collected.has_curves(),
            best: best.collect(),
            failures: failures.collect(),
            origin: Origin {
                hosts: collected.hosts,
                versions: collected.versions,
                times: collected.times,
                seconds: collected.seconds,
                seeds: collected.seeds.len(),
                seed_range: collected.seed_range,
            },
            by: by_axes,
        })
    }

    /// Whether no run was selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

//! The runs of a sweep, by their numbers.

mod cost;
mod filter;
mod possible;
mod resolve;
mod shard;
#[cfg(test)]
mod tests;
mod together;

pub use cost::cost;
pub(crate) use cost::evaluations;
pub use shard::Shard;
#[cfg(test)]
pub(in crate::sweep) use together::most_evaluations;

use super::MAX_RUNS;
use super::identity::{data_identity, run_id};
use super::spec::{Axis, Field, Spec, SpecError, Value};
use crate::TrainConfig;
use crate::data::Dataset;
use crate::report::grouped;
use filter::Filter;
use resolve::Draft;
use serde::{Deserialize, Serialize};

/// What a plan must know of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// [`data_identity`]: part of the id of every run.
    pub identity: String,
    /// Inputs of a sample.
    pub inputs: usize,
    /// 1 + the largest label.
    pub classes: usize,
    /// Training samples, with those held out.
    pub train: usize,
    /// Test samples.
    pub test: usize,
}

impl DataFacts {
    /// The shape of MNIST and of Fashion-MNIST, with an empty identity: enough to count and
    /// to estimate, not to name runs.
    pub const MNIST: Self = Self {
        identity: String::new(),
        inputs: 784,
        classes: 10,
        train: 60_000,
        test: 10_000,
    };

    /// Those of a data set.
    pub fn of(dataset: &Dataset) -> Self {
        let labels = dataset.train.labels().iter().chain(dataset.test.labels());
        Self {
            identity: data_identity(dataset),
            inputs: dataset.train.pixels(),
            classes: labels.max().map_or(0, |label| usize::from(*label) + 1),
            train: dataset.train.len(),
            test: dataset.test.len(),
        }
    }
}

/// As many axes as there are keys: no key varies on two.
const MAX_AXES: usize = Field::COUNT;

/// Which value a combination has on each axis, from 0.
pub(crate) type Digits = [u32; MAX_AXES];

/// All runs of a spec. Its size does not depend on how many there are.
#[derive(Clone, Debug)]
pub struct Plan {
    base: Draft,
    axes: Vec<Axis>,
    data: DataFacts,
    hold_out: usize,
    filter: Filter,
    combinations: u32,
    excluded: u32,
    duplicates: u32,
}

/// An axis of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisSummary {
    /// Its key; the keys of a `[[zip]]`.
    pub names: Vec<&'static str>,
    /// How many values it has.
    pub values: u32,
}

/// A run to do.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// The number of its combination in the plan, from 0.
    pub index: u32,
    /// Each key that varies, and its value, in the order of the text.
    pub axes: Vec<(&'static str, Value)>,
    /// All that decides the result, with one thread.
    pub config: TrainConfig,
    /// Its [`run_id`].
    pub id: String,
}

impl Plan {
    /// The runs of `spec` on the data that `data` describes.
    ///
    /// Goes over all combinations once if some may be left out, without making their
    /// configurations.
    ///
    /// # Errors
    /// More than [`MAX_RUNS`] combinations, or none; values that no run on these data can
    /// have; and, unless an `[[exclude]]` leaves them out: layers to freeze that are not there,
    /// batch normalization of batches of 1, networks of more than [`MAX_PARAMETERS`], more
    /// evaluations than a [record](crate::sweep::store) can hold.
    ///
    /// [`MAX_PARAMETERS`]: crate::network::MAX_PARAMETERS
    pub fn new(spec: &Spec, data: &DataFacts) -> Result<Self, SpecError> {
        let axes = spec.axes.clone();
        let lengths = axes.iter().map(|axis| u128::from(axis.len()));
        let product = lengths.fold(1u128, u128::saturating_mul);
        let combinations = u32::try_from(product)
            .ok()
            .filter(|n| u64::from(*n) <= MAX_RUNS)
            .ok_or_else(|| {
                let message = format!(
                    "{} combinations: expected at most {}",
                    grouped(&product.to_string()),
                    grouped(&MAX_RUNS.to_string())
                );
                SpecError::new(spec.grid_at, message)
            })?;
        let base = Draft::new(&spec.train);
        let filter = Filter::new(&base, &axes, &spec.excludes)?;
        let mut plan = Self {
            base,
            axes,
            data: data.clone(),
            hold_out: spec.hold_out(),
            filter,
            combinations,
            excluded: 0,
            duplicates: 0,
        };
        plan.check(spec)?;
        if !plan.filter.keeps_all() {
            for (_, digits) in plan.all() {
                if plan.filter.excludes(&digits) {
                    plan.excluded += 1;
                } else if plan.filter.repeats(&digits) {
                    plan.duplicates += 1;
                }
            }
        }
        if plan.runs() == 0 {
            let message = "no runs: every combination matches an [[exclude]]";
            return Err(SpecError::new(spec.grid_at, message));
        }
        Ok(plan)
    }

    /// How many runs there are: [`Plan::combinations`] without those that are
    /// [excluded](Plan::excluded) or [duplicates](Plan::duplicates).
    pub fn runs(&self) -> u32 {
        self.combinations - self.excluded - self.duplicates
    }

    /// How many combinations the values of the axes have.
    pub fn combinations(&self) -> u32 {
        self.combinations
    }

    /// How many combinations match an `[[exclude]]`.
    pub fn excluded(&self) -> u32 {
        self.excluded
    }

    /// How many combinations resolve to the configuration of an earlier one.
    pub fn duplicates(&self) -> u32 {
        self.duplicates
    }

    /// The axes, in the order of the text.
    pub fn axes(&self) -> Vec<AxisSummary> {
        let summary = |axis: &Axis| AxisSummary {
            names: axis.columns.iter().map(|c| c.field.name()).collect(),
            values: axis.len(),
        };
        self.axes.iter().map(summary).collect()
    }

    /// The values that the keys of axis `axis` have at its place `i`, both from 0; empty if
    /// there is no such place.
    pub fn axis_values(&self, axis: usize, i: u32) -> Vec<Value> {
        let columns = self.axes.get(axis).filter(|axis| i < axis.len());
        let columns = columns.into_iter().flat_map(|axis| &axis.columns);
        columns
            .filter_map(|column| Some(column.get(i)?.value()))
            .collect()
    }

    /// What the plan knows of the data.
    pub fn data(&self) -> &DataFacts {
        &self.data
    }

    /// Training images that are left out.
    pub fn hold_out(&self) -> usize {
        self.hold_out
    }

    /// The run with number `index`; `None` if that is excluded, a duplicate, or too large.
    pub fn get(&self, index: u32) -> Option<PlannedRun> {
        let digits = self.digits(index)?;
        self.filter.keeps(&digits).then(|| self.run(index, &digits))
    }

    /// The configuration of run `index`, without its id, which takes most of the time.
    pub(crate) fn config_of(&self, index: u32) -> Option<TrainConfig> {
        let digits = self.digits(index)?;
        self.filter.keeps(&digits).then(|| self.config(&digits))
    }

    /// All runs, by ascending number.
    pub fn iter(&self) -> Runs<'_> {
        Runs {
            plan: self,
            combinations: self.all(),
        }
    }

    /// Estimated cost of a run in floating-point operations: [`cost()`] on the plan's data.
    pub fn cost(&self, run: &PlannedRun) -> f64 {
        cost(&run.config, self.data.test)
    }

    fn digits(&self, index: u32) -> Option<Digits> {
        let mut digits = [0; MAX_AXES];
        let mut rest = index;
        for (digit, axis) in digits[..self.axes.len()].iter_mut().zip(&self.axes).rev() {
            *digit = rest % axis.len();
            rest /= axis.len();
        }
        (index < self.combinations).then_some(digits)
    }

    fn config(&self, digits: &Digits) -> TrainConfig {
        let mut draft = self.base.clone();
        for (axis, digit) in self.axes.iter().zip(digits) {
            for column in &axis.columns {
                // There is always one: digits are below the lengths.
                if let Some(setting) = column.get(*digit) {
                    draft.apply(&setting);
                }
            }
        }
        draft.finish(self.data.inputs, self.data.classes)
    }

    fn run(&self, index: u32, digits: &Digits) -> PlannedRun {
        let config = self.config(digits);
        let columns = self.axes.iter().zip(digits).flat_map(|(axis, digit)| {
            let columns = axis.columns.iter();
            columns.filter_map(|c| Some((c.field.name(), c.get(*digit)?.value())))
        });
        PlannedRun {
            index,
            axes: columns.collect(),
            id: run_id(&config, &self.data.identity, self.hold_out),
            config,
        }
    }

    fn all(&self) -> Combinations {
        let mut lengths = [1; MAX_AXES];
        for (length, axis) in lengths.iter_mut().zip(&self.axes) {
            *length = axis.len();
        }
        Combinations {
            lengths,
            axes: self.axes.len(),
            next: 0,
            end: self.combinations,
            digits: [0; MAX_AXES],
        }
    }
}

/// Counts through combinations, the last axis fastest.
#[derive(Clone, Debug)]
struct Combinations {
    lengths: Digits,
    axes: usize,
    next: u32,
    end: u32,
    /// Of the next one.
    digits: Digits,
}

impl Iterator for Combinations {
    type Item = (u32, Digits);

    fn next(&mut self) -> Option<(u32, Digits)> {
        if self.next >= self.end {
            return None;
        }
        let found = (self.next, self.digits);
        self.next += 1;
        for (digit, length) in self
            .digits
            .iter_mut()
            .zip(&self.lengths)
            .take(self.axes)
            .rev()
        {
            *digit += 1;
            if *digit < *length {
                break;
            }
            *digit = 0;
        }
        Some(found)
    }
}

/// The runs of a [`Plan`], by ascending number.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    plan: &'a Plan,
    combinations: Combinations,
}

impl Iterator for Runs<'_> {
    type Item = PlannedRun;

    fn next(&mut self) -> Option<PlannedRun> {
        let plan = self.plan;
        let (index, digits) = self
            .combinations
            .find(|(_, digits)| plan.filter.keeps(digits))?;
        Some(plan.run(index, &digits))
    }
}

impl<'a> IntoIterator for &'a Plan {
    type Item = PlannedRun;
    type IntoIter = Runs<'a>;

    fn into_iter(self) -> Runs<'a> {
        self.iter()
    }
}

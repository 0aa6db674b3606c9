//! Which combinations are runs: not excluded, and not the same as an earlier one. Told from
//! the digits of a combination alone.

use super::resolve::Draft;
use super::{Digits, SpecError};
use crate::sweep::spec::{Axis, Column, Field, Setting, Value, Values};
use std::collections::HashSet;
use std::ops::Range;

/// Digits of one axis: ranges, ascending and apart.
#[derive(Clone, Debug, Default, PartialEq)]
struct DigitSet(Vec<Range<u32>>);

impl DigitSet {
    /// Of ascending digits.
    fn of(digits: impl Iterator<Item = u32>) -> Self {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for digit in digits {
            match ranges.last_mut() {
                Some(last) if last.end == digit => last.end += 1,
                _ => ranges.push(digit..digit + 1),
            }
        }
        Self(ranges)
    }

    fn has(&self, digit: u32) -> bool {
        let after = self.0.partition_point(|range| range.start <= digit);
        after > 0 && digit < self.0[after - 1].end
    }
}

/// Something that the digit of one axis decides, or none.
#[derive(Clone, Debug)]
enum Condition {
    Always(bool),
    On(usize, DigitSet),
}

impl Condition {
    fn holds(&self, digits: &Digits) -> bool {
        match self {
            Self::Always(holds) => *holds,
            Self::On(axis, set) => set.has(digits[*axis]),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// All conditions of one of them hold: the combination is excluded.
    excludes: Vec<Vec<(usize, DigitSet)>>,
    /// Batch normalization is off: its other settings say nothing.
    norm_off: Condition,
    /// There are no hidden layers: nor does their width.
    no_hidden: Condition,
    /// By [`variant`] and axis, digits that say the same as a smaller one.
    repeats: [Vec<DigitSet>; 4],
}

/// Index of what says nothing.
fn variant(norm_off: bool, no_hidden: bool) -> usize {
    usize::from(norm_off) + 2 * usize::from(no_hidden)
}

impl Filter {
    /// # Errors
    /// If an `[[exclude]]` cannot be decided.
    pub fn new(base: &Draft, axes: &[Axis], excludes: &[Vec<Column>]) -> Result<Self, SpecError> {
        let deciders = Deciders { base, axes };
        let norm_off = deciders.condition(Field::BatchNorm, &is("off"));
        let no_hidden = match deciders.of(Field::Depth) {
            Decider::Column(_, column) if column.field == Field::Depth => {
                deciders.condition(Field::Depth, &is("0"))
            }
            Decider::Column(..) => Condition::Always(false),
            Decider::Value(_) => Condition::Always(base.depth == Some(0)),
        };
        let repeats = [(false, false), (true, false), (false, true), (true, true)];
        let repeats = repeats.map(|(norm_off, no_hidden)| {
            let silent = |field: Field| {
                norm_off && field.is_of_batch_norm() || no_hidden && field == Field::Width
            };
            axes.iter().map(|axis| repeated(axis, silent)).collect()
        });
        let mut filter = Self {
            excludes: Vec::new(),
            norm_off,
            no_hidden,
            repeats,
        };
        for columns in excludes {
            filter.excludes.extend(deciders.exclude(columns)?);
        }
        Ok(filter)
    }

    /// Whether every combination is a run.
    pub fn keeps_all(&self) -> bool {
        let none = |sets: &Vec<DigitSet>| sets.iter().all(|set| set.0.is_empty());
        self.excludes.is_empty() && self.repeats.iter().all(none)
    }

    pub fn keeps(&self, digits: &Digits) -> bool {
        !self.excludes(digits) && !self.repeats(digits)
    }

    pub fn excludes(&self, digits: &Digits) -> bool {
        let matches = |conditions: &Vec<(usize, DigitSet)>| {
            let mut conditions = conditions.iter();
            conditions.all(|(axis, set)| set.has(digits[*axis]))
        };
        self.excludes.iter().any(matches)
    }

    /// Whether an earlier combination resolves to the same configuration: then that with the
    /// least digits that say the same does, and it is excluded if this one is.
    pub fn repeats(&self, digits: &Digits) -> bool {
        let variant = variant(self.norm_off.holds(digits), self.no_hidden.holds(digits));
        let sets = self.repeats[variant].iter().zip(digits);
        sets.into_iter().any(|(set, digit)| set.has(*digit))
    }

    /// Whether all combinations with these digits on the axes `fixed` are excluded, as far as
    /// an `[[exclude]]` that looks at these axes alone can tell.
    pub fn excludes_all_with(&self, digits: &Digits, fixed: &[usize]) -> bool {
        let matches = |conditions: &Vec<(usize, DigitSet)>| {
            let mut conditions = conditions.iter();
            conditions.all(|(axis, set)| fixed.contains(axis) && set.has(digits[*axis]))
        };
        self.excludes.iter().any(matches)
    }
}

/// Digits whose columns, but for those that are `silent`, are all as with a smaller digit.
fn repeated(axis: &Axis, silent: impl Fn(Field) -> bool) -> DigitSet {
    let speaking = axis.columns.iter().filter(|column| !silent(column.field));
    let speaking: Vec<&Column> = speaking.collect();
    if speaking.is_empty() {
        let others = 1..axis.len();
        return DigitSet(Vec::from_iter((!others.is_empty()).then_some(others)));
    }
    // The integers of a range are all different.
    if speaking
        .iter()
        .any(|c| matches!(c.values, Values::Range { .. }))
    {
        return DigitSet::default();
    }
    let mut seen = HashSet::new();
    let again = |digit: &u32| {
        let values = speaking.iter().filter_map(|column| column.get(*digit));
        let values: Vec<String> = values.map(|setting| setting.value().to_string()).collect();
        // No value has a line feed.
        !seen.insert(values.join("\n"))
    };
    DigitSet::of((0..axis.len()).filter(again))
}

fn is(text: &str) -> impl Fn(&Value) -> bool {
    move |value| value.to_string() == text
}

/// What decides the value of a field.
enum Decider<'a> {
    Column(usize, &'a Column),
    Value(Option<Value>),
}

struct Deciders<'a> {
    base: &'a Draft,
    axes: &'a [Axis],
}

impl<'a> Deciders<'a> {
    fn column(&self, field: Field) -> Option<(usize, &'a Column)> {
        let columns = |(a, axis): (usize, &'a Axis)| axis.columns.iter().map(move |c| (a, c));
        let mut columns = self.axes.iter().enumerate().flat_map(columns);
        columns.find(|(_, column)| column.field == field)
    }

    fn of(&self, field: Field) -> Decider<'a> {
        let other = match field {
            Field::OutputActivation if self.base.output_activation.is_none() => {
                self.column(Field::Activation)
            }
            Field::Depth | Field::Width => self.column(Field::Layers),
            _ => None,
        };
        match self.column(field).or(other) {
            Some((axis, column)) => Decider::Column(axis, column),
            None => Decider::Value(self.base.value(field)),
        }
    }

    /// Where the value of `field` is one of those that `accepts` takes.
    fn condition(&self, field: Field, accepts: &dyn Fn(&Value) -> bool) -> Condition {
        match self.of(field) {
            Decider::Column(axis, column) => {
                let shows = |setting: Setting| setting.shows(field).is_some_and(|v| accepts(&v));
                let taken = (0..column.len()).filter(|i| column.get(*i).is_some_and(shows));
                Condition::On(axis, DigitSet::of(taken))
            }
            Decider::Value(value) => Condition::Always(value.is_some_and(|v| accepts(&v))),
        }
    }

    /// [`Deciders::condition`] for the values of a column of an `[[exclude]]`; between ranges
    /// without going through them.
    fn column_condition(&self, wanted: &Column) -> Condition {
        let field = wanted.field;
        let decider = self.of(field);
        if let Decider::Column(
            axis,
            Column {
                values: Values::Range { first, len, .. },
                ..
            },
        ) = decider
        {
            let end = first + u64::from(*len);
            let digit =
                |value: u64| u32::try_from(value.clamp(*first, end) - first).unwrap_or(*len);
            let set = match &wanted.values {
                Values::Range { first, len, .. } => {
                    let range = digit(*first)..digit(first.saturating_add(u64::from(*len)));
                    DigitSet(Vec::from_iter((!range.is_empty()).then_some(range)))
                }
                Values::List(list) => {
                    let values = list
                        .iter()
                        .filter_map(|(_, setting)| match setting.value() {
                            Value::Integer(v) if (*first..end).contains(&v) => Some(digit(v)),
                            _ => None,
                        });
                    let mut digits: Vec<u32> = values.collect();
                    digits.sort_unstable();
                    digits.dedup();
                    DigitSet::of(digits.into_iter())
                }
            };
            return Condition::On(axis, set);
        }
        match &wanted.values {
            Values::Range { first, len, .. } => {
                let range = *first..first.saturating_add(u64::from(*len));
                self.condition(
                    field,
                    &|v| matches!(v, Value::Integer(v) if range.contains(v)),
                )
            }
            Values::List(list) => {
                let texts = list.iter().map(|(_, setting)| setting.value().to_string());
                let texts: HashSet<String> = texts.collect();
                self.condition(field, &|v| texts.contains(&v.to_string()))
            }
        }
    }

    /// Whether the runs have `depth` and `width`, not `layers`.
    fn has_depth(&self) -> bool {
        match self.column(Field::Layers) {
            Some(_) => false,
            None => self.base.depth.is_some() || self.column(Field::Depth).is_some(),
        }
    }

    /// The conditions of an `[[exclude]]`; `None` if no combination can meet them.
    fn exclude(&self, columns: &[Column]) -> Result<Option<Vec<(usize, DigitSet)>>, SpecError> {
        let mut conditions = Vec::new();
        for column in columns {
            if column.field == Field::Layers && self.has_depth() {
                let message =
                    "layers: the runs have depth and width; expected these in [[exclude]]";
                return Err(SpecError::new(column.at, message));
            }
            conditions.push(self.column_condition(column));
            if column.field.is_of_batch_norm() {
                conditions.push(self.condition(Field::BatchNorm, &|v| !is("off")(v)));
            }
            if column.field == Field::Width {
                conditions.push(self.condition(Field::Depth, &|v| !is("0")(v)));
            }
        }
        if conditions
            .iter()
            .any(|c| matches!(c, Condition::Always(false)))
        {
            return Ok(None);
        }
        let conditions = conditions
            .into_iter()
            .filter_map(|condition| match condition {
                Condition::On(axis, set) => Some((axis, set)),
                Condition::Always(_) => None,
            });
        Ok(Some(conditions.collect()))
    }
}

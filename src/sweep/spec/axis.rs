//! The values of an axis: lists, ranges of integers, spaced numbers.

use super::error::{Position, SpecError, unknown_key};
use super::read::{Item, Reader, check, integer_setting, number_setting};
use super::setting::{Field, Kind, Setting};
use crate::report::grouped;
use crate::sweep::MAX_RUNS;
use toml::de::DeValue;

/// A key and the values it takes.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub field: Field,
    /// Where the key stands.
    pub at: Position,
    pub values: Values,
}

#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// Not empty.
    List(Vec<(Position, Setting)>),
    /// `len` integers from `first` on: never written out. `len` > 0.
    Range { first: u64, len: u32, at: Position },
}

impl Column {
    pub fn len(&self) -> u32 {
        match &self.values {
            // Limited when it was read.
            Values::List(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
            Values::Range { len, .. } => *len,
        }
    }

    /// Value `i`; `None` if there are no more than `i`.
    pub fn get(&self, i: u32) -> Option<Setting> {
        match &self.values {
            Values::List(list) => Some(list.get(i as usize)?.1.clone()),
            Values::Range { first, len, .. } if i < *len => {
                integer_setting(self.field, first + u64::from(i)).ok()
            }
            Values::Range { .. } => None,
        }
    }

    /// Where value `i` stands.
    pub fn position(&self, i: u32) -> Position {
        match &self.values {
            Values::List(list) => list.get(i as usize).map_or(self.at, |(at, _)| *at),
            Values::Range { at, .. } => *at,
        }
    }
}

/// Columns that vary together: one in `[grid]`, all of a `[[zip]]`.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Not empty, all of the same length.
    pub columns: Vec<Column>,
}

impl Axis {
    pub fn len(&self) -> u32 {
        self.columns.first().map_or(0, Column::len)
    }
}

/// The most numbers that `{ log = …, n = K }` gives.
const MAX_SPACED: u64 = 100_000;

impl Reader<'_> {
    /// The values that `item` gives `field`; `single`: one value alone will do.
    pub fn column(
        &self,
        field: Field,
        at: Position,
        item: &Item<'_>,
        single: bool,
    ) -> Result<Column, SpecError> {
        let key = field.name();
        let values = match (item.get_ref(), field.kind()) {
            // One network, not a list of them.
            (DeValue::Array(list), Kind::Sizes)
                if single && list.iter().any(|item| item.get_ref().is_integer()) =>
            {
                self.one(field, item)?
            }
            (DeValue::Array(list), _) => {
                if list.is_empty() {
                    return Err(SpecError::new(self.at(item), format!("{key}: no values")));
                }
                let values = list
                    .iter()
                    .map(|item| Ok((self.at(item), self.setting(field, item)?)));
                Values::List(values.collect::<Result<_, SpecError>>()?)
            }
            (DeValue::Table(_), Kind::Integer | Kind::Number) => self.spaced(field, item)?,
            (DeValue::String(text), Kind::Integer) => self.range(field, item, text)?,
            _ if single => self.one(field, item)?,
            (_, kind) => {
                let expected = match kind {
                    Kind::Integer => {
                        "a list, a range such as \"1..=8\" or { linear = [1, 9], n = 3 }"
                    }
                    Kind::Number => "a list or { log = [0.01, 1], n = 3 }",
                    Kind::Text => "a list of strings",
                    Kind::Sizes => "a list of networks such as [[784, 10], [784, 90, 10]]",
                };
                let one = match item.get_ref() {
                    DeValue::Table(_) => "",
                    _ => "; one value for all runs stands in [train]",
                };
                let mut error = self.wrong_kind(key, item, expected);
                error.message.push_str(one);
                return Err(error);
            }
        };
        let column = Column { field, at, values };
        if u64::from(column.len()) > MAX_RUNS {
            return Err(self.too_many(key, item, u64::from(column.len())));
        }
        Ok(column)
    }

    fn one(&self, field: Field, item: &Item<'_>) -> Result<Values, SpecError> {
        Ok(Values::List(vec![(
            self.at(item),
            self.setting(field, item)?,
        )]))
    }

    fn too_many(&self, key: &str, item: &Item<'_>, found: u64) -> SpecError {
        let message = format!(
            "{key}: {} values: expected at most {}",
            grouped(&found.to_string()),
            grouped(&MAX_RUNS.to_string())
        );
        SpecError::new(self.at(item), message)
    }

    /// `1..=8` or `1..9`.
    fn range(&self, field: Field, item: &Item<'_>, text: &str) -> Result<Values, SpecError> {
        let key = field.name();
        let at = self.at(item);
        let error = |message: String| SpecError::new(at, format!("{key}: {message}"));
        let Some((first, end)) = parse_range(text) else {
            let shown: String = text.chars().take(40).collect();
            return Err(error(format!(
                "'{shown}' is no range: expected FIRST..=LAST or FIRST..END, as in \"1..=8\""
            )));
        };
        let len = end.saturating_sub(u128::from(first));
        if len == 0 {
            return Err(error(format!("the range '{text}' is empty: no values")));
        }
        let len = u32::try_from(len)
            .ok()
            .filter(|len| u64::from(*len) <= MAX_RUNS);
        let Some(len) = len else {
            return Err(error(format!(
                "the range '{text}': expected at most {} values",
                grouped(&MAX_RUNS.to_string())
            )));
        };
        // Between two values that a run can have all are.
        for value in [first, first + u64::from(len) - 1] {
            let setting = integer_setting(field, value).map_err(error)?;
            check(&setting).map_err(error)?;
        }
        Ok(Values::Range { first, len, at })
    }

    /// `{ log = [LO, HI], n = K }` or `{ linear = [LO, HI], n = K }`.
    fn spaced(&self, field: Field, item: &Item<'_>) -> Result<Values, SpecError> {
        let key = field.name();
        let error = |at, message: String| SpecError::new(at, format!("{key}: {message}"));
        let at = self.at(item);
        let (mut ends, mut n) = (None, None);
        for (name, value) in item.get_ref().as_table().into_iter().flatten() {
            match name.get_ref().as_ref() {
                "n" => n = Some((self.at(value), self.integer("n", value)?)),
                "log" | "linear" if ends.is_some() => {
                    return Err(error(at, "expected log or linear, found both".into()));
                }
                log @ ("log" | "linear") => {
                    let pair = value.get_ref().as_array().filter(|pair| pair.len() == 2);
                    let Some(pair) = pair else {
                        return Err(self.wrong_kind(log, value, "two numbers, [LO, HI]"));
                    };
                    let lo: f64 = self.number(log, &pair[0])?;
                    let hi: f64 = self.number(log, &pair[1])?;
                    ends = Some((self.at(value), log == "log", lo, hi));
                }
                other => {
                    let place = format!("of {key}");
                    return Err(unknown_key(
                        self.at(name),
                        other,
                        &place,
                        &["log", "linear", "n"],
                    ));
                }
            }
        }
        let (Some((ends_at, log, lo, hi)), Some((n_at, n))) = (ends, n) else {
            let expected = "expected { log = [LO, HI], n = K } or { linear = [LO, HI], n = K }";
            return Err(error(at, expected.into()));
        };
        if !(2..=MAX_SPACED).contains(&n) {
            let message = format!(
                "n = {n}: expected 2 to {} values",
                grouped(&MAX_SPACED.to_string())
            );
            return Err(error(n_at, message));
        }
        let possible = lo < hi && (hi - lo).is_finite() && (!log || lo > 0.0);
        if !possible {
            let above = if log { "0 < LO < HI" } else { "LO < HI" };
            return Err(error(
                ends_at,
                format!("[{lo}, {hi}]: expected {above}, finite"),
            ));
        }
        let values = match log {
            true => log_spaced(lo, hi, n),
            false => linear(lo, hi, n),
        };
        let settings = values.into_iter().map(|value| {
            let setting = match field.kind() {
                Kind::Integer => whole(value).and_then(|value| integer_setting(field, value)),
                _ => number_setting(field, value as f32 + 0.0),
            };
            let setting = setting.and_then(|setting| check(&setting).map(|()| setting));
            setting.map(|s| (ends_at, s)).map_err(|e| error(ends_at, e))
        });
        Ok(Values::List(settings.collect::<Result<_, _>>()?))
    }
}

/// The first integer of `1..=8` or `1..9` and the one after its last, which may be none
/// (END ≤ FIRST); `None` if it is no range.
pub(crate) fn parse_range(text: &str) -> Option<(u64, u128)> {
    let (first, end) = text.split_once("..")?;
    let (end, included) = match end.strip_prefix('=') {
        Some(end) => (end, 1),
        None => (end, 0),
    };
    let (first, end) = (first.trim().parse::<u64>(), end.trim().parse::<u64>());
    let (first, end) = (first.ok()?, end.ok()?);
    Some((first, u128::from(end) + included))
}

/// The nearest integer, if it is one that an `f64` holds exactly.
fn whole(value: f64) -> Result<u64, String> {
    let rounded = value.round();
    let exact = (0.0..=9_007_199_254_740_992.0).contains(&rounded);
    // In range, so the cast is exact.
    exact
        .then_some(rounded as u64)
        .ok_or_else(|| format!("{value}: expected a number from 0 to 2^53"))
}

/// `n` ≥ 2 numbers from `lo` to `hi`, evenly spaced.
fn linear(lo: f64, hi: f64, n: u64) -> Vec<f64> {
    let last = (n - 1) as f64;
    let value = |i: u64| match i {
        0 => lo,
        i if i == n - 1 => hi,
        i => lo + (hi - lo) * i as f64 / last,
    };
    (0..n).map(value).collect()
}

/// `n` ≥ 2 numbers from `lo` > 0 to `hi` > `lo`, each the same multiple of the one before.
///
/// By multiplication and division alone, so that the values, and with them the identities
/// of runs, are the same on every machine: no library's `pow` is.
fn log_spaced(lo: f64, hi: f64, n: u64) -> Vec<f64> {
    let ratio = hi / lo;
    let power = |base: f64, mut exponent: u64| {
        let (mut result, mut square) = (1.0, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result *= square;
            }
            square *= square;
            exponent >>= 1;
        }
        result
    };
    // The root, by bisection over the bits of an f64: those of numbers > 0 are in order.
    let (mut low, mut high) = (1f64.to_bits(), ratio.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match power(f64::from_bits(middle), n - 1) <= ratio {
            true => low = middle,
            false => high = middle,
        }
    }
    let near = |bits: u64| (power(f64::from_bits(bits), n - 1) - ratio).abs();
    let root = match near(high) < near(low) {
        true => f64::from_bits(high),
        false => f64::from_bits(low),
    };
    let value = |i: u64| match i {
        0 => lo,
        i if i == n - 1 => hi,
        i => lo * power(root, i),
    };
    (0..n).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_what_one_writes() {
        let floats = |values: Vec<f64>| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
        let decades = floats(log_spaced(1e-4, 10.0, 6));
        assert_eq!(decades, [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]);
        let halves = floats(log_spaced(0.125, 8.0, 7));
        assert_eq!(halves, [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0]);
        // numpy.geomspace(1e-3, 3, 5)
        let expected = [
            0.001,
            0.007_400_828_044_922_853_6,
            0.054_772_255_750_516_62,
            0.405_360_046_442_110_43,
            3.0,
        ];
        for (found, expected) in log_spaced(1e-3, 3.0, 5).iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-14, "{found} {expected}");
        }
        let tenths = floats(linear(0.0, 1.0, 11));
        let written = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
        assert_eq!(tenths, written);
        assert_eq!(log_spaced(1e-30, 1e30, 100_000).len(), 100_000);
    }
}

//! The order of the values of a key.

use super::Key;
use crate::sweep::Value;
use crate::sweep::spec::{Spec, Values};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Where the texts of a key stand in a spec, from 0.
pub(super) fn places(spec: Option<&Spec>, key: Key) -> HashMap<String, usize> {
    let mut places = HashMap::new();
    let columns = spec.into_iter().flat_map(|s| &s.axes);
    for column in columns.flat_map(|axis| &axis.columns) {
        if let (true, Values::List(list)) = (key.field() == Some(column.field), &column.values) {
            for (_, setting) in list {
                let next = places.len();
                places.entry(setting.value().to_string()).or_insert(next);
            }
        }
    }
    places
}

/// Nothing, numbers ascending, texts: as they stand in the spec, then the others.
pub(super) fn compare(
    a: Option<&Value>,
    b: Option<&Value>,
    places: &HashMap<String, usize>,
) -> Ordering {
    let number = |value: Option<&Value>| match value {
        None => Some(f64::NEG_INFINITY),
        Some(Value::Number(x)) => Some(f64::from(*x)),
        _ => None,
    };
    match (a, b) {
        (Some(Value::Integer(a)), Some(Value::Integer(b))) => a.cmp(b),
        (Some(Value::Text(a)), Some(Value::Text(b))) => {
            let place = |text: &String| places.get(text).copied().unwrap_or(usize::MAX);
            place(a).cmp(&place(b)).then_with(|| natural(a, b))
        }
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => Ordering::Equal,
        },
    }
}

/// By letters, but the numbers in texts by their size, as in `784-90-10` before
/// `784-270-10`; first of all what says that there is none.
fn natural(a: &str, b: &str) -> Ordering {
    let none = |text: &str| !matches!(text, "off" | "none");
    let by_parts = || {
        let (mut a, mut b) = (parts(a), parts(b));
        loop {
            let order = match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (None, _) => Ordering::Less,
                (_, None) => Ordering::Greater,
                // Whatever is no number comes after all that is.
                (Some(a), Some(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
                    (Ok(x), Ok(y)) => x.total_cmp(&y),
                    (x, y) => y.is_ok().cmp(&x.is_ok()).then_with(|| a.cmp(b)),
                },
            };
            if order.is_ne() {
                return order;
            }
        }
    };
    let order = none(a).cmp(&none(b)).then_with(by_parts);
    order.then_with(|| a.cmp(b))
}

/// Runs of what is of numbers, and of what is not.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let digit = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = digit(rest.chars().next()?);
        let end = rest.find(|c| digit(c) != first).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(texts: &[&str], spec: Option<&Spec>) -> Vec<String> {
        let places = places(spec, Key::INIT);
        let mut values: Vec<Value> = texts.iter().map(|t| Value::Text((*t).into())).collect();
        values.sort_by(|a, b| compare(Some(a), Some(b), &places));
        values.iter().map(Value::to_string).collect()
    }

    #[test]
    fn values_are_in_natural_order() {
        assert_eq!(
            sorted(&["784-270-10", "784-10", "784-90-10", "784-90-60-10"], None),
            ["784-10", "784-90-10", "784-90-60-10", "784-270-10"]
        );
        assert_eq!(
            sorted(&["normal:1", "lecun_normal", "normal:0.01", "normal"], None),
            ["lecun_normal", "normal", "normal:0.01", "normal:1"]
        );
        assert_eq!(sorted(&["input", "off", "all"], None)[0], "off");
        let integers = [None, Some(Value::Integer(9)), Some(Value::Integer(10))];
        for (i, a) in integers.iter().enumerate() {
            for (j, b) in integers.iter().enumerate() {
                let order = compare(a.as_ref(), b.as_ref(), &HashMap::new());
                assert_eq!(order, i.cmp(&j));
            }
        }
        assert_eq!(
            sorted(&["20", "15.5.5", "100"], None),
            ["20", "100", "15.5.5"]
        );
        let (a, b) = (Value::Number(1e-9), Value::Number(0.1));
        let order = compare(Some(&a), Some(&b), &HashMap::new());
        assert_eq!(order, Ordering::Less);
    }

    #[test]
    fn texts_of_a_spec_are_in_its_order() {
        let spec = "name = \"n\"\n[grid]\ninit = [\"normal:1\", \"he_normal\", \"normal:0.01\"]\n";
        let spec = Spec::parse(spec).unwrap();
        assert_eq!(
            sorted(&["he_normal", "normal:0.01", "a", "normal:1"], Some(&spec)),
            ["normal:1", "he_normal", "normal:0.01", "a"]
        );
    }
}

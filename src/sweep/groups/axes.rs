//! Which keys vary, and which of them say the same thing twice.

use super::collect::{Codes, Collected};
use super::{Axis, Follows, Key, order};
use crate::sweep::{Spec, Value};
use std::collections::HashMap;

/// Where each value of a key stands in their natural order, by its code.
pub(super) fn ranks(collected: &Collected, key: Key, spec: Option<&Spec>) -> Vec<u32> {
    let values = &collected.columns[key.index()].values;
    let places = order::places(spec, key);
    let mut sorted: Vec<usize> = (0..values.len()).collect();
    sorted.sort_by(|a, b| order::compare(values[*a].as_ref(), values[*b].as_ref(), &places));
    let mut ranks = vec![0; values.len()];
    for (rank, code) in sorted.into_iter().enumerate() {
        ranks[code] = rank as u32;
    }
    ranks
}

/// A key with its values in order.
pub(super) fn axis(collected: &Collected, key: Key, ranks: &[u32]) -> Axis {
    let values = &collected.columns[key.index()].values;
    let mut sorted: Vec<(u32, &Option<Value>)> = ranks.iter().copied().zip(values).collect();
    sorted.sort_by_key(|(rank, _)| *rank);
    Axis {
        key,
        values: sorted.into_iter().map(|(_, value)| value.clone()).collect(),
    }
}

/// The keys but for the seed that have more than one value, without those whose value
/// follows from an earlier one's; and these, with what they follow from.
pub(super) fn independent(collected: &Collected) -> (Vec<Key>, Vec<Follows>) {
    let several = |key: &Key| collected.columns[key.index()].values.len() > 1;
    let mut keys: Vec<Key> = Key::all().filter(|key| *key != Key::SEED).collect();
    if !uniform(collected) {
        // The depth and the width of a network say less than its layers.
        keys.retain(|key| *key != Key::LAYERS);
        let place = keys.iter().position(|key| *key == Key::DEPTH);
        keys.insert(place.unwrap_or(0), Key::LAYERS);
    }
    let (mut kept, mut following): (Vec<Key>, Vec<Follows>) = (Vec::new(), Vec::new());
    let cells = || collected.cells.keys().map(|codes| &**codes);
    for key in keys.into_iter().filter(several) {
        let shape = [Key::DEPTH, Key::WIDTH].map(|key| kept.contains(&key));
        let from = kept
            .iter()
            .find(|from| follows(cells(), key, **from, collected));
        if let Some(from) = from {
            let from = vec![*from];
            following.push(Follows { key, from });
        } else if key == Key::LAYERS && shape == [true; 2] && follows_shape(cells()) {
            let from = vec![Key::DEPTH, Key::WIDTH];
            following.push(Follows { key, from });
        } else {
            kept.push(key);
        }
    }
    (kept, following)
}

/// Whether all networks with hidden layers have a width.
fn uniform(collected: &Collected) -> bool {
    let value = |codes: &Codes, key: Key| {
        let values = &collected.columns[key.index()].values;
        values[codes[key.index()] as usize].clone()
    };
    let mut cells = collected.cells.keys();
    cells.all(|codes| {
        value(codes, Key::WIDTH).is_some() || value(codes, Key::DEPTH) == Some(Value::Integer(0))
    })
}

/// Whether the value of `key` is the same wherever that of `from` is.
fn follows<'a>(
    cells: impl Iterator<Item = &'a Codes>,
    key: Key,
    from: Key,
    collected: &Collected,
) -> bool {
    let values = collected.columns[from.index()].values.len();
    let mut known: Vec<Option<u32>> = vec![None; values];
    let mut cells = cells.map(|codes| (codes[from.index()] as usize, codes[key.index()]));
    cells.all(|(from, found)| *known[from].get_or_insert(found) == found)
}

fn follows_shape<'a>(mut cells: impl Iterator<Item = &'a Codes>) -> bool {
    let mut known = HashMap::new();
    cells.all(|codes| {
        let from = [Key::DEPTH, Key::WIDTH].map(|key| codes[key.index()]);
        let found = codes[Key::LAYERS.index()];
        *known.entry(from).or_insert(found) == found
    })
}

//! A range of layers, as a user writes it.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Layers `first` to `last`, both included, counted from 1 at the input.
///
/// Written `1..3` (or `1..=3`, or `2` for one layer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerRange {
    first: usize,
    last: usize,
}

/// A text that names no range of layers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no range of layers: expected FIRST..LAST, both included and counted from 1")]
pub struct LayerRangeError(String);

impl LayerRange {
    /// Layers `first` to `last`, counted from 1; `None` unless 1 ≤ first ≤ last.
    pub fn new(first: usize, last: usize) -> Option<Self> {
        (1 <= first && first <= last).then_some(Self { first, last })
    }

    /// The last layer, counted from 1.
    pub fn last(self) -> usize {
        self.last
    }

    /// The same layers counted from 0, the end excluded.
    pub fn indices(self) -> Range<usize> {
        self.first - 1..self.last
    }
}

impl FromStr for LayerRange {
    type Err = LayerRangeError;

    fn from_str(text: &str) -> Result<Self, LayerRangeError> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let last = last.strip_prefix('=').unwrap_or(last);
        let range = first
            .parse()
            .ok()
            .zip(last.parse().ok())
            .and_then(|(first, last)| Self::new(first, last));
        range.ok_or_else(|| LayerRangeError(text.into()))
    }
}

impl fmt::Display for LayerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

impl Serialize for LayerRange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_written() {
        let indices = |text: &str| text.parse::<LayerRange>().unwrap().indices();
        assert_eq!(indices("1..3"), 0..3);
        assert_eq!(indices("2..=4"), 1..4);
        assert_eq!(indices("5"), 4..5);
        for text in ["", "0", "0..2", "3..2", "..", "1..", "1..x", "-1..2", "=1"] {
            assert!(text.parse::<LayerRange>().is_err(), "{text}");
        }
        let shown = "1..=3".parse::<LayerRange>().unwrap().to_string();
        assert_eq!(shown, "1..3");
    }
}

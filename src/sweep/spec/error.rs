//! What is wrong with a spec, and where.

use std::fmt;
use std::ops::Range;

/// A place in the text of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Position {
    /// The start of the text.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong with a spec: `line 4, column 1: unknown key 'lrr' …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct SpecError {
    /// Where.
    pub at: Position,
    /// What was found, and what was expected; names the key.
    pub message: String,
}

impl SpecError {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// Where the lines of a text begin: from byte offsets to positions.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(i, _)| i + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    /// Where `span` starts.
    pub fn position(&self, span: Range<usize>) -> Position {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = self.starts[line.saturating_sub(1)];
        let before = self.text.get(start..span.start).unwrap_or_default();
        Position {
            line: line.max(1),
            column: before.chars().count() + 1,
        }
    }
}

/// The known name that was probably meant, if one is near: at most a third of its letters
/// are wrong, missing, superfluous or swapped.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    // What the configuration calls it.
    if found == "frozen" && known.contains(&"freeze") {
        return Some("freeze");
    }
    // Nobody's slip is longer; the distance takes time quadratic in it.
    if found.len() > 64 {
        return None;
    }
    let found = found.to_lowercase();
    let distances = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&found, name), *name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then_some(name)
}

/// `unknown key 'lrr' in [train]; did you mean 'lr'?`
pub(super) fn unknown_key(at: Position, key: &str, place: &str, known: &[&str]) -> SpecError {
    // A key may be as long as the text.
    let shown: String = key.chars().take(64).collect();
    let end = match nearest(key, known) {
        Some(name) => format!("; did you mean '{name}'?"),
        None => format!(": expected {}", known.join(", ")),
    };
    SpecError::new(at, format!("unknown key '{shown}' {place}{end}"))
}

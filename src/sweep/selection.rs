//! Some of the runs, by what they are: `--where KEY=VALUE`.

use super::Outcome;
use super::spec::{Field, Kind, Value, nearest, parse_range, parse_value};

/// Conditions on runs. Without any all runs match.
///
/// A condition is `KEY=VALUE[,VALUE…]`: one of the values. Conditions on the same key add
/// values; those on different keys must all hold. Keys are those of specs (`lr`, `depth`,
/// `init`, …) and `status`, `host`, `data`, `hold_out`, `run`. Values are written as in a spec or a table
/// (`784-90-10` for layers) and compared by what they mean: `lr=0.10` is `lr=0.1`,
/// `init=xavier_normal` is `init=glorot_normal`. Keys with integers take ranges too, `1..=8`
/// or `1..9`; `run` takes the first digits of an id.
///
/// A key that says nothing of a run matches none of its values: `bn_*` without batch
/// normalization, `width` where hidden layers differ or there are none.
///
/// ```
/// use fanin::sweep::Selection;
///
/// let some = ["init=he_normal,xavier_normal", "seed=1..=8", "status=ok"];
/// Selection::parse(&some.map(String::from))?;
/// # Ok::<(), fanin::sweep::SelectionError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// All must hold; no key twice.
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    key: Key,
    /// One must be met.
    wanted: Vec<Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Field(Field),
    Status,
    Host,
    Data,
    HoldOut,
    Run,
}

impl Key {
    /// Whether its values are whole numbers.
    fn is_integer(self) -> bool {
        match self {
            Self::Field(field) => field.kind() == Kind::Integer,
            key => key == Self::HoldOut,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Value(Value),
    /// From the first to before the second.
    Range(u64, u128),
    /// The whole text; of a run the start.
    Text(String),
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--where {condition}: {reason}")]
pub struct SelectionError {
    /// The condition, as it was given.
    pub condition: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Keys that are no [`Field`].
const OTHERS: [(Key, &str); 5] = [
    (Key::Status, "status"),
    (Key::Host, "host"),
    (Key::Data, "data"),
    (Key::HoldOut, "hold_out"),
    (Key::Run, "run"),
];

/// How a run of a sweep can end.
const STATUSES: [&str; 4] = ["ok", "diverged", "pruned", "failed"];

/// The most commas in the name of an initializer, and more.
const MAX_COMMAS: usize = 8;

impl Selection {
    /// Reads conditions, each `KEY=VALUE[,VALUE…]`.
    ///
    /// # Errors
    /// No `=`, a key that is none, a value that a run cannot have, an empty range.
    pub fn parse(conditions: &[String]) -> Result<Self, SelectionError> {
        let mut selection = Self::default();
        for text in conditions {
            let (key, wanted) = condition(text).map_err(|reason| SelectionError {
                condition: text.chars().take(200).collect(),
                reason,
            })?;
            let mut known = selection.conditions.iter_mut();
            match known.find(|condition| condition.key == key) {
                Some(condition) => condition.wanted.extend(wanted),
                None => selection.conditions.push(Condition { key, wanted }),
            }
        }
        Ok(selection)
    }

    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether a run is one of those that are meant.
    pub fn matches(&self, outcome: &Outcome<'_>) -> bool {
        self.conditions.iter().all(|condition| {
            let found = match condition.key {
                Key::Field(field) => match outcome.config.value(field) {
                    Some(value) => return condition.has_value(&value),
                    None => return false,
                },
                Key::HoldOut => {
                    return condition.has_value(&Value::Integer(outcome.config.hold_out));
                }
                Key::Run => return condition.has_text(|start| outcome.run.starts_with(start)),
                Key::Status => &outcome.status,
                Key::Host => &outcome.host,
                Key::Data => &outcome.config.data,
            };
            condition.has_text(|text| found == text)
        })
    }
}

impl Condition {
    fn has_value(&self, found: &Value) -> bool {
        self.wanted.iter().any(|wanted| match (wanted, found) {
            (Wanted::Value(value), found) => value == found,
            (Wanted::Range(first, end), Value::Integer(found)) => {
                first <= found && u128::from(*found) < *end
            }
            _ => false,
        })
    }

    fn has_text(&self, is: impl Fn(&str) -> bool) -> bool {
        let mut wanted = self.wanted.iter();
        wanted.any(|wanted| matches!(wanted, Wanted::Text(text) if is(text)))
    }
}

/// # Errors
/// What is wrong with it.
fn condition(text: &str) -> Result<(Key, Vec<Wanted>), String> {
    let Some((name, values)) = text.split_once('=') else {
        return Err("expected KEY=VALUE[,VALUE…]".into());
    };
    let key = key(name.trim())?;
    let parts: Vec<&str> = values.split(',').map(str::trim).collect();
    let mut rest = &parts[..];
    let mut wanted = Vec::new();
    while !rest.is_empty() {
        let (value, taken) = next_value(key, rest)?;
        wanted.push(value);
        rest = &rest[taken..];
    }
    Ok((key, wanted))
}

fn key(name: &str) -> Result<Key, String> {
    if let Some(field) = Field::from_name(name) {
        return Ok(Key::Field(field));
    }
    if let Some((key, _)) = OTHERS.iter().find(|(_, other)| *other == name) {
        return Ok(*key);
    }
    let mut known = Field::names();
    known.extend(OTHERS.map(|(_, other)| other));
    let shown: String = name.chars().take(64).collect();
    let meant = nearest(name, &known);
    let meant = meant.map_or_else(String::new, |name| format!(" (did you mean '{name}'?)"));
    let known = known.join(", ");
    Err(format!("unknown key '{shown}'{meant}: expected {known}"))
}

/// The first value, and how many parts between commas it takes: names of initializers may
/// have commas.
fn next_value(key: Key, parts: &[&str]) -> Result<(Wanted, usize), String> {
    if let Key::Field(Field::Init | Field::BiasInit) = key {
        let most = parts.len().min(MAX_COMMAS + 1);
        for taken in (2..=most).rev() {
            if let Ok(wanted) = value(key, &parts[..taken].join(",")) {
                return Ok((wanted, taken));
            }
        }
    }
    Ok((value(key, parts[0])?, 1))
}

fn value(key: Key, text: &str) -> Result<Wanted, String> {
    if text.is_empty() {
        return Err("a value is missing".into());
    }
    match key {
        key if key.is_integer() && text.contains("..") => {
            let range = parse_range(text);
            let (first, end) = range.ok_or_else(|| format!("'{text}' is no range as 1..=8"))?;
            match u128::from(first) < end {
                true => Ok(Wanted::Range(first, end)),
                false => Err(format!("the range '{text}' is empty")),
            }
        }
        Key::Field(field) => parse_value(field, text).map(|setting| Wanted::Value(setting.value())),
        Key::HoldOut => match text.parse() {
            Ok(images) => Ok(Wanted::Value(Value::Integer(images))),
            Err(_) => Err(format!("'{text}' is no whole number")),
        },
        Key::Status if !STATUSES.contains(&text) => {
            let meant = nearest(text, &STATUSES);
            let meant = meant.map_or_else(String::new, |name| format!(" (did you mean '{name}'?)"));
            let known = STATUSES.join(", ");
            Err(format!("unknown status '{text}'{meant}: expected {known}"))
        }
        Key::Run if !text.bytes().all(|b| b.is_ascii_hexdigit()) => Err(format!(
            "'{text}' is not the start of an id, hexadecimal digits"
        )),
        Key::Run => Ok(Wanted::Text(text.to_ascii_lowercase())),
        Key::Status | Key::Host | Key::Data => Ok(Wanted::Text(text.into())),
    }
}

#[cfg(test)]
mod tests;

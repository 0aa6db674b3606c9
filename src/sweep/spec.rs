//! The spec of a sweep: reading it, with every error at its place.

mod axis;
mod error;
mod read;
mod setting;
mod stop;
#[cfg(test)]
mod tests;

pub(crate) use axis::{Axis, Column, Values, parse_range};
pub(crate) use error::nearest;
pub use error::{Position, SpecError};
pub(crate) use read::parse_value;
pub use setting::Value;
pub(crate) use setting::{Field, Kind, Setting};
pub(crate) use stop::still_pruned;
pub use stop::{StopRule, StopRuleError};

use error::{Lines, unknown_key};
use read::{Item, Reader};
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The JSON schema of a spec, for editors that complete and check as one types.
pub const SCHEMA: &str = include_str!("schema.json");

/// The longest spec, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// The most `[[exclude]]`, each of which every run is held against.
const MAX_EXCLUDES: usize = 256;

/// A sweep as it is written; [`Plan`](crate::sweep::Plan) has its runs. The
/// [module](crate::sweep) describes the format.
#[derive(Clone, Debug)]
pub struct Spec {
    name: String,
    data: String,
    hold_out: usize,
    stop_when: Vec<StopRule>,
    text: String,
    pub(crate) train: Vec<(Position, Setting)>,
    /// In the order of the text.
    pub(crate) axes: Vec<Axis>,
    pub(crate) excludes: Vec<Vec<Column>>,
    /// Of `[grid]`, or else of the start.
    pub(crate) grid_at: Position,
    /// Of `hold_out`, likewise.
    pub(crate) hold_out_at: Position,
}

/// Why a spec cannot be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum SpecFileError {
    /// The file cannot be read, or is not UTF-8.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something is wrong with what it says.
    #[error("{path}: {source}")]
    Spec {
        /// The file.
        path: PathBuf,
        /// What.
        source: SpecError,
    },
}

impl Spec {
    /// Reads a spec from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Spec::parse`].
    pub fn read(path: &Path) -> Result<Self, SpecFileError> {
        let read = || {
            let mut text = String::new();
            // One more than is allowed, so that a longer file is seen to be too long.
            let limit = MAX_BYTES as u64 + 1;
            std::fs::File::open(path)?
                .take(limit)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        let path = || path.to_owned();
        let text = read().map_err(|source| SpecFileError::Read {
            path: path(),
            source,
        })?;
        Self::parse(&text).map_err(|source| SpecFileError::Spec {
            path: path(),
            source,
        })
    }

    /// Reads a spec.
    ///
    /// # Errors
    /// The first thing that is wrong with it: the TOML, a key, the kind of a value, a value
    /// that no run can have, no values, a key that varies twice, more than 1 MiB.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        if text.len() > MAX_BYTES {
            let message = format!("the spec is longer than {MAX_BYTES} bytes");
            return Err(SpecError::new(Position::START, message));
        }
        let reader = Reader {
            lines: Lines::new(text),
        };
        let document = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().replace('\n', ", ");
            SpecError::new(reader.lines.position(span), message)
        })?;
        let mut spec = reader.spec(document.get_ref())?;
        text.clone_into(&mut spec.text);
        Ok(spec)
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the sweep is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What [`Dataset::open`](crate::data::Dataset::open) takes.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// How many of the first training images are left out.
    pub fn hold_out(&self) -> usize {
        self.hold_out
    }

    /// Any of these ends a run.
    pub fn stop_when(&self) -> &[StopRule] {
        &self.stop_when
    }
}

const TOP: [&str; 8] = [
    "name",
    "data",
    "hold_out",
    "stop_when",
    "train",
    "grid",
    "zip",
    "exclude",
];
/// Both keys of the hidden layers in one.
const HIDDEN: &str = "hidden";

impl Reader<'_> {
    fn spec(&self, top: &DeTable<'_>) -> Result<Spec, SpecError> {
        let mut spec = Spec {
            name: String::new(),
            data: "mnist".into(),
            hold_out: 5_000,
            stop_when: Vec::new(),
            text: String::new(),
            train: Vec::new(),
            axes: Vec::new(),
            excludes: Vec::new(),
            grid_at: Position::START,
            hold_out_at: Position::START,
        };
        for (key, item) in top {
            let at = self.at(key);
            match key.get_ref().as_ref() {
                "name" => spec.name = self.some_text("name", item)?,
                "data" => spec.data = self.some_text("data", item)?,
                "hold_out" => {
                    spec.hold_out = self.size("hold_out", item)?;
                    spec.hold_out_at = self.at(item);
                }
                "stop_when" => spec.stop_when = self.stop_rules(item)?,
                "train" => self.train(item, &mut spec)?,
                "grid" => {
                    spec.grid_at = at;
                    self.grid(item, &mut spec)?;
                }
                "zip" => {
                    for item in self.tables("zip", item)? {
                        let columns = self.columns(item, "in [[zip]]", false)?;
                        self.zip(columns, &mut spec)?;
                    }
                }
                "exclude" => {
                    let tables = self.tables("exclude", item)?;
                    if tables.len() > MAX_EXCLUDES {
                        let message = format!("exclude: expected at most {MAX_EXCLUDES} tables");
                        return Err(SpecError::new(at, message));
                    }
                    for item in tables {
                        let columns = self.columns(item, "in [[exclude]]", true)?;
                        spec.excludes.push(columns);
                    }
                }
                key if Field::from_name(key).is_some() || key == HIDDEN => {
                    let message = format!("'{key}' stands in [train], or in [grid] if it varies");
                    return Err(SpecError::new(at, message));
                }
                key => return Err(unknown_key(at, key, "in a spec", &TOP)),
            }
        }
        if spec.name.is_empty() {
            let message = "the key 'name' is missing: expected a name for the sweep";
            return Err(SpecError::new(Position::START, message));
        }
        // The map of the parser is sorted by key.
        let place = |axis: &Axis| axis.columns.iter().map(|column| column.at).min();
        spec.axes.sort_by_key(place);
        distinct(&spec)?;
        Ok(spec)
    }

    /// A text that is not empty.
    fn some_text(&self, key: &str, item: &Item<'_>) -> Result<String, SpecError> {
        match self.text(key, item)? {
            text if text.trim().is_empty() || text.contains(char::is_control) => {
                let message = format!("{key}: expected some text, in one line");
                Err(SpecError::new(self.at(item), message))
            }
            text => Ok(text.into()),
        }
    }

    fn stop_rules(&self, item: &Item<'_>) -> Result<Vec<StopRule>, SpecError> {
        let rule = |item: &Item<'_>| {
            let text = self.text("stop_when", item)?;
            text.parse().map_err(|e: StopRuleError| {
                SpecError::new(self.at(item), format!("stop_when: {e}"))
            })
        };
        match item.get_ref().as_array() {
            Some(list) => list.iter().map(rule).collect(),
            None => Ok(vec![rule(item)?]),
        }
    }

    fn table<'i, 't>(&self, key: &str, item: &'i Item<'t>) -> Result<&'i DeTable<'t>, SpecError> {
        let table = item.get_ref().as_table();
        table.ok_or_else(|| self.wrong_kind(key, item, "a table"))
    }

    fn tables<'i, 't>(&self, key: &str, item: &'i Item<'t>) -> Result<&'i [Item<'t>], SpecError> {
        let expected = format!("tables, each under [[{key}]]");
        match item.get_ref().as_array() {
            Some(list) => Ok(list),
            None => Err(self.wrong_kind(key, item, &expected)),
        }
    }

    fn train(&self, item: &Item<'_>, spec: &mut Spec) -> Result<(), SpecError> {
        for (key, item) in self.table("train", item)? {
            if key.get_ref() == HIDDEN {
                for (key, item) in self.table(HIDDEN, item)? {
                    let field = self.hidden(key)?;
                    spec.train.push((self.at(key), self.setting(field, item)?));
                }
                continue;
            }
            let field = self.field(key, "in [train]", true)?;
            let setting = self.setting(field, item).map_err(|mut error| {
                // A list where one value belongs.
                let many = match item.get_ref() {
                    DeValue::Array(_) => field.kind() != Kind::Sizes,
                    DeValue::String(text) => field.kind() == Kind::Integer && text.contains(".."),
                    value => value.is_table(),
                };
                if many {
                    error.message.push_str("; what varies stands in [grid]");
                }
                error
            })?;
            spec.train.push((self.at(key), setting));
        }
        spec.train.sort_by_key(|(at, _)| *at);
        Ok(())
    }

    fn grid(&self, item: &Item<'_>, spec: &mut Spec) -> Result<(), SpecError> {
        for (key, item) in self.table("grid", item)? {
            if key.get_ref() == HIDDEN {
                for (key, item) in self.table(HIDDEN, item)? {
                    let field = self.hidden(key)?;
                    let columns = vec![self.column(field, self.at(key), item, true)?];
                    spec.axes.push(Axis { columns });
                }
                continue;
            }
            let field = self.field(key, "in [grid]", true)?;
            let columns = vec![self.column(field, self.at(key), item, false)?];
            spec.axes.push(Axis { columns });
        }
        Ok(())
    }

    /// All columns of a table, in the order of the text.
    fn columns(
        &self,
        item: &Item<'_>,
        place: &str,
        single: bool,
    ) -> Result<Vec<Column>, SpecError> {
        let mut columns = Vec::new();
        for (key, item) in self.table(place, item)? {
            let field = self.field(key, place, false)?;
            columns.push(self.column(field, self.at(key), item, single)?);
        }
        if columns.is_empty() {
            let message = format!("an empty table {place}: expected keys");
            return Err(SpecError::new(self.at(item), message));
        }
        columns.sort_by_key(|column| column.at);
        Ok(columns)
    }

    fn zip(&self, columns: Vec<Column>, spec: &mut Spec) -> Result<(), SpecError> {
        let [first, others @ ..] = &columns[..] else {
            return Ok(());
        };
        for other in others {
            if other.len() != first.len() {
                let message = format!(
                    "{} has {} values, {} has {}: those of a [[zip]] vary together",
                    other.field.name(),
                    other.len(),
                    first.field.name(),
                    first.len()
                );
                return Err(SpecError::new(other.at, message));
            }
        }
        spec.axes.push(Axis { columns });
        Ok(())
    }

    fn field(
        &self,
        key: &Spanned<DeString<'_>>,
        place: &str,
        hidden: bool,
    ) -> Result<Field, SpecError> {
        let (at, name) = (self.at(key), key.get_ref().as_ref());
        if let Some(field) = Field::from_name(name) {
            return Ok(field);
        }
        if let "threads" | "input" | "input_path" = name {
            let message =
                format!("'{name}' {place}: no result depends on it; a spec has no such key");
            return Err(SpecError::new(at, message));
        }
        if TOP.contains(&name) {
            let message = format!("'{name}' {place}: it stands at the top, before any [table]");
            return Err(SpecError::new(at, message));
        }
        let mut known = Field::names();
        if hidden {
            known.push(HIDDEN);
        }
        Err(unknown_key(at, name, place, &known))
    }

    fn hidden(&self, key: &Spanned<DeString<'_>>) -> Result<Field, SpecError> {
        match key.get_ref().as_ref() {
            "depth" => Ok(Field::Depth),
            "width" => Ok(Field::Width),
            name => Err(unknown_key(
                self.at(key),
                name,
                "of hidden",
                &["depth", "width"],
            )),
        }
    }
}

/// Checks that nothing is said twice: no key varies on two axes, and the layers are given in
/// one way.
fn distinct(spec: &Spec) -> Result<(), SpecError> {
    let mut columns: Vec<(Position, Field)> = Vec::new();
    for column in spec.axes.iter().flat_map(|axis| &axis.columns) {
        columns.push((column.at, column.field));
    }
    columns.sort();
    let train: Vec<(Position, Field)> = spec
        .train
        .iter()
        .map(|(at, setting)| (*at, setting.field()))
        .collect();
    for given in [&columns, &train] {
        for (i, (at, field)) in given.iter().enumerate() {
            for (before_at, before) in &given[..i] {
                let layers = |field| field == Field::Layers;
                let hidden = |field| matches!(field, Field::Depth | Field::Width);
                let (name, before_name) = (field.name(), before.name());
                if field == before {
                    let message = format!("{name} is given twice: first at {before_at}");
                    return Err(SpecError::new(*at, message));
                }
                if layers(*field) && hidden(*before) || hidden(*field) && layers(*before) {
                    let message = format!(
                        "{name} and, at {before_at}, {before_name}: the layers can be given in \
                         one way only"
                    );
                    return Err(SpecError::new(*at, message));
                }
            }
        }
    }
    let all = columns.iter().chain(&train);
    let find = |wanted| all.clone().find(|(_, field)| *field == wanted);
    match (find(Field::Depth), find(Field::Width)) {
        (Some((at, _)), None) => Err(SpecError::new(*at, "depth is given without width")),
        (None, Some((at, _))) => Err(SpecError::new(*at, "width is given without depth")),
        _ => Ok(()),
    }
}

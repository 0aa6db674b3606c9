//! The columns of tables, and what a record has in them.

use super::Table;
use crate::Evaluation;
use crate::sweep::Outcome;
use crate::sweep::spec::{Field, Kind as FieldKind, Value};
use std::borrow::Cow;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// 0 to 2⁶⁴ − 1.
    Unsigned,
    /// Below 2⁶³: something that was counted.
    Count,
    Number,
    /// RFC 3339.
    Time,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Missing,
    Integer(u64),
    /// Finite.
    Number(f64),
    /// Also of [`Kind::Time`].
    Text(Cow<'a, str>),
}

/// Where values come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Key(Field),
    Run(for<'o> fn(&'o Outcome<'_>) -> Cell<'o>),
    Evaluation(fn(&Evaluation) -> Cell<'static>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub name: &'static str,
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "for Parquet"))]
    pub kind: Kind,
    pub source: Source,
}

/// The columns of a table, in their order.
pub(super) fn columns(table: Table) -> Vec<Column> {
    let mut columns = vec![
        run("run", Kind::Text, |o| text(&o.run)),
        run("status", Kind::Text, |o| text(&o.status)),
    ];
    columns.extend(Field::names().into_iter().filter_map(|name| {
        let field = Field::from_name(name)?;
        let kind = match (field, field.kind()) {
            (Field::Depth | Field::Width, _) => Kind::Count,
            (_, FieldKind::Integer) => Kind::Unsigned,
            (_, FieldKind::Number) => Kind::Number,
            (_, FieldKind::Text | FieldKind::Sizes) => Kind::Text,
        };
        let source = Source::Key(field);
        Some(Column { name, kind, source })
    }));
    columns.extend([
        run("data", Kind::Text, |o| text(&o.config.data)),
        run("hold_out", Kind::Count, |o| {
            integer(Some(o.config.hold_out))
        }),
    ]);
    match table {
        Table::Runs => columns.extend([
            run("steps_done", Kind::Count, |o| integer(o.steps)),
            run("final_accuracy", Kind::Number, |o| number(o.final_accuracy)),
            run("steps_to_80", Kind::Count, |o| integer(o.steps_to_80)),
            run("best_accuracy", Kind::Number, |o| {
                let accuracies = o.evals.iter().map(Evaluation::accuracy);
                number(accuracies.reduce(f64::max))
            }),
            run("training_loss", Kind::Number, |o| number(o.training_loss)),
            run("train_seconds", Kind::Number, |o| {
                number(o.seconds.map(|seconds| seconds.train))
            }),
            run("eval_seconds", Kind::Number, |o| {
                number(o.seconds.map(|seconds| seconds.eval))
            }),
            run("total_seconds", Kind::Number, |o| {
                number(o.seconds.map(|seconds| seconds.total))
            }),
            run("us_per_step", Kind::Number, |o| number(o.us_per_step)),
            run("weights_sha256", Kind::Text, |o| maybe(&o.weights_sha256)),
            run("pruned_by", Kind::Text, |o| maybe(&o.pruned_by)),
            run("error", Kind::Text, |o| maybe(&o.error)),
            run("isa", Kind::Text, |o| maybe(&o.isa)),
            run("threads", Kind::Count, |o| integer(o.threads)),
            run("host", Kind::Text, |o| text(&o.host)),
            run("version", Kind::Text, |o| text(&o.version)),
            run("time", Kind::Time, |o| text(&o.time)),
        ]),
        Table::Evaluations => columns.extend([
            evaluation("step", Kind::Count, |e| Cell::Integer(e.step)),
            evaluation("correct", Kind::Count, |e| Cell::Integer(e.correct as u64)),
            evaluation("total", Kind::Count, |e| Cell::Integer(e.total as u64)),
            evaluation("accuracy", Kind::Number, |e| Cell::Number(e.accuracy())),
        ]),
    }
    columns
}

fn run(name: &'static str, kind: Kind, get: for<'o> fn(&'o Outcome<'_>) -> Cell<'o>) -> Column {
    let source = Source::Run(get);
    Column { name, kind, source }
}

fn evaluation(name: &'static str, kind: Kind, get: fn(&Evaluation) -> Cell<'static>) -> Column {
    let source = Source::Evaluation(get);
    Column { name, kind, source }
}

/// The value of a key of specs.
pub(super) fn key(outcome: &Outcome<'_>, field: Field) -> Cell<'static> {
    match outcome.config.value(field) {
        None => Cell::Missing,
        Some(Value::Integer(n)) => Cell::Integer(n),
        Some(Value::Number(x)) => number(Some(decimal(x))),
        Some(Value::Text(text)) => Cell::Text(Cow::Owned(text)),
    }
}

/// The number that one writes for an `f32`: 0.1 and not 0.10000000149.
fn decimal(x: f32) -> f64 {
    // What is written can be read.
    x.to_string().parse().unwrap_or(f64::from(x))
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn maybe<'o>(text: &'o Option<Cow<'_, str>>) -> Cell<'o> {
    match text {
        Some(text) => Cell::Text(Cow::Borrowed(text)),
        None => Cell::Missing,
    }
}

fn integer(n: Option<u64>) -> Cell<'static> {
    n.map_or(Cell::Missing, Cell::Integer)
}

fn number(x: Option<f64>) -> Cell<'static> {
    let finite = x.filter(|x| x.is_finite());
    finite.map_or(Cell::Missing, Cell::Number)
}

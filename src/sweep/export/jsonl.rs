//! JSON Lines.

use super::{Cell, Column, ExportError, Rows};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::io::{self, Write};

pub(super) struct Jsonl<W: Write> {
    names: Vec<&'static str>,
    out: W,
}

impl<W: Write> Jsonl<W> {
    pub fn new(columns: &[Column], out: W) -> Self {
        let names = columns.iter().map(|column| column.name).collect();
        Self { names, out }
    }
}

/// The members of an object, in the order of the columns.
struct Row<'r, 'c>(&'r [&'static str], &'r [Cell<'c>]);

impl Serialize for Row<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, cell) in self.0.iter().zip(self.1) {
            match cell {
                Cell::Missing => map.serialize_entry(name, &())?,
                Cell::Integer(n) => map.serialize_entry(name, n)?,
                Cell::Number(x) => map.serialize_entry(name, x)?,
                Cell::Text(text) => map.serialize_entry(name, text)?,
            }
        }
        map.end()
    }
}

impl<W: Write> Rows for Jsonl<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        let row = Row(&self.names, cells);
        serde_json::to_writer(&mut self.out, &row).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.out.flush()?)
    }
}

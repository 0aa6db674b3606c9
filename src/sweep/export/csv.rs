//! CSV.

use super::{Cell, Column, ExportError, Rows};
use std::io::{self, Write};

pub(super) struct Csv<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Writes the header.
    pub fn new(columns: &[Column], out: W) -> Result<Self, ExportError> {
        let mut writer = csv::Writer::from_writer(out);
        let names = columns.iter().map(|column| column.name);
        writer.write_record(names).map_err(failed)?;
        Ok(Self { writer })
    }
}

impl<W: Write> Rows for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        for cell in cells {
            let written = match cell {
                Cell::Missing => self.writer.write_field(""),
                Cell::Integer(n) => self.writer.write_field(n.to_string()),
                // Always with a point or an exponent: readers guess the type of a column.
                Cell::Number(x) => self.writer.write_field(format!("{x:?}")),
                Cell::Text(text) => self.writer.write_field(text.as_bytes()),
            };
            written.map_err(failed)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        Ok(self.writer.flush()?)
    }
}

fn failed(error: csv::Error) -> ExportError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => io::Error::other(format!("{other:?}")).into(),
    }
}

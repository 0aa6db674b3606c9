//! Parquet.

use super::columns::Kind;
use super::{Cell, Column, ExportError, Rows};
use crate::sweep::time::unix_seconds;
use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical,
};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows that are kept until they are written together.
const GROUP: usize = 1 << 14;

pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Buffer>,
    rows: usize,
}

/// A column of the rows that are kept.
struct Buffer {
    kind: Kind,
    values: Values,
    /// For each row 1 if it has a value, else 0.
    levels: Vec<i16>,
}

/// Those that are there.
enum Values {
    /// Unsigned ones by their bits; µs since 1970.
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Texts(Vec<ByteArray>),
}

impl<W: Write + Send> Parquet<W> {
    pub fn new(columns: &[Column], out: W) -> Result<Self, ExportError> {
        let fields: Result<Vec<_>, _> = columns.iter().map(field).collect();
        let schema = Type::group_type_builder("schema").with_fields(fields.map_err(failed)?);
        let schema = schema.build().map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("fanin ", env!("CARGO_PKG_VERSION")).into())
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties));
        Ok(Self {
            writer: writer.map_err(failed)?,
            columns: columns
                .iter()
                .map(|column| Buffer::new(column.kind))
                .collect(),
            rows: 0,
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for buffer in &mut self.columns {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            let levels = Some(&buffer.levels[..]);
            match &mut buffer.values {
                Values::Integers(values) => {
                    column
                        .typed::<Int64Type>()
                        .write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Numbers(values) => {
                    column
                        .typed::<DoubleType>()
                        .write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Texts(values) => {
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(values, levels, None)?;
                    values.clear();
                }
            }
            column.close()?;
            buffer.levels.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl<W: Write + Send> Rows for Parquet<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ExportError> {
        for (buffer, cell) in self.columns.iter_mut().zip(cells) {
            buffer.push(cell);
        }
        self.rows += 1;
        match self.rows {
            GROUP => self.write_group().map_err(failed),
            _ => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        if self.rows > 0 {
            self.write_group().map_err(failed)?;
        }
        self.writer.close().map_err(failed)?;
        Ok(())
    }
}

impl Buffer {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Unsigned | Kind::Count | Kind::Time => Values::Integers(Vec::new()),
            Kind::Number => Values::Numbers(Vec::new()),
            Kind::Text => Values::Texts(Vec::new()),
        };
        Self {
            kind,
            values,
            levels: Vec::new(),
        }
    }

    /// What is not of the column's kind, as a time that is none, is missing.
    fn push(&mut self, cell: &Cell<'_>) {
        let known = match (&mut self.values, cell) {
            (Values::Integers(values), Cell::Integer(n)) => {
                let n = match self.kind {
                    Kind::Unsigned => Some(n.cast_signed()),
                    _ => i64::try_from(*n).ok(),
                };
                values.extend(n);
                n.is_some()
            }
            (Values::Integers(values), Cell::Text(time)) => {
                let seconds = unix_seconds(time).and_then(|s| i64::try_from(s).ok());
                let micros = seconds.and_then(|s| s.checked_mul(1_000_000));
                values.extend(micros);
                micros.is_some()
            }
            (Values::Numbers(values), Cell::Number(x)) => {
                values.push(*x);
                true
            }
            (Values::Texts(values), Cell::Text(text)) => {
                values.push(text.as_bytes().to_vec().into());
                true
            }
            _ => false,
        };
        self.levels.push(i16::from(known));
    }
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Unsigned => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Kind::Count => (Physical::INT64, Some(LogicalType::integer(64, true))),
        Kind::Time => {
            let logical = LogicalType::timestamp(true, TimeUnit::MICROS);
            (Physical::INT64, Some(logical))
        }
        Kind::Number => (Physical::DOUBLE, None),
    };
    let field = Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_converted_type(ConvertedType::NONE)
        .with_logical_type(logical);
    Ok(Arc::new(field.build()?))
}

fn failed(error: ParquetError) -> ExportError {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => (*error).into(),
            Err(other) => io::Error::other(other).into(),
        },
        other => io::Error::other(other).into(),
    }
}

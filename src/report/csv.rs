//! Tables as CSV: RFC 4180, UTF-8, a header line.

use super::document::{Cell, Table};
use super::text::plain;

/// The table with all digits of its numbers (the shortest that read back as the same
/// `f64`; `NaN`, `inf`, `-inf`). Shares stay shares; what is missing is an empty field.
#[must_use]
pub fn table(table: &Table) -> String {
    let mut text = String::new();
    let header = table.columns.iter().map(|column| plain(&column.heading()));
    push_record(&mut text, header);
    for row in &table.rows {
        push_record(&mut text, row.iter().map(field));
    }
    text
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => plain(text),
        Cell::Number { value, .. } | Cell::Percent { value, .. } => match value.abs() {
            0.0 | 1e-5..1e16 => value.to_string(),
            // Few digits with an exponent rather than hundreds of zeros.
            _ => format!("{value:e}"),
        },
        Cell::Missing => String::new(),
        Cell::Verdict(verdict) => verdict.to_string(),
    }
}

fn push_record(text: &mut String, fields: impl ExactSizeIterator<Item = String>) {
    // A record of one empty field would be an empty line, which readers skip.
    let single = fields.len() == 1;
    for (i, field) in fields.enumerate() {
        if i > 0 {
            text.push(',');
        }
        let special = |c| matches!(c, ',' | '"' | '\r' | '\n');
        // Spaces at the ends are part of a field, but not to every reader.
        let ends = field.starts_with(' ') || field.ends_with(' ');
        match field.contains(special) || ends || (single && field.is_empty()) {
            true => {
                text.push('"');
                text.push_str(&field.replace('"', "\"\""));
                text.push('"');
            }
            false => text.push_str(&field),
        }
    }
    text.push_str("\r\n");
}

//! Parquet, by the reader of the `parquet` crate.

use super::*;
use parquet::basic::Type as Physical;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::fs::File;

/// As CSV would have it; times in µs.
fn as_csv(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(n) => n.to_string(),
        Field::ULong(n) => n.to_string(),
        Field::Double(x) => format!("{x:?}"),
        Field::TimestampMicros(n) => n.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parquet_says_the_same_with_types() {
    let folder = tempdir().unwrap();
    append(folder.path(), &records(&plan(SPEC)));
    let out = folder.path().join("table.parquet");
    for table in [Table::Runs, Table::Evaluations] {
        let csv = csv_rows(&text(folder.path(), table, Format::Csv, &[]));
        let mut command = export(folder.path());
        if table == Table::Evaluations {
            command.arg("--evals");
        }
        command.arg("--out").arg(&out).assert().success();
        let reader = SerializedFileReader::new(File::open(&out).unwrap()).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let types: Vec<(&str, Physical)> = schema
            .columns()
            .iter()
            .map(|column| (column.name(), column.physical_type()))
            .collect();
        let names: Vec<&str> = csv[0].iter().map(|(name, _)| &**name).collect();
        assert_eq!(types.iter().map(|(n, _)| *n).collect::<Vec<_>>(), names);
        let of = |name| types.iter().find(|(n, _)| *n == name).map(|(_, t)| *t);
        assert_eq!(of("lr"), Some(Physical::DOUBLE));
        assert_eq!(of("seed"), Some(Physical::INT64));
        assert_eq!(of("width"), Some(Physical::INT64));
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().collect();
        assert_eq!(rows.len(), csv.len());
        for (row, expected) in rows.into_iter().zip(&csv) {
            for ((name, field), (_, expected)) in row.unwrap().get_column_iter().zip(expected) {
                let expected = match &**name {
                    // date -u -d 2026-01-31T12:00:00Z +%s
                    "time" => "1769860800000000",
                    _ => expected,
                };
                assert_eq!(as_csv(field), expected, "{name}");
            }
        }
    }
}

/// More rows than are written together.
#[test]
fn row_groups_follow_each_other() {
    let folder = tempdir().unwrap();
    let spec = "name = \"many\"\n[grid]\nseed = \"1..=1000\"\n";
    let evals: Vec<(u64, usize)> = (0..20).map(|i| (i, 100 * i as usize)).collect();
    let records: Vec<Record> = plan(spec).iter().map(|run| ok(&run, &evals)).collect();
    append(folder.path(), &records);
    let out = folder.path().join("table.parquet");
    let mut command = export(folder.path());
    let arguments = ["--evals", "--format", "parquet", "--out"];
    command.args(arguments).arg(&out).assert().success();
    let reader = SerializedFileReader::new(File::open(&out).unwrap()).unwrap();
    assert_eq!(reader.num_row_groups(), 2);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().collect();
    assert_eq!(rows.len(), 20_000);
    let csv = csv_rows(&text(folder.path(), Table::Evaluations, Format::Csv, &[]));
    for (row, expected) in rows.into_iter().zip(&csv) {
        let row = row.unwrap();
        let found = row.get_column_iter().map(|(_, field)| as_csv(field));
        assert!(found.eq(expected.iter().map(|(_, field)| field.clone())));
    }
}

//! Streams that nobody reads, and signals.

use super::{prepared, records, small};
use std::fs::File;
use std::process::Stdio;

/// The program at work on the spec, with `stderr` as its standard error.
fn with_stderr(folder: &tempfile::TempDir, out: &str, stderr: Stdio) -> Option<i32> {
    let mut command = small::program(folder);
    command.args(["sweep", "run", "spec.toml", "--out", out]);
    let status = command.stdout(Stdio::null()).stderr(stderr).status();
    status.unwrap().code()
}

/// Progress is not worth a run.
#[test]
fn nobody_need_read_what_is_said() {
    let folder = prepared();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut closed = vec![("closed", Stdio::from(writer))];
    if let Ok(full) = File::options().write(true).open("/dev/full") {
        closed.push(("full", full.into()));
    }
    for (out, stderr) in closed {
        assert_eq!(with_stderr(&folder, out, stderr), Some(0), "{out}");
        let records = records(&folder.path().join(out));
        assert_eq!(records.len(), 12, "{out}");
        assert!(records.values().all(|record| record["status"] == "ok"));
    }
}

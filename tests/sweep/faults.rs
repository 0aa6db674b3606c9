//! Streams that nobody reads, and signals.

use super::{prepared, records, set_spec, small};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The program at work on the spec, with `stderr` as its standard error.
fn with_stderr(folder: &TempDir, out: &str, stderr: Stdio) -> Option<i32> {
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

/// What a process that is sent `signal` after it has said a line that starts with `sign` says
/// on stderr after that, its exit status, and its stdout.
fn ended(folder: &TempDir, arguments: &[&str], signal: &str, sign: &str) -> (String, i32, String) {
    let mut command = small::program(folder);
    command.args(["sweep", "run", "spec.toml"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(sign) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "no {sign}");
    }
    let mut kill = Command::new("kill");
    kill.arg(signal).arg(child.id().to_string());
    assert!(kill.status().unwrap().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (rest, output.status.code().unwrap_or(-1), stdout)
}

/// Ten million runs are looked at, which takes a minute: nothing is lost if that ends.
#[test]
fn signals_end_the_planning() {
    let folder = small::folder();
    set_spec(
        &folder,
        "layers = [16, 4]\n[grid]\nseed = \"1..=10000000\"\n",
    );
    for (signal, status, arguments) in [
        ("-INT", 130, &["--dry-run"][..]),
        ("-TERM", 143, &["--out", "out"]),
    ] {
        let sign = "looking for 10,000,000 runs\n";
        let (rest, code, stdout) = ended(&folder, arguments, signal, sign);
        assert_eq!(code, status);
        assert_eq!((&*rest, &*stdout), ("stopped: no run was begun\n", ""));
    }
}

#[test]
fn a_sweep_that_is_stopped_says_how_it_goes_on() {
    let folder = small::folder();
    // The rest takes many times as long as a signal.
    set_spec(&folder, "layers = [16, 4]\n[grid]\nseed = \"1..=5000\"\n");
    let (rest, code, stdout) = ended(&folder, &["--out", "out"], "-INT", "10 %: ");
    assert_eq!(code, 130, "{rest}");
    let end = "stopped: the same command goes on where this stopped\n";
    assert!(rest.ends_with(end), "{rest}");
    assert!(stdout.contains(" of 5,000 are done\n"), "{stdout}");
    assert!(!stdout.contains("next:"), "{stdout}");
}

/// Where the data are wrong, or the spec is wrong for them, no folder is left behind.
#[test]
fn data_come_before_the_folder() {
    let folder = prepared();
    let out = folder.path().join("out");
    let fails = |status: i32| {
        super::sweep(&folder, &["--out", "out"]).code(status);
        assert!(!out.exists());
    };
    set_spec(&folder, "[grid]\nlayers = [[17, 4]]\n");
    fails(2);
    set_spec(&folder, super::GRID);
    let images = folder.path().join("data/t10k-images-idx3-ubyte");
    let sound = fs::read(&images).unwrap();
    fs::write(&images, &sound[..100]).unwrap();
    fails(1);
    fs::remove_file(&images).unwrap();
    fails(1);
    fs::write(&images, sound).unwrap();
    super::sweep(&folder, &["--out", "out"]).success();
}

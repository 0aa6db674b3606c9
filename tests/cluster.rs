//! What `examples/cluster` says to schedulers is what the program takes. Whether it works
//! with them is tried by hand: `examples/cluster/slurm-single-node.sh` and the README there.

use fanin::sweep::{DataFacts, Plan, Spec};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The files in a folder whose names end so, at least one.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let paths = paths.map(|entry| entry.path());
    let found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    assert!(!found.is_empty(), "no .{extension} in {}", folder.display());
    found
}

fn cluster(file: &str) -> String {
    fs::read_to_string(examples().join("cluster").join(file)).unwrap()
}

/// The flags of `fanin sweep run`, by its help.
fn flags() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args(["sweep", "run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let flags = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("-h, ").unwrap_or(line);
        let flag = line.split_whitespace().next()?;
        flag.starts_with("--").then(|| flag.to_owned())
    });
    let flags: BTreeSet<_> = flags.collect();
    assert!(
        flags.contains("--out") && flags.contains("--help"),
        "{help}"
    );
    flags
}

/// Checks the flags in what stands after `sweep run`; how many there are.
fn check(known: &BTreeSet<String>, words: &str, file: &Path) -> usize {
    let mut count = 0;
    for word in words.split_whitespace().filter(|w| w.starts_with("--")) {
        let flag = word.split('=').next().unwrap();
        let flag = flag.trim_end_matches(['`', '\'', '"', ',', ')', '.']);
        assert!(known.contains(flag), "{}: {flag}", file.display());
        count += 1;
    }
    count
}

#[test]
fn flags_are_those_of_sweep_run() {
    let known = flags();
    let folder = examples().join("cluster");
    for file in files(&folder, "sh").iter().chain(&files(&folder, "md")) {
        // Commands go on behind a backslash.
        let text = fs::read_to_string(file).unwrap().replace("\\\n", " ");
        let commands = text.lines().filter_map(|line| line.split_once("sweep run"));
        let commands = commands.map(|(_, words)| check(&known, words, file));
        assert!(commands.sum::<usize>() > 0, "{}: no flags", file.display());
    }
    let file = Path::new("kubernetes-job.yaml");
    let text = cluster("kubernetes-job.yaml");
    let lines = text.lines().map(|line| line.trim_start());
    let args = lines.filter_map(|line| line.strip_prefix("- --"));
    let args: Vec<_> = args.map(|arg| format!("--{arg}")).collect();
    assert_eq!(check(&known, &args.join(" "), file), 3);
}

/// What has to be changed in two places is the same in both.
#[test]
fn the_kubernetes_job_has_as_many_shards_as_completions() {
    let text = cluster("kubernetes-job.yaml");
    let after = |key: &str| -> Vec<u32> {
        let values = text.lines().filter(|line| !line.starts_with('#'));
        let values = values.filter_map(|line| line.split_once(key));
        let digits = values.map(|(_, value)| {
            let value = value.trim_start_matches([' ', '"']);
            let end = value.find(|c: char| !c.is_ascii_digit());
            value[..end.unwrap_or(value.len())].parse().unwrap()
        });
        digits.collect()
    };
    assert_eq!(after("completions:"), after("--shards="));
    assert_eq!(after("--shards=").len(), 1);
    let threads = after("--threads=");
    assert_eq!(after("cpu:"), [threads[0], threads[0]]);
}

#[test]
fn the_dockerfile_copies_what_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = cluster("Dockerfile");
    let mut sources = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        if line.starts_with("--from") {
            continue;
        }
        let mut words: Vec<_> = line.split_whitespace().collect();
        words.pop();
        for source in words {
            assert!(root.join(source).exists(), "{source}");
            sources += 1;
        }
    }
    assert_eq!(sources, 6);
}

#[test]
fn scripts_are_bash() {
    let mut bash = Command::new("bash");
    let version = bash.arg("--version").stdout(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        eprintln!("no bash here: not checked");
        return;
    }
    for script in files(&examples().join("cluster"), "sh") {
        let output = Command::new("bash").arg("-n").arg(&script).output();
        let output = output.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", script.display());
        let text = fs::read_to_string(&script).unwrap();
        assert!(text.starts_with("#!"), "{}", script.display());
    }
}

#[test]
fn specs_have_the_runs_they_say() {
    let runs = |path: &Path| {
        let spec = Spec::read(path).unwrap();
        Plan::new(&spec, &DataFacts::MNIST).unwrap().runs()
    };
    for file in files(&examples(), "toml") {
        assert!(runs(&file) > 0, "{}", file.display());
    }
    assert_eq!(runs(&examples().join("depths.toml")), 400);
    // As slurm-single-node.sh expects.
    let check = examples().join("cluster").join("check.toml");
    let text = cluster("slurm-single-node.sh");
    let count = runs(&check);
    assert!(text.contains(&format!("-eq {count} ]")), "{count}");
}

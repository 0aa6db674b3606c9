//! The program as its users meet it: output, exit status, errors.

use assert_cmd::Command;
use predicates::str::contains;
use serde_json::Value;

/// The program, in an empty folder, with the repository's data.
fn fanin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.env_remove("FANIN_DATA");
    command
}

/// A run of a second or less.
const SHORT: [&str; 7] = [
    "train",
    "--layers",
    "784,16,10",
    "--steps",
    "120",
    "--eval-every",
    "50",
];

#[test]
fn text_on_stdout() {
    let folder = tempfile::tempdir().unwrap();
    fanin()
        .current_dir(folder.path())
        .args(SHORT)
        .assert()
        .success()
        .stdout(contains("step 0, test accuracy "))
        .stdout(contains("step 120, test accuracy "))
        .stdout(contains("status         ok"))
        .stdout(contains("dense limit"))
        .stderr("");
}

fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").assert().success();
    serde_json::from_slice(&output.get_output().stdout).expect("stdout is one JSON object")
}

#[test]
fn json_has_what_the_contract_names() {
    let report = json(fanin().args(SHORT));
    assert_eq!(report["status"], "ok");
    assert_eq!(report["threads"], 1);
    assert_eq!(report["config"]["layers"], serde_json::json!([784, 16, 10]));
    assert_eq!(report["config"]["init"], "lecun_normal");
    assert_eq!(report["config"]["bias_init"], "normal:1");
    assert_eq!(report["config"]["data"], "mnist");
    let evals = report["evals"].as_array().unwrap();
    let steps: Vec<u64> = evals.iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 50, 100, 120]);
    let last = &evals[3];
    assert_eq!(last["total"], 10_000);
    let correct = last["correct"].as_f64().unwrap();
    assert_eq!(last["accuracy"].as_f64().unwrap(), correct / 10_000.0);
    assert_eq!(report["final_accuracy"], last["accuracy"]);
    assert!(report["steps_to_80"].is_null() || report["steps_to_80"].is_u64());
    for key in ["train", "eval", "total"] {
        assert!(report["seconds"][key].as_f64().unwrap() > 0.0);
    }
    assert!(report["us_per_step"].as_f64().unwrap() > 0.0);
    assert_eq!(report["weights_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn the_hash_does_not_depend_on_isa_threads_or_path() {
    let hash = |args: &[&str], isa: Option<&str>| {
        let mut command = fanin();
        if let Some(isa) = isa {
            command.env("FANIN_ISA", isa);
        }
        let report = json(command.args(SHORT).args(args));
        if let Some(isa) = isa {
            assert_eq!(report["isa"], isa);
        }
        report["weights_sha256"].clone()
    };
    let expected = hash(&[], None);
    assert_eq!(hash(&["--threads", "3"], None), expected);
    assert_eq!(hash(&["--input", "dense"], None), expected);
    assert_eq!(hash(&[], Some("portable")), expected);
    assert_ne!(hash(&["--seed", "2"], None), expected);
}

#[test]
fn saved_networks_are_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.safetensors");
    let file = file.to_str().unwrap();
    let saved = json(fanin().args(SHORT).args(["--save", file]));
    let loaded = json(fanin().args(SHORT).args(["--load", file, "--steps", "0"]));
    assert_eq!(loaded["weights_sha256"], saved["weights_sha256"]);
    assert_eq!(loaded["final_accuracy"], saved["final_accuracy"]);
    fanin()
        .args(["train", "--steps", "0", "--load", file])
        .assert()
        .code(1)
        .stderr(contains("layers.0.weight").and(contains("[784, 16]")));
}

use predicates::prelude::PredicateBooleanExt;

#[test]
fn divergence_is_a_result() {
    let report = json(fanin().args(SHORT).args([
        "--activation",
        "relu",
        "--output-activation",
        "identity",
        "--lr",
        "1e9",
    ]));
    assert_eq!(report["status"], "diverged");
}

#[test]
fn usage_errors_end_with_2() {
    const NO_EPSILON: [&str; 5] = ["probe", "--batch-norm", "input", "--bn-epsilon", "0"];
    let cases: [(&[&str], &str); 10] = [
        (&["train", "--inti", "zeros"], "--init"),
        (&["train", "--init", "hee_normal"], "expected zeros"),
        (&["train", "--activation", "relo"], "relu"),
        (&["train", "--layers", "784,x,10"], "invalid digit"),
        (&["train", "--lr", "nan"], "learning rate"),
        (&["train", "--batch", "0"], "a batch of 0"),
        (&["train", "--threads", "0"], "0 threads"),
        (&["train", "--layers", "783,10"], "784"),
        (&["train", "--hold-out", "60000"], "leaves nothing"),
        (&NO_EPSILON, "epsilon 0"),
    ];
    for (args, expected) in cases {
        let assert = fanin().args(args).assert().code(2);
        assert.stdout("").stderr(contains(expected));
    }
}

#[test]
fn failures_end_with_1_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    fanin()
        .args(["train", "--data", empty])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("train-images-idx3-ubyte"));
    let missing = if cfg!(target_arch = "x86_64") {
        "neon"
    } else {
        "avx512"
    };
    for (isa, expected) in [
        (missing, "this CPU has no"),
        ("sse", "unknown instruction set"),
    ] {
        fanin()
            .env("FANIN_ISA", isa)
            .arg("train")
            .assert()
            .code(1)
            .stderr(contains(expected));
    }
    let unwritable = folder.path().join("none").join("net.safetensors");
    fanin()
        .args(SHORT)
        .args(["--save", unwritable.to_str().unwrap()])
        .assert()
        .code(1)
        .stderr(contains("net.safetensors"));
}

#[test]
fn help_shows_examples_and_data_check_checks() {
    fanin()
        .arg("--help")
        .assert()
        .success()
        .stdout(contains("Examples:"));
    fanin()
        .args(["data", "check"])
        .assert()
        .success()
        .stdout(contains("60000").or(contains("60,000")));
    let folder = tempfile::tempdir().unwrap();
    fanin()
        .args(["data", "check"])
        .arg(folder.path())
        .assert()
        .code(1);
}

/// Sends `signal` to a run that would take minutes, once it has begun.
#[cfg(unix)]
fn interrupted(signal: &str) -> (Option<i32>, Value) {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args([
            "train",
            "--layers",
            "784,16,10",
            "--steps",
            "1000000000",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("step 0, test accuracy"), "{line}");
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    let code = child.wait().unwrap().code();
    (
        code,
        serde_json::from_str(&stdout).expect("the result so far"),
    )
}

#[cfg(unix)]
#[test]
fn signals_end_a_run_with_what_is_done() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let (code, report) = interrupted(signal);
        assert_eq!(code, Some(status));
        assert_eq!(report["status"], "interrupted");
        assert_eq!(report["evals"][0]["step"], 0);
        assert_eq!(report["weights_sha256"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn probes_are_the_same_on_every_instruction_set() {
    let small = ["probe", "--layers", "40,33,17", "--samples", "50"];
    let normalized = ["--batch-norm", "input", "--bn-layers", "hidden"];
    let run = |isa: Option<&str>, more: &[&str]| {
        let mut command = fanin();
        if let Some(isa) = isa {
            command.env("FANIN_ISA", isa);
        }
        json(command.args(small).args(more))
    };
    let probe = |isa| run(isa, &[]);
    let report = probe(None);
    assert_eq!(report["activation"], "tanh");
    assert_eq!(report["probe"]["layers"][1]["width"], 17);
    assert_eq!(probe(Some("portable")), report);
    assert_eq!(report["batch_norm"], "off");
    assert!(report["probe"]["layers"][0]["predicted"].is_object());
    fanin()
        .args(small)
        .assert()
        .success()
        .stdout(contains("gradient sd").and(contains("predicted")));
    let report = run(None, &normalized);
    assert_eq!(run(Some("portable"), &normalized), report);
    assert_eq!(report["batch_norm"], "input");
    assert_eq!(report["bn_layers"], "hidden");
    assert!(report["probe"]["layers"][0]["predicted"].is_null());
    assert!(report["probe"]["depth"].is_null());
    fanin()
        .args(small)
        .args(normalized)
        .assert()
        .success()
        .stdout(contains("no predictions").and(contains("predicted").not()));
    fanin()
        .args(["probe", "--data", "mnist"])
        .assert()
        .code(2)
        .stderr(contains("784"));
}

#[test]
fn batch_normalization_and_transfer_by_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.safetensors");
    let file = file.to_str().unwrap();
    let norm = ["--batch-norm", "pre_activation", "--bn-eval", "batch"];
    let report = json(fanin().args(SHORT).args(norm).args(["--save", file]));
    assert_eq!(report["config"]["batch_norm"], "pre_activation");
    assert_eq!(report["config"]["bn_eval"], "batch");
    // Without batch normalization the file does not fit.
    fanin()
        .args(SHORT)
        .args(["--load", file])
        .assert()
        .code(1)
        .stderr(contains("--batch-norm"));
    let start = [
        "--load",
        file,
        "--steps",
        "0",
        "--seed",
        "5",
        "--load-layers",
        "1",
    ];
    let fresh = json(
        fanin()
            .args(SHORT)
            .args(norm)
            .args(["--steps", "0", "--seed", "5"]),
    );
    let loaded = json(fanin().args(SHORT).args(norm).args(start));
    assert_ne!(loaded["weights_sha256"], report["weights_sha256"]);
    assert_ne!(loaded["weights_sha256"], fresh["weights_sha256"]);
    let other = [
        "--load",
        file,
        "--load-layers",
        "1",
        "--layers",
        "784,16,20,10",
    ];
    let report = json(
        fanin()
            .args(SHORT)
            .args(norm)
            .args(other)
            .args(["--freeze", "1"]),
    );
    assert_eq!(report["config"]["frozen"], "1..1");
    for wrong in [
        &["--load-layers", "1"][..],
        &["--load-layers", "0..1", "--load", file],
        &["--freeze", "1..2"],
        &["--freeze", "3"],
        &["--batch-norm", "pre_activation", "--bn-epsilon", "0"],
        &["--batch-norm", "middle"],
        &["--bias-init", "lsuv"],
        &["--bn-eval", "batch"],
        &["--batch-norm", "input", "--batch", "1"],
        &["--load", file, "--init", "lsuv"],
    ] {
        fanin().args(SHORT).args(wrong).assert().code(2);
    }
}

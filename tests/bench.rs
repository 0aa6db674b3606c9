//! `fanin bench`: what its output holds, and how it ends. Times are not judged here.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};

/// `fanin bench`, with no more rounds than it needs.
fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.env_remove("FANIN_DATA").arg("bench").args(args);
    command.args(["--seconds", "0"]);
    command
}

fn report(args: &[&str]) -> Value {
    let output = bench(args).arg("--json").assert().success();
    serde_json::from_slice(&output.get_output().stdout).expect("stdout is one JSON object")
}

fn positive(value: &Value) -> f64 {
    let number = value.as_f64().filter(|x| *x > 0.0);
    number.unwrap_or_else(|| panic!("{value}: expected a number > 0"))
}

/// Three rounds or more, the fastest not above the median.
fn check_times(times: &Value) {
    assert!(times["rounds"].as_u64().unwrap() >= 3);
    assert!(positive(&times["min"]) <= positive(&times["median"]));
    assert!(times["spread"].as_f64().unwrap() >= 0.0);
}

fn check_rate(rate: &Value) {
    assert!(rate["rounds"].as_u64().unwrap() >= 3);
    assert!(positive(&rate["best"]) >= positive(&rate["median"]));
    assert!(rate["spread"].as_f64().unwrap() >= 0.0);
}

fn check_machine(report: &Value) {
    let machine = &report["machine"];
    assert_eq!(machine["fanin"], env!("CARGO_PKG_VERSION"));
    assert!(!machine["cpu"].as_str().unwrap().is_empty());
    assert_eq!(machine["arch"], std::env::consts::ARCH);
    assert!(machine["cores"].as_u64().unwrap() >= 1);
    for cache in machine["caches"].as_array().unwrap() {
        positive(&cache["bytes"]);
        positive(&cache["level"]);
    }
    let sets = machine["instruction_sets"].as_array().unwrap();
    assert!(sets.contains(&machine["isa"]) && sets.contains(&json!("portable")));
    for block in ["mc", "kc", "nc"] {
        positive(&machine["gemm_blocks"][block]);
    }
    assert_eq!(report["complete"], true);
}

#[test]
fn peaks_of_arithmetic_and_memory() {
    let report = report(&["peak"]);
    check_machine(&report);
    assert!(report["gemm"].is_null() && report["step"].is_null());
    let fma = report["peak"]["fma"].as_array().unwrap();
    for line in fma {
        check_rate(&line["gflops"]);
    }
    assert_eq!(fma[0]["threads"], 1);
    assert_eq!(fma.last().unwrap()["threads"], report["machine"]["cores"]);
    assert_eq!(fma.last().unwrap()["isa"], fma[0]["isa"]);
    let memory = report["peak"]["memory"].as_array().unwrap();
    for line in memory {
        check_rate(&line["gb_per_s"]);
        positive(&line["bytes"]);
    }
    let kinds: Vec<[&Value; 2]> = memory.iter().map(|l| [&l["level"], &l["pass"]]).collect();
    assert_eq!(kinds[0], [&json!("L1"), &json!("read")]);
    assert_eq!(kinds[1], [&json!("L1"), &json!("write")]);
    assert_eq!(kinds[2], [&json!("L1"), &json!("axpy")]);
    assert_eq!(kinds[9], [&json!("memory"), &json!("read")]);
}

#[test]
fn matrix_products() {
    let report = report(&["gemm"]);
    check_machine(&report);
    let lines = report["gemm"].as_array().unwrap();
    let two = if report["machine"]["cores"] == 1 {
        0
    } else {
        3
    };
    assert_eq!(lines.len(), 53 + two);
    for line in lines {
        check_times(&line["seconds"]);
        let flops = 2.0 * positive(&line["m"]) * positive(&line["k"]) * positive(&line["n"]);
        let gflops = positive(&line["gflops"]);
        let expected = flops / positive(&line["seconds"]["min"]) / 1e9;
        assert!((gflops / expected - 1.0).abs() < 1e-9);
        let threads = positive(&line["threads"]);
        let share = gflops / positive(&line["peak_gflops"]) / threads;
        assert_eq!(line["speedup"].is_null(), threads == 1.0);
        assert!((positive(&line["share_of_peak"]) / share - 1.0).abs() < 1e-9);
    }
    let find = |kind: &str, [m, k, n]: [u64; 3]| {
        let mut shapes = lines
            .iter()
            .map(|l| [&l["kind"], &l["m"], &l["k"], &l["n"]]);
        shapes.any(|s| s == [&json!(kind), &json!(m), &json!(k), &json!(n)])
    };
    assert!(find("forward", [10, 784, 390]));
    assert!(find("dW", [784, 32, 390]) && find("dX", [100, 156, 390]));
    assert!(find("forward", [1_000, 25, 10]) && find("forward", [127, 129, 131]));
    // Nothing needs the gradient of the inputs.
    assert!(!find("dX", [10, 390, 784]));
}

/// One step of a small network, as text or JSON.
const SMALL: [&str; 5] = ["step", "--layers", "784,16,10", "--batch", "20"];

#[test]
fn steps_and_evaluations() {
    let report = report(&SMALL);
    check_machine(&report);
    let lines = report["step"].as_array().unwrap();
    let two = if report["machine"]["cores"] == 1 {
        1
    } else {
        2
    };
    assert_eq!(lines.len(), 2 * two);
    for (line, flops) in lines.iter().zip(
        [
            // Forward and dW of both layers, dX of the second.
            vec![2.0 * 20.0 * (2.0 * 784.0 * 16.0 + 3.0 * 160.0); two],
            vec![2.0 * 10_000.0 * (784.0 * 16.0 + 160.0); two],
        ]
        .concat(),
    ) {
        check_times(&line["seconds"]);
        assert_eq!(line["status"], "ok");
        assert_eq!(line["layers"], json!([784, 16, 10]));
        assert_eq!(line["batch"], 20);
        assert_eq!(line["activation"], "sigmoid");
        assert_eq!(line["batch_norm"], "off");
        assert_eq!(line["lr"], 3.0);
        assert_eq!(line["dense_flops"], flops);
        let gflops = flops / positive(&line["seconds"]["min"]) / 1e9;
        assert!((positive(&line["dense_gflops"]) / gflops - 1.0).abs() < 1e-9);
        let multiple = positive(&line["peak_gflops"]) / gflops;
        assert!((positive(&line["multiple"]) / multiple - 1.0).abs() < 1e-9);
    }
    let timed: Vec<&Value> = lines.iter().map(|l| &l["timed"]).collect();
    assert_eq!(
        (timed[0], timed[two]),
        (&json!("step"), &json!("evaluation"))
    );
    assert_eq!(
        (&lines[0]["threads"], &lines[two]["threads"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn steps_with_other_settings() {
    let more = ["--activation", "relu", "--batch-norm", "input"];
    let report = report(&[&SMALL[..], &more].concat());
    let line = &report["step"][0];
    assert_eq!(line["activation"], "relu");
    assert_eq!(line["batch_norm"], "input");
    assert!(line["lr"].as_f64().unwrap() < 0.1);
    assert_eq!(line["status"], "ok");
}

#[test]
fn phases_of_a_step() {
    let phases = [&SMALL[..], &["--phases"]].concat();
    let report = report(&phases);
    assert!(!report["step"].as_array().unwrap().is_empty());
    let lines = report["phases"].as_array().unwrap();
    let names = [
        "gather", "forward", "forward", "loss", "backward", "backward",
    ];
    let layers = [
        json!(null),
        json!(1),
        json!(2),
        json!(null),
        json!(2),
        json!(1),
    ];
    assert_eq!(lines.len(), names.len());
    for ((line, name), layer) in lines.iter().zip(names).zip(layers) {
        assert_eq!((&line["phase"], &line["layer"]), (&json!(name), &layer));
        check_times(&line["seconds"]);
        let limits = ["arithmetic_seconds", "memory_seconds"].map(|key| line[key].as_f64());
        let limit = limits[0].unwrap().max(limits[1].unwrap());
        match layer.is_null() {
            true => assert!(limit == 0.0 && line["of_limit"].is_null()),
            false => {
                let share = limit / positive(&line["seconds"]["min"]);
                assert!((positive(&line["of_limit"]) / share - 1.0).abs() < 1e-9);
            }
        }
    }
    bench(&phases)
        .assert()
        .success()
        .stdout(contains("**Phases of a step**").and(contains("| gather ")));
}

#[test]
fn sweeps_of_short_runs() {
    let report = report(&["sweep"]);
    check_machine(&report);
    assert!(report["peak"].is_null() && report["step"].is_null());
    let lines = report["sweep"].as_array().unwrap();
    let cores = &report["machine"]["cores"];
    let several = *cores != 1;
    assert_eq!(lines.len(), if several { 4 } else { 2 });
    for line in lines {
        check_times(&line["seconds"]);
        let alone = line["threads"] == 1;
        assert!(alone || line["threads"] == *cores);
        let runs = positive(&line["runs"]);
        let rate = runs / positive(&line["seconds"]["min"]);
        assert!((positive(&line["runs_per_second"]) / rate - 1.0).abs() < 1e-9);
        positive(&line["training_seconds"]);
        assert_eq!(line["share_of_ideal"].is_null(), alone);
    }
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["layers"], &last["steps"]),
        (&json!([784, 10]), &json!(100))
    );
    let layers = json!([784, 390, 156, 62, 25, 10]);
    assert_eq!(
        (&lines[0]["layers"], &lines[0]["steps"]),
        (&layers, &json!(500))
    );
}

#[test]
fn text_is_markdown_with_tables() {
    use pulldown_cmark::{Event, Options, Parser, Tag};
    let output = bench(&SMALL).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.starts_with(&format!("- fanin {}", env!("CARGO_PKG_VERSION"))));
    let events: Vec<Event> = Parser::new_ext(&text, Options::ENABLE_TABLES).collect();
    let count = |f: fn(&Tag) -> bool| {
        let starts = events
            .iter()
            .filter(|e| matches!(e, Event::Start(tag) if f(tag)));
        starts.count()
    };
    assert_eq!(count(|tag| matches!(tag, Tag::Table(_))), 1);
    let rows = count(|tag| matches!(tag, Tag::TableRow));
    assert!(rows == 2 || rows == 4, "{rows}");
    assert_eq!(count(|tag| matches!(tag, Tag::Item)), 4);
    assert!(text.contains("784-16-10"));
}

#[test]
fn the_guard_ends_with_1_above_its_limit() {
    let guard = |limit: &str| bench(&[&SMALL[..], &["--max-multiple", limit]].concat());
    guard("1e9")
        .assert()
        .success()
        .stdout(contains("784-16-10"));
    guard("1e-9")
        .assert()
        .code(1)
        .stdout(contains("| step ").and(contains("| evaluation").not()))
        .stderr(contains("times the dense limit"));
}

#[test]
fn usage_errors_end_with_2() {
    for (args, expected) in [
        (&["speed"][..], "speed"),
        (&["peak", "--long"], "--long"),
        (&["peak", "--seconds", "x"], "from 0 to 3600"),
        (&["peak", "--seconds", "-1"], "from 0 to 3600"),
        (&["peak", "--seconds", "nan"], "from 0 to 3600"),
        (&["step", "--max-multiple", "0"], "> 0"),
        (&["step", "--max-multiple", "inf"], "> 0"),
        (&["step", "--table", "--batch", "3"], "--batch"),
        (&["step", "--table", "--phases"], "--phases"),
        (
            &["step", "--table", "--max-multiple", "1"],
            "--max-multiple",
        ),
        (&["step", "--batch", "0"], "a batch of 0"),
        (&["step", "--layers", "783,10"], "784"),
        (
            &["step", "--batch-norm", "input", "--batch", "1"],
            "batches of 1",
        ),
        (&["step", "--activation", "relo"], "relu"),
    ] {
        let assert = Command::new(env!("CARGO_BIN_EXE_fanin"))
            .arg("bench")
            .args(args)
            .assert();
        assert.code(2).stdout("").stderr(contains(expected));
    }
    bench(&["step", "--data", "nowhere/at/all"])
        .assert()
        .code(1)
        .stdout("");
}

/// Whether the process catches SIGINT.
#[cfg(target_os = "linux")]
fn catches_sigint(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mut caught = status.lines().filter_map(|l| l.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(caught.next().unwrap().trim(), 16).unwrap();
    mask & (1 << (2 - 1)) != 0
}

/// A signal ends a benchmark that would take hours, with the lines that are done.
#[cfg(target_os = "linux")]
#[test]
fn signals_end_it_with_what_is_done() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args([
            "bench",
            "step",
            "--layers",
            "784,16,10",
            "--seconds",
            "3600",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !catches_sigint(child.id()) {
        std::thread::yield_now();
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let report: Value = serde_json::from_str(&stdout).expect("the result so far");
    assert_eq!(report["complete"], false);
    assert!(report["step"].as_array().unwrap().len() <= 1);
}

//! Values that are possible, but not together.

use super::*;
use crate::report::grouped;
use crate::sweep::store::{MAX_LINE, Record};
use crate::train::{Evaluation, Run, RunReport, Setting, Status};
use std::time::Duration;

#[test]
fn each_stands_at_its_place() {
    let most = grouped(&most_evaluations(10_000, 1_000_000).to_string());
    let too_many = |n: &str| format!("{n} evaluations in a run: its record has room for {most}");
    let cases = [
        (
            "[train]\nbatch = 1\nbatch_norm = 'input'",
            "line 3, column 1: batch: batch normalization of batches of 1: expected 2 samples or more",
        ),
        (
            "[train]\nbatch = 1\n[grid]\nbatch_norm = ['off', 'input']",
            "line 5, column 22: batch_norm: batch normalization of batches of 1: expected 2 samples or more",
        ),
        (
            "[[zip]]\nbatch = [1, 2, 1]\nbatch_norm = ['off', 'input', 'input']",
            "line 3, column 16: batch: batch normalization of batches of 1: expected 2 samples or more",
        ),
        (
            "[train]\nlayers = [784, 70000, 40000, 10]",
            "line 3, column 1: layers: a network of 2,857,",
        ),
        (
            "[grid]\nhidden = { depth = '1..=1000', width = '1..=1500' }",
            "line 3, column 40: width: a network of 2,147,",
        ),
        (
            "[train]\neval_every = 1\nsteps = 1000000",
            &format!("line 3, column 1: eval_every: {}", too_many("1,000,001")),
        ),
        (
            "[train]\neval_every = 1\n[grid]\nsteps = [10, 1000000]",
            &format!("line 5, column 14: steps: {}", too_many("1,000,001")),
        ),
        (
            "[train]\nsteps = 1000000\n[grid]\neval_every = '0..=10'",
            &format!("line 5, column 14: eval_every: {}", too_many("1,000,001")),
        ),
        (
            "[train]\nsteps = 18446744073709551615\neval_every = 1",
            "line 4, column 1: eval_every: 18,446,744,073,709,551,616 evaluations in a run: ",
        ),
    ];
    for (text, expected) in cases {
        let error = try_plan(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
}

#[test]
fn what_is_left_out_does_no_harm() {
    plan("[train]\nsteps = 18446744073709551615\neval_every = 0");
    plan("[train]\nbatch = 1\nbatch_norm = 'input'\n[grid]\nbatch = [2, 3]");
    let grid = "[grid]\nbatch = [1, 2]\nbatch_norm = ['off', 'input']\n";
    assert!(try_plan(grid).is_err());
    plan(&format!(
        "{grid}[[exclude]]\nbatch = 1\nbatch_norm = 'input'"
    ));
    // Of some seeds only: others are left.
    let some = "[train]\nlr = 1\n[grid]\nseed = [1, 2]\nbatch = [1, 2]\nbatch_norm = ['off', 'input']\n\
                [[exclude]]\nbatch = 1\nbatch_norm = 'input'\nseed = 1";
    assert!(try_plan(some).is_err());
    plan("[[zip]]\nsteps = [1000000, 100]\neval_every = [1000, 1]");
    let (large, few) = ("steps = [1000000, 100]", "eval_every = [1000, 1]");
    plan(&format!(
        "[grid]\n{large}\n{few}\n[[exclude]]\nsteps = 1000000\neval_every = 1"
    ));
    let hidden = "[grid]\nhidden = { depth = [1, 1000], width = [10, 2000] }\n";
    assert!(try_plan(hidden).is_err());
    plan(&format!("{hidden}[[exclude]]\ndepth = 1000\nwidth = 2000"));
}

/// As many evaluations as are let through, with the longest numbers there are, are stored.
#[test]
fn the_most_evaluations_fit_into_a_record() {
    let total = 99_999_999;
    let steps = u64::MAX;
    let most = most_evaluations(total, steps);
    let config = TrainConfig {
        layers: vec![1 << 24; 1_002],
        ..TrainConfig::default()
    };
    let step = |i: usize| Evaluation {
        step: steps - i as u64,
        // Shares of 17 digits, with exponents.
        correct: 70_000_000 + i,
        total,
    };
    let run = Run {
        status: Status::Ok,
        isa: crate::Isa::best(),
        steps,
        evals: (0..most).map(step).collect(),
        training_loss: Some(1.0 / 3e-7),
        train_time: Duration::MAX / 3,
        eval_time: Duration::MAX / 3,
        weights_sha256: "0".repeat(64),
    };
    let setting = Setting {
        config: &config,
        data: &"ü".repeat(2_000),
        hold_out: usize::MAX,
        peak: 1e11 / 3.0,
        total: Duration::MAX / 7,
    };
    let report = serde_json::to_value(RunReport::new(&setting, &run)).unwrap();
    let record = Record::new(&"0".repeat(32), report.as_object().unwrap().clone()).unwrap();
    let length = record.encode().unwrap().len();
    assert!(length <= MAX_LINE);
    // Nor is much room left.
    assert!(length > MAX_LINE / 10 * 9, "{length}");
}

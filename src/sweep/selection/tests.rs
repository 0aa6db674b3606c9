use super::*;
use crate::sweep::{DataFacts, Plan, Spec};
use crate::train::{ConfigReport, Setting};
use std::time::Duration;

/// Records of all runs of a spec: text, to be read as outcomes.
fn records(spec: &str) -> Vec<String> {
    let plan = Plan::new(&Spec::parse(spec).unwrap(), &DataFacts::MNIST).unwrap();
    let record = |run: crate::sweep::PlannedRun| {
        let setting = Setting {
            config: &run.config,
            data: "mnist",
            hold_out: 5_000,
            peak: 1.0,
            total: Duration::ZERO,
        };
        let id = format!("ab{:02x}", run.index);
        let status = if run.index == 0 { "failed" } else { "ok" };
        let json = serde_json::json!({
            "run": id, "status": status, "host": "node-1", "version": "0.1.0",
            "time": "2026-01-31T12:00:00Z", "config": ConfigReport::new(&setting),
        });
        json.to_string()
    };
    plan.iter().map(record).collect()
}

const SPEC: &str = r#"
    name = "selection"
    [grid]
    layers = [[784, 10], [784, 90, 10], [784, 90, 90, 10], [784, 90, 30, 10]]
    init = ["glorot_normal", "pretrained:untied,noise=0.25"]
    lr = [0.1, 3]
    seed = [1, 8, 9, 18446744073709551615]
    [[zip]]
    batch_norm = ["off", "input"]
    bn_epsilon = [0.5, 0.001]
"#;

fn count(records: &[String], conditions: &[&str]) -> usize {
    let conditions: Vec<String> = conditions.iter().map(|c| c.to_string()).collect();
    let selection = Selection::parse(&conditions).unwrap();
    let outcome = |text: &String| selection.matches(&serde_json::from_str(text).unwrap());
    records.iter().filter(|text| outcome(text)).count()
}

#[test]
fn values_are_compared_by_what_they_mean() {
    let records = records(SPEC);
    let all = 4 * 2 * 2 * 4 * 2;
    assert_eq!(records.len(), all);
    for (conditions, expected) in [
        (&[][..], all),
        (&["lr=0.10"], all / 2),
        (&["lr=1e-1,3.0"], all),
        (&["lr=0.1", "lr=3"], all),
        (&["lr=0.1", "seed=8"], all / 8),
        (&["lr=0.2"], 0),
        (&["seed=1..=8"], all / 2),
        (&["seed=1..8"], all / 4),
        (&["seed=1..=8,18446744073709551615"], all * 3 / 4),
        (&["seed=9..=18446744073709551615"], all / 2),
        (&["init=xavier_normal"], all / 2),
        (&["init=pretrained:noise=0.25,untied"], all / 2),
        (&["init=pretrained:untied,noise=0.25,xavier_normal"], all),
        (&["init=xavier_normal, pretrained"], all / 2),
        (&["layers=784-90-10,784-10"], all / 2),
        (&["depth=2"], all / 2),
        (&["width=90"], all / 2),
        (&["depth=0..=1"], all / 2),
        (&["bn_epsilon=0.001"], all / 2),
        // None where there is no normalization.
        (&["bn_epsilon=0.5"], 0),
        (&["batch_norm=off"], all / 2),
        (&["freeze=none"], all),
        (&["output_activation=sigmoid"], all),
        (&["status=failed"], 1),
        (&["status=ok,failed"], all),
        (&["host=node"], 0),
        (&["host=node-1", "data=mnist"], all),
        (&["hold_out=5000"], all),
        (&["hold_out=0..=4999"], 0),
        (&["hold_out=1,4999..=5000", "lr=3"], all / 2),
        (&["run=AB0"], 16),
        (&["run=ab00,ab1", "status=ok"], 16),
    ] {
        assert_eq!(count(&records, conditions), expected, "{conditions:?}");
    }
}

#[test]
fn errors_say_what_was_expected() {
    for (text, expected) in [
        (
            "lrr=1",
            "unknown key 'lrr' (did you mean 'lr'?): expected layers, depth,",
        ),
        ("frozen=1", "did you mean 'freeze'?"),
        ("threads=2", "status, host, data, hold_out, run"),
        ("lr", "expected KEY=VALUE[,VALUE…]"),
        ("lr=", "a value is missing"),
        ("lr=1,,2", "a value is missing"),
        ("lr=much", "'much' is no number"),
        ("lr=inf", "finite"),
        ("lr=1..=3", "'1..=3' is no number"),
        ("seed=-1", "'-1' is no whole number"),
        ("seed=5..5", "the range '5..5' is empty"),
        ("seed=5..x", "'5..x' is no range"),
        ("init=he", "unknown initializer 'he'"),
        ("layers=784,10", "expected 2 to 1002"),
        ("layers=784x10", "expected sizes as 784-90-10"),
        (
            "status=divergd",
            "unknown status 'divergd' (did you mean 'diverged'?): expected ok,",
        ),
        ("run=xyz", "hexadecimal"),
        ("hold_out=some", "'some' is no whole number"),
        ("hold-out=5", "did you mean 'hold_out'?"),
        ("hold_out=5..5", "the range '5..5' is empty"),
    ] {
        let error = Selection::parse(&["seed=1".into(), text.into()]).unwrap_err();
        assert_eq!(error.condition, text);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

//! Any spec: against the slow way, and in any order.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// An axis as text: values that may be put in any order.
#[derive(Clone, Debug)]
struct TextAxis {
    keys: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl TextAxis {
    fn column(&self, i: usize) -> String {
        let values: Vec<&str> = self.rows.iter().map(|row| row[i].as_str()).collect();
        format!("{} = [{}]\n", self.keys[i], values.join(", "))
    }
}

fn text(train: &[String], axes: &[TextAxis], excludes: &[String]) -> String {
    let mut text = format!("[train]\n{}\n[grid]\n", train.join("\n"));
    for axis in axes.iter().filter(|axis| axis.keys.len() == 1) {
        text += &axis.column(0);
    }
    for axis in axes.iter().filter(|axis| axis.keys.len() > 1) {
        text += "[[zip]]\n";
        for i in 0..axis.keys.len() {
            text += &axis.column(i);
        }
    }
    text + &excludes.concat()
}

/// Some values of `key`, by small numbers: equal numbers, equal values.
fn value(key: &str, n: u8) -> String {
    let pick = |texts: &[&str]| format!("'{}'", texts[usize::from(n) % texts.len()]);
    match key {
        "init" => pick(&["zeros", "he_normal", "kaiming_normal", "normal:0.5"]),
        "batch_norm" => pick(&["off", "input", "pre_activation"]),
        "bn_eval" => pick(&["running", "batch"]),
        "activation" => pick(&["relu", "tanh"]),
        "output_activation" => pick(&["relu", "identity"]),
        "bn_epsilon" | "lr" | "momentum" => format!("0.{}", n % 4 + 1),
        "depth" => (n % 3).to_string(),
        _ => (n % 4 + 1).to_string(),
    }
}

const KEYS: [&str; 11] = [
    "init",
    "batch_norm",
    "bn_eval",
    "bn_epsilon",
    "activation",
    "output_activation",
    "lr",
    "depth",
    "width",
    "seed",
    "momentum",
];

/// Axes over some keys, one of them a zip of up to two; the others in `[train]`.
fn specs() -> impl Strategy<Value = (Vec<String>, Vec<TextAxis>, Vec<String>)> {
    let keys = Just(KEYS.to_vec()).prop_shuffle();
    let rows = proptest::collection::vec(proptest::collection::vec(0u8..12, 2), 1..4);
    let axes = proptest::collection::vec(rows, 4);
    let conditions = proptest::collection::vec((0..KEYS.len(), 0u8..12), 1..3);
    let excludes = proptest::collection::vec(conditions, 0..3);
    (keys, axes, 0usize..6, excludes).prop_map(|(keys, rows, in_train, excludes)| {
        let mut keys = keys.into_iter();
        let axes = rows.iter().enumerate().map(|(i, rows)| {
            let width = if i == 0 { 2 } else { 1 };
            let keys: Vec<_> = keys.by_ref().take(width).collect();
            let row = |row: &Vec<u8>| keys.iter().zip(row).map(|(k, n)| value(k, *n)).collect();
            let rows = rows.iter().map(row).collect();
            TextAxis { keys, rows }
        });
        let axes: Vec<TextAxis> = axes.collect();
        // Depth and width go together: they are always there.
        let (train, _): (Vec<_>, Vec<_>) = keys
            .enumerate()
            .partition(|(i, key)| *i < in_train || matches!(*key, "depth" | "width"));
        let train = train
            .iter()
            .map(|(i, key)| format!("{key} = {}", value(key, *i as u8)));
        let excludes = excludes.iter().map(|conditions| {
            let mut seen = HashSet::new();
            let mut text = "[[exclude]]\n".to_owned();
            for (key, n) in conditions.iter().filter(|(key, _)| seen.insert(*key)) {
                text += &format!("{} = {}\n", KEYS[*key], value(KEYS[*key], *n));
            }
            text
        });
        (train.collect(), axes, excludes.collect())
    })
}

/// Whether a configuration matches an `[[exclude]]`, told from the configuration.
fn matches(config: &TrainConfig, exclude: &str) -> bool {
    let hidden = &config.layers[1..config.layers.len() - 1];
    let norm = config.batch_norm;
    let same = |a: &str, b: String| a == b;
    exclude.lines().skip(1).all(|line| {
        let (key, value) = line.split_once(" = ").unwrap();
        let value = value.trim_matches('\'');
        match key {
            "init" => value.parse() == Ok(config.init),
            "batch_norm" => norm.map_or(value == "off", |n| same(value, n.placement.to_string())),
            "bn_eval" => norm.is_some_and(|n| same(value, n.eval.to_string())),
            "bn_epsilon" => norm.is_some_and(|n| same(value, n.epsilon.to_string())),
            "activation" => same(value, config.activation.to_string()),
            "output_activation" => same(value, config.output_activation.to_string()),
            "lr" => same(value, config.lr.to_string()),
            "momentum" => same(value, config.momentum.to_string()),
            "depth" => same(value, hidden.len().to_string()),
            "width" => !hidden.is_empty() && same(value, hidden[0].to_string()),
            "seed" => same(value, config.seed.to_string()),
            key => panic!("{key}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Against the slow way: every configuration made, looked at, and noted.
    #[test]
    fn the_runs_are_the_distinct_configurations((train, axes, excludes) in specs()) {
        let text = text(&train, &axes, &excludes);
        let spec = Spec::parse(&format!("name = 't'\n{text}")).expect(&text);
        let mut without = spec.clone();
        without.excludes.clear();
        let without = Plan::new(&without, &DataFacts::MNIST).expect(&text);
        let (mut seen, mut expected, mut excluded) = (HashSet::new(), Vec::new(), 0);
        for (index, digits) in without.all() {
            let config = without.config(&digits);
            if excludes.iter().any(|exclude| matches(&config, exclude)) {
                excluded += 1;
            } else if seen.insert(run_id(&config, "", 5_000)) {
                expected.push((index, config));
            }
        }
        match Plan::new(&spec, &DataFacts::MNIST) {
            Ok(plan) => {
                let found: Vec<_> = plan.iter().map(|run| (run.index, run.config)).collect();
                prop_assert_eq!(found, expected, "{}", text);
                prop_assert_eq!(plan.excluded(), excluded);
                prop_assert_eq!(plan.runs() as usize, seen.len());
            }
            Err(error) => prop_assert!(expected.is_empty(), "{} {}", error, text),
        }
    }

    /// Keys, axes and values in another order, and more values: the same ids and more.
    #[test]
    fn ids_do_not_depend_on_the_order(
        (train, axes, _) in specs(),
        more in 0u8..12,
        turn in 0usize..4,
    ) {
        let before = ids(&plan(&text(&train, &axes, &[])));
        let (mut train, mut turned) = (train, axes);
        train.reverse();
        turned.rotate_left(turn);
        for axis in &mut turned {
            let rows = axis.rows.len();
            axis.rows.rotate_right(turn % rows);
            axis.keys.reverse();
            axis.rows.iter_mut().for_each(|row| row.reverse());
        }
        prop_assert_eq!(&ids(&plan(&text(&train, &turned, &[]))), &before);
        for axis in &mut turned {
            axis.rows.insert(0, axis.keys.iter().map(|key| value(key, more)).collect());
        }
        prop_assert!(ids(&plan(&text(&train, &turned, &[]))).is_superset(&before));
    }
}

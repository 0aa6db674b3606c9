use super::*;
use crate::batch_norm::Placement;
use crate::sweep::run_id;
use std::collections::BTreeSet;

mod properties;
mod together;

fn plan(text: &str) -> Plan {
    try_plan(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn try_plan(text: &str) -> Result<Plan, SpecError> {
    Plan::new(
        &Spec::parse(&format!("name = 't'\n{text}"))?,
        &DataFacts::MNIST,
    )
}

fn ids(plan: &Plan) -> BTreeSet<String> {
    plan.iter().map(|run| run.id).collect()
}

#[test]
fn a_spec_resolves_to_what_train_would_do() {
    let plan = plan(
        "[train]\nmomentum = 0.9\nbn_epsilon = 1e-5\nseed = 3
         [grid]\nhidden = { depth = [0, 2], width = 30 }\nbatch_norm = ['off', 'input']
         [[zip]]\nactivation = ['relu', 'tanh']\nlr = [0.5, 1]",
    );
    let runs: Vec<PlannedRun> = plan.iter().collect();
    assert_eq!(runs.len(), 8);
    assert_eq!(
        (plan.combinations(), plan.excluded(), plan.duplicates()),
        (8, 0, 0)
    );
    let names: Vec<_> = plan
        .axes()
        .iter()
        .map(|a| (a.names.join("+"), a.values))
        .collect();
    let expected = [
        ("depth", 2),
        ("width", 1),
        ("batch_norm", 2),
        ("activation+lr", 2),
    ];
    assert_eq!(names, expected.map(|(name, n)| (name.to_owned(), n)));
    let run = &runs[7];
    let article = TrainConfig::default();
    let norm = crate::BatchNorm {
        placement: Placement::Input,
        epsilon: 1e-5,
        ..crate::BatchNorm::default()
    };
    let expected = TrainConfig {
        layers: vec![784, 30, 30, 10],
        activation: crate::Activation::Tanh,
        output_activation: crate::Activation::Tanh,
        batch_norm: Some(norm),
        lr: 1.0,
        momentum: 0.9,
        seed: 3,
        ..article
    };
    assert_eq!(run.config, expected);
    assert_eq!(run.id, run_id(&expected, "", 5_000));
    let shown: Vec<String> = run.axes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let axes = [
        "depth=2",
        "width=30",
        "batch_norm=input",
        "activation=tanh",
        "lr=1",
    ];
    assert_eq!(shown, axes);
    assert_eq!(runs[0].config.layers, [784, 10]);
    for run in &runs {
        assert_eq!(plan.get(run.index).as_ref(), Some(run));
        run.config.check().unwrap();
    }
    assert_eq!(plan.get(8), None);
    assert_eq!(plan.get(u32::MAX), None);
    // An output activation of its own stays.
    let plan = self::plan("[train]\noutput_activation = 'identity'\n[grid]\nactivation = ['relu']");
    let output = plan.get(0).unwrap().config.output_activation;
    assert_eq!(output, crate::Activation::Identity);
}

#[test]
fn a_spec_without_axes_is_one_run_as_train_does_it() {
    let plan = plan("");
    let runs: Vec<_> = plan.iter().collect();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].config, TrainConfig::default());
    assert!(runs[0].axes.is_empty());
}

#[test]
fn combinations_that_are_the_same_are_one_run() {
    let duplicates = |text: &str| {
        let plan = plan(text);
        assert_eq!(ids(&plan).len(), plan.runs() as usize, "{text}");
        (plan.runs(), plan.duplicates())
    };
    assert_eq!(
        duplicates("[grid]\nseed = [1, 2, 1]\nlr = [1, 1.0, -0.0, 0]"),
        (4, 8)
    );
    let names = "[grid]\ninit = ['he_normal', 'kaiming_normal', 'he_normal:1.4142135']";
    assert_eq!(duplicates(names), (1, 2));
    let norm = "[grid]\nbatch_norm = ['off', 'input']\nbn_epsilon = [0.1, 0.2, 0.3]";
    assert_eq!(duplicates(norm), (4, 2));
    let hidden = "[grid]\nhidden = { depth = [0, 1], width = '1..=9' }";
    assert_eq!(duplicates(hidden), (10, 8));
    let networks = "[grid]\nlayers = [[784, 10], [784, 9, 10], [784, 10]]";
    assert_eq!(duplicates(networks), (2, 1));
}

#[test]
fn exclusions() {
    let excluded = |text: &str| plan(text).excluded();
    let grid = "[train]\nbn_epsilon = 0.5\n[grid]\nhidden = { depth = [0, 1, 2], width = '8..=12' }
        seed = '11..=20'\nbatch_norm = ['off', 'input']\ninit = ['zeros', 'he_normal']\n";
    let cases = [
        ("seed = '1..=12'", 3 * 5 * 2 * 2 * 2),
        ("seed = [20, 12, 12, 21]\ndepth = 1", 2 * 5 * 2 * 2),
        ("init = 'kaiming_normal'\nwidth = '12..=99'", 2 * 10 * 2),
        ("width = [8]", 2 * 10 * 2 * 2),
        ("bn_epsilon = 0.5", 3 * 5 * 10 * 2),
        ("bn_epsilon = 0.4", 0),
        (
            "lr = [3]\nsteps = '20000..20001'\ninit = 'zeros'",
            3 * 5 * 10 * 2,
        ),
        ("lr = 2.5", 0),
        ("activation = 'relu'", 0),
        ("output_activation = 'sigmoid'\ndepth = 2", 5 * 10 * 2 * 2),
        ("seed = '1..=9'", 0),
        (
            "seed = { linear = [10, 12], n = 3 }\ndepth = 0",
            2 * 5 * 2 * 2,
        ),
    ];
    for (exclude, expected) in cases {
        let found = excluded(&format!("{grid}[[exclude]]\n{exclude}"));
        assert_eq!(found, expected, "{exclude}");
    }
    let networks = "[grid]\nlayers = [[784, 10], [784, 9, 10], [784, 9, 9, 10], [784, 9, 8, 10]]\n";
    let cases = [
        ("depth = 2", 2),
        ("depth = '0..=1'", 2),
        ("width = 9", 2),
        ("layers = [784, 9, 8, 10]", 1),
        ("layers = [[784, 9, 8, 10], [784, 10], [784, 7, 10]]", 2),
    ];
    for (exclude, expected) in cases {
        let found = excluded(&format!("{networks}[[exclude]]\n{exclude}"));
        assert_eq!(found, expected, "{exclude}");
    }
}

/// Ten million combinations: nothing is written out, and counting takes a moment.
#[test]
fn a_plan_is_lazy() {
    let grid = "[grid]\nseed = '1..=1000000'\nlr = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n";
    assert_eq!(plan(grid).runs(), 10_000_000);
    let plan = plan(&format!("{grid}[[exclude]]\nlr = 10\nseed = '1..=10'\n"));
    assert_eq!((plan.runs(), plan.excluded()), (9_999_990, 10));
    let last = plan.get(9_999_999).unwrap();
    assert_eq!((last.config.seed, last.config.lr), (1_000_000, 10.0));
    assert_eq!(plan.get(9), None);
    let error = try_plan(&format!("{grid}momentum = [0, 0.5]\n")).unwrap_err();
    let expected = "line 2, column 2: 20,000,000 combinations: expected at most 10,000,000";
    assert_eq!(error.to_string(), expected);
    // More than any integer counts.
    let most = "'1..=10000000'";
    let grid = ["seed", "steps", "eval_every", "batch", "width", "depth"];
    let grid = grid.map(|key| format!("{key} = {}\n", if key == "depth" { "[1]" } else { most }));
    let grid = format!("[grid]\n{}", grid.concat());
    let error = try_plan(&grid).unwrap_err().to_string();
    assert!(error.contains("combinations: expected at most"), "{error}");
}

#[test]
fn shards_partition_the_runs_and_are_balanced() {
    let grid = "[grid]\nhidden = { depth = [1, 2, 4, 6, 8], width = [32, 100, 300] }
        steps = [500, 2000]\nseed = '1..=40'\nbatch_norm = ['off', 'input']
        [[exclude]]\ndepth = 8\nwidth = 300";
    let plan = plan(grid);
    let expected: BTreeSet<u32> = plan.iter().map(|run| run.index).collect();
    for count in [1, 2, 3, 7, 16, 50] {
        let mut all = Vec::new();
        let mut loads = Vec::new();
        for index in 0..count {
            let runs = plan.shard(Shard::new(index, count).unwrap()).unwrap();
            let costs: Vec<f64> = runs
                .iter()
                .map(|i| plan.cost(&plan.get(*i).unwrap()))
                .collect();
            assert!(costs.is_sorted_by(|a, b| a >= b), "the longest first");
            loads.push(costs.iter().sum::<f64>());
            all.extend(runs);
        }
        assert_eq!(all.len(), expected.len());
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
        let mean = loads.iter().sum::<f64>() / f64::from(count);
        for load in loads {
            assert!(
                (load / mean - 1.0).abs() < 0.05,
                "{count} shards: {}",
                load / mean
            );
        }
    }
    // More shards than runs, and written otherwise.
    let few = self::plan("[grid]\nseed = [1, 2]");
    let sizes = [0, 1, 2].map(|i| few.shard(Shard::new(i, 3).unwrap()).unwrap().len());
    assert_eq!(sizes, [1, 1, 0]);
    let turned = self::plan(
        "[grid]\nbatch_norm = ['input', 'off']\nseed = '1..41'\nsteps = [2000, 500]
         hidden = { width = [300, 32, 100], depth = [8, 6, 4, 2, 1] }
         [[exclude]]\nwidth = 300\ndepth = 8",
    );
    let shard = Shard::new(2, 7).unwrap();
    let ids = |plan: &Plan| -> Vec<String> {
        let runs = plan.shard(shard).unwrap();
        runs.iter().map(|i| plan.get(*i).unwrap().id).collect()
    };
    assert_eq!(ids(&plan), ids(&turned));
    assert_eq!(Shard::new(3, 3), None);
    assert_eq!(Shard::new(0, 0), None);
}

#[test]
fn what_no_run_on_the_data_can_have() {
    let cases = [
        (
            "hold_out = 60000",
            "line 2, column 12: hold_out: 60000 leaves nothing of the 60000 training samples",
        ),
        (
            "[train]\nbatch = 55001",
            "line 3, column 1: batch: a batch of 55001: expected 1 to 55000, the number of training samples",
        ),
        (
            "[grid]\nbatch = '54990..=55001'",
            "line 3, column 9: batch: a batch of 55001: expected 1 to 55000, the number of training samples",
        ),
        (
            "[grid]\nlayers = [[784, 10],\n [784, 90, 9]]",
            "line 4, column 2: layers: the network has 9 outputs, the samples have 10 classes",
        ),
        (
            "[train]\nlayers = [785, 10]",
            "line 3, column 1: layers: the network has 785 inputs, the samples have 784",
        ),
        (
            "[train]\nfreeze = '1..2'\n[grid]\nhidden = { depth = [2, 3, 1], width = 9 }",
            "line 3, column 1: freeze: layers 1..2 are frozen: the network has 2, and one must be trained",
        ),
        (
            "[grid]\nfreeze = ['none', '6']",
            "line 3, column 19: freeze: layers 6..6 are frozen: the network has 5, and one must be trained",
        ),
        (
            "[[zip]]\nfreeze = ['1', '2']\nlayers = [[784, 9, 10], [784, 10]]",
            "line 3, column 16: freeze: layers 2..2 are frozen: the network has 1, and one must be trained",
        ),
        (
            "[grid]\nseed = [1]\n[[exclude]]\nlr = 3",
            "line 2, column 2: no runs: every combination matches an [[exclude]]",
        ),
        (
            "[train]\ndepth = 1\nwidth = 1\n[[exclude]]\nlayers = [784, 1, 10]",
            "line 6, column 1: layers: the runs have depth and width; expected these in [[exclude]]",
        ),
    ];
    for (text, expected) in cases {
        let error = try_plan(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
    // Left out, or overruled, they do no harm.
    plan(
        "[train]\nfreeze = '1..2'\n[grid]\nhidden = { depth = [2, 3, 1], width = 9 }\n[[exclude]]\ndepth = '0..=1'",
    );
    plan("[train]\nfreeze = '1..9'\n[grid]\nfreeze = ['1']");
    plan("[train]\nlayers = [1, 1]\n[grid]\nhidden = { depth = 1, width = 9 }");
    plan(
        "[grid]\nfreeze = ['none', '1']\nlayers = [[784, 10], [784, 9, 10]]\n[[exclude]]\nfreeze = '1..1'\nlayers = [784, 10]",
    );
    let small = DataFacts {
        inputs: 4,
        ..DataFacts::MNIST
    };
    let error = Plan::new(&Spec::parse("name = 't'").unwrap(), &small).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 1: layers: the network has 784 inputs, the samples have 4"
    );
}

#[test]
fn the_example() {
    let spec = Spec::parse(include_str!("../../../examples/depths.toml")).unwrap();
    let plan = Plan::new(&spec, &DataFacts::MNIST).unwrap();
    assert_eq!((plan.runs(), plan.combinations()), (400, 400));
    let first = plan.get(0).unwrap();
    assert_eq!(first.config.layers, [784, 100, 10]);
    let configs = plan.iter().map(|run| run.config);
    let widest = configs.map(|c| c.layers.len()).max();
    assert_eq!(widest, Some(10));
}

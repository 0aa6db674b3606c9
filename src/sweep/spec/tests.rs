use super::*;

/// The text of the error of a spec that starts in line 2.
fn error(text: &str) -> String {
    let text = format!("name = 't'\n{text}");
    match Spec::parse(&text) {
        Ok(_) => panic!("no error:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn errors_say_what_and_where() {
    let cases = [
        // Keys.
        (
            "[train]\nlayer = [784, 10]",
            "line 3, column 1: unknown key 'layer' in [train]; did you mean 'layers'?",
        ),
        (
            "[grid]\n  sede = '1..=3'",
            "line 3, column 3: unknown key 'sede' in [grid]; did you mean 'seed'?",
        ),
        (
            "[grid]\nbatch-norm = ['off']",
            "line 3, column 1: unknown key 'batch-norm' in [grid]; did you mean 'batch_norm'?",
        ),
        (
            "[train]\nfrozen = '1'",
            "line 3, column 1: unknown key 'frozen' in [train]; did you mean 'freeze'?",
        ),
        (
            "[[zip]]\nactivations = ['relu']",
            "line 3, column 1: unknown key 'activations' in [[zip]]; did you mean 'activation'?",
        ),
        (
            "[grids]\nlr = [1]",
            "line 2, column 2: unknown key 'grids' in a spec; did you mean 'grid'?",
        ),
        (
            "colour = 1",
            "line 2, column 1: unknown key 'colour' in a spec: expected name, data, hold_out, stop_when, train, grid, zip, exclude",
        ),
        (
            "lr = 1",
            "line 2, column 1: 'lr' stands in [train], or in [grid] if it varies",
        ),
        (
            "[train]\nthreads = 2",
            "line 3, column 1: 'threads' in [train]: no result depends on it; a spec has no such key",
        ),
        (
            "[train]\ndata = 'mnist'",
            "line 3, column 1: 'data' in [train]: it stands at the top, before any [table]",
        ),
        (
            "[grid]\nhidden = { deep = [1] }",
            "line 3, column 12: unknown key 'deep' of hidden: expected depth, width",
        ),
        (
            "[grid]\nlr = { logs = [1, 2], n = 2 }",
            "line 3, column 8: unknown key 'logs' of lr; did you mean 'log'?",
        ),
        // Nothing, or twice.
        ("[grid]\nlr = []", "line 3, column 6: lr: no values"),
        (
            "[grid]\nseed = '5..5'",
            "line 3, column 8: seed: the range '5..5' is empty: no values",
        ),
        (
            "[grid]\nseed = '6..=5'",
            "line 3, column 8: seed: the range '6..=5' is empty: no values",
        ),
        (
            "[grid]\nlr = [1]\n[[zip]]\nseed = [1]\nlr = [2]",
            "line 6, column 1: lr is given twice: first at line 3, column 1",
        ),
        (
            "[[zip]]\nlr = [1]\n[[zip]]\nlr = [2]",
            "line 5, column 1: lr is given twice: first at line 3, column 1",
        ),
        (
            "[grid]\ndepth = [1]\nhidden = { width = 3, depth = [1] }",
            "line 4, column 23: depth is given twice: first at line 3, column 1",
        ),
        (
            "[grid]\nlayers = [[784, 10]]\nhidden = { depth = [1], width = [2] }",
            "line 4, column 12: depth and, at line 3, column 1, layers: the layers can be given in one way only",
        ),
        (
            "[train]\nwidth = 2",
            "line 3, column 1: width is given without depth",
        ),
        (
            "[grid]\ndepth = [2]",
            "line 3, column 1: depth is given without width",
        ),
        (
            "[[zip]]",
            "line 2, column 1: an empty table in [[zip]]: expected keys",
        ),
        (
            "[[zip]]\nlr = [1, 2]\nseed = '1..=3'",
            "line 4, column 1: seed has 3 values, lr has 2: those of a [[zip]] vary together",
        ),
        // Kinds.
        (
            "[train]\nlr = '3'",
            "line 3, column 6: lr: expected a number, found a string",
        ),
        (
            "[train]\nsteps = 1.5",
            "line 3, column 9: steps: expected a whole number, found a float",
        ),
        (
            "[train]\nseed = '1..=3'",
            "line 3, column 8: seed: expected a whole number, found a string; what varies stands in [grid]",
        ),
        (
            "[train]\nlr = [1, 2]",
            "line 3, column 6: lr: expected a number, found a list; what varies stands in [grid]",
        ),
        (
            "[grid]\nlr = 3.0",
            "line 3, column 6: lr: expected a list or { log = [0.01, 1], n = 3 }, found a float; one value for all runs stands in [train]",
        ),
        (
            "[grid]\nlayers = [784, 10]",
            "line 3, column 11: layers: expected a list of layer sizes such as [784, 90, 10], found an integer",
        ),
        (
            "[grid]\ninit = ['zeros', 1]",
            "line 3, column 18: init: expected a string, found an integer",
        ),
        (
            "[grid]\ninit = { log = [1, 2], n = 2 }",
            "line 3, column 8: init: expected a list of strings, found a table",
        ),
        (
            "train = 1",
            "line 2, column 9: train: expected a table, found an integer",
        ),
        (
            "[exclude]\nlr = 1",
            "line 2, column 1: exclude: expected tables, each under [[exclude]], found a table",
        ),
        (
            "hold_out = -1",
            "line 2, column 12: hold_out: expected a whole number from 0 to 2^64 - 1",
        ),
        // Values.
        (
            "[grid]\nlr = [1,\n  nan]",
            "line 4, column 3: lr: learning rate NaN: expected a finite number",
        ),
        (
            "[grid]\nmomentum = [0.5, 1]",
            "line 3, column 18: momentum: momentum 1: expected a number from 0 up to, but not including, 1",
        ),
        (
            "[train]\nbn_epsilon = 0",
            "line 3, column 14: bn_epsilon: batch normalization's epsilon 0: expected a finite number > 0",
        ),
        (
            "[train]\nbatch = 0",
            "line 3, column 9: batch: 0 samples: expected 1 or more",
        ),
        (
            "[grid]\nbatch = '0..=3'",
            "line 3, column 9: batch: 0 samples: expected 1 or more",
        ),
        (
            "[grid]\nbatch_norm = ['on']",
            "line 3, column 15: batch_norm: unknown placement of batch normalization 'on': expected pre_activation or input, or off",
        ),
        (
            "[train]\nbias_init = 'lsuv'",
            "line 3, column 13: bias_init: biases 'lsuv': it starts weights from data, and cannot start biases",
        ),
        (
            "[train]\nloss = 'l2'",
            "line 3, column 8: loss: unknown loss 'l2': expected one of mse, cross_entropy",
        ),
        (
            "[grid]\nlayers = [[784, 0, 10]]",
            "line 3, column 11: layers: 0 units: expected 1 to 16777216",
        ),
        (
            "[grid]\nhidden = { depth = [1001], width = 1 }",
            "line 3, column 21: depth: 1001 hidden layers: expected 0 to 1000",
        ),
        (
            "[grid]\nseed = '1-8'",
            "line 3, column 8: seed: '1-8' is no range: expected FIRST..=LAST or FIRST..END, as in \"1..=8\"",
        ),
        (
            "[grid]\nseed = '0..=18446744073709551615'",
            "line 3, column 8: seed: the range '0..=18446744073709551615': expected at most 10,000,000 values",
        ),
        (
            "[grid]\nlr = { log = [0, 1], n = 2 }",
            "line 3, column 14: lr: [0, 1]: expected 0 < LO < HI, finite",
        ),
        (
            "[grid]\nlr = { log = [1, 2], n = 1 }",
            "line 3, column 26: lr: n = 1: expected 2 to 100,000 values",
        ),
        (
            "[grid]\nlr = { log = [1, 2] }",
            "line 3, column 6: lr: expected { log = [LO, HI], n = K } or { linear = [LO, HI], n = K }",
        ),
        (
            "stop_when = 'accuracy < 12 at step 5'",
            "line 2, column 13: stop_when: 'accuracy < 12 at step 5' is no rule: expected 'accuracy < SHARE at step N' (or <=, >, >=), SHARE from 0 to 1",
        ),
        (
            "data = ''",
            "line 2, column 8: data: expected some text, in one line",
        ),
        (
            "[train] # µµµ\nx = { 'µ' = 1, lr = 1 }",
            "line 3, column 1: unknown key 'x' in [train]: expected layers, depth, width, init, bias_init, activation, output_activation, batch_norm, bn_layers, bn_epsilon, bn_momentum, bn_eval, freeze, loss, lr, momentum, batch, steps, eval_every, seed, hidden",
        ),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let found = error(text);
        if found != expected {
            wrong.push(format!("{text}\n  found    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn toml_that_is_none_has_a_place() {
    let at = |text: &str| Spec::parse(text).unwrap_err().at;
    let place = |line, column| Position { line, column };
    assert_eq!(at("name = 't'\n[grid\n"), place(2, 6));
    assert_eq!(at("name = 't'\r\nname = 'u'"), place(2, 1));
    assert_eq!(at("name = 't'\n[train]\nlr = 3,5"), place(3, 7));
    // Columns count characters, not bytes.
    assert_eq!(at("name = 'µµ' x"), place(1, 13));
    assert_eq!(at(""), place(1, 1));
    let nested = "name = 't'\nzip = ".to_owned() + &"[".repeat(100_000);
    assert_eq!(at(&nested).line, 2);
    let long = format!("name = 't'\n#{}", " ".repeat(1 << 20));
    assert!(
        Spec::parse(&long)
            .unwrap_err()
            .message
            .contains("longer than")
    );
}

#[test]
fn what_is_written_is_read() {
    let spec = Spec::parse(
        "name = 'x y'\ndata = 'fashion-mnist'\nhold_out = 0
         stop_when = ['accuracy < 0.12 at step 5000', 'accuracy >= 0.99 at step 100']
         [train]\nlr = 0x10_000\nseed = 18446744073709551615",
    );
    assert!(
        spec.unwrap_err().message.contains("a number"),
        "hexadecimal rates are slips"
    );
    let spec = Spec::parse(
        "name = 'x y'\ndata = 'fashion-mnist'\nhold_out = 0
         stop_when = ['accuracy < 0.12 at step 5000', 'accuracy >= 0.99 at step 100']
         [train]\nsteps = 0x10\nseed = 18446744073709551615\nlr = 1_0.5\nfreeze = 'none'
         [grid]\nbatch = { log = [1, 1000], n = 4 }\neval_every = { linear = [0, 3], n = 3 }
         momentum = [0, 0.1]",
    );
    let spec = spec.unwrap();
    assert_eq!(
        (spec.name(), spec.data(), spec.hold_out()),
        ("x y", "fashion-mnist", 0)
    );
    assert_eq!(spec.stop_when().len(), 2);
    assert_eq!(
        spec.stop_when()[1].to_string(),
        "accuracy >= 0.99 at step 100"
    );
    let train: Vec<&Setting> = spec.train.iter().map(|(_, setting)| setting).collect();
    let expected = [
        Setting::Steps(16),
        Setting::Seed(u64::MAX),
        Setting::Lr(10.5),
        Setting::Freeze(None),
    ];
    assert_eq!(train, expected.iter().collect::<Vec<_>>());
    let axis = |i: usize| {
        let column = &spec.axes[i].columns[0];
        let values = (0..column.len()).map(|i| column.get(i).unwrap());
        values.collect::<Vec<_>>()
    };
    assert_eq!(axis(0), [1, 10, 100, 1000].map(Setting::Batch));
    assert_eq!(axis(1), [0, 2, 3].map(Setting::EvalEvery));
    assert_eq!(axis(2), [0.0, 0.1].map(Setting::Momentum));
}

#[test]
fn a_file_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    let error = Spec::read(&path).unwrap_err().to_string();
    assert!(error.contains("s.toml: "), "{error}");
    std::fs::write(&path, "name = 1").unwrap();
    let error = Spec::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("s.toml: line 1, column 8: name: expected a string, found an integer"));
    std::fs::write(&path, b"name = '\xff'").unwrap();
    assert!(matches!(Spec::read(&path), Err(SpecFileError::Read { .. })));
}

/// The schema has the keys that the reader has, no others, and the example's.
#[test]
fn the_schema_knows_the_keys() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let keys = |table: &serde_json::Value| {
        assert_eq!(table["additionalProperties"], false);
        let mut keys: Vec<String> = table["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys
    };
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(keys(&schema), sorted(&TOP));
    let fields = Field::names();
    let with_hidden = [&fields[..], &[HIDDEN]].concat();
    let tables = &schema["properties"];
    for (table, expected) in [
        (&tables["train"], &with_hidden),
        (&tables["grid"], &with_hidden),
        (&tables["zip"]["items"], &fields),
        (&tables["exclude"]["items"], &fields),
    ] {
        assert_eq!(keys(table), sorted(expected));
    }
    let example = include_str!("../../../examples/depths.toml");
    let example = DeTable::parse(example).unwrap();
    for (key, value) in example.get_ref() {
        let known = &tables[key.get_ref().as_ref()];
        assert!(known.is_object(), "{}", key.get_ref());
        for (key, _) in value.get_ref().as_table().into_iter().flatten() {
            let known = &known["properties"][key.get_ref().as_ref()];
            assert!(known.is_object(), "{}", key.get_ref());
        }
    }
}

mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pieces of specs in any order: an error or a spec, never a panic.
        #[test]
        fn no_text_panics(pieces in proptest::collection::vec(
            prop_oneof![
                Just("[grid]\n"), Just("[train]\n"), Just("[[zip]]\n"), Just("[[exclude]]\n"),
                Just("lr = "), Just("seed = "), Just("layers = "), Just("hidden = "),
                Just("init = "), Just("name = 't'\n"), Just("[1, 2]\n"), Just("'1..=9'\n"),
                Just("['zeros']\n"), Just("{ log = [1, 2], n = 9 }\n"), Just("-1e99\n"),
                Just("{ depth = [1], width = 9 }\n"), Just("[[784, 10]]\n"), Just("µ\u{0}\n"),
                Just("'0..18446744073709551616'\n"), Just("99999999999999999999\n"),
                Just("\"\\u00e9\"\n"), Just("[]\n"), Just("1979-05-27\n"), Just("[[\n"),
            ],
            0..12,
        )) {
            if let Ok(spec) = Spec::parse(&pieces.concat()) {
                let _ = crate::sweep::Plan::new(&spec, &crate::sweep::DataFacts::MNIST);
            }
        }
    }
}

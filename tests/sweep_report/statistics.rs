//! Statistics of groups, and what makes a group.

use crate::stores::{by, depths, few, groups, index, key, names, plan, record, trained, write};
use fanin::sweep::{GroupOptions, Groups, Key, Spec, Value};
use fanin::train::Status;
use tempfile::TempDir;

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn statistics_of_a_group() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path(), few());
    let groups = groups(folder.path(), None, &[]);
    assert_eq!(by(&groups), ["init"]);
    let keys: Vec<String> = groups.groups.iter().map(key).collect();
    assert_eq!(keys, ["he_normal", "lecun_normal", "sparse:3"]);
    let [he, lecun, sparse] = &groups.groups[..] else {
        panic!("three groups");
    };

    // Python: a = numpy.array([9512, 9423, 9634, 1135, 7999]) / 10000; a.mean();
    // a.std(ddof=1); scipy.stats.t.interval(.95, 4, a.mean(), scipy.stats.sem(a));
    // numpy.median(a); scipy.stats.binomtest(3, 5).proportion_ci(method='wilson').
    let accuracy = he.accuracy.expect("accuracies");
    assert_eq!((he.n(), accuracy.n, he.reached), (5, 5, 3));
    close(accuracy.mean, 0.754_06);
    close(accuracy.sd.expect("sd"), 0.364_190_929_321_420_6);
    let (low, high) = accuracy.ci95.expect("an interval");
    close(low, 0.301_857_234_589_220_5);
    close(high, 1.206_262_765_410_779_7);
    close(accuracy.median, 0.9423);
    assert_eq!((accuracy.min, accuracy.max), (0.1135, 0.9634));
    assert_eq!(he.accuracies, [0.1135, 0.7999, 0.9423, 0.9512, 0.9634]);
    assert_eq!(he.share_reached(), Some(0.6));
    let (low, high) = he.share_reached_ci95().expect("an interval");
    close(low, 0.230_724_281_276_013);
    close(high, 0.882_379_225_767_352_1);
    assert_eq!(
        he.steps_to_reach,
        Some(2_000.0),
        "the median of 1, 2 and 2 thousand"
    );
    assert_eq!(he.seconds, Some(3.0), "the median of 1 to 5");
    let counts = he.counts;
    let ends = (counts.ok, counts.diverged, counts.pruned, counts.failed);
    assert_eq!(ends, (3, 1, 1, 0));

    let curve: Vec<_> = he.curve.iter().map(|p| (p.step, p.n)).collect();
    assert_eq!(curve, [(0, 5), (1_000, 5), (2_000, 3)]);
    let [first, second, third] = he.curve[..] else {
        panic!("three points");
    };
    close(first.mean, (0.1 + 0.1 + 0.09 + 0.11 + 0.098) / 5.0);
    close(second.mean, (0.5 + 0.8 + 0.7999 + 0.1135 + 0.7999) / 5.0);
    close(third.mean, (0.9512 + 0.9423 + 0.9634) / 3.0);
    assert_eq!((first.min, first.max), (0.09, 0.11));
    assert_eq!((third.min, third.max), (0.9423, 0.9634));

    let accuracy = lecun.accuracy.expect("an accuracy");
    assert_eq!((lecun.n(), lecun.counts.failed), (1, 1));
    assert_eq!(
        (accuracy.mean, accuracy.sd, accuracy.ci95),
        (0.9, None, None)
    );
    // What was not measured is nothing, not 0.
    assert_eq!((sparse.n(), sparse.counts.failed), (0, 5));
    assert_eq!((sparse.accuracy, sparse.seconds), (None, None));
    assert_eq!(
        (sparse.share_reached(), sparse.share_reached_ci95()),
        (None, None)
    );
    assert_eq!((sparse.steps_to_reach, sparse.curve.len()), (None, 0));

    let best: Vec<_> = groups.best.iter().map(|b| (b.accuracy, b.seed)).collect();
    let expected = [
        (0.9634, 3),
        (0.9512, 1),
        (0.9423, 2),
        (0.9, 1),
        (0.7999, 5),
        (0.1135, 4),
    ];
    assert_eq!(best, expected);
    assert_eq!(
        groups.best[3].config,
        [Some(Value::Text("lecun_normal".into()))]
    );
    assert_eq!((groups.failures.len(), groups.counts.failed), (6, 6));
    assert_eq!(names(groups.pooled.clone()), ["seed"]);
}

#[test]
fn the_order_of_the_records_does_not_matter() {
    let mut records = few();
    let mut read = |name: &str, parts: usize| {
        let folder = TempDir::new().expect("a folder");
        let dir = folder.path().join(name);
        for part in records.chunks(records.len().div_ceil(parts)) {
            write(&dir, part.to_vec());
        }
        records.reverse();
        let mut groups = groups(&dir, None, &[]);
        groups.origin = Default::default();
        groups
    };
    let first = read("a", 1);
    assert_eq!(first, read("b", 1));
    assert_eq!(first, read("c", 4));
}

/// Writes a run of every combination, and returns what groups there are.
fn axes_of(grid: &str, explicit: Option<&[&str]>) -> (Vec<&'static str>, Vec<String>, Groups) {
    let folder = TempDir::new().expect("a folder");
    let plan = plan(&format!("name = \"n\"\n{grid}"));
    let run = trained(Status::Ok, &[1_000, 9_000]);
    write(
        folder.path(),
        plan.iter().map(|planned| record(&planned, &run, 1.0)),
    );
    let groups = groups(folder.path(), explicit, &[]);
    (by(&groups), groups.groups.iter().map(key).collect(), groups)
}

#[test]
fn groups_are_of_keys_that_vary_on_their_own() {
    let shape = "[grid]\nhidden = { depth = [0, 10, 2], width = [9] }\nseed = [1, 2]\n";
    let (by, keys, groups) = axes_of(shape, None);
    assert_eq!(
        (by, keys),
        (vec!["depth"], vec!["0".into(), "2".into(), "10".into()])
    );
    assert_eq!(groups.groups[0].n(), 2);
    let follows: Vec<_> = groups.following.iter().map(|f| f.key.name()).collect();
    assert_eq!(follows, ["width", "layers"]);

    let shape = "[grid]\nhidden = { depth = [1, 2], width = [10, 9] }\n";
    let (by, keys, groups) = axes_of(shape, None);
    assert_eq!(by, ["depth", "width"]);
    assert_eq!(keys, ["1 9", "1 10", "2 9", "2 10"]);
    assert_eq!(names(groups.following[0].from.clone()), ["depth", "width"]);

    let layers = "[grid]\nlayers = [[784, 20, 10], [784, 9, 8, 10], [784, 9, 10]]\n";
    let (by, keys, _) = axes_of(layers, None);
    assert_eq!(by, ["layers"]);
    assert_eq!(keys, ["784-9-8-10", "784-9-10", "784-20-10"]);

    // Together: activation, its output activation, and the learning rate.
    let zip = "[[zip]]\nactivation = [\"sigmoid\", \"relu\"]\nlr = [3.0, 0.1]\n\
               [grid]\nbatch_norm = [\"input\", \"off\"]\n";
    let (by, keys, groups) = axes_of(zip, None);
    assert_eq!(by, ["activation", "batch_norm"]);
    assert_eq!(
        keys,
        ["relu off", "relu input", "sigmoid off", "sigmoid input"]
    );
    assert!(groups.pooled.is_empty(), "{:?}", groups.pooled);
    let follows: Vec<_> = groups.following.iter().map(|f| f.key.name()).collect();
    assert!(follows.contains(&"lr") && follows.contains(&"output_activation"));

    let (by, keys, groups) = axes_of(zip, Some(&["lr", "bn_eval", "lr"]));
    assert_eq!(by, ["lr", "bn_eval"]);
    assert_eq!(keys.len(), 4);
    assert_eq!(&keys[..2], ["0.1 none", &keys[1]]);
    // They follow from the keys of the groups.
    assert_eq!(names(groups.pooled.clone()), [""; 0]);
    let (_, _, groups) = axes_of(zip, Some(&["lr"]));
    assert_eq!(names(groups.pooled.clone()), ["batch_norm"]);

    let seeds = "[[zip]]\nlr = [3.0, 0.1, 1.0]\nseed = [1, 2, 2]\n";
    let (_, _, groups) = axes_of(seeds, Some(&["lr"]));
    assert_eq!(names(groups.pooled.clone()), [""; 0]);
    let (_, _, groups) = axes_of(seeds, Some(&["steps"]));
    assert_eq!(names(groups.pooled.clone()), ["lr", "seed"]);

    let (by, keys, _) = axes_of("[grid]\nseed = [10, 9]\n", Some(&["seed", "loss"]));
    assert_eq!(
        (by, keys),
        (vec!["seed", "loss"], vec!["9 mse".into(), "10 mse".into()])
    );
    let (by, keys, groups) = axes_of("[grid]\nseed = [10, 9]\n", None);
    assert_eq!(
        (by.len(), keys, groups.groups[0].n()),
        (0, vec![String::new()], 2)
    );
}

#[test]
fn keys_that_are_none() {
    let error = |text: &str| text.parse::<Key>().expect_err("no key").to_string();
    assert_eq!(error("inti"), "unknown key 'inti'; did you mean 'init'?");
    assert!(error("").starts_with("unknown key '': expected init, depth, "));
    assert_eq!(
        Key::all()
            .filter(|key| key.name().parse() == Ok(*key))
            .count(),
        22
    );
}

#[test]
fn texts_are_in_the_order_of_the_spec() {
    let folder = TempDir::new().expect("a folder");
    depths(folder.path());
    let spec = Spec::parse(include_str!("../../examples/depths.toml")).expect("a spec");
    let options = GroupOptions {
        spec: Some(spec),
        ..GroupOptions::default()
    };
    let groups = Groups::read(&index(folder.path()), &options).expect("groups");
    let inits: Vec<String> = groups.by[0]
        .values
        .iter()
        .flatten()
        .map(Value::to_string)
        .collect();
    let written = [
        "normal:0.01",
        "normal:1",
        "lecun_normal",
        "glorot_uniform",
        "he_normal",
    ];
    assert_eq!(inits, written);
    assert_eq!(key(&groups.groups[0]), "normal:0.01 1 off");
    assert_eq!(key(&groups.groups[49]), "he_normal 8 pre_activation");
}

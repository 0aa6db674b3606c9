//! What is counted; times are not judged.

use super::*;
use crate::data::{Dataset, Split};
use crate::sweep::store::Index;
use crate::sweep::{DataFacts, Shard, Spec};

/// 30 samples of 4 inputs in 2 classes.
fn dataset() -> Dataset {
    let split = || {
        let images = (0..30 * 4).map(|i| (i * 37 % 256) as u8).collect();
        Split::new(2, 2, images, (0..30).map(|i| i % 2).collect()).unwrap()
    };
    Dataset::from_splits("small", split(), split()).unwrap()
}

struct Sweep {
    plan: Plan,
    todo: Todo,
    data: SweepData,
}

/// `train`: as many samples as the plan takes there to be.
fn sweep(text: &str, train: usize) -> Sweep {
    let dataset = dataset();
    let spec = Spec::parse(&format!("name = 's'\nhold_out = 0\n{text}")).unwrap();
    let facts = DataFacts {
        train,
        ..DataFacts::of(&dataset)
    };
    let plan = Plan::new(&spec, &facts).unwrap();
    let todo = Todo::new(&plan, Shard::WHOLE, &Index::default(), &[]).unwrap();
    let data = SweepData::new(&dataset, "small", 0).unwrap();
    Sweep { plan, todo, data }
}

impl Sweep {
    fn kinds(&self) -> (Vec<Kind>, usize) {
        let go_on = &mut |_| ControlFlow::Continue(());
        kinds(&self.plan, &self.todo, &self.data, go_on).unwrap()
    }

    fn estimate(&self, progress: &mut dyn FnMut(Estimating) -> ControlFlow<()>) -> Estimate {
        estimate(&self.plan, &self.todo, &self.data, Isa::best(), progress).unwrap()
    }
}

#[test]
fn runs_of_a_kind_differ_in_nothing_that_takes_time() {
    let sweep = sweep(
        "[train]\nbatch = 3\n[grid]\nseed = '1..=5'\nlr = [0.1, 1]\nsteps = [10, 30]
         init = ['zeros', 'he_normal', 'pretrained:steps=7']
         layers = [[4, 2], [4, 3, 2], [4, 9, 2]]\nmomentum = [0, 0.5, 0.9]",
        30,
    );
    let (kinds, memory) = sweep.kinds();
    assert_eq!(kinds.len(), 3 * 2);
    assert!(kinds.is_sorted_by(|a, b| a.cost >= b.cost));
    let runs: u32 = kinds.iter().map(|kind| kind.runs).sum();
    assert_eq!(runs, sweep.plan.runs());
    let steps: f64 = kinds.iter().map(|kind| kind.steps).sum();
    assert_eq!(steps, f64::from(runs) * 20.0);
    let cost: f64 = sweep.plan.iter().map(|run| sweep.plan.cost(&run)).sum();
    let found: f64 = kinds.iter().map(|kind| kind.cost).sum();
    assert!((found / cost - 1.0).abs() < 1e-12, "{found} {cost}");
    // At least W of the widest network, and its velocity.
    assert!(memory >= 2 * 4 * (4 * 9 + 9 * 2), "{memory}");
    let estimate = sweep.estimate(&mut |_| ControlFlow::Continue(()));
    assert_eq!((estimate.kinds, estimate.tried), (6, 6));
    assert!((estimate.share - 1.0).abs() < 1e-12 && estimate.failed.is_empty());
    assert!(estimate.core_seconds > 0.0 && estimate.core_seconds.is_finite());
    assert!(estimate.longest > 0.0 && estimate.longest < estimate.core_seconds);
}

#[test]
fn a_kind_that_cannot_be_built_is_named() {
    let sweep = sweep(
        "[train]\nlayers = [4, 2]\nsteps = 20\n[grid]\nbatch = [31, 3]\nseed = [1, 2]",
        31,
    );
    let estimate = sweep.estimate(&mut |_| ControlFlow::Continue(()));
    let [failed] = &estimate.failed[..] else {
        panic!("{estimate:?}");
    };
    assert_eq!(sweep.plan.get(failed.run).unwrap().config.batch, 31);
    assert!(failed.error.contains("a batch of 31"), "{failed:?}");
    assert_eq!((failed.runs, estimate.tried, estimate.kinds), (2, 1, 2));
    assert_eq!(estimate.share, 1.0);
    assert!(estimate.core_seconds > 0.0);
}

/// Of many kinds some are tried; numbers as large as they come stay numbers.
#[test]
fn many_kinds_are_taken_by_their_cost() {
    let sweep = sweep(
        "[train]\nbatch = 3\neval_every = 0\nsteps = 18446744073709551615
         [grid]\nhidden = { depth = [1], width = '1..=40' }\nseed = [1, 2]",
        30,
    );
    assert!(sweep.todo.work() > u64::MAX / 2);
    let (mut runs, mut kinds) = (Vec::new(), Vec::new());
    let estimate = sweep.estimate(&mut |at| {
        match at {
            Estimating::Runs(done, all) => runs.push((done, all)),
            Estimating::Kinds(done, all) => kinds.push((done, all)),
        }
        match kinds.len() {
            ..4 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    });
    assert_eq!(runs, [(0, 80)]);
    let most = MAX_TRIALS;
    assert_eq!(kinds, [(0, most), (1, most), (2, most), (3, most)]);
    assert_eq!((estimate.kinds, estimate.tried), (40, 3));
    assert!(estimate.share > 3.0 / 40.0 && estimate.share < 0.5);
    assert!(estimate.core_seconds.is_finite() && estimate.longest.is_finite());
    let (two, one) = (estimate.seconds(2), estimate.seconds(1));
    assert!(two < one && two > 0.0);
}

#[test]
fn large_networks_are_not_tried() {
    let text = |widths: &str| {
        format!(
            "[train]\nbatch = 30\nsteps = 10\n
             [grid]\nhidden = {{ depth = [2], width = [{widths}] }}"
        )
    };
    // 10 GB of memory each, and one that is small.
    let sweep = sweep(&text("40000, 30, 39000"), 30);
    let (kinds, memory) = sweep.kinds();
    let runs: Vec<u32> = kinds.iter().map(|kind| kind.run).collect();
    assert_eq!(runs, [1, 2, 0]);
    assert!(memory > 4 * 40_000 * 40_000);
    let estimate = sweep.estimate(&mut |_| ControlFlow::Continue(()));
    assert_eq!((estimate.kinds, estimate.tried), (3, 1));
    assert!(estimate.failed.is_empty() && estimate.share < 1e-3);
    // A million times the cost.
    assert!(estimate.core_seconds > 1.0, "{estimate:?}");
    // The smallest is better than none.
    let sweep = self::sweep(&text("3500, 3400"), 30);
    let estimate = sweep.estimate(&mut |_| ControlFlow::Continue(()));
    assert_eq!((estimate.kinds, estimate.tried), (2, 1));
}
